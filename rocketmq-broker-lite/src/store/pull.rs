//! The answer to a pull.

use std::fmt;

use bytes::Bytes;

/// How a pull ended; the names are Java's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullStatus {
    /// There are messages.
    Found,
    /// There were messages, but none that was wanted.
    NoMatchedMessage,
    /// The messages were deleted in the meantime.
    MessageWasRemoving,
    /// A unit of the consume queue could not be read.
    OffsetFoundNull,
    /// The offset is beyond the queue's end.
    OffsetOverflowBadly,
    /// The offset is the queue's end: the next message has yet to come.
    OffsetOverflowOne,
    /// The offset is before the queue's first message.
    OffsetTooSmall,
    /// The queue does not exist.
    NoMatchedLogicQueue,
    /// The queue has never had a message.
    NoMessageInQueue,
}

impl fmt::Display for PullStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
        })
    }
}

/// What a pull brought.
#[derive(Clone, Debug)]
pub(crate) struct Pulled {
    /// How it ended.
    pub(crate) status: PullStatus,
    /// Where to go on.
    pub(crate) next_begin_offset: i64,
    /// The queue's first offset.
    pub(crate) min_offset: i64,
    /// The offset of the queue's next message.
    pub(crate) max_offset: i64,
    /// Whole records, one behind the other.
    pub(crate) body: Bytes,
    /// How many records.
    pub(crate) count: usize,
}

impl Pulled {
    /// An answer without messages.
    pub(super) fn empty(
        status: PullStatus,
        next_begin_offset: i64,
        min_offset: i64,
        max_offset: i64,
    ) -> Self {
        Self { status, next_begin_offset, min_offset, max_offset, body: Bytes::new(), count: 0 }
    }
}
