//! A send that goes on by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rocketmq_protocol::message::SendResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::flight::Flight;
use crate::error::{Error, Result};

/// The outcome of [`send_async`](super::DefaultMQProducer::send_async), as a future. The send goes on whether the ticket
/// is awaited, kept or dropped.
#[derive(Debug)]
#[must_use = "dropping it is allowed, but then a failed send goes unseen"]
pub struct SendTicket(Arc<Flight>);

impl SendTicket {
    pub(super) fn new(flight: Arc<Flight>) -> Self {
        Self(flight)
    }

    /// Calls back with the outcome. Java: `SendCallback`. The callback runs on a thread of the runtime that may be blocked,
    /// never on one that the client works on: it may take long or wait. As many callbacks of a producer run at once as
    /// the machine has processors, two at least; the others wait for their turn. Until its callback has returned, a send
    /// counts as in flight: [`send_async`](super::DefaultMQProducer::send_async) waits when there are too many, and
    /// [`shutdown`](super::DefaultMQProducer::shutdown) waits for it. If the callback panics, that is logged.
    #[doc(alias = "SendCallback")]
    #[doc(alias = "onSuccess")]
    #[doc(alias = "onException")]
    pub fn on_complete(self, callback: impl FnOnce(Result<SendResult>) + Send + 'static) {
        self.0.call_back(Box::new(callback));
    }
}

impl Future for SendTicket {
    type Output = Result<SendResult>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

/// What a send holds while it is in flight.
pub(super) struct Held {
    /// `None` if there was no place any more.
    pub(super) _budget: Option<Permits>,
    pub(super) _entered: TaskTrackerToken,
}

pub(super) type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

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
    pub(super) async fn acquire(&self, bytes: usize) -> Result<Permits> {
        let send = Arc::clone(&self.sends).acquire_owned().await.map_err(|_| Error::closed())?;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.max_bytes);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| Error::closed())?;
        Ok((send, bytes))
    }

    /// A place for what has no body, if there is one.
    pub(super) fn try_acquire(&self) -> Option<Permits> {
        let send = Arc::clone(&self.sends).try_acquire_owned().ok()?;
        Some((send, Arc::clone(&self.bytes).try_acquire_many_owned(0).ok()?))
    }

    /// Refuses whoever waits and whoever comes.
    pub(super) fn close(&self) {
        self.sends.close();
        self.bytes.close();
    }
}
