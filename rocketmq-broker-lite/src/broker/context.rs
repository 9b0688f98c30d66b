//! What the processors and the periodic tasks of one broker share.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::remoting::{Budget, Connection};
use rocketmq_protocol::request::NotifyConsumerIdsChanged;

use crate::clients::consumers::ConsumerManager;
use crate::clients::producers::ProducerManager;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::delay::schedule::Schedule;
use crate::pull_wait::wake::PullHold;
use crate::server::pool::Pool;
use crate::store::MessageStore;
use crate::tables::consumer_offset::ConsumerOffsets;
use crate::tables::subscription_group::SubscriptionGroupTable;
use crate::tables::topic::TopicTable;

/// Everything a broker knows.
pub(crate) struct Context {
    /// What it was told.
    pub(crate) config: BrokerConfig,
    /// What follows from where it listens.
    pub(crate) place: Place,
    /// The time.
    pub(crate) clock: Clock,
    /// What is held on behalf of all clients.
    pub(crate) memory: Budget,
    /// The messages.
    pub(crate) store: Arc<MessageStore>,
    /// The topics.
    pub(crate) topics: Arc<TopicTable>,
    /// The groups' settings.
    pub(crate) groups: SubscriptionGroupTable,
    /// How far the groups have come.
    pub(crate) offsets: ConsumerOffsets,
    /// Who consumes.
    pub(crate) consumers: ConsumerManager<Connection>,
    /// Who produces.
    pub(crate) producers: ProducerManager<Connection>,
    /// Where requests are served that may wait for the disk.
    pub(crate) readers: Pool<Connection>,
    /// The pulls that wait.
    pub(crate) held: Arc<PullHold>,
    /// The delayed messages.
    pub(crate) schedule: Schedule,
}

/// What follows from where a broker listens, in the form in which answers need it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where clients reach it: `host:port`.
    pub(crate) addr: ByteString,
    /// The host of that address: Java's remarks name it.
    pub(crate) host: String,
    /// That address in stored messages and offset message ids.
    pub(crate) store_host: SocketAddr,
    /// The region that send answers name.
    pub(crate) region_id: ByteString,
    /// Whether send answers tell clients to trace, as text.
    pub(crate) trace_on: ByteString,
}

impl Context {
    /// Tells a group's members that they have changed. A member that does not keep up with its answers misses it; it
    /// looks by itself every 20 seconds.
    pub(crate) fn notify_consumers(&self, group: &str) {
        if !self.config.notify_consumer_ids_changed_enable {
            return;
        }
        let notice = NotifyConsumerIdsChanged { consumer_group: group.into() };
        for connection in self.consumers.connections(group) {
            if let Err(error) = connection.try_oneway(&notice, Bytes::new()) {
                tracing::debug!(group, %error, "a member could not be told that its group has changed");
            }
        }
    }

    /// Writes every table that has changed since it was last written.
    pub(crate) fn persist_all(&self) {
        // A failure is logged; the store's own close tells of a disk that fails.
        let _ = self.topics.persist();
        let _ = self.groups.persist();
        self.persist_offsets();
        self.persist_schedule();
    }

    /// Writes how far the groups have come. Waits for the disk.
    pub(crate) fn persist_offsets(&self) {
        self.offsets.persist(|| self.store.make_safe());
    }

    /// Writes how far the delay levels have come. Waits for the disk.
    pub(crate) fn persist_schedule(&self) {
        self.schedule.persist(|| self.store.make_safe());
    }
}
