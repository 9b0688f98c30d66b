//! How often the client allocates for a send and for a consumed message, counted by the allocator of this process. The
//! broker is another process; what the name server does here in the meantime is nothing.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::alloc::System;

use rocketmq_broker_lite::{NameServer, NamesrvConfig};
use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::{ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, Message};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tests::{BrokerProcess, unique, within};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TASKS: usize = 16;
const SENDS_PER_TASK: usize = 1000;
const BODY_BYTES: usize = 1024;

const MOST_FOR_A_SEND: f64 = 4.0;
const MOST_FOR_A_MESSAGE: f64 = 4.0;

/// Allocations so far, of the whole process; a reallocation counts as one.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

async fn send(producer: DefaultMQProducer, message: Message, count: usize) {
    for _ in 0..count {
        // A clone shares topic and body.
        let _ = producer.send(message.clone()).await.unwrap();
    }
}

/// Sends from so many tasks; answers the allocations of each send.
async fn sends(producer: &DefaultMQProducer, message: &Message, tasks: usize) -> f64 {
    let before = allocations();
    let mut sending = JoinSet::new();
    for _ in 0..tasks {
        sending.spawn(send(producer.clone(), message.clone(), SENDS_PER_TASK));
    }
    within("the sends", sending.join_all()).await;
    (allocations() - before) as f64 / (tasks * SENDS_PER_TASK) as f64
}

/// Consumes that many messages; answers the allocations of each.
async fn consumed(namesrv: &NameServer, topic: &str, count: usize) -> f64 {
    let (seen, mut came) = mpsc::channel(2);
    let consumer = DefaultMQPushConsumer::builder(unique("g"))
        .namesrv_addr(namesrv.addr().to_string())
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .consume_thread_max(1)
        .subscribe(topic, "*");
    let at = std::sync::Mutex::new(0_usize);
    let consumer = consumer.consume_concurrently(move |messages, _| {
        let mut at = at.lock().unwrap();
        *at += messages.len();
        // The first tenth warms up.
        if *at == count / 10 || *at == count {
            let _ = seen.try_send(allocations());
        }
        async { ConsumeSuccess }
    });
    let consumer = consumer.start().await.unwrap();
    let warm = within("the first messages", came.recv()).await.unwrap();
    let all = within("all messages", came.recv()).await.unwrap();
    consumer.shutdown().await;
    (all - warm) as f64 / (count - count / 10) as f64
}

/// One test, since the allocator counts for the whole process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_and_consumed_messages_take_few_allocations() {
    let store = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let addr = namesrv.addr().to_string();
    let broker = BrokerProcess::start(env!("CARGO_BIN_EXE_test-mqbroker"), store.path(), &addr, "").await;
    let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(&addr).start().await.unwrap();
    let topic = unique("allocations");
    let message = Message::new(topic.clone(), vec![b'x'; BODY_BYTES]);
    sends(&producer, &message, 1).await;
    let (alone, together) = (sends(&producer, &message, 1).await, sends(&producer, &message, TASKS).await);
    producer.shutdown().await;
    let consuming = consumed(&namesrv, &topic, (TASKS + 2) * SENDS_PER_TASK).await;
    println!(
        "allocations: {alone:.2} a send with one in flight, {together:.2} with {TASKS}, {consuming:.2} a consumed message"
    );
    assert!(together <= MOST_FOR_A_SEND, "{together:.2} a send with {TASKS} in flight");
    assert!(alone <= MOST_FOR_A_SEND, "{alone:.2} a send with one in flight");
    assert!(consuming <= MOST_FOR_A_MESSAGE, "{consuming:.2} a consumed message");
    broker.kill().await;
    namesrv.shutdown().await;
}
