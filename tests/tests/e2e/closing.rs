//! Shutdown, suspension, and what a client that was shut down answers.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::{ErrorKind, Message, SendRequest};
use tests::{Cluster, Collector, unique, within};
use tokio::sync::Semaphore;

#[tokio::test]
async fn shutdown_waits_for_the_listener_and_commits_what_it_did() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("drain"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "slow")).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let mut inbox = Collector::new();
    let (pass, opens) = (inbox.passer(), Arc::clone(&gate));
    let consumer = mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(move |messages, _| {
        let opens = Arc::clone(&opens);
        messages.into_iter().for_each(&pass);
        async move {
            let _ = opens.acquire().await.unwrap();
            ConsumeSuccess
        }
    });
    let consumer = consumer.start().await.unwrap();
    inbox.one().await;
    let stopping = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.shutdown().await }
    });
    tests::eventually("shutdown has begun", || consumer.assignment().is_empty() || !stopping.is_finished())
        .await;
    gate.add_permits(1);
    let report = within("shutdown", stopping).await.unwrap();
    assert!(report.drained, "{report:?}");
    assert_eq!(report.abandoned, 0);

    let second = producer.send(Message::new(topic.clone(), "second")).await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    assert_eq!(*inbox.one().await.msg_id(), *second.msg_id, "the first message was not committed");
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn shutdown_gives_up_on_a_listener_that_never_ends_and_its_message_comes_again() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("stuck"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let sent = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
    let mut inbox = Collector::new();
    let pass = inbox.passer();
    let consumer = mq
        .consumer(&group)
        .await_termination_when_shutdown(Duration::from_millis(50))
        .subscribe(&topic, "*")
        .consume_concurrently(move |messages, _| {
            messages.into_iter().for_each(&pass);
            std::future::pending::<rocketmq_client::ConsumeConcurrentlyStatus>()
        });
    let consumer = consumer.start().await.unwrap();
    inbox.one().await;
    let report = within("shutdown", consumer.shutdown()).await;
    assert!(!report.drained);
    assert_eq!(report.abandoned, 1);

    let consumer = mq.consumer(&group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    assert_eq!(*inbox.one().await.msg_id(), *sent.msg_id);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_suspended_consumer_pulls_nothing_until_it_is_resumed() {
    let mq = Cluster::start().await;
    let topic = unique("suspended");
    let producer = mq.producer().start().await.unwrap();
    let to_one_queue =
        |body: String| SendRequest::new(Message::new(topic.clone(), body)).select_queue(|_, _| 0);
    let _ = producer.send(to_one_queue("before".into())).await.unwrap();
    let (mut inbox, mut witness) = (Collector::new(), Collector::new());
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let other = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(witness.listener());
    let other = other.start().await.unwrap();
    inbox.one().await;
    witness.one().await;

    consumer.suspend();
    for i in 0..10 {
        let _ = producer.send(to_one_queue(format!("{i}"))).await.unwrap();
        witness.one().await;
    }
    assert_eq!(inbox.count(), 1, "messages came while suspended");
    consumer.resume();
    inbox.next(10).await;
    consumer.shutdown().await;
    other.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_client_that_was_shut_down_says_so() {
    let mq = Cluster::start().await;
    let topic = unique("closed");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
    producer.shutdown().await;
    producer.shutdown().await;
    let message = || Message::new(topic.clone(), "x");
    assert_eq!(producer.send(message()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(producer.send_oneway(message()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(producer.send_async(message()).await.unwrap_err().kind(), ErrorKind::Closed);
    let error = producer.fetch_publish_message_queues(&topic).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("shut down"), "{error}");

    let inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    consumer.shutdown().await;
    assert!(consumer.shutdown().await.drained, "a second shutdown does nothing");
    assert_eq!(consumer.subscribe(&topic, "*").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(consumer.unsubscribe(&topic).await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(consumer.assignment().is_empty());
    mq.stop().await;
}
