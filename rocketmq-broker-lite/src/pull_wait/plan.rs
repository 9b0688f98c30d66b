//! One pull: from where, how much, and what its outcome is called.

use std::sync::Arc;

use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::code::ResponseCode;

use crate::store::{MessageStore, PullFrom, PullStatus, Pulled};
use crate::tables::subscription_group::SubscriptionGroup;
use crate::tables::topic::Topic;

/// A pull that passed every check. It holds nothing of the frame that brought it.
pub(crate) struct PullPlan {
    /// Who pulls.
    pub(crate) group: Arc<SubscriptionGroup>,
    /// From which topic.
    pub(crate) topic: Arc<Topic>,
    /// From which queue.
    pub(crate) queue_id: i32,
    /// From which offset on.
    pub(crate) offset: i64,
    /// How many messages at the most.
    pub(crate) max_messages: usize,
    /// How many bytes at the most.
    pub(crate) max_bytes: usize,
    /// The request itself said what it wants; else the group's heartbeats do.
    pub(crate) says_what_it_wants: bool,
}

impl PullPlan {
    /// Pulls; may wait for the disk.
    pub(crate) fn pull(&self, store: &MessageStore, wants: &SubscriptionData) -> Pulled {
        let matches = |tags_code| wants.matches_code(tags_code);
        let (topic, max_messages, max_bytes) = (&self.topic.name, self.max_messages, self.max_bytes);
        store.pull(topic, self.queue_id, self.offset, max_messages, max_bytes, &matches)
    }

    /// [`pull`](Self::pull), but brings nothing where the disk would have to be waited for.
    pub(crate) fn pull_now(&self, store: &MessageStore, wants: &SubscriptionData) -> Option<Pulled> {
        let from = PullFrom {
            topic: &self.topic.name,
            queue_id: self.queue_id,
            offset: self.offset,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
        };
        store.pull_now(from, &|tags_code| wants.matches_code(tags_code))
    }

    /// The code that answers an outcome.
    pub(crate) fn code(&self, pulled: &Pulled) -> ResponseCode {
        match pulled.status {
            PullStatus::Found => ResponseCode::Success,
            PullStatus::NoMatchedMessage | PullStatus::MessageWasRemoving => {
                ResponseCode::PullRetryImmediately
            }
            PullStatus::OffsetFoundNull | PullStatus::OffsetOverflowOne => ResponseCode::PullNotFound,
            PullStatus::NoMatchedLogicQueue | PullStatus::NoMessageInQueue if self.offset == 0 => {
                ResponseCode::PullNotFound
            }
            PullStatus::NoMatchedLogicQueue
            | PullStatus::NoMessageInQueue
            | PullStatus::OffsetOverflowBadly
            | PullStatus::OffsetTooSmall => ResponseCode::PullOffsetMoved,
        }
    }

    /// The memory that its own subscription takes while it is held, in bytes.
    pub(crate) fn subscription_bytes(&self, wants: &SubscriptionData) -> usize {
        if !self.says_what_it_wants {
            return 0;
        }
        let tags: usize = wants.tags_set.iter().map(|tag| size_of::<String>() + tag.len()).sum();
        let codes = size_of::<i32>() * wants.code_set.len();
        size_of::<SubscriptionData>() + wants.sub_string.len() + tags + codes
    }
}
