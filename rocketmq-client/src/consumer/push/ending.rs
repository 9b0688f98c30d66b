//! The end of a push consumer: in order, or at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle as Runtime;

use super::Push;
use crate::instance::Membership;

/// What a shutdown left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Messages that were pulled but that the listener was not done with: they come again to another member.
    pub abandoned: usize,
    /// Whether every call of the listener that was under way came to its end in time.
    pub drained: bool,
}

/// A consumer ends once. It does so in a task of its own, so that it comes to its end whoever waits for it.
pub(super) struct Ending {
    state: Mutex<State>,
    runtime: Runtime,
}

enum State {
    Open(Membership),
    Begun(Shared<BoxFuture<'static, ShutdownReport>>),
    /// Only while one state takes the place of the other.
    Changing,
}

impl Ending {
    /// Of a consumer with that membership; called on its runtime.
    pub(super) fn of(membership: Membership) -> Self {
        Self { state: Mutex::new(State::Open(membership)), runtime: Runtime::current() }
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(*self.state(), State::Open(_))
    }

    /// Ends the consumer once the calls under way have ended, or their time is up.
    pub(super) async fn in_order(&self, push: &Arc<Push>) -> ShutdownReport {
        let patience = push.config.await_termination_when_shutdown;
        self.begin(push, patience).await
    }

    /// Ends the consumer in the background; calls under way are cut off.
    pub(super) fn at_once(&self, push: &Arc<Push>) {
        if !self.has_begun() {
            push.workers_stop.cancel();
            drop(self.begin(push, Duration::ZERO));
        }
    }

    /// No broker has heard of the consumer: it is gone at once, and its group may be started again.
    pub(super) fn unmet(&self) {
        let gone = std::future::ready(ShutdownReport { abandoned: 0, drained: true });
        let open = std::mem::replace(&mut *self.state(), State::Begun(gone.boxed().shared()));
        drop(open);
    }

    fn begin(&self, push: &Arc<Push>, patience: Duration) -> Shared<BoxFuture<'static, ShutdownReport>> {
        let mut state = self.state();
        let begun = match std::mem::replace(&mut *state, State::Changing) {
            State::Open(membership) => {
                let task = self.runtime.spawn(end(Arc::clone(push), membership, patience));
                // Only a runtime that ends itself cuts the task off.
                task.map(Result::unwrap_or_default).boxed().shared()
            }
            State::Begun(begun) => begun,
            State::Changing => async { ShutdownReport::default() }.boxed().shared(),
        };
        *state = State::Begun(begun.clone());
        begun
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Members learn of the end after the offsets are committed: who takes the queues over begins where this one ended.
async fn end(push: Arc<Push>, membership: Membership, patience: Duration) -> ShutdownReport {
    let core = &push.core;
    core.stop_pulling().await;
    push.work.close();
    push.workers.close();
    let drained = tokio::time::timeout(patience, push.workers.wait()).await.is_ok();
    push.workers_stop.cancel();
    let abandoned = core.give_up_all().await;
    membership.resign();
    membership.unregister(None, Some(&core.config.consumer_group), Duration::ZERO).await;
    membership.leave().await;
    ShutdownReport { abandoned, drained }
}
