//! Consumers that share a topic.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocketmq_client::{DefaultMQProducer, DefaultMQPushConsumer, Message};
use tests::{Cluster, Collector, eventually, unique};

fn queues_of(consumer: &DefaultMQPushConsumer, topic: &str) -> BTreeSet<i32> {
    let assigned = consumer.assignment();
    assigned.iter().filter(|queue| queue.topic() == topic).map(|queue| queue.queue_id()).collect()
}

/// Sends until it is told to stop; returns the ids of what was acknowledged.
fn send_until(
    stop: &Arc<AtomicBool>,
    producer: &DefaultMQProducer,
    topic: &str,
) -> tokio::task::JoinHandle<Vec<String>> {
    let (stop, producer, topic) = (Arc::clone(stop), producer.clone(), topic.to_owned());
    tokio::spawn(async move {
        let mut ids = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let sent = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
            ids.push(sent.msg_id.to_string());
        }
        ids
    })
}

#[tokio::test]
async fn members_that_join_and_leave_lose_nothing() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("shared"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "creates the topic")).await.unwrap();
    let mut inbox = Collector::new();
    let member = || mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let first = member().start().await.unwrap();
    eventually("the only member has all queues", || queues_of(&first, &topic).len() == 4).await;

    let stop = Arc::new(AtomicBool::new(false));
    let sending = send_until(&stop, &producer, &topic);
    let second = member().start().await.unwrap();
    eventually("two members have two queues each, and no queue twice", || {
        let (one, other) = (queues_of(&first, &topic), queues_of(&second, &topic));
        one.len() == 2 && other.len() == 2 && one.is_disjoint(&other)
    })
    .await;
    let third = member().start().await.unwrap();
    eventually("the third member has a share", || queues_of(&third, &topic).len() == 1).await;
    first.shutdown().await;
    third.shutdown().await;
    eventually("the last member has all queues again", || queues_of(&second, &topic).len() == 4).await;
    stop.store(true, Ordering::SeqCst);
    let ids = sending.await.unwrap();
    let expected = ids.len();
    let received = inbox.ids(ids).await;
    println!("{expected} sent while the group changed four times, {} consumed", received.len());
    second.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn groups_each_get_every_message() {
    let mq = Cluster::start().await;
    let topic = unique("groups");
    let producer = mq.producer().start().await.unwrap();
    let mut ids = Vec::new();
    for i in 0..20 {
        ids.push(
            producer.send(Message::new(topic.clone(), format!("{i}"))).await.unwrap().msg_id.to_string(),
        );
    }
    for _ in 0..2 {
        let mut inbox = Collector::new();
        let consumer =
            mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
        let consumer = consumer.start().await.unwrap();
        inbox.ids(ids.clone()).await;
        consumer.shutdown().await;
        assert_eq!(inbox.count(), 20);
    }
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_member_that_is_dropped_leaves_its_queues_to_the_others() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("dropped"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "creates the topic")).await.unwrap();
    let inbox = Collector::new();
    let member = || mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let (first, second) = (member().start().await.unwrap(), member().start().await.unwrap());
    eventually("the members share the queues", || {
        queues_of(&first, &topic).len() == 2 && queues_of(&second, &topic).len() == 2
    })
    .await;
    drop(first);
    eventually("the other member has all queues", || queues_of(&second, &topic).len() == 4).await;
    second.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}
