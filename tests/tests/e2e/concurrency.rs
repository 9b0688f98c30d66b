//! How many listeners run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::Message;
use tests::{Cluster, Collector, unique, within};
use tokio::sync::Barrier;

/// Consumes `messages` with listeners that each wait until `at_once` of them run; returns the most that ran at once.
async fn most_at_once(at_once: usize, consume_thread_max: Option<usize>, messages: usize) -> usize {
    let mq = Cluster::start().await;
    let topic = unique("at-once");
    let producer = mq.producer().start().await.unwrap();
    for i in 0..messages {
        let _ = producer.send(Message::new(topic.clone(), format!("{i}"))).await.unwrap();
    }
    let barrier = Arc::new(Barrier::new(at_once));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut done = Collector::new();
    let (pass, peak) = (done.passer(), Arc::clone(&most));
    let listener = move |messages: Vec<_>, _| {
        let (barrier, running, peak, pass) =
            (Arc::clone(&barrier), Arc::clone(&running), Arc::clone(&peak), pass.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            messages.into_iter().for_each(pass);
            ConsumeSuccess
        }
    };
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*");
    let consumer = match consume_thread_max {
        Some(max) => consumer.consume_thread_max(max),
        None => consumer,
    };
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    within(&format!("{at_once} listeners run at once"), done.next(messages)).await;
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
    most.load(Ordering::SeqCst)
}

#[tokio::test]
async fn twenty_listeners_run_at_once_by_default() {
    assert_eq!(most_at_once(20, None, 40).await, 20);
}

#[tokio::test]
async fn consume_thread_max_is_kept_and_reached() {
    assert_eq!(most_at_once(3, Some(3), 30).await, 3);
    assert_eq!(most_at_once(1, Some(1), 10).await, 1);
    assert_eq!(most_at_once(64, Some(64), 128).await, 64);
}
