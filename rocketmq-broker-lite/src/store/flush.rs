//! Flushing: who waits for the disk, and who makes it so.

/// How a wait for the disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushOutcome {
    /// The disk has the message.
    Flushed,
    /// It took too long; the message may still reach the disk.
    TimedOut,
    /// The store failed or was closed; the message may or may not be on disk.
    Failed,
}
