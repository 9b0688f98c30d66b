//! A panic in the program's code costs only the call that ran it.

use rocketmq_client::{ErrorKind, Message, SendRequest};

use crate::cluster::{FakeBroker, FakeNameServer};

fn panicking() -> SendRequest {
    SendRequest::new(Message::new("T", "b")).select_queue(|_, _| panic!("no queue is good enough"))
}

#[tokio::test]
async fn a_selector_that_panics_fails_its_send_with_the_panics_words() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let ticket = producer.send_async(panicking()).await.unwrap();
    for failed in [ticket.await, producer.send(panicking()).await] {
        let error = failed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        assert!(error.to_string().contains("no queue is good enough"), "{error}");
        assert!(error.has_no_side_effects() && !error.is_retryable(), "{error}");
    }
    producer.send(Message::new("T", "after")).await.unwrap();
    assert_eq!(broker.bodies(), ["after"]);
    producer.shutdown().await;
}

#[tokio::test]
async fn a_callback_that_panics_leaves_the_producer_as_it_was() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let ticket = producer.send_async(Message::new("T", "before")).await.unwrap();
    let (called, was_called) = tokio::sync::oneshot::channel();
    ticket.on_complete(move |outcome| {
        called.send(outcome.is_ok()).unwrap();
        panic!("the program is not prepared for this");
    });
    assert!(was_called.await.unwrap());
    producer.send(Message::new("T", "after")).await.unwrap();
    producer.shutdown().await;
}
