//! Messages that the listener does not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocketmq_client::ConsumeConcurrentlyStatus::{ConsumeSuccess, ReconsumeLater};
use rocketmq_client::{Message, MessageExt};
use tests::{Cluster, Collector, unique};

#[tokio::test]
async fn what_is_refused_comes_again() {
    let mq = Cluster::start().await;
    let topic = unique("refused");
    let producer = mq.producer().start().await.unwrap();
    let message = Message::new(topic.clone(), "x").tags("TagA").keys(["k"]).property("p", "v").flag(7);
    let sent = producer.send(message).await.unwrap();
    let mut inbox = Collector::new();
    let pass = inbox.passer();
    // The subscription's tag holds for the first time only: what comes again is this group's own.
    let consumer =
        mq.consumer(&unique("g")).subscribe(&topic, "TagA").consume_concurrently(move |messages, context| {
            context.set_delay_level_when_next_consume(1);
            let status = if messages[0].reconsume_times() < 2 { ReconsumeLater } else { ConsumeSuccess };
            messages.into_iter().for_each(&pass);
            async move { status }
        });
    let consumer = consumer.start().await.unwrap();
    for (times, message) in inbox.next(3).await.iter().enumerate() {
        assert_eq!(usize::try_from(message.reconsume_times()).unwrap(), times);
        assert_eq!(message.topic(), topic, "the listener sees the topic it subscribed to");
        assert_eq!(*message.msg_id(), *sent.msg_id);
        assert_eq!(message.body(), "x");
        assert_eq!(message.get_flag(), 7);
        assert_eq!(
            (message.get_tags(), message.get_keys(), message.user_property("p")),
            (Some("TagA"), Some("k"), Some("v"))
        );
        if times > 0 {
            assert_eq!(message.get_property("RETRY_TOPIC"), Some(&*topic));
            assert_eq!(message.get_property("ORIGIN_MESSAGE_ID"), sent.offset_msg_id.as_deref());
        }
    }
    consumer.shutdown().await;
    assert_eq!(inbox.count(), 3);
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_listener_that_panics_gets_its_messages_again() {
    let mq = Cluster::start().await;
    let topic = unique("panic");
    let producer = mq.producer().start().await.unwrap();
    let sent = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
    let mut inbox = Collector::new();
    let pass = inbox.passer();
    let consumer =
        mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(move |messages, context| {
            context.set_delay_level_when_next_consume(1);
            let times = messages[0].reconsume_times();
            messages.into_iter().for_each(&pass);
            // Once before the future is made, once within it.
            assert!(times != 0, "the listener panics on purpose");
            async move {
                assert!(times != 1, "the listener panics on purpose");
                ConsumeSuccess
            }
        });
    let consumer = consumer.start().await.unwrap();
    let messages = inbox.next(3).await;
    assert_eq!(messages.iter().map(MessageExt::reconsume_times).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(messages.iter().all(|message| *message.msg_id() == *sent.msg_id));
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn only_what_lies_behind_the_ack_index_comes_again() {
    let mq = Cluster::start().await;
    let topic = unique("ack-index");
    let producer = mq.producer().start().await.unwrap();
    let batch: Vec<_> = (0..4).map(|i| Message::new(topic.clone(), format!("{i}"))).collect();
    let _ = producer.send(batch).await.unwrap();
    let mut inbox = Collector::new();
    let pass = inbox.passer();
    let consumer = mq
        .consumer(&unique("g"))
        .consume_message_batch_max_size(4)
        .subscribe(&topic, "*")
        .consume_concurrently(move |messages, context| {
            if messages[0].reconsume_times() == 0 {
                assert_eq!(messages.len(), 4, "the batch comes in one call");
                context.set_ack_index(1);
                context.set_delay_level_when_next_consume(1);
            }
            messages.into_iter().for_each(&pass);
            async { ConsumeSuccess }
        });
    let consumer = consumer.start().await.unwrap();
    let first: Vec<_> = inbox.next(4).await.iter().map(|message| message.body().clone()).collect();
    assert_eq!(first, ["0", "1", "2", "3"]);
    let mut again = inbox.next(2).await;
    again.sort_by_key(|message| message.body().clone());
    assert_eq!(again.iter().map(|message| message.body().clone()).collect::<Vec<_>>(), ["2", "3"]);
    assert!(again.iter().all(|message| message.reconsume_times() == 1));
    consumer.shutdown().await;
    assert_eq!(inbox.count(), 6);
    producer.shutdown().await;
    mq.stop().await;
}

/// Refuses every message of a topic with that delay level; returns the dead letter and how often the listener saw it.
async fn dead_letter(mq: &Cluster, max_reconsume_times: u16, delay_level: i32) -> (MessageExt, usize) {
    let (topic, group) = (unique("dead"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let sent = producer.send(Message::new(topic.clone(), "x").property("p", "v")).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let consumer = mq
        .consumer(&group)
        .max_reconsume_times(max_reconsume_times)
        .subscribe(&topic, "*")
        .consume_concurrently(move |_, context| {
            seen.fetch_add(1, Ordering::SeqCst);
            context.set_delay_level_when_next_consume(delay_level);
            async { ReconsumeLater }
        });
    let consumer = consumer.start().await.unwrap();
    let mut dead_letters = Collector::new();
    let reader = mq.consumer(&unique("dead-letters")).subscribe(format!("%DLQ%{group}"), "*");
    let reader = reader.consume_concurrently(dead_letters.listener()).start().await.unwrap();
    let message = dead_letters.one().await;
    assert_eq!(message.topic(), format!("%DLQ%{group}"));
    assert_eq!(message.get_property("RETRY_TOPIC"), Some(&*topic));
    assert_eq!(message.get_property("ORIGIN_MESSAGE_ID"), sent.offset_msg_id.as_deref());
    assert_eq!((&*message.msg_id(), message.user_property("p")), (&*sent.msg_id, Some("v")));
    consumer.shutdown().await;
    reader.shutdown().await;
    producer.shutdown().await;
    (message, calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn what_came_too_often_goes_to_the_dead_letters() {
    let mq = Cluster::start().await;
    let (message, calls) = dead_letter(&mq, 2, 1).await;
    assert_eq!((message.reconsume_times(), calls), (3, 3));
    mq.stop().await;
}

#[tokio::test]
async fn a_level_below_zero_means_the_dead_letters_at_once() {
    let mq = Cluster::start().await;
    let (message, calls) = dead_letter(&mq, 16, -1).await;
    assert_eq!((message.reconsume_times(), calls), (1, 1));
    mq.stop().await;
}
