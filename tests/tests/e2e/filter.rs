//! Picking messages by tag.

use rocketmq_client::{DefaultMQProducer, ErrorKind, Message, SendRequest};
use tests::{Cluster, Collector, unique};

/// Sends messages with these tags to one queue, so that a consumer with one listener sees them in this order.
async fn send_tags(producer: &DefaultMQProducer, topic: &str, tags: &[&str]) {
    for (at, tag) in tags.iter().enumerate() {
        let message = Message::new(topic.to_owned(), format!("{at}"));
        let message = if tag.is_empty() { message } else { message.tags(tag) };
        let _ = producer.send(SendRequest::new(message).select_queue(|_, _| 0)).await.unwrap();
    }
}

/// The tags that a consumer with this expression gets of a topic that ends with a message it wants, tagged `last`.
async fn tags_that_come(mq: &Cluster, topic: &str, expression: &str, last: &str) -> Vec<String> {
    let mut inbox = Collector::new();
    let consumer = mq
        .consumer(&unique("g"))
        .consume_thread_max(1)
        .subscribe(topic, expression)
        .consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let last = Some(last);
    let messages = inbox
        .until(&format!("the last message by {expression:?}"), |messages| {
            messages.last().is_some_and(|message| message.get_tags() == last)
        })
        .await;
    consumer.shutdown().await;
    messages.iter().map(|message| message.get_tags().unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn tag_expressions_pick_in_each_form_that_java_takes() {
    let mq = Cluster::start().await;
    let topic = unique("tags");
    let producer = mq.producer().start().await.unwrap();
    send_tags(&producer, &topic, &["TagA", "TagB", "TagC", "", "TagA", "TagB", "End"]).await;
    let picks = async |expression: &str| tags_that_come(&mq, &topic, expression, "End").await.join(" ");
    assert_eq!(picks("TagA || TagB || End").await, "TagA TagB TagA TagB End");
    assert_eq!(picks("TagA||TagB||End").await, "TagA TagB TagA TagB End");
    assert_eq!(picks("  TagC  ||  End  ").await, "TagC End");
    assert_eq!(picks("End").await, "End");
    assert_eq!(picks("*").await, "TagA TagB TagC none TagA TagB End");
    assert_eq!(picks("").await, "TagA TagB TagC none TagA TagB End");
    producer.shutdown().await;
    mq.stop().await;
}

/// `Aa` and `BB` have one hash code, and the hash code is all that the broker compares.
#[tokio::test]
async fn tags_of_equal_hash_are_told_apart() {
    let mq = Cluster::start().await;
    let topic = unique("hashes");
    let producer = mq.producer().start().await.unwrap();
    send_tags(&producer, &topic, &["BB", "Aa", "BB", "BB", "Aa", "End"]).await;
    assert_eq!(tags_that_come(&mq, &topic, "Aa || End", "End").await, ["Aa", "Aa", "End"]);
    assert_eq!(tags_that_come(&mq, &topic, "BB || End", "End").await, ["BB", "BB", "BB", "End"]);
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_held_pull_is_not_answered_with_other_tags() {
    let mq = Cluster::start().await;
    let topic = unique("held");
    let producer = mq.producer().start().await.unwrap();
    send_tags(&producer, &topic, &["TagA"]).await;
    let mut inbox = Collector::new();
    let consumer = mq
        .consumer(&unique("g"))
        .consume_thread_max(1)
        .subscribe(&topic, "TagA")
        .consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    inbox.one().await;
    // From here on pulls wait at the end of the queue.
    send_tags(&producer, &topic, &["TagB", "TagB", "TagA"]).await;
    assert_eq!(inbox.one().await.get_tags(), Some("TagA"));
    assert_eq!(inbox.count(), 2);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn topics_and_tags_are_subscribed_and_unsubscribed_at_run_time() {
    let mq = Cluster::start().await;
    let (first, second) = (unique("first"), unique("second"));
    let producer = mq.producer().start().await.unwrap();
    send_tags(&producer, &first, &["TagA"]).await;
    send_tags(&producer, &second, &["TagB", "TagA"]).await;
    let mut inbox = Collector::new();
    let consumer = mq
        .consumer(&unique("g"))
        .consume_thread_max(1)
        .subscribe(&first, "*")
        .consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    assert_eq!(inbox.one().await.topic(), first);

    consumer.subscribe(&second, "TagA").await.unwrap();
    let message = inbox.one().await;
    assert_eq!((message.topic(), message.get_tags()), (&*second, Some("TagA")));

    consumer.unsubscribe(&first).await.unwrap();
    tests::eventually("the unsubscribed topic's queues are given back", || {
        consumer.assignment().iter().all(|queue| queue.topic() != first)
    })
    .await;
    send_tags(&producer, &first, &["TagA"]).await;
    consumer.subscribe(&second, "TagB").await.unwrap();
    send_tags(&producer, &second, &["TagB"]).await;
    let message = inbox.one().await;
    assert_eq!((message.topic(), message.get_tags()), (&*second, Some("TagB")));
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn expressions_that_cannot_be_are_refused() {
    let mq = Cluster::start().await;
    let collector = Collector::new();
    let builder =
        mq.consumer(&unique("g")).subscribe(unique("t"), "||").consume_concurrently(collector.listener());
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    mq.stop().await;
}
