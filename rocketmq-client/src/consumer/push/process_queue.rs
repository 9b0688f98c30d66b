//! What a consumer holds of one queue: which offsets it was given, and which of them are done with.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocketmq_protocol::message::MessageQueue;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How much of one queue may be held. Checked before each pull, so one pull's messages may exceed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Between the first offset that is not done and the last that was given.
    pub(super) span: i64,
}

/// One queue of this consumer. Java: `ProcessQueue`.
#[derive(Debug)]
pub(super) struct ProcessQueue {
    pub(super) queue: MessageQueue,
    held: Mutex<Held>,
    /// Messages were done with: a pull that waits for room may go on.
    room: Notify,
    /// The queue was given away, or the consumer ends.
    dropped: CancellationToken,
    /// The offset that the broker knows; -1 for none.
    committed: AtomicI64,
    /// Held while the broker is told, so that commits arrive in their order.
    pub(super) committing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held {
    /// Everything from the first message that is not done with on, in the order of offsets.
    messages: VecDeque<Slot>,
    pending: usize,
    pending_bytes: usize,
    /// Behind all that was given so far.
    next_offset: i64,
    /// Whether `next_offset` stands for progress, rather than for where consumption began.
    moved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: i64,
    bytes: usize,
    done: bool,
}

impl ProcessQueue {
    pub(super) fn new(
        queue: MessageQueue,
        start_offset: i64,
        committed: Option<i64>,
        dropped: CancellationToken,
    ) -> Self {
        let held = Held {
            messages: VecDeque::new(),
            pending: 0,
            pending_bytes: 0,
            next_offset: start_offset,
            moved: false,
        };
        Self {
            queue,
            held: Mutex::new(held),
            room: Notify::new(),
            dropped,
            committed: AtomicI64::new(committed.unwrap_or(-1)),
            committing: tokio::sync::Mutex::new(()),
        }
    }

    /// Takes messages as (offset, bytes), in the order of offsets.
    pub(super) fn put(&self, messages: impl Iterator<Item = (i64, usize)>) {
        let mut held = self.held();
        for (offset, bytes) in messages {
            held.messages.push_back(Slot { offset, bytes, done: false });
            held.pending += 1;
            held.pending_bytes += bytes;
        }
    }

    /// Everything before `next_offset` was given: by `put`, or the filter took it out.
    pub(super) fn advance(&self, next_offset: i64) {
        let mut held = self.held();
        if next_offset > held.next_offset {
            held.next_offset = next_offset;
            held.moved = true;
        }
    }

    /// These messages are done with: consumed, or safe at the broker to come again.
    pub(super) fn done(&self, offsets: impl Iterator<Item = i64>) {
        let mut held = self.held();
        for offset in offsets {
            held.finish(offset);
        }
        while held.messages.front().is_some_and(|slot| slot.done) {
            held.messages.pop_front();
        }
        drop(held);
        self.room.notify_one();
    }

    /// Up to where all is done with: the offset to commit. `None` until there was any progress.
    pub(super) fn commit_offset(&self) -> Option<i64> {
        let held = self.held();
        match held.messages.front() {
            Some(first) => Some(first.offset),
            None => held.moved.then_some(held.next_offset),
        }
    }

    /// The offset to commit, if the broker does not know it yet.
    pub(super) fn uncommitted(&self) -> Option<i64> {
        self.commit_offset().filter(|offset| *offset != self.committed())
    }

    /// The offset that the broker knows.
    pub(super) fn committed(&self) -> i64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// The broker was told.
    pub(super) fn set_committed(&self, offset: i64) {
        self.committed.store(offset, Ordering::Relaxed);
    }

    /// Waits until less than the thresholds is held. True if it had to wait.
    pub(super) async fn wait_for_room(&self, thresholds: &Thresholds) -> bool {
        let mut waited = false;
        while self.held().is_over(thresholds) {
            waited = true;
            self.room.notified().await;
        }
        waited
    }

    /// How many messages are held that are not done with.
    pub(super) fn pending(&self) -> usize {
        self.held().pending
    }

    pub(super) fn drop_now(&self) {
        self.dropped.cancel();
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.is_cancelled()
    }

    pub(super) fn dropped(&self) -> &CancellationToken {
        &self.dropped
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn finish(&mut self, offset: i64) {
        let Ok(index) = self.messages.binary_search_by_key(&offset, |slot| slot.offset) else { return };
        let slot = &mut self.messages[index];
        if !slot.done {
            slot.done = true;
            self.pending -= 1;
            self.pending_bytes -= slot.bytes;
        }
    }

    fn is_over(&self, thresholds: &Thresholds) -> bool {
        let span = match (self.messages.front(), self.messages.back()) {
            (Some(first), Some(last)) => last.offset - first.offset,
            _ => 0,
        };
        self.pending > thresholds.messages || self.pending_bytes > thresholds.bytes || span > thresholds.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { messages: 2, bytes: 100, span: 10 };

    fn queue(start: i64) -> ProcessQueue {
        ProcessQueue::new(MessageQueue::new("T", "b", 0), start, None, CancellationToken::new())
    }

    #[test]
    fn only_what_lies_before_every_open_message_is_committed() {
        let queue = queue(5);
        assert_eq!(queue.commit_offset(), None);
        queue.put([(5, 1), (6, 1), (8, 1)].into_iter());
        queue.advance(9);
        assert_eq!(queue.commit_offset(), Some(5));
        queue.done([6, 8].into_iter());
        assert_eq!(queue.commit_offset(), Some(5), "offset 5 is still open");
        queue.done([5].into_iter());
        assert_eq!(queue.commit_offset(), Some(9));
        assert_eq!(queue.pending(), 0);
    }

    #[test]
    fn progress_without_messages_counts() {
        let queue = queue(5);
        queue.advance(7);
        assert_eq!(queue.uncommitted(), Some(7));
        queue.set_committed(7);
        assert_eq!(queue.uncommitted(), None);
    }

    #[test]
    fn each_threshold_holds_by_itself() {
        let over = |messages: &[(i64, usize)]| {
            let queue = queue(0);
            queue.put(messages.iter().copied());
            queue.held().is_over(&THRESHOLDS)
        };
        assert!(!over(&[(0, 50), (10, 50)]));
        assert!(over(&[(0, 1), (1, 1), (2, 1)]));
        assert!(over(&[(0, 101)]));
        assert!(over(&[(0, 1), (11, 1)]));
    }

    #[tokio::test]
    async fn room_comes_when_messages_are_done() {
        let queue = queue(0);
        assert!(!queue.wait_for_room(&THRESHOLDS).await);
        queue.put([(0, 1), (1, 1), (2, 1)].into_iter());
        let (waited, ()) =
            tokio::join!(queue.wait_for_room(&THRESHOLDS), async { queue.done([1].into_iter()) });
        assert!(waited);
    }
}
