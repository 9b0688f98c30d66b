//! Work that may wait, on threads of its own: a few at a time, and the peers take turns.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How many pieces of work may wait. Java's queue of pulls is as long (`pullThreadPoolQueueCapacity`).
const MAX_WAITING: usize = 100_000;

type Job = Box<dyn FnOnce() + Send>;

/// A bounded pool. `P` tells peers apart: of those that wait each has one piece done in turn. No thread is kept while there
/// is nothing to do.
pub(crate) struct Pool<P> {
    shared: Arc<Shared<P>>,
    runtime: Handle,
    tasks: TaskTracker,
}

struct Shared<P> {
    workers: usize,
    max_waiting: usize,
    state: Mutex<State<P>>,
}

struct State<P> {
    /// How many places are taken: by work that waits, and by such as is about to come.
    taken: usize,
    running: usize,
    waiting: HashMap<P, VecDeque<Job>>,
    /// Whose turn comes when; each peer for which something waits is in it once.
    turns: VecDeque<P>,
}

/// A place in a pool, kept for one piece of work.
pub(crate) struct Place<P>(Arc<Shared<P>>);

impl<P: Clone + Eq + Hash + Send + 'static> Pool<P> {
    /// A pool of that many threads, which are taken from the current runtime and belong to `tasks`.
    pub(crate) fn new(workers: usize, tasks: &TaskTracker) -> Self {
        Self::with_limit(workers, MAX_WAITING, tasks)
    }

    fn with_limit(workers: usize, max_waiting: usize, tasks: &TaskTracker) -> Self {
        let state = State { taken: 0, running: 0, waiting: HashMap::new(), turns: VecDeque::new() };
        let shared = Arc::new(Shared { workers, max_waiting, state: Mutex::new(state) });
        Self { shared, runtime: Handle::current(), tasks: tasks.clone() }
    }

    /// A place for a piece of work; none if too much waits already.
    pub(crate) fn place(&self) -> Option<Place<P>> {
        let mut state = self.shared.lock();
        if state.taken >= self.shared.max_waiting {
            return None;
        }
        state.taken += 1;
        Some(Place(Arc::clone(&self.shared)))
    }

    /// Has a piece of work done for a peer.
    pub(crate) fn run(&self, place: Place<P>, peer: P, work: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(move || {
            drop(place);
            work();
        });
        let mut state = self.shared.lock();
        let of_peer = state.waiting.entry(peer.clone()).or_default();
        of_peer.push_back(job);
        if of_peer.len() == 1 {
            state.turns.push_back(peer);
        }
        if state.running < self.shared.workers {
            state.running += 1;
            drop(state);
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn_blocking_on(move || shared.work(), &self.runtime);
        }
    }
}

impl<P: Clone + Eq + Hash> Shared<P> {
    /// Works until nothing waits.
    fn work(&self) {
        while let Some(job) = self.next() {
            // A panic costs the piece of work that caused it; its request is answered by the responder's end.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a request that was served in a pool panicked");
            }
        }
    }

    /// The next piece of work; with none, the thread counts as gone.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let next = state.turns.pop_front().and_then(|peer| {
            let of_peer = state.waiting.get_mut(&peer)?;
            let job = of_peer.pop_front();
            if of_peer.is_empty() {
                state.waiting.remove(&peer);
            } else {
                state.turns.push_back(peer);
            }
            job
        });
        if next.is_none() {
            state.running -= 1;
        }
        next
    }
}

impl<P> Shared<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Drop for Place<P> {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn peers_take_turns_and_beyond_the_limit_there_is_no_place() {
        let tasks = TaskTracker::new();
        let pool = Pool::with_limit(1, 4, &tasks);
        let (done, order) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        pool.run(pool.place().unwrap(), "holds", move || held.recv().unwrap());
        while pool.shared.lock().taken > 0 {
            tokio::task::yield_now().await;
        }
        for peer in ["greedy", "greedy", "greedy", "modest"] {
            let done = done.clone();
            pool.run(pool.place().unwrap(), peer, move || done.send(peer).unwrap());
        }
        assert!(pool.place().is_none());
        release.send(()).unwrap();
        tasks.close();
        tasks.wait().await;
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["greedy", "modest", "greedy", "greedy"]);
        assert!(pool.place().is_some());
    }

    #[tokio::test]
    async fn a_panic_costs_only_the_work_that_caused_it() {
        let tasks = TaskTracker::new();
        let pool = Pool::new(1, &tasks);
        let (done, order) = mpsc::channel();
        pool.run(pool.place().unwrap(), 0, || panic!("planted"));
        pool.run(pool.place().unwrap(), 0, move || done.send(()).unwrap());
        tasks.close();
        tasks.wait().await;
        assert_eq!(order.try_iter().count(), 1);
    }
}
