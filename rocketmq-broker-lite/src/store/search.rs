//! Finding single messages: by place, by time, by offset.

use bytes::Bytes;
use rocketmq_protocol::message::SysFlag;
use rocketmq_protocol::message::record::{MAGIC_V1, MAGIC_V2, Record, RecordError};

use super::StoreError;
use super::commit_log::CommitLog;
use super::consume_queue::{ConsumeQueue, QueueEntry};

/// So much is read at first where a record's size is not known.
const FIRST_READ_BYTES: usize = 4096;
/// The part of a record that has its store timestamp.
const HEAD_BYTES: usize = 80;

/// The whole record at a place in the log, undamaged as far as its checksum tells.
pub(super) fn message_at(log: &CommitLog, physical_offset: i64) -> Result<Bytes, StoreError> {
    let in_tail = log.tail().look().from(physical_offset);
    if let Some((bytes, _)) = in_tail
        && let Ok(record) = Record::parse(&bytes)
    {
        return Ok(Bytes::copy_from_slice(&bytes[..record.encoded_len()]));
    }
    let mut bytes = Vec::new();
    log.read(&mut bytes, FIRST_READ_BYTES, physical_offset)?;
    if let Err(RecordError::Truncated { wanted_bytes, .. }) = Record::parse(&bytes) {
        let missing = wanted_bytes.saturating_sub(bytes.len());
        let from = physical_offset.saturating_add(i64::try_from(bytes.len()).unwrap_or_default());
        log.read(&mut bytes, missing, from)?;
    }
    match Record::parse(&bytes) {
        Ok(record) if record.physical_offset == physical_offset => {
            if let Err(error) = record.verify_crc(&bytes) {
                tracing::error!(physical_offset, %error, "a damaged message");
                return Err(StoreError::NotFound(physical_offset));
            }
            bytes.truncate(record.encoded_len());
            Ok(bytes.into())
        }
        _ => Err(StoreError::NotFound(physical_offset)),
    }
}

/// Units from `from` on, at most `max`.
pub(super) fn entries(queue: &ConsumeQueue, from: i64, max: usize) -> Vec<QueueEntry> {
    let mut entries = Vec::new();
    let mut units = Vec::new();
    let mut next = from;
    while entries.len() < max && (queue.min()..queue.max()).contains(&next) {
        units.clear();
        if let Err(error) = queue.read(&mut units, next, max - entries.len()) {
            tracing::error!(%error, topic = %queue.topic, queue.queue_id, "cannot read a consume queue");
            break;
        }
        let before = entries.len();
        entries.extend(QueueEntry::decode_all(next, &units));
        match entries.last() {
            Some(last) if entries.len() > before => next = last.queue_offset + 1,
            _ => break,
        }
    }
    entries
}

/// When the message at an offset was stored, in milliseconds since 1970; `None` if there is none.
pub(super) fn store_time(
    log: &CommitLog,
    queue: &ConsumeQueue,
    queue_offset: i64,
) -> Result<Option<i64>, StoreError> {
    if !(queue.min()..queue.max()).contains(&queue_offset) {
        return Ok(None);
    }
    let entry = queue.entry(queue_offset);
    queue.close_files();
    match entry? {
        Some(entry) => stored_at(log, &entry),
        None => Ok(None),
    }
}

/// The offset of the message stored nearest to a moment.
pub(super) fn offset_by_time(
    log: &CommitLog,
    queue: &ConsumeQueue,
    timestamp: i64,
) -> Result<i64, StoreError> {
    let found = nearest(log, queue, timestamp);
    queue.close_files();
    found
}

fn nearest(log: &CommitLog, queue: &ConsumeQueue, timestamp: i64) -> Result<i64, StoreError> {
    let (min, max) = (queue.min(), queue.max());
    let right = queue.partition_point(min, max, |entry| {
        // A record that is gone was before all that are there.
        Ok(stored_at(log, entry)?.is_none_or(|stored| stored < timestamp))
    })?;
    if right == min {
        return Ok(min);
    }
    let left_time = store_time(log, queue, right - 1)?;
    let (Some(left_time), Some(right_time)) = (left_time, store_time(log, queue, right)?) else {
        return Ok(if right == max { right - 1 } else { right });
    };
    let right_is_nearer = timestamp.abs_diff(left_time) > timestamp.abs_diff(right_time);
    Ok(if right_is_nearer { right } else { right - 1 })
}

fn stored_at(log: &CommitLog, entry: &QueueEntry) -> Result<Option<i64>, StoreError> {
    if entry.is_blank() || entry.physical_offset < log.min_offset() {
        return Ok(None);
    }
    let mut head = Vec::new();
    log.read(&mut head, HEAD_BYTES, entry.physical_offset)?;
    Ok(store_timestamp(&head))
}

/// When the record that begins with `bytes` was stored.
fn store_timestamp(bytes: &[u8]) -> Option<i64> {
    let i32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(i32::from_be_bytes);
    if !matches!(i32_at(4)?, MAGIC_V1 | MAGIC_V2) {
        return None;
    }
    let at = if SysFlag(i32_at(36)?).has(SysFlag::BORN_HOST_V6) { 68 } else { 56 };
    bytes.get(at..at + 8)?.try_into().ok().map(i64::from_be_bytes)
}
