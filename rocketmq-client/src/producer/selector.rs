//! Choosing the queue of a message.

use rocketmq_protocol::message::{Message, MessageQueue, string_hash};

/// Chooses the queue of a message. Java: `MessageQueueSelector`; what Java passes as the argument, a selector holds.
pub trait MessageQueueSelector: Send + Sync {
    /// The index of the chosen queue in `queues`, which is never empty. An index beyond its end fails the send.
    fn select(&self, queues: &[MessageQueue], message: &Message) -> usize;
}

/// Chooses by the hash code of a key: messages with one key stay in one queue as long as the number of queues stays.
/// Java: `SelectMessageQueueByHash` with a `String` argument.
#[derive(Clone, Debug)]
pub struct SelectMessageQueueByHash {
    hash: i32,
}

impl SelectMessageQueueByHash {
    /// Chooses as Java does for the argument `key`.
    #[must_use]
    pub fn new(key: impl AsRef<str>) -> Self {
        Self { hash: string_hash(key.as_ref()) }
    }
}

impl MessageQueueSelector for SelectMessageQueueByHash {
    fn select(&self, queues: &[MessageQueue], _: &Message) -> usize {
        let count = i32::try_from(queues.len()).unwrap_or(i32::MAX);
        let value = (self.hash % count).unsigned_abs();
        usize::try_from(value).unwrap_or_default()
    }
}

/// Chooses at random. Java: `SelectMessageQueueByRandom`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SelectMessageQueueByRandom;

impl MessageQueueSelector for SelectMessageQueueByRandom {
    fn select(&self, queues: &[MessageQueue], _: &Message) -> usize {
        rand::random_range(0..queues.len())
    }
}

/// A closure as a selector.
pub(super) struct FnSelector<F>(pub(super) F);

impl<F: Fn(&[MessageQueue], &Message) -> usize + Send + Sync> MessageQueueSelector for FnSelector<F> {
    fn select(&self, queues: &[MessageQueue], message: &Message) -> usize {
        (self.0)(queues, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_queue_even_with_a_negative_hash() {
        let queues: Vec<_> = (0..3).map(|id| MessageQueue::new("T", "b", id)).collect();
        let message = Message::new("T", "b");
        for key in ["a", "中文", "polygenelubricants"] {
            let chosen = SelectMessageQueueByHash::new(key).select(&queues, &message);
            let expected = usize::try_from((string_hash(key) % 3).abs()).unwrap();
            assert_eq!(chosen, expected, "{key}");
        }
    }
}
