//! The limits of a connection.

use std::time::Duration;

use super::Budget;
use crate::frame::MAX_FRAME_BYTES;

/// The limits of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The largest frame that is taken or sent, in bytes after its length field. Default 16 MiB. A longer one ends the
    /// connection.
    pub max_frame_bytes: usize,
    /// How many bytes this connection may hold: what waits to be written, and what the handler has reserved. Default 64 MiB. Over it requests wait for room, and the accepting side reads no further
    /// requests; the connecting side never stops reading.
    pub outbound_limit_bytes: usize,
    /// What all connections that are given the same budget may hold together, large frames that are being read included.
    /// Default unlimited. While it is full, an
    /// accepting side reads only from peers that hold less than their share of it, and ends connections that hold more
    /// and have not moved for 10 seconds.
    pub budget: Budget,
    /// A connection on which nothing moves either way for this long is closed. Default 120 s.
    pub idle_timeout: Duration,
    /// A connection from which nothing was read for this long although a response is due is closed, whatever was written
    /// meanwhile. Default 40 s: longer than a broker holds a pull.
    pub liveness_timeout: Duration,
    /// How long a connection that is closed goes on writing what is queued. Default 1 s.
    pub close_timeout: Duration,
    /// How long the system waits for the peer to acknowledge what was sent before it ends the connection
    /// (`TCP_USER_TIMEOUT`, on Linux). Default 60 s.
    pub tcp_user_timeout: Duration,
    /// Send requests with the binary header once the peer has shown that it reads it. Default true.
    pub prefer_binary_header: bool,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: MAX_FRAME_BYTES,
            outbound_limit_bytes: 64 * 1024 * 1024,
            budget: Budget::unlimited(),
            idle_timeout: Duration::from_secs(120),
            liveness_timeout: Duration::from_secs(40),
            close_timeout: Duration::from_secs(1),
            tcp_user_timeout: Duration::from_secs(60),
            prefer_binary_header: true,
        }
    }
}

/// Who made the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Connecting,
    Accepting,
}
