//! Offsets of groups (14, 15) and of queues (29 to 32).

use bytestring::ByteString;

use super::request;
use crate::header::{NoFields, header};

header! {
    /// A group's committed offset, please. Java: `QueryConsumerOffsetRequestHeader`.
    QueryConsumerOffsetRequest {
        /// The group.
        consumer_group: ByteString = "consumerGroup" optional,
        /// The topic.
        topic: ByteString = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// False: answer 22 in place of 0 where nothing is committed (5.x).
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

header! {
    /// An offset to commit. Java: `UpdateConsumerOffsetRequestHeader`.
    UpdateConsumerOffsetRequest {
        /// The group.
        consumer_group: ByteString = "consumerGroup",
        /// The topic.
        topic: ByteString = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The offset of the next message to consume.
        commit_offset: i64 = "commitOffset",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

/// A request that names a queue and nothing else.
macro_rules! queue_header {
    ($(#[$doc:meta])* $name:ident) => {
        header! {
            $(#[$doc])*
            $name {
                /// The topic.
                topic: ByteString = "topic",
                /// The queue.
                queue_id: i32 = "queueId",
                /// The broker's name.
                broker_name: Option<ByteString> = "bname",
            }
        }
    };
}

queue_header! {
    /// A queue's end offset, please. Java: `GetMaxOffsetRequestHeader`.
    MaxOffsetRequest
}

queue_header! {
    /// A queue's first offset, please. Java: `GetMinOffsetRequestHeader`.
    MinOffsetRequest
}

queue_header! {
    /// The time of a queue's first message, please. Java: `GetEarliestMsgStoretimeRequestHeader`.
    EarliestStoreTimeRequest
}

header! {
    /// The offset of a moment, please. Java: `SearchOffsetRequestHeader`.
    SearchOffsetRequest {
        /// The topic.
        topic: ByteString = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The moment, in milliseconds since 1970.
        timestamp: i64 = "timestamp",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

header! {
    /// An offset.
    OffsetResponse {
        /// The offset.
        offset: i64 = "offset",
    }
}

header! {
    /// A moment.
    TimestampResponse {
        /// Milliseconds since 1970.
        timestamp: i64 = "timestamp",
    }
}

request!(QueryConsumerOffsetRequest => QueryConsumerOffset, OffsetResponse);
request!(UpdateConsumerOffsetRequest => UpdateConsumerOffset, NoFields);
request!(MaxOffsetRequest => GetMaxOffset, OffsetResponse);
request!(MinOffsetRequest => GetMinOffset, OffsetResponse);
request!(SearchOffsetRequest => SearchOffsetByTimestamp, OffsetResponse);
request!(EarliestStoreTimeRequest => GetEarliestMsgStoreTime, TimestampResponse);
