//! What a producer remembers of its brokers from one send to the next, so that not every send has to learn it again. Both
//! parts only order the choice: where every queue is on a broker to be avoided, one of them is used.
//!
//! - [`BrokerMemory`] is always on: a broker that was silent or could not be reached is left out until it has answered a
//!   probe.
//! - [`LatencyFaults`] is Java's latency fault tolerance, off by default as there: a broker that was slow is left out for a
//!   time that depends on how slow it was.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocketmq_protocol::ByteString;
use tokio::time::Instant;

/// How long a broker is left out at the least: this after the first failure, twice as long after each further one without
/// a send that succeeded, up to 32 times.
const FIRST_REST: Duration = Duration::from_secs(1);
const REST_DOUBLINGS_MAX: u32 = 5;

/// Java: `latencyMax`, and the time for which a broker is isolated that took at least so long: `notAvailableDuration`.
const ISOLATION_MS: [(u64, u64); 7] =
    [(50, 0), (100, 0), (550, 2_000), (1_800, 5_000), (3_000, 6_000), (5_000, 10_000), (15_000, 30_000)];
/// A failed send counts as one that took so long.
const FAILURE_COUNTS_AS: Duration = Duration::from_secs(10);

/// Brokers that were silent or could not be reached.
#[derive(Debug, Default)]
pub(super) struct BrokerMemory {
    brokers: Mutex<HashMap<ByteString, Failing>>,
    /// How many brokers are remembered; most often none, and then nothing is looked up.
    remembered: AtomicUsize,
}

#[derive(Debug)]
struct Failing {
    avoided: bool,
    rests_until: Instant,
    failures: u32,
}

impl BrokerMemory {
    pub(super) fn avoids(&self, broker: &str) -> bool {
        !self.is_empty() && self.lock().get(broker).is_some_and(|failing| failing.avoided)
    }

    /// A send found it silent or out of reach. True if the broker was not avoided before: then it is to be probed.
    pub(super) fn note_failure(&self, broker: &ByteString, now: Instant) -> bool {
        let mut brokers = self.lock();
        let failing = brokers.entry(broker.clone()).or_insert(Failing {
            avoided: false,
            rests_until: now,
            failures: 0,
        });
        let is_new = !std::mem::replace(&mut failing.avoided, true);
        // What was in flight when the broker stopped fails together: that is one failure.
        if is_new {
            let rest = FIRST_REST * (1 << failing.failures.min(REST_DOUBLINGS_MAX));
            failing.rests_until = now + rest;
            failing.failures = failing.failures.saturating_add(1);
        }
        self.remembered.store(brokers.len(), Ordering::Release);
        is_new
    }

    /// A send succeeded: all is forgotten.
    pub(super) fn note_success(&self, broker: &str) {
        if !self.is_empty() {
            self.forget(broker);
        }
    }

    /// The broker answered a probe. True once it is used again; its failures stay remembered until a send succeeds.
    pub(super) fn note_answer(&self, broker: &str, now: Instant) -> bool {
        let mut brokers = self.lock();
        let Some(failing) = brokers.get_mut(broker) else { return true };
        failing.avoided &= now < failing.rests_until;
        !failing.avoided
    }

    pub(super) fn forget(&self, broker: &str) {
        let mut brokers = self.lock();
        brokers.remove(broker);
        self.remembered.store(brokers.len(), Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.remembered.load(Ordering::Acquire) == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ByteString, Failing>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Java: `MQFaultStrategy` and `LatencyFaultToleranceImpl`.
#[derive(Debug)]
pub(super) struct LatencyFaults {
    items: Mutex<HashMap<ByteString, Item>>,
    /// Whether a task finds out when unreachable brokers are back.
    pub(super) detects: bool,
}

#[derive(Debug)]
struct Item {
    available_from: Instant,
    reachable: bool,
    next_check: Instant,
}

/// How a try of a send ended, as far as the latency fault tolerance is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The broker took the message.
    Well,
    /// The broker refused it.
    Refused,
    /// No answer, or no connection.
    Unreached,
}

impl LatencyFaults {
    pub(super) fn new(detects: bool) -> Self {
        Self { items: Mutex::default(), detects }
    }

    pub(super) fn note(&self, broker: &ByteString, latency: Duration, ended: Ended, now: Instant) {
        let counted = if ended == Ended::Well { latency } else { FAILURE_COUNTS_AS };
        let reachable = match ended {
            Ended::Well => true,
            Ended::Refused => false,
            Ended::Unreached => !self.detects,
        };
        let available_from = now + isolation(counted);
        let mut items = self.lock();
        match items.get_mut(broker) {
            Some(item) => {
                item.available_from = item.available_from.max(available_from);
                item.reachable = reachable;
            }
            None => drop(items.insert(broker.clone(), Item { available_from, reachable, next_check: now })),
        }
    }

    pub(super) fn is_available(&self, broker: &str, now: Instant) -> bool {
        self.lock().get(broker).is_none_or(|item| now >= item.available_from)
    }

    pub(super) fn is_reachable(&self, broker: &str) -> bool {
        self.lock().get(broker).is_none_or(|item| item.reachable)
    }

    /// The unreachable brokers that are to be asked now; each is asked again `interval` later.
    pub(super) fn to_check(&self, now: Instant, interval: Duration) -> Vec<ByteString> {
        let mut items = self.lock();
        let due = items.iter_mut().filter(|(_, item)| !item.reachable && now >= item.next_check);
        due.map(|(broker, item)| {
            item.next_check = now + interval;
            broker.clone()
        })
        .collect()
    }

    pub(super) fn note_reachable(&self, broker: &str) {
        if let Some(item) = self.lock().get_mut(broker) {
            item.reachable = true;
        }
    }

    pub(super) fn forget(&self, broker: &str) {
        self.lock().remove(broker);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ByteString, Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn isolation(latency: Duration) -> Duration {
    let reached = ISOLATION_MS.iter().rev().find(|(at_least, _)| latency >= Duration::from_millis(*at_least));
    Duration::from_millis(reached.map_or(0, |(_, isolated)| *isolated))
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: ByteString = ByteString::from_static("b");

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_failing_broker_is_avoided_until_it_has_rested_and_answered() {
        let (memory, now) = (BrokerMemory::default(), Instant::now());
        assert!(!memory.avoids("b"));
        assert!(memory.note_failure(&B, now), "the first failure asks for a probe");
        assert!(!memory.note_failure(&B, now), "what fails with it does not");
        assert!(memory.avoids("b") && !memory.avoids("a"));
        assert!(!memory.note_answer("b", now), "it answers, but has not rested");
        assert!(memory.note_answer("b", now + seconds(1)));
        assert!(!memory.avoids("b"));
    }

    #[test]
    fn who_answers_probes_and_fails_sends_rests_ever_longer() {
        let (memory, now) = (BrokerMemory::default(), Instant::now());
        for rest in [1, 2, 4, 8, 16, 32, 32] {
            assert!(memory.note_failure(&B, now));
            assert!(!memory.note_answer("b", now + seconds(rest) - Duration::from_millis(1)), "{rest}");
            assert!(memory.note_answer("b", now + seconds(rest)), "{rest}");
        }
        memory.note_success("b");
        memory.note_failure(&B, now);
        assert!(
            memory.note_answer("b", now + seconds(1)),
            "a send that succeeded has the failures forgotten"
        );
    }

    #[test]
    fn slow_brokers_are_isolated_as_in_java() {
        let table = [(0, 0), (99, 0), (549, 0), (550, 2), (1_800, 5), (3_000, 6), (5_000, 10), (20_000, 30)];
        for (latency_ms, isolated) in table {
            assert_eq!(isolation(Duration::from_millis(latency_ms)), seconds(isolated), "{latency_ms}");
        }
        let (faults, now) = (LatencyFaults::new(false), Instant::now());
        faults.note(&B, Duration::from_millis(600), Ended::Well, now);
        assert!(!faults.is_available("b", now) && faults.is_reachable("b"));
        faults.note(&B, Duration::ZERO, Ended::Well, now);
        assert!(!faults.is_available("b", now + seconds(1)), "a fast answer does not end the isolation");
        assert!(faults.is_available("b", now + seconds(2)));
        faults.note(&B, Duration::ZERO, Ended::Unreached, now);
        assert!(faults.is_available("b", now + seconds(10)) && faults.is_reachable("b"));
    }

    #[test]
    fn with_the_detector_an_unreached_broker_is_asked_until_it_is_back() {
        let (faults, now) = (LatencyFaults::new(true), Instant::now());
        faults.note(&B, Duration::ZERO, Ended::Unreached, now);
        assert!(!faults.is_reachable("b"));
        assert_eq!(faults.to_check(now, seconds(2)), [B]);
        assert_eq!(faults.to_check(now + seconds(1), seconds(2)), [] as [ByteString; 0]);
        assert_eq!(faults.to_check(now + seconds(2), seconds(2)), [B]);
        faults.note_reachable("b");
        assert!(faults.is_reachable("b"));
        assert_eq!(faults.to_check(now + seconds(9), seconds(2)), [] as [ByteString; 0]);
    }
}
