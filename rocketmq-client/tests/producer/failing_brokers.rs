//! Brokers that hang, refuse or store badly, beside others that do not.

use std::time::{Duration, Instant};

use rocketmq_client::{ErrorKind, Message, ResponseCode, SendOutcome, SendStatus};

use crate::cluster::{FakeBroker, FakeNameServer, PATIENCE, Reply, STORE, closed_port, route};

fn message(number: usize) -> Message {
    Message::new("T", format!("{number}"))
}

#[tokio::test]
async fn no_send_fails_while_one_of_two_brokers_hangs_and_it_is_used_again_afterwards() {
    let (well, hanging) = (FakeBroker::start("a").await, FakeBroker::start("b").await);
    let name_server = FakeNameServer::start(&[&well, &hanging]).await;
    let producer = name_server.producer().start().await.unwrap();
    for number in 0..8 {
        producer.send(message(number)).await.unwrap();
    }
    let before = hanging.received().len();
    hanging.freeze(true);
    for number in 0..2_000 {
        producer.send(message(number)).await.unwrap();
    }
    assert_eq!(hanging.received().len() - before, 1, "only the first send had to find out");
    hanging.freeze(false);
    let used_again = async {
        while hanging.received().len() == before + 1 {
            producer.send(message(0)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, used_again).await.unwrap();
    producer.shutdown().await;
}

#[tokio::test]
async fn sends_in_flight_to_a_broker_that_hangs_all_reach_the_other() {
    let (well, hanging) = (FakeBroker::start("a").await, FakeBroker::start("b").await);
    let name_server = FakeNameServer::start(&[&well, &hanging]).await;
    let producer = name_server.producer().start().await.unwrap();
    hanging.freeze(true);
    let sends = (0..100).map(|number| producer.send(message(number)));
    for sent in futures_util::future::join_all(sends).await {
        assert_eq!(sent.unwrap().message_queue.broker_name(), "a");
    }
    producer.shutdown().await;
}

#[tokio::test]
async fn sends_without_waiting_go_to_another_broker_when_theirs_hangs_refuses_or_ends() {
    let (well, bad) = (FakeBroker::start("a").await, FakeBroker::start("b").await);
    let name_server = FakeNameServer::start(&[&well, &bad]).await;
    let producer = name_server.producer().start().await.unwrap();
    let mut tickets = Vec::new();
    bad.reply(Reply::Refuse(ResponseCode::SystemBusy));
    for number in 0..20 {
        tickets.push(producer.send_async(message(number)).await.unwrap());
    }
    bad.reply(Reply::Silence);
    for number in 20..40 {
        tickets.push(producer.send_async(message(number)).await.unwrap());
    }
    bad.wait_for(20).await;
    bad.connections()[0].close("the test ends it");
    for ticket in tickets {
        assert_eq!(ticket.await.unwrap().message_queue.broker_name(), "a");
    }
    producer.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_refuses_connections_is_left_out() {
    let well = FakeBroker::start("a").await;
    let mut data = route(&[&well, &well], 4);
    data.broker_datas[1].broker_name = "gone".into();
    data.broker_datas[1].broker_addrs.insert(0, closed_port().await.to_string());
    data.queue_datas[1].broker_name = "gone".into();
    let name_server = FakeNameServer::with_route(data).await;
    let producer = name_server.producer().retry_times_when_send_failed(1).start().await.unwrap();
    for number in 0..100 {
        producer.send(message(number)).await.unwrap();
    }
    assert_eq!(well.received().len(), 100);
    producer.shutdown().await;
}

#[tokio::test]
async fn tries_on_the_only_broker_pause_and_each_is_told_of() {
    let only = FakeBroker::start("a").await;
    let mut data = route(&[&only], 4);
    data.broker_datas[0].broker_addrs.insert(0, closed_port().await.to_string());
    let name_server = FakeNameServer::with_route(data).await;
    let timeout = Duration::from_secs(2);
    let producer = name_server.producer().send_msg_timeout(timeout).start().await.unwrap();
    let started = Instant::now();
    let error = producer.send(message(0)).await.unwrap_err();
    assert!(started.elapsed() > timeout / 8, "three tries took only {:?}", started.elapsed());
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Connect, 3), "{error}");
    assert_eq!((error.outcome(), error.topic()), (SendOutcome::NotStored, Some("T")));
    producer.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_comes_back_within_the_sends_time_gets_the_message() {
    let only = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&only]).await;
    let refused = std::sync::atomic::AtomicUsize::new(0);
    only.decide(move |_| match refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 | 1 => Reply::Refuse(ResponseCode::SystemBusy),
        _ => STORE,
    });
    let producer = name_server.producer().start().await.unwrap();
    producer.send(message(0)).await.unwrap();
    assert_eq!(only.received().len(), 3);
    producer.shutdown().await;
}

#[tokio::test]
async fn one_try_leaves_one_attempt() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    broker.reply(Reply::Refuse(ResponseCode::MessageIllegal));
    let producer = name_server.producer().start().await.unwrap();
    let error = producer.send(message(0)).await.unwrap_err();
    assert_eq!((error.kind(), error.response_code()), (ErrorKind::Broker, Some(13)), "{error}");
    assert_eq!((error.attempts().len(), error.attempts()[0].broker_name.as_str()), (1, "a"));
    assert!(error.to_string().starts_with("CODE: 13"), "{error}");
    producer.shutdown().await;
}

/// `b` is asked whenever `a` has stored the message badly, and the other way round.
async fn send_with_store_ok_wanted(a: Reply, b: Reply) -> (SendStatus, usize, usize) {
    let brokers = (FakeBroker::start("a").await, FakeBroker::start("b").await);
    brokers.0.reply(a);
    brokers.1.reply(b);
    let name_server = FakeNameServer::start(&[&brokers.0, &brokers.1]).await;
    let producer = name_server.producer().retry_another_broker_when_not_store_ok(true).start().await.unwrap();
    let result = producer.send(message(0)).await.unwrap();
    producer.shutdown().await;
    (result.send_status, brokers.0.received().len(), brokers.1.received().len())
}

#[tokio::test]
async fn a_message_stored_badly_goes_to_another_broker_and_stays_a_success() {
    let badly = Reply::Store(ResponseCode::FlushDiskTimeout);
    for _ in 0..8 {
        let (status, _, well) = send_with_store_ok_wanted(badly, STORE).await;
        assert_eq!((status, well), (SendStatus::SendOk, 1));
        let (status, bad, refused) =
            send_with_store_ok_wanted(badly, Reply::Refuse(ResponseCode::NoPermission)).await;
        assert_eq!((status, bad), (SendStatus::FlushDiskTimeout, 1));
        assert!(refused <= 1, "{refused}");
        let (status, first, second) = send_with_store_ok_wanted(badly, badly).await;
        assert_eq!(
            (status, first, second),
            (SendStatus::FlushDiskTimeout, 1, 1),
            "no broker stores it twice"
        );
    }
}
