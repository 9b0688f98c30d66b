//! Consuming what lies in a topic.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use rocketmq_client::{
    ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer,
    MessageExt, MessageListenerConcurrently,
};
use tokio::sync::Notify;

use super::ClientOptions;
use super::outcome::{Outcome, rounded};
use super::window::CpuMeter;
use crate::Failure;

/// Drains the topic with a consumer of a new group. Rates count from the first message to the last; processor time from
/// before the start.
pub(super) async fn drain(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    outcome.put("threads", options.threads());
    outcome.put("pull", options.pull);
    outcome.put("batch", options.batch());
    let progress = Arc::new(Progress { target: options.count, ..Progress::default() });
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let mut builder = DefaultMQPushConsumer::builder(format!("bench-consumer-{run}"))
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .consume_thread_max(options.threads())
        .pull_batch_size(options.pull)
        .consume_message_batch_max_size(options.batch())
        .subscribe(options.topic.as_str(), "*")
        .message_listener_concurrently(Counter(Arc::clone(&progress)));
    if let Some(addresses) = &options.namesrv {
        builder = builder.namesrv_addr(addresses);
    }
    let meter = CpuMeter::start(options.watch)?;
    let began = Instant::now();
    let consumer = builder.start().await?;
    if tokio::time::timeout(options.timeout(), progress.all.notified()).await.is_err() {
        let _ = progress.last.set(Instant::now());
        let got = progress.messages.load(Ordering::Relaxed);
        outcome.errors_mut().note(format!("only {got} of {}", options.count));
    }
    outcome.put_cpu(meter.stop()?);
    let first = *progress.first.get().ok_or("no message came")?;
    let last = *progress.last.get().ok_or("the last message has no time")?;
    let (messages, bytes) =
        (progress.messages.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
    outcome.put_rate(messages, bytes, (last - first).as_secs_f64());
    outcome.put("start_to_first_msg_ms", rounded((first - began).as_secs_f64() * 1e3));
    consumer.shutdown().await;
    Ok(())
}

#[derive(Debug, Default)]
struct Progress {
    target: u64,
    messages: AtomicU64,
    bytes: AtomicU64,
    first: OnceLock<Instant>,
    last: OnceLock<Instant>,
    all: Notify,
}

/// Counts messages and bytes.
struct Counter(Arc<Progress>);

impl MessageListenerConcurrently for Counter {
    async fn consume_message(
        &self,
        msgs: Vec<MessageExt>,
        _context: ConsumeConcurrentlyContext,
    ) -> ConsumeConcurrentlyStatus {
        let Progress { target, messages, bytes, first, last, all } = &*self.0;
        first.get_or_init(Instant::now);
        let body_bytes: usize = msgs.iter().map(|message| message.body().len()).sum();
        bytes.fetch_add(body_bytes as u64, Ordering::Relaxed);
        let count = msgs.len() as u64;
        if messages.fetch_add(count, Ordering::Relaxed) + count >= *target && last.set(Instant::now()).is_ok()
        {
            all.notify_one();
        }
        ConsumeConcurrentlyStatus::ConsumeSuccess
    }
}
