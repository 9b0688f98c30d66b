//! The quickstart programs that `tools.sh` runs by their Java class names.

use rocketmq_client::{
    ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, Message, Result,
};

/// How many messages the producer sends.
const COUNT: usize = 1000;
const TOPIC: &str = "TopicTest";

/// Sends 1000 messages to `TopicTest` and prints each result, as `org.apache.rocketmq.example.quickstart.Producer`.
///
/// # Errors
/// The first send that fails.
pub async fn producer() -> Result<()> {
    let producer = DefaultMQProducer::builder("please_rename_unique_group_name").start().await?;
    for i in 0..COUNT {
        let message = Message::new(TOPIC, format!("Hello RocketMQ {i}")).tags("TagA");
        println!("{}", producer.send(message).await?);
    }
    producer.shutdown().await;
    Ok(())
}

/// Prints the messages of `TopicTest` until Ctrl-C, as `org.apache.rocketmq.example.quickstart.Consumer`.
///
/// # Errors
/// The consumer cannot start.
pub async fn consumer() -> Result<()> {
    let consumer = DefaultMQPushConsumer::builder("please_rename_unique_group_name_4")
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .subscribe(TOPIC, "*")
        .consume_concurrently(|msgs, _context| async move {
            let texts: Vec<_> = msgs.iter().map(ToString::to_string).collect();
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            println!("{thread} Receive New Messages: [{}] ", texts.join(", "));
            ConsumeConcurrentlyStatus::ConsumeSuccess
        })
        .start()
        .await?;
    println!("Consumer Started.");
    // Without a signal handler there is no orderly end to wait for.
    let _ = tokio::signal::ctrl_c().await;
    consumer.shutdown().await;
    Ok(())
}
