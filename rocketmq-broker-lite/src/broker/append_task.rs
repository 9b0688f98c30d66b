//! The task that writes what was sent.
//!
//! A connection's task hands its sends over and goes on; this one runs next, on the same worker, so no thread is woken
//! for a write of microseconds. Should a write hang, it holds up one worker and no connection.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Context;
use crate::store::Leader;

/// Starts it, where a worker can be spared; elsewhere the store's own thread writes.
pub(super) fn start(context: &Arc<Context>, tasks: &TaskTracker, stop: &CancellationToken) {
    let runtime = Handle::current();
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread || runtime.metrics().num_workers() < 2 {
        return;
    }
    let work = Arc::new(Notify::new());
    context.store.lead_by(Box::new(OnRuntime { work: Arc::clone(&work), runtime }));
    let (store, stop) = (Arc::clone(&context.store), stop.clone());
    let lead = async move {
        loop {
            work.notified().await;
            store.lead();
        }
    };
    tasks.spawn(async move { stop.run_until_cancelled(lead).await });
}

struct OnRuntime {
    work: Arc<Notify>,
    runtime: Handle,
}

impl Leader for OnRuntime {
    fn wake(&self) {
        self.work.notify_one();
    }

    /// The worker that hangs may be the one that last looked after the sockets; another one does so once it is woken.
    fn hangs(&self) {
        self.runtime.spawn(async {});
    }
}
