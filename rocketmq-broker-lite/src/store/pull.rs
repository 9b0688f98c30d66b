//! Pulling: from a consume queue's units to one piece of whole records.

use std::fmt;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::commit_log::CommitLog;
use super::consume_queue::{ConsumeQueue, QueueEntry, UNIT_BYTES};
use super::fs::Reads;
use super::gather::{Gathered, Wanted, gather};
use super::{PullLimits, StoreError};

/// One pull looks at so many bytes of a consume queue, if it is not asked for more messages.
const MAX_SCANNED_BYTES: usize = 16_000;
/// A longer record's size is compared with its unit's before it is read.
const UNCHECKED_BYTES: i32 = 1 << 20;
/// Units are read in pieces of so many.
const UNITS_AT_ONCE: usize = 64;

/// How a pull ended; the names are Java's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullStatus {
    /// There are messages.
    Found,
    /// There were messages, but none that was wanted.
    NoMatchedMessage,
    /// The messages were deleted in the meantime.
    MessageWasRemoving,
    /// A unit of the consume queue could not be read.
    OffsetFoundNull,
    /// The offset is beyond the queue's end.
    OffsetOverflowBadly,
    /// The offset is the queue's end: the next message has yet to come.
    OffsetOverflowOne,
    /// The offset is before the queue's first message.
    OffsetTooSmall,
    /// The queue does not exist.
    NoMatchedLogicQueue,
    /// The queue has never had a message.
    NoMessageInQueue,
}

impl fmt::Display for PullStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
        })
    }
}

/// What a pull brought.
#[derive(Clone, Debug)]
pub(crate) struct Pulled {
    /// How it ended.
    pub(crate) status: PullStatus,
    /// Where to go on.
    pub(crate) next_begin_offset: i64,
    /// The queue's first offset.
    pub(crate) min_offset: i64,
    /// The offset of the queue's next message.
    pub(crate) max_offset: i64,
    /// Whole records, one behind the other.
    pub(crate) body: Bytes,
}

/// From where to pull, and how much at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PullFrom<'a> {
    /// The topic.
    pub(crate) topic: &'a str,
    /// Its queue.
    pub(crate) queue_id: i32,
    /// The first offset.
    pub(crate) offset: i64,
    /// The most messages.
    pub(crate) max_messages: usize,
    /// The most bytes; the first message may be longer.
    pub(crate) max_bytes: usize,
}

/// What is asked for.
pub(super) struct Pull<'a> {
    /// The first offset.
    pub(super) offset: i64,
    /// The most messages.
    pub(super) max_messages: usize,
    /// The most bytes; the first message may be longer.
    pub(super) max_bytes: usize,
    /// The most of any pull.
    pub(super) limits: PullLimits,
    /// Whether it may wait for the disk.
    pub(super) reads: Reads,
    /// Tells by its unit's tags code whether a message is wanted.
    pub(super) wants: &'a dyn Fn(i64) -> bool,
    /// Records farther than this from the log's end must come from the disk.
    pub(super) cached_bytes: i64,
}

impl Pull<'_> {
    /// Pulls from a queue; `None` is one that does not exist. Brings nothing if it may not wait but would have to.
    pub(super) fn run(&self, log: &CommitLog, queue: Option<&ConsumeQueue>) -> Option<Pulled> {
        let (min_offset, max_offset) = queue.map_or((0, 0), |queue| (queue.min(), queue.max()));
        let answer = |status, next_begin_offset| Pulled {
            status,
            next_begin_offset,
            min_offset,
            max_offset,
            body: Bytes::new(),
        };
        let Some(queue) = queue else { return Some(answer(PullStatus::NoMatchedLogicQueue, 0)) };
        if max_offset == 0 {
            return Some(answer(PullStatus::NoMessageInQueue, 0));
        }
        if self.offset < min_offset {
            return Some(answer(PullStatus::OffsetTooSmall, min_offset));
        }
        if self.offset == max_offset {
            return Some(answer(PullStatus::OffsetOverflowOne, self.offset));
        }
        if self.offset > max_offset {
            return Some(answer(PullStatus::OffsetOverflowBadly, max_offset));
        }
        let scanned = self.collect(log, queue, max_offset);
        let pulled = scanned.and_then(|scan| {
            scan.map(|scan| scan.answer(answer(PullStatus::NoMatchedMessage, self.offset))).transpose()
        });
        Some(match pulled {
            Ok(Some(pulled)) => pulled,
            Ok(None) => {
                let units = queue.units_per_file();
                answer(PullStatus::OffsetFoundNull, self.offset - self.offset % units + units)
            }
            Err(error) if self.reads == Reads::Now && error.would_wait() => return None,
            Err(error) => {
                // The consumer stays where it is and asks again: to go on would lose messages.
                tracing::error!(%error, topic = %queue.topic, queue.queue_id, self.offset, "cannot pull");
                answer(PullStatus::OffsetFoundNull, self.offset)
            }
        })
    }

    /// Goes through the units; `None` if the first is not there.
    fn collect<'a>(
        &'a self,
        log: &'a CommitLog,
        queue: &'a ConsumeQueue,
        max_offset: i64,
    ) -> Result<Option<Scan<'a>>, StoreError> {
        let mut scan = Scan::new(self, log, queue);
        let mut left = (MAX_SCANNED_BYTES / UNIT_BYTES).max(self.max_messages);
        let at_once = self.max_messages.clamp(1, UNITS_AT_ONCE);
        let mut units = Vec::with_capacity(UNIT_BYTES * at_once);
        while left > 0 && scan.next < max_offset {
            units.clear();
            let there = usize::try_from(max_offset - scan.next).unwrap_or_default();
            queue.read_as(self.reads, &mut units, scan.next, left.min(at_once).min(there))?;
            let before = scan.next;
            for entry in QueueEntry::decode_all(scan.next, &units) {
                if scan.take(&entry)?.is_break() {
                    return Ok(Some(scan));
                }
            }
            if scan.next == before {
                break;
            }
            left -= usize::try_from(scan.next - before).unwrap_or(left).min(left);
        }
        Ok((scan.next > self.offset).then_some(scan))
    }
}

/// The state of one pull: units are looked at first, then what they point to is put together.
struct Scan<'a> {
    pull: &'a Pull<'a>,
    log: &'a CommitLog,
    queue: &'a ConsumeQueue,
    log_end: i64,
    /// The next offset to look at.
    next: i64,
    wanted: Vec<Wanted>,
    /// The bytes of what is wanted.
    bytes: usize,
    removed: bool,
}

impl<'a> Scan<'a> {
    fn new(pull: &'a Pull<'a>, log: &'a CommitLog, queue: &'a ConsumeQueue) -> Self {
        let (log_end, next) = (log.max_offset(), pull.offset);
        Self { pull, log, queue, log_end, next, wanted: Vec::new(), bytes: 0, removed: false }
    }

    /// Looks at one unit. Breaks if the answer is full without it.
    fn take(&mut self, entry: &QueueEntry) -> Result<ControlFlow<()>, StoreError> {
        let size = usize::try_from(entry.size).unwrap_or_default();
        if self.is_full(entry.physical_offset, size) {
            return Ok(ControlFlow::Break(()));
        }
        self.next = entry.queue_offset + 1;
        if !(self.pull.wants)(entry.tags_code) {
            return Ok(ControlFlow::Continue(()));
        }
        if !self.is_readable(entry)? {
            self.removed = true;
            return Ok(ControlFlow::Continue(()));
        }
        let (queue_offset, physical_offset) = (entry.queue_offset, entry.physical_offset);
        self.wanted.push(Wanted { queue_offset, physical_offset, size });
        self.bytes += size;
        Ok(ControlFlow::Continue(()))
    }

    fn is_full(&self, physical_offset: i64, size: usize) -> bool {
        if self.wanted.is_empty() {
            return false;
        }
        let on_disk = self.log_end.saturating_sub(physical_offset) > self.pull.cached_bytes;
        let limits = &self.pull.limits;
        let (max_count, max_bytes) = match on_disk {
            true => (limits.on_disk_count, limits.on_disk_bytes),
            false => (limits.in_memory_count, limits.in_memory_bytes),
        };
        self.wanted.len() >= self.pull.max_messages.min(max_count)
            || self.bytes.saturating_add(size) > self.pull.max_bytes.min(max_bytes)
    }

    /// Whether a unit points to a place inside a file that is there. Others are units whose records were deleted, or
    /// damaged ones.
    fn is_readable(&self, entry: &QueueEntry) -> Result<bool, StoreError> {
        let end = entry.physical_offset.saturating_add(i64::from(entry.size));
        let inside = entry.physical_offset >= self.log.min_offset() && end <= self.log_end;
        if entry.size <= 0 || entry.is_blank() || !inside {
            let was_deleted = (0..self.log.min_offset()).contains(&entry.physical_offset);
            if !was_deleted || entry.is_blank() {
                let (topic, queue_id) = (&*self.queue.topic, self.queue.queue_id);
                tracing::error!(topic, queue_id, ?entry, "a unit that points to no message, passed over");
            }
            return Ok(false);
        }
        if entry.size <= UNCHECKED_BYTES {
            return Ok(true);
        }
        // Memory is taken for the length that the record itself has, too.
        let mut head = Vec::new();
        self.log.read_as(self.pull.reads, &mut head, size_of::<i32>(), entry.physical_offset)?;
        Ok(head == entry.size.to_be_bytes())
    }

    fn answer(self, empty: Pulled) -> Result<Pulled, StoreError> {
        let Gathered { body, count } = gather(self.log, self.queue, self.pull.reads, &self.wanted)?;
        let removed = self.removed || count < self.wanted.len();
        let status = match (count, removed) {
            (0, true) => PullStatus::MessageWasRemoving,
            (0, false) => PullStatus::NoMatchedMessage,
            _ => PullStatus::Found,
        };
        Ok(Pulled { status, next_begin_offset: self.next, body, ..empty })
    }
}
