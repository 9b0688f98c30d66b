//! One queue of a topic on one broker.

use std::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::wire::WireMessageQueue;

/// A queue of a topic. Java: `MessageQueue`. Ordered by topic, broker name, queue id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    #[serde(with = "crate::body::text")]
    topic: ByteString,
    #[serde(with = "crate::body::text")]
    broker_name: ByteString,
    queue_id: i32,
}

impl MessageQueue {
    /// A queue by its three coordinates.
    #[must_use]
    pub fn new(topic: impl Into<String>, broker_name: impl Into<String>, queue_id: i32) -> Self {
        Self::shared(topic.into().into(), broker_name.into().into(), queue_id)
    }

    /// The topic's name.
    #[must_use]
    #[doc(alias = "getTopic")]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The broker's name.
    #[must_use]
    #[doc(alias = "getBrokerName")]
    pub fn broker_name(&self) -> &str {
        &self.broker_name
    }

    /// The queue's number on that broker, from 0.
    #[must_use]
    #[doc(alias = "getQueueId")]
    pub fn queue_id(&self) -> i32 {
        self.queue_id
    }
}

impl WireMessageQueue for MessageQueue {
    fn shared(topic: ByteString, broker_name: ByteString, queue_id: i32) -> Self {
        Self { topic, broker_name, queue_id }
    }

    fn topic_shared(&self) -> &ByteString {
        &self.topic
    }

    fn broker_name_shared(&self) -> &ByteString {
        &self.broker_name
    }
}

impl Default for MessageQueue {
    fn default() -> Self {
        Self::new("", "", 0)
    }
}

/// As Java's `toString`.
impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MessageQueue [topic={}, brokerName={}, queueId={}]",
            self.topic, self.broker_name, self.queue_id
        )
    }
}
