//! Sends ten messages: one by one, without waiting, as a batch, and without an answer.
//!
//!     NAMESRV_ADDR=127.0.0.1:9876 cargo run --example producer

use rocketmq_client::{DefaultMQProducer, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = DefaultMQProducer::builder("example_producer").start().await?;

    // Waits for the broker's answer.
    let result =
        producer.send(Message::new("TopicTest", "one by one").tags("TagA").keys(["order-1"])).await?;
    println!("{result}");

    // Goes on at once; the outcome comes through the ticket.
    let mut tickets = Vec::new();
    for i in 0..5 {
        tickets
            .push(producer.send_async(Message::new("TopicTest", format!("async {i}")).tags("TagB")).await?);
    }
    for ticket in tickets {
        println!("{}", ticket.await?);
    }

    // Several messages in one request.
    let batch = (0..3).map(|i| Message::new("TopicTest", format!("batch {i}"))).collect::<Vec<_>>();
    println!("{}", producer.send(batch).await?);

    // No answer at all: the fastest, and the only one that may lose a message unnoticed.
    producer.send_oneway(Message::new("TopicTest", "one-way")).await?;

    producer.shutdown().await;
    Ok(())
}
