//! The pulls that wait for a message, and how they are answered.
//!
//! Storing a message only moves the pulls that wait for it to a list; a task of its own answers them. So a producer does
//! not pay for its consumers, and messages that come together are pulled together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rocketmq_protocol::remoting::{Connection, Reserved, Responder};
use tokio::sync::Notify;

use super::context::Context;
use super::processor::pull::{self, PullPlan};
use crate::long_polling::{HeldPull, HeldPulls};
use crate::store::Arrival;

/// How many pulls are answered before others get their turn.
const ANSWERS_AT_A_TIME: usize = 32;

/// What answers a held pull.
pub(crate) struct Ticket {
    /// What is pulled.
    pub(crate) plan: PullPlan,
    /// The way back.
    pub(crate) responder: Responder,
    /// The memory that it takes meanwhile; given back with the ticket.
    pub(crate) _held: Reserved,
}

/// The pulls that wait.
#[derive(Default)]
pub(crate) struct PullHold {
    held: HeldPulls<Ticket>,
    woken: Mutex<Vec<HeldPull<Ticket>>>,
    wake: Notify,
    closing: AtomicBool,
}

impl PullHold {
    /// Holds a pull until its queue grows or its time is up.
    ///
    /// # Errors
    /// The pull itself, if too many are held or the broker shuts down.
    pub(crate) fn hold(
        &self,
        context: &Context,
        pull: HeldPull<Ticket>,
    ) -> Result<(), Box<HeldPull<Ticket>>> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Box::new(pull));
        }
        let (topic, queue_id) = (Arc::clone(&pull.ticket.plan.topic), pull.ticket.plan.queue_id);
        self.held.hold(&topic.name, queue_id, pull)?;
        // A message, or the shutdown, may have come between the look at the queue and the line above.
        let max_offset = context.store.max_offset(&topic.name, queue_id);
        self.wake_up(self.held.take_ready(&topic.name, queue_id, max_offset));
        if self.closing.load(Ordering::SeqCst) {
            self.wake_up(self.held.take_where(|_| true));
        }
        Ok(())
    }

    /// A message can be read. Called on the task of whoever stored it.
    pub(crate) fn arrived(&self, arrival: &Arrival<'_>) {
        let next_offset = arrival.queue_offset + 1;
        self.wake_up(self.held.arrived(arrival.topic, arrival.queue_id, next_offset, arrival.tags_code));
    }

    /// Wakes the pulls whose time is up.
    pub(crate) fn wake_expired(&self, now_ms: i64) {
        self.wake_up(self.held.take_expired(now_ms));
    }

    /// Wakes every pull whose queue has grown, whatever it wants: so it learns how far to go on.
    pub(crate) fn check_all(&self, context: &Context) {
        for (topic, queue_id) in self.held.queues() {
            let max_offset = context.store.max_offset(&topic, queue_id);
            self.wake_up(self.held.take_ready(&topic, queue_id, max_offset));
        }
    }

    /// Forgets the pulls of a connection that has ended.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        if self.held.count() > 0 {
            drop(self.held.take_where(|pull| pull.ticket.responder.connection() == connection));
        }
    }

    /// How many pulls wait.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.held.count()
    }

    /// Holds no further pull, and answers those that are held.
    pub(crate) fn close(&self, context: &Context) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake_up(self.held.take_where(|_| true));
        while !self.answer_some(context) {}
    }

    /// Answers woken pulls, for ever.
    pub(crate) async fn answer_woken(&self, context: &Context) {
        loop {
            self.wake.notified().await;
            while !self.answer_some(context) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Answers some woken pulls; true if none is left.
    fn answer_some(&self, context: &Context) -> bool {
        let some: Vec<_> = {
            let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            let from = woken.len().saturating_sub(ANSWERS_AT_A_TIME);
            woken.drain(from..).collect()
        };
        for pull in some {
            pull::answer_held(context, pull);
        }
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn wake_up(&self, pulls: Vec<HeldPull<Ticket>>) {
        if !pulls.is_empty() {
            self.woken.lock().unwrap_or_else(PoisonError::into_inner).extend(pulls);
            self.wake.notify_one();
        }
    }
}
