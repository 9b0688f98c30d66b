//! The end of a consumer.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use tokio::sync::Semaphore;

use crate::broker::{Asked, FakeBroker, FakeNameServer, Inbox, PATIENCE, one_broker};
use crate::peers::hanging_peer;

fn is_unregister(asked: &Asked) -> bool {
    *asked == Asked::Unregister
}

#[tokio::test]
async fn a_shutdown_commits_before_the_group_learns_of_it() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..3);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    inbox.next(3).await;
    let report = consumer.shutdown().await;
    assert_eq!((report.abandoned, report.drained), (0, true));
    let asked = broker.rest().await;
    let commit = asked.iter().position(|asked| *asked == Asked::Commit { queue_id: 0, offset: 3 });
    let left = asked.iter().position(is_unregister);
    assert!(commit.is_some() && commit < left, "{asked:?}");
    assert_eq!(consumer.shutdown().await, report, "every call reports the same");
}

/// However long an answer may take: a broker that says nothing is left a moment to say it.
#[tokio::test]
async fn a_hanging_broker_holds_up_neither_a_start_nor_a_shutdown() {
    let (broker, hanging) = (FakeBroker::start().await, hanging_peer().await);
    let brokers: [(_, &[_]); 2] = [("a", &[(0, broker.addr)]), ("b", &[(0, hanging)])];
    let name_server = FakeNameServer::start(1, &brokers).await;
    broker.has(0, 0..3);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let builder = name_server.consumer().mq_client_api_timeout(10 * PATIENCE);
    let consumer = builder.consume_concurrently(listener).start();
    let consumer = tokio::time::timeout(PATIENCE / 3, consumer).await.expect("the start waits").unwrap();
    inbox.next(3).await;
    tokio::time::timeout(PATIENCE / 3, consumer.shutdown()).await.expect("the shutdown waits");
    broker.committed(0, 3).await;
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_goes_on_and_leaves_no_zombie() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..1);
    let mut inbox = Inbox::new();
    let (pass, gate) = (inbox.passer(), Arc::new(Semaphore::new(0)));
    let opens = Arc::clone(&gate);
    let builder = || name_server.consumer().instance_name("one");
    let consumer = builder().consume_concurrently(move |messages, _| {
        let opens = Arc::clone(&opens);
        pass(&messages);
        async move {
            drop(opens.acquire().await.unwrap());
            ConsumeSuccess
        }
    });
    let consumer = consumer.start().await.unwrap();
    inbox.next(1).await;
    let waiting = tokio::time::timeout(Duration::from_millis(20), consumer.shutdown());
    assert!(waiting.await.is_err(), "its listener is still at work");
    assert_eq!(consumer.unsubscribe("T").await.unwrap_err().kind(), rocketmq_client::ErrorKind::Closed);
    gate.add_permits(1);
    broker.committed(0, 1).await;
    broker.asked("to forget the consumer", is_unregister).await;
    let report = tokio::time::timeout(PATIENCE, consumer.shutdown()).await.unwrap();
    assert!(report.drained);

    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let again = builder().consume_concurrently(listener).start().await.unwrap();
    again.shutdown().await;
}

#[tokio::test]
async fn a_start_that_failed_may_be_tried_again_at_once() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for _ in 0..2 {
        let consumer = rocketmq_client::DefaultMQPushConsumer::builder("g")
            .namesrv_addr(nobody.to_string())
            .instance_name("the same")
            .subscribe("T", "*")
            .consume_concurrently(|_, _| std::future::ready(ConsumeSuccess));
        let error = consumer.start().await.unwrap_err();
        assert_eq!(error.kind(), rocketmq_client::ErrorKind::NameServerUnreachable, "{error}");
    }
}

/// Its instance may live on with others: no broker notices by itself that one consumer is gone.
#[tokio::test]
async fn a_consumer_whose_last_handle_is_dropped_says_goodbye_and_commits() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..2);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    inbox.next(2).await;
    drop(consumer.clone());
    assert!(broker.rest().await.iter().all(|asked| !is_unregister(asked)), "one handle is left");
    drop(consumer);
    broker.committed(0, 2).await;
    broker.asked("to forget the consumer", is_unregister).await;
}
