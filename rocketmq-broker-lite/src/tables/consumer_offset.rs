//! How far each consumer group has come in each queue.

use std::collections::{BTreeMap, HashMap};
use std::io;

use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::illegal_name_character;
use serde::{Deserialize, Serialize};

use super::file::ConfigTable;
use crate::store::StoreDir;

/// Stands between topic and group in the file.
const SEPARATOR: char = '@';

type Queues = BTreeMap<i32, i64>;

/// The committed offsets of all groups: the offset of the next message to consume, by group, topic and queue.
pub(crate) struct ConsumerOffsets {
    groups: DashMap<ByteString, HashMap<ByteString, Queues>>,
    file: ConfigTable,
}

/// `consumerOffset.json`; keys are `topic@group`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredOffsets {
    offset_table: BTreeMap<String, Queues>,
}

/// A commit names a topic or group that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topic's or the group's name is illegal")]
pub(crate) struct IllegalName;

impl ConsumerOffsets {
    /// The offsets of `consumerOffset.json`. One beyond its queue's end is taken back to it: the log has lost what lay
    /// there, and what comes instead is new to the group.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(store: impl Into<StoreDir>, queue_end: impl Fn(&str, i32) -> i64) -> io::Result<Self> {
        let file = ConfigTable::new(store, "consumerOffset.json");
        let groups: DashMap<ByteString, HashMap<ByteString, Queues>> = DashMap::new();
        let stored: StoredOffsets = file.load()?.unwrap_or_default();
        for (key, queues) in stored.offset_table {
            if let Some((topic, group)) = key.split_once(SEPARATOR) {
                let queues = queues.into_iter().map(|(queue_id, offset)| {
                    (queue_id, within_queue(&key, queue_id, offset, queue_end(topic, queue_id)))
                });
                let queues: Queues = queues.collect();
                groups.entry(group.into()).or_default().insert(topic.into(), queues);
            }
        }
        Ok(Self { groups, file })
    }

    /// Notes an offset as it is given: whether it goes forward is the consumer's business, as in 4.9.
    ///
    /// # Errors
    /// Names that no topic or group can have: they are not worth memory.
    pub(crate) fn commit(
        &self,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> Result<(), IllegalName> {
        let known = self.groups.get_mut(group).is_some_and(|mut topics| {
            topics.get_mut(topic).map(|queues| queues.insert(queue_id, offset)).is_some()
        });
        if !known {
            if [group, topic].iter().any(|name| name.is_empty() || illegal_name_character(name).is_some()) {
                return Err(IllegalName);
            }
            let mut topics = self.groups.entry(group.into()).or_default();
            topics.entry(topic.into()).or_default().insert(queue_id, offset);
        }
        self.file.mark_changed();
        Ok(())
    }

    /// The committed offset, if there is one.
    pub(crate) fn query(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.groups.get(group)?.get(topic)?.get(&queue_id).copied()
    }

    /// Writes `consumerOffset.json` if it has changed, once the disk has the messages that the offsets pass over:
    /// `is_safe` makes it so for all that the log holds by then.
    pub(crate) fn persist(&self, is_safe: impl FnOnce() -> bool) {
        // A failure is logged, and the next turn tries again.
        let _ = self.file.save_if_changed(|| {
            let mut stored = StoredOffsets::default();
            for group in &self.groups {
                for (topic, queues) in group.value() {
                    stored.offset_table.insert(format!("{topic}{SEPARATOR}{}", group.key()), queues.clone());
                }
            }
            is_safe().then_some(stored)
        });
    }
}

fn within_queue(key: &str, queue_id: i32, offset: i64, end: i64) -> i64 {
    if offset > end {
        tracing::warn!(key, queue_id, offset, end, "a committed offset was beyond its queue's end");
    }
    offset.min(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_stored_as_given_and_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let offsets = ConsumerOffsets::open(directory.path(), |_, _| i64::MAX).unwrap();
        assert_eq!(offsets.query("g", "T", 0), None);
        for offset in [7, 5] {
            offsets.commit("g", "T", 0, offset).unwrap();
            assert_eq!(offsets.query("g", "T", 0), Some(offset));
        }
        offsets.commit("g", "%RETRY%g", 3, 1).unwrap();
        offsets.persist(|| true);
        let again = ConsumerOffsets::open(directory.path(), |_, _| i64::MAX).unwrap();
        assert_eq!(
            (again.query("g", "T", 0), again.query("g", "%RETRY%g", 3), again.query("g", "T", 1)),
            (Some(5), Some(1), None)
        );
        let text = std::fs::read_to_string(directory.path().join("config/consumerOffset.json")).unwrap();
        assert_eq!(
            text,
            "{\n\t\"offsetTable\":{\n\t\t\"%RETRY%g@g\":{\n\t\t\t3:1\n\t\t},\n\t\t\"T@g\":{\n\t\t\t0:5\n\t\t}\n\t}\n}"
        );
    }

    #[test]
    fn names_that_cannot_exist_take_no_memory() {
        let directory = tempfile::tempdir().unwrap();
        let offsets = ConsumerOffsets::open(directory.path(), |_, _| i64::MAX).unwrap();
        for (group, topic) in [("", "T"), ("g", ""), ("a@b", "T"), ("g", "a b")] {
            assert_eq!(offsets.commit(group, topic, 0, 1), Err(IllegalName));
        }
        assert_eq!(offsets.query("g", "a b", 0), None);
    }

    #[test]
    fn javas_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/consumerOffset.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for java in [
            include_str!("../../../rocketmq-protocol/tests/golden/store-4.9.7/consumerOffset.json"),
            include_str!("../../../rocketmq-protocol/tests/golden/store-5.5.0/consumerOffset.json"),
        ] {
            std::fs::write(&path, java).unwrap();
            let offsets = ConsumerOffsets::open(directory.path(), |_, _| i64::MAX).unwrap();
            assert_eq!(offsets.query("group_retry", "%RETRY%group_retry", 0), Some(7));
            assert_eq!(offsets.query("group_retry", "Tags", 3), Some(2));
        }
    }

    #[test]
    fn an_offset_is_not_saved_before_the_log_is_safe_and_never_passes_its_queue() {
        let directory = tempfile::tempdir().unwrap();
        let offsets = ConsumerOffsets::open(directory.path(), |_, _| i64::MAX).unwrap();
        offsets.commit("g", "T", 0, 10).unwrap();
        offsets.persist(|| false);
        let read = |end| {
            let offsets = ConsumerOffsets::open(directory.path(), |_, _| end).unwrap();
            offsets.query("g", "T", 0)
        };
        assert_eq!(read(i64::MAX), None);
        offsets.persist(|| true);
        assert_eq!((read(10), read(5), read(0)), (Some(10), Some(5), Some(0)));
    }
}
