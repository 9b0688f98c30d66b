//! All consume queues of a store, by topic and number.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use rocketmq_protocol::ByteString;

use super::StoreError;
use super::consume_queue::{ConsumeQueue, QueueEntry, UNIT_BYTES};
use super::dir::StoreDir;
use super::fs::Fs;
use super::segment::FileQueue;
use super::set_aside::set_aside;

/// From here on it is quicker to sync the whole file system than one queue after the other.
const MANY_QUEUES: usize = 64;

/// Waits until the disk has all files below a directory, and their names; [`ErrorKind::Unsupported`] where that cannot be
/// done at once.
pub(super) type SyncAll<'a> = dyn Fn(&Path) -> io::Result<()> + 'a;

/// The consume queues of one directory.
pub(super) struct QueueTable {
    store: StoreDir,
    dir: PathBuf,
    file_size: u64,
    /// The queues of a topic, ascending by number.
    topics: DashMap<ByteString, Vec<Arc<ConsumeQueue>>>,
    /// Queues with units that the disk may lack.
    unsynced: Mutex<Vec<Arc<ConsumeQueue>>>,
    lacking: Mutex<Vec<Arc<ConsumeQueue>>>,
}

impl QueueTable {
    /// The queues that are below `dir`. After a clean end all their files are whole.
    ///
    /// # Errors
    /// A directory cannot be listed, or a file has a wrong size.
    pub(super) fn load(
        store: &StoreDir,
        dir: PathBuf,
        file_size: u64,
        clean: bool,
    ) -> Result<Self, StoreError> {
        let unit = UNIT_BYTES as u64;
        let file_size = (file_size / unit).max(1) * unit;
        let table = Self {
            store: store.clone(),
            dir,
            file_size,
            topics: DashMap::new(),
            unsynced: Mutex::default(),
            lacking: Mutex::default(),
        };
        for (topic, topic_dir) in subdirectories(&*store.fs, &table.dir)? {
            for (name, dir) in subdirectories(&*store.fs, &topic_dir)? {
                match name.parse() {
                    Ok(queue_id) => table.load_queue(&topic, queue_id, dir, clean)?,
                    Err(_) => tracing::warn!(path = %dir.display(), "not a consume queue, left alone"),
                }
            }
        }
        Ok(table)
    }

    /// Takes in what a directory holds. Files that cannot be a queue are set aside, and the queue is built again.
    fn load_queue(&self, topic: &str, queue_id: i32, dir: PathBuf, clean: bool) -> Result<(), StoreError> {
        let store = &self.store;
        match FileQueue::load(store, dir.clone(), self.file_size, None, clean) {
            Ok(files) => drop(self.insert(topic, queue_id, files)),
            Err(error @ StoreError::Damaged { .. }) => {
                let kept = set_aside(store, &dir)?;
                tracing::error!(%error, kept = %kept.display(), "a consume queue was set aside");
                let files = FileQueue::new(store, dir, self.file_size);
                self.is_lacking(self.insert(topic, queue_id, files));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A queue that is there.
    pub(super) fn find(&self, topic: &str, queue_id: i32) -> Option<Arc<ConsumeQueue>> {
        let queues = self.topics.get(topic)?;
        let index = queues.binary_search_by_key(&queue_id, |queue| queue.queue_id).ok()?;
        Some(Arc::clone(&queues[index]))
    }

    /// A queue, made if it is not there. Its files come with its first units.
    pub(super) fn find_or_create(&self, topic: &str, queue_id: i32) -> Arc<ConsumeQueue> {
        self.find(topic, queue_id).unwrap_or_else(|| {
            let dir = self.dir.join(topic).join(queue_id.to_string());
            self.insert(topic, queue_id, FileQueue::new(&self.store, dir, self.file_size))
        })
    }

    /// Adds a unit to a queue.
    pub(super) fn put(&self, queue: &Arc<ConsumeQueue>, entry: &QueueEntry) {
        if queue.put(entry) {
            self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(queue));
        }
    }

    /// Notes that a queue lacks units that the log has.
    pub(super) fn is_lacking(&self, queue: Arc<ConsumeQueue>) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).push(queue);
    }

    /// The queues that lack units: their files were set aside when they were loaded, or hold damaged ones.
    pub(super) fn take_lacking(&self) -> Vec<Arc<ConsumeQueue>> {
        std::mem::take(&mut *self.lacking.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All queues, in order.
    pub(super) fn all(&self) -> Vec<Arc<ConsumeQueue>> {
        let mut queues: Vec<_> = self.topics.iter().flat_map(|topic| topic.value().clone()).collect();
        queues.sort_by(|a, b| (&a.topic, a.queue_id).cmp(&(&b.topic, b.queue_id)));
        queues
    }

    /// Whether the disk may lack something.
    pub(super) fn is_unsynced(&self) -> bool {
        !self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Writes what the files lack, and waits for the disk where a queue has at least `least_bytes` that it may lack. A
    /// queue that fails keeps its units and holds up no other. Very many queues are synced together, by `sync_all`, if it
    /// can do so.
    ///
    /// # Errors
    /// The first failure: a file cannot be written or synced.
    pub(super) fn flush(&self, least_bytes: i64, sync_all: &SyncAll<'_>) -> Result<(), StoreError> {
        let mut queues = std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        let mut first_failure = Ok(());
        let mut note = |result: Result<(), StoreError>| {
            let is_ok = result.is_ok();
            if first_failure.is_ok() {
                first_failure = result;
            }
            is_ok
        };
        let mut due = Vec::new();
        for queue in &queues {
            let written = queue.write_out();
            queue.close_files();
            if note(written) && queue.unsynced_bytes() >= least_bytes {
                due.push(queue);
            }
        }
        if due.len() < MANY_QUEUES || !self.sync_together(&due, sync_all, &mut note) {
            for queue in due {
                note(queue.sync());
                queue.close_files();
            }
        }
        queues.retain(|queue| !queue.rest());
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).append(&mut queues);
        first_failure
    }

    /// False if that is not possible here.
    fn sync_together(
        &self,
        due: &[&Arc<ConsumeQueue>],
        sync_all: &SyncAll<'_>,
        note: &mut dyn FnMut(Result<(), StoreError>) -> bool,
    ) -> bool {
        let ends: Vec<_> = due.iter().map(|queue| queue.before_sync()).collect();
        let synced = sync_all(&self.dir);
        let is_possible =
            synced.as_ref().map_or_else(|error| error.kind() != ErrorKind::Unsupported, |()| true);
        if synced.is_ok() {
            due.iter().zip(ends).for_each(|(queue, end)| queue.synced(end));
        } else {
            due.iter().for_each(|queue| queue.not_synced());
        }
        if is_possible {
            note(synced.map_err(StoreError::io("sync", &self.dir)));
        }
        is_possible
    }

    /// Puts a new queue into its place, unless another caller was faster.
    fn insert(&self, topic: &str, queue_id: i32, files: FileQueue) -> Arc<ConsumeQueue> {
        // A copy: a slice of a request would keep the whole request in memory.
        let mut queues = self.topics.entry(ByteString::from(topic)).or_default();
        match queues.binary_search_by_key(&queue_id, |queue| queue.queue_id) {
            Ok(index) => Arc::clone(&queues[index]),
            Err(index) => {
                let queue = Arc::new(ConsumeQueue::new(ByteString::from(topic), queue_id, files));
                queues.insert(index, Arc::clone(&queue));
                queue
            }
        }
    }
}

/// Names and paths of the directories in a directory; none if it is missing.
fn subdirectories(fs: &dyn Fs, dir: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = match fs.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("list", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = dir.join(&entry.name);
        match entry.name.into_string() {
            Ok(name) if entry.is_dir => found.push((name, path)),
            _ => tracing::warn!(path = %path.display(), "not a directory of the store, left alone"),
        }
    }
    Ok(found)
}
