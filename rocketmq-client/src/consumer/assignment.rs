//! A consumer's share of a topic, decided: a pure function of who is in the group, what queues there are, and what is
//! held.

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_protocol::message::MessageQueue;
use tokio::time::Instant;

use crate::instance::{Panic, guarded};
use crate::rebalance::AllocateMessageQueueStrategy;

/// How long a member that takes a queue from another waits before it asks where to begin. The other one learns of the
/// change at the same time: this is its time to end its calls and to commit, so it is longer than [`CALLS_END_WITHIN`] by
/// what three requests take on a busy broker. Java's consumers wait 500 ms here, after they have asked.
pub(crate) const SETTLE: Duration = Duration::from_millis(250);
/// How long a member that gives a queue up waits for its calls to end before it commits.
pub(crate) const CALLS_END_WITHIN: Duration = Duration::from_millis(120);

/// What a decision rests on.
pub(crate) struct Situation<'a> {
    pub(crate) group: &'a str,
    pub(crate) client_id: &'a str,
    /// The topic's queues.
    pub(crate) queues: Vec<MessageQueue>,
    /// The client ids in the group.
    pub(crate) members: Vec<String>,
    /// The queues of the topic that this member has.
    pub(crate) held: BTreeSet<MessageQueue>,
    pub(crate) now: Instant,
}

/// What to do about it: first revoke, then assign.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revoke: Vec<MessageQueue>,
    pub(crate) assign: Vec<Assignment>,
}

/// A queue that is this member's from now on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) queue: MessageQueue,
    /// When to ask where to begin: another member may have had the queue until now.
    pub(crate) ask_at: Instant,
}

/// The change that gives this member its share.
///
/// # Errors
/// The program's strategy panicked: nothing changes.
pub(crate) fn decide(
    strategy: &dyn AllocateMessageQueueStrategy,
    situation: Situation<'_>,
) -> Result<Change, Panic> {
    let Situation { group, client_id, mut queues, mut members, held, now } = situation;
    members.sort_unstable();
    members.dedup();
    queues.sort_unstable();
    let share = match queues.is_empty() || members.is_empty() {
        true => Vec::new(),
        false => guarded("the strategy", || strategy.allocate(group, client_id, &queues, &members))?,
    };
    // A queue that is not there could not be consumed, whatever a strategy says.
    let share = share.into_iter().filter(|queue| queues.binary_search(queue).is_ok()).collect();
    let ask_at = if members.len() > 1 { now + SETTLE } else { now };
    Ok(change(&held, share, ask_at))
}

/// The change that leaves exactly `share`.
pub(crate) fn change(
    held: &BTreeSet<MessageQueue>,
    share: BTreeSet<MessageQueue>,
    ask_at: Instant,
) -> Change {
    Change {
        revoke: held.difference(&share).cloned().collect(),
        assign: share.difference(held).map(|queue| Assignment { queue: queue.clone(), ask_at }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rebalance::AllocateMessageQueueAveragely;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue::new("T", "b", id)
    }

    fn decide_for(members: &[&str], held: &[i32], now: Instant) -> Change {
        let situation = Situation {
            group: "g",
            client_id: "me",
            queues: (0..4).rev().map(queue).collect(),
            members: members.iter().map(|&member| member.to_owned()).collect(),
            held: held.iter().copied().map(queue).collect(),
            now,
        };
        decide(&AllocateMessageQueueAveragely, situation).unwrap()
    }

    #[tokio::test]
    async fn what_is_held_already_stays_and_the_rest_changes() {
        let now = Instant::now();
        let change = decide_for(&["me", "other"], &[1, 2, 3], now);
        assert_eq!(change.revoke, [queue(2), queue(3)]);
        assert_eq!(change.assign, [Assignment { queue: queue(0), ask_at: now + SETTLE }]);
        assert_eq!(decide_for(&["me", "other"], &[0, 1], now), Change::default());
    }

    #[tokio::test]
    async fn a_member_alone_begins_at_once() {
        let now = Instant::now();
        let change = decide_for(&["me", "me"], &[], now);
        assert_eq!(change.assign.len(), 4);
        assert!(
            change.assign.iter().all(|assignment| assignment.ask_at == now),
            "there is nobody to wait for"
        );
    }

    #[tokio::test]
    async fn a_strategy_that_panics_or_dreams_changes_nothing() {
        struct Wild(bool);
        impl AllocateMessageQueueStrategy for Wild {
            fn name(&self) -> &str {
                "WILD"
            }
            fn allocate(&self, _: &str, _: &str, _: &[MessageQueue], _: &[String]) -> Vec<MessageQueue> {
                assert!(!self.0, "on purpose");
                vec![queue(0), MessageQueue::new("T", "elsewhere", 0), queue(9)]
            }
        }
        let situation = || Situation {
            group: "g",
            client_id: "me",
            queues: vec![queue(0)],
            members: vec!["me".to_owned()],
            held: BTreeSet::from([queue(0)]),
            now: Instant::now(),
        };
        assert!(decide(&Wild(true), situation()).unwrap_err().to_string().contains("on purpose"));
        assert_eq!(decide(&Wild(false), situation()).unwrap(), Change::default());
    }
}
