//! The producers and consumers of an instance, as heartbeats, inbound requests and rebalance see them. The instance keeps
//! none of them alive: one that is gone is no longer named, whatever became of its handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::ConsumerData;

use crate::error::{Error, ErrorKind, Result};

/// A producer as its instance sees it.
pub(crate) trait ProducerMember: Send + Sync {
    /// What heartbeats call it.
    fn producer_group(&self) -> &ByteString;
}

/// A consumer as its instance sees it.
pub(crate) trait ConsumerMember: Send + Sync {
    fn consumer_group(&self) -> &ByteString;

    /// What heartbeats say of it.
    fn consumer_data(&self) -> ConsumerData;

    /// The group or a route has changed. Must not block.
    fn rebalance_soon(&self);
}

/// A member of either kind.
#[derive(Clone)]
pub(super) enum Member {
    Producer(Weak<dyn ProducerMember>),
    Consumer(Weak<dyn ConsumerMember>),
}

/// Who takes part. A group has one producer and one consumer in an instance.
#[derive(Default)]
pub(super) struct Groups(Mutex<Table>);

#[derive(Default)]
struct Table {
    producers: BTreeMap<ByteString, Weak<dyn ProducerMember>>,
    consumers: BTreeMap<ByteString, Weak<dyn ConsumerMember>>,
}

impl Groups {
    pub(super) fn add(&self, member: &Member) -> Result<()> {
        match member {
            Member::Producer(member) => {
                let strong = member.upgrade().ok_or_else(Error::closed)?;
                enter(&mut self.table().producers, "producer", strong.producer_group(), member)
            }
            Member::Consumer(member) => {
                let strong = member.upgrade().ok_or_else(Error::closed)?;
                enter(&mut self.table().consumers, "consumer", strong.consumer_group(), member)
            }
        }
    }

    /// Takes out exactly this member, not one that has taken its place since.
    pub(super) fn remove(&self, member: &Member) {
        let mut table = self.table();
        match member {
            Member::Producer(member) => table.producers.retain(|_, present| !present.ptr_eq(member)),
            Member::Consumer(member) => table.consumers.retain(|_, present| !present.ptr_eq(member)),
        }
    }

    pub(super) fn producers(&self) -> Vec<Arc<dyn ProducerMember>> {
        self.table().producers.values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn consumers(&self) -> Vec<Arc<dyn ConsumerMember>> {
        self.table().consumers.values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn consumer(&self, group: &str) -> Option<Arc<dyn ConsumerMember>> {
        self.table().consumers.get(group)?.upgrade()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enter<M: ?Sized>(
    members: &mut BTreeMap<ByteString, Weak<M>>,
    kind: &str,
    group: &ByteString,
    member: &Weak<M>,
) -> Result<()> {
    if members.get(group).is_some_and(|present| present.strong_count() > 0) {
        let why = format!("The {kind} group[{group}] has been created before, specify another name please.");
        return Err(Error::new(ErrorKind::InvalidConfig, why));
    }
    members.insert(group.clone(), Weak::clone(member));
    Ok(())
}
