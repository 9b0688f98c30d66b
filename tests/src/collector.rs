//! A listener that hands its messages to the test.

use std::collections::HashSet;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocketmq_client::{ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, MessageExt};
use tokio::sync::mpsc;

use crate::wait::PATIENCE;

/// Receives what a consumer's listener is called with.
#[derive(Debug)]
pub struct Collector {
    sender: mpsc::UnboundedSender<MessageExt>,
    receiver: mpsc::UnboundedReceiver<MessageExt>,
    count: Arc<AtomicUsize>,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver, count: Arc::default() }
    }

    /// A listener that takes every message, and passes it on to here.
    pub fn listener(
        &self,
    ) -> impl Fn(Vec<MessageExt>, ConsumeConcurrentlyContext) -> Ready<ConsumeConcurrentlyStatus>
    + Send
    + Sync
    + use<> {
        let pass = self.passer();
        move |messages, _| {
            messages.into_iter().for_each(&pass);
            ready(ConsumeConcurrentlyStatus::ConsumeSuccess)
        }
    }

    /// Passes a message on to here: for listeners that do more than that.
    pub fn passer(&self) -> impl Fn(MessageExt) + Send + Sync + Clone + use<> {
        let (sender, count) = (self.sender.clone(), Arc::clone(&self.count));
        move |message| {
            count.fetch_add(1, Ordering::SeqCst);
            // A test that has seen enough may end before the consumer does.
            let _ = sender.send(message);
        }
    }

    /// How many messages came so far, taken out or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The next `count` messages.
    ///
    /// # Panics
    /// If they do not come in time; says what came.
    pub async fn next(&mut self, count: usize) -> Vec<MessageExt> {
        self.until(&format!("{count} messages"), |messages| messages.len() == count).await
    }

    /// The next message.
    ///
    /// # Panics
    /// If it does not come in time.
    pub async fn one(&mut self) -> MessageExt {
        self.next(1).await.remove(0)
    }

    /// Messages until each of these ids was among them; they may come several times.
    ///
    /// # Panics
    /// If one does not come in time.
    pub async fn ids<S: Into<String>>(&mut self, ids: impl IntoIterator<Item = S>) -> Vec<MessageExt> {
        let mut missing: HashSet<String> = ids.into_iter().map(Into::into).collect();
        let what = format!("all of {} ids", missing.len());
        self.until(&what, move |messages| {
            if let Some(message) = messages.last() {
                missing.remove(&message.msg_id());
            }
            missing.is_empty()
        })
        .await
    }

    /// Messages until `enough` says so of those that came in this call; it is asked anew after each.
    ///
    /// # Panics
    /// If they do not come in time; says what came.
    pub async fn until(
        &mut self,
        what: &str,
        mut enough: impl FnMut(&[MessageExt]) -> bool,
    ) -> Vec<MessageExt> {
        let mut messages = Vec::new();
        while !enough(&messages) {
            match tokio::time::timeout(PATIENCE, self.receiver.recv()).await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => unreachable!("the collector holds a sender itself"),
                Err(_) => panic!(
                    "waited {} s for {what}; {} messages came, the last of them: {:?}",
                    PATIENCE.as_secs(),
                    messages.len(),
                    messages.iter().rev().take(3).map(describe).collect::<Vec<_>>(),
                ),
            }
        }
        messages
    }

    /// Those that came and were not taken out yet.
    pub fn rest(&mut self) -> Vec<MessageExt> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }
}

fn describe(message: &MessageExt) -> String {
    format!(
        "{} at {} {}:{} (reconsumed {})",
        String::from_utf8_lossy(&message.body()[..message.body().len().min(40)]),
        message.topic(),
        message.queue_id(),
        message.queue_offset(),
        message.reconsume_times(),
    )
}
