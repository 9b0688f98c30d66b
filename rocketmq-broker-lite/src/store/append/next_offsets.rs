//! The offset that each queue's next message gets: the log's own knowledge, whatever the queues' files do.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::super::consume_queue::ConsumeQueue;

/// Owned by whoever writes the log.
#[derive(Default)]
pub(in super::super) struct NextOffsets(HashMap<ByIdentity, i64>);

/// A queue, equal to itself only.
struct ByIdentity(Arc<ConsumeQueue>);

impl NextOffsets {
    /// Gives out as many offsets of a queue as are wanted; returns the first.
    pub(super) fn take(&mut self, queue: &Arc<ConsumeQueue>, count: i64) -> i64 {
        let next = self.0.entry(ByIdentity(Arc::clone(queue))).or_insert_with(|| queue.max());
        let first = *next;
        *next += count;
        first
    }

    /// What was given out since the last write is given out again: queues know what was published.
    pub(super) fn take_back(&mut self) {
        self.0.clear();
    }
}

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByIdentity {}

impl Hash for ByIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
