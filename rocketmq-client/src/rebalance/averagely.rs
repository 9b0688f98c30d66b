//! Neighbouring queues for each, as evenly as possible.

use rocketmq_protocol::message::MessageQueue;

use super::AllocateMessageQueueStrategy;

/// Gives each consumer a run of neighbouring queues; the first ones get one more if it does not come out even.
/// Java: `AllocateMessageQueueAveragely`, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocateMessageQueueAveragely;

impl AllocateMessageQueueStrategy for AllocateMessageQueueAveragely {
    fn name(&self) -> &str {
        "AVG"
    }

    fn allocate(
        &self,
        _consumer_group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        client_ids: &[String],
    ) -> Vec<MessageQueue> {
        let Some(index) = client_ids.iter().position(|id| id == client_id) else { return Vec::new() };
        let (share, rest) = (queues.len() / client_ids.len(), queues.len() % client_ids.len());
        let start = index * share + index.min(rest);
        let count = share + usize::from(index < rest);
        queues[start..start + count].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(queues: i32, consumers: usize) -> Vec<Vec<i32>> {
        let queues: Vec<_> = (0..queues).map(|id| MessageQueue::new("T", "b", id)).collect();
        let ids: Vec<_> = (0..consumers).map(|id| format!("c{id}")).collect();
        let share = |id: &String| AllocateMessageQueueAveragely.allocate("g", id, &queues, &ids);
        ids.iter().map(|id| share(id).iter().map(MessageQueue::queue_id).collect()).collect()
    }

    #[test]
    fn shares_are_javas() {
        assert_eq!(shares(8, 3), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
        assert_eq!(shares(3, 5), [vec![0], vec![1], vec![2], vec![], vec![]]);
    }

    #[test]
    fn a_stranger_gets_nothing() {
        let queues = [MessageQueue::new("T", "b", 0)];
        assert!(AllocateMessageQueueAveragely.allocate("g", "x", &queues, &["c".into()]).is_empty());
    }
}
