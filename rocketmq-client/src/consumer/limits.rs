//! How much a consumer may hold: of one topic, and in all.

use std::ops::{AddAssign, SubAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Messages that are held, and their bytes in the broker's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Load {
    /// One message more.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn exceeds(self, limit: Load) -> bool {
        self.messages > limit.messages || self.bytes > limit.bytes
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// A limit that several queues share. Checked before each pull, so what pulls under way bring may exceed it.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: Load,
    held: Mutex<Load>,
    less: Notify,
}

impl Budget {
    pub(crate) fn new(limit: Load) -> Self {
        Self { limit, held: Mutex::default(), less: Notify::new() }
    }

    pub(crate) fn take(&self, load: Load) {
        *self.held() += load;
    }

    pub(crate) fn give_back(&self, load: Load) {
        *self.held() -= load;
        self.less.notify_waiters();
    }

    /// Waits until less than the limit is held.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            let less = self.less.notified();
            let mut less = std::pin::pin!(less);
            less.as_mut().enable();
            if !self.held().exceeds(self.limit) {
                return;
            }
            less.await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Load> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn room_comes_when_enough_is_given_back() {
        let budget = Budget::new(Load { messages: 2, bytes: 100 });
        budget.take(Load { messages: 2, bytes: 100 });
        budget.wait_for_room().await;
        budget.take(Load { messages: 1, bytes: 1 });
        let mut waiting = std::pin::pin!(budget.wait_for_room());
        assert!(waiting.as_mut().now_or_never().is_none(), "three of two messages are held");
        budget.give_back(Load { messages: 1, bytes: 0 });
        assert!(waiting.as_mut().now_or_never().is_none(), "101 of 100 bytes are held");
        budget.give_back(Load { messages: 0, bytes: 1 });
        waiting.await;
    }
}
