//! Waiting for events, with an end.

use std::future::Future;
use std::time::Duration;

/// How long a test waits for what must come. Generous: it is only used up by a test that fails, and real brokers on a
/// busy machine are slow to notice new topics and groups.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often [`eventually`] looks.
const LOOK: Duration = Duration::from_millis(10);

/// The event's outcome.
///
/// # Panics
/// If it does not come within [`PATIENCE`]; `what` says what was waited for.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("{what}: did not happen within {} s", PATIENCE.as_secs()),
    }
}

/// Waits until a state holds that tells nobody when it begins to. Where there is an event, wait for that.
///
/// # Panics
/// If it does not hold within [`PATIENCE`].
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, looking).await;
}
