//! What a program that sends fast may rely on.

use std::collections::BTreeSet;

use rocketmq_client::Message;
use tests::{Cluster, Collector, unique, within};

const ONEWAY_SENDS: usize = 6000;

/// One-way sends are not answered, so nobody but shutdown can wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_sends_before_shutdown_all_arrive() {
    let mq = Cluster::start().await;
    let topic = unique("oneway");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "first")).await.unwrap();
    for number in 0..ONEWAY_SENDS {
        producer.send_oneway(Message::new(topic.clone(), number.to_string())).await.unwrap();
    }
    within("shutdown", producer.shutdown()).await;

    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let mut missing: BTreeSet<String> =
        (0..ONEWAY_SENDS).map(|number| number.to_string()).chain(["first".to_owned()]).collect();
    let all = inbox.until("every one-way send", |messages| {
        if let Some(message) = messages.last() {
            missing.remove(std::str::from_utf8(message.body()).unwrap());
        }
        missing.is_empty()
    });
    all.await;
    consumer.shutdown().await;
    mq.stop().await;
}
