//! Handing messages to the listener, and what follows from its answer.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::message::wire::WireMessageExt;
use rocketmq_protocol::message::{MessageExt, names};

use super::Inner;
use super::process_queue::ProcessQueue;
use crate::consumer::listener::{ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus};
use crate::instance::{guarded_async, now_ms};

/// The rest before messages that could not be given back are consumed again here.
const PAUSE_BEFORE_LOCAL_RETRY: Duration = Duration::from_secs(5);
/// The largest plain body that a compressed one may grow to.
const MAX_PLAIN_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Messages of one queue that the listener gets in one call.
pub(super) struct Work {
    pub(super) queue: Arc<ProcessQueue>,
    pub(super) messages: Vec<MessageExt>,
}

/// One of the consumer's workers: takes work until there is no more.
pub(super) async fn run(consumer: Arc<Inner>, work: async_channel::Receiver<Work>) {
    while let Ok(work) = work.recv().await {
        // Of a queue that was given away nothing more is begun: its messages come to the new owner.
        if !work.queue.is_dropped() {
            consume(&consumer, work).await;
        }
    }
}

async fn consume(consumer: &Arc<Inner>, mut work: Work) {
    let mut readable = true;
    for message in &mut work.messages {
        readable &= prepare(consumer, message);
    }
    let context = ConsumeConcurrentlyContext::new(work.queue.queue.clone());
    let status = match readable {
        true => call_listener(consumer, &work.messages, &context).await,
        // Nobody could make sense of the body: through the retries to the dead letters, where it can be looked at.
        false => ConsumeConcurrentlyStatus::ReconsumeLater,
    };
    let done = match status {
        ConsumeConcurrentlyStatus::ConsumeSuccess => {
            context.ack_index().saturating_add(1).min(work.messages.len())
        }
        ConsumeConcurrentlyStatus::ReconsumeLater => 0,
    };
    let failed = work.messages.split_off(done);
    work.queue.done(work.messages.iter().map(MessageExt::queue_offset));
    if !failed.is_empty() {
        give_back(consumer, work.queue, failed, context.delay_level()).await;
    }
}

/// Makes a message as the program is to see it. False if its body cannot be decompressed.
fn prepare(consumer: &Inner, message: &mut MessageExt) -> bool {
    if *message.topic() == *consumer.retry_topic
        && let Some(origin) = message.get_property(names::RETRY_TOPIC).map(str::to_owned)
    {
        message.set_topic(origin);
    }
    message.properties_mut().set(names::CONSUME_START_TIME, &now_ms().to_string());
    match message.decompress(MAX_PLAIN_BODY_BYTES) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(msg_id = %message.msg_id(), %error, "a body cannot be decompressed");
            false
        }
    }
}

async fn call_listener(
    consumer: &Inner,
    messages: &[MessageExt],
    context: &ConsumeConcurrentlyContext,
) -> ConsumeConcurrentlyStatus {
    let call = async { consumer.listener.consume(messages.to_vec(), context.clone()).await };
    guarded_async("the listener", call).await.unwrap_or_else(|_| {
        let ids: Vec<_> = messages.iter().map(MessageExt::msg_id).collect();
        tracing::error!(?ids, "the messages of the call that panicked count as ReconsumeLater");
        ConsumeConcurrentlyStatus::ReconsumeLater
    })
}

/// Gives failed messages back to the broker. Those that it does not take stay here and come again after a rest: an
/// offset is committed only past what is safe.
async fn give_back(
    consumer: &Arc<Inner>,
    queue: Arc<ProcessQueue>,
    failed: Vec<MessageExt>,
    delay_level: i32,
) {
    let mut kept = Vec::new();
    for mut message in failed {
        match super::send_back::send_back(consumer, &message, delay_level).await {
            Ok(()) => queue.done(std::iter::once(message.queue_offset())),
            Err(error) => {
                tracing::warn!(msg_id = %message.msg_id(), %error, "a message could not be given back: it is kept here");
                message.set_reconsume_times(message.reconsume_times() + 1);
                kept.push(message);
            }
        }
    }
    if kept.is_empty() {
        return;
    }
    let again = Arc::clone(consumer);
    consumer.tasks.spawn(async move {
        tokio::select! {
            () = queue.dropped().cancelled() => {}
            () = tokio::time::sleep(PAUSE_BEFORE_LOCAL_RETRY) => again.submit(Work { queue, messages: kept }),
        }
    });
}
