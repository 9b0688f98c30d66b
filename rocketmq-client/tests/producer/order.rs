//! The order of one caller's messages, and what becomes of their bodies and properties.

use rocketmq_client::{ErrorKind, Message, MessageQueue, SendRequest, SysFlag};

use crate::cluster::{FakeBroker, FakeNameServer, Reply};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_sends_of_one_caller_to_one_queue_arrive_in_order() {
    const SENDS: usize = 20_000;
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let queue = MessageQueue::new("T", "a", 1);
    let mut tickets = Vec::with_capacity(SENDS);
    for number in 0..SENDS {
        let request = SendRequest::new(Message::new("T", number.to_string())).queue(queue.clone());
        tickets.push(producer.send_async(request).await.unwrap());
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let bodies = broker.bodies();
    let inversions = bodies.iter().enumerate().filter(|(at, body)| **body != at.to_string()).count();
    assert_eq!((inversions, bodies.len()), (0, SENDS));
    producer.shutdown().await;
}

/// What a task costs is a good part of what a send costs.
#[tokio::test]
async fn async_sends_under_way_have_no_tasks_of_their_own() {
    const SENDS: usize = 100;
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    producer.send(Message::new("T", "first")).await.unwrap();
    broker.reply(Reply::Hold);
    let (called, mut was_called) = tokio::sync::mpsc::unbounded_channel();
    let mut tickets = Vec::new();
    for _ in 0..SENDS {
        tickets.push(producer.send_async(Message::new("T", "awaited")).await.unwrap());
        let called = called.clone();
        let ticket = producer.send_async(Message::new("T", "calls back")).await.unwrap();
        ticket.on_complete(move |outcome| called.send(outcome.is_ok()).unwrap());
    }
    broker.wait_for(2 * SENDS + 1).await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks < SENDS, "{tasks} tasks while {} sends are under way", 2 * SENDS);
    broker.release();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    for _ in 0..SENDS {
        assert!(was_called.recv().await.unwrap());
    }
    producer.shutdown().await;
}

#[tokio::test]
async fn a_body_that_does_not_shrink_is_sent_plain() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let random: Vec<u8> = (0..64 * 1024).map(|_| rand::random()).collect();
    producer.send(Message::new("T", random.clone())).await.unwrap();
    producer.send(Message::new("T", vec![7; 64 * 1024])).await.unwrap();
    let received = broker.received();
    assert_eq!((received[0].header.sys_flag, &received[0].body[..]), (SysFlag::default().0, &random[..]));
    assert!(received[1].header.sys_flag != 0 && received[1].body.len() < 10_000);
    producer.shutdown().await;
}

#[tokio::test]
async fn properties_are_measured_with_those_that_the_client_adds() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let producer = name_server.producer().start().await.unwrap();
    let with = |bytes: usize| Message::new("T", "b").property("p", "x".repeat(bytes));
    let mut longest = 32_767;
    let refused = loop {
        match producer.send(with(longest)).await {
            Ok(_) => break longest + 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{error}"),
        }
        longest -= 1;
    };
    let sent = broker.received()[0].header.properties.clone().unwrap();
    assert!(sent.contains("UNIQ_KEY"), "{sent}");
    assert_eq!(sent.len(), 32_767, "the longest that is sent ({} is refused)", refused);
    producer.shutdown().await;
}
