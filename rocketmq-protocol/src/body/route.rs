//! Where a topic's queues are.

use std::collections::BTreeMap;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// The permission bits of a topic's queues.
pub mod perm {
    /// Topics created from this one inherit its settings.
    pub const INHERIT: i32 = 1;
    /// Messages may be sent.
    pub const WRITE: i32 = 1 << 1;
    /// Messages may be consumed.
    pub const READ: i32 = 1 << 2;
}

/// The number of a group's master among its brokers.
pub const MASTER_ID: i64 = 0;

/// The route of one topic. Java: `TopicRouteData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// The brokers that hold the topic.
    pub broker_datas: Vec<BrokerData>,
    /// Addresses of filter servers by broker; always empty since 4.x.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// The queues in a fixed order, `broker:count` joined by `;`, for topics configured so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// The queues on each broker.
    pub queue_datas: Vec<QueueData>,
}

impl TopicRouteData {
    /// The route with its lists sorted, so that two routes with the same content are equal.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.broker_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        self.queue_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        self
    }
}

/// A master and its slaves. Java: `BrokerData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Addresses by broker id; 0 is the master.
    pub broker_addrs: BTreeMap<i64, String>,
    /// The group's name.
    #[serde(with = "super::text")]
    pub broker_name: ByteString,
    /// The cluster's name.
    pub cluster: String,
}

/// A topic's queues on one broker group. Java: `QueueData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// The group's name.
    #[serde(with = "super::text")]
    pub broker_name: ByteString,
    /// See [`perm`].
    pub perm: i32,
    /// How many queues can be consumed.
    pub read_queue_nums: i32,
    /// The topic's own flags; spelt `topicSynFlag` before 4.9.4.
    #[serde(alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
    /// How many queues can be sent to.
    pub write_queue_nums: i32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json;

    #[test]
    fn both_releases_forms_are_read() {
        let old = br#"{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"a","cluster":"C"}],"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSynFlag":0,"writeQueueNums":4}]}"#;
        let new = br#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:10911"},"brokerName":"a","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;
        let old: TopicRouteData = json::from_slice(old).unwrap();
        let new: TopicRouteData = json::from_slice(new).unwrap();
        assert_eq!(old, new);
        assert_eq!(old.broker_datas[0].broker_addrs[&MASTER_ID], "127.0.0.1:10911");
    }
}
