//! Where a group's offsets are kept, and where consumption of a queue begins.

mod remote;
pub(super) mod start;

use rocketmq_protocol::message::MessageQueue;

use super::process_queue::{Committed, ProcessQueue, Turn};
use crate::error::Result;

pub(crate) use remote::{BrokerOffsets, no_broker};
pub use start::ConsumeFromWhere;

/// A group's offsets. Java: `OffsetStore`.
pub(crate) enum OffsetStore {
    /// At the brokers: members share the queues, and whoever has one next goes on there.
    Brokers(BrokerOffsets),
}

/// What the store says of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Committed(Committed),
    /// No offset. Certain, unless only a slave said so: its master may have one that has not come there yet.
    Nothing {
        certain: bool,
    },
}

impl OffsetStore {
    /// The committed offset of a queue.
    pub(crate) async fn read(&self, queue: &MessageQueue) -> Result<Found> {
        match self {
            Self::Brokers(brokers) => brokers.read(queue).await,
        }
    }

    /// Whether a queue is done with something that the store does not know yet.
    pub(crate) fn is_behind(&self, held: &ProcessQueue) -> bool {
        let Self::Brokers(brokers) = self;
        held.uncommitted(brokers.reaches_master(&held.queue)).is_some()
    }

    /// Commits what a queue is done with and the store does not know yet. What fails is tried again the next time.
    pub(crate) async fn commit(&self, held: &ProcessQueue, _turn: Turn) {
        let Self::Brokers(brokers) = self;
        let master_reached = brokers.reaches_master(&held.queue);
        let Some(offset) = held.uncommitted(master_reached) else { return };
        // A master that was away knows nothing of what its slave was told, and perhaps more than that.
        let was_away = master_reached && held.committed().is_some_and(|known| !known.at_master);
        let told = match was_away {
            true => self.commit_forward(held, offset).await,
            false => brokers.commit(&held.queue, offset).await,
        };
        settle(held, offset, told);
    }

    /// Tells once more what was [told once](ProcessQueue::told_once): a broker that stopped before it saved its offsets has
    /// forgotten it, and a 4.9 broker loses one of two members' first commits of a topic if they come at once. (Java tells
    /// every offset each time.)
    pub(crate) async fn tell_again(&self, held: &ProcessQueue, _turn: Turn) {
        let Self::Brokers(brokers) = self;
        let Some(offset) = held.told_once() else { return };
        settle(held, offset, brokers.commit(&held.queue, offset).await);
    }

    /// The last commit of a queue that was given up: its next owner may have committed already, and no offset goes back.
    pub(crate) async fn commit_last(&self, held: &ProcessQueue) {
        let Self::Brokers(brokers) = self;
        let _turn = held.turn().await;
        let Some(offset) = held.uncommitted(brokers.reaches_master(&held.queue)) else { return };
        let told = self.commit_forward(held, offset).await;
        settle(held, offset, told);
    }

    /// Commits, unless the store is as far already.
    async fn commit_forward(&self, held: &ProcessQueue, offset: i64) -> Result<Committed> {
        let Self::Brokers(brokers) = self;
        match brokers.read(&held.queue).await? {
            Found::Committed(known) if known.offset >= offset => Ok(Committed { offset, ..known }),
            _ => brokers.commit(&held.queue, offset).await,
        }
    }
}

fn settle(held: &ProcessQueue, offset: i64, told: Result<Committed>) {
    match told {
        Ok(committed) => held.set_committed(committed),
        Err(error) => tracing::warn!(queue = %held.queue, offset, %error, "an offset could not be committed"),
    }
}
