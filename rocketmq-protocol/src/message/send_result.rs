//! What comes back for a message that was sent.

use std::fmt;

use bytestring::ByteString;

use super::MessageQueue;

/// How safely the broker holds a message. Java: `SendStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendStatus {
    /// Stored, flushed and replicated as the broker is configured to do.
    #[doc(alias = "SEND_OK")]
    SendOk,
    /// Stored, but not flushed to disk in time (SYNC_FLUSH).
    #[doc(alias = "FLUSH_DISK_TIMEOUT")]
    FlushDiskTimeout,
    /// Stored, but not replicated in time (SYNC_MASTER).
    #[doc(alias = "FLUSH_SLAVE_TIMEOUT")]
    FlushSlaveTimeout,
    /// Stored, but no slave was there to replicate to (SYNC_MASTER).
    #[doc(alias = "SLAVE_NOT_AVAILABLE")]
    SlaveNotAvailable,
}

/// Java's spelling.
impl fmt::Display for SendStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SendOk => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        })
    }
}

/// The broker's answer to a send. Java: `SendResult`.
///
/// A status other than [`SendStatus::SendOk`] means that the message is stored, but less safely than the broker is
/// configured to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendResult {
    /// How safely the message is held.
    #[doc(alias = "getSendStatus")]
    pub send_status: SendStatus,
    /// The id that the producer gave the message; those of a batch are joined by commas.
    #[doc(alias = "getMsgId")]
    pub msg_id: String,
    /// Where the broker stored the message; those of a batch are joined by commas.
    #[doc(alias = "getOffsetMsgId")]
    pub offset_msg_id: Option<ByteString>,
    /// The queue that holds the message.
    #[doc(alias = "getMessageQueue")]
    pub message_queue: MessageQueue,
    /// The message's place in the queue, from 0; the first one's of a batch.
    #[doc(alias = "getQueueOffset")]
    pub queue_offset: i64,
    /// The transaction's id; 5.x brokers name one for every message.
    #[doc(alias = "getTransactionId")]
    pub transaction_id: Option<ByteString>,
    /// The broker's region, if it says so.
    #[doc(alias = "getRegionId")]
    pub region_id: Option<ByteString>,
    /// Whether the broker wants the message traced; true unless it says otherwise.
    #[doc(alias = "isTraceOn")]
    pub trace_on: bool,
    /// Takes a timer message back (5.x).
    #[doc(alias = "getRecallHandle")]
    pub recall_handle: Option<ByteString>,
}

impl SendResult {
    /// A result with what every broker answers; the other fields are as if it had answered nothing more.
    #[must_use]
    pub fn new(
        send_status: SendStatus,
        msg_id: impl Into<String>,
        message_queue: MessageQueue,
        queue_offset: i64,
    ) -> Self {
        Self {
            send_status,
            msg_id: msg_id.into(),
            offset_msg_id: None,
            message_queue,
            queue_offset,
            transaction_id: None,
            region_id: None,
            trace_on: true,
            recall_handle: None,
        }
    }
}

/// As the `toString` of Java's 4.9 line.
impl fmt::Display for SendResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SendResult [sendStatus={}, msgId={}, offsetMsgId={}, messageQueue={}, queueOffset={}]",
            self.send_status,
            self.msg_id,
            self.offset_msg_id.as_deref().unwrap_or("null"),
            self.message_queue,
            self.queue_offset
        )
    }
}
