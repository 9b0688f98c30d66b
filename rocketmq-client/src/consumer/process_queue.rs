//! What a consumer holds of one queue. It owns the messages: from the pull that brought them until they are done with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocketmq_protocol::message::wire::WireMessageExt;
use rocketmq_protocol::message::{MessageExt, MessageQueue};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::{Budget, Load};

/// One queue of this consumer. Java: `ProcessQueue`.
///
/// A message waits, is taken by a call, and is done with; a call that fails keeps it taken until it is safe at the broker
/// or waits here again.
#[derive(Debug)]
pub(crate) struct ProcessQueue {
    pub(crate) queue: MessageQueue,
    held: Mutex<Held>,
    /// Something was done with: a pull that waits for room, or a revocation that waits for calls, may go on.
    less: Notify,
    revoked: CancellationToken,
    /// What this queue shares with others: its topic's budget and the consumer's.
    budgets: Vec<Arc<Budget>>,
    /// Held while the broker is told, so that commits arrive in their order.
    committing: Arc<tokio::sync::Mutex<()>>,
}

/// The right to commit of a queue, one at a time.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

#[derive(Debug, Default)]
struct Held {
    /// Everything from the first message that is not done with on, in the order of offsets.
    slots: VecDeque<Slot>,
    /// The offsets of messages that wait for a call, in order.
    waiting: VecDeque<i64>,
    load: Load,
    /// Messages that a call has, or that are on their way back to the broker.
    taken: usize,
    /// After all that was pulled so far; `None` until it is known where consumption begins.
    next_offset: Option<i64>,
    /// Whether `next_offset` is to be committed: it is not what the broker knew from the start.
    moved: bool,
    committed: Option<Committed>,
    /// Whether that is only what we told a broker, once.
    told_once: bool,
    revoked: bool,
    next_call: u64,
}

/// The offset that a broker was told, or has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// False if only a slave knows it: its master has to be told once it is back.
    pub(crate) at_master: bool,
}

#[derive(Debug)]
struct Slot {
    offset: i64,
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Pulled),
    /// A call has it since then, as its `index`th message.
    Called(Pulled, Calling),
    /// On its way back to the broker, or resting until it waits again.
    Returning(Pulled),
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Calling {
    call: u64,
    index: usize,
    since: Instant,
}

/// A message as it was pulled, before anything is changed for the program.
#[derive(Clone, Debug)]
pub(crate) struct Pulled {
    pub(crate) record: Record,
    /// The queue's bounds when it was pulled.
    pub(crate) min_offset: i64,
    pub(crate) max_offset: i64,
}

/// What lies at one offset.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages: a box would be one allocation for each"
)]
pub(crate) enum Record {
    Message(MessageExt),
    /// Bytes that are no message; where they lie in the broker's log, as far as they say so.
    Unreadable {
        physical_offset: Option<i64>,
    },
}

/// Messages that one call of the listener has.
#[derive(Debug)]
pub(crate) struct Call {
    id: u64,
    first: i64,
    last: i64,
    /// More messages wait than the call could take with it, although there was room.
    pub(crate) left_some: bool,
}

/// A message that goes back to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Returning {
    pub(crate) offset: i64,
    pub(crate) pulled: Pulled,
}

impl ProcessQueue {
    pub(crate) fn new(queue: MessageQueue, revoked: CancellationToken, budgets: Vec<Arc<Budget>>) -> Self {
        Self {
            queue,
            held: Mutex::default(),
            less: Notify::new(),
            revoked,
            budgets,
            committing: Arc::default(),
        }
    }

    // --- pulling ------------------------------------------------------------------------------------------------

    /// It is known where consumption begins: at what the broker has committed, or else where the group's settings say.
    /// The latter is to be committed, even if no message ever comes: a restart must begin there too.
    pub(crate) fn begin(&self, offset: i64, committed: Option<Committed>) {
        let mut held = self.held();
        held.next_offset = Some(offset);
        held.moved = committed.is_none();
        held.committed = committed;
    }

    /// Takes what a pull brought, in the order of offsets, and that everything before `next_offset` was pulled or passed
    /// over by the filter. Returns how many messages were new. A queue that was revoked takes nothing.
    pub(crate) fn put(
        &self,
        pulled: impl IntoIterator<Item = (i64, usize, Pulled)>,
        next_offset: i64,
    ) -> usize {
        let mut held = self.held();
        if held.revoked {
            return 0;
        }
        let mut new = Load::default();
        for (offset, bytes, pulled) in pulled {
            if held.slots.back().is_none_or(|last| last.offset < offset) {
                held.slots.push_back(Slot { offset, bytes, state: State::Waiting(pulled) });
                held.waiting.push_back(offset);
                new.add(bytes);
            }
        }
        held.load += new;
        held.advance(next_offset);
        // Under the lock, so that a revocation takes off exactly what was put on.
        self.budgets.iter().for_each(|budget| budget.take(new));
        new.messages
    }

    /// The pull position moves on past offsets that the broker no longer has; what is held stays.
    pub(crate) fn advance(&self, next_offset: i64) {
        self.held().advance(next_offset);
    }

    /// The broker's queue ends before the pull position: once nothing is held any more, consumption goes on at
    /// `next_offset`.
    pub(crate) async fn restart_at(&self, next_offset: i64) {
        self.until(|held| held.slots.is_empty()).await;
        let mut held = self.held();
        held.next_offset = Some(next_offset);
        held.moved = true;
    }

    /// Waits until less than the thresholds is held, here and by those who share a budget.
    pub(crate) async fn wait_for_room(&self, thresholds: &Thresholds) {
        self.until(|held| !held.is_over(thresholds)).await;
        for budget in &self.budgets {
            budget.wait_for_room().await;
        }
    }

    // --- calls --------------------------------------------------------------------------------------------------

    /// The next messages for a call, as cheap copies that share the bytes of what was pulled; `None` if none waits, or the
    /// queue is given up. An unreadable record comes alone. `messages` is the caller's to use again: it is cleared first.
    pub(crate) fn take(&self, max: usize, now: Instant, messages: &mut Vec<Pulled>) -> Option<Call> {
        messages.clear();
        if self.revoked.is_cancelled() {
            return None;
        }
        let mut held = self.held();
        let first = *held.waiting.front()?;
        let mut call = Call { id: held.next_call, first, last: first, left_some: false };
        held.next_call += 1;
        while messages.len() < max
            && let Some(offset) = held.waiting.front().copied()
        {
            let calling = Calling { call: call.id, index: messages.len(), since: now };
            let Some(pulled) = held.call(offset, calling) else { break };
            held.waiting.pop_front();
            call.last = offset;
            let alone = pulled.is_unreadable();
            messages.push(pulled);
            if alone {
                break;
            }
        }
        call.left_some = messages.len() < max && !held.waiting.is_empty();
        Some(call)
    }

    /// A call has ended: its first `acked` messages are done with; the others are returned and stay here until they are.
    /// What timed out meanwhile is left alone.
    pub(crate) fn end_call(&self, call: &Call, acked: usize) -> Vec<Returning> {
        let mut returning = Vec::new();
        let mut held = self.held();
        let start = held.slots.partition_point(|slot| slot.offset < call.first);
        let mut done = Load::default();
        for slot in held.slots.range_mut(start..).take_while(|slot| slot.offset <= call.last) {
            match &slot.state {
                State::Called(_, calling) if calling.call != call.id => {}
                State::Called(_, calling) if calling.index < acked => {
                    slot.state = State::Done;
                    done.add(slot.bytes);
                }
                State::Called(pulled, _) => {
                    let pulled = pulled.clone();
                    returning.push(Returning { offset: slot.offset, pulled: pulled.clone() });
                    slot.state = State::Returning(pulled);
                }
                State::Waiting(_) | State::Returning(_) | State::Done => {}
            }
        }
        self.finish(held, done);
        returning
    }

    /// A message that was on its way back has arrived: it is done with here.
    pub(crate) fn returned(&self, offset: i64) {
        let mut held = self.held();
        let mut done = Load::default();
        if let Some(slot) = held.slot(offset)
            && matches!(slot.state, State::Returning(_))
        {
            slot.state = State::Done;
            done.add(slot.bytes);
        }
        self.finish(held, done);
    }

    /// A message that could not be given back waits for a call again, one time more reconsumed.
    pub(crate) fn wait_again(&self, offset: i64) {
        let mut held = self.held();
        let Some(slot) = held.slot(offset) else { return };
        let State::Returning(pulled) = &slot.state else { return };
        let mut pulled = pulled.clone();
        if let Record::Message(message) = &mut pulled.record {
            message.set_reconsume_times(message.reconsume_times() + 1);
        }
        slot.state = State::Waiting(pulled);
        held.taken -= 1;
        // Of a revoked queue nothing is called any more: the next owner gets it.
        if !held.revoked {
            let place = held.waiting.partition_point(|waiting| *waiting < offset);
            held.waiting.insert(place, offset);
        }
        drop(held);
        self.less.notify_waiters();
    }

    /// Takes the messages away from calls that have had them for longer than `limit`: they go back to the broker.
    pub(crate) fn expire(&self, now: Instant, limit: Duration) -> Vec<Returning> {
        let mut expired = Vec::new();
        for slot in &mut self.held().slots {
            if let State::Called(pulled, calling) = &slot.state
                && now.saturating_duration_since(calling.since) > limit
            {
                let pulled = pulled.clone();
                expired.push(Returning { offset: slot.offset, pulled: pulled.clone() });
                slot.state = State::Returning(pulled);
            }
        }
        expired
    }

    /// The offset that a call has had for the longest time, and since when.
    pub(crate) fn oldest_call(&self) -> Option<(i64, Instant)> {
        let held = self.held();
        let called = held.slots.iter().filter_map(|slot| match &slot.state {
            State::Called(_, calling) => Some((slot.offset, calling.since)),
            State::Waiting(_) | State::Returning(_) | State::Done => None,
        });
        called.min_by_key(|(_, since)| *since)
    }

    // --- offsets ------------------------------------------------------------------------------------------------

    /// Waits until no commit of this queue is under way.
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.committing).lock_owned().await
    }

    /// The offset to commit, if the brokers do not know it yet. With `master_reached`, one that only a slave knows counts
    /// as unknown.
    pub(crate) fn uncommitted(&self, master_reached: bool) -> Option<i64> {
        let held = self.held();
        let offset = held.commit_offset()?;
        let known = held
            .committed
            .is_some_and(|known| known.offset == offset && (known.at_master || !master_reached));
        (!known).then_some(offset)
    }

    /// The offset that the brokers know.
    pub(crate) fn committed(&self) -> Option<Committed> {
        self.held().committed
    }

    /// A broker was told.
    pub(crate) fn set_committed(&self, committed: Committed) {
        let mut held = self.held();
        held.told_once = held.committed.is_none_or(|known| known.offset != committed.offset);
        held.committed = Some(committed);
    }

    /// The offset that a broker was told once, while the queue is still ours.
    pub(crate) fn told_once(&self) -> Option<i64> {
        let held = self.held();
        let committed = held.committed.filter(|_| held.told_once && !held.revoked);
        committed.map(|committed| committed.offset)
    }

    // --- the end ------------------------------------------------------------------------------------------------

    /// The queue is another member's now: nothing more is pulled or called. What waits is forgotten here; calls that have
    /// begun may end.
    pub(crate) fn revoke(&self) {
        let mut held = self.held();
        if !std::mem::replace(&mut held.revoked, true) {
            held.waiting.clear();
            self.budgets.iter().for_each(|budget| budget.give_back(held.load));
        }
        drop(held);
        self.revoked.cancel();
        self.less.notify_waiters();
    }

    /// Waits until no call has any message of this queue, and none is on its way back.
    pub(crate) async fn wait_for_calls(&self) {
        self.until(|held| held.taken == 0).await;
    }

    /// Ends when the queue is revoked.
    pub(crate) fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }

    /// How many messages are held that are not done with.
    pub(crate) fn pending(&self) -> usize {
        self.held().load.messages
    }

    async fn until(&self, holds: impl Fn(&Held) -> bool) {
        loop {
            let less = self.less.notified();
            let mut less = std::pin::pin!(less);
            // Before looking: what changes after the look wakes this.
            less.as_mut().enable();
            if holds(&self.held()) {
                return;
            }
            less.await;
        }
    }

    fn finish(&self, mut held: MutexGuard<'_, Held>, done: Load) {
        if done.messages > 0 {
            held.taken -= done.messages;
            held.load -= done;
            while held.slots.front().is_some_and(Slot::is_done) {
                held.slots.pop_front();
            }
            // A revoked queue has given all back.
            if !held.revoked {
                self.budgets.iter().for_each(|budget| budget.give_back(done));
            }
        }
        drop(held);
        self.less.notify_waiters();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of one queue may be held. Checked before each pull, so one pull's messages may exceed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// Between the first offset that is not done with and the last that was pulled.
    pub(crate) span: i64,
}

impl Held {
    /// A call gets the message at `offset`, unless it is unreadable and the call has others already.
    fn call(&mut self, offset: i64, calling: Calling) -> Option<Pulled> {
        let slot = self.slot(offset)?;
        let State::Waiting(pulled) = &slot.state else { return None };
        if pulled.is_unreadable() && calling.index > 0 {
            return None;
        }
        let pulled = pulled.clone();
        slot.state = State::Called(pulled.clone(), calling);
        self.taken += 1;
        Some(pulled)
    }

    fn slot(&mut self, offset: i64) -> Option<&mut Slot> {
        let index = self.slots.binary_search_by_key(&offset, |slot| slot.offset).ok()?;
        self.slots.get_mut(index)
    }

    fn advance(&mut self, next_offset: i64) {
        if self.next_offset.is_none_or(|known| known < next_offset) {
            self.next_offset = Some(next_offset);
            self.moved = true;
        }
    }

    /// Up to where all is done with. `None` while the broker knows at least as much.
    fn commit_offset(&self) -> Option<i64> {
        match self.slots.front() {
            Some(first) => Some(first.offset),
            None => self.next_offset.filter(|_| self.moved),
        }
    }

    fn is_over(&self, thresholds: &Thresholds) -> bool {
        let span = match (self.slots.front(), self.slots.back()) {
            (Some(first), Some(last)) => last.offset.saturating_sub(first.offset),
            _ => 0,
        };
        let Load { messages, bytes } = self.load;
        messages > thresholds.messages || bytes > thresholds.bytes || span > thresholds.span
    }
}

impl Slot {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl Pulled {
    fn is_unreadable(&self) -> bool {
        matches!(self.record, Record::Unreadable { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const THRESHOLDS: Thresholds = Thresholds { messages: 2, bytes: 100, span: 10 };
    const AT_MASTER: Option<Committed> = Some(Committed { offset: 5, at_master: true });

    fn queue() -> ProcessQueue {
        let queue = ProcessQueue::new(MessageQueue::new("T", "b", 0), CancellationToken::new(), Vec::new());
        queue.begin(5, AT_MASTER);
        queue
    }

    /// Messages are told apart by their offset here: what they say does not matter.
    fn pulled(offsets: &[i64]) -> Vec<(i64, usize, Pulled)> {
        let record = |offset| Record::Unreadable { physical_offset: Some(offset) };
        let pulled = |offset| Pulled { record: record(offset), min_offset: 0, max_offset: 0 };
        offsets.iter().map(|offset| (*offset, 1, pulled(*offset))).collect()
    }

    /// A call that gets the next record.
    fn take(queue: &ProcessQueue) -> (Call, i64) {
        let mut messages = Vec::new();
        let call = queue.take(1, Instant::now(), &mut messages).expect("one waits");
        let Record::Unreadable { physical_offset: Some(offset) } = messages[0].record else { unreachable!() };
        (call, offset)
    }

    #[tokio::test]
    async fn only_what_lies_before_every_open_message_is_committed() {
        let queue = queue();
        assert_eq!(queue.uncommitted(true), None);
        assert_eq!(queue.put(pulled(&[5, 6, 8]), 9), 3);
        assert_eq!(queue.uncommitted(true), None, "5 is committed, and 5 is still open");
        let (five, six, eight) = (take(&queue), take(&queue), take(&queue));
        assert_eq!([five.1, six.1, eight.1], [5, 6, 8]);
        assert!(queue.end_call(&six.0, 1).is_empty() && queue.end_call(&eight.0, 1).is_empty());
        assert_eq!(queue.uncommitted(true), None);
        assert!(queue.end_call(&five.0, 1).is_empty());
        assert_eq!(queue.uncommitted(true), Some(9));
        queue.set_committed(Committed { offset: 9, at_master: true });
        assert_eq!((queue.uncommitted(true), queue.pending()), (None, 0));
    }

    #[test]
    fn a_start_that_nobody_has_committed_is_to_be_committed_before_any_message_comes() {
        let queue = queue();
        queue.begin(7, None);
        assert_eq!(queue.uncommitted(true), Some(7));
    }

    #[test]
    fn an_offset_is_told_once_until_it_is_told_again_or_the_queue_is_given_up() {
        let queue = queue();
        queue.begin(7, Some(Committed { offset: 7, at_master: true }));
        assert_eq!(queue.told_once(), None, "the broker knew it");
        for offset in [8, 9] {
            queue.set_committed(Committed { offset, at_master: true });
            assert_eq!(queue.told_once(), Some(offset));
        }
        queue.set_committed(Committed { offset: 9, at_master: true });
        assert_eq!(queue.told_once(), None);
        queue.set_committed(Committed { offset: 10, at_master: true });
        queue.revoke();
        assert_eq!(queue.told_once(), None, "the next owner may be further");
    }

    #[test]
    fn what_only_a_slave_knows_is_committed_again_once_there_is_a_master() {
        let queue = queue();
        queue.advance(7);
        assert_eq!(queue.uncommitted(false), Some(7));
        queue.set_committed(Committed { offset: 7, at_master: false });
        assert_eq!((queue.uncommitted(false), queue.uncommitted(true)), (None, Some(7)));
    }

    #[test]
    fn what_is_pulled_twice_counts_once() {
        let queue = queue();
        assert_eq!(queue.put(pulled(&[5, 6]), 7), 2);
        assert_eq!(queue.put(pulled(&[5, 6, 7]), 8), 1);
        assert_eq!(queue.pending(), 3);
    }

    #[tokio::test]
    async fn a_failed_message_holds_the_offset_until_it_is_back_and_comes_first_if_it_is_not() {
        let queue = queue();
        queue.put(pulled(&[5, 6, 7]), 8);
        let failed = queue.end_call(&take(&queue).0, 0);
        assert_eq!(failed.iter().map(|message| message.offset).collect::<Vec<_>>(), [5]);
        assert!(queue.end_call(&take(&queue).0, 1).is_empty());
        assert_eq!(queue.uncommitted(true), None, "5 is on its way");
        queue.wait_again(5);
        let (again, offset) = take(&queue);
        assert_eq!(offset, 5, "what came first comes first again");
        assert_eq!(queue.end_call(&again, 0).len(), 1);
        queue.returned(5);
        assert_eq!(queue.uncommitted(true), Some(7));
    }

    #[tokio::test]
    async fn what_a_call_has_for_too_long_is_taken_from_it_and_its_answer_counts_no_more() {
        let queue = queue();
        queue.put(pulled(&[5]), 6);
        let (call, _) = take(&queue);
        let limit = Duration::from_secs(1);
        assert!(queue.expire(Instant::now(), limit).is_empty());
        let later = Instant::now() + Duration::from_secs(2);
        assert_eq!(queue.oldest_call().map(|(offset, _)| offset), Some(5));
        assert_eq!(queue.expire(later, limit).len(), 1);
        assert!(queue.expire(later, limit).is_empty(), "it is on its way already");
        assert!(queue.end_call(&call, 0).is_empty(), "it would go back twice");
        queue.returned(5);
        assert_eq!(queue.uncommitted(true), Some(6));
    }

    #[tokio::test]
    async fn a_revoked_queue_calls_nothing_more_and_waits_for_what_is_called() {
        let queue = queue();
        queue.put(pulled(&[5, 6]), 7);
        let (call, _) = take(&queue);
        queue.revoke();
        assert!(queue.take(1, Instant::now(), &mut Vec::new()).is_none());
        assert_eq!(queue.put(pulled(&[7]), 8), 0);
        let mut calls = std::pin::pin!(queue.wait_for_calls());
        assert!(calls.as_mut().now_or_never().is_none());
        assert!(queue.end_call(&call, 1).is_empty());
        calls.await;
        assert_eq!((queue.uncommitted(true), queue.pending()), (Some(6), 1));
    }

    #[tokio::test]
    async fn a_queue_that_ends_earlier_begins_there_after_what_is_held() {
        let queue = queue();
        queue.put(pulled(&[5]), 6);
        let mut restarting = std::pin::pin!(queue.restart_at(2));
        assert!(restarting.as_mut().now_or_never().is_none());
        assert_eq!(take(&queue).1, 5);
        let call = Call { id: 0, first: 5, last: 5, left_some: false };
        assert!(queue.end_call(&call, 1).is_empty());
        restarting.await;
        assert_eq!(queue.uncommitted(true), Some(2));
        assert_eq!(queue.put(pulled(&[2]), 3), 1);
    }

    #[test]
    fn each_threshold_holds_by_itself() {
        let over = |messages: &[(i64, usize)]| {
            let queue = queue();
            let sized = pulled(&messages.iter().map(|(offset, _)| *offset).collect::<Vec<_>>());
            let sized =
                sized.into_iter().zip(messages).map(|((offset, _, it), (_, bytes))| (offset, *bytes, it));
            queue.put(sized, 0);
            queue.held().is_over(&THRESHOLDS)
        };
        assert!(!over(&[(0, 50), (10, 50)]));
        assert!(over(&[(0, 1), (1, 1), (2, 1)]));
        assert!(over(&[(0, 101)]));
        assert!(over(&[(0, 1), (11, 1)]));
    }

    #[tokio::test]
    async fn room_comes_when_messages_are_done_with_here_and_elsewhere() {
        let budget = Arc::new(Budget::new(Load { messages: 1, bytes: 100 }));
        let two = [0, 1].map(|id| {
            let queue = MessageQueue::new("T", "b", id);
            let queue = ProcessQueue::new(queue, CancellationToken::new(), vec![Arc::clone(&budget)]);
            queue.begin(5, AT_MASTER);
            queue
        });
        two[0].put(pulled(&[5]), 6);
        two[1].wait_for_room(&THRESHOLDS).await;
        two[1].put(pulled(&[5]), 6);
        let mut room = std::pin::pin!(two[1].wait_for_room(&THRESHOLDS));
        assert!(room.as_mut().now_or_never().is_none(), "two queues hold two messages, and one may wait");
        let (call, _) = take(&two[0]);
        assert!(two[0].end_call(&call, 1).is_empty());
        room.await;
        two[1].revoke();
        two[1].put(pulled(&[9]), 10);
        two[0].put(pulled(&[7]), 8);
        two[0].wait_for_room(&THRESHOLDS).await;
    }
}
