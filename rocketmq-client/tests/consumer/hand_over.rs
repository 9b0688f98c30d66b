//! Queues that change hands.

use std::sync::Arc;

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use tokio::sync::Semaphore;

use crate::broker::{Asked, Inbox, PATIENCE, Reply, one_broker};

#[tokio::test]
async fn who_takes_a_queue_from_another_begins_where_that_one_ended() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..10);
    broker.commit(0, 3);
    broker.joined_by("zzz: the queue's owner until now");
    let broker = Arc::new(broker);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    // The other one commits as soon as it learns that the group has changed.
    broker.commit(0, 5);
    assert_eq!(inbox.next(5).await, ["0:5", "0:6", "0:7", "0:8", "0:9"]);
    consumer.shutdown().await;
}

#[tokio::test]
async fn who_gives_a_queue_up_lets_its_calls_end_and_commits_what_they_did() {
    let (name_server, broker) = one_broker(2).await;
    broker.has(0, 0..1);
    broker.has(1, 0..1);
    let mut inbox = Inbox::new();
    let (pass, gate) = (inbox.passer(), Arc::new(Semaphore::new(0)));
    let opens = Arc::clone(&gate);
    let consumer = name_server.consumer().consume_concurrently(move |messages, _| {
        let opens = Arc::clone(&opens);
        pass(&messages);
        async move {
            drop(opens.acquire().await.unwrap());
            ConsumeSuccess
        }
    });
    let consumer = consumer.start().await.unwrap();
    assert_eq!(inbox.next(2).await, ["0:0", "1:0"]);
    for _ in 0..2 {
        broker.asked("where it begins", |asked| matches!(asked, Asked::Commit { offset: 0, .. })).await;
    }
    broker.joined_by("zzz");
    broker.asked("who is in the group now", |asked| *asked == Asked::Members { count: 2 }).await;
    gate.add_permits(1);
    broker.committed(1, 1).await;
    assert_eq!(consumer.assignment().iter().filter(|queue| queue.topic() == "T").count(), 1);
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_late_commit_does_not_take_the_next_owners_back() {
    let (name_server, broker) = one_broker(2).await;
    broker.has(1, 0..5);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    // What is committed before the hand-over is lost on its way.
    broker.decide(|asked| match asked {
        Asked::Commit { queue_id: 1, .. } => Reply::Refuse(rocketmq_client::ResponseCode::SystemError),
        _ => Reply::Usual,
    });
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    inbox.next(5).await;
    broker.rest().await;
    // The next owner is further already.
    broker.commit(1, 7);
    broker.joined_by("zzz");
    broker.asked("how far the next owner is", |asked| *asked == Asked::Offset { queue_id: 1 }).await;
    tokio::time::timeout(PATIENCE, consumer.shutdown()).await.unwrap();
    let asked = broker.rest().await;
    let commits = asked.iter().filter(|asked| matches!(asked, Asked::Commit { queue_id: 1, .. }));
    assert_eq!(commits.count(), 0, "{asked:?}");
}
