//! The queue of submissions, and who leads.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::{Inner, StoreError};
use super::{AppendDone, Submission, lead};

/// A leader takes this much at once.
const BATCH_BYTES: usize = 1 << 20;
/// This much may wait to be written. It is reached only while a write hangs.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// While a write takes longer than this, nothing further is taken (Java's `osPageCacheBusyTimeOutMills`).
const BUSY_AFTER: Duration = Duration::from_secs(1);

/// A submission and whom to tell.
pub(super) type Submitted = (Submission, AppendDone);

/// What those who submit and those who lead share.
#[derive(Default)]
pub(in super::super) struct Pipeline {
    state: Mutex<State>,
    /// There is something to lead, or something was stored.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Submitted>,
    waiting_bytes: usize,
    /// Since when somebody writes.
    leading_since: Option<Instant>,
    /// The thread of the store is there.
    has_thread: bool,
    /// How many threads sleep, that of the store included.
    sleeping: usize,
    stopped: bool,
}

/// Starts the thread that leads for those who must not wait.
///
/// # Errors
/// The system gives no thread.
pub(in super::super) fn start(inner: &Arc<Inner>) -> Result<JoinHandle<()>, StoreError> {
    inner.pipeline.lock().has_thread = true;
    let on_thread = Arc::clone(inner);
    let run = move || {
        let inner = on_thread;
        if catch_unwind(AssertUnwindSafe(|| run(&inner))).is_err() {
            let path = inner.config.root_dir.clone();
            let what = "the append thread ended in a panic".to_owned();
            inner.poison(StoreError::Damaged { path, what });
        }
        inner.pipeline.lock().has_thread = false;
        super::lead(&inner);
    };
    let thread = thread::Builder::new().name("store-append".to_owned()).spawn(run);
    thread.map_err(StoreError::io("start a thread for", &inner.config.root_dir))
}

fn run(inner: &Inner) {
    while let Some(batch) = inner.pipeline.wait() {
        lead::store(inner, batch);
    }
}

impl Pipeline {
    /// Queues a submission.
    ///
    /// # Errors
    /// Gives it back if a write hangs, or too much waits.
    pub(super) fn push(&self, submission: Submission, done: AppendDone) -> Result<(), Submitted> {
        let mut state = self.lock();
        let hangs = state.leading_since.is_some_and(|since| since.elapsed() > BUSY_AFTER);
        if hangs || state.waiting_bytes > MAX_WAITING_BYTES {
            return Err((submission, done));
        }
        state.waiting_bytes += submission.bytes.len();
        state.waiting.push_back((submission, done));
        Ok(())
    }

    /// Leaves what waits to the store's thread; false if there is none.
    pub(super) fn wake_thread(&self) -> bool {
        let state = self.lock();
        if state.sleeping > 0 && state.leading_since.is_none() {
            self.changed.notify_all();
        }
        state.has_thread
    }

    /// Becomes the leader and takes what waits, if anything does and nobody leads. [`release`](Self::release) must follow.
    pub(super) fn take(&self) -> Option<Vec<Submitted>> {
        self.lock().take()
    }

    /// [`take`](Self::take), once there is something. `None` when the store ends.
    fn wait(&self) -> Option<Vec<Submitted>> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.take() {
                return Some(batch);
            }
            if state.stopped && state.leading_since.is_none() {
                return None;
            }
            state = self.sleep(state);
        }
    }

    /// Waits until there is something to lead, or `is_done`. True if there is.
    pub(super) fn wait_unless(&self, is_done: &AtomicBool) -> bool {
        let mut state = self.lock();
        while !is_done.load(Ordering::Acquire) {
            if state.leading_since.is_none() && !state.waiting.is_empty() {
                return true;
            }
            state = self.sleep(state);
        }
        false
    }

    /// Leads no longer.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.leading_since = None;
        if state.sleeping > 0 && !state.waiting.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Something was stored, and whoever waits for it may look.
    pub(super) fn told(&self) {
        if self.lock().sleeping > 0 {
            self.changed.notify_all();
        }
    }

    /// Ends the thread once nothing waits.
    pub(in super::super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.sleeping += 1;
        state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping -= 1;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Vec<Submitted>> {
        if self.leading_since.is_some() || self.waiting.is_empty() {
            return None;
        }
        let (mut bytes, mut count) = (0, 0);
        for (submission, _) in &self.waiting {
            bytes += submission.bytes.len();
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= batch.iter().map(|(submission, _)| submission.bytes.len()).sum::<usize>();
        self.leading_since = Some(Instant::now());
        Some(batch)
    }
}
