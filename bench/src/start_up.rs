//! How long starting takes when everything is in one process, as in a test.

use std::time::{Duration, Instant};

use clap::Args;
use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{
    ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, Message,
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::Failure;

/// How long to wait for a message that ought to come at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to measure.
#[derive(Args, Debug)]
pub(crate) struct StartUpOptions {
    #[arg(long, default_value_t = 10)]
    rounds: usize,
}

/// Measures, and prints one JSON line: every round's figures, in milliseconds.
pub(crate) async fn run(options: StartUpOptions) -> Result<(), Failure> {
    let (mut cluster_ms, mut first_message_ms) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let began = Instant::now();
        let cluster = TestCluster::start().await?;
        cluster_ms.push(milliseconds(began));
        first_message_ms.push(first_message(cluster.namesrv_addr()).await?);
        cluster.shutdown().await;
    }
    let figures = json!({
        "mode": "start-up", "test_cluster_start_ms": cluster_ms, "start_to_first_msg_ms": first_message_ms,
    });
    println!("{figures}");
    Ok(())
}

/// From a consumer's `start` to the first call of its listener, with one message already there.
async fn first_message(namesrv_addr: &str) -> Result<f64, Failure> {
    let producer = DefaultMQProducer::builder("bench-producer").namesrv_addr(namesrv_addr).start().await?;
    let _ = producer.send(Message::new("Bench", "first")).await?;
    let (called, mut calls) = mpsc::unbounded_channel();
    let builder = DefaultMQPushConsumer::builder("bench-consumer")
        .namesrv_addr(namesrv_addr)
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .subscribe("Bench", "*")
        .consume_concurrently(move |_messages, _context| {
            let _ = called.send(Instant::now());
            async { ConsumeConcurrentlyStatus::ConsumeSuccess }
        });
    let began = Instant::now();
    let consumer = builder.start().await?;
    let first = tokio::time::timeout(PATIENCE, calls.recv()).await?.ok_or("the consumer ended")?;
    consumer.shutdown().await;
    producer.shutdown().await;
    Ok((first - began).as_secs_f64() * 1e3)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
