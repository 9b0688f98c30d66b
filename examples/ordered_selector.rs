//! Keeps the messages of one order in one queue, and so in their order.
//!
//!     NAMESRV_ADDR=127.0.0.1:9876 cargo run --example ordered_selector

use rocketmq_client::{DefaultMQProducer, Message, SelectMessageQueueByHash, SendRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = DefaultMQProducer::builder("example_ordered").start().await?;

    for step in ["created", "paid", "shipped"] {
        for order in 0..4usize {
            let message =
                Message::new("TopicOrders", format!("order {order} is {step}")).keys([order.to_string()]);
            // A closure picks the queue by its index ...
            let request =
                SendRequest::new(message).select_queue(move |queues, _message| order % queues.len());
            println!("{}", producer.send(request).await?);
        }
    }

    // ... or one of the built-in selectors does: the same key, the same queue.
    for step in ["created", "paid"] {
        let message = Message::new("TopicOrders", format!("order A-17 is {step}")).keys(["A-17"]);
        let request = SendRequest::new(message).selector(SelectMessageQueueByHash::new("A-17"));
        println!("{}", producer.send(request).await?);
    }

    producer.shutdown().await;
    Ok(())
}
