//! Files that fail, count and wait as a test likes.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};

use super::StoreError;
use super::fs::{Entry, Fs, FsFile, FsLock, OsFs};

/// What is to fail or to wait, and what was counted.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) fail_writes: AtomicBool,
    pub(crate) fail_syncs: AtomicBool,
    /// Files of consume queues cannot be opened.
    pub(crate) fail_queues: AtomicBool,
    pub(crate) fail_queue_syncs: AtomicBool,
    pub(crate) used_percent: AtomicU32,
    /// Syncs of the log.
    pub(crate) syncs: AtomicUsize,
    /// Reads of the log.
    pub(crate) reads: AtomicUsize,
    /// Threads that made or opened files of the log.
    pub(crate) opened_by: Mutex<Vec<ThreadId>>,
    /// Syncs of the broker's tables, and the bytes written to them.
    pub(crate) table_syncs: AtomicUsize,
    pub(crate) table_bytes: AtomicUsize,
    /// Syncs of the broker's tables wait.
    held_table_syncs: Mutex<bool>,
    /// Syncs of the log wait.
    held_syncs: Mutex<bool>,
    /// Syncs of consume queues wait.
    held_queue_syncs: Mutex<bool>,
    /// Writes to the log wait.
    held_writes: Mutex<bool>,
    /// Reads of the log and of consume queues wait, and cannot be done at once.
    held_reads: Mutex<bool>,
    changed: Condvar,
    /// How many syncs and writes wait.
    waiting: Mutex<usize>,
}

/// The operating system's files, with faults.
#[derive(Debug)]
pub(crate) struct FaultyFs(pub(crate) Arc<Faults>);

struct FaultyFile {
    file: Box<dyn FsFile>,
    faults: Arc<Faults>,
    is_log: bool,
    is_table: bool,
}

impl Faults {
    /// Makes syncs of the log wait, or lets them go on.
    pub(crate) fn hold_syncs(&self, held: bool) {
        self.hold(&self.held_syncs, held);
    }

    /// Makes syncs of the broker's tables wait, or lets them go on.
    pub(crate) fn hold_table_syncs(&self, held: bool) {
        self.hold(&self.held_table_syncs, held);
    }

    /// Makes syncs of consume queues wait, or lets them go on.
    pub(crate) fn hold_queue_syncs(&self, held: bool) {
        self.hold(&self.held_queue_syncs, held);
    }

    /// Makes writes to the log wait, or lets them go on.
    pub(crate) fn hold_writes(&self, held: bool) {
        self.hold(&self.held_writes, held);
    }

    /// Returns once that many files of the log were opened.
    pub(crate) fn wait_for_opens(&self, count: usize) {
        let opened_by = self.opened_by.lock().unwrap();
        drop(self.changed.wait_while(opened_by, |opened_by| opened_by.len() < count).unwrap());
    }

    /// Makes reads wait, as if nothing were in the page cache, or lets them go on.
    pub(crate) fn hold_reads(&self, held: bool) {
        self.hold(&self.held_reads, held);
    }

    fn hold(&self, which: &Mutex<bool>, held: bool) {
        *which.lock().unwrap() = held;
        self.changed.notify_all();
    }

    /// How many reads, syncs and writes wait.
    pub(crate) fn held(&self) -> usize {
        *self.waiting.lock().unwrap()
    }

    fn refuse_to_wait(&self) -> io::Result<()> {
        match *self.held_reads.lock().unwrap() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    }

    /// Returns once a sync or a write waits.
    pub(crate) fn wait_for_one_held(&self) {
        drop(self.changed.wait_while(self.waiting.lock().unwrap(), |waiting| *waiting == 0).unwrap());
    }

    fn wait_while(&self, held: &Mutex<bool>) {
        if !*held.lock().unwrap() {
            return;
        }
        *self.waiting.lock().unwrap() += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(held.lock().unwrap(), |held| *held).unwrap());
        *self.waiting.lock().unwrap() -= 1;
    }
}

fn is_below(path: &Path, name: &str) -> bool {
    path.components().any(|part| part.as_os_str() == name)
}

impl Fs for FaultyFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        if is_below(path, "consumequeue") && self.0.fail_queues.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(24));
        }
        let (file, faults) = (OsFs.open(path)?, Arc::clone(&self.0));
        let (is_log, is_table) = (is_below(path, "commitlog"), is_below(path, "config"));
        if is_log {
            faults.opened_by.lock().unwrap().push(thread::current().id());
            faults.changed.notify_all();
        }
        Ok(Box::new(FaultyFile { file, faults, is_log, is_table }))
    }

    fn open_now(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.refuse_to_wait()?;
        self.open(path)
    }

    fn lock(&self, root_dir: &Path) -> Result<Box<dyn FsLock>, StoreError> {
        OsFs.lock(root_dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OsFs.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        OsFs.list(dir)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        OsFs.make_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsFs.remove_file(path)
    }

    fn used_percent(&self, _: &Path) -> io::Result<u32> {
        Ok(self.0.used_percent.load(Ordering::SeqCst))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsFs.sync_dir(path)
    }
}

impl FsFile for FaultyFile {
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.faults.wait_while(&self.faults.held_reads);
        self.faults.reads.fetch_add(usize::from(self.is_log), Ordering::SeqCst);
        self.file.read_at(out, len, offset)
    }

    fn read_now_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.faults.refuse_to_wait()?;
        self.faults.reads.fetch_add(usize::from(self.is_log), Ordering::SeqCst);
        self.file.read_at(out, len, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_log {
            self.faults.wait_while(&self.faults.held_writes);
        }
        if self.is_table {
            self.faults.table_bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        if self.faults.fail_writes.load(Ordering::SeqCst) {
            // As a full disk does: some bytes are there.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("no space left"));
        }
        self.file.write_at(bytes, offset)
    }

    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.write_at(&parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>(), offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_log {
            self.faults.syncs.fetch_add(1, Ordering::SeqCst);
            self.faults.wait_while(&self.faults.held_syncs);
        } else if self.is_table {
            self.faults.table_syncs.fetch_add(1, Ordering::SeqCst);
            self.faults.wait_while(&self.faults.held_table_syncs);
        } else {
            self.faults.wait_while(&self.faults.held_queue_syncs);
        }
        if self.faults.fail_syncs.load(Ordering::SeqCst)
            || (!self.is_log && self.faults.fail_queue_syncs.load(Ordering::SeqCst))
        {
            return Err(io::Error::other("lost"));
        }
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
