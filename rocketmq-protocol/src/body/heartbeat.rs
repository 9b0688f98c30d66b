//! What a client tells every broker each 30 seconds.

use serde::{Deserialize, Serialize};

use super::subscription::SubscriptionData;

/// A client and what it produces and consumes. Java: `HeartbeatData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// The client's id.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its consumer groups.
    pub consumer_data_set: Vec<ConsumerData>,
    /// Its producer groups.
    pub producer_data_set: Vec<ProducerData>,
}

/// A producer group. Java: `ProducerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// The group's name.
    pub group_name: String,
}

/// A consumer group as one of its members sees it. Java: `ConsumerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Unit mode.
    pub unit_mode: bool,
}

/// Who asks for messages. Java: `ConsumeType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsumeType {
    /// The program pulls.
    ConsumeActively,
    /// Messages are pushed to a listener.
    #[default]
    ConsumePassively,
    /// POP (5.x).
    ConsumePop,
}

/// Whether the members of a group share the messages or each get them all. Java: `MessageModel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum MessageModel {
    /// Each member gets every message.
    #[doc(alias = "BROADCASTING")]
    Broadcasting,
    /// The members share the messages.
    #[default]
    #[doc(alias = "CLUSTERING")]
    Clustering,
}

/// Where a group without offsets starts, on the wire. Java: `ConsumeFromWhere`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConsumeFromWhere {
    /// At the end of each queue.
    #[default]
    #[serde(
        rename = "CONSUME_FROM_LAST_OFFSET",
        alias = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        alias = "CONSUME_FROM_MIN_OFFSET",
        alias = "CONSUME_FROM_MAX_OFFSET"
    )]
    LastOffset,
    /// At the start of each queue.
    #[serde(rename = "CONSUME_FROM_FIRST_OFFSET")]
    FirstOffset,
    /// At a moment.
    #[serde(rename = "CONSUME_FROM_TIMESTAMP")]
    Timestamp,
}
