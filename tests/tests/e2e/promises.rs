//! What a program may rely on that sends fast: nothing accepted is lost at shutdown, and order is kept.

use std::collections::BTreeSet;

use rocketmq_client::{Message, SendRequest};
use tests::{Cluster, Collector, unique, within};

const ONEWAY_SENDS: usize = 6000;
const ASYNC_SENDS: usize = 20_000;

/// One-way sends are not answered, so nobody but shutdown can wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_sends_before_shutdown_all_arrive() {
    let mq = Cluster::start().await;
    let topic = unique("oneway");
    let producer = mq.producer().start().await.unwrap();
    // A real broker that is busy drops what it is not asked to answer: one queue of its many is enough to fill.
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

/// The offsets that the broker gave are the order in which it got the messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_sends_from_one_caller_to_one_queue_keep_their_order() {
    let mq = Cluster::start().await;
    let topic = unique("order");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "first")).await.unwrap();
    let mut tickets = Vec::with_capacity(ASYNC_SENDS);
    for number in 0..ASYNC_SENDS {
        let request =
            SendRequest::new(Message::new(topic.clone(), number.to_string())).select_queue(|_, _| 0);
        tickets.push(producer.send_async(request).await.unwrap());
    }
    let mut offsets = Vec::with_capacity(ASYNC_SENDS);
    for ticket in tickets {
        offsets.push(within("a ticket's outcome", ticket).await.unwrap().queue_offset);
    }
    let inversions = offsets.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    println!("{inversions} inversions of {ASYNC_SENDS}");
    assert_eq!(inversions, 0, "of {ASYNC_SENDS}");
    producer.shutdown().await;
    mq.stop().await;
}
