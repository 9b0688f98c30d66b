//! A send that goes on by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rocketmq_protocol::message::SendResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};
use crate::instance::guarded;

/// The outcome of [`send_async`](super::DefaultMQProducer::send_async), as a future. The send goes on whether the ticket
/// is awaited, kept or dropped.
#[derive(Debug)]
#[must_use = "dropping it is allowed, but then a failed send goes unseen"]
pub struct SendTicket {
    outcome: oneshot::Receiver<Result<SendResult>>,
    tasks: TaskTracker,
}

impl SendTicket {
    pub(super) fn new(outcome: oneshot::Receiver<Result<SendResult>>, tasks: TaskTracker) -> Self {
        Self { outcome, tasks }
    }

    /// Calls back with the outcome. Java: `SendCallback`. The callback runs on the client's runtime: it must not block. If
    /// it panics, that is logged.
    #[doc(alias = "SendCallback")]
    #[doc(alias = "onSuccess")]
    #[doc(alias = "onException")]
    pub fn on_complete(self, callback: impl FnOnce(Result<SendResult>) + Send + 'static) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let outcome = self.await;
            // A panic is logged there; nobody waits for what the callback returns.
            let _ = guarded("the send callback", || callback(outcome));
        });
    }
}

impl Future for SendTicket {
    type Output = Result<SendResult>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The sender is dropped unused only when the runtime shuts down.
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        Poll::Ready(outcome.unwrap_or_else(|_| Err(Error::closed())))
    }
}

/// How much may be in flight through `send_async`.
#[derive(Debug)]
pub(super) struct Budget {
    sends: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    max_bytes: u32,
}

impl Budget {
    pub(super) fn new(sends: usize, bytes: usize) -> Self {
        let max_bytes = u32::try_from(bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let sends = Semaphore::new(sends.clamp(1, Semaphore::MAX_PERMITS));
        Self { sends: Arc::new(sends), bytes: Arc::new(Semaphore::new(max_bytes as usize)), max_bytes }
    }

    /// Waits for a place. A message larger than the whole budget takes all of it.
    pub(super) async fn acquire(&self, bytes: usize) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let send = Arc::clone(&self.sends).acquire_owned().await.map_err(|_| Error::closed())?;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.max_bytes);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| Error::closed())?;
        Ok((send, bytes))
    }

    /// Refuses whoever waits and whoever comes.
    pub(super) fn close(&self) {
        self.sends.close();
        self.bytes.close();
    }
}
