//! Pulling: code 11.

use bytestring::ByteString;

use super::request;
use crate::header::header;

/// The bits of a pull's `sysFlag`. Java: `PullSysFlag`.
pub mod pull_sys_flag {
    /// `commitOffset` is to be committed.
    pub const COMMIT_OFFSET: i32 = 0x1;
    /// The broker may hold the request until there is something to answer.
    pub const SUSPEND: i32 = 0x2;
    /// The request holds the subscription's expression.
    pub const SUBSCRIPTION: i32 = 0x4;
    /// The expression is a class.
    pub const CLASS_FILTER: i32 = 0x8;
}

header! {
    /// A pull from one queue. Java: `PullMessageRequestHeader`.
    PullMessageRequest {
        /// The consumer's group.
        consumer_group: ByteString = "consumerGroup",
        /// The topic.
        topic: ByteString = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The first offset wanted.
        queue_offset: i64 = "queueOffset",
        /// How many messages at the most.
        max_msg_nums: i32 = "maxMsgNums",
        /// See [`pull_sys_flag`].
        sys_flag: i32 = "sysFlag",
        /// The group's offset, to be committed if the flag says so.
        commit_offset: i64 = "commitOffset" or_negative,
        /// How long the broker may hold the request, in milliseconds.
        suspend_timeout_millis: i64 = "suspendTimeoutMillis" optional,
        /// The expression, if the flag says so.
        subscription: Option<ByteString> = "subscription",
        /// The version of the subscription.
        sub_version: i64 = "subVersion" optional,
        /// `TAG` or `SQL92`.
        expression_type: Option<ByteString> = "expressionType",
        /// How many bytes at the most (5.x).
        max_msg_bytes: Option<i32> = "maxMsgBytes" tolerant,
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

header! {
    /// The bounds of the queue and where to go on; the body holds the records. Java: `PullMessageResponseHeader`.
    PullMessageResponse {
        /// The broker of the group to pull from next.
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        /// The first offset of the next pull.
        next_begin_offset: i64 = "nextBeginOffset",
        /// The queue's first offset.
        min_offset: i64 = "minOffset",
        /// The queue's end offset.
        max_offset: i64 = "maxOffset",
    }
}

request!(PullMessageRequest => PullMessage, PullMessageResponse);
