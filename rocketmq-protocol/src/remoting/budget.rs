//! How much memory peers may take: one budget a connection within one for all connections of a listener or a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What a member of a full budget may hold all the same, in bytes: enough for small requests and their answers.
const LEAST_SHARE_BYTES: usize = 64 * 1024;
/// As many members share a budget at the least, so that a single one cannot fill it.
const LEAST_MEMBERS: usize = 8;
/// A budget of which more than one part in so many is taken is crowded: with a listener's 256 MiB that is 32 MiB.
const CROWDED_FROM: usize = 8;

/// A limit for bytes that are held on behalf of peers. Clones are handles to the same budget.
///
/// A connection has one of its own ([`Connection::budget`](super::Connection::budget)), a child of the one in its
/// [`ConnectionConfig`](super::ConnectionConfig). Frames that wait to be written, and whatever a
/// [`Handler`](super::Handler) reserves for requests that it answers later, count in both; what is being read only counts
/// in the latter, so that a connection can always answer what it has read.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Level>);

#[derive(Debug)]
struct Level {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// How many children there are.
    members: AtomicUsize,
    parent: Option<Budget>,
    /// Wakes those who wait for room.
    emptied: Notify,
}

impl Budget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self::level(limit_bytes, None)
    }

    /// A budget that is never used up.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// A budget within this one: what is taken from it is taken from both.
    #[must_use]
    pub fn child(&self, limit_bytes: usize) -> Self {
        self.0.members.fetch_add(1, Ordering::Relaxed);
        Self::level(limit_bytes, Some(self.clone()))
    }

    fn level(limit_bytes: usize, parent: Option<Budget>) -> Self {
        Self(Arc::new(Level {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
            members: AtomicUsize::new(0),
            parent,
            emptied: Notify::new(),
        }))
    }

    /// The limit.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// How much is taken.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Acquire)
    }

    /// True if nothing is left of this budget itself.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used_bytes() >= self.0.limit_bytes
    }

    /// True if more than an eighth is taken: then it is worth asking where the rest comes from.
    pub(super) fn is_crowded(&self) -> bool {
        self.used_bytes() > self.0.limit_bytes / CROWDED_FROM
    }

    /// Takes that many bytes until the guard is dropped, if this budget and those above have room for them.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<Reserved> {
        self.charge(bytes);
        let reserved = Reserved { budget: self.clone(), bytes };
        let fits = self.levels().all(|level| level.used_bytes() <= level.0.limit_bytes);
        fits.then_some(reserved)
    }

    /// True if the holder must not take on more for now: this budget is full, or one above is and the holder has more
    /// than its fair share of it. So whoever takes little is served also when others have taken everything.
    #[must_use]
    pub fn is_over_share(&self) -> bool {
        let used_bytes = self.used_bytes();
        let mut above = self.levels().skip(1);
        self.is_full() || above.any(|level| level.is_full() && used_bytes > level.share_bytes())
    }

    /// Waits until this budget itself is no longer full.
    pub(super) async fn room(&self) {
        while self.is_full() {
            let emptied = self.0.emptied.notified();
            if !self.is_full() {
                return;
            }
            emptied.await;
        }
    }

    /// Takes bytes that exist already, whether or not there is room.
    pub(super) fn charge(&self, bytes: usize) {
        for level in self.levels() {
            level.0.used_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
    }

    /// Gives bytes back.
    pub(super) fn release(&self, bytes: usize) {
        for level in self.levels() {
            let before = level.0.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
            debug_assert!(before >= bytes, "more was given back than taken");
            if before >= level.0.limit_bytes && before - bytes < level.0.limit_bytes {
                level.0.emptied.notify_waiters();
            }
        }
    }

    fn share_bytes(&self) -> usize {
        let members = self.0.members.load(Ordering::Relaxed).max(LEAST_MEMBERS);
        (self.0.limit_bytes / members).max(LEAST_SHARE_BYTES)
    }

    /// This budget and those above.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |level| level.0.parent.as_ref())
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        if let Some(parent) = &self.parent {
            parent.0.members.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the bytes back"]
pub struct Reserved {
    budget: Budget,
    bytes: usize,
}

impl Reserved {
    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on as many as this, whether or not there is room: what exists is counted.
    pub(super) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.charge(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.budget.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    pub(super) fn none_of(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_takes_counts_above_and_comes_back() {
        let all = Budget::new(100);
        let (one, two) = (all.child(80), all.child(80));
        let held = one.try_reserve(80).unwrap();
        assert!(one.is_full() && !all.is_full());
        assert!(one.try_reserve(1).is_none(), "its own limit");
        assert!(two.try_reserve(21).is_none(), "the limit of all");
        let rest = two.try_reserve(20).unwrap();
        assert_eq!(all.used_bytes(), 100);
        drop((held, rest));
        assert_eq!((all.used_bytes(), one.used_bytes(), two.used_bytes()), (0, 0, 0));
    }

    #[test]
    fn one_that_takes_everything_does_not_stop_one_that_takes_little() {
        let all = Budget::new(1 << 20);
        let (greedy, modest) = (all.child(2 << 20), all.child(2 << 20));
        greedy.charge(1 << 20);
        assert!(all.is_full() && greedy.is_over_share());
        modest.charge(1000);
        assert!(!modest.is_over_share(), "a thousand bytes are within its share");
        greedy.release(1 << 20);
        assert!(!greedy.is_over_share());
    }

    #[test]
    fn a_budget_is_crowded_from_an_eighth_on() {
        let budget = Budget::new(800);
        budget.charge(100);
        assert!(!budget.is_crowded());
        budget.charge(1);
        assert!(budget.is_crowded());
        assert!(!Budget::unlimited().is_crowded());
    }

    #[tokio::test]
    async fn room_comes_with_giving_back() {
        let budget = Budget::new(4);
        let held = budget.try_reserve(4).unwrap();
        tokio::join!(budget.room(), async { drop(held) });
        assert!(!budget.is_full());
    }
}
