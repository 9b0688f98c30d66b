//! Requests to a name server about brokers and routes: codes 103 to 106, 206, 216, 217, 322, 901 and 904.

use bytestring::ByteString;

use super::request;
use crate::header::{HeaderFields, NoFields, header};

header! {
    /// A topic's route, please; the answer's body is [`TopicRouteData`](crate::body::route::TopicRouteData).
    /// Java: `GetRouteInfoRequestHeader`.
    RouteInfoRequest {
        /// The topic.
        topic: ByteString = "topic" optional,
        /// Ask for strict JSON whatever the asker's version.
        accept_standard_json_only: Option<bool> = "acceptStandardJsonOnly",
    }
}

/// The clusters, please; the answer's body is [`ClusterInfo`](crate::body::cluster::ClusterInfo).
#[derive(Clone, Copy, Debug)]
pub struct BrokerClusterInfoRequest;

impl HeaderFields for BrokerClusterInfoRequest {
    fn write_fields(&self, _: &mut impl crate::header::FieldSink) {}
}

header! {
    /// A broker and its topics; the body is [`RegisterBrokerBody`](crate::body::register_broker::RegisterBrokerBody).
    /// Java: `RegisterBrokerRequestHeader`.
    RegisterBrokerRequest {
        /// The group's name.
        broker_name: ByteString = "brokerName",
        /// Where clients reach it.
        broker_addr: ByteString = "brokerAddr",
        /// The cluster's name.
        cluster_name: ByteString = "clusterName",
        /// Where slaves reach it.
        ha_server_addr: ByteString = "haServerAddr" optional,
        /// 0 for a master.
        broker_id: i64 = "brokerId",
        /// Whether the body is compressed.
        compressed: Option<bool> = "compressed",
        /// The body's CRC-32 without its highest bit; 0: not to be checked.
        body_crc32: Option<i32> = "bodyCrc32" tolerant,
        /// How long the name server keeps a silent broker, in milliseconds (5.x).
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis" tolerant,
    }
}

header! {
    /// The master of the group; the body is a [`KvTable`](crate::body::kv_table::KvTable) of order topics.
    RegisterBrokerResponse {
        /// Where a slave reaches the master's log.
        ha_server_addr: Option<ByteString> = "haServerAddr",
        /// Where clients reach the master.
        master_addr: Option<ByteString> = "masterAddr",
    }
}

header! {
    /// A broker leaves. Java: `UnRegisterBrokerRequestHeader`.
    UnregisterBrokerRequest {
        /// The group's name.
        broker_name: ByteString = "brokerName" optional,
        /// Where clients reached it.
        broker_addr: ByteString = "brokerAddr" optional,
        /// The cluster's name.
        cluster_name: ByteString = "clusterName" optional,
        /// 0 for a master.
        broker_id: i64 = "brokerId",
    }
}

header! {
    /// Does the name server know this state of a broker's topics? The body is a
    /// [`DataVersion`](crate::body::topic_config::DataVersion), and so is the answer's.
    QueryDataVersionRequest {
        /// The group's name.
        broker_name: ByteString = "brokerName" optional,
        /// Where clients reach it.
        broker_addr: ByteString = "brokerAddr" optional,
        /// The cluster's name.
        cluster_name: ByteString = "clusterName" optional,
        /// 0 for a master.
        broker_id: i64 = "brokerId" tolerant,
    }
}

header! {
    /// Whether the name server needs to hear the topics again.
    QueryDataVersionResponse {
        /// It does.
        changed: bool = "changed",
    }
}

header! {
    /// A broker lives (5.x). Java: `BrokerHeartbeatRequestHeader`, whose other fields are for controllers.
    BrokerHeartbeatRequest {
        /// The cluster's name.
        cluster_name: ByteString = "clusterName",
        /// Where clients reach it.
        broker_addr: ByteString = "brokerAddr",
        /// The group's name.
        broker_name: ByteString = "brokerName",
    }
}

header! {
    /// The brokers of a group, please (5.x); the answer's body is
    /// [`BrokerMemberGroupBody`](crate::body::cluster::BrokerMemberGroupBody). Java: `GetBrokerMemberGroupRequestHeader`.
    BrokerMemberGroupRequest {
        /// The cluster's name.
        cluster_name: ByteString = "clusterName",
        /// The group's name.
        broker_name: ByteString = "brokerName",
    }
}

header! {
    /// One topic's queues (5.x); the body is [`TopicRouteData`](crate::body::route::TopicRouteData), of which only the
    /// queues count. Java: `RegisterTopicRequestHeader`.
    RegisterTopicRequest {
        /// The topic.
        topic: ByteString = "topic",
    }
}

header! {
    /// Forget a topic. Java: `DeleteTopicFromNamesrvRequestHeader`.
    DeleteTopicInNamesrvRequest {
        /// The topic.
        topic: ByteString = "topic",
        /// Only in this cluster (5.x).
        cluster_name: Option<ByteString> = "clusterName",
    }
}

/// All topics, please; the answer's body is [`TopicList`](crate::body::cluster::TopicList).
#[derive(Clone, Copy, Debug)]
pub struct AllTopicsRequest;

impl HeaderFields for AllTopicsRequest {
    fn write_fields(&self, _: &mut impl crate::header::FieldSink) {}
}

request!(BrokerHeartbeatRequest => BrokerHeartbeat, NoFields);
request!(BrokerMemberGroupRequest => GetBrokerMemberGroup, NoFields);
request!(RegisterTopicRequest => RegisterTopicInNamesrv, NoFields);
request!(DeleteTopicInNamesrvRequest => DeleteTopicInNamesrv, NoFields);
request!(AllTopicsRequest => GetAllTopicListFromNameserver, NoFields);
request!(RouteInfoRequest => GetRouteInfoByTopic, NoFields);
request!(BrokerClusterInfoRequest => GetBrokerClusterInfo, NoFields);
request!(RegisterBrokerRequest => RegisterBroker, RegisterBrokerResponse);
request!(UnregisterBrokerRequest => UnregisterBroker, NoFields);
request!(QueryDataVersionRequest => QueryDataVersion, QueryDataVersionResponse);
