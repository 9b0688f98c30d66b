//! What can go wrong between two peers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a request got no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemotingError {
    /// No connection could be made; nothing was sent.
    #[error("connect to {addr} failed: {source}")]
    Connect {
        /// The peer.
        addr: Arc<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The connection ended before the response came; the request may have taken effect.
    #[error("the connection to {addr} ended: {cause}")]
    Closed {
        /// The peer.
        addr: Arc<str>,
        /// Why.
        cause: Arc<str>,
    },
    /// The connection had ended before the request was queued; nothing was sent.
    #[error("the connection to {addr} has ended: {cause}")]
    NotSent {
        /// The peer.
        addr: Arc<str>,
        /// Why.
        cause: Arc<str>,
    },
    /// No response in time; the request may have taken effect.
    #[error("wait response on the channel {addr} timeout, {}(ms)", timeout.as_millis())]
    Timeout {
        /// The peer.
        addr: Arc<str>,
        /// How long the caller wanted to wait.
        timeout: Duration,
    },
    /// The outbound buffer is full; nothing was sent.
    #[error("{queued_bytes} bytes wait to be sent to {addr}, which is the limit")]
    OutboundFull {
        /// The peer.
        addr: Arc<str>,
        /// What waits.
        queued_bytes: usize,
    },
    /// The request is larger than a frame may be; nothing was sent.
    #[error("a frame of {frame_bytes} bytes is over the limit of {limit_bytes}")]
    TooLarge {
        /// The frame.
        frame_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
}

impl RemotingError {
    /// True if the peer cannot have seen the request.
    #[must_use]
    pub fn has_no_side_effects(&self) -> bool {
        !matches!(self, Self::Closed { .. } | Self::Timeout { .. })
    }

    /// True if the response did not come in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}
