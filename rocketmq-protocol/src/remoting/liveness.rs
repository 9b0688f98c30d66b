//! Whether a connection is still of use. Pure: `now` comes from the caller.

use std::time::{Duration, Instant};

/// How long a connection may hold memory without moving while memory is short.
const STALL: Duration = Duration::from_secs(10);

/// Since when nothing has moved, and since when an answer is due.
#[derive(Debug)]
pub(super) struct Liveness {
    idle_timeout: Duration,
    liveness_timeout: Duration,
    last_moved: Instant,
    /// The first request since something was last read. Only reading is a sign of life: what we write may end in a buffer.
    asked_since: Option<Instant>,
}

/// What the connection holds on behalf of its peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holding {
    /// Bytes wait to be written.
    pub(super) unwritten: bool,
    /// Part of a large frame was read.
    pub(super) partial_frame: bool,
    /// It holds more than its share of a budget that is full.
    pub(super) over_share: bool,
}

impl Liveness {
    pub(super) fn new(now: Instant, idle_timeout: Duration, liveness_timeout: Duration) -> Self {
        Self { idle_timeout, liveness_timeout, last_moved: now, asked_since: None }
    }

    /// Something was read; responses may still be due.
    pub(super) fn read(&mut self, now: Instant, responses_due: bool) {
        self.last_moved = now;
        self.asked_since = responses_due.then_some(now);
    }

    /// Something was written.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.last_moved = now;
    }

    /// A request was made.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked_since.get_or_insert(now);
    }

    /// When to look again.
    pub(super) fn next_check(&self, holding: Holding) -> Instant {
        let idle = self.last_moved + self.idle_timeout;
        let stall = (holding.unwritten || holding.partial_frame).then(|| self.last_moved + STALL);
        let dead = self.asked_since.map(|since| since + self.liveness_timeout);
        [dead, stall].into_iter().flatten().fold(idle, Instant::min)
    }

    /// Why the connection is to be closed.
    pub(super) fn verdict(&self, now: Instant, holding: Holding) -> Option<&'static str> {
        let still = now.saturating_duration_since(self.last_moved);
        let holds = holding.unwritten || holding.partial_frame;
        if self.asked_since.is_some_and(|since| now >= since + self.liveness_timeout) {
            Some("the peer sent nothing although responses were due")
        } else if still >= self.idle_timeout {
            Some(if holding.unwritten { "the peer takes no data" } else { "idle for too long" })
        } else if still >= STALL && holds && holding.over_share {
            Some("the peer stands still while memory is short")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Holding = Holding { unwritten: false, partial_frame: false, over_share: false };
    const UNWRITTEN: Holding = Holding { unwritten: true, ..NOTHING };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_we_write_is_no_sign_of_life_of_the_peer() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, seconds(120), seconds(40));
        for second in 0..40 {
            liveness.asked(start + seconds(second));
            liveness.wrote(start + seconds(second));
            assert_eq!(liveness.verdict(start + seconds(second), NOTHING), None);
        }
        assert_eq!(liveness.next_check(NOTHING), start + seconds(40));
        assert!(liveness.verdict(start + seconds(40), NOTHING).is_some());
    }

    #[test]
    fn reading_is_a_sign_of_life_and_the_time_begins_again() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, seconds(120), seconds(40));
        liveness.asked(start);
        liveness.read(start + seconds(39), true);
        assert_eq!(liveness.verdict(start + seconds(78), NOTHING), None);
        assert!(liveness.verdict(start + seconds(79), NOTHING).is_some());
        liveness.read(start + seconds(79), false);
        assert_eq!(liveness.verdict(start + seconds(198), NOTHING), None);
        assert_eq!(liveness.verdict(start + seconds(199), NOTHING), Some("idle for too long"));
    }

    #[test]
    fn a_peer_that_stands_still_is_closed_early_only_while_memory_is_short() {
        let start = Instant::now();
        let liveness = Liveness::new(start, seconds(120), seconds(40));
        assert_eq!(liveness.next_check(UNWRITTEN), start + STALL);
        assert_eq!(liveness.verdict(start + STALL, UNWRITTEN), None);
        assert!(liveness.verdict(start + STALL, Holding { over_share: true, ..UNWRITTEN }).is_some());
        assert_eq!(liveness.verdict(start + STALL, Holding { over_share: true, ..NOTHING }), None);
        assert_eq!(liveness.verdict(start + seconds(120), UNWRITTEN), Some("the peer takes no data"));
    }
}
