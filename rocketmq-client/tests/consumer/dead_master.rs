//! Brokers whose master is dead.

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::ResponseCode;

use crate::broker::{Asked, FakeBroker, FakeNameServer, Inbox, PATIENCE, Reply};

#[tokio::test]
async fn a_dead_master_stops_no_other_queue_and_its_own_are_consumed_once_it_is_back() {
    let (healthy, sick) = (FakeBroker::start().await, FakeBroker::start().await);
    healthy.has(0, 0..5);
    let dead = sick.die().await;
    let name_server = FakeNameServer::start(1, &[("a", &[(0, dead)]), ("b", &[(0, healthy.addr)])]).await;
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    assert_eq!(inbox.next(5).await, ["0:0", "0:1", "0:2", "0:3", "0:4"]);

    let back = FakeBroker::start().await;
    back.has(0, 0..3);
    name_server.set(1, &[("a", &[(0, back.addr)]), ("b", &[(0, healthy.addr)])]);
    assert_eq!(inbox.next(3).await, ["0:0", "0:1", "0:2"]);
    consumer.shutdown().await;
}

/// The name server still names the dead master, or no longer does: it makes no difference.
#[tokio::test]
async fn without_its_master_a_queue_is_consumed_from_the_slave_which_is_told_the_offset() {
    let (master, slave) = (FakeBroker::start().await, FakeBroker::start().await);
    slave.has(0, 0..5);
    slave.commit(0, 2);
    let dead = master.die().await;
    for named in [&[(0, dead), (1, slave.addr)][..], &[(1, slave.addr)][..]] {
        slave.commit(0, 2);
        let name_server = FakeNameServer::start(1, &[("a", named)]).await;
        let mut inbox = Inbox::new();
        let listener = inbox.listener();
        let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
        assert_eq!(inbox.next(3).await, ["0:2", "0:3", "0:4"], "the slave's offset counts");
        consumer.shutdown().await;
        slave.committed(0, 5).await;
    }
}

#[tokio::test]
async fn what_a_slave_was_told_its_master_is_told_too_once_it_is_back() {
    let (master, slave) = (FakeBroker::start().await, FakeBroker::start().await);
    slave.has(0, 0..2);
    slave.commit(0, 0);
    let name_server = FakeNameServer::start(1, &[("a", &[(1, slave.addr)])]).await;
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let interval = std::time::Duration::from_millis(20);
    let consumer = name_server.consumer().persist_consumer_offset_interval(interval);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    slave.committed(0, 2).await;
    // As it was when it died.
    master.commit(0, 1);
    name_server.set(1, &[("a", &[(0, master.addr), (1, slave.addr)])]);
    master.committed(0, 2).await;
    consumer.shutdown().await;
}

/// Else what came between the master's offset and the queue's end would be lost.
#[tokio::test]
async fn a_slave_that_knows_no_offset_does_not_make_a_group_begin_at_the_end() {
    let slave = FakeBroker::start().await;
    let name_server = FakeNameServer::start(1, &[("a", &[(1, slave.addr)])]).await;
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server
        .consumer()
        .consume_from_where(rocketmq_client::ConsumeFromWhere::LastOffset)
        .consume_concurrently(listener);
    let consumer = consumer.start().await.unwrap();
    let wanted = |asked: &Asked| matches!(asked, Asked::Offset { .. } | Asked::Pull { .. });
    for _ in 0..2 {
        let asked = slave.asked("for the offset", wanted).await;
        assert!(matches!(asked, Asked::Offset { .. }), "{asked:?}: it began without knowing where");
    }
    tokio::time::timeout(PATIENCE, consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_master_that_hangs_is_passed_over_until_it_answers_again() {
    let (master, slave) = (FakeBroker::start().await, FakeBroker::start().await);
    slave.has(0, 0..5);
    slave.commit(0, 0);
    master.decide(|_| Reply::Silence);
    // It is no farther than that.
    slave.decide(|asked| match asked {
        Asked::Pull { offset: 5, .. } => Reply::Refuse(ResponseCode::SystemBusy),
        _ => Reply::Usual,
    });
    let name_server = FakeNameServer::start(1, &[("a", &[(0, master.addr), (1, slave.addr)])]).await;
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().mq_client_api_timeout(std::time::Duration::from_millis(300));
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    inbox.next(5).await;
    let asked = master.rest().await;
    let waited_for = |asked: &Asked| matches!(asked, Asked::Offset { .. } | Asked::Pull { .. });
    assert!(!asked.iter().any(waited_for), "{asked:?}: one silence was enough to know");

    master.decide(|_| Reply::Usual);
    master.has(0, 5..6);
    assert_eq!(inbox.next(1).await, ["0:5"]);
    consumer.shutdown().await;
}
