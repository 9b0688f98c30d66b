//! The newest bytes of the log, kept as they were written: who pulls at the log's end gets a share of them, without a
//! call to the system and without a copy.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

/// The most bytes that are kept. Consumers that keep up are milliseconds behind.
const TAIL_BYTES: usize = 4 << 20;
/// The most pieces, whatever their size.
const TAIL_PIECES: usize = 4096;

/// What of the log's end is in memory.
#[derive(Default)]
pub(super) struct Tail {
    pieces: RwLock<Pieces>,
    /// Something was added since it was last asked whether the tail rests.
    grows: AtomicBool,
}

/// Pieces of the log by place, ascending.
#[derive(Default)]
pub(super) struct Pieces {
    pieces: VecDeque<(i64, Bytes)>,
    bytes: usize,
}

impl Tail {
    /// Adds what was written behind everything before.
    pub(super) fn push(&self, physical_offset: i64, bytes: Bytes) {
        let mut all = self.pieces.write().unwrap_or_else(PoisonError::into_inner);
        all.bytes += bytes.len();
        all.pieces.push_back((physical_offset, bytes));
        while all.bytes > TAIL_BYTES || all.pieces.len() > TAIL_PIECES {
            let Some((_, oldest)) = all.pieces.pop_front() else { break };
            all.bytes -= oldest.len();
        }
        drop(all);
        self.grows.store(true, Ordering::Relaxed);
    }

    /// For looking at several places: nothing is written meanwhile.
    pub(super) fn look(&self) -> RwLockReadGuard<'_, Pieces> {
        self.pieces.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the memory back, unless something was added since the last call.
    pub(super) fn rest(&self) {
        if !self.grows.swap(false, Ordering::Relaxed) {
            *self.pieces.write().unwrap_or_else(PoisonError::into_inner) = Pieces::default();
        }
    }

    /// True if it takes no memory.
    pub(super) fn is_empty(&self) -> bool {
        self.look().pieces.is_empty()
    }
}

impl Pieces {
    /// The bytes from a place on that were submitted with it, and how many bytes a share of them keeps in memory; `None` if
    /// they are not here.
    pub(super) fn from(&self, physical_offset: i64) -> Option<(Bytes, usize)> {
        let behind = self.pieces.partition_point(|(start, _)| *start <= physical_offset);
        let (start, bytes) = self.pieces.get(behind.checked_sub(1)?)?;
        let skipped = usize::try_from(physical_offset - start).ok()?;
        (skipped < bytes.len()).then(|| (bytes.slice(skipped..), bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_bounded_and_given_back_when_it_rests() {
        let tail = Tail::default();
        let piece = Bytes::from(vec![7; 1 << 20]);
        for number in 0..10 {
            tail.push(number << 20, piece.clone());
        }
        assert_eq!(tail.look().bytes, TAIL_BYTES);
        assert!(tail.look().from(6 << 20).is_some() && tail.look().from((6 << 20) - 1).is_none());
        assert_eq!(
            tail.look().from((7 << 20) + 5).map(|(bytes, whole)| (bytes.len(), whole)),
            Some(((1 << 20) - 5, 1 << 20))
        );
        assert!(tail.look().from(10 << 20).is_none());
        tail.rest();
        assert!(!tail.is_empty(), "it has grown meanwhile");
        tail.rest();
        assert!(tail.is_empty());
        for number in 0..10_000 {
            tail.push(number, Bytes::from_static(b"x"));
        }
        assert_eq!(tail.look().pieces.len(), TAIL_PIECES);
    }
}
