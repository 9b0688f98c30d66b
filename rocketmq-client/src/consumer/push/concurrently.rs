//! Handing messages to the listener, several calls at once, and what follows from its answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rocketmq_protocol::message::wire::{WireMessageExt, WireProperties};
use rocketmq_protocol::message::{MessageExt, names};
use tokio::time::Instant;

use super::Push;
use super::send_back::send_back;
use crate::consumer::group::Sink;
use crate::consumer::listener::{ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus};
use crate::consumer::process_queue::{ProcessQueue, Pulled, Record, Returning};
use crate::instance::{guarded_async, now_ms};

/// The rest before messages that could not be given back are consumed again here.
const PAUSE_BEFORE_LOCAL_RETRY: Duration = Duration::from_secs(5);
/// The largest plain body that a compressed one may grow to.
const MAX_PLAIN_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How many messages of one failed call go back to the broker at the same time.
const RETURNING_AT_ONCE: usize = 16;

/// The workers' queue of work: a queue of messages stands in it once for each call that it has messages for. Bounded by
/// what the thresholds let in.
#[derive(Clone)]
pub(super) struct WorkPool {
    calls: async_channel::Sender<Arc<ProcessQueue>>,
    wanted: async_channel::Receiver<Arc<ProcessQueue>>,
    batch: usize,
}

impl WorkPool {
    /// For calls of up to `batch` messages.
    pub(super) fn new(batch: usize) -> Self {
        let (calls, wanted) = async_channel::unbounded();
        Self { calls, wanted, batch }
    }

    /// No call begins from now on.
    pub(super) fn close(&self) {
        self.calls.close();
    }
}

impl Sink for WorkPool {
    fn arrived(&self, queue: &Arc<ProcessQueue>, messages: usize) {
        for _ in 0..messages.div_ceil(self.batch) {
            // After the end of the workers nobody calls: the messages stay in their queue, to be left to others.
            let _ = self.calls.try_send(Arc::clone(queue));
        }
    }
}

/// One of the consumer's workers: calls the listener until the end.
pub(super) async fn run(push: &Arc<Push>) {
    let mut again = Reused::default();
    while let Ok(queue) = push.work.wanted.recv().await {
        consume(push, &queue, &mut again).await;
    }
}

/// What one call leaves for the next, so that calls allocate less.
#[derive(Default)]
struct Reused {
    pulled: Vec<Pulled>,
    context: Option<ConsumeConcurrentlyContext>,
}

async fn consume(push: &Arc<Push>, queue: &Arc<ProcessQueue>, again: &mut Reused) {
    let pulled = &mut again.pulled;
    // Another call may have had room for its messages, or the queue was given up: its messages come to the new owner.
    let Some(call) = queue.take(push.work.batch, Instant::now(), pulled) else { return };
    if call.left_some {
        push.work.arrived(queue, 1);
    }
    let context = ConsumeConcurrentlyContext::again(again.context.take(), queue.queue.clone());
    let messages: Option<Vec<_>> = pulled.iter().map(|pulled| present(push, pulled)).collect();
    let acked = match messages {
        Some(messages) => call_listener(push, messages, pulled, &context).await,
        // Nobody could make sense of it: through the retries to the dead letters, where it can be looked at.
        None => 0,
    };
    let failed = queue.end_call(&call, acked);
    give_back(push, queue, failed, context.delay_level());
    pulled.clear();
    again.context = Some(context);
}

/// A message as the program is to see it. `None` if it cannot be read, or its body not be decompressed.
fn present(push: &Push, pulled: &Pulled) -> Option<MessageExt> {
    let Record::Message(message) = &pulled.record else { return None };
    let mut message = message.clone();
    if *message.topic() == *push.core.retry_topic
        && let Some(origin) = message.get_property(names::RETRY_TOPIC).map(str::to_owned)
    {
        message.set_topic(origin);
    }
    message.properties_mut().set_numbers(&[
        (names::MIN_OFFSET, pulled.min_offset),
        (names::MAX_OFFSET, pulled.max_offset),
        (names::CONSUME_START_TIME, now_ms()),
    ]);
    match message.decompress(MAX_PLAIN_BODY_BYTES) {
        Ok(()) => Some(message),
        Err(error) => {
            tracing::error!(msg_id = %message.msg_id(), %error, "a body cannot be decompressed");
            None
        }
    }
}

/// How many of the messages, from the first on, are done with.
async fn call_listener(
    push: &Push,
    messages: Vec<MessageExt>,
    pulled: &[Pulled],
    context: &ConsumeConcurrentlyContext,
) -> usize {
    let count = messages.len();
    let call = async { push.listener.consume(messages, context.clone()).await };
    let status = guarded_async("the listener", call).await.unwrap_or_else(|_| {
        let ids: Vec<_> = pulled.iter().map(Pulled::msg_id).collect();
        tracing::error!(?ids, "the listener panicked: the messages count as ReconsumeLater");
        ConsumeConcurrentlyStatus::ReconsumeLater
    });
    match status {
        ConsumeConcurrentlyStatus::ConsumeSuccess => context.ack_index().saturating_add(1).min(count),
        ConsumeConcurrentlyStatus::ReconsumeLater => 0,
    }
}

/// Gives failed messages back to the broker, in a task of its own: a broker that does not answer holds no worker.
pub(super) fn give_back(push: &Arc<Push>, queue: &Arc<ProcessQueue>, failed: Vec<Returning>, level: i32) {
    if !failed.is_empty() {
        let (returning, queue) = (Arc::clone(push), Arc::clone(queue));
        push.spawn(async move {
            let each = |message| give_back_one(&returning, &queue, message, level);
            futures_util::stream::iter(failed).for_each_concurrent(RETURNING_AT_ONCE, each).await;
        });
    }
}

/// A message that the broker does not take stays here and comes again after a rest: an offset is committed only past what
/// is safe.
async fn give_back_one(push: &Arc<Push>, queue: &Arc<ProcessQueue>, message: Returning, level: i32) {
    let offset = message.offset;
    let Err(error) = send_back(push, &queue.queue, &message, level).await else {
        return queue.returned(offset);
    };
    tracing::warn!(queue = %queue.queue, offset, %error, "a message could not be given back: it is kept here");
    let (again, queue) = (Arc::clone(push), Arc::clone(queue));
    // Not one of the workers: a shutdown leaves the message to others.
    push.core.tasks.spawn(async move {
        tokio::select! {
            () = queue.revoked().cancelled() => {}
            () = tokio::time::sleep(PAUSE_BEFORE_LOCAL_RETRY) => {}
        }
        queue.wait_again(offset);
        again.work.arrived(&queue, 1);
    });
}

impl Pulled {
    fn msg_id(&self) -> String {
        match &self.record {
            Record::Message(message) => message.msg_id(),
            Record::Unreadable { physical_offset } => format!("unreadable at {physical_offset:?}"),
        }
    }
}
