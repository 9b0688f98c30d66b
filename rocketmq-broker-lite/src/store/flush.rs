//! Flushing: who waits for the disk, and the threads that make it so.
//!
//! The *log thread* syncs the commit log: at once when someone waits, and one sync answers all who waited for it
//! (group commit); otherwise in the background. The *queue thread* writes and syncs consume queues, and writes the
//! checkpoint. The *answer thread* tells those who wait, so that no sync waits for them, and those whose time is over
//! also while a sync hangs. All sleep while nothing is to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoint;
use super::{FlushDone, Inner, StoreError};

const PAGE_BYTES: i64 = 4096;
/// A consume queue is synced when the disk may lack so much (`flushConsumeQueueLeastPages` = 2) ...
const QUEUE_LEAST_BYTES: i64 = 2 * PAGE_BYTES;
/// ... or after this time (`flushConsumeQueueThoroughInterval`), with the checkpoint.
const QUEUE_THOROUGH_INTERVAL: Duration = Duration::from_secs(60);

/// How a wait for the disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushOutcome {
    /// The disk has the message.
    Flushed,
    /// It took too long; the message may still reach the disk.
    TimedOut,
    /// The store failed or was closed; the message may or may not be on disk.
    Failed,
}

/// What the threads and those who wake them share.
#[derive(Default)]
pub(super) struct Flusher {
    state: Mutex<State>,
    log_wake: Condvar,
    queue_wake: Condvar,
    answer_wake: Condvar,
    /// A thread found nothing to do: the next append must wake it.
    log_sleeps: AtomicBool,
    queue_sleeps: AtomicBool,
}

#[derive(Default)]
struct State {
    waiters: Vec<Waiter>,
    /// The log thread waits for `log_wake`.
    log_waits: bool,
    /// When the answer thread wakes by itself; `None` if it does not.
    answers_at: Option<Instant>,
    stopped: bool,
}

struct Waiter {
    end_offset: i64,
    deadline: Instant,
    done: FlushDone,
}

/// Starts the threads.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(inner: &Arc<Inner>) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let spawn = |name: &str, body: fn(&Inner)| {
        let inner = Arc::clone(inner);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| body(&inner))).is_err() {
                let path = inner.config.root_dir.clone();
                let what = "a flush thread ended in a panic".to_owned();
                inner.poison(StoreError::Damaged { path, what });
                inner.flusher.fail_all();
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)
    };
    let threads = [
        spawn("store-flush-log", run_log),
        spawn("store-flush-cq", run_queues),
        spawn("store-answer", run_answers),
    ];
    let threads = threads.into_iter().collect::<Result<_, _>>();
    threads.map_err(StoreError::io("start a thread for", &inner.config.root_dir))
}

impl Flusher {
    /// Tells the threads of an append, if one sleeps.
    pub(super) fn appended(&self) {
        // Either a thread sees the append before it goes to sleep, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.log_sleeps.load(Ordering::Relaxed) || self.queue_sleeps.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Makes all threads look again.
    pub(super) fn wake(&self) {
        let _state = self.lock();
        self.log_wake.notify_all();
        self.queue_wake.notify_all();
        self.answer_wake.notify_all();
    }

    /// Ends the threads.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.wake();
    }

    /// Answers all who still wait with `Failed`.
    pub(super) fn fail_all(&self) {
        self.answer(|_| Some(FlushOutcome::Failed));
    }

    /// Answers all who wait for no more than what is flushed.
    pub(super) fn answer_flushed(&self, flushed: i64) {
        self.answer(|waiter| (waiter.end_offset <= flushed).then_some(FlushOutcome::Flushed));
    }

    fn answer(&self, outcome: impl Fn(&Waiter) -> Option<FlushOutcome>) {
        let answered: Vec<_> =
            self.lock().waiters.extract_if(.., |waiter| outcome(waiter).is_some()).collect();
        // Outside the lock: what is called may wait for a flush itself.
        for waiter in answered {
            let outcome = outcome(&waiter).unwrap_or(FlushOutcome::Failed);
            (waiter.done)(outcome);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`MessageStore::when_flushed`](super::MessageStore::when_flushed).
pub(super) fn when_flushed(inner: &Inner, end_offset: i64, timeout: Duration, done: FlushDone) {
    let end_offset = end_offset.min(inner.log.max_offset());
    if inner.log.flushed_offset() >= end_offset && inner.poisoned().is_none() {
        return done(FlushOutcome::Flushed);
    }
    let mut state = inner.flusher.lock();
    if state.stopped || inner.poisoned().is_some() {
        drop(state);
        return done(FlushOutcome::Failed);
    }
    // Under the lock: a sync that ends from here on tells the answer thread.
    if inner.log.flushed_offset() >= end_offset {
        drop(state);
        return done(FlushOutcome::Flushed);
    }
    let deadline = Instant::now() + timeout;
    state.waiters.push(Waiter { end_offset, deadline, done });
    if state.log_waits {
        inner.flusher.log_wake.notify_all();
    }
    if state.answers_at.is_none_or(|at| deadline < at) {
        state.answers_at = Some(deadline);
        inner.flusher.answer_wake.notify_all();
    }
}

fn run_log(inner: &Inner) {
    while wait_for_log_work(inner) {
        sync_log(inner);
        let _state = inner.flusher.lock();
        inner.flusher.answer_wake.notify_all();
    }
}

fn sync_log(inner: &Inner) {
    if inner.poisoned().is_none()
        && let Err(error) = inner.log.sync()
    {
        inner.poison(error);
    }
}

/// What the log thread and the answer thread do, where there are none.
#[cfg(test)]
pub(super) fn flush_log(inner: &Inner) {
    sync_log(inner);
    match inner.poisoned() {
        Some(_) => inner.flusher.fail_all(),
        None => inner.flusher.answer_flushed(inner.log.flushed_offset()),
    }
}

/// How a wait ends now, if it does.
fn outcome(inner: &Inner, waiter: &Waiter, now: Instant) -> Option<FlushOutcome> {
    if inner.poisoned().is_some() {
        Some(FlushOutcome::Failed)
    } else if waiter.end_offset <= inner.log.flushed_offset() {
        Some(FlushOutcome::Flushed)
    } else {
        (waiter.deadline <= now).then_some(FlushOutcome::TimedOut)
    }
}

fn run_answers(inner: &Inner) {
    while wait_for_answers(inner) {
        let now = Instant::now();
        inner.flusher.answer(|waiter| outcome(inner, waiter, now));
    }
}

/// Sleeps until somebody is to be answered. False at the end.
fn wait_for_answers(inner: &Inner) -> bool {
    let flusher = &inner.flusher;
    let mut state = flusher.lock();
    loop {
        if state.stopped {
            return false;
        }
        let now = Instant::now();
        if state.waiters.iter().any(|waiter| outcome(inner, waiter, now).is_some()) {
            return true;
        }
        state.answers_at = state.waiters.iter().map(|waiter| waiter.deadline).min();
        state = match state.answers_at {
            None => flusher.answer_wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(at) => sleep_for(&flusher.answer_wake, state, at - now),
        };
    }
}

/// Sleeps until the log is to be synced. False at the end.
fn wait_for_log_work(inner: &Inner) -> bool {
    let flusher = &inner.flusher;
    let mut behind_since = None;
    let mut state = flusher.lock();
    loop {
        if state.stopped {
            return false;
        }
        // Those that the last sync was for may not be answered yet.
        let flushed = inner.log.flushed_offset();
        if inner.poisoned().is_none() && state.waiters.iter().any(|waiter| waiter.end_offset > flushed) {
            return true;
        }
        state.log_waits = true;
        if inner.unflushed_bytes() == 0 {
            behind_since = None;
            state =
                sleep_unless(&flusher.log_sleeps, &flusher.log_wake, state, || inner.unflushed_bytes() > 0);
        } else {
            let since = *behind_since.get_or_insert_with(Instant::now);
            let due = background_due(inner, since);
            let now = Instant::now();
            if due <= now {
                state.log_waits = false;
                return true;
            }
            state = sleep_for(&flusher.log_wake, state, due - now);
        }
        state.log_waits = false;
    }
}

/// When the background flush takes what there is now: at the next interval, if that is enough pages.
fn background_due(inner: &Inner, since: Instant) -> Instant {
    let config = &inner.config;
    let enough = inner.unflushed_bytes() >= i64::from(config.flush_commit_log_least_pages) * PAGE_BYTES;
    let interval = config.flush_interval_commit_log.max(Duration::from_millis(1));
    let thorough = since + config.flush_commit_log_thorough_interval;
    if enough {
        return (since + interval).min(thorough);
    }
    // Look again after the next interval.
    let mut next = since + interval;
    while next <= Instant::now() {
        next += interval;
    }
    next.min(thorough)
}

fn run_queues(inner: &Inner) {
    let mut next_pass = None;
    let mut failing = false;
    let mut thorough_at = Instant::now() + QUEUE_THOROUGH_INTERVAL;
    while wait_for_queue_work(inner, &mut next_pass) {
        let now = Instant::now();
        if next_pass.is_none_or(|pass| now < pass) {
            continue;
        }
        next_pass = None;
        inner.log.tail().rest();
        if inner.poisoned().is_some() {
            continue;
        }
        let thorough = thorough_at <= now;
        if thorough {
            thorough_at = now + QUEUE_THOROUGH_INTERVAL;
        }
        let flushed = flush_queues(inner, thorough);
        match &flushed {
            Ok(()) if failing => tracing::info!("consume queues are written again"),
            // The log has everything, and the units are in memory: nothing is lost but time.
            Err(error) if !failing => tracing::error!(%error, "consume queues cannot be written for now"),
            _ => {}
        }
        failing = flushed.is_err();
    }
}

/// Sleeps until consume queues are to be written. False at the end.
fn wait_for_queue_work(inner: &Inner, next_pass: &mut Option<Instant>) -> bool {
    let flusher = &inner.flusher;
    let mut state = flusher.lock();
    loop {
        if state.stopped {
            return false;
        }
        let now = Instant::now();
        if next_pass.is_none() && inner.has_queue_work() {
            *next_pass = Some(now + inner.config.flush_interval_consume_queue);
        }
        state = match *next_pass {
            None => {
                sleep_unless(&flusher.queue_sleeps, &flusher.queue_wake, state, || inner.has_queue_work())
            }
            Some(at) if at <= now => return true,
            Some(at) => sleep_for(&flusher.queue_wake, state, at - now),
        };
    }
}

/// Sleeps until woken, or until its time is over.
fn sleep_for<'a>(wake: &Condvar, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
    wake.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
}

/// Sleeps until woken, unless there is work; an append sees `sleeps`.
fn sleep_unless<'a>(
    sleeps: &AtomicBool,
    wake: &Condvar,
    state: MutexGuard<'a, State>,
    has_work: impl Fn() -> bool,
) -> MutexGuard<'a, State> {
    sleeps.store(true, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let state = if has_work() { state } else { wake.wait(state).unwrap_or_else(PoisonError::into_inner) };
    sleeps.store(false, Ordering::Relaxed);
    state
}

/// Writes consume queues; if `thorough`, syncs them all and then writes the checkpoint.
///
/// # Errors
/// The first failure; the units that it concerns stay in memory.
pub(super) fn flush_queues(inner: &Inner, thorough: bool) -> Result<(), StoreError> {
    let queues_timestamp = inner.log.last_timestamp();
    // Under the log's lock: what lies before has its units in the queues, in memory at least.
    let dispatched = inner.log.lock().end();
    let least_bytes = if thorough { 0 } else { QUEUE_LEAST_BYTES };
    let flushed = inner.queues.flush(least_bytes, &|dir| inner.sync_all(dir));
    if matches!(flushed, Err(StoreError::Io { op: "sync", .. })) {
        // A later sync that succeeds proves nothing. The next start builds the units again, from the last checkpoint on.
        inner.queues_unknown.store(true, Ordering::Release);
    }
    flushed?;
    if !thorough || inner.queues_unknown.load(Ordering::Acquire) {
        return Ok(());
    }
    let log_timestamp = inner.log.flushed_timestamp();
    let safe_offset = Some(dispatched.min(inner.log.flushed_offset()));
    let checkpoint = Checkpoint { log_timestamp, queues_timestamp, safe_offset };
    checkpoint.write(&*inner.dir.fs, &inner.dir.root)
}
