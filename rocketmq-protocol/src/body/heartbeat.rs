//! What a client tells every broker each 30 seconds.

use serde::{Deserialize, Serialize};

use super::set::each_once;
use super::subscription::SubscriptionData;
use super::wire_enum::wire_enum;

/// A client and what it produces and consumes. Java: `HeartbeatData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// The client's id.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its consumer groups.
    #[serde(deserialize_with = "each_once")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// Its producer groups.
    #[serde(deserialize_with = "each_once")]
    pub producer_data_set: Vec<ProducerData>,
}

/// A producer group. Java: `ProducerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// The group's name.
    pub group_name: String,
}

/// A consumer group as one of its members sees it. Java: `ConsumerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where a group without offsets starts.
    pub consume_from_where: ConsumeFromWhere,
    /// `CONSUME_ACTIVELY`, `CONSUME_PASSIVELY` or `CONSUME_POP`.
    pub consume_type: ConsumeType,
    /// The group's name.
    pub group_name: String,
    /// Whether members share the messages or get them all.
    pub message_model: MessageModel,
    /// What the group wants.
    #[serde(deserialize_with = "each_once")]
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Unit mode.
    pub unit_mode: bool,
}

wire_enum! {
    /// Who asks for messages. Java: `ConsumeType`.
    ConsumeType {
        /// The program pulls.
        ConsumeActively = "CONSUME_ACTIVELY",
        /// Messages are pushed to a listener.
        #[default]
        ConsumePassively = "CONSUME_PASSIVELY",
        /// POP (5.x).
        ConsumePop = "CONSUME_POP",
    }
    ordinals: [ConsumeActively, ConsumePassively, ConsumePop]
}

wire_enum! {
    /// Whether the members of a group share the messages or each get them all. Java: `MessageModel`.
    #[non_exhaustive]
    MessageModel {
        /// Each member gets every message.
        #[doc(alias = "BROADCASTING")]
        Broadcasting = "BROADCASTING",
        /// The members share the messages.
        #[default]
        #[doc(alias = "CLUSTERING")]
        Clustering = "CLUSTERING",
    }
    ordinals: [Broadcasting, Clustering]
}

wire_enum! {
    /// Where a group without offsets starts, on the wire. Java: `ConsumeFromWhere`, whose three deprecated values mean
    /// the first one here.
    ConsumeFromWhere {
        /// At the end of each queue.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// At the start of each queue.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a moment.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
    ordinals: [LastOffset, LastOffset, LastOffset, LastOffset, FirstOffset, Timestamp]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json;

    fn consumer(member: &str) -> Result<ConsumerData, serde_json::Error> {
        json::from_slice(format!("{{{member}}}").as_bytes())
    }

    #[test]
    fn enums_are_read_by_name_in_any_case_by_ordinal_and_as_their_default_if_unknown() {
        for text in ["\"BROADCASTING\"", "\"broadcasting\"", "0"] {
            let data = consumer(&format!("\"messageModel\":{text}")).unwrap();
            assert_eq!(data.message_model, MessageModel::Broadcasting, "{text}");
        }
        for text in ["\"NEW\"", "null", "\"\"", "\"0\""] {
            let data = consumer(&format!("\"messageModel\":{text}")).unwrap();
            assert_eq!(data.message_model, MessageModel::Clustering, "{text}");
        }
        for text in ["2", "-1", "1.0", "true", "{}"] {
            assert!(consumer(&format!("\"messageModel\":{text}")).is_err(), "{text}");
        }
        let data = consumer("\"consumeFromWhere\":4").unwrap();
        assert_eq!(data.consume_from_where, ConsumeFromWhere::FirstOffset);
    }
}
