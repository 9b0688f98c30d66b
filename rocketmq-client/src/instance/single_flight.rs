//! Work that many want done and that is done once: whoever comes while it is under way waits for its outcome. The work is
//! a task of its own, so it outlives the callers that wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What is under way. `V` is the outcome, which every caller gets a clone of.
pub(super) struct SingleFlight<K, V>(Arc<Mutex<Underway<K, V>>>);

type Underway<K, V> = HashMap<K, watch::Receiver<Option<V>>>;

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Waits for the work of that key, and begins it on `tasks` if nobody has. `None`: it ended without an outcome, which
    /// only a panic or the end of the runtime makes it do.
    pub(super) async fn join<F>(&self, key: &K, tasks: &TaskTracker, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut outcome = {
            let mut underway = lock(&self.0);
            match underway.get(key) {
                Some(outcome) => outcome.clone(),
                None => {
                    let (sender, outcome) = watch::channel(None);
                    underway.insert(key.clone(), outcome.clone());
                    let landing = Landing { key: key.clone(), underway: Arc::clone(&self.0) };
                    tasks.spawn(fly(work(), landing, sender));
                    outcome
                }
            }
        };
        outcome.wait_for(Option::is_some).await.ok()?.clone()
    }
}

async fn fly<K: Eq + Hash, V>(
    work: impl Future<Output = V>,
    landing: Landing<K, V>,
    outcome: watch::Sender<Option<V>>,
) {
    let value = work.await;
    // First: whoever comes from here on has the work done again.
    drop(landing);
    outcome.send_replace(Some(value));
}

/// Takes the work off the list, also when it panics.
struct Landing<K: Eq + Hash, V> {
    key: K,
    underway: Arc<Mutex<Underway<K, V>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.underway).remove(&self.key);
    }
}

fn lock<K, V>(underway: &Mutex<Underway<K, V>>) -> MutexGuard<'_, Underway<K, V>> {
    underway.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_crowd_has_it_done_once_and_nobody_takes_it_along_when_leaving() {
        let (flights, tasks) = (SingleFlight::<u8, usize>::default(), TaskTracker::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let work = || {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            async move {
                gate.notified().await;
                runs.fetch_add(1, Ordering::Relaxed) + 1
            }
        };
        let mut hasty = Box::pin(flights.join(&1, &tasks, work));
        assert!(futures_util::poll!(&mut hasty).is_pending());
        drop(hasty);
        let mut patient = Box::pin(flights.join(&1, &tasks, work));
        assert!(futures_util::poll!(&mut patient).is_pending());
        gate.notify_one();
        assert_eq!(patient.await, Some(1));
        gate.notify_one();
        assert_eq!(flights.join(&1, &tasks, work).await, Some(2), "what is over is done again");
    }

    #[tokio::test]
    async fn a_panic_leaves_nothing_behind() {
        let (flights, tasks) = (SingleFlight::<u8, u8>::default(), TaskTracker::new());
        assert_eq!(flights.join(&1, &tasks, || async { panic!("as the test wants it") }).await, None);
        assert_eq!(flights.join(&1, &tasks, || async { 7 }).await, Some(7));
    }
}
