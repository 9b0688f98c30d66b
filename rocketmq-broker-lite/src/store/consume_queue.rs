//! The consume queue: for each message of one topic's queue, where it lies in the log.

/// One unit of a consume queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueEntry {
    /// The place in the queue.
    pub(crate) queue_offset: i64,
    /// The record's first byte in the log.
    pub(crate) physical_offset: i64,
    /// The record's size in bytes.
    pub(crate) size: i32,
    /// The tag's hash; in `SCHEDULE_TOPIC_XXXX` the deliver time in milliseconds since 1970.
    pub(crate) tags_code: i64,
}
