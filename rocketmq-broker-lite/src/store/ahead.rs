//! What is made ready before it is needed, by a thread of its own: the next file of the log, and zeros behind its end
//! where every message waits for the disk. A sender then pays for no more than its write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Inner, StoreError};

/// Wakes the thread.
#[derive(Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    stopped: bool,
}

/// Starts the thread.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(inner: &Arc<Inner>) -> Result<JoinHandle<()>, StoreError> {
    let on_thread = Arc::clone(inner);
    let run = move || {
        while on_thread.log.ahead().wait() {
            match catch_unwind(AssertUnwindSafe(|| on_thread.log.prepare())) {
                Ok(Ok(())) => {}
                // Who needs it makes it, and tells of the failure.
                Ok(Err(error)) => tracing::debug!(%error, "the log's next file is not ready"),
                Err(_) => return,
            }
        }
    };
    let thread = thread::Builder::new().name("store-ahead".to_owned()).spawn(run);
    thread.map_err(StoreError::io("start a thread for", &inner.config.root_dir))
}

impl Ahead {
    /// Something is to be made ready.
    pub(super) fn want(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.wanted, true) {
            self.wake.notify_all();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Waits until something is to be made ready. False at the end.
    fn wait(&self) -> bool {
        let state = self.lock();
        let idle = |state: &mut State| !state.wanted && !state.stopped;
        let mut state = self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        !state.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
