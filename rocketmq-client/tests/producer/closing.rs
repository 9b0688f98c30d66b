//! The end of a producer: what is waited for, and what is not.

use std::time::Duration;

use rocketmq_client::{ErrorKind, Message, SendOutcome};

use crate::cluster::{FakeBroker, FakeNameServer, PATIENCE, Reply, STORE};

fn message() -> Message {
    Message::new("T", "b")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_sends_before_a_shutdown_all_arrive_at_a_slow_broker() {
    const SENDS: usize = 6_000;
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.decide(|_| {
        // Slower than the time that the brokers have to answer a goodbye.
        std::thread::sleep(Duration::from_micros(100));
        STORE
    });
    let builder = name_server.producer().mq_client_api_timeout(Duration::from_millis(100));
    let producer = builder.start().await.unwrap();
    for _ in 0..SENDS {
        producer.send_oneway(Message::new("T", vec![7; 1024])).await.unwrap();
    }
    let report = producer.shutdown().await;
    assert_eq!((report.abandoned, report.drained), (0, true));
    assert_eq!(broker.received().len(), SENDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_counts_the_one_way_sends_that_were_not_written() {
    const BODY_BYTES: usize = 1024 * 1024;
    // More than the kernel takes for a peer that does not read, and less than a connection's buffer.
    const SENDS: usize = 60;
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let builder = name_server.producer().await_termination_when_shutdown(Duration::from_millis(50));
    let builder = builder.compress_msg_body_over_howmuch(usize::MAX);
    let producer = builder.start().await.unwrap();
    producer.send(message()).await.unwrap();
    let stuck = broker.stop_reading();
    let body = rocketmq_client::Bytes::from(vec![7; BODY_BYTES]);
    for _ in 0..SENDS {
        producer.send_oneway(Message::new("T", body.clone())).await.unwrap();
    }
    let report = producer.shutdown().await;
    drop(stuck);
    assert!((1..=SENDS).contains(&report.abandoned) && !report.drained, "{report:?}");
}

/// However long an answer may take: a broker that says nothing is left a moment to say it.
#[tokio::test]
async fn a_hanging_broker_does_not_hold_up_a_shutdown() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().mq_client_api_timeout(10 * PATIENCE).start().await.unwrap();
    producer.send(message()).await.unwrap();
    broker.freeze(true);
    tokio::time::timeout(PATIENCE / 3, producer.shutdown()).await.expect("the shutdown waits");
}

#[tokio::test]
async fn shutdown_waits_for_the_sends_of_other_handles() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Hold);
    let producer = name_server.producer().start().await.unwrap();
    let other = producer.clone();
    let sending = tokio::spawn(async move { other.send(message()).await });
    broker.wait_for(1).await;
    let mut shutdown = Box::pin(producer.shutdown());
    assert!(futures_util::poll!(&mut shutdown).is_pending());
    let error = producer.send(message()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, SendOutcome::NotStored), "{error}");
    broker.release();
    shutdown.await;
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_gives_up_what_takes_too_long_and_says_that_it_may_be_stored() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Hold);
    let builder = name_server.producer().send_msg_timeout(PATIENCE);
    let builder = builder.await_termination_when_shutdown(Duration::from_millis(50));
    let producer = builder.start().await.unwrap();
    let ticket = producer.send_async(message()).await.unwrap();
    let other = producer.clone();
    let sending = tokio::spawn(async move { other.send(message()).await });
    broker.wait_for(2).await;
    let report = producer.shutdown().await;
    assert_eq!((report.abandoned, report.drained), (2, false));
    for failed in [ticket.await, sending.await.unwrap()] {
        let error = failed.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, SendOutcome::Unknown), "{error}");
    }
}

#[tokio::test]
async fn a_shutdown_goes_on_when_its_caller_stops_waiting() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Hold);
    let producer = name_server.producer().start().await.unwrap();
    let ticket = producer.send_async(message()).await.unwrap();
    broker.wait_for(1).await;
    let mut hasty = Box::pin(producer.shutdown());
    assert!(futures_util::poll!(&mut hasty).is_pending());
    drop(hasty);
    broker.release();
    ticket.await.unwrap();
    tokio::time::timeout(PATIENCE, producer.shutdown()).await.unwrap();
    tokio::time::timeout(PATIENCE, broker.connections()[0].closed()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_ends_what_is_under_way() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Hold);
    let producer = name_server.producer().send_msg_timeout(PATIENCE).start().await.unwrap();
    let other = producer.clone();
    let mut ticket = producer.send_async(message()).await.unwrap();
    broker.wait_for(1).await;
    drop(producer);
    assert!(futures_util::poll!(&mut ticket).is_pending(), "one handle is left");
    drop(other);
    let error = tokio::time::timeout(PATIENCE / 2, ticket).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, SendOutcome::Unknown), "{error}");
    tokio::time::timeout(PATIENCE, broker.connections()[0].closed()).await.unwrap();
}
