//! From places in the log to one piece of whole records.
//!
//! What is in the tail is shared where it is one piece, and copied where there are several. What is not is read: records
//! that lie near each other in one read, whatever lies between them. What was read is looked at before it goes out: bits
//! may have flipped on disk.

use bytes::Bytes;
use rocketmq_protocol::message::record::Record;

use super::StoreError;
use super::commit_log::CommitLog;
use super::consume_queue::ConsumeQueue;
use super::fs::Reads;

/// Records with more than this between them are read one by one.
const MAX_GAP_BYTES: i64 = 16 << 10;
/// One read takes no more than this, but for a single record.
const MAX_SPAN_BYTES: i64 = 1 << 20;

/// A share of the tail keeps this many times its own bytes in memory at the most; else it is copied.
const MAX_KEPT: usize = 4;

/// A record that a consume queue's unit points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) queue_offset: i64,
    pub(super) physical_offset: i64,
    pub(super) size: usize,
}

impl Wanted {
    fn end(&self) -> i64 {
        self.physical_offset.saturating_add(i64::try_from(self.size).unwrap_or(i64::MAX))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Whole records, one behind the other.
    pub(super) body: Bytes,
    /// How many there are.
    pub(super) count: usize,
}

/// Where a part of the answer comes from.
enum Part<'w> {
    /// Of a piece of the tail that has that many bytes.
    Shared(Bytes, usize),
    /// Records that one read brings.
    Read(&'w [Wanted]),
}

/// Puts a queue's records together. Left out are those whose size is not what the log says, since a damaged unit must not
/// cut the answer at a wrong place, and those that come from the disk and are damaged or not the queue's.
///
/// # Errors
/// A file cannot be read, or the disk would have to be waited for and may not.
pub(super) fn gather(
    log: &CommitLog,
    queue: &ConsumeQueue,
    reads: Reads,
    wanted: &[Wanted],
) -> Result<Gathered, StoreError> {
    let (mut parts, mut count) = split(log, wanted);
    if let [Part::Shared(bytes, whole_bytes)] = &*parts
        && *whole_bytes <= bytes.len().saturating_mul(MAX_KEPT)
        && let Some(Part::Shared(body, _)) = parts.pop()
    {
        return Ok(Gathered { body, count });
    }
    let mut body = Vec::with_capacity(wanted.iter().map(|record| record.size).sum());
    let mut cold = Cold { log, queue, reads, scratch: Vec::new() };
    for part in parts {
        match part {
            Part::Shared(bytes, _) => body.extend_from_slice(&bytes),
            Part::Read(records) => count += cold.read(records, &mut body)?,
        }
    }
    Ok(Gathered { body: body.into(), count })
}

/// Finds out what is in the tail, and how many records that is.
fn split<'w>(log: &CommitLog, wanted: &'w [Wanted]) -> (Vec<Part<'w>>, usize) {
    let tail = log.tail().look();
    let mut parts = Vec::new();
    let (mut at, mut count) = (0, 0);
    while let Some(first) = wanted.get(at) {
        let piece = tail.from(first.physical_offset);
        if let Some((written, whole_bytes)) = piece.filter(|(it, _)| begins_with(it, first.size)) {
            let (bytes, records) = run(&written, &wanted[at..]);
            parts.push(Part::Shared(written.slice(..bytes), whole_bytes));
            count += records;
            at += records;
        } else {
            let near = &wanted[at..];
            let len = span(near, |record| tail.from(record.physical_offset).is_some(), log.file_size());
            parts.push(Part::Read(&near[..len]));
            at += len;
        }
    }
    (parts, count)
}

/// How much of what was written together is wanted, without a gap: bytes and records. At least the first is.
fn run(written: &[u8], wanted: &[Wanted]) -> (usize, usize) {
    let (mut bytes, mut records) = (0, 0);
    for record in wanted {
        let follows = i64::try_from(bytes)
            .is_ok_and(|bytes| wanted[0].physical_offset + bytes == record.physical_offset);
        if !follows || !begins_with(&written[bytes..], record.size) {
            break;
        }
        bytes += record.size;
        records += 1;
    }
    (bytes, records)
}

/// How many records are read together: at least one.
fn span(wanted: &[Wanted], is_shared: impl Fn(&Wanted) -> bool, file_size: i64) -> usize {
    let start = wanted[0].physical_offset;
    let file = |offset: i64| offset / file_size;
    let near = wanted.windows(2).take_while(|pair| {
        let gap = pair[1].physical_offset - pair[0].end();
        (0..=MAX_GAP_BYTES).contains(&gap)
            && pair[1].end() - start <= MAX_SPAN_BYTES
            && file(pair[1].physical_offset) == file(start)
            && !is_shared(&pair[1])
    });
    1 + near.count()
}

/// Reads what is not in the tail.
struct Cold<'a> {
    log: &'a CommitLog,
    queue: &'a ConsumeQueue,
    reads: Reads,
    scratch: Vec<u8>,
}

impl Cold<'_> {
    /// Appends records to `body` that one read brings. Returns how many.
    fn read(&mut self, records: &[Wanted], body: &mut Vec<u8>) -> Result<usize, StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(0) };
        let span = usize::try_from(last.end() - first.physical_offset).unwrap_or_default();
        let before = body.len();
        self.scratch.clear();
        if span == records.iter().map(|record| record.size).sum::<usize>() {
            // Nothing lies between them.
            self.log.read_as(self.reads, body, span, first.physical_offset)?;
            if self.are_whole(&body[before..], records) {
                return Ok(records.len());
            }
            self.scratch.extend_from_slice(&body[before..]);
            body.truncate(before);
        } else {
            self.log.read_as(self.reads, &mut self.scratch, span, first.physical_offset)?;
        }
        let mut count = 0;
        for record in records {
            let from = usize::try_from(record.physical_offset - first.physical_offset).unwrap_or_default();
            match self.scratch.get(from..).filter(|bytes| self.is_whole(bytes, record)) {
                Some(bytes) => {
                    body.extend_from_slice(&bytes[..record.size]);
                    count += 1;
                }
                None => {
                    let (offset, queue) = (record.physical_offset, self.queue);
                    let (topic, queue_id, queue_offset) =
                        (&*queue.topic, queue.queue_id, record.queue_offset);
                    tracing::error!(topic, queue_id, queue_offset, offset, "a damaged message, passed over");
                }
            }
        }
        Ok(count)
    }

    fn are_whole(&self, bytes: &[u8], records: &[Wanted]) -> bool {
        let mut rest = bytes;
        records.iter().all(|record| {
            let is_whole = self.is_whole(rest, record);
            rest = rest.get(record.size..).unwrap_or_default();
            is_whole
        })
    }

    /// Whether the record is there, undamaged as far as checksums tell.
    fn is_whole(&self, bytes: &[u8], wanted: &Wanted) -> bool {
        begins_with(bytes, wanted.size)
            && Record::parse(bytes).is_ok_and(|record| {
                record.physical_offset == wanted.physical_offset
                    && self.queue.owns(&record, wanted.queue_offset)
                    && record.verify_crc(bytes).is_ok()
            })
    }
}

/// Whether a whole record of that size is there.
fn begins_with(bytes: &[u8], size: usize) -> bool {
    let head = bytes.first_chunk().map(|head| u32::from_be_bytes(*head) as usize);
    head == Some(size) && bytes.len() >= size
}
