//! Which offsets are committed, and what a broker's correction changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::ConsumeFromWhere;
use tokio::sync::Semaphore;

use crate::broker::{Asked, FakeBroker, FakeNameServer, Inbox, MAX_OFFSET, PATIENCE, Reply, one_broker};

#[tokio::test]
async fn a_new_group_commits_where_it_begins_before_any_message_comes() {
    let (name_server, broker) = one_broker(1).await;
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().consume_from_where(ConsumeFromWhere::LastOffset);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    broker.committed(0, MAX_OFFSET).await;
    consumer.shutdown().await;
}

#[tokio::test]
async fn the_first_commit_of_a_topic_is_answered_before_others_follow() {
    const ANSWER_TAKES: Duration = Duration::from_millis(200);
    let (name_server, broker) = one_broker(4).await;
    let first: Arc<Mutex<Option<Instant>>> = Arc::default();
    let seen = Arc::clone(&first);
    broker.decide(move |asked| match asked {
        Asked::Commit { .. } => match *seen.lock().unwrap() {
            Some(at) => {
                assert!(at.elapsed() >= ANSWER_TAKES, "4.9 loses one of two first commits at once");
                Reply::Usual
            }
            ref mut first => {
                *first = Some(Instant::now());
                Reply::Late(ANSWER_TAKES)
            }
        },
        _ => Reply::Usual,
    });
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().consume_from_where(ConsumeFromWhere::LastOffset);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    for _ in 0..4 {
        broker.asked("a commit", |asked| matches!(asked, Asked::Commit { .. })).await;
    }
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_hangs_at_its_first_commit_holds_up_no_other_brokers() {
    let (hanging, healthy) = (FakeBroker::start().await, FakeBroker::start().await);
    hanging.decide(|asked| match asked {
        Asked::Commit { .. } => Reply::Silence,
        _ => Reply::Usual,
    });
    let name_server = FakeNameServer::start(1, &[("a", &[(0, hanging.addr)])]).await;
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    hanging.committed(0, 0).await;
    name_server.set(1, &[("a", &[(0, hanging.addr)]), ("b", &[(0, healthy.addr)])]);
    // A commit may take 5 s, and waiting for the first one made the others wait for several.
    let committed = tokio::time::timeout(Duration::from_secs(9), healthy.committed(0, 0)).await;
    assert!(committed.is_ok(), "the healthy broker waits for the other one");
    drop(consumer);
}

#[tokio::test]
async fn while_a_broker_hangs_one_commit_of_each_queue_is_under_way_and_they_end_together() {
    const QUEUES: usize = 50;
    let (name_server, broker) = one_broker(50).await;
    let is_hanging = Arc::new(AtomicBool::new(true));
    let hangs = Arc::clone(&is_hanging);
    broker.decide(move |asked| match asked {
        Asked::Commit { .. } if hangs.load(Ordering::SeqCst) => Reply::Silence,
        _ => Reply::Usual,
    });
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().persist_consumer_offset_interval(Duration::from_millis(10));
    let consumer = consumer.consume_from_where(ConsumeFromWhere::LastOffset);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    for _ in 0..QUEUES {
        broker.asked("a pull", |asked| matches!(asked, Asked::Pull { .. })).await;
    }
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    // Each of these waits for the commits, and the clock goes on meanwhile.
    for _ in 0..3 {
        broker.tells_of_a_change();
        broker.asked("who is in the group", |asked| matches!(asked, Asked::Members { .. })).await;
    }
    assert!(tasks() < before + 2 * QUEUES, "{} tasks, {before} before", tasks());
    // The topic's first commit goes alone. Once it is given up, the others do not wait for each other.
    for _ in 1..QUEUES {
        broker.asked("a commit", |asked| matches!(asked, Asked::Commit { .. })).await;
    }
    is_hanging.store(false, Ordering::SeqCst);
    tokio::time::timeout(PATIENCE, consumer.shutdown()).await.expect("the shutdown waits");
}

#[tokio::test]
async fn a_broker_that_forgot_an_offset_is_told_again() {
    let (name_server, broker) = one_broker(1).await;
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().persist_consumer_offset_interval(Duration::from_millis(20));
    let consumer = consumer.consume_from_where(ConsumeFromWhere::LastOffset);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    broker.committed(0, MAX_OFFSET).await;
    broker.committed(0, MAX_OFFSET).await;
    consumer.shutdown().await;
    let commits = broker.rest().await.into_iter().filter(|asked| matches!(asked, Asked::Commit { .. }));
    assert_eq!(commits.count(), 0, "twice is enough");
}

/// Five messages are held by a listener that waits; the broker answers the next pull as if it had lost the rest.
async fn correct_to(next: i64) -> (Vec<String>, Vec<String>, Vec<Asked>) {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 10..15);
    broker.has(0, 3..5);
    broker.has(0, 50..52);
    broker.commit(0, 10);
    let mut moved = false;
    broker.decide(move |asked| match asked {
        Asked::Pull { offset: 15, .. } if !std::mem::replace(&mut moved, true) => Reply::OffsetMoved(next),
        _ => Reply::Usual,
    });
    let mut inbox = Inbox::new();
    let (pass, gate) = (inbox.passer(), Arc::new(Semaphore::new(0)));
    let opens = Arc::clone(&gate);
    let consumer = name_server
        .consumer()
        .pull_batch_size(5)
        .await_termination_when_shutdown(std::time::Duration::ZERO)
        .consume_concurrently(move |messages, _| {
            let (pass, opens) = (pass.clone(), Arc::clone(&opens));
            async move {
                opens.acquire().await.unwrap().forget();
                pass(&messages);
                ConsumeSuccess
            }
        })
        .start()
        .await
        .unwrap();
    broker.asked("the pull that is corrected", |asked| matches!(asked, Asked::Pull { offset: 15, .. })).await;
    gate.add_permits(5);
    let held = inbox.next(5).await;
    gate.add_permits(2);
    let after = inbox.next(2).await;
    consumer.shutdown().await;
    (held, after, broker.rest().await)
}

const HELD: [&str; 5] = ["0:10", "0:11", "0:12", "0:13", "0:14"];

#[tokio::test]
async fn an_offset_moved_forward_loses_nothing_that_is_held() {
    let (held, after, asked) = correct_to(50).await;
    assert_eq!((held, after), (HELD.map(str::to_owned).into(), vec!["0:50".to_owned(), "0:51".to_owned()]));
    assert!(asked.contains(&Asked::Commit { queue_id: 0, offset: 52 }), "{asked:?}");
}

#[tokio::test]
async fn an_offset_moved_backward_waits_for_what_is_held() {
    let (held, after, asked) = correct_to(3).await;
    assert_eq!((held, after), (HELD.map(str::to_owned).into(), vec!["0:3".to_owned(), "0:4".to_owned()]));
    let pulled = asked.iter().find(|asked| matches!(asked, Asked::Pull { .. }));
    assert_eq!(pulled, Some(&Asked::Pull { queue_id: 0, offset: 3 }));
}

#[tokio::test]
async fn a_broker_that_moves_an_offset_nowhere_is_not_asked_in_a_loop() {
    let (name_server, broker) = one_broker(1).await;
    broker.decide(|asked| match asked {
        Asked::Pull { offset, .. } => Reply::OffsetMoved(*offset),
        _ => Reply::Usual,
    });
    let listener = |_: Vec<_>, _| std::future::ready(ConsumeSuccess);
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    let began = std::time::Instant::now();
    for _ in 0..4 {
        broker.asked("for messages", |asked| matches!(asked, Asked::Pull { .. })).await;
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(250), "{:?}", began.elapsed());
    consumer.shutdown().await;
}
