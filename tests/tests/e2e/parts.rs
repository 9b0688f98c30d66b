//! What a message carries, and what the broker adds.

use std::time::{SystemTime, UNIX_EPOCH};

use rocketmq_client::{Message, MessageExt, SendResult, SendStatus};
use tests::{Cluster, Collector, unique};

fn message(topic: &str) -> Message {
    let every_byte: Vec<u8> = (0..=255).collect();
    Message::new(topic.to_owned(), every_byte)
        .tags("TagÄ")
        .keys(["order-1", "客户-2"])
        .flag(42)
        .property("region", "eu")
        .property("名字", "火箭 🚀 =,;{}\"'")
}

#[tokio::test]
async fn a_message_comes_back_with_all_its_parts() {
    let mq = Cluster::start().await;
    let topic = unique("parts");
    let producer = mq.producer().start().await.unwrap();
    let sent = producer.send(message(&topic)).await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let received = inbox.one().await;

    check_result(&sent, &topic);
    assert_eq!(received.topic(), topic);
    assert_eq!(received.body().to_vec(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(received.get_tags(), Some("TagÄ"));
    assert_eq!(received.get_keys(), Some("order-1 客户-2"));
    assert_eq!(received.get_flag(), 42);
    assert_eq!(received.user_property("region"), Some("eu"));
    assert_eq!(received.user_property("名字"), Some("火箭 🚀 =,;{}\"'"));
    assert_eq!(received.get_property("CLUSTER"), Some("DefaultCluster"));
    check_place(&received, &sent);
    check_lines(&received, &sent);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

/// What the producer is told.
fn check_result(sent: &SendResult, topic: &str) {
    let is_id =
        |id: &str| matches!(id.len(), 32 | 56) && id.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F'));
    assert_eq!(sent.send_status, SendStatus::SendOk);
    assert!(is_id(&sent.msg_id), "{}", sent.msg_id);
    assert!(sent.offset_msg_id.as_deref().is_some_and(is_id), "{:?}", sent.offset_msg_id);
    assert_eq!(sent.message_queue.topic(), topic);
    assert_eq!(sent.message_queue.broker_name(), "broker-a");
    assert_eq!(sent.queue_offset, 0);
    // 5.x brokers name the message's id here, outside of any transaction.
    assert!(sent.transaction_id.is_none() || sent.transaction_id.as_deref() == Some(&*sent.msg_id));
    assert_eq!(sent.region_id.as_deref(), Some("DefaultRegion"));
    assert!(sent.trace_on);
}

/// Where and when it was stored.
fn check_place(received: &MessageExt, sent: &SendResult) {
    assert_eq!(*received.msg_id(), *sent.msg_id);
    assert_eq!(Some(received.offset_msg_id().as_str()), sent.offset_msg_id.as_deref());
    assert_eq!(received.broker_name(), Some("broker-a"));
    assert_eq!(received.queue_id(), sent.message_queue.queue_id());
    assert_eq!(received.queue_offset(), sent.queue_offset);
    assert_eq!(received.reconsume_times(), 0);
    assert_eq!(received.prepared_transaction_offset(), 0);
    assert!(received.commit_log_offset() >= 0);
    assert!(received.born_host().ip().is_loopback(), "{}", received.born_host());
    assert!(received.store_host().ip().is_loopback(), "{}", received.store_host());
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert!(received.born_timestamp() <= received.store_timestamp());
    assert!((now - 60_000..=now).contains(&received.store_timestamp()));
}

/// The lines that users grep for.
fn check_lines(received: &MessageExt, sent: &SendResult) {
    let queue = &sent.message_queue;
    assert_eq!(
        sent.to_string(),
        format!(
            "SendResult [sendStatus=SEND_OK, msgId={}, offsetMsgId={}, messageQueue=MessageQueue [topic={}, \
             brokerName=broker-a, queueId={}], queueOffset=0]",
            sent.msg_id,
            sent.offset_msg_id.as_deref().unwrap(),
            queue.topic(),
            queue.queue_id()
        )
    );
    let line = received.to_string();
    let start = format!(
        "MessageExt [brokerName=broker-a, queueId={}, storeSize={}, queueOffset=0, sysFlag=0, bornTimestamp={}, \
         bornHost=/{}, storeTimestamp={}, storeHost=/{}, msgId={}, commitLogOffset={}, bodyCRC={}, reconsumeTimes=0, \
         preparedTransactionOffset=0, toString()=Message{{topic='{}', flag=42, properties={{",
        queue.queue_id(),
        received.store_size(),
        received.born_timestamp(),
        received.born_host(),
        received.store_timestamp(),
        received.store_host(),
        received.offset_msg_id(),
        received.commit_log_offset(),
        received.body_crc(),
        queue.topic(),
    );
    assert!(line.starts_with(&start), "{line}\nshould start with\n{start}");
    assert!(line.contains("}, body=[0, 1, 2, 3") && line.contains("127, -128, -127"), "{line}");
    assert!(line.ends_with(", -2, -1], transactionId='null'}]"), "{line}");
}

#[tokio::test]
async fn the_message_that_is_sent_prints_as_java_prints_it() {
    let message = Message::new("TopicTest", "ab").tags("TagA").keys(["k"]);
    let line = message.to_string();
    assert!(line.starts_with("Message{topic='TopicTest', flag=0, properties={"), "{line}");
    assert!(line.ends_with("}, body=[97, 98], transactionId='null'}"), "{line}");
}
