//! Large bodies: compression and the limits.

use rand::Rng;
use rocketmq_client::{ErrorKind, Message};
use tests::{Cluster, Collector, unique};

const MAX: usize = 4 * 1024 * 1024;

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[tokio::test]
async fn bodies_from_4_kib_on_travel_compressed_and_come_back_whole() {
    let mq = Cluster::start().await;
    let topic = unique("compressed");
    let producer = mq.producer().start().await.unwrap();
    let bodies = [vec![b'a'; 4095], vec![b'b'; 4096], vec![b'c'; 300_000], vec![b'd'; MAX], noise(10_000)];
    for body in &bodies {
        let _ = producer.send(Message::new(topic.clone(), body.clone())).await.unwrap();
    }
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    for message in inbox.next(bodies.len()).await {
        let body =
            bodies.iter().find(|body| body[0] == message.body()[0] && body.len() == message.body().len());
        assert_eq!(
            Some(&message.body()[..]),
            body.map(|body| &body[..]),
            "{} bytes came",
            message.body().len()
        );
        let stored = usize::try_from(message.store_size()).unwrap();
        match message.body()[0] {
            _ if body == Some(&bodies[4]) => assert!(stored > 10_000),
            b'a' => assert!(stored > 4095, "4095 bytes are stored as they are, in {stored}"),
            _ => assert!(stored < 10_000, "{} bytes are stored in {stored}", message.body().len()),
        }
    }
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn four_mebibytes_are_the_most() {
    let mq = Cluster::start().await;
    let topic = unique("limit");
    let uncompressed = mq.producer().compress_msg_body_over_howmuch(usize::MAX).start().await.unwrap();
    let body = noise(MAX);
    let _ = uncompressed.send(Message::new(topic.clone(), body.clone())).await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    assert!(inbox.one().await.body() == &body, "the body of 4 MiB is not the one that was sent");

    let error = uncompressed.send(Message::new(topic.clone(), noise(MAX + 1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert!(error.to_string().contains("4194305"), "{error}");
    assert!(error.to_string().contains("maxMessageSize"), "{error}");
    assert!(error.has_no_side_effects() && !error.is_retryable());
    consumer.shutdown().await;
    uncompressed.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_broker_refuses_what_a_client_of_higher_limits_sends() {
    let mq = Cluster::start().await;
    let topic = unique("over");
    let producer = mq.producer().compress_msg_body_over_howmuch(usize::MAX).max_message_size(2 * MAX);
    let producer = producer.start().await.unwrap();
    let error = producer.send(Message::new(topic.clone(), noise(MAX + 1))).await.unwrap_err();
    assert_eq!((error.kind(), error.response_code()), (ErrorKind::Broker, Some(13)), "{error}");
    assert_eq!(error.topic(), Some(&*topic));
    assert!(!error.is_retryable());
    producer.shutdown().await;
    mq.stop().await;
}
