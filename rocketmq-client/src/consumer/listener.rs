//! The program's side of consumption.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use rocketmq_protocol::message::{MessageExt, MessageQueue};

/// What a listener says of the messages it was given. Java: `ConsumeConcurrentlyStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsumeConcurrentlyStatus {
    /// They are done with.
    #[doc(alias = "CONSUME_SUCCESS")]
    ConsumeSuccess,
    /// They are to come again later, or go to the dead letters once they came often enough.
    #[doc(alias = "RECONSUME_LATER")]
    ReconsumeLater,
}

/// What a listener given as a closure may return: a status, or a result.
///
/// An error counts as [`ReconsumeLater`](ConsumeConcurrentlyStatus::ReconsumeLater) and is logged as a warning with the
/// queue and the offset.
pub trait IntoConsumeConcurrentlyStatus {
    /// The status, or the text of the error.
    ///
    /// # Errors
    /// The listener's own.
    fn into_status(self) -> Result<ConsumeConcurrentlyStatus, String>;
}

impl IntoConsumeConcurrentlyStatus for ConsumeConcurrentlyStatus {
    fn into_status(self) -> Result<ConsumeConcurrentlyStatus, String> {
        Ok(self)
    }
}

impl<E: std::fmt::Display> IntoConsumeConcurrentlyStatus for Result<ConsumeConcurrentlyStatus, E> {
    fn into_status(self) -> Result<ConsumeConcurrentlyStatus, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Takes messages, several at a time and in no order. Java: `MessageListenerConcurrently`.
///
/// A listener that panics counts as [`ReconsumeLater`](ConsumeConcurrentlyStatus::ReconsumeLater). It runs on the
/// program's runtime: work that blocks a thread belongs in `tokio::task::spawn_blocking`.
pub trait MessageListenerConcurrently: Send + Sync + 'static {
    /// Handles one batch of up to `consume_message_batch_max_size` messages of one queue, in the order of their offsets.
    ///
    /// # Cancel safety
    /// The call is dropped at its next `.await` when the consumer ends before it: its messages come again to another member.
    #[doc(alias = "consumeMessage")]
    fn consume_message(
        &self,
        msgs: Vec<MessageExt>,
        context: ConsumeConcurrentlyContext,
    ) -> impl Future<Output = ConsumeConcurrentlyStatus> + Send;
}

/// What a listener is told beside the messages, and may ask for beside its status. Clones share what is asked for.
#[derive(Clone, Debug)]
pub struct ConsumeConcurrentlyContext {
    message_queue: MessageQueue,
    wishes: Arc<Wishes>,
}

#[derive(Debug)]
struct Wishes {
    delay_level: AtomicI32,
    ack_index: AtomicUsize,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { delay_level: AtomicI32::new(0), ack_index: AtomicUsize::new(usize::MAX) }
    }
}

impl ConsumeConcurrentlyContext {
    pub(crate) fn new(message_queue: MessageQueue) -> Self {
        Self { message_queue, wishes: Arc::default() }
    }

    /// A new one, made of one that was used if nobody else has a hold on it any more.
    pub(crate) fn again(used: Option<Self>, message_queue: MessageQueue) -> Self {
        let Some(mut wishes) = used.map(|context| context.wishes) else { return Self::new(message_queue) };
        match Arc::get_mut(&mut wishes) {
            Some(unshared) => {
                *unshared = Wishes::default();
                Self { message_queue, wishes }
            }
            None => Self::new(message_queue),
        }
    }

    /// The queue that the messages came from.
    #[must_use]
    #[doc(alias = "getMessageQueue")]
    pub fn message_queue(&self) -> &MessageQueue {
        &self.message_queue
    }

    /// When messages that are to be consumed again come back: 0, the default, leaves it to the broker (10 s, 30 s,
    /// 1 min, ...); a delay level from 1 (1 s) to 18 (2 h) fixes it; below 0 they go to the dead letters at once.
    #[doc(alias = "setDelayLevelWhenNextConsume")]
    pub fn set_delay_level_when_next_consume(&self, level: i32) {
        self.wishes.delay_level.store(level, Ordering::Relaxed);
    }

    /// The index of the last message that is done with when the listener answers
    /// [`ConsumeSuccess`](ConsumeConcurrentlyStatus::ConsumeSuccess): those after it come again. Counted from
    /// 0; default: all are done with.
    #[doc(alias = "setAckIndex")]
    pub fn set_ack_index(&self, index: usize) {
        self.wishes.ack_index.store(index, Ordering::Relaxed);
    }

    pub(crate) fn delay_level(&self) -> i32 {
        self.wishes.delay_level.load(Ordering::Relaxed)
    }

    pub(crate) fn ack_index(&self) -> usize {
        self.wishes.ack_index.load(Ordering::Relaxed)
    }
}

/// A listener whose type is forgotten.
pub(crate) trait DynListener: Send + Sync {
    fn consume<'a>(
        &'a self,
        msgs: Vec<MessageExt>,
        context: ConsumeConcurrentlyContext,
    ) -> Pin<Box<dyn Future<Output = ConsumeConcurrentlyStatus> + Send + 'a>>;
}

impl<L: MessageListenerConcurrently> DynListener for L {
    fn consume<'a>(
        &'a self,
        msgs: Vec<MessageExt>,
        context: ConsumeConcurrentlyContext,
    ) -> Pin<Box<dyn Future<Output = ConsumeConcurrentlyStatus> + Send + 'a>> {
        Box::pin(self.consume_message(msgs, context))
    }
}

/// A closure as a listener.
pub(crate) struct FnListener<F>(pub(crate) F);

impl<F, Fut> MessageListenerConcurrently for FnListener<F>
where
    F: Fn(Vec<MessageExt>, ConsumeConcurrentlyContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoConsumeConcurrentlyStatus> + Send,
{
    async fn consume_message(
        &self,
        msgs: Vec<MessageExt>,
        context: ConsumeConcurrentlyContext,
    ) -> ConsumeConcurrentlyStatus {
        let queue = context.message_queue.clone();
        let (count, first_offset) = (msgs.len(), msgs.first().map(MessageExt::queue_offset));
        (self.0)(msgs, context).await.into_status().unwrap_or_else(|error| {
            tracing::warn!(%queue, first_offset, count, error, "the listener failed: the messages count as ReconsumeLater");
            ConsumeConcurrentlyStatus::ReconsumeLater
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_of_a_closure_counts_as_later() {
        let listener = FnListener(|_, _| async { Err::<ConsumeConcurrentlyStatus, _>("no room") });
        let context = ConsumeConcurrentlyContext::new(MessageQueue::new("T", "b", 0));
        let status = listener.consume_message(Vec::new(), context.clone()).await;
        assert_eq!(status, ConsumeConcurrentlyStatus::ReconsumeLater);
        let listener = FnListener(|_, _| async { ConsumeConcurrentlyStatus::ConsumeSuccess });
        let status = listener.consume_message(Vec::new(), context).await;
        assert_eq!(status, ConsumeConcurrentlyStatus::ConsumeSuccess);
    }
}
