//! The share that a producer or consumer has in its instance.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rocketmq_protocol::remoting::Abandoned;

use super::ClientInstance;
use super::groups::{ConsumerMember, Member, ProducerMember};
use crate::error::Result;

/// Keeps an instance running, and names its member to the brokers once it has enrolled. The last one to leave, or to be
/// dropped, ends the instance.
pub(crate) struct Membership {
    instance: Arc<ClientInstance>,
    members: Arc<AtomicUsize>,
    member: Mutex<Option<Member>>,
}

impl Membership {
    pub(super) fn first(instance: Arc<ClientInstance>) -> Self {
        Self { instance, members: Arc::new(AtomicUsize::new(1)), member: Mutex::default() }
    }

    pub(super) fn parts(&self) -> (Arc<ClientInstance>, Arc<AtomicUsize>) {
        (Arc::clone(&self.instance), Arc::clone(&self.members))
    }

    /// Joins a running instance, unless its last member has left.
    pub(super) fn join(instance: Arc<ClientInstance>, members: Arc<AtomicUsize>) -> Option<Self> {
        let joined = members
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count > 0).then_some(count + 1));
        joined.is_ok().then(|| Self { instance, members, member: Mutex::default() })
    }

    /// A handle to the instance that does not keep it running.
    pub(crate) fn instance(&self) -> &Arc<ClientInstance> {
        &self.instance
    }

    /// From now on heartbeats name this producer.
    ///
    /// # Errors
    /// The instance has a producer of that group.
    pub(crate) fn enroll_producer(&self, producer: Weak<dyn ProducerMember>) -> Result<()> {
        self.enroll(Member::Producer(producer))
    }

    /// From now on heartbeats name this consumer, and it learns what changes in its group.
    ///
    /// # Errors
    /// The instance has a consumer of that group.
    pub(crate) fn enroll_consumer(&self, consumer: Weak<dyn ConsumerMember>) -> Result<()> {
        self.enroll(Member::Consumer(consumer))
    }

    /// Heartbeats no longer name this member; its connections stay.
    pub(crate) fn resign(&self) {
        if let Some(member) = self.member.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.instance.groups.remove(&member);
        }
    }

    /// Leaves. If this was the last member, waits until the instance's tasks have ended, and says what its connections have
    /// not written.
    pub(crate) async fn leave(self) -> Abandoned {
        let instance = Arc::clone(&self.instance);
        drop(self);
        if instance.stop.is_cancelled() {
            instance.tasks.wait().await;
            return instance.door.abandoned().await;
        }
        Abandoned::default()
    }

    fn enroll(&self, member: Member) -> Result<()> {
        self.instance.groups.add(&member)?;
        self.member.lock().unwrap_or_else(PoisonError::into_inner).replace(member);
        Ok(())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.resign();
        if self.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.instance.close();
        }
    }
}

impl Deref for Membership {
    type Target = Arc<ClientInstance>;

    fn deref(&self) -> &Arc<ClientInstance> {
        &self.instance
    }
}
