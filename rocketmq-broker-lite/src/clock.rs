//! The one source of time, which a test can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The system's clock, plus what tests have added to it. Clones share the addition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: Arc<AtomicI64>,
    /// Time does not pass by itself, and begins at 1970.
    #[cfg(test)]
    stands_still: bool,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        #[cfg(test)]
        if self.stands_still {
            return self.ahead_ms.load(Ordering::Relaxed);
        }
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(system.as_millis()).unwrap_or(i64::MAX) + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Moves this clock and all its clones ahead.
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// A clock that only a test moves.
    #[cfg(test)]
    pub(crate) fn standing_at(now_ms: i64) -> Self {
        Self { ahead_ms: Arc::new(AtomicI64::new(now_ms)), stands_still: true }
    }

    /// Moves this clock and all its clones, back if `by_ms` is negative.
    #[cfg(test)]
    pub(crate) fn jump(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}
