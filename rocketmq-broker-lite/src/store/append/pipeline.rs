//! The queue of submissions, and who leads.
//!
//! Normally that is a task of the runtime that the submissions come from: a write into the page cache takes a few
//! microseconds, and waking a thread for it, and the connection's task again, takes more. The store's own thread leads
//! while writes are slow, where there is no such task, and for a task that does not come; it also keeps an eye on writes
//! that hang.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
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
/// A write that takes longer than this is slow.
const SLOW: Duration = Duration::from_millis(20);
/// This long after a slow write the thread leads.
const SLOW_FOR: Duration = Duration::from_secs(10);

/// A submission and whom to tell.
pub(super) type Submitted = (Submission, AppendDone);

/// Leads instead of the store's thread while writes are quick. See [`MessageStore::lead`](super::super::MessageStore::lead).
pub(crate) trait Leader: Send + Sync {
    /// There is something to lead.
    fn wake(&self);

    /// This leader hangs in a write: whatever else it does must go on elsewhere.
    fn hangs(&self);
}

/// What those who submit and those who lead share.
#[derive(Default)]
pub(in super::super) struct Pipeline {
    state: Mutex<State>,
    /// For the store's thread, and for those who wait for what they submitted.
    changed: Condvar,
    leader: OnceLock<Box<dyn Leader>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Submitted>,
    waiting_bytes: usize,
    /// Since when the first of them waits.
    waiting_since: Option<Instant>,
    /// Since when somebody writes.
    leading_since: Option<Instant>,
    slow_until: Option<Instant>,
    /// The thread of the store is there ...
    has_thread: bool,
    /// ... and sleeps until it is woken.
    thread_rests: bool,
    /// Somebody was called to lead since the thread last looked.
    called: bool,
    /// How many wait for what they submitted.
    callers: usize,
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

/// For those who submit.
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

    /// Sees to it that somebody leads soon; false if nobody is there who would.
    pub(super) fn call_leader(&self) -> bool {
        let mut state = self.lock();
        if state.leading_since.is_some() {
            // It is told when that leader is done.
            return true;
        }
        let now = Instant::now();
        state.waiting_since.get_or_insert(now);
        match self.leader.get() {
            Some(leader) if state.has_thread && !state.is_slow(now) => {
                state.called = true;
                let rests = std::mem::take(&mut state.thread_rests);
                drop(state);
                if rests {
                    self.changed.notify_all();
                }
                leader.wake();
                true
            }
            _ => {
                self.changed.notify_all();
                state.has_thread
            }
        }
    }

    /// Waits until there is something to lead, or `is_done`. True if there is.
    pub(super) fn wait_unless(&self, is_done: &AtomicBool) -> bool {
        let mut state = self.lock();
        while !is_done.load(Ordering::Acquire) {
            if state.leading_since.is_none() && !state.waiting.is_empty() {
                return true;
            }
            state.callers += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.callers -= 1;
        }
        false
    }
}

/// For leaders.
impl Pipeline {
    /// Says who leads while writes are quick. Only the first call counts.
    pub(in super::super) fn lead_by(&self, leader: Box<dyn Leader>) {
        // A second leader would only be one more who is never called.
        let _ = self.leader.set(leader);
    }

    /// Becomes the leader and takes what waits, if anything does and nobody leads. [`release`](Self::release) must follow.
    pub(super) fn take(&self) -> Option<Vec<Submitted>> {
        self.lock().take()
    }

    /// Leads no longer.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.leading_since.take().is_some_and(|since| now - since > SLOW) {
            state.slow_until = Some(now + SLOW_FOR);
        }
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.call_leader();
        }
    }

    /// Something was stored, and whoever waits for it may look.
    pub(super) fn told(&self) {
        if self.lock().callers > 0 {
            self.changed.notify_all();
        }
    }

    /// Ends the thread once nothing waits.
    pub(in super::super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// What the thread leads. `None` when the store ends.
    fn wait(&self) -> Option<Vec<Submitted>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if self.thread_leads(&state, now)
                && let Some(batch) = state.take()
            {
                return Some(batch);
            }
            if state.stopped && state.leading_since.is_none() {
                return None;
            }
            if let Some(leader) = self.leader.get()
                && state.leading_since.is_some_and(|since| now - since > SLOW)
            {
                leader.hangs();
            }
            state = self.rest(state);
        }
    }

    fn thread_leads(&self, state: &State, now: Instant) -> bool {
        let late = state.waiting_since.is_some_and(|since| now - since > SLOW);
        self.leader.get().is_none() || state.stopped || state.is_slow(now) || late
    }

    /// While others lead, the thread looks now and then; else it sleeps until it is woken.
    fn rest<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let goes_on =
            std::mem::take(&mut state.called) || state.leading_since.is_some() || !state.waiting.is_empty();
        if goes_on {
            return self.changed.wait_timeout(state, SLOW).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.thread_rests = true;
        let mut state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.thread_rests = false;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_until.is_some_and(|until| now < until)
    }

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
        self.waiting_since = None;
        self.leading_since = Some(Instant::now());
        Some(batch)
    }
}
