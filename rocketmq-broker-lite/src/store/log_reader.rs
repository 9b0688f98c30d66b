//! Reading the log from one good record to the next.

use rocketmq_protocol::message::record::{BLANK_BYTES, Record, RecordError};

use super::StoreError;
use super::commit_log::CommitLog;

/// The log is read in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;
/// Records are torn at multiples of this; no disk writes less at once.
const SECTOR_BYTES: usize = 128;
/// An offset above this is nonsense: its unit would lie beyond what a place can say.
const MAX_QUEUE_OFFSET: i64 = i64::MAX / 64;

/// Reads good records in the order of the log.
pub(super) struct LogReader<'a> {
    log: &'a CommitLog,
    /// The place of the next record.
    position: i64,
    /// A piece of the log ...
    bytes: Vec<u8>,
    /// ... and where in it the next record begins.
    at: usize,
    torn_from: i64,
}

impl<'a> LogReader<'a> {
    /// Begins at a record's place.
    pub(super) fn new(log: &'a CommitLog, position: i64) -> Self {
        Self { log, position, bytes: Vec::new(), at: 0, torn_from: i64::MAX }
    }

    /// From a place on a loss of power may have torn records in the middle.
    pub(super) fn torn_from(self, torn_from: i64) -> Self {
        Self { torn_from, ..self }
    }

    /// The place of the next record.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// The record at this place, if it is good and has that size.
    pub(super) fn record_here(&mut self, size: i32) -> Result<Option<Record<'_>>, StoreError> {
        let Ok(size) = usize::try_from(size) else { return Ok(None) };
        let mut head = Vec::new();
        self.log.files().read(&mut head, size_of::<i32>(), self.position)?;
        if head.iter().fold(0, |found, byte| found << 8 | usize::from(*byte)) != size {
            return Ok(None);
        }
        self.bytes.clear();
        self.at = 0;
        self.log.files().read(&mut self.bytes, size, self.position)?;
        let record = Record::parse(&self.bytes).ok();
        Ok(record.filter(|record| is_good(record, &self.bytes, self.position)))
    }

    /// The next record; `None` where the next bytes are none.
    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>, StoreError> {
        let size = loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            match Record::parse(rest) {
                Ok(record) if is_good(&record, rest, self.position) => {
                    let size = record.encoded_len();
                    if lacks_its_end(&record) && !self.is_followed(size)? {
                        return Ok(None);
                    }
                    if self.position >= self.torn_from
                        && lacks_a_sector(&record, self.position % self.log.file_size())
                    {
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
fn lacks_its_end(record: &Record<'_>) -> bool {
    record.topic.ends_with(&[0]) || record.properties.ends_with(&[0])
}

/// Whether a sector's part of the text behind the body is zeros only: a loss of power kept others, but not this one.
fn lacks_a_sector(record: &Record<'_>, place_in_file: i64) -> bool {
    let end = usize::try_from(place_in_file).unwrap_or_default() + record.encoded_len();
    let properties_at = end - record.properties.len();
    // Between the two stands the length of the properties.
    let topic_at = properties_at - size_of::<u16>() - record.topic.len();
    [(topic_at, record.topic), (properties_at, record.properties)].iter().any(|&(at, text)| {
        let head = (at.next_multiple_of(SECTOR_BYTES) - at).min(text.len());
        let (head, rest) = text.split_at(head);
        std::iter::once(head)
            .chain(rest.chunks(SECTOR_BYTES))
            .any(|part| !part.is_empty() && part.iter().all(|byte| *byte == 0))
    })
}
