//! The commit log: all records of all topics, one behind the other.
//!
//! There is one writer at a time. It writes behind the published end, then moves that end; readers look only before it.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocketmq_protocol::message::record::{BLANK_BYTES, MAGIC_BLANK};

use super::StoreError;
use super::ahead::Ahead;
use super::append::NextOffsets;
use super::dir::StoreDir;
use super::fs::Reads;
use super::segment::{FileQueue, Segment};
use super::tail::Tail;

/// So much is written as zeros ahead of the records where every message waits for the disk. A sync then finds blocks
/// that the file system knows already, and need not wait for its journal too.
const ZERO_AHEAD_BYTES: i64 = 2 << 20;
/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The log's files and the places in them.
pub(super) struct CommitLog {
    files: FileQueue,
    writer: Mutex<Writer>,
    /// Readers may look at everything before this place.
    published: AtomicI64,
    /// The disk has everything before this place.
    flushed: AtomicI64,
    last_timestamp: AtomicI64,
    flushed_timestamp: AtomicI64,
    zeroes_ahead: bool,
    /// Everything in the present file up to this place was written, if only as zeros. Changed under `zeroing`.
    zeroed: AtomicI64,
    /// Held while zeros are written: nobody writes records behind `zeroed`.
    zeroing: Mutex<()>,
    ahead: Ahead,
    tail: Tail,
}

/// Who holds this may append.
#[derive(Default)]
pub(super) struct Writer {
    /// Where the next record goes.
    end: i64,
    /// The file there.
    segment: Option<Arc<Segment>>,
    /// The next file was asked for.
    wants_next: bool,
    /// What each queue's next message gets.
    pub(super) next_offsets: NextOffsets,
    /// Nothing is taken any more.
    pub(super) closed: bool,
}

impl Writer {
    /// Where the next record goes.
    pub(super) fn end(&self) -> i64 {
        self.end
    }
}

impl CommitLog {
    /// The files that are there; [`end_at`](Self::end_at) says what they hold. After a crash files may be torn from the
    /// place on that the disk was not known to have.
    ///
    /// # Errors
    /// A file has a wrong size or is missing.
    pub(super) fn load(
        store: &StoreDir,
        dir: PathBuf,
        file_size: u64,
        torn_from: Option<i64>,
        zeroes_ahead: bool,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            files: FileQueue::load(store, dir, file_size, torn_from, false)?,
            writer: Mutex::new(Writer::default()),
            published: AtomicI64::new(0),
            flushed: AtomicI64::new(0),
            last_timestamp: AtomicI64::new(0),
            flushed_timestamp: AtomicI64::new(0),
            zeroes_ahead,
            zeroed: AtomicI64::new(0),
            zeroing: Mutex::default(),
            ahead: Ahead::default(),
            tail: Tail::default(),
        })
    }

    /// The place of the first record.
    pub(super) fn min_offset(&self) -> i64 {
        self.files.range().map_or(0, |(start, _)| start)
    }

    /// The place behind the last record that can be read.
    pub(super) fn max_offset(&self) -> i64 {
        self.published.load(Ordering::Acquire)
    }

    /// The place up to which the disk has everything.
    pub(super) fn flushed_offset(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// When the last record on disk was stored, in milliseconds since 1970.
    pub(super) fn flushed_timestamp(&self) -> i64 {
        self.flushed_timestamp.load(Ordering::Acquire)
    }

    /// When the last record was stored, in milliseconds since 1970.
    pub(super) fn last_timestamp(&self) -> i64 {
        self.last_timestamp.load(Ordering::Acquire)
    }

    /// The bytes of one file.
    pub(super) fn file_size(&self) -> i64 {
        self.files.size()
    }

    /// Who makes ready what [`prepare`](Self::prepare) does.
    pub(super) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Its newest bytes.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The files, for recovery.
    pub(super) fn files(&self) -> &FileQueue {
        &self.files
    }

    /// Becomes the writer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes records behind the last one, all at once, and lets readers see them. They must leave room for a blank in
    /// the present file; if that is over with them, the blank is written, too.
    ///
    /// # Errors
    /// A file cannot be made or written. Then [`take_back`](Self::take_back) must take away what was, before more is
    /// appended.
    pub(super) fn write(
        &self,
        writer: &mut Writer,
        records: &[IoSlice<'_>],
        ends_file: bool,
        timestamp: i64,
    ) -> Result<(), StoreError> {
        let segment = self.present_file(writer)?;
        let file_end = segment.start + self.file_size();
        let len: usize = records.iter().map(|part| part.len()).sum();
        let end = writer.end + i64::try_from(len).unwrap_or(i64::MAX);
        let at = (writer.end - segment.start).cast_unsigned();
        if ends_file {
            let blank = blank(file_end - end);
            let with_blank: Vec<_> = records.iter().copied().chain([IoSlice::new(&blank)]).collect();
            segment.write_parts(&with_blank, at)?;
            writer.end = file_end;
            writer.segment = None;
        } else {
            self.zero_up_to(&segment, end)?;
            segment.write_parts(records, at)?;
            writer.end = end;
        }
        if len > 0 {
            self.last_timestamp.store(timestamp, Ordering::Release);
            self.published.store(end, Ordering::Release);
        }
        if !ends_file {
            // What is published says what is needed.
            self.look_ahead(writer, end - segment.start);
        }
        Ok(())
    }

    /// The file where the next record goes, made if it is not there.
    fn present_file(&self, writer: &mut Writer) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = &writer.segment {
            return Ok(Arc::clone(segment));
        }
        let segment = self.files.find_or_create(writer.end)?;
        self.forget_zeros(writer.end);
        writer.wants_next = false;
        writer.segment = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Sees to it that records up to `end` fall on zeros. Mostly they do already.
    fn zero_up_to(&self, segment: &Segment, end: i64) -> Result<(), StoreError> {
        if !self.zeroes_ahead || end <= self.zeroed.load(Ordering::Acquire) {
            return Ok(());
        }
        let zeroing = self.zeroing.lock().unwrap_or_else(PoisonError::into_inner);
        if end > self.zeroed.load(Ordering::Acquire) {
            self.zero_on(&zeroing, segment, end)?;
        }
        Ok(())
    }

    /// Writes zeros behind those that there are, some way beyond `end`.
    fn zero_on(&self, _zeroing: &MutexGuard<'_, ()>, segment: &Segment, end: i64) -> Result<(), StoreError> {
        let mut at = self.zeroed.load(Ordering::Acquire).max(segment.start);
        let limit = (end + ZERO_AHEAD_BYTES).min(segment.start + self.file_size());
        while at < limit {
            let piece = usize::try_from(limit - at).unwrap_or_default().min(ZEROS.len());
            segment.write(&ZEROS[..piece], (at - segment.start).cast_unsigned())?;
            at += i64::try_from(piece).unwrap_or_default();
        }
        self.zeroed.store(limit, Ordering::Release);
        Ok(())
    }

    fn forget_zeros(&self, end: i64) {
        let _zeroing = self.zeroing.lock().unwrap_or_else(PoisonError::into_inner);
        self.zeroed.store(end, Ordering::Release);
    }

    /// Asks for what will soon be needed.
    fn look_ahead(&self, writer: &mut Writer, used: i64) {
        let wants_next = !writer.wants_next && used >= self.file_size() / 2;
        let zeros_left = self.zeroed.load(Ordering::Acquire) - writer.end;
        if wants_next || (self.zeroes_ahead && zeros_left < ZERO_AHEAD_BYTES / 2) {
            writer.wants_next |= wants_next;
            self.ahead.want();
        }
    }

    /// Makes the next file if the present one is half full, and writes zeros ahead. Both survive a loss of power once the
    /// log is synced up to what lies before them.
    ///
    /// # Errors
    /// A file cannot be made or written.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let end = self.max_offset();
        let Some(segment) = self.files.find(end) else { return Ok(()) };
        if self.zeroes_ahead {
            let zeroing = self.zeroing.lock().unwrap_or_else(PoisonError::into_inner);
            let zeroed = self.zeroed.load(Ordering::Acquire);
            // Before the first record, and once another file is the present one, there is nothing to go on from.
            if zeroed >= end && zeroed < segment.start + self.file_size() {
                self.zero_on(&zeroing, &segment, end)?;
            }
        }
        if end - segment.start >= self.file_size() / 2 {
            self.files.prepare(segment.start + self.file_size())?;
        }
        Ok(())
    }

    /// After a failed write: makes a hole of what may be there of it, and waits until the disk has it so. A full disk
    /// allows that.
    ///
    /// # Errors
    /// The file cannot be cut. Nothing may be appended after that.
    pub(super) fn take_back(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let Some(segment) = &writer.segment else { return Ok(()) };
        self.forget_zeros(writer.end);
        segment.empty_from((writer.end - segment.start).cast_unsigned(), self.files.size().cast_unsigned())
    }

    /// Appends to `out` what can be read from `offset` on in the file there, at most `len` bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, out: &mut Vec<u8>, len: usize, offset: i64) -> Result<(), StoreError> {
        self.read_as(Reads::Wait, out, len, offset)
    }

    /// [`read`](Self::read), waiting for the disk or not.
    ///
    /// # Errors
    /// As for `read`; and [`StoreError::would_wait`] if it may not wait but had to.
    pub(super) fn read_as(
        &self,
        reads: Reads,
        out: &mut Vec<u8>,
        len: usize,
        offset: i64,
    ) -> Result<(), StoreError> {
        let readable = usize::try_from(self.max_offset().saturating_sub(offset)).unwrap_or_default();
        self.files.read_as(reads, out, len.min(readable), offset)
    }

    /// Waits until the disk has everything that was published when this was called. One caller at a time.
    ///
    /// # Errors
    /// The sync failed. What the disk has is then unknown, and no later sync would tell.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        // In this order, so that the time is not later than what is synced.
        let timestamp = self.last_timestamp();
        let (from, to) = (self.flushed_offset(), self.max_offset());
        if from < to {
            self.files.sync(from, to)?;
        }
        self.flushed_timestamp.store(timestamp, Ordering::Release);
        self.flushed.store(to, Ordering::Release);
        Ok(())
    }

    /// Says what recovery found: the log ends at `end`, its last record was stored at `timestamp`, and the disk is known
    /// to have everything before `flushed`.
    pub(super) fn end_at(&self, end: i64, flushed: i64, timestamp: i64) {
        let mut writer = self.lock();
        writer.end = end;
        writer.segment = None;
        self.last_timestamp.store(timestamp, Ordering::Release);
        self.published.store(end, Ordering::Release);
        self.flushed.store(flushed, Ordering::Release);
    }
}

/// What fills the end of a file.
pub(super) fn blank(remaining: i64) -> [u8; BLANK_BYTES] {
    let mut blank = [0; BLANK_BYTES];
    // A file's remaining bytes as Java writes them: in 32 bits.
    blank[..4].copy_from_slice(&i32::try_from(remaining).unwrap_or(i32::MAX).to_be_bytes());
    blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    blank
}
