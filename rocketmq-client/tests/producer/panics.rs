//! A panic in the program's code costs only the call that ran it.

use rocketmq_client::{ErrorKind, Message, SendRequest};

use crate::cluster::{FakeBroker, FakeNameServer, PATIENCE, Reply, STORE};

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

/// On one thread, which a callback that ran on it would stop.
#[tokio::test]
async fn callbacks_that_block_hold_up_nothing_but_what_they_have_in_flight() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().back_pressure_for_async_send_num(2).start().await.unwrap();
    let send_async = |body: &'static str| producer.send_async(Message::new("T", body));
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let (called, was_called) = tokio::sync::oneshot::channel();
    send_async("blocks").await.unwrap().on_complete(move |_| {
        called.send(()).unwrap();
        blocked.recv_timeout(PATIENCE).unwrap();
    });
    was_called.await.unwrap();
    producer.send(Message::new("T", "b")).await.unwrap();
    send_async("c").await.unwrap().await.unwrap();
    let (called, was_called) = tokio::sync::oneshot::channel();
    let other = send_async("d").await.unwrap();
    other.on_complete(|outcome| called.send(outcome.is_ok()).unwrap());
    assert!(was_called.await.unwrap(), "another callback");
    let _held = send_async("e").await.unwrap();
    let mut shutdown = Box::pin(producer.shutdown());
    assert!(futures_util::poll!(&mut shutdown).is_pending(), "shutdown waits for the callback");
    unblock.send(()).unwrap();
    shutdown.await;
    assert_eq!(broker.bodies(), ["blocks", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn callbacks_that_take_long_hold_up_sends_instead_of_piling_up() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Hold);
    let producer = name_server.producer().back_pressure_for_async_send_num(1).start().await.unwrap();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let (called, was_called) = tokio::sync::oneshot::channel();
    producer.send_async(Message::new("T", "blocks")).await.unwrap().on_complete(move |_| {
        called.send(()).unwrap();
        blocked.recv_timeout(PATIENCE).unwrap();
    });
    broker.wait_for(1).await;
    broker.reply(STORE);
    broker.release();
    was_called.await.unwrap();
    let mut next = Box::pin(producer.send_async(Message::new("T", "next")));
    assert!(futures_util::poll!(&mut next).is_pending());
    unblock.send(()).unwrap();
    next.await.unwrap().await.unwrap();
    producer.shutdown().await;
}
