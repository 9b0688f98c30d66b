//! What happens at start: find the log's end, and bring the consume queues in line with it.
//!
//! The checkpoint's safe offset says what surely is on disk, with its units. After a crash the log is read from there on:
//! it ends where the records end, and units from there on are put again. After a clean end the last three files of the
//! log are checked, with their units. A queue that lacks earlier units is built again from the whole log, by itself.
//! Without a safe offset, as after a crash of Java's broker, everything is read: times prove nothing, since a clock can
//! be set back.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rocketmq_protocol::body::json;
use rocketmq_protocol::message::record::Record;

use super::checkpoint::Checkpoint;
use super::commit_log::CommitLog;
use super::config_file;
use super::consume_queue::{Behind, ConsumeQueue, QueueEntry, UNIT_BYTES};
use super::damage::Damage;
use super::dispatch::{is_queued, is_storable_topic, tags_code};
use super::log_reader::LogReader;
use super::queue_table::QueueTable;
use super::{StoreDir, StoreError};
use crate::delay::levels::DelayLevels;

/// After a clean end this many files are checked.
const CHECKED_FILES: i64 = 3;
/// Units are compared in pieces of this many.
const UNITS_AT_ONCE: usize = 256;

/// What recovery works on.
pub(super) struct Recovery<'a> {
    /// Where the topics' settings are.
    pub(super) store: &'a StoreDir,
    /// The log.
    pub(super) log: &'a CommitLog,
    /// The consume queues.
    pub(super) queues: &'a QueueTable,
    /// For messages in `SCHEDULE_TOPIC_XXXX`.
    pub(super) delay_levels: &'a DelayLevels,
    /// What surely is on disk.
    pub(super) checkpoint: Checkpoint,
    /// The store was closed the last time.
    pub(super) clean: bool,
    /// Records behind damage are given up, as Java's broker does, and kept beside the store.
    pub(super) goes_on_after_damage: bool,
}

/// Which part of the log is read.
struct Plan {
    start: i64,
    /// Queues of topics whose records lie before this are there, or were deleted.
    settled_before: i64,
    /// A queue may begin anywhere: there is nothing earlier to read.
    whole_log: bool,
}

/// What reading the log has shown so far.
struct Scan<'a> {
    plan: Plan,
    /// Queues that lack earlier units.
    lacking: BTreeMap<(String, i32), Arc<ConsumeQueue>>,
    /// Topics that have settings; `None` if it is not known.
    known_topics: Option<HashSet<String>>,
    /// A piece of each queue, for comparing.
    pieces: HashMap<*const ConsumeQueue, (i64, Vec<u8>)>,
    /// Units that were not what the log says.
    wrong_units: u64,
    recovery: &'a Recovery<'a>,
}

impl Recovery<'_> {
    /// Recovers. Afterwards the log ends behind its last good record, and each queue holds what the log holds.
    ///
    /// # Errors
    /// A file cannot be read, written or cut.
    pub(super) fn run(&self) -> Result<(), StoreError> {
        let Some((log_start, log_end)) = self.log.files().range() else {
            self.look_behind(0, 0)?;
            return self.clear_queues();
        };
        let safe = self.checkpoint.safe_offset.filter(|safe| (log_start..=log_end).contains(safe));
        let plan = self.plan(log_start, log_end, safe)?;
        let start = plan.start;
        let mut scan = Scan::new(self, plan);
        let (end, timestamp) = scan.read_from(start)?;
        scan.report();
        self.look_behind(end, log_end)?;
        let as_closed = self.clean && safe == Some(end);
        if !as_closed {
            self.cut_queues(end)?;
            self.log.files().truncate(end)?;
        }
        let lacking = std::mem::take(&mut scan.lacking);
        self.build_again(lacking, log_start, end)?;
        let flushed = if self.clean { end } else { safe.unwrap_or(log_start).min(end) };
        self.log.end_at(end, flushed, timestamp.unwrap_or(self.checkpoint.log_timestamp));
        self.log.files().close_handles();
        for queue in self.queues.all() {
            queue.find_min(log_start)?;
            queue.settle()?;
        }
        Ok(())
    }

    /// What lies behind the log's end must be what a crash left, not what was safe.
    fn look_behind(&self, end: i64, log_end: i64) -> Result<(), StoreError> {
        let damage = Damage { store: self.store, log: self.log, at: end };
        match self.checkpoint.safe_offset {
            Some(safe) if end < safe => damage.refuse_or_keep(safe, self.goes_on_after_damage),
            // Java's broker does not say where its log ended.
            None if self.clean => damage.refuse_or_keep_records(log_end, self.goes_on_after_damage),
            _ => Ok(()),
        }
    }

    /// Without a log there is nothing that queues could point to.
    fn clear_queues(&self) -> Result<(), StoreError> {
        self.queues.all().iter().try_for_each(|queue| queue.clear())
    }

    /// Keeps the units of records before a place in the log; the disk is known to have them. Queues in which others lie
    /// between them are built again.
    fn keep_safe_units(&self, log_offset: i64) -> Result<(), StoreError> {
        let mut untrue = 0_u64;
        for queue in self.queues.all() {
            match self.cut_queue(&queue, log_offset)? {
                Behind::Nothing | Behind::Later => {}
                Behind::Untrue => untrue += 1,
                Behind::Damaged => self.queues.is_lacking(Arc::clone(&queue)),
            }
            queue.is_on_disk();
        }
        if untrue > 0 {
            tracing::warn!(
                untrue,
                "consume queues had units of records that the log does not have; they were cut"
            );
        }
        Ok(())
    }

    /// Keeps the units of records before a place in the log.
    fn cut_queues(&self, log_offset: i64) -> Result<(), StoreError> {
        self.queues.all().iter().try_for_each(|queue| self.cut_queue(queue, log_offset).map(drop))
    }

    fn cut_queue(&self, queue: &ConsumeQueue, log_offset: i64) -> Result<Behind, StoreError> {
        queue.cut(log_offset, &|entry| self.is_true(queue, entry))
    }

    fn plan(&self, log_start: i64, log_end: i64, safe: Option<i64>) -> Result<Plan, StoreError> {
        let size = self.log.file_size();
        if !self.clean {
            let settled_before = safe.unwrap_or(log_start);
            self.keep_safe_units(settled_before)?;
            // From the beginning of the file: what was safe is checked, too.
            let start = ((settled_before - 1) / size * size).max(log_start);
            return Ok(Plan { start, settled_before, whole_log: start == log_start });
        }
        self.keep_safe_units(i64::MAX)?;
        let mut settled_before = safe.unwrap_or(log_start);
        for queue in self.queues.all() {
            settled_before = settled_before.max(queue.log_end()?.unwrap_or(log_start));
        }
        let start = (log_end - CHECKED_FILES * size).max(log_start);
        // Java's broker may have been closed before its queues had everything.
        let start = if safe.is_some() { start } else { start.min(settled_before - settled_before % size) };
        Ok(Plan { start, settled_before, whole_log: start == log_start })
    }

    /// Whether the log has the record that a unit points to. A unit of a record that was deleted may be true.
    fn is_true(&self, queue: &ConsumeQueue, entry: &QueueEntry) -> Result<bool, StoreError> {
        if entry.is_blank() || entry.physical_offset < self.log.min_offset() {
            return Ok(true);
        }
        let mut reader = LogReader::new(self.log, entry.physical_offset);
        Ok(reader.record_here(entry.size)?.is_some_and(|record| queue.owns(&record, entry.queue_offset)))
    }

    fn build_again(
        &self,
        queues: BTreeMap<(String, i32), Arc<ConsumeQueue>>,
        log_start: i64,
        end: i64,
    ) -> Result<(), StoreError> {
        if queues.is_empty() {
            return Ok(());
        }
        for ((topic, queue_id), queue) in &queues {
            tracing::warn!(topic, queue_id, "the consume queue is built again from the whole log");
            queue.clear()?;
        }
        let mut reader = LogReader::new(self.log, log_start);
        while let Some(record) = reader.next_record()?.filter(|record| record.physical_offset < end) {
            if !is_queued(record.sys_flag) {
                continue;
            }
            let key = (String::from_utf8_lossy(record.topic).into_owned(), record.queue_id);
            if let Some(queue) = queues.get(&key) {
                if !queue.is_empty() && (1..queue.max()).contains(&record.queue_offset) {
                    self.report_twice(&record);
                    continue;
                }
                if record.queue_offset != queue.max() || queue.is_empty() {
                    queue.move_to(record.queue_offset)?;
                }
                self.put(queue, &self.unit(&record))?;
            }
        }
        Ok(())
    }

    fn report_twice(&self, record: &Record<'_>) {
        let (place, offset) = (record.physical_offset, record.queue_offset);
        tracing::error!(
            topic = %String::from_utf8_lossy(record.topic),
            place,
            offset,
            record.queue_id,
            "a record has the queue offset of another, passed over"
        );
    }

    fn put(&self, queue: &Arc<ConsumeQueue>, unit: &QueueEntry) -> Result<(), StoreError> {
        self.queues.put(queue, unit);
        if queue.has_room() { Ok(()) } else { queue.write_out() }
    }

    fn unit(&self, record: &Record<'_>) -> QueueEntry {
        QueueEntry {
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            size: i32::try_from(record.encoded_len()).unwrap_or(i32::MAX),
            tags_code: tags_code(record, self.delay_levels),
        }
    }

    /// The topics of `topics.json`; `None` if that says nothing.
    fn known_topics(&self) -> Option<HashSet<String>> {
        let path = self.store.root.join("config/topics.json");
        let valid = |bytes: &[u8]| json::from_slice::<Topics>(bytes).is_ok();
        let bytes = config_file::load(&*self.store.fs, &path, valid).ok()??;
        let topics: Topics = json::from_slice(&bytes).ok()?;
        Some(topics.topic_config_table.into_keys().collect())
    }
}

/// The names in `topics.json`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Topics {
    topic_config_table: HashMap<String, serde::de::IgnoredAny>,
}

impl<'a> Scan<'a> {
    fn new(recovery: &'a Recovery<'a>, plan: Plan) -> Self {
        let lacking = BTreeMap::new();
        let mut scan =
            Self { plan, lacking, known_topics: None, pieces: HashMap::new(), wrong_units: 0, recovery };
        scan.known_topics = recovery.known_topics();
        for queue in recovery.queues.take_lacking() {
            scan.lacks(&queue);
        }
        scan
    }

    /// Reads good records to their end. Returns the place behind the last one, and when it was stored if there is any.
    fn read_from(&mut self, start: i64) -> Result<(i64, Option<i64>), StoreError> {
        let torn_from = if self.recovery.clean { i64::MAX } else { self.plan.settled_before };
        let mut reader = LogReader::new(self.recovery.log, start).torn_from(torn_from);
        let mut last_timestamp = None;
        while let Some(record) = reader.next_record()? {
            if is_queued(record.sys_flag) {
                self.dispatch(&record)?;
            }
            last_timestamp = Some(record.store_timestamp);
        }
        Ok((reader.position(), last_timestamp))
    }

    /// Sees to it that a record's queue has its unit, or notes that the queue lacks earlier ones.
    fn dispatch(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        let topic = String::from_utf8_lossy(record.topic);
        if !is_storable_topic(&topic) {
            let offset = record.physical_offset;
            tracing::warn!(?topic, offset, "a record's topic is no name, passed over");
            return Ok(());
        }
        let Some(queue) = self.queue(&topic, record) else { return Ok(()) };
        if self.lacking.contains_key(&(topic.into_owned(), record.queue_id)) {
            return Ok(());
        }
        let unit = self.recovery.unit(record);
        match record.queue_offset.cmp(&queue.max()) {
            Ordering::Less => self.compare(&queue, record, &unit),
            _ if queue.log_end()?.is_some_and(|end| unit.physical_offset < end) => {
                // The topic was deleted and made again; newer records count.
                Ok(())
            }
            Ordering::Greater if !self.plan.whole_log => {
                self.lacks(&queue);
                Ok(())
            }
            Ordering::Greater => self.go_on_at(&queue, &unit),
            Ordering::Equal => self.recovery.put(&queue, &unit),
        }
    }

    /// The record's queue; `None` if it was deleted.
    fn queue(&mut self, topic: &str, record: &Record<'_>) -> Option<Arc<ConsumeQueue>> {
        let queues = self.recovery.queues;
        if let Some(queue) = queues.find(topic, record.queue_id) {
            return Some(queue);
        }
        let settled = record.physical_offset < self.plan.settled_before;
        let known = self.known_topics.as_ref().is_none_or(|known| known.contains(topic));
        if settled && !known {
            return None;
        }
        let queue = queues.find_or_create(topic, record.queue_id);
        if settled && !self.plan.whole_log {
            self.lacks(&queue);
        } else if !known {
            tracing::warn!(topic, record.queue_id, "a queue of a topic without settings is built again");
        }
        Some(queue)
    }

    fn lacks(&mut self, queue: &Arc<ConsumeQueue>) {
        self.lacking.insert((queue.topic.to_string(), queue.queue_id), Arc::clone(queue));
    }

    /// Compares a unit that is there with what the log says.
    fn compare(
        &mut self,
        queue: &Arc<ConsumeQueue>,
        record: &Record<'_>,
        unit: &QueueEntry,
    ) -> Result<(), StoreError> {
        let there = self.unit_of(queue, unit.queue_offset)?;
        if there.is_some_and(|there| there == *unit) {
            return Ok(());
        }
        if let Some(there) = there
            && there.physical_offset > unit.physical_offset
            && self.recovery.is_true(queue, &there)?
        {
            // The topic was deleted and made again; newer records count.
            return Ok(());
        }
        if unit.queue_offset < queue.begins() {
            self.lacks(queue);
            return Ok(());
        }
        // A topic that was made again begins at 0.
        if unit.queue_offset > 0
            && let Some(there) = there
            && there.physical_offset != unit.physical_offset
            && self.recovery.is_true(queue, &there)?
        {
            self.recovery.report_twice(record);
            return Ok(());
        }
        // Later units follow from later records. (4.9 itself writes wrong ones: recovering from a crash it knows no delay
        // levels yet, so the units of delayed messages have no time of delivery.)
        self.wrong_units += 1;
        self.go_on_at(queue, unit)
    }

    fn go_on_at(&mut self, queue: &Arc<ConsumeQueue>, unit: &QueueEntry) -> Result<(), StoreError> {
        self.pieces.remove(&Arc::as_ptr(queue));
        queue.move_to(unit.queue_offset)?;
        self.recovery.put(queue, unit)
    }

    fn unit_of(&mut self, queue: &ConsumeQueue, offset: i64) -> Result<Option<QueueEntry>, StoreError> {
        let (first, units) = self.pieces.entry(queue).or_default();
        let in_piece = |first: i64| usize::try_from(offset - first).ok().map(|index| index * UNIT_BYTES);
        let mut at = in_piece(*first).filter(|at| at + UNIT_BYTES <= units.len());
        if at.is_none() {
            units.clear();
            *first = offset;
            queue.read(units, offset, UNITS_AT_ONCE)?;
            at = Some(0);
        }
        let unit = at.and_then(|at| units.get(at..at + UNIT_BYTES));
        Ok(unit.and_then(|unit| QueueEntry::decode_all(offset, unit).next()))
    }

    fn report(&self) {
        if self.wrong_units > 0 {
            let count = self.wrong_units;
            tracing::warn!(count, "consume queue units were not what the log says and were written again");
        }
    }
}
