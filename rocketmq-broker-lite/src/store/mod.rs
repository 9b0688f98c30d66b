//! The message store: owns every file of the broker, knows no sockets.
//!
//! Its files are RocketMQ's, byte for byte, so that a directory written by the Java broker opens here and one written
//! here opens there.
//!
//! | file | what it holds | written by |
//! |---|---|---|
//! | `commitlog/<place>` | all records, in the order of their arrival | [`append`] |
//! | `consumequeue/<topic>/<queue>/<place>` | for each message of a queue, where its record lies | [`consume_queue`] |
//! | `checkpoint` | up to when both surely are on disk | [`flush`] |
//! | `abort` | nothing; is there while the store is open | [`checkpoint`] |
//! | `lock` | nothing; is locked while the store is open | [`lock`] |
//!
//! A message counts as stored when the log has it; consume queues can always be built again from the log.

pub(crate) mod config_file;

mod ahead;
mod append;
mod checkpoint;
mod commit_log;
mod config;
mod consume_queue;
mod damage;
mod dir;
mod dispatch;
mod error;
#[cfg(test)]
pub(crate) mod faulty_fs;
mod flush;
pub(crate) mod fs;
mod gather;
mod lock;
mod log_reader;
mod memory;
mod message;
mod pull;
mod queue_table;
mod recovery;
mod room;
mod search;
mod segment;
mod set_aside;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use append::Pipeline;
pub(crate) use append::{AppendDone, Leader, Submission};
use checkpoint::Checkpoint;
use commit_log::CommitLog;
pub(crate) use config::{PullLimits, StoreConfig};
pub(crate) use consume_queue::QueueEntry;
pub(crate) use dir::StoreDir;
pub(crate) use error::StoreError;
pub(crate) use flush::FlushOutcome;
use flush::Flusher;
use fs::{Fs, FsLock, Reads};
pub(crate) use message::{Appended, Arrival, NewMessage};
use pull::Pull;
pub(crate) use pull::{PullFrom, PullStatus, Pulled};
use queue_table::QueueTable;
use recovery::Recovery;
use room::Room;

use crate::clock::Clock;
use crate::config::FlushDiskType;

/// How long a table's save waits for the log.
const SAFE_TIMEOUT: Duration = Duration::from_secs(5);

/// Called for each message once it can be read, outside the store's locks, on the thread that appended it.
pub(crate) type Arrivals = Box<dyn Fn(&Arrival<'_>) + Send + Sync>;

/// Called once when a wait for the disk is over, outside the store's locks, mostly on a thread of the store.
pub(crate) type FlushDone = Box<dyn FnOnce(FlushOutcome) + Send>;

/// Commit log and consume queues in one directory.
///
/// All methods may be called from any thread. But for [`open`](Self::open) and [`close`](Self::close) they are quick:
/// they wait for the page cache, not for the disk. A store that is dropped without being closed leaves its files as a
/// killed process would.
pub(crate) struct MessageStore {
    inner: Arc<Inner>,
    /// `None` once the store is closed.
    threads: Mutex<Option<Vec<JoinHandle<()>>>>,
}

/// What the store's threads share with it.
struct Inner {
    config: StoreConfig,
    clock: Clock,
    arrivals: Arrivals,
    dir: StoreDir,
    log: CommitLog,
    queues: QueueTable,
    pipeline: Pipeline,
    flusher: Flusher,
    room: Room,
    /// A sync of a consume queue failed: what the disk has of it is unknown until the next start.
    queues_unknown: AtomicBool,
    poison: OnceLock<Arc<StoreError>>,
    cached_log_bytes: OnceLock<i64>,
    lock: Mutex<Option<Box<dyn FsLock>>>,
}

impl MessageStore {
    /// [`open_with`](Self::open_with) the operating system's files.
    #[cfg(test)]
    pub(crate) fn open(
        config: StoreConfig,
        clock: Clock,
        arrivals: Arrivals,
    ) -> Result<Arc<Self>, StoreError> {
        Self::open_with(config, clock, arrivals, Arc::new(fs::OsFs))
    }

    /// Opens a directory, and makes it if it is missing: locks it, recovers, and starts the store's threads.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another store has it; [`StoreError::Damaged`] or [`StoreError::Io`] for files that
    /// cannot be used.
    pub(crate) fn open_with(
        config: StoreConfig,
        clock: Clock,
        arrivals: Arrivals,
        fs: Arc<dyn Fs>,
    ) -> Result<Arc<Self>, StoreError> {
        let inner = Self::recover(config, clock, arrivals, fs)?;
        let mut threads = flush::start(&inner)?;
        threads.push(append::start(&inner)?);
        threads.push(ahead::start(&inner)?);
        Ok(Arc::new(Self { inner, threads: Mutex::new(Some(threads)) }))
    }

    /// A store whose caller does what the flush threads would do.
    #[cfg(test)]
    fn open_without_threads(
        config: StoreConfig,
        clock: Clock,
        fs: Arc<dyn Fs>,
    ) -> Result<Arc<Self>, StoreError> {
        let inner = Self::recover(config, clock, Box::new(|_| {}), fs)?;
        Ok(Arc::new(Self { inner, threads: Mutex::new(Some(Vec::new())) }))
    }

    fn recover(
        config: StoreConfig,
        clock: Clock,
        arrivals: Arrivals,
        fs: Arc<dyn Fs>,
    ) -> Result<Arc<Inner>, StoreError> {
        let dir = StoreDir { fs, root: config.root_dir.clone() };
        let root = &dir.root;
        let lock = dir.fs.lock(root)?;
        let clean = !checkpoint::is_aborted(&*dir.fs, root)?;
        let checkpoint = Checkpoint::read(&*dir.fs, root)?;
        let torn_from = if clean { None } else { checkpoint.safe_offset };
        let sync_flush = config.flush_disk_type == FlushDiskType::SyncFlush;
        let log_size = config.mapped_file_size_commit_log;
        let log = CommitLog::load(&dir, root.join("commitlog"), log_size, torn_from, sync_flush)?;
        let queue_size = config.mapped_file_size_consume_queue;
        let queues = QueueTable::load(&dir, root.join("consumequeue"), queue_size, clean)?;
        checkpoint::set_abort(&*dir.fs, root)?;
        let delay_levels = &config.delay_levels;
        let goes_on_after_damage = config.truncate_damaged_log;
        let recovery = Recovery {
            store: &dir,
            log: &log,
            queues: &queues,
            delay_levels,
            checkpoint,
            clean,
            goes_on_after_damage,
        };
        if let Err(error) = recovery.run() {
            if clean && matches!(error, StoreError::LogDamaged { .. }) {
                // Nothing was changed: the next start is to find what this one has found.
                checkpoint::clear_abort(&*dir.fs, root)?;
            }
            return Err(error);
        }
        let room = Room::new(config.disk_space_warning_level_ratio);
        let inner = Arc::new(Inner {
            config,
            clock,
            arrivals,
            dir,
            log,
            queues,
            pipeline: Pipeline::default(),
            flusher: Flusher::default(),
            room,
            queues_unknown: AtomicBool::new(false),
            poison: OnceLock::new(),
            cached_log_bytes: OnceLock::new(),
            lock: Mutex::new(Some(lock)),
        });
        if !clean || checkpoint.safe_offset != Some(inner.log.max_offset()) {
            // The next crash need not go through this part of the log again.
            inner.log.sync()?;
            flush::flush_queues(&inner, true)?;
        }
        Ok(inner)
    }

    /// Stores a message. It can be read, and survives the end of the process, when this returns; to survive the end of
    /// the machine it must be flushed: [`when_flushed`](Self::when_flushed).
    ///
    /// # Errors
    /// The message breaks a limit, or the store is closed or failed.
    pub(crate) fn append(&self, message: NewMessage<'_>) -> Result<Appended, StoreError> {
        let appended = append::append(&self.inner, &[message])?;
        Ok(appended.first().copied().unwrap_or_default())
    }

    /// Stores messages of one queue under consecutive offsets, all or none.
    ///
    /// # Errors
    /// A message breaks a limit, all together are too long for one file of the log, or the store is closed or failed.
    #[cfg(test)]
    pub(crate) fn append_batch(&self, messages: &[NewMessage<'_>]) -> Result<Vec<Appended>, StoreError> {
        append::append(&self.inner, messages)
    }

    /// Encodes messages of one queue, to be stored under consecutive offsets, all or none, with what else is submitted.
    ///
    /// # Errors
    /// A message breaks a limit, all together are too long for one file of the log, or the store failed. Then nothing is
    /// added.
    pub(crate) fn encode(
        &self,
        messages: &[NewMessage<'_>],
        submission: &mut Submission,
    ) -> Result<(), StoreError> {
        submission.encode(&self.inner, messages)
    }

    /// Stores all of a submission and calls `done` once, when that was written or refused. Waits for no write.
    pub(crate) fn submit(&self, submission: Submission, done: AppendDone) {
        append::submit(&self.inner, submission, done);
    }

    /// Says who leads while writes are quick: who calls [`lead`](Self::lead) soon after each [`Leader::wake`].
    pub(crate) fn lead_by(&self, leader: Box<dyn Leader>) {
        self.inner.pipeline.lead_by(leader);
    }

    /// Writes what was submitted, as much as goes at once, unless another does so. Waits for the page cache.
    pub(crate) fn lead(&self) {
        append::lead_once(&self.inner);
    }

    /// Calls `done` once: when the disk has the log up to `end_offset`, when `timeout` is over, or when the store fails
    /// or ends. Everyone who waits is answered by the same sync.
    pub(crate) fn when_flushed(&self, end_offset: i64, timeout: Duration, done: FlushDone) {
        flush::when_flushed(&self.inner, end_offset, timeout, done);
    }

    /// Waits until the disk has everything that the log holds now. False if the store fails or ends, or if it takes longer
    /// than 5 s.
    pub(crate) fn make_safe(&self) -> bool {
        #[cfg(test)]
        if self.threads.lock().is_ok_and(|threads| threads.as_ref().is_some_and(Vec::is_empty)) {
            flush::flush_log(&self.inner);
        }
        let (sender, outcome) = mpsc::channel();
        let done = move |outcome| {
            // Nobody waits if the store was closed meanwhile.
            let _ = sender.send(outcome);
        };
        self.when_flushed(self.inner.log.max_offset(), SAFE_TIMEOUT, Box::new(done));
        outcome.recv() == Ok(FlushOutcome::Flushed)
    }

    /// Reads messages from `offset` on, as many as are there and wanted: at most `max_messages` and `max_bytes` (but the
    /// first is never too long), and no more than [`PullLimits`] allows. `wants` is asked with the tags code of each.
    ///
    /// Where a file cannot be read the status is [`PullStatus::OffsetFoundNull`] and the next offset the one asked for.
    pub(crate) fn pull(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        max_messages: usize,
        max_bytes: usize,
        wants: &dyn Fn(i64) -> bool,
    ) -> Pulled {
        let from = PullFrom { topic, queue_id, offset, max_messages, max_bytes };
        self.pull_as(Reads::Wait, from, wants).expect("it may wait")
    }

    /// [`pull`](Self::pull), but brings nothing where the disk would have to be waited for.
    pub(crate) fn pull_now(&self, from: PullFrom<'_>, wants: &dyn Fn(i64) -> bool) -> Option<Pulled> {
        self.pull_as(Reads::Now, from, wants)
    }

    fn pull_as(&self, reads: Reads, from: PullFrom<'_>, wants: &dyn Fn(i64) -> bool) -> Option<Pulled> {
        let PullFrom { topic, queue_id, offset, max_messages, max_bytes } = from;
        let queue = self.inner.queues.find(topic, queue_id);
        let cached_bytes = self.inner.cached_log_bytes();
        let limits = self.inner.config.pull_limits;
        let pull = Pull { offset, max_messages, max_bytes, limits, reads, wants, cached_bytes };
        pull.run(&self.inner.log, queue.as_deref())
    }

    /// The whole record at a place in the log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if no record begins there; [`StoreError::Io`] if the file cannot be read.
    pub(crate) fn message_at(&self, physical_offset: i64) -> Result<Bytes, StoreError> {
        search::message_at(&self.inner.log, physical_offset)
    }

    /// The queue's first offset; 0 for a queue that does not exist.
    pub(crate) fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.inner.queues.find(topic, queue_id).map_or(0, |queue| queue.min())
    }

    /// The offset of the queue's next message; 0 for a queue that does not exist.
    pub(crate) fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.inner.queues.find(topic, queue_id).map_or(0, |queue| queue.max())
    }

    /// The offset of the message stored nearest to a moment in milliseconds since 1970, as 4.9 has it: the earlier one
    /// if two are equally near, the first of those stored at that moment, the last message if all are older. 0 for a
    /// queue that does not exist or cannot be read, the next offset for an empty one.
    pub(crate) fn offset_by_time(&self, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
        let Some(queue) = self.inner.queues.find(topic, queue_id) else { return 0 };
        search::offset_by_time(&self.inner.log, &queue, timestamp).unwrap_or_else(|error| {
            tracing::error!(%error, topic, queue_id, "cannot search by time");
            0
        })
    }

    /// When the queue's first message was stored, in milliseconds since 1970; `None` if there is no message or it
    /// cannot be read.
    pub(crate) fn earliest_store_time(&self, topic: &str, queue_id: i32) -> Option<i64> {
        let queue = self.inner.queues.find(topic, queue_id)?;
        search::store_time(&self.inner.log, &queue, queue.min()).ok().flatten()
    }

    /// Units of a consume queue from `from` on, at most `max`; fewer where the queue ends or cannot be read.
    pub(crate) fn queue_entries(&self, topic: &str, queue_id: i32, from: i64, max: usize) -> Vec<QueueEntry> {
        let Some(queue) = self.inner.queues.find(topic, queue_id) else { return Vec::new() };
        search::entries(&queue, from, max)
    }

    /// Whether a message is likely in the page cache: not farther from the log's end than 40 % of the machine's memory.
    /// True too if there is no such message.
    pub(crate) fn is_in_memory(&self, topic: &str, queue_id: i32, offset: i64) -> bool {
        let Some(entry) = self.queue_entries(topic, queue_id, offset, 1).pop() else { return true };
        self.inner.log.max_offset() - entry.physical_offset <= self.inner.cached_log_bytes()
    }

    /// Where the broker's tables lie.
    pub(crate) fn dir(&self) -> &StoreDir {
        &self.inner.dir
    }

    /// The topics that have queues here, and how many at least, by the highest number.
    pub(crate) fn topics(&self) -> Vec<(String, i32)> {
        let mut topics: BTreeMap<String, i32> = BTreeMap::new();
        for queue in self.inner.queues.all() {
            let count = topics.entry(queue.topic.to_string()).or_default();
            *count = (*count).max(queue.queue_id.saturating_add(1));
        }
        topics.into_iter().collect()
    }

    /// The failure after which the store takes no more messages.
    pub(crate) fn poisoned(&self) -> Option<Arc<StoreError>> {
        self.inner.poisoned().cloned()
    }

    /// Ends the store: nothing is taken any more, everything is flushed, who waits for that is answered, and the
    /// directory is free for another. Reading still works. A second call does nothing. Blocks for the disk.
    ///
    /// # Errors
    /// The store failed before or does so now. Then `abort` stays, so that the next start recovers.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner.log.lock().closed = true;
        if !self.stop_threads() {
            return inner.refuse_if_failed();
        }
        let flushed =
            inner.refuse_if_failed().and_then(|()| inner.flush_all()).map_err(|it| inner.poison(it));
        if flushed.is_ok() {
            inner.flusher.answer_flushed(inner.log.flushed_offset());
        }
        inner.flusher.fail_all();
        inner.unlock();
        flushed
    }

    /// False if they were stopped before.
    fn stop_threads(&self) -> bool {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let running = threads.is_some();
        self.inner.pipeline.stop();
        self.inner.log.ahead().stop();
        self.inner.flusher.stop();
        for handle in threads.take().into_iter().flatten() {
            // The last owner may have been in a callback, on a thread that cannot wait for itself.
            if handle.thread().id() != thread::current().id() && handle.join().is_err() {
                tracing::error!("a flush thread ended in a panic");
            }
        }
        running
    }
}

impl Drop for MessageStore {
    fn drop(&mut self) {
        self.inner.log.lock().closed = true;
        if self.stop_threads() {
            self.inner.flusher.fail_all();
            self.inner.unlock();
        }
    }
}

impl Inner {
    fn poisoned(&self) -> Option<&Arc<StoreError>> {
        self.poison.get()
    }

    fn refuse_if_failed(&self) -> Result<(), StoreError> {
        self.poisoned().map_or(Ok(()), |cause| Err(StoreError::Poisoned(Arc::clone(cause))))
    }

    /// Makes the store refuse everything from now on, if it does not already. Returns what the caller is to be told.
    fn poison(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Poisoned(_)) {
            return error;
        }
        let cause = self.poison.get_or_init(|| {
            tracing::error!(%error, "the store failed and takes no more messages");
            Arc::new(error)
        });
        // The log thread answers those who wait.
        self.flusher.wake();
        StoreError::Poisoned(Arc::clone(cause))
    }

    /// The bytes that the disk may lack of the log; none once the store failed, since nothing will be flushed then.
    fn unflushed_bytes(&self) -> i64 {
        match self.poisoned() {
            Some(_) => 0,
            None => self.log.max_offset() - self.log.flushed_offset(),
        }
    }

    fn has_queue_work(&self) -> bool {
        !self.log.tail().is_empty() || (self.poisoned().is_none() && self.queues.is_unsynced())
    }

    fn cached_log_bytes(&self) -> i64 {
        *self.cached_log_bytes.get_or_init(memory::cached_log_bytes)
    }

    fn flush_all(&self) -> Result<(), StoreError> {
        self.log.sync()?;
        flush::flush_queues(self, true)?;
        if self.queues_unknown.load(Ordering::Acquire) {
            let what = "a sync failed earlier; they are built again at the next start".to_owned();
            return Err(StoreError::Damaged { path: self.dir.root.join("consumequeue"), what });
        }
        checkpoint::clear_abort(&*self.dir.fs, &self.dir.root)
    }

    /// See [`FsLock::sync_all`].
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().map_or(Err(ErrorKind::Unsupported.into()), |lock| lock.sync_all(dir))
    }

    fn unlock(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
