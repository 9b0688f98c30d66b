//! Bodies: subscriptions, heartbeats, routes, clusters, queues as keys, registrations.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod golden_file;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use golden_file::{Line, RELEASES, lines};
use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::heartbeat::HeartbeatData;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::RegisterBrokerBody;
use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData};
use rocketmq_protocol::body::subscription::{EXPRESSION_TYPE_SQL92, SubscriptionData};
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfig};
use rocketmq_protocol::message::{MessageQueue, string_hash};
use serde::Deserialize;
use serde_json::Value;

/// The lines of both releases.
fn both(subject: &str) -> impl Iterator<Item = Line> {
    RELEASES.iter().flat_map(move |release| lines(subject, release))
}

/// Strict JSON, with the members of sets in one order: Java's is that of its hash tables.
fn sorted(json: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(json).unwrap();
    sort_sets(&mut value);
    value
}

fn sort_sets(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort_sets);
            items.sort_by_key(Value::to_string);
        }
        Value::Object(map) => map.values_mut().for_each(sort_sets),
        _ => {}
    }
}

#[test]
fn tags_hash_as_in_java() {
    for line in both("subscription").filter(|line| line.name.starts_with("hash")) {
        assert_eq!(string_hash(line.text("text")), line.number::<i32>("hash"), "{line}");
    }
}

#[test]
fn tag_expressions_are_split_as_in_java() {
    for line in both("subscription").filter(|line| line.name.starts_with("sub")) {
        let expression = line.get("expression").unwrap_or_default();
        let subscription = SubscriptionData::by_tag("T", expression, 1_700_000_000_123);
        if line.get("error").is_some() {
            // No tag at all: who takes such an expression from outside has to refuse it. The broker passes nothing on.
            assert!(subscription.tags_set.is_empty() && !subscription.matches_code(65), "{line}");
            continue;
        }
        if expression == " " {
            // Java keeps the blank and no tags, with which the broker passes nothing on. Here all blanks are `*`.
            assert_eq!(subscription, SubscriptionData::by_tag("T", "*", 1_700_000_000_123), "{line}");
            continue;
        }
        let listed = |key| line.text(key).split(',').filter(|item| !item.is_empty()).map(str::to_owned);
        assert_eq!(subscription.sub_string, line.text("subString"), "{line}");
        assert_eq!(subscription.tags_set, listed("tags").collect::<BTreeSet<_>>(), "{line}");
        let codes: BTreeSet<i32> = listed("codes").map(|code| code.parse().unwrap()).collect();
        assert_eq!(subscription.code_set, codes, "{line}");
        assert_eq!(
            sorted(&json::to_vec(&subscription).unwrap()),
            sorted(line.text("json").as_bytes()),
            "{line}"
        );
    }
}

#[test]
fn subscriptions_are_read_as_java_writes_them() {
    for line in both("subscription") {
        let Some(java) = line.get("json") else { continue };
        let subscription: SubscriptionData = json::from_slice(java.as_bytes()).unwrap();
        assert_eq!(sorted(&json::to_vec(&subscription).unwrap()), sorted(java.as_bytes()), "{line}");
        assert_eq!(subscription.expression_type == EXPRESSION_TYPE_SQL92, line.name == "sql", "{line}");
    }
}

#[test]
fn heartbeats_are_read_and_written_as_in_4() {
    for line in lines("heartbeat", "4.9.8") {
        let java = line.text("json");
        let heartbeat: HeartbeatData = json::from_slice(java.as_bytes()).unwrap();
        let ours: Value = serde_json::from_slice(&json::to_vec(&heartbeat).unwrap()).unwrap();
        assert_eq!(ours, serde_json::from_str::<Value>(java).unwrap(), "{line}");
    }
}

#[test]
fn heartbeats_of_5_say_the_same() {
    for (old, new) in lines("heartbeat", "4.9.8").into_iter().zip(lines("heartbeat", "5.5.0")) {
        let read = |line: &Line| json::from_slice::<HeartbeatData>(line.text("json").as_bytes()).unwrap();
        assert_eq!(read(&old), read(&new), "{new}");
    }
}

/// `TopicRouteData.toString` of 4.9.8, to see each field that was read.
fn route_text(route: &TopicRouteData) -> String {
    let queue = |data: &QueueData| {
        format!(
            "QueueData [brokerName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicSysFlag={}]",
            data.broker_name, data.read_queue_nums, data.write_queue_nums, data.perm, data.topic_sys_flag
        )
    };
    let queues: Vec<_> = route.queue_datas.iter().map(queue).collect();
    let brokers: Vec<_> = route.broker_datas.iter().map(broker_text).collect();
    let filters = route.filter_server_table.iter();
    let filters: Vec<_> =
        filters.map(|(broker, servers)| format!("{broker}=[{}]", servers.join(", "))).collect();
    format!(
        "TopicRouteData [orderTopicConf={}, queueDatas=[{}], brokerDatas=[{}], filterServerTable={{{}}}]",
        route.order_topic_conf.as_deref().unwrap_or("null"),
        queues.join(", "),
        brokers.join(", "),
        filters.join(", ")
    )
}

fn broker_text(data: &BrokerData) -> String {
    let addresses: Vec<_> = data.broker_addrs.iter().map(|(id, address)| format!("{id}={address}")).collect();
    format!("BrokerData [brokerName={}, brokerAddrs={{{}}}]", data.broker_name, addresses.join(", "))
}

/// 5.5.0's `toString` without what 4.9.8's does not have.
fn without_news(text: &str) -> String {
    text.replace(", enableActingMaster=false", "").replace(", topicQueueMappingInfoTable=null", "")
}

#[test]
fn routes_are_read_as_java_reads_them() {
    for line in both("route").filter(|line| line.get("toString").is_some()) {
        let forms: Vec<&str> =
            ["strict", "plain", "json"].into_iter().filter_map(|form| line.get(form)).collect();
        assert!(!forms.is_empty(), "{line}");
        for form in forms {
            let route = json::from_slice::<TopicRouteData>(form.as_bytes());
            // A list that is not there is empty here, null in 4.9.8.
            let java = without_news(line.text("toString"))
                .replace("Datas=null", "Datas=[]")
                .replace("Table=null", "Table={}");
            assert_eq!(route_text(&route.unwrap()), java, "{line}");
        }
    }
}

#[test]
fn routes_are_written_as_in_4() {
    for line in lines("route", "4.9.8").into_iter().filter(|line| line.get("strict").is_some()) {
        let route: TopicRouteData = json::from_slice(line.text("strict").as_bytes()).unwrap();
        let strict = json::to_vec(&route).unwrap();
        if line.name == "made-empty" {
            // The lists of 5.5.0, which both releases read, in place of none.
            let new = lines("route", "5.5.0").into_iter().find(|new| new.name == line.name).unwrap();
            assert_eq!(String::from_utf8(strict).unwrap(), new.text("strict"), "{line}");
            continue;
        }
        assert_eq!(
            String::from_utf8(json::to_fastjson(&route).unwrap()).unwrap(),
            line.text("plain"),
            "{line}"
        );
        // Java escapes what is not ASCII.
        let escaped = String::from_utf8(strict).unwrap().replace("中文", "\\u4E2D\\u6587");
        assert_eq!(escaped, line.text("strict"), "{line}");
    }
}

#[test]
fn clusters_are_read_and_written() {
    for line in both("route").filter(|line| line.name == "cluster") {
        let cluster: ClusterInfo = json::from_slice(line.text("json").as_bytes()).unwrap();
        let names: Vec<_> = cluster.broker_addr_table.keys().map(String::as_str).collect();
        assert_eq!(names, ["broker-a", "broker-b 中文"], "{line}");
        let members = &cluster.cluster_addr_table["DefaultCluster"];
        assert!(members.iter().map(String::as_str).eq(names), "{line}: {members:?}");
        let broker = &cluster.broker_addr_table["broker-a"];
        assert_eq!(broker.broker_addrs[&12], "10.0.0.3:10911", "{line}");
        for written in [json::to_vec(&cluster).unwrap(), json::to_fastjson(&cluster).unwrap()] {
            assert_eq!(json::from_slice::<ClusterInfo>(&written).unwrap(), cluster, "{line}");
        }
    }
}

/// A body with queues as keys: reading makes texts of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OffsetTable {
    offset_table: BTreeMap<String, i64>,
}

fn offsets(json: &str) -> Vec<(MessageQueue, i64)> {
    let table: OffsetTable = json::from_slice(json.as_bytes()).unwrap();
    let queue = |key: &str| json::from_slice(key.as_bytes()).unwrap();
    let mut offsets: Vec<_> = table.offset_table.iter().map(|(key, offset)| (queue(key), *offset)).collect();
    offsets.sort();
    offsets
}

#[test]
fn queues_are_read_where_they_are_keys() {
    let made = [
        (MessageQueue::new("T", "broker-a", 0), 0),
        (MessageQueue::new("T", "broker-a", 1), 5_000_000_000),
        (MessageQueue::new("中文", "b", 2), 10_000_000_000),
    ];
    for line in both("body") {
        match &*line.name {
            "local-offsets" | "local-offsets-pretty" | "reset-offset" => {
                assert_eq!(offsets(line.text("json")), made, "{line}");
            }
            // 5.5.0 cannot read what 4.9.8 reads; here both forms are taken from both.
            name if name.starts_with("read-") => {
                let read = offsets(line.text("json"));
                let texts: Vec<_> = read.iter().map(|(queue, offset)| format!("{queue}={offset}")).collect();
                let java = line.get("got").unwrap_or("MessageQueue [topic=T, brokerName=b, queueId=1]=5");
                assert_eq!(texts.join(";"), java, "{line}");
            }
            _ => {}
        }
    }
}

#[test]
fn queues_are_read_and_written_where_they_are_members() {
    for line in both("body").filter(|line| line.name == "lock-batch") {
        let java: Value = serde_json::from_str(line.text("json")).unwrap();
        let queues: Vec<MessageQueue> = serde_json::from_value(java["mqSet"].clone()).unwrap();
        assert_eq!(queues[0], MessageQueue::new("中文", "b", 2), "{line}");
        assert_eq!(serde_json::to_value(&queues).unwrap(), java["mqSet"], "{line}");
    }
}

#[test]
fn registrations_are_read_as_java_reads_them() {
    for line in both("register-broker").filter(|line| line.name.starts_with("topics")) {
        let plain = RegisterBrokerBody::decode(&Bytes::from(line.text("plain").to_owned()), false).unwrap();
        let compressed = RegisterBrokerBody::decode(&line.bytes("compressedHex"), true).unwrap();
        let (table, again) =
            (&plain.topic_config_serialize_wrapper, &compressed.topic_config_serialize_wrapper);
        let version: DataVersion = serde_json::from_str(line.text("readVersion")).unwrap();
        assert_eq!((table.data_version, again.data_version), (version, version), "{line}");
        let filters: Vec<String> = serde_json::from_str(line.text("readFilters")).unwrap();
        assert_eq!(
            (&plain.filter_server_list, &compressed.filter_server_list),
            (&filters, &filters),
            "{line}"
        );
        // The compressed form has no place for `order` and `topicSysFlag`.
        let topics: BTreeMap<String, TopicConfig> = serde_json::from_str(line.text("readTopics")).unwrap();
        assert_eq!(again.topic_config_table, topics, "{line}");
        let poorer = |(name, topic): (&String, &TopicConfig)| {
            (name.clone(), TopicConfig { order: false, topic_sys_flag: 0, ..topic.clone() })
        };
        let plain_topics: BTreeMap<_, _> = table.topic_config_table.iter().map(poorer).collect();
        assert_eq!(plain_topics, topics, "{line}");
    }
}

#[test]
fn registrations_are_written_as_in_4() {
    for line in lines("register-broker", "4.9.8").into_iter().filter(|line| line.name.starts_with("topics")) {
        let java = line.text("plain");
        let body = RegisterBrokerBody::decode(&Bytes::from(java.to_owned()), false).unwrap();
        let ours: Value = serde_json::from_slice(&json::to_vec(&body).unwrap()).unwrap();
        assert_eq!(ours, serde_json::from_str::<Value>(java).unwrap(), "{line}");
    }
}
