//! Appending: encode, place, write, publish, and put units into the consume queue.
//!
//! Encoding is done by the caller's thread into its own buffer. Then the log's lock is held for one write.

use std::cell::Cell;
use std::sync::{Arc, MutexGuard};

use rocketmq_protocol::message::MAX_TOPIC_BYTES;
use rocketmq_protocol::message::properties::MAX_PROPERTIES_BYTES;
use rocketmq_protocol::message::record::{BLANK_BYTES, Placement, Record, RecordError, place};

use super::commit_log::Writer;
use super::consume_queue::{ConsumeQueue, QueueEntry};
use super::dispatch::{deliver_time, is_queued, is_storable_topic};
use super::{Appended, Arrival, Inner, NewMessage, StoreError};

/// A thread's buffer that grew beyond this is not kept.
const KEPT_BUFFER_BYTES: usize = 256 << 10;

thread_local! {
    /// Where this thread encodes; taken while in use, since whom we tell of an arrival may append too.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Stores messages of one queue under consecutive offsets, in one piece of the log. Fills `appended`, which has as many
/// elements.
///
/// # Errors
/// A message breaks a limit, or the store is closed or failed; then none counts as stored.
pub(super) fn append(
    inner: &Inner,
    messages: &[NewMessage<'_>],
    appended: &mut [Appended],
) -> Result<(), StoreError> {
    let Some(first) = messages.first() else { return Ok(()) };
    inner.refuse_if_failed()?;
    let mut buffer = BUFFER.take();
    buffer.clear();
    let stored = encode(inner, messages, appended, &mut buffer).and_then(|()| {
        let queue = inner.queues.find_or_create(first.topic, first.queue_id);
        write(inner, &queue, messages, appended, &mut buffer)
    });
    if buffer.capacity() <= KEPT_BUFFER_BYTES {
        BUFFER.set(buffer);
    }
    stored?;
    inner.flusher.appended();
    announce(inner, messages, appended);
    Ok(())
}

/// Checks and encodes; only the sizes in `appended` are known then.
fn encode(
    inner: &Inner,
    messages: &[NewMessage<'_>],
    appended: &mut [Appended],
    buffer: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let (topic, queue_id) = (messages[0].topic, messages[0].queue_id);
    if !is_storable_topic(topic) {
        return Err(StoreError::BadTopic(topic.to_string()));
    }
    for (message, appended) in messages.iter().zip(appended) {
        if message.topic != topic || message.queue_id != queue_id {
            return Err(StoreError::MixedBatch);
        }
        check_limits(message, inner.config.max_message_size)?;
        let start = buffer.len();
        record(message).encode(buffer).map_err(too_long)?;
        appended.size = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
    }
    let limit = usize::try_from(inner.log.file_size()).unwrap_or(usize::MAX).saturating_sub(BLANK_BYTES);
    if buffer.len() > limit {
        return Err(StoreError::MessageIllegal { what: "record", found: buffer.len(), limit });
    }
    Ok(())
}

/// The critical section.
fn write(
    inner: &Inner,
    queue: &Arc<ConsumeQueue>,
    messages: &[NewMessage<'_>],
    appended: &mut [Appended],
    buffer: &mut [u8],
) -> Result<(), StoreError> {
    let mut writer = inner.log.lock();
    if writer.closed {
        inner.refuse_if_failed()?;
        return Err(StoreError::ShutDown);
    }
    inner.room.check(inner, queue)?;
    let written = inner.log.reserve(&mut writer, buffer.len()).and_then(|physical_offset| {
        let store_timestamp = inner.clock.now_ms();
        let first = Placement { queue_offset: queue.max(), physical_offset, store_timestamp };
        place_all(first, messages, appended, buffer);
        inner.log.write(&mut writer, buffer, store_timestamp)
    });
    match written {
        Ok(()) => {
            put_units(inner, queue, messages, appended);
            inner.room.written();
            Ok(())
        }
        Err(error) => Err(take_back(inner, writer, error)),
    }
}

/// Nothing was published: the message is refused, and once there is room others are taken again. What the caller is to
/// be told.
fn take_back(inner: &Inner, mut writer: MutexGuard<'_, Writer>, error: StoreError) -> StoreError {
    match inner.log.take_back(&mut writer) {
        Ok(()) => inner.room.refuse(error),
        Err(error) => {
            // Before the lock is given back: nobody may write behind nonsense.
            writer.closed = true;
            drop(writer);
            inner.poison(error)
        }
    }
}

fn place_all(first: Placement, messages: &[NewMessage<'_>], appended: &mut [Appended], buffer: &mut [u8]) {
    let mut next = first;
    let mut rest = buffer;
    for (message, appended) in messages.iter().zip(appended) {
        let (record, behind) = rest.split_at_mut(appended.size as usize);
        rest = behind;
        let queued = is_queued(message.sys_flag);
        // A message that goes into no queue has the offset 0.
        let queue_offset = if queued { next.queue_offset } else { 0 };
        let placement = Placement { queue_offset, ..next };
        place(record, placement);
        *appended = Appended {
            physical_offset: placement.physical_offset,
            size: appended.size,
            queue_offset,
            store_timestamp: placement.store_timestamp,
        };
        next.physical_offset = appended.end_offset();
        next.queue_offset += i64::from(queued);
    }
}

fn put_units(inner: &Inner, queue: &Arc<ConsumeQueue>, messages: &[NewMessage<'_>], appended: &[Appended]) {
    for (message, appended) in queued(messages, appended) {
        let entry = QueueEntry {
            queue_offset: appended.queue_offset,
            physical_offset: appended.physical_offset,
            size: i32::try_from(appended.size).unwrap_or(i32::MAX),
            tags_code: tags_code(inner, message, appended.store_timestamp),
        };
        inner.queues.put(queue, &entry);
    }
}

fn announce(inner: &Inner, messages: &[NewMessage<'_>], appended: &[Appended]) {
    for (message, appended) in queued(messages, appended) {
        (inner.arrivals)(&Arrival {
            topic: message.topic,
            queue_id: message.queue_id,
            queue_offset: appended.queue_offset,
            tags_code: tags_code(inner, message, appended.store_timestamp),
        });
    }
}

fn queued<'a, 'm>(
    messages: &'a [NewMessage<'m>],
    appended: &'a [Appended],
) -> impl Iterator<Item = (&'a NewMessage<'m>, &'a Appended)> {
    messages.iter().zip(appended).filter(|(message, _)| is_queued(message.sys_flag))
}

fn tags_code(inner: &Inner, message: &NewMessage<'_>, store_timestamp: i64) -> i64 {
    let levels = &inner.config.delay_levels;
    deliver_time(message.topic.as_bytes(), message.properties, store_timestamp, levels)
        .unwrap_or(message.tags_code)
}

fn check_limits(message: &NewMessage<'_>, max_message_size: usize) -> Result<(), StoreError> {
    let illegal = |what, found, limit| Err(StoreError::MessageIllegal { what, found, limit });
    if message.topic.len() > MAX_TOPIC_BYTES {
        return illegal("topic", message.topic.len(), MAX_TOPIC_BYTES);
    }
    if message.body.len() > max_message_size {
        return illegal("body", message.body.len(), max_message_size);
    }
    if message.properties.len() > MAX_PROPERTIES_BYTES {
        let found = message.properties.len();
        return Err(StoreError::PropertiesTooLong { found, limit: MAX_PROPERTIES_BYTES });
    }
    Ok(())
}

fn record<'a>(message: &NewMessage<'a>) -> Record<'a> {
    Record {
        queue_id: message.queue_id,
        flag: message.flag,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: message.sys_flag,
        born_timestamp: message.born_timestamp,
        born_host: message.born_host,
        store_timestamp: 0,
        store_host: message.store_host,
        reconsume_times: message.reconsume_times,
        prepared_transaction_offset: message.prepared_transaction_offset,
        body: message.body,
        topic: message.topic.as_bytes(),
        properties: message.properties.as_bytes(),
    }
}

fn too_long(error: RecordError) -> StoreError {
    match error {
        RecordError::TooLong { what, found_bytes, limit_bytes } => {
            StoreError::MessageIllegal { what, found: found_bytes, limit: limit_bytes }
        }
        _ => StoreError::MessageIllegal { what: "record", found: 0, limit: 0 },
    }
}
