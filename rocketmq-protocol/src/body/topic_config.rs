//! A topic's settings on one broker, and the version of all of them.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::wire_enum::Choice;

/// A topic's settings. Java: `TopicConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Whether its queues keep their places (order topics).
    pub order: bool,
    /// See [`perm`](super::route::perm).
    pub perm: i32,
    /// How many queues can be consumed.
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG`.
    #[serde(deserialize_with = "filter_type")]
    pub topic_filter_type: String,
    /// The topic.
    pub topic_name: String,
    /// The topic's own flags.
    pub topic_sys_flag: i32,
    /// How many queues can be sent to.
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::new("", 16)
    }
}

impl TopicConfig {
    /// A readable and writable topic.
    #[must_use]
    pub fn new(topic_name: impl Into<String>, queue_nums: i32) -> Self {
        Self {
            order: false,
            perm: super::route::perm::READ | super::route::perm::WRITE,
            read_queue_nums: queue_nums,
            topic_filter_type: "SINGLE_TAG".to_owned(),
            topic_name: topic_name.into(),
            topic_sys_flag: 0,
            write_queue_nums: queue_nums,
        }
    }
}

/// By name or by ordinal, as in Java.
fn filter_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Choice::read(deserializer)? {
        Choice::Name(name) if !name.is_empty() => Ok(name),
        Choice::Ordinal(1) => Ok("MULTI_TAG".to_owned()),
        Choice::Ordinal(number) if number != 0 => Err(D::Error::custom("no such filter type")),
        _ => Ok("SINGLE_TAG".to_owned()),
    }
}

/// Tells an older state of settings from a newer one. Java: `DataVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// How many changes there were.
    pub counter: i64,
    /// When the last one was, in milliseconds since 1970.
    pub timestamp: i64,
}

impl DataVersion {
    /// The version after a change at that moment.
    #[must_use]
    pub fn next(self, now_ms: i64) -> Self {
        Self { counter: self.counter + 1, timestamp: now_ms }
    }
}

/// All topics of a broker. Java: `TopicConfigSerializeWrapper`; also the content of `topics.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigTable {
    /// The version of the table.
    pub data_version: DataVersion,
    /// The topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}
