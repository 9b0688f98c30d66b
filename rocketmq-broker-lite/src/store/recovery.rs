//! What happens at start: find the log's end, and bring the consume queues in line with it.
//!
//! After a clean end the last three files of the log are checked, and the queues lack at most what was never written.
//! After a crash the checkpoint tells which file of the log begins with messages that surely are on disk with their
//! units; from there on the queues are built again. If a queue turns out to lack earlier units too, all are built again
//! from the whole log.

use std::cmp::Ordering;
use std::sync::Arc;

use rocketmq_protocol::message::record::{BLANK_BYTES, Record, RecordError};

use super::checkpoint::Checkpoint;
use super::commit_log::CommitLog;
use super::consume_queue::{ConsumeQueue, QueueEntry};
use super::dispatch::{is_queued, is_storable_topic, tags_code};
use super::queue_table::QueueTable;
use super::{DelayLevels, StoreError};

/// After a clean end so many files are checked.
const CHECKED_FILES: i64 = 3;
/// The log is read in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;
/// An offset above this is nonsense: its unit would lie beyond what a place can say.
const MAX_QUEUE_OFFSET: i64 = i64::MAX / 64;

/// What recovery works on.
pub(super) struct Recovery<'a> {
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
}

/// Which part of the log is read, and from where on units are put into queues.
struct Plan {
    start: i64,
    dispatch_from: i64,
    /// A queue may begin anywhere: there is nothing earlier to read.
    whole_log: bool,
}

/// What reading the log ended with.
enum Scanned {
    /// The place behind the last good record, and when it was stored if there is any.
    End(i64, Option<i64>),
    /// A queue lacks units of records before the plan's part.
    QueueLacksUnits,
}

impl Recovery<'_> {
    /// Recovers. Afterwards the log ends behind its last good record, and each queue holds what the log holds.
    ///
    /// # Errors
    /// A file cannot be read, written or cut.
    pub(super) fn run(&self) -> Result<(), StoreError> {
        let Some((log_start, _)) = self.log.files().range() else { return self.clear_queues() };
        let plan = self.plan(log_start)?;
        let (flushed, mut scanned) = (plan.start, self.scan(&plan)?);
        if matches!(scanned, Scanned::QueueLacksUnits) {
            tracing::warn!("a consume queue lacks units; all are built again from the log");
            self.cut_queues(log_start)?;
            scanned = self.scan(&Plan { start: log_start, dispatch_from: log_start, whole_log: true })?;
        }
        let Scanned::End(end, timestamp) = scanned else { return Ok(()) };
        if self.clean {
            self.cut_queues(end)?;
        }
        let timestamp = timestamp.unwrap_or(self.checkpoint.log_timestamp);
        self.log.end_at(end, if self.clean { end } else { flushed.min(end) }, timestamp)?;
        self.log.files().close_handles();
        for queue in self.queues.all() {
            queue.find_min(log_start)?;
            queue.settle()?;
        }
        Ok(())
    }

    /// Without a log there is nothing that queues could point to.
    fn clear_queues(&self) -> Result<(), StoreError> {
        self.queues.all().iter().try_for_each(|queue| queue.clear())
    }

    fn cut_queues(&self, log_offset: i64) -> Result<(), StoreError> {
        self.queues.all().iter().try_for_each(|queue| queue.cut(log_offset))
    }

    fn plan(&self, log_start: i64) -> Result<Plan, StoreError> {
        if !self.clean {
            let start = self.last_safe_file(log_start)?;
            self.cut_queues(start)?;
            return Ok(Plan { start, dispatch_from: start, whole_log: start == log_start });
        }
        self.cut_queues(i64::MAX)?;
        let mut dispatch_from = log_start;
        for queue in self.queues.all() {
            dispatch_from = dispatch_from.max(queue.log_end()?.unwrap_or(log_start));
        }
        let (_, log_end) = self.log.files().range().unwrap_or((log_start, log_start));
        let size = self.log.file_size();
        let start = (log_end - CHECKED_FILES * size).min(dispatch_from - dispatch_from % size).max(log_start);
        Ok(Plan { start, dispatch_from, whole_log: dispatch_from == log_start })
    }

    /// The start of the last file whose first record, and thus all before it, was stored when the checkpoint says that
    /// everything is on disk; the first file if there is none.
    fn last_safe_file(&self, log_start: i64) -> Result<i64, StoreError> {
        let (_, end) = self.log.files().range().unwrap_or((log_start, log_start));
        let mut start = end - self.log.file_size();
        while start > log_start {
            // The whole record is checked: a torn one may say that it is as old as it likes.
            let mut reader = LogReader::new(self.log, start);
            let first = reader.next_record()?.filter(|record| record.physical_offset == start);
            let safe = 1..=self.checkpoint.safe_timestamp();
            if first.is_some_and(|record| safe.contains(&record.store_timestamp)) {
                break;
            }
            start -= self.log.file_size();
        }
        Ok(start)
    }

    fn scan(&self, plan: &Plan) -> Result<Scanned, StoreError> {
        let mut reader = LogReader::new(self.log, plan.start);
        let mut last_timestamp = None;
        while let Some(record) = reader.next_record()? {
            if is_queued(record.sys_flag) && !self.dispatch(&record, plan)? {
                return Ok(Scanned::QueueLacksUnits);
            }
            last_timestamp = Some(record.store_timestamp);
        }
        Ok(Scanned::End(reader.position, last_timestamp))
    }

    /// Puts a record's unit into its queue. False if that queue lacks units of earlier records.
    fn dispatch(&self, record: &Record<'_>, plan: &Plan) -> Result<bool, StoreError> {
        let topic = String::from_utf8_lossy(record.topic);
        if !is_storable_topic(&topic) {
            tracing::warn!(
                ?topic,
                offset = record.physical_offset,
                "a record's topic is no name, passed over"
            );
            return Ok(true);
        }
        let queue = self.queues.find_or_create(&topic, record.queue_id);
        if record.physical_offset < plan.dispatch_from {
            return Ok(record.queue_offset < queue.max());
        }
        match record.queue_offset.cmp(&queue.max()) {
            Ordering::Greater if !plan.whole_log => return Ok(false),
            Ordering::Equal => {}
            // The newer record counts: its topic was deleted and made again.
            Ordering::Less | Ordering::Greater => queue.move_to(record.queue_offset)?,
        }
        self.put(&queue, record)?;
        Ok(true)
    }

    fn put(&self, queue: &Arc<ConsumeQueue>, record: &Record<'_>) -> Result<(), StoreError> {
        let entry = QueueEntry {
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            size: i32::try_from(record.encoded_len()).unwrap_or(i32::MAX),
            tags_code: tags_code(record, self.delay_levels),
        };
        self.queues.put(queue, &entry)
    }
}

/// Reads good records in the order of the log.
pub(super) struct LogReader<'a> {
    log: &'a CommitLog,
    /// The place of the next record.
    position: i64,
    /// A piece of the log ...
    bytes: Vec<u8>,
    /// ... and where in it the next record begins.
    at: usize,
}

impl<'a> LogReader<'a> {
    /// Begins at a record's place.
    pub(super) fn new(log: &'a CommitLog, position: i64) -> Self {
        Self { log, position, bytes: Vec::new(), at: 0 }
    }

    /// The next record; `None` where the next bytes are none.
    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>, StoreError> {
        let size = loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            match Record::parse(rest) {
                Ok(record) if is_good(&record, rest, self.position) => {
                    let size = record.encoded_len();
                    if looks_torn(&record) && !self.is_followed(size)? {
                        return Ok(None);
                    }
                    break size;
                }
                Err(RecordError::Truncated { wanted_bytes, .. }) => {
                    if !self.read_more(wanted_bytes)? {
                        return Ok(None);
                    }
                }
                Err(RecordError::Blank) => {
                    if !self.enter_next_file() {
                        return Ok(None);
                    }
                }
                Ok(_) | Err(_) => return Ok(None),
            }
        };
        let start = self.at;
        self.at += size;
        self.position += i64::try_from(size).unwrap_or_default();
        Ok(Record::parse(&self.bytes[start..]).ok())
    }

    /// Reads from the present place on, at least `wanted_bytes`. False if the file holds no more than is here already.
    fn read_more(&mut self, wanted_bytes: usize) -> Result<bool, StoreError> {
        let had = self.bytes.len().saturating_sub(self.at);
        self.bytes.clear();
        self.at = 0;
        self.log.files().read(&mut self.bytes, wanted_bytes.max(PIECE_BYTES), self.position)?;
        Ok(self.bytes.len() > had)
    }

    /// Whether behind a record of that size there is something.
    fn is_followed(&self, size: usize) -> Result<bool, StoreError> {
        let (mut head, behind) = (Vec::new(), self.position + i64::try_from(size).unwrap_or_default());
        self.log.files().read(&mut head, BLANK_BYTES, behind)?;
        Ok(head.iter().any(|byte| *byte != 0))
    }

    /// False if there is no next file.
    fn enter_next_file(&mut self) -> bool {
        let next = self.position - self.position % self.log.file_size() + self.log.file_size();
        if self.log.files().find(next).is_none() {
            return false;
        }
        self.position = next;
        self.bytes.clear();
        self.at = 0;
        true
    }
}

fn is_good(record: &Record<'_>, bytes: &[u8], position: i64) -> bool {
    record.physical_offset == position
        && (0..MAX_QUEUE_OFFSET).contains(&record.queue_offset)
        && record.verify_crc(bytes).is_ok()
}

/// Whether the record ends in zeros where text should be. The checksum covers the body only, so a write that stopped
/// behind it looks like this.
fn looks_torn(record: &Record<'_>) -> bool {
    record.topic.ends_with(&[0]) || record.properties.ends_with(&[0])
}
