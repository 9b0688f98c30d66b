//! The lines of the API that programs outside of this repository are compiled against, as far as they are built. Nothing
//! here may be renamed; what is added later is added here too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

// Nothing but these two crates, flat: no path below them, and no third crate.
use rocketmq_broker_lite::{Broker, BrokerConfig, NameServer, NamesrvConfig, TestCluster};
use rocketmq_client::{
    AllocateMessageQueueAveragely, AllocateMessageQueueStrategy, Attempt, ByteString, Bytes, CompressionType,
    ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQProducer,
    DefaultMQProducerBuilder, DefaultMQPushConsumer, DefaultMQPushConsumerBuilder, Error, ErrorKind, Message,
    MessageExt, MessageListenerConcurrently, MessageModel, MessageQueue, MessageQueueSelector,
    MessageSelector, Properties, ResponseCode, SelectMessageQueueByHash, SelectMessageQueueByRandom,
    SendOutcome, SendRequest, SendResult, SendStatus, SendTicket, ShutdownReport, SysFlag,
};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_producer() -> rocketmq_client::Result<()> {
    let mq = TestCluster::start().await.unwrap();
    let producer: DefaultMQProducer = DefaultMQProducer::builder("please_rename_unique_group_name")
        .namesrv_addr(mq.namesrv_addr())
        .retry_times_when_send_failed(2)
        .send_msg_timeout(Duration::from_secs(3))
        .start()
        .await?;
    let message = Message::new("TopicTest", "Hello").tags("TagA").keys(["k1"]).property("a", "1");
    let result: SendResult = producer.send(message).await?;
    println!("{result}");
    let (m1, m2, m) =
        (Message::new("TopicTest", "1"), Message::new("TopicTest", "2"), Message::new("TopicTest", "b"));
    producer.send(vec![m1, m2]).await?;
    let queues: Vec<MessageQueue> = producer.fetch_publish_message_queues("TopicTest").await?;
    let (mq_of_mine, d, id) = (queues[0].clone(), Duration::from_secs(3), 42);
    producer.send(SendRequest::new(m.clone()).queue(mq_of_mine).timeout(d)).await?;
    producer.send(SendRequest::new(m.clone()).select_queue(move |queues, _m| id % queues.len())).await?;
    producer.send(SendRequest::new(m.clone()).selector(SelectMessageQueueByHash::new("key"))).await?;
    producer.send(SendRequest::new(m.clone()).selector(SelectMessageQueueByRandom)).await?;
    producer.send(SendRequest::new(m.clone()).selector(Last)).await?;
    let ticket: SendTicket = producer.send_async(m.clone()).await?;
    let _: SendResult = ticket.await?;
    let (done, mut is_done) = mpsc::channel(1);
    producer.send_async(m.clone()).await?.on_complete(move |r| done.try_send(r.is_ok()).unwrap());
    assert_eq!(is_done.recv().await, Some(true));
    producer.send_oneway(m).await?;
    producer.shutdown().await;
    producer.shutdown().await;
    let error: Error = producer.send(Message::new("TopicTest", "late")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    mq.shutdown().await;
    Ok(())
}

struct Last;

impl MessageQueueSelector for Last {
    fn select(&self, queues: &[MessageQueue], _message: &Message) -> usize {
        queues.len() - 1
    }
}

#[test]
fn messages_and_results() {
    let at: i64 = 1_800_000_000_000;
    let message = Message::new(String::from("T"), vec![1u8]).tags("TagA").keys(["k1", "k2"]).flag(7);
    assert_eq!(
        (message.get_tags(), message.get_keys(), message.get_flag()),
        (Some("TagA"), Some("k1 k2"), 7)
    );
    assert_eq!(message.clone().property("a", "1").get_property("a"), Some("1"));
    assert_eq!(message.delay_time_level(3).get_delay_time_level(), 3);
    let _ = Message::new("T", "b").delay_time_sec(5);
    let _ = Message::new("T", "b").delay_time_ms(1500);
    let _ = Message::new("T", "b").deliver_time_ms(at);
    let topic = String::from("T");
    let _ = Message::new(&topic, Bytes::from_static(b"b")).priority(1);
    let _ = Message::new(topic, "b").keys("one-key");

    let queue = MessageQueue::new("T", "broker-a", 3);
    let (_, _, queue_id): (&str, &str, i32) = (queue.topic(), queue.broker_name(), queue.queue_id());
    let result = SendResult::new(SendStatus::SendOk, "id", queue, i64::from(queue_id));
    let (id, offset, at): (&str, i64, &Option<ByteString>) =
        (&result.msg_id, result.queue_offset, &result.offset_msg_id);
    assert_eq!((id, offset, at), ("id", 3, &None));
}

/// Builders are values that can be named, passed on and changed.
#[test]
fn settings() {
    let _: DefaultMQProducerBuilder = DefaultMQProducer::builder(String::from("g"))
        .compress_level(5)
        .compress_msg_body_over_howmuch(4096)
        .send_latency_fault_enable(true)
        .instance_name("..")
        .retry_another_broker_when_not_store_ok(true)
        .max_message_size(4 << 20);
    let _: DefaultMQPushConsumerBuilder = DefaultMQPushConsumer::builder("g")
        .consume_from_where(ConsumeFromWhere::LastOffset)
        .consume_from_where(ConsumeFromWhere::Timestamp("20260101000000".into()))
        .message_model(MessageModel::Clustering)
        .allocate_message_queue_strategy(AllocateMessageQueueAveragely)
        .allocate_message_queue_strategy(Everything)
        .allocate_message_queues_by("NONE", |_group, _client_id, _queues, _client_ids| Vec::new())
        .subscribe("TopicTest", MessageSelector::by_sql("a > 3"))
        .subscribe("TopicTest", MessageSelector::by_tag("TagA"))
        .message_listener_concurrently(Listener(mpsc::unbounded_channel().0));
}

struct Everything;

impl AllocateMessageQueueStrategy for Everything {
    fn name(&self) -> &str {
        "EVERYTHING"
    }

    fn allocate(
        &self,
        _group: &str,
        _client_id: &str,
        queues: &[MessageQueue],
        _client_ids: &[String],
    ) -> Vec<MessageQueue> {
        queues.to_vec()
    }
}

#[tokio::test]
async fn a_push_consumer() -> rocketmq_client::Result<()> {
    let mq = TestCluster::start().await.unwrap();
    let addr = mq.namesrv_addr();
    let producer = DefaultMQProducer::builder("producers").namesrv_addr(addr).start().await?;
    let sent = producer.send(Message::new("TopicTest", "Hello").tags("TagB").property("a", "1")).await?;

    let (inbox, mut received) = mpsc::unbounded_channel();
    let consumer = DefaultMQPushConsumer::builder("group")
        .namesrv_addr(addr)
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .message_model(MessageModel::Clustering)
        .subscribe("TopicTest", "TagA || TagB")
        .consume_concurrently(move |msgs: Vec<MessageExt>, _ctx| {
            let inbox = inbox.clone();
            async move {
                inbox.send(msgs).unwrap();
                ConsumeConcurrentlyStatus::ConsumeSuccess
            }
        })
        .start()
        .await?;
    let messages: Vec<MessageExt> = received.recv().await.unwrap();
    let message = &messages[0];
    assert_eq!(message.msg_id(), sent.msg_id);
    assert_eq!((message.get_tags(), message.get_keys(), message.get_flag()), (Some("TagB"), None, 0));
    assert_eq!((message.get_property("a"), message.get_delay_time_level()), (Some("1"), 0));
    let body: &Bytes = message.body();
    assert_eq!(body, "Hello");
    let (_, _): (&Properties, SysFlag) = (message.properties(), message.sys_flag());

    consumer.subscribe("Other", "*").await?;
    consumer.unsubscribe("Other").await?;
    consumer.suspend();
    consumer.resume();
    let report: ShutdownReport = consumer.shutdown().await;
    assert!(report.drained);
    producer.shutdown().await;
    mq.shutdown().await;
    Ok(())
}

struct Listener(mpsc::UnboundedSender<String>);

impl MessageListenerConcurrently for Listener {
    async fn consume_message(
        &self,
        msgs: Vec<MessageExt>,
        context: ConsumeConcurrentlyContext,
    ) -> ConsumeConcurrentlyStatus {
        context.set_ack_index(msgs.len() - 1);
        context.set_delay_level_when_next_consume(1);
        let _ = self.0.send(context.message_queue().topic().to_owned());
        ConsumeConcurrentlyStatus::ConsumeSuccess
    }
}

/// A listener of the program's own type, and a closure whose errors count as "later".
#[tokio::test]
async fn both_doors_of_a_listener() -> rocketmq_client::Result<()> {
    let mq = TestCluster::start().await.unwrap();
    let producer = DefaultMQProducer::builder("producers").namesrv_addr(mq.namesrv_addr()).start().await?;
    producer.send(Message::new("TopicTest", "Hello")).await?;
    let of = |group: &str| {
        DefaultMQPushConsumer::builder(group)
            .namesrv_addr(mq.namesrv_addr())
            .consume_from_where(ConsumeFromWhere::FirstOffset)
            .subscribe("TopicTest", "*")
    };
    let (seen, mut topics) = mpsc::unbounded_channel();
    let by_type = of("by-type").message_listener_concurrently(Listener(seen.clone())).start().await?;
    assert_eq!(topics.recv().await.unwrap(), "TopicTest");

    static FAILED: AtomicBool = AtomicBool::new(false);
    let by_closure = of("by-closure").consume_concurrently(move |msgs, ctx| {
        let seen = seen.clone();
        async move {
            ctx.set_delay_level_when_next_consume(1);
            if !FAILED.swap(true, Ordering::SeqCst) {
                return Err(format!("{} messages came too early", msgs.len()));
            }
            seen.send(format!("{} times", msgs[0].reconsume_times())).unwrap();
            Ok(ConsumeConcurrentlyStatus::ConsumeSuccess)
        }
    });
    let by_closure = by_closure.start().await?;
    assert_eq!(topics.recv().await.unwrap(), "1 times", "an error gives the message back");
    by_type.shutdown().await;
    by_closure.shutdown().await;
    producer.shutdown().await;
    mq.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn errors() {
    let mq = TestCluster::start().await.unwrap();
    let producer = DefaultMQProducer::builder("g").namesrv_addr(mq.namesrv_addr()).start().await.unwrap();
    let e: Error = producer.send(Message::new("T", "")).await.unwrap_err();
    let _: ErrorKind = e.kind();
    let _: SendOutcome = e.outcome();
    assert!(matches!(e.outcome(), SendOutcome::NotStored), "beside Unknown and Stored");
    let (_, _, _): (Option<i32>, Option<&str>, Option<&str>) =
        (e.response_code(), e.broker_addr(), e.topic());
    let (retryable, clean): (bool, bool) = (e.is_retryable(), e.has_no_side_effects());
    assert!(!retryable && clean);
    let _: &[Attempt] = e.attempts();
    let _: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&e);
    let _: Option<ResponseCode> = ResponseCode::from_i32(17);
    let _: CompressionType = CompressionType::Zlib;
    producer.shutdown().await;
    mq.shutdown().await;
}

#[tokio::test]
async fn an_embedded_broker() {
    let directory = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let namesrv_addr = namesrv.addr().to_string();
    let store_path_root_dir = directory.path().to_path_buf();
    let config = BrokerConfig { namesrv_addr, store_path_root_dir, ..Default::default() };
    let broker = Broker::start(config).await.unwrap();
    assert_ne!(broker.addr(), namesrv.addr());
    broker.shutdown().await;
    namesrv.shutdown().await;
}
