//! The consume queue: for each message of one topic's queue, where it lies in the log.
//!
//! ```text
//! unit: physical offset 8 | size 4 | tags code 8
//! ```
//!
//! All integers are big-endian. Unit n of a queue lies at place 20 n. A queue whose first units were deleted, or that
//! begins in the middle, has *blank* units (0, 2147483647, 0) before its first in the first file.

use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::record::Record;

use super::StoreError;
use super::fs::Reads;
use super::segment::{FileQueue, len_i64};

/// The bytes of one unit.
pub(super) const UNIT_BYTES: usize = 20;
const UNIT: i64 = 20;
/// The bytes of newest units that stay in memory; what is more goes to the file.
const TAIL_BYTES: usize = 32 << 10;
/// As many bytes of units are kept that cannot be written. Then messages for this queue are refused.
const STUCK_TAIL_BYTES: usize = 1 << 20;
/// As many units are read at once where one is looked for.
const PIECE_UNITS: i64 = 200;
/// How many blank units are written together.
const BLANKS_AT_ONCE: usize = 1024;
/// How the names of multi-dispatch queues begin.
const MULTI_DISPATCH_PREFIX: &str = "%LMQ%";
const BLANK: QueueEntry = QueueEntry { queue_offset: 0, physical_offset: 0, size: i32::MAX, tags_code: 0 };

/// One unit of a consume queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueEntry {
    /// The place in the queue.
    pub(crate) queue_offset: i64,
    /// The record's first byte in the log.
    pub(crate) physical_offset: i64,
    /// The record's size in bytes.
    pub(crate) size: i32,
    /// The tag's hash; in `SCHEDULE_TOPIC_XXXX` the deliver time in milliseconds since 1970.
    pub(crate) tags_code: i64,
}

impl QueueEntry {
    /// The unit in its 20 bytes.
    pub(super) fn encode(&self) -> [u8; UNIT_BYTES] {
        let mut unit = [0; UNIT_BYTES];
        unit[..8].copy_from_slice(&self.physical_offset.to_be_bytes());
        unit[8..12].copy_from_slice(&self.size.to_be_bytes());
        unit[12..].copy_from_slice(&self.tags_code.to_be_bytes());
        unit
    }

    /// Reads a unit.
    pub(super) fn decode(queue_offset: i64, unit: &[u8; UNIT_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, rest @ ..] = *unit;
        Self {
            queue_offset,
            physical_offset: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            size: i32::from_be_bytes([i, j, k, l]),
            tags_code: i64::from_be_bytes(rest),
        }
    }

    /// Reads units that lie one behind the other.
    pub(super) fn decode_all(first: i64, units: &[u8]) -> impl Iterator<Item = Self> {
        let units = units.as_chunks::<UNIT_BYTES>().0;
        (first..).zip(units).map(|(queue_offset, unit)| Self::decode(queue_offset, unit))
    }

    /// True for the filling before a queue's first unit.
    pub(super) fn is_blank(&self) -> bool {
        (self.physical_offset, self.size) == (BLANK.physical_offset, BLANK.size)
    }

    /// False for a hole or nonsense.
    fn is_written(&self) -> bool {
        self.physical_offset >= 0 && self.size > 0
    }
}

/// What lies behind the units that [`ConsumeQueue::cut`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A hole, or the end of the files.
    Nothing,
    /// The unit of a later record.
    Later,
    /// A unit that claims to be of a later record, which the log does not have.
    Untrue,
    /// What no end of the broker leaves there.
    Damaged,
}

/// One topic's queue.
pub(super) struct ConsumeQueue {
    /// The topic.
    pub(super) topic: ByteString,
    /// The queue's number.
    pub(super) queue_id: i32,
    files: FileQueue,
    tail: Mutex<Tail>,
    min: AtomicI64,
    /// Changed under the tail's lock only.
    max: AtomicI64,
}

/// The newest units. `first <= written <= first + the units in bytes`.
#[derive(Default)]
struct Tail {
    /// The unit that `bytes` begins with; all before it are in the files.
    first: i64,
    /// Units before this one are in the files.
    written: i64,
    /// Units before this one are on disk.
    synced: i64,
    bytes: Vec<u8>,
    /// The flush thread knows that there is work.
    listed: bool,
    /// The last write failed.
    is_stuck: bool,
}

/// Neighbouring units.
#[derive(Default)]
struct Piece {
    first: i64,
    units: Vec<u8>,
}

impl Piece {
    fn entry(&self, queue_offset: i64) -> Option<QueueEntry> {
        let at = usize::try_from(queue_offset.checked_sub(self.first)?).ok()?.checked_mul(UNIT_BYTES)?;
        QueueEntry::decode_all(queue_offset, self.units.get(at..at + UNIT_BYTES)?).next()
    }
}

impl ConsumeQueue {
    /// A queue over files; [`cut`](Self::cut) finds out what they hold.
    pub(super) fn new(topic: ByteString, queue_id: i32, files: FileQueue) -> Self {
        let (min, max) = (AtomicI64::new(0), AtomicI64::new(0));
        Self { topic, queue_id, files, tail: Mutex::default(), min, max }
    }

    /// The first offset.
    pub(super) fn min(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    /// The next message's offset.
    pub(super) fn max(&self) -> i64 {
        self.max.load(Ordering::Acquire)
    }

    /// The first unit that a file holds or, as long as there is none, is to hold.
    pub(super) fn begins(&self) -> i64 {
        self.files.range().map_or_else(|| self.lock().first, |(start, _)| start / UNIT)
    }

    /// Whether it has no unit yet.
    pub(super) fn is_empty(&self) -> bool {
        self.max() == 0
    }

    /// Whether a record is the message of that offset here. The queues of Java's multi-dispatch hold messages of others.
    pub(super) fn owns(&self, record: &Record<'_>, queue_offset: i64) -> bool {
        let is_here = record.queue_id == self.queue_id
            && record.queue_offset == queue_offset
            && record.topic == self.topic.as_bytes();
        is_here || self.topic.starts_with(MULTI_DISPATCH_PREFIX)
    }

    /// How many units one file holds.
    pub(super) fn units_per_file(&self) -> i64 {
        self.files.size() / UNIT
    }

    /// Adds the unit of offset [`max`](Self::max). True if the flush thread should be told of this queue. There is one
    /// caller at a time: the owner of the log's lock, or recovery. Units that cannot be written now stay in memory; see
    /// [`has_room`](Self::has_room).
    pub(super) fn put(&self, entry: &QueueEntry) -> bool {
        let mut tail = self.lock();
        tail.bytes.extend_from_slice(&entry.encode());
        if tail.bytes.len() >= TAIL_BYTES && !tail.is_stuck {
            match self.write_tail(&mut tail, entry.queue_offset + 1) {
                Ok(()) => {
                    tail.bytes.clear();
                    tail.first = tail.written;
                    // However many queues are busy, and however long the flush thread waits for the disk.
                    self.files.close_handles();
                }
                // The flush thread tries again, and says so.
                Err(_) => tail.is_stuck = true,
            }
        }
        self.max.store(entry.queue_offset + 1, Ordering::Release);
        !std::mem::replace(&mut tail.listed, true)
    }

    /// Whether more units may be added: not if very many could not be written.
    pub(super) fn has_room(&self) -> bool {
        self.lock().bytes.len() < STUCK_TAIL_BYTES
    }

    /// Appends to `out` the units from `from` on: at most `count`, and only as many as one look finds. None if `from` is
    /// not below [`max`](Self::max) or its file is gone. Leaves no file open: there may be very many queues.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, out: &mut Vec<u8>, from: i64, count: usize) -> Result<(), StoreError> {
        self.read_as(Reads::Wait, out, from, count)
    }

    /// [`read`](Self::read), waiting for the disk or not.
    ///
    /// # Errors
    /// As for `read`; and [`StoreError::would_wait`] if it may not wait but had to.
    pub(super) fn read_as(
        &self,
        reads: Reads,
        out: &mut Vec<u8>,
        from: i64,
        count: usize,
    ) -> Result<(), StoreError> {
        let read = self.look(reads, out, from, count);
        self.files.close_handles();
        read
    }

    /// [`read_as`](Self::read_as), but leaves the file open.
    fn look(&self, reads: Reads, out: &mut Vec<u8>, from: i64, count: usize) -> Result<(), StoreError> {
        let first = {
            let tail = self.lock();
            if let Ok(skipped) = usize::try_from(from - tail.first) {
                let units = tail.bytes.get(skipped.saturating_mul(UNIT_BYTES)..).unwrap_or_default();
                out.extend_from_slice(&units[..units.len().min(count.saturating_mul(UNIT_BYTES))]);
                return Ok(());
            }
            tail.first
        };
        let count = count.min(usize::try_from(first - from).unwrap_or(usize::MAX));
        self.files.read_as(reads, out, count.saturating_mul(UNIT_BYTES), from.saturating_mul(UNIT))
    }

    /// The unit at an offset; `None` if it is not there. May leave the file open.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn entry(&self, queue_offset: i64) -> Result<Option<QueueEntry>, StoreError> {
        let mut unit = Vec::new();
        self.look(Reads::Wait, &mut unit, queue_offset, 1)?;
        Ok(QueueEntry::decode_all(queue_offset, &unit).next())
    }

    /// The first offset in `from..to` whose unit is not `before`; units are in an order that makes this the only place
    /// of change. A unit that is not there counts as not before.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn partition_point(
        &self,
        from: i64,
        to: i64,
        mut before: impl FnMut(&QueueEntry) -> Result<bool, StoreError>,
    ) -> Result<i64, StoreError> {
        let (mut low, mut high) = (from, to.max(from));
        let mut piece = Piece::default();
        // Most queues are short, however long their files are: one read tells.
        let mut middle = low + ((high - low) / 2).min(PIECE_UNITS - 1);
        while low < high {
            let is_before = match self.entry_of(&mut piece, low, middle)? {
                Some(entry) => before(&entry)?,
                None => false,
            };
            if is_before {
                low = middle + 1
            } else {
                high = middle
            }
            middle = low + (high - low) / 2;
        }
        Ok(low)
    }

    /// The unit at an offset, read with those before it down to `low`, which are likely to be asked for next.
    fn entry_of(
        &self,
        piece: &mut Piece,
        low: i64,
        queue_offset: i64,
    ) -> Result<Option<QueueEntry>, StoreError> {
        if let Some(entry) = piece.entry(queue_offset) {
            return Ok(Some(entry));
        }
        piece.first = low.max(queue_offset - PIECE_UNITS + 1);
        piece.units.clear();
        let count = usize::try_from(queue_offset - piece.first + 1).unwrap_or(1);
        self.look(Reads::Wait, &mut piece.units, piece.first, count)?;
        match piece.entry(queue_offset) {
            None => self.entry(queue_offset),
            found => Ok(found),
        }
    }

    /// Writes to the files what they lack.
    ///
    /// # Errors
    /// The file cannot be written. The units stay in memory.
    pub(super) fn write_out(&self) -> Result<(), StoreError> {
        let mut tail = self.lock();
        let written = self.write_tail(&mut tail, self.max());
        tail.is_stuck = written.is_err();
        written
    }

    /// Closes the files; they are opened again when they are used.
    pub(super) fn close_files(&self) {
        self.files.close_handles();
    }

    /// How many bytes are in the files and maybe not on disk.
    pub(super) fn unsynced_bytes(&self) -> i64 {
        let tail = self.lock();
        (tail.written - tail.synced) * UNIT
    }

    /// Waits until the disk has what the files have.
    ///
    /// # Errors
    /// The sync failed.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let (from, to) = {
            let tail = self.lock();
            (tail.synced, tail.written)
        };
        if from < to {
            self.files.sync(from * UNIT, to * UNIT)?;
            self.lock().synced = to;
        }
        Ok(())
    }

    /// Before a sync of everything: which units it will bring to the disk. One of the next two must follow.
    pub(super) fn before_sync(&self) -> i64 {
        self.files.names_are_safe(true);
        self.lock().written
    }

    /// The disk has the units before `to`.
    pub(super) fn synced(&self, to: i64) {
        let mut tail = self.lock();
        tail.synced = tail.synced.max(to.min(tail.written));
    }

    /// What the disk has is as it was.
    pub(super) fn not_synced(&self) {
        self.files.names_are_safe(false);
    }

    /// If everything is on disk, frees the memory for the newest units, closes the files, and forgets that the flush
    /// thread knows of this queue.
    pub(super) fn rest(&self) -> bool {
        let mut tail = self.lock();
        let max = self.max();
        if tail.synced < max {
            return false;
        }
        *tail =
            Tail { first: max, written: max, synced: max, bytes: Vec::new(), listed: false, is_stuck: false };
        drop(tail);
        self.files.close_handles();
        true
    }

    fn write_tail(&self, tail: &mut Tail, max: i64) -> Result<(), StoreError> {
        let skipped = usize::try_from(tail.written - tail.first).unwrap_or_default() * UNIT_BYTES;
        let lacking = &tail.bytes[skipped..];
        if !lacking.is_empty() {
            self.files.write(lacking, tail.written * UNIT)?;
            tail.written = max;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What recovery does to a queue, before anyone else uses it.
impl ConsumeQueue {
    /// Keeps the units of records that lie before `log_offset`, and no hole or nonsense. `is_true` says whether the
    /// log has the record that a unit points to. Returns what lay behind them.
    ///
    /// # Errors
    /// A file cannot be read or cut.
    pub(super) fn cut(
        &self,
        log_offset: i64,
        is_true: &dyn Fn(&QueueEntry) -> Result<bool, StoreError>,
    ) -> Result<Behind, StoreError> {
        self.write_out()?;
        let Some((start, end)) = self.files.range() else { return Ok(Behind::Nothing) };
        let (start, end) = (start / UNIT, end / UNIT);
        self.restart_at(end);
        let is_kept = |entry: &QueueEntry| entry.is_written() && entry.physical_offset < log_offset;
        let mut kept = self.partition_point(start, end, |entry| Ok(is_kept(entry)))?;
        if let Some(last) = self.entry(kept - 1)?.filter(|_| kept > start)
            && !is_true(&last)?
        {
            // What lies behind the good units may look like one: it has led the search astray.
            kept = self.partition_point(start, end, |entry| Ok(is_kept(entry) && is_true(entry)?))?;
        }
        let behind = match self.entry(kept)?.filter(|entry| entry.encode() != [0; UNIT_BYTES]) {
            None => Behind::Nothing,
            Some(entry) if !entry.is_written() || entry.physical_offset < log_offset => Behind::Damaged,
            Some(entry) if is_true(&entry)? => Behind::Later,
            Some(_) => Behind::Untrue,
        };
        if behind != Behind::Nothing {
            self.files.truncate(kept * UNIT)?;
        }
        self.restart_at(kept);
        self.files.close_handles();
        Ok(behind)
    }

    /// What is there is on disk.
    pub(super) fn is_on_disk(&self) {
        let mut tail = self.lock();
        tail.synced = tail.written;
    }

    /// Makes `queue_offset` the next one: what lies from there on goes, what is missing before it becomes blank.
    ///
    /// # Errors
    /// A file cannot be cut or written.
    pub(super) fn move_to(&self, queue_offset: i64) -> Result<(), StoreError> {
        self.write_out()?;
        let max = self.max();
        let begins = self.files.range().map_or(i64::MAX, |(start, _)| start / UNIT);
        let keeps_files = (begins..=max.saturating_add(self.units_per_file())).contains(&queue_offset);
        if !keeps_files {
            self.files.clear()?;
            self.restart_at(queue_offset - queue_offset % self.units_per_file());
        }
        match queue_offset.cmp(&self.max()) {
            Order::Less => self.rewind(queue_offset),
            Order::Equal => Ok(()),
            Order::Greater => self.fill_to(queue_offset),
        }
    }

    /// The end of the last unit's record in the log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn log_end(&self) -> Result<Option<i64>, StoreError> {
        let last = self.entry(self.max() - 1)?.filter(|entry| !entry.is_blank());
        Ok(last.map(|entry| entry.physical_offset.saturating_add(i64::from(entry.size))))
    }

    /// Makes the first unit of a record at or behind `log_start` the queue's first.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn find_min(&self, log_start: i64) -> Result<(), StoreError> {
        let begins = self.begins();
        let min = self.partition_point(begins, self.max(), |entry| {
            // A place below zero is none: the unit is damaged, not old.
            Ok(entry.is_blank() || (0..log_start).contains(&entry.physical_offset))
        })?;
        self.min.store(min, Ordering::Release);
        Ok(())
    }

    /// Removes all files.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        self.files.clear()?;
        self.restart_at(0);
        Ok(())
    }

    /// Writes what the files lack and closes them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.write_out()?;
        self.files.close_handles();
        Ok(())
    }

    fn rewind(&self, queue_offset: i64) -> Result<(), StoreError> {
        self.files.truncate(queue_offset * UNIT)?;
        self.restart_at(queue_offset);
        Ok(())
    }

    fn fill_to(&self, queue_offset: i64) -> Result<(), StoreError> {
        let missing = usize::try_from(queue_offset - self.max()).unwrap_or_default();
        let blanks = BLANK.encode().repeat(missing.min(BLANKS_AT_ONCE));
        let mut at = self.max() * UNIT;
        while at < queue_offset * UNIT {
            let count = blanks.len().min(usize::try_from(queue_offset * UNIT - at).unwrap_or_default());
            self.files.write(&blanks[..count], at)?;
            at += len_i64(&blanks[..count]);
        }
        self.restart_at(queue_offset);
        Ok(())
    }

    /// Nothing in memory; all before `next` counts as being in the files. That it is on disk is not known.
    fn restart_at(&self, next: i64) {
        let mut tail = self.lock();
        let listed = tail.listed;
        let synced = tail.synced.min(next);
        *tail = Tail { first: next, written: next, synced, bytes: Vec::new(), listed, is_stuck: false };
        self.max.store(next, Ordering::Release);
    }
}
