//! Sends 1000 messages and consumes them all: on a broker of its own, or on a real cluster when NAMESRV_ADDR is set.
//!
//!     cargo run --release --example quickstart
//!     NAMESRV_ADDR=127.0.0.1:9876 cargo run --release --example quickstart

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{
    ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, Message,
};
use tokio::sync::mpsc;

const COUNT: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let embedded =
        if std::env::var_os("NAMESRV_ADDR").is_none() { Some(TestCluster::start().await?) } else { None };
    let namesrv_addr = match &embedded {
        Some(cluster) => cluster.namesrv_addr().to_string(),
        None => std::env::var("NAMESRV_ADDR")?,
    };
    // A run of its own on a cluster that has seen others: only this run's messages count.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos().to_string();

    let producer = DefaultMQProducer::builder("please_rename_unique_group_name")
        .namesrv_addr(&namesrv_addr)
        .start()
        .await?;
    let sending = Instant::now();
    let mut sent = HashSet::new();
    for i in 0..COUNT {
        let message =
            Message::new("TopicTest", format!("Hello RocketMQ {i}")).tags("TagA").property("run", &run);
        let result = producer.send(message).await?;
        println!("{result}");
        sent.insert(result.msg_id.to_string());
    }
    let sent_in = sending.elapsed();

    let (received, mut messages) = mpsc::unbounded_channel();
    let consuming = Instant::now();
    let consumer = DefaultMQPushConsumer::builder(format!("quickstart_{run}"))
        .namesrv_addr(&namesrv_addr)
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .subscribe("TopicTest", "*")
        .consume_concurrently(move |msgs, _context| {
            for message in msgs {
                let _ = received.send(message);
            }
            async { ConsumeConcurrentlyStatus::ConsumeSuccess }
        })
        .start()
        .await?;
    let mut missing = sent.clone();
    while !missing.is_empty() {
        let Ok(Some(message)) = tokio::time::timeout(PATIENCE, messages.recv()).await else { break };
        if message.get_property("run") == Some(&run) {
            println!("Receive New Messages: {message}");
            missing.remove(&message.msg_id());
        }
    }
    let consumed_in = consuming.elapsed();

    consumer.shutdown().await;
    producer.shutdown().await;
    if let Some(cluster) = embedded {
        cluster.shutdown().await;
    }
    let came_back = sent.len() - missing.len();
    println!(
        "sent {} in {sent_in:.1?} ({:.0}/s), consumed {came_back} in {consumed_in:.1?} ({:.0}/s), missing {}",
        sent.len(),
        sent.len() as f64 / sent_in.as_secs_f64(),
        came_back as f64 / consumed_in.as_secs_f64(),
        missing.len(),
    );
    if missing.is_empty() && sent.len() == COUNT { Ok(()) } else { Err("not every message came back".into()) }
}
