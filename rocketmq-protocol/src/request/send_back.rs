//! Giving a message back: code 36.

use bytestring::ByteString;

use super::request;
use crate::header::{NoFields, header};

header! {
    /// A message that a consumer could not use. Java: `ConsumerSendMsgBackRequestHeader`.
    SendBackRequest {
        /// The message's physical offset.
        offset: i64 = "offset",
        /// The consumer's group.
        group: ByteString = "group",
        /// 0: the broker decides; below 0: to the dead letters; else that level.
        delay_level: i32 = "delayLevel",
        /// The message's id.
        origin_msg_id: Option<ByteString> = "originMsgId",
        /// The topic it was consumed from.
        origin_topic: Option<ByteString> = "originTopic",
        /// Unit mode.
        unit_mode: Option<bool> = "unitMode",
        /// How often it may be given back.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// The broker's name.
        broker_name: Option<ByteString> = "bname",
    }
}

request!(SendBackRequest => ConsumerSendMsgBack, NoFields);
