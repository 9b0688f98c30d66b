//! The ways to send.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_client::{Message, MessageExt, SelectMessageQueueByHash, SendRequest, SendStatus};
use tests::{Cluster, Collector, unique, within};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_batch_is_stored_whole_and_in_order() {
    let mq = Cluster::start().await;
    let topic = unique("batch");
    let producer = mq.producer().start().await.unwrap();
    let batch: Vec<_> = (0..10)
        .map(|i| Message::new(topic.clone(), format!("body {i}")).tags("T").keys([format!("k{i}")]).flag(i))
        .collect();
    let sent = producer.send(batch).await.unwrap();
    assert_eq!(sent.send_status, SendStatus::SendOk);
    let ids: Vec<&str> = sent.msg_id.split(',').collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 10, "{}", sent.msg_id);
    let offset_ids: Vec<&str> = sent.offset_msg_id.as_deref().unwrap().split(',').collect();
    assert_eq!(offset_ids.len(), 10);

    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let mut received = inbox.next(10).await;
    received.sort_by_key(MessageExt::queue_offset);
    for (at, message) in received.iter().enumerate() {
        assert_eq!(message.msg_id(), ids[at]);
        assert_eq!(message.offset_msg_id(), offset_ids[at]);
        assert_eq!(message.body(), &format!("body {at}"));
        assert_eq!(message.get_keys(), Some(&*format!("k{at}")));
        assert_eq!(message.get_tags(), Some("T"));
        assert_eq!(usize::try_from(message.get_flag()).unwrap(), at);
        assert_eq!(message.queue_id(), sent.message_queue.queue_id());
        assert_eq!(message.queue_offset(), sent.queue_offset + i64::try_from(at).unwrap());
    }
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn async_sends_are_answered_by_ticket_and_by_callback() {
    let mq = Cluster::start().await;
    let topic = unique("async");
    let producer = mq.producer().start().await.unwrap();
    let (done, mut callbacks) = mpsc::unbounded_channel();
    let mut tickets = Vec::new();
    for i in 0..200 {
        let ticket = producer.send_async(Message::new(topic.clone(), format!("{i}"))).await.unwrap();
        if i % 2 == 0 {
            tickets.push(ticket);
        } else {
            let done = done.clone();
            ticket.on_complete(move |outcome| done.send(outcome).unwrap());
        }
    }
    let mut ids = BTreeSet::new();
    for ticket in tickets {
        ids.insert(within("the ticket's outcome", ticket).await.unwrap().msg_id.to_string());
    }
    for _ in 0..100 {
        let outcome = within("a callback", callbacks.recv()).await.unwrap();
        ids.insert(outcome.unwrap().msg_id.to_string());
    }
    assert_eq!(ids.len(), 200);

    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    inbox.ids(ids).await;
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn shutdown_waits_for_async_sends_whose_tickets_were_dropped() {
    let mq = Cluster::start().await;
    let topic = unique("dropped-tickets");
    let producer = mq.producer().start().await.unwrap();
    for i in 0..50 {
        drop(producer.send_async(Message::new(topic.clone(), format!("{i}"))).await.unwrap());
    }
    producer.shutdown().await;
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    inbox.next(50).await;
    consumer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn one_way_sends_arrive() {
    let mq = Cluster::start().await;
    let topic = unique("oneway");
    let producer = mq.producer().start().await.unwrap();
    // The topic exists before, so that no one-way send meets a broker that has yet to create it.
    let _ = producer.send(Message::new(topic.clone(), "first")).await.unwrap();
    for i in 0..100 {
        producer.send_oneway(Message::new(topic.clone(), format!("{i}"))).await.unwrap();
    }
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let bodies: BTreeSet<_> = inbox.next(101).await.iter().map(|message| message.body().clone()).collect();
    assert_eq!(bodies.len(), 101);
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_queue_of_the_callers_choice_gets_the_message() {
    let mq = Cluster::start().await;
    let topic = unique("queues");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "creates the topic")).await.unwrap();
    let queues = producer.fetch_publish_message_queues(&topic).await.unwrap();
    assert_eq!(queues.iter().map(|queue| queue.queue_id()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for queue in &queues {
        let request = SendRequest::new(Message::new(topic.clone(), "chosen")).queue(queue.clone());
        assert_eq!(&producer.send(request).await.unwrap().message_queue, queue);
    }
    let last = SendRequest::new(Message::new(topic.clone(), "selected")).select_queue(|queues, message| {
        assert_eq!(message.body(), "selected");
        queues.len() - 1
    });
    assert_eq!(producer.send(last).await.unwrap().message_queue, queues[3]);
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn messages_of_one_key_stay_in_order_in_one_queue() {
    const KEYS: usize = 10;
    const PER_KEY: usize = 20;
    let mq = Cluster::start().await;
    let topic = unique("ordered");
    let producer = mq.producer().start().await.unwrap();
    for i in 0..KEYS * PER_KEY {
        let key = format!("shard-{}", i % KEYS);
        let message = Message::new(topic.clone(), format!("{i}")).property("shard", &key);
        let request = match i % 2 {
            0 => SendRequest::new(message).selector(SelectMessageQueueByHash::new(key)),
            _ => SendRequest::new(message).select_queue(move |queues, _| (i % KEYS) % queues.len()),
        };
        let _ = producer.send(request).await.unwrap();
    }
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let mut received = inbox.next(KEYS * PER_KEY).await;
    received.sort_by_key(|message| (message.queue_id(), message.queue_offset()));
    let mut keys: BTreeMap<&str, (BTreeSet<i32>, Vec<usize>)> = BTreeMap::new();
    for message in &received {
        let (queues, order) = keys.entry(message.user_property("shard").unwrap()).or_default();
        queues.insert(message.queue_id());
        order.push(std::str::from_utf8(message.body()).unwrap().parse().unwrap());
    }
    assert_eq!(keys.len(), KEYS);
    for (key, (queues, order)) in keys {
        assert_eq!(queues.len(), 1, "{key} lies in the queues {queues:?}");
        assert!(order.is_sorted() && order.len() == PER_KEY, "{key}: {order:?}");
    }
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn the_first_message_creates_its_topic_with_the_producers_number_of_queues() {
    let mq = Cluster::start().await;
    let topic = unique("two-queues");
    let producer = mq.producer().default_topic_queue_nums(2).start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
    // Another client learns the number from the name server alone.
    let other = mq.producer().start().await.unwrap();
    let queues = other.fetch_publish_message_queues(&topic).await.unwrap();
    assert_eq!(queues.len(), 2, "{queues:?}");
    other.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}
