//! The requests in flight on one connection: opaque numbers, deadlines, and the end of the connection. No I/O and no
//! clock: `now` comes from the caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The requests that wait for a response. `W` is whatever waits: a channel in the driver, a number in tests.
#[derive(Debug)]
pub struct Session<W> {
    next_opaque: i32,
    waiting: HashMap<i32, Waiting<W>>,
    /// No waiting request's deadline is before this; it may be earlier than all of them.
    earliest: Option<Instant>,
    closed: Option<Arc<str>>,
}

#[derive(Debug)]
struct Waiting<W> {
    deadline: Instant,
    waiter: W,
}

/// A request that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The number that its response will carry.
    pub opaque: i32,
    /// Its deadline is the earliest: a timer that was set for a later one must be set anew.
    pub is_earliest: bool,
}

impl<W> Default for Session<W> {
    fn default() -> Self {
        Self { next_opaque: 0, waiting: HashMap::new(), earliest: None, closed: None }
    }
}

impl<W> Session<W> {
    /// A number for a request that wants no response.
    pub fn next_opaque(&mut self) -> i32 {
        self.next_opaque = self.next_opaque.wrapping_add(1);
        self.next_opaque
    }

    /// Lets a request in, unless the connection has ended: then the waiter comes back with the cause.
    ///
    /// # Errors
    /// The waiter and why the connection ended.
    pub fn begin(&mut self, deadline: Instant, waiter: W) -> Result<Begun, (W, Arc<str>)> {
        if let Some(cause) = &self.closed {
            return Err((waiter, Arc::clone(cause)));
        }
        let mut opaque = self.next_opaque();
        while self.waiting.contains_key(&opaque) {
            opaque = self.next_opaque();
        }
        self.waiting.insert(opaque, Waiting { deadline, waiter });
        let is_earliest = self.earliest.is_none_or(|earliest| deadline < earliest);
        if is_earliest {
            self.earliest = Some(deadline);
        }
        Ok(Begun { opaque, is_earliest })
    }

    /// A response came: returns whoever waits for it. `None`: it came too late, or nobody asked.
    pub fn complete(&mut self, opaque: i32) -> Option<W> {
        self.waiting.remove(&opaque).map(|waiting| waiting.waiter)
    }

    /// Takes out every request whose deadline has come.
    pub fn expire(&mut self, now: Instant) -> Vec<W> {
        let expired = self.waiting.extract_if(|_, waiting| waiting.deadline <= now);
        let expired = expired.map(|(_, waiting)| waiting.waiter).collect();
        self.earliest = self.waiting.values().map(|waiting| waiting.deadline).min();
        expired
    }

    /// When [`expire`](Self::expire) is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Ends the connection: returns everyone who waits, and refuses whoever comes. Only the first cause counts.
    pub fn close(&mut self, cause: &Arc<str>) -> Vec<W> {
        self.closed.get_or_insert_with(|| Arc::clone(cause));
        self.earliest = None;
        self.waiting.drain().map(|(_, waiting)| waiting.waiter).collect()
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<&Arc<str>> {
        self.closed.as_ref()
    }

    /// How many requests wait.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn responses_find_their_requests_in_any_order() {
        let now = Instant::now();
        let mut session = Session::default();
        let first = session.begin(now, "first").unwrap().opaque;
        let second = session.begin(now, "second").unwrap().opaque;
        assert_eq!(session.complete(second), Some("second"));
        assert_eq!(session.complete(second), None);
        assert_eq!(session.complete(first), Some("first"));
    }

    #[test]
    fn only_an_earlier_deadline_resets_the_timer() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut session = Session::default();
        assert!(session.begin(after(3), 3).unwrap().is_earliest);
        assert!(!session.begin(after(4), 4).unwrap().is_earliest);
        assert!(session.begin(after(1), 1).unwrap().is_earliest);
        assert_eq!(session.expire(after(1)), [1]);
        assert_eq!(session.next_deadline(), Some(after(3)));
        let mut rest = session.expire(after(9));
        rest.sort_unstable();
        assert_eq!(rest, [3, 4]);
        assert_eq!(session.next_deadline(), None);
    }

    #[test]
    fn the_first_cause_ends_everyone_and_stays() {
        let now = Instant::now();
        let mut session = Session::default();
        session.begin(now, 1).unwrap();
        assert_eq!(session.close(&"reset".into()), [1]);
        assert_eq!(session.close(&"later".into()), [0; 0]);
        let (waiter, cause) = session.begin(now, 2).unwrap_err();
        assert_eq!((waiter, &*cause), (2, "reset"));
    }

    #[test]
    fn numbers_in_use_are_not_given_out_again() {
        let now = Instant::now();
        let mut session = Session { next_opaque: i32::MAX - 1, ..Session::default() };
        let first = session.begin(now, ()).unwrap().opaque;
        assert_eq!(first, i32::MAX);
        session.next_opaque = first - 1;
        assert_eq!(session.begin(now, ()).unwrap().opaque, i32::MIN);
    }
}
