//! The end of a producer or consumer: in order, or at once.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle as Runtime;

use super::{Membership, guarded_async};

/// What a shutdown left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Of a consumer: messages that were pulled but that the listener was not done with; they come again to another
    /// member. Of a producer: sends that were still under way, whose callers learn that they may be stored, and one-way
    /// sends that were not written.
    pub abandoned: usize,
    /// Whether everything that was under way, sends or calls of the listener, came to its end in time.
    pub drained: bool,
}

/// Whoever waits for it gets the same report.
pub(crate) type Begun = Shared<BoxFuture<'static, ShutdownReport>>;

/// A member ends once. It does so in a task of its own, so that it comes to its end whoever waits for it.
pub(crate) struct Ending {
    state: Mutex<State>,
    runtime: Runtime,
}

enum State {
    Open(Membership),
    Begun(Begun),
    /// Only while one state takes the place of the other.
    Changing,
}

impl Ending {
    /// Of a member; called on its runtime.
    pub(crate) fn of(membership: Membership) -> Self {
        Self { state: Mutex::new(State::Open(membership)), runtime: Runtime::current() }
    }

    pub(crate) fn has_begun(&self) -> bool {
        !matches!(*self.state(), State::Open(_))
    }

    /// Begins the end, unless it has begun.
    pub(crate) fn begin<F>(&self, end: impl FnOnce(Membership) -> F) -> Begun
    where
        F: Future<Output = ShutdownReport> + Send + 'static,
    {
        let mut state = self.state();
        let begun = match std::mem::replace(&mut *state, State::Changing) {
            State::Open(membership) => in_background(&self.runtime, end(membership)),
            State::Begun(begun) => begun,
            State::Changing => over(ShutdownReport::default()),
        };
        *state = State::Begun(begun.clone());
        begun
    }

    /// The member is gone at once, without a word to the brokers, and its group may be started again. False if it was
    /// ending already.
    pub(crate) fn at_once(&self) -> bool {
        let mut state = self.state();
        if !matches!(*state, State::Open(_)) {
            return false;
        }
        let gone = State::Begun(over(ShutdownReport { abandoned: 0, drained: true }));
        let open = std::mem::replace(&mut *state, gone);
        drop(state);
        drop(open);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An end that panics is over too: whoever waits for it goes on. Otherwise only a runtime that ends cuts it off.
fn in_background(runtime: &Runtime, end: impl Future<Output = ShutdownReport> + Send + 'static) -> Begun {
    let task = runtime.spawn(guarded_async("a shutdown", end));
    task.map(|ended| ended.ok().and_then(Result::ok).unwrap_or_default()).boxed().shared()
}

fn over(report: ShutdownReport) -> Begun {
    std::future::ready(report).boxed().shared()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shutdown_that_panics_keeps_nobody_waiting() {
        let panics = async { panic!("as the test wants it") };
        let report = in_background(&Runtime::current(), panics).await;
        assert_eq!(report, ShutdownReport { abandoned: 0, drained: false }, "nothing is sure");
    }
}
