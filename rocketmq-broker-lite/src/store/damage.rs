//! Damage in the log: good records behind a place where none can be read.
//!
//! A crash leaves no such thing before the place up to which the log was safe. To go on would give those records up, so
//! that is not done by itself. If it is asked for, they are kept beside the store.

use rocketmq_protocol::message::record::{MAGIC_V1, MAGIC_V2, Record};

use super::commit_log::CommitLog;
use super::log_reader::LogReader;
use super::segment::len_i64;
use super::set_aside::free_name;
use super::{StoreDir, StoreError};

/// The log is read in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;
/// A record's magic stands behind its length.
const MAGIC_AT: usize = 4;

/// A place in the log where no good record can be read, though there should be one.
pub(super) struct Damage<'a> {
    /// Where to keep what is given up.
    pub(super) store: &'a StoreDir,
    /// The log.
    pub(super) log: &'a CommitLog,
    /// The place.
    pub(super) at: i64,
}

/// What lies behind the damage.
#[derive(Default)]
struct Behind {
    records: u64,
    end: i64,
}

impl Damage<'_> {
    /// The log was safe up to `safe`: everything up to there is given up, if `goes_on`.
    ///
    /// # Errors
    /// [`StoreError::LogDamaged`] if it is not to be given up; nothing was changed then.
    pub(super) fn refuse_or_keep(&self, safe: i64, goes_on: bool) -> Result<(), StoreError> {
        let behind = self.look(safe)?;
        self.decide(safe.max(behind.end), behind.records, goes_on)
    }

    /// How far the log was safe is not known: only good records count, up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::LogDamaged`] if there are some and they are not to be given up; nothing was changed then.
    pub(super) fn refuse_or_keep_records(&self, limit: i64, goes_on: bool) -> Result<(), StoreError> {
        let mut next = Vec::new();
        self.log.files().read(&mut next, PIECE_BYTES, self.at)?;
        if next.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let behind = self.look(limit)?;
        if behind.records == 0 {
            return Ok(());
        }
        self.decide(behind.end, behind.records, goes_on)
    }

    fn decide(&self, until: i64, records: u64, goes_on: bool) -> Result<(), StoreError> {
        let damaged = StoreError::LogDamaged { at: self.at, until, records };
        if !goes_on {
            return Err(damaged);
        }
        let kept = self.keep(until)?;
        tracing::error!(error = %damaged, kept = %kept.display(), "the damaged end of the log was set aside");
        Ok(())
    }

    /// Copies what is given up.
    fn keep(&self, until: i64) -> Result<std::path::PathBuf, StoreError> {
        let path =
            free_name(self.store, &self.store.root.join("commitlog").join(format!("{:020}", self.at)))?;
        let file = self.store.fs.open(&path).map_err(StoreError::io("make", &path))?;
        let mut piece = Vec::new();
        let mut place = self.at;
        while place < until {
            piece.clear();
            let len = PIECE_BYTES.min(usize::try_from(until - place).unwrap_or(PIECE_BYTES));
            self.log.files().read(&mut piece, len, place)?;
            if piece.is_empty() {
                break;
            }
            let at = (place - self.at).cast_unsigned();
            file.write_at(&piece, at).map_err(StoreError::io("write", &path))?;
            place += len_i64(&piece);
        }
        file.sync_data().map_err(StoreError::io("sync", &path))?;
        let dir = super::fs::parent(&path);
        self.store.fs.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        Ok(path)
    }

    /// Counts the good records between the damage and a place.
    fn look(&self, limit: i64) -> Result<Behind, StoreError> {
        let mut behind = Behind { records: 0, end: self.at };
        let mut place = self.at + 1;
        while let Some(found) = self.find(place, limit)? {
            let mut reader = LogReader::new(self.log, found);
            while let Some(record) = reader.next_record()? {
                if record.physical_offset >= limit {
                    return Ok(behind);
                }
                behind.records += 1;
                behind.end = record.physical_offset + i64::try_from(record.encoded_len()).unwrap_or_default();
            }
            place = reader.position().max(found) + 1;
        }
        Ok(behind)
    }

    /// The next place from `place` on where a good record begins.
    fn find(&self, place: i64, limit: i64) -> Result<Option<i64>, StoreError> {
        let mut piece = Vec::new();
        let mut place = place;
        while place < limit {
            piece.clear();
            self.log.files().read(&mut piece, PIECE_BYTES, place)?;
            for at in magics(&piece) {
                let found = place + i64::try_from(at).unwrap_or_default();
                let mut reader = LogReader::new(self.log, found);
                if reader.next_record()?.is_some_and(|record: Record<'_>| record.physical_offset == found) {
                    return Ok(Some(found));
                }
            }
            // A magic may lie across the end of a piece.
            place += len_i64(&piece).saturating_sub(2 * MAGIC_AT as i64 - 1).max(1);
        }
        Ok(None)
    }
}

/// Where records may begin, by their magic.
fn magics(piece: &[u8]) -> impl Iterator<Item = usize> {
    let magic = |bytes: &[u8]| [MAGIC_V1, MAGIC_V2].iter().any(|magic| bytes == magic.to_be_bytes());
    piece
        .windows(MAGIC_AT)
        .enumerate()
        .filter(move |(_, bytes)| magic(bytes))
        .filter_map(|(at, _)| at.checked_sub(MAGIC_AT))
}
