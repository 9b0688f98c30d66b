//! Code that must not take its caller down with it: the program's own (selectors, strategies, listeners, callbacks), and
//! the tasks that run for as long as a client does.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// The rest before a task that panicked is run again.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// What a panic said.
#[derive(Debug)]
pub(crate) struct Panic(String);

impl Panic {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Panic {}

/// Calls code of the program's own; `what` names it for the log.
pub(crate) fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, Panic> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).map_err(|payload| logged(what, &*payload))
}

/// The same for code that awaits.
pub(crate) async fn guarded_async<F: Future>(what: &str, call: F) -> Result<F::Output, Panic> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|payload| logged(what, &*payload))
}

/// Runs a task that is to run until it returns: one that panics begins again after a rest.
pub(crate) async fn supervised<F: Future<Output = ()>>(what: &str, mut task: impl FnMut() -> F) {
    while guarded_async(what, task()).await.is_err() {
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
    }
}

fn logged(what: &str, payload: &(dyn Any + Send)) -> Panic {
    let panic = Panic::new(payload);
    tracing::error!(what, cause = %panic, "a panic was caught");
    panic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_only_the_call_and_says_why() {
        let number = 7;
        assert_eq!(
            guarded("test", || panic!("number {number}")).map(|()| 0).unwrap_err().to_string(),
            "number 7"
        );
        assert_eq!(guarded("test", || 1).unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_again() {
        let mut runs = 0;
        let task = || {
            runs += 1;
            let run = runs;
            async move { assert!(run == 3, "run {run}") }
        };
        supervised("test", task).await;
        assert_eq!(runs, 3);
    }
}
