//! What all requests of a producer have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rocketmq_client::{ErrorKind, Message, ResponseCode};

use crate::cluster::{FakeBroker, FakeNameServer, Reply, STORE, route};

#[tokio::test]
async fn a_broker_that_is_going_away_is_asked_again_on_a_new_connection() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::with_route(route(&[&broker], 1)).await;
    let leaving = AtomicBool::new(true);
    broker.decide(move |_| match leaving.swap(false, Ordering::Relaxed) {
        true => Reply::Refuse(ResponseCode::GoAway),
        false => STORE,
    });
    let producer = name_server.producer().retry_times_when_send_failed(0).start().await.unwrap();
    producer.send(Message::new("T", "b")).await.unwrap();
    assert_eq!((broker.received().len(), broker.connections().len()), (2, 2));
    producer.send(Message::new("T", "b")).await.unwrap();
    assert_eq!((broker.received().len(), broker.connections().len()), (3, 2));
    producer.shutdown().await;
}

#[tokio::test]
async fn a_send_without_waiting_is_asked_again_once_when_its_broker_goes_away() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::with_route(route(&[&broker], 1)).await;
    broker.reply(Reply::Refuse(ResponseCode::GoAway));
    let producer = name_server.producer().retry_times_when_send_async_failed(0).start().await.unwrap();
    let ticket = producer.send_async(Message::new("T", "b")).await.unwrap();
    let refused = ticket.await.unwrap_err();
    assert_eq!(refused.response_code(), Some(ResponseCode::GoAway.as_i32()), "{refused}");
    assert_eq!((broker.received().len(), broker.connections().len()), (2, 2));
    broker.reply(STORE);
    let _ = producer.send_async(Message::new("T", "b")).await.unwrap().await.unwrap();
    producer.shutdown().await;
}

#[tokio::test]
async fn a_crowd_asks_for_a_route_and_connects_once() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let sends = (0..100).map(|_| producer.send(Message::new("T", "b")));
    for sent in futures_util::future::join_all(sends).await {
        sent.unwrap();
    }
    broker.wait_for(100).await;
    assert_eq!((name_server.queries(), broker.connections().len()), (1, 1));
    producer.shutdown().await;
}

#[tokio::test]
async fn a_send_that_no_broker_answers_ends_in_time_and_may_have_been_stored() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Silence);
    let producer = name_server.producer().send_msg_timeout(Duration::from_millis(300)).start().await.unwrap();
    let error = producer.send(Message::new("T", "b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(!error.has_no_side_effects(), "{error}");
    producer.shutdown().await;
}
