//! Messages that a listener fails, holds for too long, or cannot be given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_client::ConsumeConcurrentlyStatus::{ConsumeSuccess, ReconsumeLater};
use rocketmq_client::{
    AllocateMessageQueueStrategy, DefaultMQPushConsumerBuilder, MessageQueue, ResponseCode,
};
use rocketmq_protocol::compression::{CompressionType, compress_zlib};
use rocketmq_protocol::message::SysFlag;

use crate::broker::{Asked, Inbox, Reply, one_broker, record};
use crate::log::Warnings;

fn is_send_back(asked: &Asked) -> bool {
    matches!(asked, Asked::SendBack { .. })
}

/// Bytes of a record's length that are no record.
fn unreadable(offset: i64) -> Bytes {
    let mut bytes = record(0, offset, SysFlag::default(), b"x").to_vec();
    // The body's length.
    let at = bytes.len() - 1 - 4 - 2 - 2;
    bytes[at..at + 4].fill(0xFF);
    bytes.into()
}

#[tokio::test]
async fn a_record_that_cannot_be_read_goes_back_like_a_failed_message_and_blocks_nothing() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..3);
    broker.has_record(0, 1, unreadable(1));
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let consumer = name_server.consumer().consume_message_batch_max_size(8);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    assert_eq!(inbox.next(2).await, ["0:0", "0:2"]);
    let back = broker.asked("to take the record back", is_send_back).await;
    assert_eq!(back, Asked::SendBack { physical_offset: 100, delay_level: 0 });
    consumer.shutdown().await;
    broker.committed(0, 3).await;
}

#[tokio::test]
async fn a_record_that_its_broker_cannot_read_either_is_passed_over() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..3);
    // Not even its size makes sense: the next pull begins after it.
    broker.has_record(0, 0, Bytes::from_static(b"\x7F\xFF\xFF\xFF no record, and no idea of its size"));
    broker.has_record(0, 1, unreadable(1));
    broker.decide(|asked| match asked {
        Asked::SendBack { .. } => Reply::Refuse(ResponseCode::SystemError),
        _ => Reply::Usual,
    });
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let interval = Duration::from_millis(20);
    let consumer = name_server.consumer().persist_consumer_offset_interval(interval);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    assert_eq!(inbox.next(1).await, ["0:2"]);
    broker.committed(0, 3).await;
    consumer.shutdown().await;
}

#[tokio::test]
async fn what_is_sent_to_the_retry_topic_stays_compressed_as_it_was() {
    let (name_server, broker) = one_broker(1).await;
    let body = compress_zlib(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 5);
    let flag = SysFlag::default().with_compression(CompressionType::Zlib);
    broker.has_record(0, 0, record(0, 0, flag, &body));
    broker.decide(|asked| match asked {
        Asked::SendBack { .. } => Reply::Refuse(ResponseCode::SystemError),
        _ => Reply::Usual,
    });
    let listener = |_: Vec<_>, _| std::future::ready(ReconsumeLater);
    let consumer = name_server.consumer().consume_concurrently(listener).start().await.unwrap();
    let sent = broker.asked("to store a new message", |asked| matches!(asked, Asked::Send { .. })).await;
    assert_eq!(sent, Asked::Send { sys_flag: flag.0, body: body.into() });
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_takes_nothing_back_in_time_holds_no_worker() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..3);
    broker.decide(|asked| match asked {
        Asked::SendBack { .. } => Reply::Silence,
        _ => Reply::Usual,
    });
    let mut inbox = Inbox::new();
    let pass = inbox.passer();
    let listener = move |messages: Vec<_>, _| {
        pass(&messages);
        std::future::ready(ReconsumeLater)
    };
    let consumer = name_server
        .consumer()
        .consume_thread_max(1)
        .await_termination_when_shutdown(Duration::ZERO)
        .consume_concurrently(listener);
    let consumer = consumer.start().await.unwrap();
    let all = tokio::time::timeout(Duration::from_secs(4), inbox.next(3)).await;
    assert!(all.is_ok(), "the only worker waits for the broker");
    let report = consumer.shutdown().await;
    assert_eq!((report.abandoned, report.drained), (3, false));
    let asked = broker.rest().await;
    assert!(!asked.contains(&Asked::Commit { queue_id: 0, offset: 1 }), "{asked:?}: nothing was taken back");
}

#[tokio::test]
async fn what_a_listener_has_for_too_long_goes_back_and_the_offset_goes_on() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..2);
    let consumer = name_server
        .consumer()
        .consume_timeout(Duration::from_millis(150))
        .persist_consumer_offset_interval(Duration::from_millis(20))
        .await_termination_when_shutdown(Duration::ZERO)
        .consume_concurrently(|messages, _| async move {
            if messages[0].queue_offset() == 0 {
                std::future::pending::<()>().await;
            }
            ConsumeSuccess
        });
    let consumer = consumer.start().await.unwrap();
    let back = broker.asked("to take it back", is_send_back).await;
    assert_eq!(back, Asked::SendBack { physical_offset: 0, delay_level: 3 });
    broker.committed(0, 2).await;
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_stuck_listener_is_warned_of_with_queue_offset_and_age() {
    let mut warnings = Warnings::catch();
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..1);
    let consumer = name_server
        .consumer()
        .consume_timeout(Duration::from_millis(150))
        .await_termination_when_shutdown(Duration::ZERO)
        .consume_concurrently(|_, _| std::future::pending::<rocketmq_client::ConsumeConcurrentlyStatus>());
    let consumer = consumer.start().await.unwrap();
    let warning = warnings.next("a call of the listener has lasted for long").await;
    assert_eq!((&*warning["offset"], &*warning["group"]), ("0", "g"), "{warning:?}");
    assert!(warning["queue"].contains('T') && warning["age_ms"].parse::<u64>().unwrap() >= 10, "{warning:?}");
    warnings.next("for longer than consume_timeout").await;
    consumer.shutdown().await;
}

/// Panics the first time.
struct Moody(AtomicBool);

impl AllocateMessageQueueStrategy for Moody {
    fn name(&self) -> &str {
        "MOODY"
    }

    fn allocate(&self, _: &str, _: &str, queues: &[MessageQueue], _: &[String]) -> Vec<MessageQueue> {
        assert!(self.0.swap(true, Ordering::SeqCst), "on purpose");
        queues.to_vec()
    }
}

#[tokio::test]
async fn a_strategy_that_panics_costs_one_rebalance_only() {
    let (name_server, broker) = one_broker(1).await;
    broker.has(0, 0..1);
    let mut inbox = Inbox::new();
    let listener = inbox.listener();
    let strategy = Moody(AtomicBool::new(false));
    let consumer = name_server.consumer().allocate_message_queue_strategy(strategy);
    let consumer = consumer.consume_concurrently(listener).start().await.unwrap();
    assert_eq!(inbox.next(1).await, ["0:0"]);
    consumer.shutdown().await;
}

/// Of 15 messages are more than 1 MiB.
const BODY_BYTES: usize = 70 * 1024;

#[tokio::test]
async fn a_topic_holds_no_more_than_its_limit_in_all_its_queues() {
    holds_no_more(|consumer| consumer.pull_threshold_for_topic(15)).await;
}

#[tokio::test]
async fn a_topic_holds_no_more_bytes_than_its_limit_in_all_its_queues() {
    holds_no_more(|consumer| consumer.pull_threshold_size_for_topic(1)).await;
}

#[tokio::test]
async fn a_client_holds_no_more_than_its_limit_in_all_its_queues() {
    holds_no_more(|consumer| consumer.pull_threshold_for_client(15)).await;
}

#[tokio::test]
async fn a_client_holds_no_more_bytes_than_its_limit_in_all_its_queues() {
    holds_no_more(|consumer| consumer.pull_threshold_size_for_client(1)).await;
}

/// With a limit of 15 messages, two queues, and pulls of 10.
async fn holds_no_more(limit: impl FnOnce(DefaultMQPushConsumerBuilder) -> DefaultMQPushConsumerBuilder) {
    let (name_server, broker) = one_broker(2).await;
    for (queue_id, offset) in (0..2).flat_map(|queue_id| (0..100).map(move |offset| (queue_id, offset))) {
        broker.has_record(queue_id, offset, record(queue_id, offset, SysFlag::default(), &[7; BODY_BYTES]));
    }
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let consumer = limit(name_server.consumer().pull_batch_size(10)).consume_concurrently(move |_, _| {
        let opens = Arc::clone(&opens);
        async move {
            drop(opens.acquire().await.unwrap());
            ConsumeSuccess
        }
    });
    let consumer = consumer.start().await.unwrap();
    let pull = |asked: &Asked| matches!(asked, Asked::Pull { .. });
    broker.asked("for messages of one queue", pull).await;
    broker.asked("for messages of the other", pull).await;
    // Twenty are held, or soon will be: that is one pull more than the limit lets in at the most.
    let more = tokio::time::timeout(Duration::from_millis(300), async {
        broker.asked("one pull more", pull).await;
        broker.asked("for too much", pull).await;
    });
    assert!(more.await.is_err(), "it pulled for more than 15 + 2 * 10 messages");
    gate.add_permits(1);
    broker.asked("for the rest", |asked| matches!(asked, Asked::Pull { offset: 100, .. })).await;
    consumer.shutdown().await;
}
