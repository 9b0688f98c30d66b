//! The producer that is measured.

use std::time::{Duration, Instant};

use rocketmq_client::{DefaultMQProducer, DefaultMQProducerBuilder, Message};

use super::ClientOptions;
use crate::Failure;

/// Starts a producer and sends until one send succeeds: the topic then exists, with the wanted number of queues.
pub(super) async fn ready(options: &ClientOptions) -> Result<DefaultMQProducer, Failure> {
    let producer = builder(options).start().await?;
    insist(&producer, || Message::new(options.topic.as_str(), "warm"), options.timeout()).await?;
    Ok(producer)
}

pub(super) fn builder(options: &ClientOptions) -> DefaultMQProducerBuilder {
    let builder = DefaultMQProducer::builder("bench-producer")
        .default_topic_queue_nums(options.queues)
        .back_pressure_for_async_send_num(options.inflight);
    match &options.namesrv {
        Some(addresses) => builder.namesrv_addr(addresses),
        None => builder,
    }
}

/// Sends a message until it is taken or time is up. Answers how many tries failed.
pub(super) async fn insist(
    producer: &DefaultMQProducer,
    message: impl Fn() -> Message,
    timeout: Duration,
) -> Result<u64, Failure> {
    let give_up = Instant::now() + timeout;
    let mut failed = 0;
    while let Err(error) = producer.send(message()).await {
        if Instant::now() > give_up {
            return Err(error.into());
        }
        failed += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(failed)
}
