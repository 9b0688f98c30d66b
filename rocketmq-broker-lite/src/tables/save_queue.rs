//! Saving a table in the background: changes are numbered, one save covers all that came before it, and whoever needs a
//! change to be on disk is called back then. No thread waits.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a change may lie while nobody waits for it: many changes then cost one save.
const QUIET: Duration = Duration::from_millis(200);
/// How long to rest after a save that failed.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a waiter waits for a save that hangs. It is then called all the same, as after a save that failed.
const WAIT_AT_MOST: Duration = Duration::from_secs(5);

/// The number of a change; what is there from the start has number 0.
pub(crate) type ChangeId = u64;
type Waiter = (ChangeId, Box<dyn FnOnce() + Send>);

/// The changes of one table that are to be saved, and who waits for it.
#[derive(Default)]
pub(crate) struct SaveQueue {
    changed: AtomicU64,
    saved: AtomicU64,
    waiters: Mutex<Vec<Waiter>>,
    wake: Notify,
    /// Somebody waits.
    urgent: Notify,
}

impl SaveQueue {
    /// The table changes. A save that begins later covers it, so the change is to be made before one can begin.
    pub(crate) fn change(&self) -> ChangeId {
        let change = self.changed.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        change
    }

    /// The number of the last change.
    pub(crate) fn last(&self) -> ChangeId {
        self.changed.load(Ordering::Acquire)
    }

    /// Whether a change is on disk.
    pub(crate) fn is_saved(&self, change: ChangeId) -> bool {
        change <= self.saved.load(Ordering::Acquire)
    }

    /// Calls `done` once a change is on disk, or cannot be brought there for now: the table in memory serves on.
    pub(crate) fn when_saved(&self, change: ChangeId, done: impl FnOnce() + Send + 'static) {
        let mut waiters = self.waiters();
        // Looked at under the lock: whoever saves takes the lock after it has said so.
        if self.is_saved(change) {
            drop(waiters);
            return done();
        }
        waiters.push((change, Box::new(done)));
        self.urgent.notify_one();
    }

    /// All changes up to this one are on disk.
    pub(crate) fn saved(&self, up_to: ChangeId) {
        self.saved.fetch_max(up_to, Ordering::AcqRel);
        self.call_waiters(up_to);
    }

    /// Saves whatever changes, for ever. `save` gives its work to another thread; false if it failed.
    pub(crate) async fn run<F: Future<Output = bool> + Send>(&self, save: impl Fn() -> F) {
        loop {
            while self.is_saved(self.last()) {
                self.wake.notified().await;
            }
            if self.waiters().is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(QUIET) => {}
                    () = self.urgent.notified() => {}
                }
            }
            if !self.save_once(save()).await {
                self.call_waiters(ChangeId::MAX);
                tokio::time::sleep(REST_AFTER_FAILURE).await;
            }
        }
    }

    async fn save_once(&self, save: impl Future<Output = bool>) -> bool {
        tokio::pin!(save);
        loop {
            tokio::select! {
                saved = &mut save => return saved,
                () = self.hung() => {
                    tracing::error!("a table's save hangs: its changes are answered for before they are on disk");
                    self.call_waiters(ChangeId::MAX);
                }
            }
        }
    }

    /// Ends when somebody has waited for too long.
    async fn hung(&self) {
        if self.waiters().is_empty() {
            self.urgent.notified().await;
        }
        tokio::time::sleep(WAIT_AT_MOST).await;
        if self.waiters().is_empty() {
            pending::<()>().await;
        }
    }

    fn call_waiters(&self, up_to: ChangeId) {
        let called: Vec<_> = self.waiters().extract_if(.., |(change, _)| *change <= up_to).collect();
        // Outside the lock: what is called may wait for a save itself.
        called.into_iter().for_each(|(_, done)| done());
    }

    fn waiters(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    /// A queue whose saves need a permit each and are counted.
    struct Bench {
        queue: Arc<SaveQueue>,
        permits: Arc<Semaphore>,
        saves: Arc<AtomicUsize>,
        called: Arc<AtomicUsize>,
    }

    impl Bench {
        fn start() -> Self {
            let bench = Self {
                queue: Arc::default(),
                permits: Arc::new(Semaphore::new(0)),
                saves: Arc::default(),
                called: Arc::default(),
            };
            let (queue, permits) = (Arc::clone(&bench.queue), Arc::clone(&bench.permits));
            let saves = Arc::clone(&bench.saves);
            let save = {
                let queue = Arc::clone(&queue);
                move || {
                    let (queue, permits) = (Arc::clone(&queue), Arc::clone(&permits));
                    let up_to = queue.last();
                    saves.fetch_add(1, Ordering::SeqCst);
                    async move {
                        permits.acquire().await.unwrap().forget();
                        queue.saved(up_to);
                        true
                    }
                }
            };
            tokio::spawn(async move { queue.run(save).await });
            bench
        }

        fn change_and_wait(&self) {
            let (change, called) = (self.queue.change(), Arc::clone(&self.called));
            self.queue.when_saved(change, move || {
                called.fetch_add(1, Ordering::SeqCst);
            });
        }

        async fn settle(&self) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }

        fn counts(&self) -> (usize, usize) {
            (self.saves.load(Ordering::SeqCst), self.called.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_come_during_a_save_share_the_next_one() {
        let bench = Bench::start();
        bench.change_and_wait();
        bench.settle().await;
        assert_eq!(bench.counts(), (1, 0), "one save is under way");
        (0..1_000).for_each(|_| bench.change_and_wait());
        bench.permits.add_permits(1);
        bench.settle().await;
        assert_eq!(bench.counts(), (2, 1), "only the first is saved yet");
        bench.permits.add_permits(1);
        bench.settle().await;
        assert_eq!(bench.counts(), (2, 1_001));
    }

    #[tokio::test(start_paused = true)]
    async fn a_save_that_hangs_holds_nobody_for_ever() {
        let bench = Bench::start();
        bench.change_and_wait();
        bench.settle().await;
        bench.change_and_wait();
        tokio::time::sleep(WAIT_AT_MOST * 2).await;
        assert_eq!(bench.counts(), (1, 2));
        assert!(!bench.queue.is_saved(1));
        bench.change_and_wait();
        tokio::time::sleep(WAIT_AT_MOST * 2).await;
        assert_eq!(bench.counts(), (1, 3), "those that come later are not held either");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_saved_within_a_while() {
        let bench = Bench::start();
        bench.permits.add_permits(10);
        (0..100).for_each(|_| _ = bench.queue.change());
        tokio::time::sleep(QUIET * 2).await;
        assert_eq!(bench.counts(), (1, 0));
        assert!(bench.queue.is_saved(100));
    }
}
