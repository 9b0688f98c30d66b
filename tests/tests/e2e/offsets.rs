//! Where consumption begins, and where it goes on.

use rocketmq_client::{ConsumeFromWhere, DefaultMQProducer, Message};
use tests::{Cluster, Collector, unique};

async fn send(producer: &DefaultMQProducer, topic: &str, bodies: std::ops::Range<usize>) -> Vec<String> {
    let mut ids = Vec::new();
    for body in bodies {
        let sent = producer.send(Message::new(topic.to_owned(), format!("{body}"))).await.unwrap();
        ids.push(sent.msg_id.to_string());
    }
    ids
}

/// Brokers answer that a group without offsets is at 0 as long as they hold a queue's first message in memory: so new
/// groups of young topics begin at the first message, whatever they ask for.
#[tokio::test]
async fn a_new_group_of_a_young_topic_begins_at_its_first_message() {
    let mq = Cluster::start().await;
    let topic = unique("young");
    let producer = mq.producer().start().await.unwrap();
    let ids = send(&producer, &topic, 0..8).await;
    let wishes = [
        ConsumeFromWhere::FirstOffset,
        ConsumeFromWhere::LastOffset,
        ConsumeFromWhere::Timestamp("20300101000000".into()),
    ];
    for wish in wishes {
        let mut inbox = Collector::new();
        let consumer = mq
            .consumer(&unique("g"))
            .consume_from_where(wish)
            .subscribe(&topic, "*")
            .consume_concurrently(inbox.listener());
        let consumer = consumer.start().await.unwrap();
        inbox.ids(ids.clone()).await;
        consumer.shutdown().await;
    }
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_consumer_that_is_started_again_gets_only_what_is_new() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("restart"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    for round in 0..3 {
        let ids = send(&producer, &topic, round * 10..round * 10 + 10).await;
        let mut inbox = Collector::new();
        let consumer = mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
        let consumer = consumer.start().await.unwrap();
        inbox.ids(ids).await;
        let report = consumer.shutdown().await;
        assert!(report.drained && report.abandoned == 0, "{report:?}");
        assert_eq!(inbox.count(), 10, "round {round} brought messages of an earlier one");
    }
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn offsets_are_committed_by_the_clock_too() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("clock"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let ids = send(&producer, &topic, 0..10).await;
    let mut inbox = Collector::new();
    let interval = std::time::Duration::from_millis(50);
    let first = mq
        .consumer(&group)
        .persist_consumer_offset_interval(interval)
        .subscribe(&topic, "*")
        .consume_concurrently(inbox.listener());
    let first = first.start().await.unwrap();
    inbox.ids(ids).await;
    tests::until_committed(&mq, &group, &topic, 10).await;
    // Another member takes over half of the queues while the first one goes on: none of its messages come again.
    let second = mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let second = second.start().await.unwrap();
    tests::eventually("the members share the queues", || {
        first.assignment().iter().filter(|queue| queue.topic() == topic).count() == 2
            && second.assignment().iter().filter(|queue| queue.topic() == topic).count() == 2
    })
    .await;
    let ids = send(&producer, &topic, 10..30).await;
    inbox.ids(ids).await;
    assert_eq!(inbox.count(), 30, "messages came again when the queues changed hands");
    first.shutdown().await;
    second.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_topic_may_come_after_its_consumer() {
    let mq = Cluster::start().await;
    let topic = unique("late");
    let mut inbox = Collector::new();
    // No heartbeat by the clock comes to its help: the broker learns of the group when the topic turns up.
    let consumer = mq
        .consumer(&unique("g"))
        .heartbeat_broker_interval(std::time::Duration::from_secs(3600))
        .subscribe(&topic, "*")
        .consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let producer = mq.producer().start().await.unwrap();
    let ids = send(&producer, &topic, 0..8).await;
    inbox.ids(ids).await;
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}
