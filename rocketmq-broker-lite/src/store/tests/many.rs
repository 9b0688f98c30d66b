//! Thousands of queues: what is done for each, counted in file operations.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Mutex;

use super::super::fs::{Entry, FsFile, FsLock};
use super::*;

const QUEUES: usize = 200;

/// The operating system's files; counts what is done to those of consume queues.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<Mutex<Counts>>);

/// How a sync of everything ends.
#[derive(Clone, Copy, Debug, Default)]
enum SyncAll {
    #[default]
    Succeeds,
    IsUnknownHere,
    Fails,
}

#[derive(Debug, Default)]
struct Counts {
    done: BTreeMap<&'static str, usize>,
    log_read_bytes: usize,
    sync_all: SyncAll,
    open_files: usize,
    most_open_files: usize,
}

struct CountedFile {
    file: Box<dyn FsFile>,
    counting: Counting,
    is_queue: bool,
}

#[derive(Debug)]
struct CountedLock {
    _lock: Box<dyn FsLock>,
    counting: Counting,
}

impl FsLock for CountedLock {
    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let how = self.counting.0.lock().unwrap().sync_all;
        match how {
            SyncAll::Succeeds => self.counting.add("sync_all"),
            SyncAll::IsUnknownHere => return Err(ErrorKind::Unsupported.into()),
            SyncAll::Fails => return Err(io::Error::other("lost")),
        }
        Ok(())
    }
}

fn is_counted(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "consumequeue")
}

impl Counting {
    fn count(&self, what: &'static str, path: &Path) {
        if is_counted(path) {
            self.add(what);
        }
    }

    fn add(&self, what: &'static str) {
        *self.0.lock().unwrap().done.entry(what).or_default() += 1;
    }

    /// What was done since the last call.
    fn take(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.0.lock().unwrap().done)
    }
}

impl Fs for Counting {
    fn lock(&self, root_dir: &Path) -> Result<Box<dyn FsLock>, StoreError> {
        Ok(Box::new(CountedLock { _lock: OsFs.lock(root_dir)?, counting: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.count("open", path);
        let file = OsFs.open(path)?;
        let (counting, is_queue) = (self.clone(), is_counted(path));
        if is_queue {
            let mut counts = self.0.lock().unwrap();
            counts.open_files += 1;
            counts.most_open_files = counts.most_open_files.max(counts.open_files);
        }
        Ok(Box::new(CountedFile { file, counting, is_queue }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OsFs.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.count("list", dir);
        OsFs.list(dir)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.count("make_dir", dir);
        OsFs.make_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count("rename", from);
        OsFs.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.count("remove", path);
        OsFs.remove_file(path)
    }

    fn used_percent(&self, _: &Path) -> io::Result<u32> {
        Ok(0)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.count("sync_dir", dir);
        OsFs.sync_dir(dir)
    }
}

impl CountedFile {
    fn count(&self, what: &'static str) {
        if self.is_queue {
            self.counting.add(what);
        }
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        if self.is_queue {
            self.counting.0.lock().unwrap().open_files -= 1;
        }
    }
}

impl FsFile for CountedFile {
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.count("read");
        let before = out.len();
        self.file.read_at(out, len, offset)?;
        if !self.is_queue {
            self.counting.0.lock().unwrap().log_read_bytes += out.len() - before;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.count("write");
        self.file.write_at(bytes, offset)
    }

    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.count("write");
        self.file.write_parts_at(parts, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.count("sync");
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.count("set_len");
        self.file.set_len(len)
    }
}

/// Two messages in each of [`QUEUES`] queues, as far as the log has them; nothing is flushed that nobody waits for.
fn fill_many(root: &Path, counting: &Counting) -> Arc<MessageStore> {
    let store = open_on(idle(root), Arc::new(counting.clone()));
    for round in 0..2 {
        for number in 0..QUEUES / 4 {
            let topic = ByteString::from(format!("T{number}"));
            for queue in 0..4 {
                store.append(message(&topic, queue, &[round; 100])).unwrap();
            }
        }
    }
    counting.take();
    store
}

fn idle(root: &Path) -> StoreConfig {
    let long = Duration::from_secs(600);
    StoreConfig {
        root_dir: root.to_owned(),
        flush_interval_commit_log: long,
        flush_commit_log_thorough_interval: long,
        flush_interval_consume_queue: long,
        ..StoreConfig::default()
    }
}

fn assert_all_there(store: &MessageStore) {
    assert_eq!(read_queues(store), scan_log(store));
    assert_eq!(read_queues(store).len(), QUEUES);
}

#[test]
fn a_start_after_a_clean_end_reads_little_of_each_queue_and_changes_nothing() {
    let (directory, counting) = (temp(), Counting::default());
    fill_many(directory.path(), &counting).close().unwrap();
    counting.take();
    let store = open_on(idle(directory.path()), Arc::new(counting.clone()));
    let done = counting.take();
    let kinds: Vec<_> = done.keys().copied().collect();
    assert_eq!(kinds, ["list", "open", "read"], "{done:?}");
    // For each topic and each queue, and the directory of all.
    assert_eq!(done["list"], QUEUES + QUEUES / 4 + 1);
    assert!(done["open"] <= 3 * QUEUES && done["read"] <= 8 * QUEUES, "{done:?}");
    store.close().unwrap();
    assert_eq!(counting.take(), BTreeMap::new(), "nothing was added");
    assert_all_there(&open(idle(directory.path())));
}

#[test]
fn many_queues_are_closed_with_one_sync_or_one_by_one_where_there_is_none_for_all() {
    for (how, sync_all, syncs) in [(SyncAll::Succeeds, 1, 0), (SyncAll::IsUnknownHere, 0, QUEUES)] {
        let (directory, counting) = (temp(), Counting::default());
        counting.0.lock().unwrap().sync_all = how;
        fill_many(directory.path(), &counting).close().unwrap();
        let done = counting.take();
        let count = |what| done.get(what).copied().unwrap_or_default();
        assert_eq!((count("sync_all"), count("sync"), count("write")), (sync_all, syncs, QUEUES), "{done:?}");
        let store = open(idle(directory.path()));
        assert_eq!(store.inner.log.flushed_offset(), store.inner.log.max_offset());
        assert_all_there(&store);
    }
}

#[test]
fn a_failed_sync_of_everything_costs_the_next_start_a_rebuild_and_nothing_else() {
    let (directory, counting) = (temp(), Counting::default());
    let store = fill_many(directory.path(), &counting);
    counting.0.lock().unwrap().sync_all = SyncAll::Fails;
    assert!(store.close().is_err());
    assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap().safe_offset, Some(0));
    assert!(directory.path().join("abort").exists());
    assert_all_there(&open(idle(directory.path())));
}

#[test]
fn busy_queues_hold_no_files_open_however_long_the_flush_takes() {
    let (directory, counting) = (temp(), Counting::default());
    let store = open_on(idle(directory.path()), Arc::new(counting.clone()));
    let topic = ByteString::from("T");
    // More than a queue keeps in memory.
    for _ in 0..60 {
        for queue in 0..20 {
            store.append_batch(&vec![message(&topic, queue, b"x"); 30]).unwrap();
        }
    }
    assert_eq!(counting.take()["write"], 20);
    assert!(counting.0.lock().unwrap().most_open_files <= 2);
}

#[test]
fn a_crash_soon_after_a_crash_reads_the_present_log_file_only() {
    let (directory, counting) = (temp(), Counting::default());
    let config = || StoreConfig { mapped_file_size_commit_log: 10_000, ..idle(directory.path()) };
    for life in 0..5_usize {
        counting.0.lock().unwrap().log_read_bytes = 0;
        let store = open_on(config(), Arc::new(counting.clone()));
        let read = counting.0.lock().unwrap().log_read_bytes;
        // What the last life wrote, and the file in which it began; each is looked at once, the ends of records twice.
        assert!(read < 100_000, "life {life} read {read} bytes");
        fill(&store, "T", 0, 200);
    }
}
