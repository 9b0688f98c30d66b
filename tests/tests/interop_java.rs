//! The official Java clients against the embedded broker, and against the Rust client through it.
//!
//! What a message of Mixed looks like is told in interop/java/Mixed.java; both sides make and check the same.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{DefaultMQProducer, Message, MessageExt, SelectMessageQueueByHash, SendRequest};
use tests::{Cluster, Collector, Java, md5_of, unique};

const COUNT: usize = 30;
const LARGE_BYTES: usize = 50_000;

/// Runs everything with the client of one release, on a broker of its own.
async fn with_client(version: &str) {
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let Some(java) = Java::client(version, mq.namesrv_addr()).await else { return };
    quickstart(&java).await;
    java_sends_and_rust_consumes(&mq, &java).await;
    rust_sends_and_java_consumes(&mq, &java).await;
    mq.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_java_client_4_9_8() {
    with_client("4.9.8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_java_client_5_5_0() {
    with_client("5.5.0").await;
}

/// The programs that everybody starts with print their usual lines.
async fn quickstart(java: &Java) {
    let lines = java.run(&["Producer", "TopicTest", "100"]).await;
    let results: Vec<_> =
        lines.iter().filter(|line| line.starts_with("SendResult [sendStatus=SEND_OK, msgId=")).collect();
    assert_eq!(results.len(), 100, "{lines:?}");
    assert!(results[0].contains("messageQueue=MessageQueue [topic=TopicTest, brokerName=broker-a, queueId="));
    assert_eq!(lines.last().map(String::as_str), Some("SENT 100"));

    let lines = java.run(&["Consumer", "100", "60", "TopicTest"]).await;
    let received = lines.iter().filter(|line| {
        line.starts_with("ConsumeMessageThread_")
            && line.contains(" Receive New Messages: [MessageExt [brokerName=broker-a, queueId=")
            && line.contains("body=[72, 101, 108, 108, 111, 32, 82, 111, 99, 107, 101, 116, 77, 81, 32, ")
    });
    assert_eq!(received.count(), 100, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("RECEIVED 100"));
}

// --- from Java to Rust ---------------------------------------------------------------------------------------------

async fn java_sends_and_rust_consumes(mq: &Cluster, java: &Java) {
    let bytes = LARGE_BYTES.to_string();
    let ways: [(&str, &str, &[&str]); 9] = [
        ("send-sync", "", &[]),
        ("send-batch", "", &[]),
        ("send-async", "", &[]),
        ("send-oneway", "", &[]),
        ("send-delay", "", &["1"]),
        ("send-ordered", "", &[]),
        ("send-large", "ZLIB", &[&bytes]),
        ("send-large", "LZ4", &[&bytes]),
        ("send-large", "ZSTD", &[&bytes]),
    ];
    for (way, compression, extra) in ways {
        let topic = unique(way);
        let count = COUNT.to_string();
        let jvm_options = match compression {
            "" => String::new(),
            name => format!("-Drocketmq.message.compressType={name}"),
        };
        let lines = java.run_with(&jvm_options, &[&["Mixed", way, &topic, &count][..], extra].concat()).await;
        assert_eq!(lines.last(), Some(&format!("SENT {COUNT}")), "{way}");
        let mut inbox = Collector::new();
        let consumer =
            mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
        let consumer = consumer.start().await.unwrap();
        let messages = inbox.next(COUNT).await;
        consumer.shutdown().await;
        check_messages(way, &messages);
        check_ids(way, &lines, &messages);
        if way == "send-ordered" {
            check_shards(messages);
        } else if way == "send-large" {
            let stored = messages.iter().map(MessageExt::store_size).max();
            assert!(stored < Some(5000), "{compression}: a message is stored in {stored:?} bytes");
        }
    }
}

fn check_messages(way: &str, messages: &[MessageExt]) {
    let mut indexes = BTreeSet::new();
    for message in messages {
        let index: usize = message.user_property("index").unwrap().parse().unwrap();
        let expected = if way == "send-large" { large_body(index) } else { small_body(index) };
        assert!(message.body() == &expected, "{way}: the body of message {index} differs");
        assert_eq!(message.user_property("md5"), Some(&*md5_of(message.body())), "{way} {index}");
        assert_eq!(message.get_tags(), Some(tag(index)), "{way} {index}");
        assert_eq!(message.get_keys(), Some(&*format!("Key-{index}")), "{way} {index}");
        indexes.insert(index);
    }
    assert_eq!(indexes, (0..COUNT).collect(), "{way}");
}

/// Each SEND line names the message's id and its place; a batch's names all ids and the first one's place.
fn check_ids(way: &str, lines: &[String], messages: &[MessageExt]) {
    for line in lines.iter().filter(|line| line.starts_with("SEND ")) {
        let words: Vec<_> = line.split(' ').collect();
        let (id, offset_id) = (words[2].split(',').next(), words[3].split(',').next());
        let found = match way {
            // The answer tells where the message waits, not where it is delivered to.
            "send-delay" => messages.iter().find(|message| Some(&*message.msg_id()) == id),
            _ => messages.iter().find(|message| Some(&*message.offset_msg_id()) == offset_id),
        };
        let message = found.unwrap_or_else(|| panic!("{way}: the message of {line} did not come"));
        // The 5.x client gives a batch an id of its own, which brokers of all releases store over those of its messages.
        if way != "send-batch" {
            assert_eq!(Some(&*message.msg_id()), id, "{way}: {line}");
        }
        if way != "send-delay" {
            let place = (words[4].parse(), words[5].parse());
            assert_eq!(place, (Ok(message.queue_id()), Ok(message.queue_offset())), "{way}: {line}");
        }
    }
}

fn check_shards(mut messages: Vec<MessageExt>) {
    messages.sort_by_key(|message| (message.queue_id(), message.queue_offset()));
    let mut shards: BTreeMap<String, (i32, usize)> = BTreeMap::new();
    for message in &messages {
        let index: usize = message.user_property("index").unwrap().parse().unwrap();
        let shard = message.user_property("shard").unwrap().to_owned();
        if let Some((queue, last)) = shards.insert(shard.clone(), (message.queue_id(), index)) {
            assert!(queue == message.queue_id() && last < index, "{shard} is out of order at {index}");
        }
    }
}

// --- from Rust to Java ---------------------------------------------------------------------------------------------

async fn rust_sends_and_java_consumes(mq: &Cluster, java: &Java) {
    let topic = unique("from-rust");
    let producer = mq.producer().start().await.unwrap();
    let expected = rust_sends(&producer, &topic).await;
    let count = expected.len().to_string();
    let lines = java.run(&["Mixed", "consume", &topic, &unique("g"), &count, "60"]).await;
    assert_eq!(lines.last(), Some(&format!("RECEIVED {count}")));
    let received: BTreeMap<String, Line> = lines.iter().filter_map(|line| Line::read(line)).collect();
    assert_eq!(received.len(), expected.len());
    for (id, (index, md5)) in &expected {
        let line = received.get(id).unwrap_or_else(|| panic!("{id} (index {index}) did not come"));
        assert_eq!((&*line.tag, &*line.keys), (tag(*index), &*format!("Key-{index}")));
        assert_eq!(&line.md5, md5, "the body of message {index} differs in Java");
        assert_eq!(line.reconsume_times, 0);
    }

    let tagged = expected.values().filter(|(index, _)| index % 3 != 1).count().to_string();
    let lines = java.run(&["Mixed", "consume", &topic, &unique("g"), &tagged, "60", "TagA || TagC"]).await;
    assert!(
        lines.iter().filter_map(|line| Line::read(line)).all(|(_, line)| line.tag != "TagB"),
        "{lines:?}"
    );

    // A Java client learns of its group's retry topic only with its next look at the routes, after 30 s, unless the topic
    // is there before.
    let (retried, group) = (unique("retried"), unique("g"));
    let unused = Collector::new();
    let creator = mq.consumer(&group).subscribe(&retried, "*").consume_concurrently(unused.listener());
    let _ = producer.send(message("TopicTest", 0, small_body(0))).await.unwrap();
    let creator = creator.subscribe("TopicTest", "NoSuchTag").start().await.unwrap();
    creator.shutdown().await;
    for index in 0..5 {
        let _ = producer.send(message(&retried, index, small_body(index))).await.unwrap();
    }
    let lines = java.run(&["Mixed", "retry", &retried, &group, "5", "120"]).await;
    assert_eq!(lines.last().map(String::as_str), Some("RETRIED 5"));
    let again =
        lines.iter().filter_map(|line| Line::read(line)).filter(|(_, line)| line.reconsume_times == 1);
    assert_eq!(again.count(), 5, "{lines:?}");
    producer.shutdown().await;
}

/// Sends by each way there is; returns the index and the body's MD5 by message id.
async fn rust_sends(producer: &DefaultMQProducer, topic: &str) -> BTreeMap<String, (usize, String)> {
    let mut expected = BTreeMap::new();
    let mut note =
        |id: &str, index: usize, body: &[u8]| expected.insert(id.to_owned(), (index, md5_of(body)));
    for index in 0..10 {
        let sent = producer.send(message(topic, index, small_body(index))).await.unwrap();
        note(&sent.msg_id, index, &small_body(index));
    }
    let batch: Vec<_> = (10..20).map(|index| message(topic, index, small_body(index))).collect();
    let sent = producer.send(batch).await.unwrap();
    for (id, index) in sent.msg_id.split(',').zip(10..) {
        note(id, index, &small_body(index));
    }
    for index in 20..30 {
        let ticket = producer.send_async(message(topic, index, small_body(index))).await.unwrap();
        note(&ticket.await.unwrap().msg_id, index, &small_body(index));
    }
    for index in 30..35 {
        let sent = producer.send(message(topic, index, large_body(index))).await.unwrap();
        note(&sent.msg_id, index, &large_body(index));
    }
    for index in 35..40 {
        let request = SendRequest::new(message(topic, index, small_body(index)));
        let request = request.selector(SelectMessageQueueByHash::new(format!("shard-{}", index % 10)));
        note(&producer.send(request).await.unwrap().msg_id, index, &small_body(index));
    }
    let delayed = message(topic, 40, small_body(40)).delay_time_level(1);
    note(&producer.send(delayed).await.unwrap().msg_id, 40, &small_body(40));
    expected
}

/// A line `MSG msgId queueId queueOffset reconsumeTimes tags keys md5`.
struct Line {
    reconsume_times: i32,
    tag: String,
    keys: String,
    md5: String,
}

impl Line {
    fn read(line: &str) -> Option<(String, Self)> {
        let words: Vec<_> = line.strip_prefix("MSG ")?.split(' ').collect();
        let [id, _, _, times, tag, keys, md5] = words[..] else { panic!("{line}") };
        let reconsume_times = times.parse().expect("a number");
        Some((
            id.to_owned(),
            Self { reconsume_times, tag: tag.to_owned(), keys: keys.to_owned(), md5: md5.to_owned() },
        ))
    }
}

// --- the messages of Mixed -----------------------------------------------------------------------------------------

fn message(topic: &str, index: usize, body: Vec<u8>) -> Message {
    let md5 = md5_of(&body);
    Message::new(topic.to_owned(), body)
        .tags(tag(index))
        .keys([format!("Key-{index}")])
        .property("index", index.to_string())
        .property("md5", md5)
}

fn tag(index: usize) -> &'static str {
    ["TagA", "TagB", "TagC"][index % 3]
}

fn small_body(index: usize) -> Vec<u8> {
    format!("Mixed message {index}").into_bytes()
}

fn large_body(index: usize) -> Vec<u8> {
    let letter = |at: usize| b'a' + u8::try_from((index + at + at / 64) % 26).expect("less than 26");
    (0..LARGE_BYTES).map(letter).collect()
}
