//! Whether there is room for more: a disk that is full, or nearly so, refuses messages until it is not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use super::consume_queue::ConsumeQueue;
use super::{Inner, StoreError};

/// How often the disk is looked at.
const LOOK_EVERY_MS: i64 = 1_000;
/// As much as a disk can be used.
const FULL_PERCENT: u32 = 100;

/// What is known of the disk's room.
#[derive(Debug)]
pub(super) struct Room {
    /// From here on messages are refused (`diskSpaceWarningLevelRatio`); 100 never refuses.
    warning_percent: u32,
    used_percent: AtomicU32,
    looked_at_ms: AtomicI64,
    /// The last message was refused.
    refusing: AtomicBool,
}

impl Room {
    pub(super) fn new(warning_percent: u32) -> Self {
        let (used_percent, looked_at_ms) = (AtomicU32::new(0), AtomicI64::new(i64::MIN));
        Self { warning_percent, used_percent, looked_at_ms, refusing: AtomicBool::new(false) }
    }

    /// Looks at the disk now and then, and at what a queue waits to write.
    ///
    /// # Errors
    /// There is no room; nothing may be stored.
    pub(super) fn check(&self, inner: &Inner, queue: &ConsumeQueue) -> Result<(), StoreError> {
        let now_ms = inner.clock.now_ms();
        // Either way: the clock may be set back.
        if now_ms.abs_diff(self.looked_at_ms.load(Ordering::Relaxed)) >= LOOK_EVERY_MS.unsigned_abs() {
            self.looked_at_ms.store(now_ms, Ordering::Relaxed);
            self.look(inner);
        }
        let used_percent = self.used_percent.load(Ordering::Relaxed);
        if self.warning_percent < FULL_PERCENT && used_percent > self.warning_percent {
            return Err(self.refuse(StoreError::DiskFull { used_percent, cause: None }));
        }
        if !queue.has_room() {
            return Err(self.refuse(StoreError::DiskFull { used_percent, cause: None }));
        }
        Ok(())
    }

    /// What the sender of a message is told that could not be written.
    pub(super) fn refuse(&self, error: StoreError) -> StoreError {
        let used_percent = self.used_percent.load(Ordering::Relaxed);
        let error = match error {
            full @ StoreError::DiskFull { .. } => full,
            cause => StoreError::DiskFull { used_percent, cause: Some(Arc::new(cause)) },
        };
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "messages are refused");
        }
        error
    }

    /// A message was written.
    pub(super) fn written(&self) {
        if self.refusing.load(Ordering::Relaxed) && self.refusing.swap(false, Ordering::Relaxed) {
            tracing::info!("messages are taken again");
        }
    }

    fn look(&self, inner: &Inner) {
        let root: &Path = &inner.dir.root;
        match inner.dir.fs.used_percent(root) {
            Ok(used) => self.used_percent.store(used, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the disk's room is not known"),
        }
    }
}
