//! Settings at the ends of their ranges.

use std::time::Duration;

use rocketmq_client::{Message, SendRequest};
use tests::{Cluster, Collector, unique};

#[tokio::test]
async fn the_largest_numbers_are_as_good_as_any() {
    let mq = Cluster::start().await;
    let topic = unique("largest");
    let producer = mq
        .producer()
        .retry_times_when_send_failed(usize::MAX)
        .retry_times_when_send_async_failed(usize::MAX)
        .compress_msg_body_over_howmuch(usize::MAX)
        .compress_level(u32::MAX)
        .max_message_size(usize::MAX)
        .back_pressure_for_async_send_num(usize::MAX)
        .back_pressure_for_async_send_size(usize::MAX);
    let producer = producer.start().await.unwrap();
    let _ = producer.send(Message::new(&topic, "one")).await.unwrap();
    let _ = producer.send_async(Message::new(&topic, "two")).await.unwrap().await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq
        .consumer(&unique("g"))
        .subscribe(&topic, "*")
        .consume_concurrently(inbox.listener())
        .pull_batch_size_in_bytes(u32::MAX)
        .pull_threshold_for_client(usize::MAX)
        .pull_threshold_size_for_client(usize::MAX)
        .max_reconsume_times(u16::MAX);
    let consumer = consumer.start().await.unwrap();
    assert_eq!(inbox.next(2).await.len(), 2);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn durations_without_end_are_as_good_as_any() {
    let mq = Cluster::start().await;
    let topic = unique("endless");
    let producer = mq
        .producer()
        .send_msg_timeout(Duration::MAX)
        .send_msg_max_timeout_per_request(Duration::MAX)
        .send_latency_fault_enable(true)
        .start_detector_enable(true)
        .detect_timeout(Duration::MAX)
        .detect_interval(Duration::MAX)
        .await_termination_when_shutdown(Duration::MAX)
        .poll_name_server_interval(Duration::MAX)
        .heartbeat_broker_interval(Duration::MAX)
        .mq_client_api_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX);
    let producer = producer.start().await.unwrap();
    let _ = producer.send(Message::new(&topic, "one")).await.unwrap();
    let _ =
        producer.send(SendRequest::new(Message::new(&topic, "two")).timeout(Duration::MAX)).await.unwrap();
    producer
        .send_oneway(SendRequest::new(Message::new(&topic, "three")).timeout(Duration::MAX))
        .await
        .unwrap();
    let mut inbox = Collector::new();
    let consumer = mq
        .consumer(&unique("g"))
        .subscribe(&topic, "*")
        .consume_concurrently(inbox.listener())
        .poll_name_server_interval(Duration::MAX)
        .heartbeat_broker_interval(Duration::MAX)
        .mq_client_api_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .consume_timeout(Duration::MAX)
        .persist_consumer_offset_interval(Duration::MAX)
        .await_termination_when_shutdown(Duration::MAX);
    let consumer = consumer.start().await.unwrap();
    assert_eq!(inbox.next(3).await.len(), 3);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}
