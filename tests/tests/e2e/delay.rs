//! Messages that are held back.

use std::time::{Duration, Instant};

use rocketmq_client::{ErrorKind, Message, SendStatus};
use tests::{Cluster, Collector, unique};

#[tokio::test]
async fn a_delayed_message_comes_once_its_time_is_up() {
    let mq = Cluster::start().await;
    let topic = unique("delay");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "first")).await.unwrap();
    let mut inbox = Collector::new();
    let consumer =
        mq.consumer(&unique("g")).subscribe(&topic, "TagA || TagB").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();

    let sending = Instant::now();
    let delayed = Message::new(topic.clone(), "later").tags("TagA").keys(["k"]).property("p", "v");
    let sent = producer.send(delayed.delay_time_level(1)).await.unwrap();
    assert_eq!(sent.send_status, SendStatus::SendOk);
    let _ = producer.send(Message::new(topic.clone(), "at once").tags("TagB")).await.unwrap();
    let messages = inbox.next(2).await;
    let took = sending.elapsed();

    assert_eq!(messages[0].body(), "at once");
    let message = &messages[1];
    assert_eq!(message.body(), "later");
    assert!(took >= Duration::from_secs(1), "it came after {took:?}");
    assert_eq!(message.topic(), topic);
    assert_eq!(
        (message.get_tags(), message.get_keys(), message.user_property("p")),
        (Some("TagA"), Some("k"), Some("v"))
    );
    assert_eq!(*message.msg_id(), *sent.msg_id);
    assert_eq!(message.reconsume_times(), 0);
    assert!(
        message.store_timestamp() - message.born_timestamp() >= 900,
        "the delivered copy has its own store time"
    );
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_message_without_a_delay_level_comes_at_once() {
    let mq = Cluster::start().await;
    let topic = unique("no-delay");
    let producer = mq.producer().start().await.unwrap();
    let sent = producer.send(Message::new(topic.clone(), "x").delay_time_level(0)).await.unwrap();
    assert_eq!(sent.message_queue.topic(), topic);
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let message = inbox.one().await;
    assert_eq!(message.get_property("REAL_TOPIC"), None);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

/// 4.9 delivers at once, 5.x after its time, and broker-lite, which has no timers, must not look as if it had.
#[tokio::test]
async fn a_timer_message_waits_for_its_time_or_is_refused_by_a_broker_without_timers() {
    let mq = Cluster::start().await;
    let topic = unique("timer");
    let producer = mq.producer().start().await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let sending = Instant::now();
    let sent = producer.send(Message::new(topic.clone(), "later").delay_time_ms(3_000)).await;
    if mq.as_embedded().is_some() {
        let error = sent.unwrap_err();
        assert_eq!((error.kind(), error.response_code()), (ErrorKind::Broker, Some(1)));
        assert!(error.to_string().contains("timer message is not enabled"), "{error}");
        let _ = producer.send(Message::new(topic.clone(), "at once")).await.unwrap();
        assert_eq!(inbox.one().await.body(), "at once");
    } else {
        let message = inbox.one().await;
        assert_eq!((&message.body()[..], message.get_delay_time_ms()), (&b"later"[..], Some(3_000)));
        // 5.x marks what went through its timer, and may round down by its precision of a second.
        let waited = message.get_property("TIMER_OUT_MS").is_some();
        assert!(
            !waited || sending.elapsed() >= Duration::from_secs(1),
            "it came after {:?}",
            sending.elapsed()
        );
    }
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}
