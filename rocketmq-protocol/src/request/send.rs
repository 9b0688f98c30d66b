//! Sending: codes 310 (short names), 320 (batch, short names) and 10 (long names).

use bytestring::ByteString;

use super::Request;
use crate::code::RequestCode;
use crate::header::header;
use crate::message::Properties;
use crate::message::wire::WireProperties;

header! {
    /// A message to store, or a batch. Java: `SendMessageRequestHeaderV2`.
    SendMessageRequest {
        /// The producer's group.
        producer_group: ByteString = "a" optional,
        /// The topic.
        topic: ByteString = "b" optional,
        /// The topic whose settings an unknown topic inherits.
        default_topic: ByteString = "c" optional,
        /// How many queues an unknown topic gets.
        default_topic_queue_nums: i32 = "d" or_negative,
        /// The queue; below 0 the broker picks one.
        queue_id: i32 = "e",
        /// RocketMQ's own flags.
        sys_flag: i32 = "f",
        /// When the message was made, in milliseconds since 1970.
        born_timestamp: i64 = "g",
        /// The program's own number.
        flag: i32 = "h",
        /// The encoded properties.
        properties: Option<ByteString> = "i",
        /// How often the message was given back (retry topics only).
        reconsume_times: Option<i32> = "j",
        /// Unit mode.
        unit_mode: Option<bool> = "k",
        /// How often it may be given back (retry topics only).
        max_reconsume_times: Option<i32> = "l",
        /// The body is a batch.
        batch: Option<bool> = "m",
        /// The broker's name.
        broker_name: Option<ByteString> = "n",
    }
}

impl Request for SendMessageRequest {
    type Response = SendMessageResponse;

    fn code(&self) -> RequestCode {
        if self.batch == Some(true) { RequestCode::SendBatchMessage } else { RequestCode::SendMessageV2 }
    }
}

header! {
    /// The same with long names. Java: `SendMessageRequestHeader`.
    SendMessageRequestV1 {
        /// The producer's group.
        producer_group: ByteString = "producerGroup" optional,
        /// The topic.
        topic: ByteString = "topic" optional,
        /// The topic whose settings an unknown topic inherits.
        default_topic: ByteString = "defaultTopic" optional,
        /// How many queues an unknown topic gets.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums" or_negative,
        /// The queue; below 0 the broker picks one.
        queue_id: i32 = "queueId",
        /// RocketMQ's own flags.
        sys_flag: i32 = "sysFlag",
        /// When the message was made, in milliseconds since 1970.
        born_timestamp: i64 = "bornTimestamp",
        /// The program's own number.
        flag: i32 = "flag",
        /// The encoded properties.
        properties: Option<ByteString> = "properties",
        /// How often the message was given back (retry topics only).
        reconsume_times: Option<i32> = "reconsumeTimes" tolerant,
        /// Unit mode.
        unit_mode: Option<bool> = "unitMode",
        /// How often it may be given back (retry topics only).
        max_reconsume_times: Option<i32> = "maxReconsumeTimes" tolerant,
        /// The body is a batch.
        batch: Option<bool> = "batch",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

impl From<SendMessageRequestV1> for SendMessageRequest {
    fn from(v1: SendMessageRequestV1) -> Self {
        Self {
            producer_group: v1.producer_group,
            topic: v1.topic,
            default_topic: v1.default_topic,
            default_topic_queue_nums: v1.default_topic_queue_nums,
            queue_id: v1.queue_id,
            sys_flag: v1.sys_flag,
            born_timestamp: v1.born_timestamp,
            flag: v1.flag,
            properties: v1.properties,
            reconsume_times: v1.reconsume_times,
            unit_mode: v1.unit_mode,
            max_reconsume_times: v1.max_reconsume_times,
            batch: v1.batch,
            broker_name: v1.broker_name,
        }
    }
}

impl SendMessageRequest {
    /// The message's properties.
    #[must_use]
    pub fn message_properties(&self) -> Properties {
        self.properties.clone().map_or_else(Properties::new, Properties::from_wire)
    }
}

header! {
    /// Where the message was stored. Java: `SendMessageResponseHeader`.
    SendMessageResponse {
        /// The offset message id; those of a batch are joined by commas.
        msg_id: ByteString = "msgId",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The place in the queue; the first one's of a batch.
        queue_offset: i64 = "queueOffset",
        /// The transaction's id.
        transaction_id: Option<ByteString> = "transactionId",
        /// The broker's region.
        region_id: Option<ByteString> = "MSG_REGION",
        /// Whether the message is to be traced.
        trace_on: Option<ByteString> = "TRACE_ON",
        /// Takes a timer message back (5.x).
        recall_handle: Option<ByteString> = "recallHandle",
    }
}
