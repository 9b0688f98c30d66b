//! Prints messages as they come, until Ctrl-C.
//!
//!     NAMESRV_ADDR=127.0.0.1:9876 cargo run --example consumer

use rocketmq_client::{ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let consumer = DefaultMQPushConsumer::builder("example_consumer")
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .subscribe("TopicTest", "TagA || TagB")
        .consume_concurrently(|msgs, _context| async move {
            for message in msgs {
                println!("Receive New Messages: {message}");
            }
            // ReconsumeLater would have them come again: after 10 s, 30 s, 1 min, ...
            ConsumeConcurrentlyStatus::ConsumeSuccess
        })
        .start()
        .await?;
    println!("Consumer Started.");

    tokio::signal::ctrl_c().await?;
    // Waits for listeners that are at work and commits what they did.
    let report = consumer.shutdown().await;
    println!("{} messages were left to others", report.abandoned);
    Ok(())
}
