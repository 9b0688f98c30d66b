//! Sharing a topic's queues among the members of a group: pure functions, so that all members come to one answer.

mod averagely;

use rocketmq_protocol::message::MessageQueue;

pub use averagely::AllocateMessageQueueAveragely;

/// Shares queues among consumers. Java: `AllocateMessageQueueStrategy`.
///
/// Every member of the group computes its own share, so the answer must depend on the arguments only. Both lists come
/// sorted and are never empty.
pub trait AllocateMessageQueueStrategy: Send + Sync {
    /// The strategy's name, for logs.
    #[doc(alias = "getName")]
    fn name(&self) -> &str;

    /// The share of `client_id`; empty if it is not among `client_ids`.
    fn allocate(
        &self,
        consumer_group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        client_ids: &[String],
    ) -> Vec<MessageQueue>;
}

/// A closure as a strategy.
pub(crate) struct FnStrategy<F> {
    pub(crate) name: String,
    pub(crate) allocate: F,
}

impl<F> AllocateMessageQueueStrategy for FnStrategy<F>
where
    F: Fn(&str, &str, &[MessageQueue], &[String]) -> Vec<MessageQueue> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(
        &self,
        consumer_group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        client_ids: &[String],
    ) -> Vec<MessageQueue> {
        (self.allocate)(consumer_group, client_id, queues, client_ids)
    }
}
