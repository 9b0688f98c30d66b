//! Delayed messages: they wait in `SCHEDULE_TOPIC_XXXX`, one queue a delay level, and are stored again in their own
//! topic when their time has come.
//!
//! How far each level has come is saved now and then: after a crash the messages delivered since are delivered again,
//! and none is lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::message::{SCHEDULE_TOPIC, names};
use serde::{Deserialize, Serialize};

use super::levels::DelayLevels;
use crate::store::{Appended, MessageStore, NewMessage, QueueEntry, StoreError};
use crate::stored_properties;
use crate::tables::file::ConfigTable;
use crate::tables::topic::TopicTable;

/// How many messages of a level are delivered at a time: others get their turn in between.
const BATCH: usize = 32;
/// How long a level rests after a failure.
const REST_AFTER_FAILURE_MS: i64 = 10_000;
/// Where half messages wait; nothing may be delivered there.
const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

/// The queue of `SCHEDULE_TOPIC_XXXX` in which a message of that level waits; `None` for a message that is not delayed.
/// Levels beyond the highest count as the highest.
pub(crate) fn waiting_queue(levels: &DelayLevels, level: i32) -> Option<i32> {
    let highest = i32::try_from(levels.count()).unwrap_or(i32::MAX);
    (level > 0 && highest > 0).then(|| level.min(highest) - 1)
}

/// Delivers delayed messages.
pub(crate) struct Schedule {
    levels: DelayLevels,
    progress: Vec<Progress>,
    file: ConfigTable,
}

/// How far one level has come.
#[derive(Debug, Default)]
struct Progress {
    /// The offset of the next message to deliver.
    next_offset: AtomicI64,
    /// After a failure: when to go on.
    rest_until_ms: AtomicI64,
}

/// `delayOffset.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredProgress {
    offset_table: BTreeMap<i32, i64>,
}

impl Schedule {
    /// Goes on from `delayOffset.json`, within the bounds of what the store still holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(levels: DelayLevels, store: &MessageStore) -> io::Result<Self> {
        let file = ConfigTable::new(store.dir().clone(), "delayOffset.json");
        let stored: StoredProgress = file.load()?.unwrap_or_default();
        let progress = (0..levels.count()).map(|_| Progress::default()).collect();
        let schedule = Self { levels, progress, file };
        for (level, offset) in stored.offset_table {
            if let Some((queue_id, progress)) = schedule.level(level) {
                let end = store.max_offset(SCHEDULE_TOPIC, queue_id);
                let start = store.min_offset(SCHEDULE_TOPIC, queue_id).min(end);
                progress.next_offset.store(offset.clamp(start, end), Ordering::Relaxed);
            }
        }
        Ok(schedule)
    }

    /// How many levels there are.
    pub(crate) fn levels(&self) -> &DelayLevels {
        &self.levels
    }

    /// Whether any message waits, due or not. Does not look at the disk.
    pub(crate) fn has_waiting(&self, store: &MessageStore) -> bool {
        let next = self.progress.iter().map(|progress| progress.next_offset.load(Ordering::Relaxed));
        (0..).zip(next).any(|(queue_id, next)| store.max_offset(SCHEDULE_TOPIC, queue_id) > next)
    }

    /// The queues of the levels, and the next offset to deliver in each.
    #[cfg(test)]
    pub(crate) fn reached(&self) -> impl Iterator<Item = (i32, i64)> {
        (0..).zip(self.progress.iter().map(|progress| progress.next_offset.load(Ordering::Relaxed)))
    }

    /// Delivers some of the messages whose time has come; true if there may be more. A level in which nothing waits
    /// costs a look at its queue's end.
    pub(crate) fn deliver_due(&self, store: &MessageStore, topics: &TopicTable, now_ms: i64) -> bool {
        let mut more = false;
        for level in 1..=i32::try_from(self.levels.count()).unwrap_or(i32::MAX) {
            let Some((queue_id, progress)) = self.level(level) else { continue };
            if now_ms < progress.rest_until_ms.load(Ordering::Relaxed) {
                continue;
            }
            more |= self.deliver_level(level, queue_id, progress, Sinks { store, topics, now_ms });
        }
        more
    }

    /// Writes `delayOffset.json` if it has changed, once the disk has the messages that were delivered: `is_safe` makes it
    /// so for all that the log holds by then. As long as it does not, the file does not pass over them where they waited.
    pub(crate) fn persist(&self, is_safe: impl FnOnce() -> bool) {
        // A failure is logged, and the next turn tries again.
        let _ = self.file.save_if_changed(|| {
            let offset = |progress: &Progress| progress.next_offset.load(Ordering::Acquire);
            let reached = (1..).zip(&self.progress).map(|(level, progress)| (level, offset(progress)));
            let stored = StoredProgress { offset_table: reached.filter(|(_, offset)| *offset > 0).collect() };
            is_safe().then_some(stored)
        });
    }

    fn level(&self, level: i32) -> Option<(i32, &Progress)> {
        let queue_id = level.checked_sub(1)?;
        let progress = self.progress.get(usize::try_from(queue_id).ok()?)?;
        Some((queue_id, progress))
    }

    fn deliver_level(&self, level: i32, queue_id: i32, progress: &Progress, sinks: Sinks<'_>) -> bool {
        let mut offset = progress.next_offset.load(Ordering::Relaxed);
        if sinks.store.max_offset(SCHEDULE_TOPIC, queue_id) <= offset {
            return false;
        }
        // Cleaning may have taken messages away that were never delivered.
        offset = offset.max(sinks.store.min_offset(SCHEDULE_TOPIC, queue_id));
        let entries = sinks.store.queue_entries(SCHEDULE_TOPIC, queue_id, offset, BATCH);
        let delay_ms = self.levels.delay_ms(level).unwrap_or(0);
        for entry in &entries {
            if !is_due(entry.tags_code, delay_ms, sinks.now_ms) {
                return false;
            }
            match sinks.deliver(entry) {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(level, offset = entry.queue_offset, %error, "a delayed message must wait");
                    progress.rest_until_ms.store(sinks.now_ms + REST_AFTER_FAILURE_MS, Ordering::Relaxed);
                    return false;
                }
            }
            progress.next_offset.store(entry.queue_offset + 1, Ordering::Release);
            self.file.mark_changed();
        }
        entries.len() == BATCH
    }
}

/// Whether a message's time has come. A time further away than its level's delay comes of a clock that was set back,
/// and counts as now.
fn is_due(deliver_ms: i64, delay_ms: i64, now_ms: i64) -> bool {
    deliver_ms <= now_ms || deliver_ms > now_ms.saturating_add(delay_ms)
}

/// Where delayed messages go.
#[derive(Clone, Copy)]
struct Sinks<'a> {
    store: &'a MessageStore,
    topics: &'a TopicTable,
    now_ms: i64,
}

impl Sinks<'_> {
    /// Stores a message in its own topic. Its properties stay as they are, as in
    /// Java. A message that can never be delivered is passed over with an error in the log.
    fn deliver(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        let bytes = match self.store.message_at(entry.physical_offset) {
            Ok(bytes) => bytes,
            Err(error @ StoreError::NotFound(_)) => {
                tracing::error!(?entry, %error, "a delayed message is lost");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let delivered = match Record::parse(&bytes) {
            Ok(record) if is_of(&record, entry) => self.deliver_record(&record),
            Ok(_) => Err(Undeliverable::Never("another message lies in its place".to_owned())),
            Err(error) => Err(Undeliverable::Never(error.to_string())),
        };
        match delivered {
            Ok(_) => Ok(()),
            Err(Undeliverable::Yet(error)) => Err(error),
            Err(Undeliverable::Never(why)) => {
                tracing::error!(?entry, why, "a delayed message can never be delivered");
                Ok(())
            }
        }
    }

    fn deliver_record(&self, record: &Record<'_>) -> Result<Appended, Undeliverable> {
        let never = |why: &str| Undeliverable::Never(why.to_owned());
        let properties = str::from_utf8(record.properties).map_err(|error| never(&error.to_string()))?;
        let (topic, queue_id) =
            real_place(properties).ok_or_else(|| never("it does not say where it belongs"))?;
        if topic == HALF_TOPIC {
            return Err(never("it belongs to the topic of half messages"));
        }
        let known = self.topics.find(topic);
        let unknown = ByteString::from(if known.is_none() { topic } else { "" });
        let topic = known.as_ref().map_or(&unknown, |topic| &topic.name);
        let tags_code = stored_properties::note(properties).tags_code();
        let message = NewMessage::again(record, topic, queue_id, properties, tags_code);
        match self.store.append(message) {
            Ok(appended) => Ok(appended),
            Err(error @ (StoreError::MessageIllegal { .. } | StoreError::PropertiesTooLong { .. })) => {
                Err(Undeliverable::Never(error.to_string()))
            }
            Err(error) => Err(Undeliverable::Yet(error)),
        }
    }
}

enum Undeliverable {
    /// Try again later.
    Yet(StoreError),
    /// Trying again would not help.
    Never(String),
}

/// Whether a unit points to the record that it was made for.
fn is_of(record: &Record<'_>, entry: &QueueEntry) -> bool {
    record.queue_offset == entry.queue_offset && record.topic == SCHEDULE_TOPIC.as_bytes()
}

/// The topic and the queue that a delayed message belongs to.
fn real_place(properties: &str) -> Option<(&str, i32)> {
    let last = |wanted: &str| {
        let entries = properties.rsplit('\u{2}').filter_map(|entry| entry.split_once('\u{1}'));
        entries.filter(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value).next()
    };
    Some((last(names::REAL_TOPIC)?, last(names::REAL_QID)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_beyond_the_highest_count_as_the_highest() {
        let levels = DelayLevels::default();
        for (level, queue) in [(-1, None), (0, None), (1, Some(0)), (18, Some(17)), (99, Some(17))] {
            assert_eq!(waiting_queue(&levels, level), queue, "level {level}");
        }
    }

    #[test]
    fn a_message_is_due_at_its_time_or_when_the_clock_was_set_back() {
        assert!(!is_due(1_001, 1_000, 1_000));
        assert!(is_due(1_000, 1_000, 1_000));
        assert!(!is_due(2_000, 1_000, 1_000));
        assert!(is_due(2_001, 1_000, 1_000), "further away than the delay");
    }

    #[test]
    fn the_last_real_topic_counts() {
        let properties = "REAL_TOPIC\u{1}A\u{2}REAL_QID\u{1}1\u{2}REAL_TOPIC\u{1}B\u{2}REAL_QID\u{1}2";
        assert_eq!(real_place(properties), Some(("B", 2)));
        assert_eq!(real_place("REAL_TOPIC\u{1}A\u{2}REAL_QID\u{1}x"), None);
        assert_eq!(real_place(""), None);
    }
}
