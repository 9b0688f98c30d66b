//! Pulls that found nothing and wait for a message.
//!
//! A held pull is answered by a message that its subscription wants, by the periodic check once there is anything new
//! in its queue, or when its time is up.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::subscription::SubscriptionData;

/// How many pulls are held at the most: each takes some 300 bytes. Java queues as many.
const MAX_HELD: usize = 100_000;

/// One held pull. `T` is what answers it.
#[derive(Debug)]
pub(crate) struct HeldPull<T> {
    /// The offset that it waits for.
    pub(crate) from_offset: i64,
    /// When its time is up, in milliseconds since 1970.
    pub(crate) deadline_ms: i64,
    /// What it wants.
    pub(crate) subscription: Arc<SubscriptionData>,
    /// What answers it.
    pub(crate) ticket: T,
}

/// All held pulls of a broker, by topic and queue.
pub(crate) struct HeldPulls<T> {
    topics: DashMap<ByteString, HashMap<i32, Vec<HeldPull<T>>>>,
    count: AtomicUsize,
    limit: usize,
    /// No held pull's time is up before this moment.
    next_deadline_ms: AtomicI64,
}

impl<T> Default for HeldPulls<T> {
    fn default() -> Self {
        Self::with_limit(MAX_HELD)
    }
}

impl<T> HeldPulls<T> {
    fn with_limit(limit: usize) -> Self {
        Self {
            topics: DashMap::new(),
            count: AtomicUsize::new(0),
            limit,
            next_deadline_ms: AtomicI64::new(i64::MAX),
        }
    }

    /// Holds a pull. The caller must look once more whether its queue has grown meanwhile: see [`take_ready`](Self::take_ready).
    ///
    /// # Errors
    /// The pull itself, if too many are held.
    pub(crate) fn hold(
        &self,
        topic: &ByteString,
        queue_id: i32,
        pull: HeldPull<T>,
    ) -> Result<(), HeldPull<T>> {
        if self.count.fetch_add(1, Ordering::SeqCst) >= self.limit {
            self.count.fetch_sub(1, Ordering::SeqCst);
            return Err(pull);
        }
        let deadline_ms = pull.deadline_ms;
        let mut queues = match self.topics.get_mut(&**topic) {
            Some(queues) => queues,
            None => self.topics.entry(topic.clone()).or_default(),
        };
        queues.entry(queue_id).or_default().push(pull);
        drop(queues);
        // Last: take_expired() forgets the deadline first and looks at the pulls then.
        self.next_deadline_ms.fetch_min(deadline_ms, Ordering::SeqCst);
        Ok(())
    }

    /// A message can be read: returns the pulls that wait for it. `next_offset` is the offset behind the message.
    pub(crate) fn arrived(
        &self,
        topic: &str,
        queue_id: i32,
        next_offset: i64,
        tags_code: i64,
    ) -> Vec<HeldPull<T>> {
        self.take(topic, queue_id, |pull| {
            pull.from_offset < next_offset && pull.subscription.matches_code(tags_code)
        })
    }

    /// The pulls of a queue that has grown beyond what they wait for, whether or not they want what is there.
    pub(crate) fn take_ready(&self, topic: &str, queue_id: i32, max_offset: i64) -> Vec<HeldPull<T>> {
        self.take(topic, queue_id, |pull| pull.from_offset < max_offset)
    }

    /// The pulls whose time is up.
    pub(crate) fn take_expired(&self, now_ms: i64) -> Vec<HeldPull<T>> {
        if now_ms < self.next_deadline_ms.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.next_deadline_ms.store(i64::MAX, Ordering::SeqCst);
        let expired = self.take_where(|pull| pull.deadline_ms <= now_ms);
        let next = self
            .topics
            .iter()
            .filter_map(|queues| queues.value().values().flatten().map(|pull| pull.deadline_ms).min());
        self.next_deadline_ms.fetch_min(next.min().unwrap_or(i64::MAX), Ordering::SeqCst);
        expired
    }

    /// The pulls for which `wanted` is true.
    pub(crate) fn take_where(&self, wanted: impl Fn(&HeldPull<T>) -> bool) -> Vec<HeldPull<T>> {
        let mut taken = Vec::new();
        self.topics.retain(|_, queues| {
            queues.retain(|_, pulls| {
                taken.extend(pulls.extract_if(.., |pull| wanted(pull)));
                !pulls.is_empty()
            });
            !queues.is_empty()
        });
        self.count.fetch_sub(taken.len(), Ordering::SeqCst);
        taken
    }

    /// The queues in which pulls are held.
    pub(crate) fn queues(&self) -> Vec<(ByteString, i32)> {
        let of_topic = |topic: &ByteString, queues: &HashMap<i32, Vec<HeldPull<T>>>| {
            queues.keys().map(|queue_id| (topic.clone(), *queue_id)).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(|queues| of_topic(queues.key(), queues.value())).collect()
    }

    /// How many pulls are held.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The pulls of a queue for which `wanted` is true. Called for each message that is stored: finds out fast that nobody
    /// waits. Empty lists stay, for the next pull of that queue.
    pub(crate) fn take(
        &self,
        topic: &str,
        queue_id: i32,
        wanted: impl Fn(&HeldPull<T>) -> bool,
    ) -> Vec<HeldPull<T>> {
        if self.count() == 0 {
            return Vec::new();
        }
        let Some(mut queues) = self.topics.get_mut(topic) else { return Vec::new() };
        let Some(pulls) = queues.get_mut(&queue_id) else { return Vec::new() };
        let taken: Vec<_> = pulls.extract_if(.., |pull| wanted(pull)).collect();
        self.count.fetch_sub(taken.len(), Ordering::SeqCst);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocketmq_protocol::message::string_hash;

    fn pull(from_offset: i64, deadline_ms: i64, tags: &str) -> HeldPull<i64> {
        let subscription = Arc::new(SubscriptionData::by_tag("T", tags, 0));
        HeldPull { from_offset, deadline_ms, subscription, ticket: from_offset }
    }

    fn tickets(mut pulls: Vec<HeldPull<i64>>) -> Vec<i64> {
        pulls.sort_by_key(|pull| pull.ticket);
        pulls.into_iter().map(|pull| pull.ticket).collect()
    }

    #[test]
    fn a_message_wakes_those_who_wait_for_its_offset_and_tag_in_its_queue() {
        let held = HeldPulls::default();
        let topic = ByteString::from_static("T");
        for (queue_id, offset, tags) in [(0, 5, "*"), (0, 4, "A || B"), (0, 3, "C"), (0, 6, "*"), (1, 1, "*")]
        {
            held.hold(&topic, queue_id, pull(offset, 100, tags)).unwrap();
        }
        assert!(held.arrived("U", 0, 6, 0).is_empty());
        assert_eq!(tickets(held.arrived("T", 0, 6, i64::from(string_hash("A")))), [4, 5]);
        assert!(held.arrived("T", 0, 6, i64::from(string_hash("A"))).is_empty(), "each is woken once");
        assert_eq!(held.count(), 3);
        assert_eq!(tickets(held.take_ready("T", 0, 6)), [3], "the check knows no tags");
        assert_eq!(tickets(held.take_where(|_| true)), [1, 6]);
        assert_eq!(held.count(), 0);
    }

    #[test]
    fn time_runs_out_for_each_by_itself() {
        let held = HeldPulls::default();
        let topic = ByteString::from_static("T");
        for deadline in [30, 10, 20] {
            held.hold(&topic, 0, pull(deadline, deadline, "*")).unwrap();
        }
        assert!(held.take_expired(9).is_empty());
        assert_eq!(tickets(held.take_expired(20)), [10, 20]);
        assert!(held.take_expired(29).is_empty());
        assert_eq!(tickets(held.take_expired(30)), [30]);
        assert!(held.queues().is_empty(), "nothing is left behind");
    }

    #[test]
    fn beyond_the_limit_a_pull_comes_back() {
        let held = HeldPulls::with_limit(1);
        let topic = ByteString::from_static("T");
        held.hold(&topic, 0, pull(1, 1, "*")).unwrap();
        assert_eq!(held.hold(&topic, 0, pull(2, 1, "*")).unwrap_err().ticket, 2);
        assert_eq!(held.count(), 1);
    }
}
