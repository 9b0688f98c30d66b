//! The message store: owns every file of the broker, knows no sockets.

pub(crate) mod config_file;

mod config;
mod consume_queue;
mod delay_levels;
mod error;
mod flush;
mod message;
mod pull;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use config::{FlushDiskType, StoreConfig};
pub(crate) use consume_queue::QueueEntry;
pub(crate) use delay_levels::{DelayLevels, DelayLevelsError};
pub(crate) use error::StoreError;
pub(crate) use flush::FlushOutcome;
pub(crate) use message::{Appended, Arrival, NewMessage};
pub(crate) use pull::{PullStatus, Pulled};

use crate::clock::Clock;

/// Called for each message once it can be read, outside the store's locks.
pub(crate) type Arrivals = Box<dyn Fn(&Arrival<'_>) + Send + Sync>;

/// Called once when a wait for the disk is over, outside the store's locks.
pub(crate) type FlushDone = Box<dyn FnOnce(FlushOutcome) + Send>;

/// Commit log and consume queues in one directory.
pub(crate) struct MessageStore {
    config: StoreConfig,
    clock: Clock,
    arrivals: Arrivals,
}

impl MessageStore {
    /// Opens a directory.
    ///
    /// # Errors
    /// The directory is in use, or its files cannot be read.
    pub(crate) fn open(
        config: StoreConfig,
        clock: Clock,
        arrivals: Arrivals,
    ) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self { config, clock, arrivals }))
    }

    /// Stores a message.
    ///
    /// # Errors
    /// It breaks a limit, or the store is closed or failed.
    pub(crate) fn append(&self, message: NewMessage<'_>) -> Result<Appended, StoreError> {
        let _ = (message, &self.config, &self.clock, &self.arrivals);
        Err(StoreError::ShutDown)
    }

    /// Stores messages of one queue under consecutive offsets.
    ///
    /// # Errors
    /// One breaks a limit, or the store is closed or failed; then none is stored.
    pub(crate) fn append_batch(&self, messages: &[NewMessage<'_>]) -> Result<Vec<Appended>, StoreError> {
        messages.iter().map(|message| self.append(*message)).collect()
    }

    /// Calls `done` once when the disk has the log up to `end_offset`.
    pub(crate) fn when_flushed(&self, end_offset: i64, timeout: Duration, done: FlushDone) {
        let _ = (end_offset, timeout);
        done(FlushOutcome::Failed);
    }

    /// Reads messages.
    pub(crate) fn pull(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        max_messages: usize,
        max_bytes: usize,
        wants: &dyn Fn(i64) -> bool,
    ) -> Pulled {
        let _ = (topic, queue_id, offset, max_messages, max_bytes, wants);
        Pulled::empty(PullStatus::NoMatchedLogicQueue, 0, 0, 0)
    }

    /// The whole record at a place in the log.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn message_at(&self, physical_offset: i64) -> Result<Bytes, StoreError> {
        Err(StoreError::NotFound(physical_offset))
    }

    /// The queue's first offset.
    pub(crate) fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        let _ = (topic, queue_id);
        0
    }

    /// The offset of the queue's next message.
    pub(crate) fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        let _ = (topic, queue_id);
        0
    }

    /// The offset of the message stored nearest to a moment.
    pub(crate) fn offset_by_time(&self, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
        let _ = (topic, queue_id, timestamp);
        0
    }

    /// When the queue's first message was stored.
    pub(crate) fn earliest_store_time(&self, topic: &str, queue_id: i32) -> Option<i64> {
        let _ = (topic, queue_id);
        None
    }

    /// Units of a consume queue.
    pub(crate) fn queue_entries(&self, topic: &str, queue_id: i32, from: i64, max: usize) -> Vec<QueueEntry> {
        let _ = (topic, queue_id, from, max);
        Vec::new()
    }

    /// Whether a message lies within 40 % of the machine's memory from the log's end.
    pub(crate) fn is_in_memory(&self, topic: &str, queue_id: i32, offset: i64) -> bool {
        let _ = (topic, queue_id, offset);
        true
    }

    /// The failure after which the store takes no more messages.
    pub(crate) fn poisoned(&self) -> Option<Arc<StoreError>> {
        None
    }

    /// Flushes everything and lets the directory go.
    ///
    /// # Errors
    /// A flush failed.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
