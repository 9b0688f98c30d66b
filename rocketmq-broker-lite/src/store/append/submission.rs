//! What is submitted together: encoded messages, and what became of them.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use rocketmq_protocol::message::MAX_TOPIC_BYTES;
use rocketmq_protocol::message::properties::MAX_PROPERTIES_BYTES;
use rocketmq_protocol::message::record::{BLANK_BYTES, Placement, Record, RecordError, place};

use super::super::consume_queue::{ConsumeQueue, QueueEntry};
use super::super::dispatch::{deliver_time, is_queued, is_storable_topic};
use super::super::{Appended, Arrival, Inner, NewMessage, StoreError};

/// Messages for any queues, encoded one behind the other. Each *entry* is stored as a whole or not at all.
#[derive(Default)]
pub(crate) struct Submission {
    pub(super) bytes: BytesMut,
    pub(super) entries: Vec<Entry>,
    records: Vec<NewRecord>,
    /// Where the records came to lie; as long as `records`.
    appended: Vec<Appended>,
}

/// Messages of one queue that get consecutive offsets in one piece of the log.
pub(super) struct Entry {
    pub(super) queue: Arc<ConsumeQueue>,
    /// Its part of `bytes`.
    pub(super) bytes: Range<usize>,
    records: Range<usize>,
    error: Option<StoreError>,
}

struct NewRecord {
    size: u32,
    is_queued: bool,
    tags_code: TagsCode,
}

#[derive(Clone, Copy)]
enum TagsCode {
    Known(i64),
    /// The store time and that many milliseconds: when a delayed message is due.
    DueAfter(i64),
}

impl Submission {
    /// Adds messages of one queue as one entry, if there are any.
    ///
    /// # Errors
    /// A message breaks a limit, or the store failed; then nothing is added.
    pub(in super::super) fn encode(
        &mut self,
        inner: &Inner,
        messages: &[NewMessage<'_>],
    ) -> Result<(), StoreError> {
        let Some(first) = messages.first() else { return Ok(()) };
        inner.refuse_if_failed()?;
        if !is_storable_topic(first.topic) {
            return Err(StoreError::BadTopic(first.topic.to_string()));
        }
        let (bytes, records) = (self.bytes.len(), self.records.len());
        if let Err(error) = self.encode_all(inner, messages, first) {
            self.bytes.truncate(bytes);
            self.records.truncate(records);
            return Err(error);
        }
        self.appended.resize(self.records.len(), Appended::default());
        self.entries.push(Entry {
            queue: inner.queues.find_or_create(first.topic, first.queue_id),
            bytes: bytes..self.bytes.len(),
            records: records..self.records.len(),
            error: None,
        });
        Ok(())
    }

    fn encode_all(
        &mut self,
        inner: &Inner,
        messages: &[NewMessage<'_>],
        first: &NewMessage<'_>,
    ) -> Result<(), StoreError> {
        let begin = self.bytes.len();
        for message in messages {
            if message.topic != first.topic || message.queue_id != first.queue_id {
                return Err(StoreError::MixedBatch);
            }
            check_limits(message, inner.config.max_message_size)?;
            let record = record(message);
            let start = self.bytes.len();
            self.bytes.reserve(record.encoded_len());
            record.encode(&mut self.bytes).map_err(too_long)?;
            self.records.push(NewRecord {
                size: u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX),
                is_queued: is_queued(message.sys_flag),
                tags_code: tags_code(inner, message),
            });
        }
        let (found, file_size) = (self.bytes.len() - begin, inner.log.file_size());
        let limit = usize::try_from(file_size).unwrap_or(usize::MAX).saturating_sub(BLANK_BYTES);
        if found > limit {
            return Err(StoreError::MessageIllegal { what: "record", found, limit });
        }
        Ok(())
    }

    /// True if there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What became of each entry, in the order in which they were added: where its messages lie.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = Result<&[Appended], &StoreError>> {
        self.entries.iter().map(|entry| match &entry.error {
            None => Ok(&self.appended[entry.records.clone()]),
            Some(error) => Err(error),
        })
    }

    /// None of it was stored.
    pub(super) fn fail(&mut self, error: &StoreError) {
        for index in 0..self.entries.len() {
            self.fail_entry(index, error);
        }
    }

    /// An entry was not stored.
    pub(super) fn fail_entry(&mut self, index: usize, error: &StoreError) {
        self.entries[index].error.get_or_insert_with(|| error.clone());
    }

    /// How many queue offsets an entry needs.
    pub(super) fn queued_count(&self, index: usize) -> i64 {
        let queued =
            self.records[self.entries[index].records.clone()].iter().map(|it| i64::from(it.is_queued));
        queued.sum()
    }

    /// Says where an entry comes to lie. `first` is its first record's placement.
    pub(super) fn place(&mut self, index: usize, first: Placement) {
        let Entry { bytes, records, .. } = &self.entries[index];
        let mut rest = &mut self.bytes[bytes.clone()];
        let mut next = first;
        for (record, appended) in
            self.records[records.clone()].iter().zip(&mut self.appended[records.clone()])
        {
            let (here, behind) = rest.split_at_mut(record.size as usize);
            rest = behind;
            // A message that goes into no queue has the offset 0.
            let queue_offset = if record.is_queued { next.queue_offset } else { 0 };
            let placement = Placement { queue_offset, ..next };
            place(here, placement);
            *appended = Appended {
                physical_offset: placement.physical_offset,
                size: record.size,
                queue_offset,
                store_timestamp: placement.store_timestamp,
            };
            next.physical_offset = appended.end_offset();
            next.queue_offset += i64::from(record.is_queued);
        }
    }

    /// Puts the units of an entry that was written into its queue.
    pub(super) fn put_units(&self, index: usize, inner: &Inner) {
        let entry = &self.entries[index];
        for (record, appended) in self.queued(entry) {
            let unit = QueueEntry {
                queue_offset: appended.queue_offset,
                physical_offset: appended.physical_offset,
                size: i32::try_from(appended.size).unwrap_or(i32::MAX),
                tags_code: record.tags_code.at(appended.store_timestamp),
            };
            inner.queues.put(&entry.queue, &unit);
        }
    }

    /// Tells of the messages that can be read now.
    pub(super) fn announce(&self, inner: &Inner) {
        for entry in self.entries.iter().filter(|entry| entry.error.is_none()) {
            for (record, appended) in self.queued(entry) {
                (inner.arrivals)(&Arrival {
                    topic: &entry.queue.topic,
                    queue_id: entry.queue.queue_id,
                    queue_offset: appended.queue_offset,
                    tags_code: record.tags_code.at(appended.store_timestamp),
                });
            }
        }
    }

    fn queued(&self, entry: &Entry) -> impl Iterator<Item = (&NewRecord, &Appended)> {
        let records = self.records[entry.records.clone()].iter().zip(&self.appended[entry.records.clone()]);
        records.filter(|(record, _)| record.is_queued)
    }
}

impl TagsCode {
    fn at(self, store_timestamp: i64) -> i64 {
        match self {
            Self::Known(code) => code,
            Self::DueAfter(ms) => store_timestamp.saturating_add(ms),
        }
    }
}

fn tags_code(inner: &Inner, message: &NewMessage<'_>) -> TagsCode {
    let levels = &inner.config.delay_levels;
    match deliver_time(message.topic.as_bytes(), message.properties, 0, levels) {
        Some(ms) => TagsCode::DueAfter(ms),
        None => TagsCode::Known(message.tags_code),
    }
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
