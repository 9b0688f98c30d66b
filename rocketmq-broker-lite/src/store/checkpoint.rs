//! The file `checkpoint`: up to where log and consume queues surely are on disk.
//!
//! ```text
//! log's time 8 | consume queues' time 8 | index's time 8 | more in 5.x, kept as it is | zeros to 256
//! "rmq-safe" 8 | safe offset 8 | log's time 8 | consume queues' time 8 | CRC-32 of these four 4 | zeros to 4096
//! ```
//!
//! All integers are big-endian; times are store timestamps in milliseconds since 1970. The first line is Java's, which
//! leaves the second one as it is. Recovery goes by the *safe offset*: everything before it is on disk, with its consume
//! queue units. It counts only beside the times with which it was written, so not once another broker has written its
//! own. Times decide nothing: a clock may have been set back.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::fs::Fs;

const FILE_BYTES: usize = 4096;
/// Where our own line begins.
const SAFE_AT: usize = 256;
const SAFE_MARK: &[u8; 8] = b"rmq-safe";
const SAFE_BYTES: usize = 32;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Messages stored up to then are on disk.
    pub(super) log_timestamp: i64,
    /// So are their consume queue units.
    pub(super) queues_timestamp: i64,
    /// Everything before this place in the log is on disk, with its units; `None` if it is not known.
    pub(super) safe_offset: Option<i64>,
}

impl Checkpoint {
    /// Reads the file; a missing or short one counts as zeros, so that recovery begins at the log's first file.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(super) fn read(fs: &dyn Fs, root_dir: &Path) -> Result<Self, StoreError> {
        let path = path(root_dir);
        let bytes = match fs.read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let timestamp = |at: usize| {
            let field = bytes.get(at..at + 8).and_then(|field| field.try_into().ok());
            field.map_or(0, i64::from_be_bytes)
        };
        let (log_timestamp, queues_timestamp) = (timestamp(0), timestamp(8));
        let safe_offset = Some(timestamp(SAFE_AT + 8)).filter(|offset| {
            let line = safe_line(*offset, log_timestamp, queues_timestamp);
            bytes.get(SAFE_AT..SAFE_AT + line.len()) == Some(&line[..])
        });
        Ok(Self { log_timestamp, queues_timestamp, safe_offset })
    }

    /// Writes it and waits for the disk: a loss of power leaves the old one or the new one, whole. What else is in the file
    /// stays. Where there is no room for a second file, the first is overwritten.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(self, fs: &dyn Fs, root_dir: &Path) -> Result<(), StoreError> {
        let (path, fresh) = (path(root_dir), root_dir.join("checkpoint.tmp"));
        let bytes = self.written_over(fs, &path)?;
        if write_whole(fs, &fresh, &bytes).is_ok() {
            fs.rename(&fresh, &path).map_err(StoreError::io("write", &path))?;
        } else {
            write_whole(fs, &path, &bytes).map_err(StoreError::io("write", &path))?;
        }
        fs.sync_dir(root_dir).map_err(StoreError::io("sync", root_dir))
    }

    /// The content of the file with this written over it.
    fn written_over(self, fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, StoreError> {
        let mut bytes = match fs.read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(StoreError::io("read", path))?,
        };
        bytes.resize(FILE_BYTES, 0);
        bytes[..8].copy_from_slice(&self.log_timestamp.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.queues_timestamp.to_be_bytes());
        if let Some(offset) = self.safe_offset {
            let line = safe_line(offset, self.log_timestamp, self.queues_timestamp);
            bytes[SAFE_AT..SAFE_AT + line.len()].copy_from_slice(&line);
        }
        Ok(bytes)
    }
}

fn write_whole(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = fs.open(path)?;
    file.set_len(FILE_BYTES as u64)?;
    file.write_at(bytes, 0)?;
    file.sync_data()
}

fn safe_line(offset: i64, log_timestamp: i64, queues_timestamp: i64) -> [u8; SAFE_BYTES + 4] {
    let mut line = [0; SAFE_BYTES + 4];
    line[..8].copy_from_slice(SAFE_MARK);
    line[8..16].copy_from_slice(&offset.to_be_bytes());
    line[16..24].copy_from_slice(&log_timestamp.to_be_bytes());
    line[24..32].copy_from_slice(&queues_timestamp.to_be_bytes());
    let crc = crc32fast::hash(&line[..SAFE_BYTES]);
    line[SAFE_BYTES..].copy_from_slice(&crc.to_be_bytes());
    line
}

/// Whether the file `abort` is there: the last start did not end well.
pub(super) fn is_aborted(fs: &dyn Fs, root_dir: &Path) -> Result<bool, StoreError> {
    match fs.read(&abort_path(root_dir)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", &abort_path(root_dir))(error)),
    }
}

/// Makes the file `abort`, which tells the next start that this one did not end well. Once this returns, a loss of power
/// cannot take it away.
pub(super) fn set_abort(fs: &dyn Fs, root_dir: &Path) -> Result<(), StoreError> {
    let path = abort_path(root_dir);
    fs.open(&path).map_err(StoreError::io("make", &path))?;
    fs.sync_dir(root_dir).map_err(StoreError::io("sync", root_dir))
}

/// Removes the file `abort`.
pub(super) fn clear_abort(fs: &dyn Fs, root_dir: &Path) -> Result<(), StoreError> {
    let path = abort_path(root_dir);
    fs.remove_file(&path).map_err(StoreError::io("remove", &path))?;
    fs.sync_dir(root_dir).map_err(StoreError::io("sync", root_dir))
}

/// The place of the file `abort`.
pub(super) fn abort_path(root_dir: &Path) -> PathBuf {
    root_dir.join("abort")
}

fn path(root_dir: &Path) -> PathBuf {
    root_dir.join("checkpoint")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fs::OsFs;
    use super::*;

    #[test]
    fn a_checkpoint_is_read_back_and_keeps_what_it_does_not_know() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("checkpoint");
        assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap(), Checkpoint::default());
        fs::write(&file, [7; 48]).unwrap();
        let checkpoint = Checkpoint { log_timestamp: 10_000, queues_timestamp: 9_000, safe_offset: Some(77) };
        checkpoint.write(&OsFs, directory.path()).unwrap();
        assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap(), checkpoint);
        let bytes = fs::read(&file).unwrap();
        assert_eq!((bytes.len(), &bytes[16..48]), (4096, &[7; 32][..]));
    }

    #[test]
    fn without_room_for_a_second_file_the_first_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        // What cannot be opened for writing stands for it.
        fs::create_dir(directory.path().join("checkpoint.tmp")).unwrap();
        for safe in [1, 2] {
            let checkpoint = Checkpoint { log_timestamp: 7, queues_timestamp: 7, safe_offset: Some(safe) };
            checkpoint.write(&OsFs, directory.path()).unwrap();
            assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap(), checkpoint);
        }
    }

    #[test]
    fn a_short_checkpoint_counts_as_none() {
        let directory = tempfile::tempdir().unwrap();
        for length in 0..16 {
            fs::write(directory.path().join("checkpoint"), vec![1; length]).unwrap();
            let read = Checkpoint::read(&OsFs, directory.path()).unwrap();
            assert_eq!(read.safe_offset, None, "{length} bytes");
        }
    }

    #[test]
    fn a_safe_offset_counts_only_beside_the_times_it_was_written_with() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("checkpoint");
        let checkpoint = Checkpoint { log_timestamp: 10_000, queues_timestamp: 9_000, safe_offset: Some(77) };
        checkpoint.write(&OsFs, directory.path()).unwrap();
        let whole = fs::read(&file).unwrap();
        for at in [0, 7, 8, 15, 256, 264, 271, 272, 288, 291] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, changed).unwrap();
            assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap().safe_offset, None, "byte {at}");
        }
    }
}
