//! What wakes held pulls.
//!
//! Storing a message only moves the pulls that wait for it to a list, from where a task of its own answers them, oldest
//! first. So a producer does not pay for its consumers, and messages that come together are pulled together.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::{DashMap, Entry};
use rocketmq_protocol::ByteString;
use rocketmq_protocol::remoting::{Connection, Reserved, Responder};
use tokio::sync::Notify;

use super::held::{HeldPull, HeldPulls};
use super::plan::PullPlan;
use crate::store::{Arrival, MessageStore};

/// What answers a held pull.
pub(crate) struct Ticket {
    /// What is pulled.
    pub(crate) plan: PullPlan,
    /// The way back.
    pub(crate) responder: Responder,
    /// The memory that it takes meanwhile; given back with the ticket.
    pub(crate) _held: Reserved,
}

/// Why a pull is not held.
pub(crate) enum NotHeld {
    /// As many as may be are held already.
    Full(Box<HeldPull<Ticket>>),
    /// The broker shuts down.
    Closing(Box<HeldPull<Ticket>>),
}

/// The pulls that wait.
#[derive(Default)]
pub(crate) struct PullHold {
    held: HeldPulls<Ticket>,
    /// Where each connection's pulls are held, and how many in each queue.
    places: DashMap<Connection, HashMap<(ByteString, i32), usize>>,
    woken: Mutex<VecDeque<HeldPull<Ticket>>>,
    wake: Notify,
    closing: AtomicBool,
}

impl PullHold {
    /// Holds a pull until its queue grows or its time is up.
    ///
    /// # Errors
    /// [`NotHeld`], with the pull.
    pub(crate) fn hold(&self, store: &MessageStore, pull: HeldPull<Ticket>) -> Result<(), NotHeld> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(NotHeld::Closing(Box::new(pull)));
        }
        let (topic, queue_id) = (Arc::clone(&pull.ticket.plan.topic), pull.ticket.plan.queue_id);
        // Before it can be woken, which takes its place away.
        let connection = pull.ticket.responder.connection().clone();
        self.add_place(&connection, &topic.name, queue_id);
        if let Err(pull) = self.held.hold(&topic.name, queue_id, pull) {
            self.take_place(&pull);
            return Err(NotHeld::Full(Box::new(pull)));
        }
        // A message, or the shutdown, may have come between the look at the queue and the line above.
        let max_offset = store.max_offset(&topic.name, queue_id);
        self.wake_up(self.held.take_ready(&topic.name, queue_id, max_offset));
        if self.closing.load(Ordering::SeqCst) {
            self.wake_up(self.held.take_where(|_| true));
        }
        if connection.is_closed() {
            self.disconnected(&connection);
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
    pub(crate) fn check_all(&self, store: &MessageStore) {
        for (topic, queue_id) in self.held.queues() {
            let max_offset = store.max_offset(&topic, queue_id);
            self.wake_up(self.held.take_ready(&topic, queue_id, max_offset));
        }
    }

    /// Forgets the pulls of a connection that has ended.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        let Some((_, places)) = self.places.remove(connection) else { return };
        for (topic, queue_id) in places.into_keys() {
            drop(self.held.take(&topic, queue_id, |pull| pull.ticket.responder.connection() == connection));
        }
    }

    /// How many pulls wait.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.held.count()
    }

    /// Holds no further pull, and wakes those that are held.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake_up(self.held.take_where(|_| true));
    }

    /// Waits until there may be woken pulls.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// At most `max` woken pulls, in the order in which they were woken.
    pub(crate) fn take_woken(&self, max: usize) -> Vec<HeldPull<Ticket>> {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = woken.len().min(max);
        woken.drain(..count).collect()
    }

    fn add_place(&self, connection: &Connection, topic: &ByteString, queue_id: i32) {
        let mut places = self.places.entry(connection.clone()).or_default();
        *places.entry((topic.clone(), queue_id)).or_default() += 1;
    }

    fn take_place(&self, pull: &HeldPull<Ticket>) {
        let Ticket { plan, responder, .. } = &pull.ticket;
        let Entry::Occupied(mut places) = self.places.entry(responder.connection().clone()) else { return };
        let place = (plan.topic.name.clone(), plan.queue_id);
        if let Some(count) = places.get_mut().get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                places.get_mut().remove(&place);
            }
        }
        if places.get().is_empty() {
            places.remove();
        }
    }

    fn wake_up(&self, pulls: Vec<HeldPull<Ticket>>) {
        if !pulls.is_empty() {
            pulls.iter().for_each(|pull| self.take_place(pull));
            self.woken.lock().unwrap_or_else(PoisonError::into_inner).extend(pulls);
            self.wake.notify_one();
        }
    }
}
