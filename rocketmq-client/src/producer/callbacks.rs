//! Where callbacks run: on threads of the runtime that may be blocked, and never on a connection's task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocketmq_protocol::message::SendResult;
use tokio::runtime::Handle;

use super::ticket::Held;
use crate::error::Result;
use crate::instance::guarded;

pub(super) type Callback = Box<dyn FnOnce(Result<SendResult>) + Send>;

/// How many of a producer's callbacks run at once, at least: one that blocks holds up no other.
const AT_ONCE: usize = 2;

/// A callback that is due.
pub(super) struct Job {
    pub(super) callback: Callback,
    pub(super) sent: Result<SendResult>,
    /// The send counts as in flight until its callback has returned, so that callbacks which take long hold up `send_async`
    /// instead of piling up.
    pub(super) _held: Option<Held>,
}

/// The callbacks of one producer.
pub(super) struct Callbacks {
    due: Mutex<Due>,
    most: usize,
    runtime: Handle,
}

#[derive(Default)]
struct Due {
    jobs: VecDeque<Job>,
    /// Threads that take from it.
    threads: usize,
}

impl Callbacks {
    pub(super) fn new(runtime: Handle) -> Arc<Self> {
        // As many as Java's executor has.
        let most = std::thread::available_parallelism().map_or(AT_ONCE, |count| count.get().max(AT_ONCE));
        Arc::new(Self { due: Mutex::default(), most, runtime })
    }

    /// Has it called, in its turn.
    pub(super) fn push(self: &Arc<Self>, job: Job) {
        let mut due = self.lock();
        due.jobs.push_back(job);
        if due.threads < self.most {
            due.threads += 1;
            drop(due);
            let callbacks = Arc::clone(self);
            self.runtime.spawn_blocking(move || callbacks.run());
        }
    }

    fn run(&self) {
        while let Some(Job { callback, sent, _held }) = self.next() {
            // A panic is logged there; nobody waits for what the callback returns.
            let _ = guarded("the send callback", || callback(sent));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut due = self.lock();
        let next = due.jobs.pop_front();
        if next.is_none() {
            due.threads -= 1;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
