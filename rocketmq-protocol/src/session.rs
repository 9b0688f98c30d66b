//! The requests in flight on one connection: opaque numbers, deadlines, and the end of the connection. No I/O and no
//! clock: `now` comes from the caller.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

/// The requests that wait for a response, which is a `T`. A request is begun, then polled until it is over.
#[derive(Debug)]
pub struct Session<T> {
    last_opaque: i32,
    requests: Requests<T>,
    /// How many of them have no answer yet.
    unanswered: usize,
    /// The deadlines of all unanswered requests, and of some that are over.
    deadlines: BinaryHeap<Reverse<(Instant, i32)>>,
    /// A request was begun since the last [`take_asked`](Self::take_asked).
    asked: bool,
    closed: Option<Arc<str>>,
}

type Requests<T> = HashMap<i32, InFlight<T>, BuildHasherDefault<OpaqueHasher>>;

/// So many deadlines of requests that are over are kept at the least.
const FEW_DEADLINES: usize = 64;

#[derive(Debug)]
struct InFlight<T> {
    deadline: Instant,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Unanswered(Waiting<T>),
    Answered(T),
    Expired,
}

/// Who waits for a request to be over.
pub enum Waiting<T> {
    /// A task, which then calls [`Session::poll`].
    Task(Waker),
    /// Somebody who is handed the outcome; the request is forgotten then.
    Receiver(Arc<dyn Receiver<T>>),
}

/// Is handed the outcome of a request, so that no task need wait for it.
pub trait Receiver<T>: Send + Sync {
    /// The request is over. Called at most once, outside of the session's lock, by whoever found out: it must not block.
    fn receive(self: Arc<Self>, outcome: Result<T, Lost>);

    /// True once the request is to be ended by the next [`Session::give_up`].
    fn gives_up(&self) -> bool {
        false
    }
}

/// What is to be told to one who waits, outside of the session's lock.
#[must_use = "somebody waits for it"]
pub enum News<T> {
    /// There is something to poll for.
    Wake(Waker),
    /// The outcome itself.
    Outcome(Arc<dyn Receiver<T>>, Result<T, Lost>),
}

impl<T> News<T> {
    /// Tells it.
    pub fn tell(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Outcome(receiver, outcome) => receiver.receive(outcome),
        }
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task(_) => "Task",
            Self::Receiver(_) => "Receiver",
        })
    }
}

impl<T> fmt::Debug for News<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wake(_) => "Wake",
            Self::Outcome(..) => "Outcome",
        })
    }
}

/// Why a request gets no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its deadline passed.
    Expired,
    /// The connection ended, for this reason.
    Closed(Arc<str>),
}

impl<T> Default for Session<T> {
    fn default() -> Self {
        Self {
            last_opaque: 0,
            requests: HashMap::default(),
            unanswered: 0,
            deadlines: BinaryHeap::new(),
            asked: false,
            closed: None,
        }
    }
}

impl<T> Session<T> {
    /// A number for a request: none that waits for a response has it.
    ///
    /// # Errors
    /// Why the connection ended, if it has.
    pub fn next_opaque(&mut self) -> Result<i32, Arc<str>> {
        if let Some(cause) = &self.closed {
            return Err(Arc::clone(cause));
        }
        loop {
            self.last_opaque = self.last_opaque.wrapping_add(1);
            if !self.requests.contains_key(&self.last_opaque) {
                return Ok(self.last_opaque);
            }
        }
    }

    /// Lets the request with that number in; `waiting` learns when it is over.
    pub fn begin(&mut self, opaque: i32, deadline: Instant, waiting: Waiting<T>) {
        self.requests.insert(opaque, InFlight { deadline, state: State::Unanswered(waiting) });
        self.unanswered += 1;
        self.asked = true;
        if self.deadlines.len() >= 2 * self.unanswered + FEW_DEADLINES {
            self.forget_deadlines();
        }
        self.deadlines.push(Reverse((deadline, opaque)));
    }

    /// Of requests that are over. Paid for by those that have been begun since the last time.
    fn forget_deadlines(&mut self) {
        let requests = &self.requests;
        self.deadlines.retain(|Reverse((deadline, opaque))| is_due(requests, *opaque, *deadline));
    }

    /// Whether a request is over: then it is forgotten, and its number may be used again.
    pub fn poll(&mut self, opaque: i32, waker: &Waker) -> Poll<Result<T, Lost>> {
        let cause = || Lost::Closed(self.closed.clone().unwrap_or_else(|| "forgotten".into()));
        let Some(request) = self.requests.get_mut(&opaque) else { return Poll::Ready(Err(cause())) };
        if let State::Unanswered(waiting) = &mut request.state {
            if self.closed.is_none() {
                if let Waiting::Task(waiting) = waiting {
                    waiting.clone_from(waker);
                }
                return Poll::Pending;
            }
            let lost = cause();
            self.forget(opaque);
            return Poll::Ready(Err(lost));
        }
        match self.requests.remove(&opaque).map(|request| request.state) {
            Some(State::Answered(response)) => Poll::Ready(Ok(response)),
            _ => Poll::Ready(Err(Lost::Expired)),
        }
    }

    /// Nobody waits for that request any longer.
    pub fn forget(&mut self, opaque: i32) {
        if let Some(InFlight { state: State::Unanswered(_), .. }) = self.requests.remove(&opaque) {
            self.unanswered -= 1;
        }
    }

    /// A response came: returns what is to be told of it.
    ///
    /// # Errors
    /// The response, if it came too late or nobody asked.
    pub fn complete(&mut self, opaque: i32, response: T) -> Result<News<T>, T> {
        let Entry::Occupied(mut request) = self.requests.entry(opaque) else { return Err(response) };
        let news = match &request.get().state {
            State::Unanswered(Waiting::Task(waker)) => {
                let waker = waker.clone();
                request.get_mut().state = State::Answered(response);
                News::Wake(waker)
            }
            State::Unanswered(Waiting::Receiver(receiver)) => {
                let receiver = Arc::clone(receiver);
                request.remove();
                News::Outcome(receiver, Ok(response))
            }
            _ => return Err(response),
        };
        self.unanswered -= 1;
        Ok(news)
    }

    /// Ends every request whose deadline has come, and adds what is to be told of it to `news`.
    pub fn expire(&mut self, now: Instant, news: &mut Vec<News<T>>) {
        if self.next_deadline().is_none_or(|next| now < next) {
            return;
        }
        while let Some(Reverse((deadline, opaque))) = self.deadlines.peek().copied() {
            if is_due(&self.requests, opaque, deadline) {
                if deadline > now {
                    return;
                }
                self.end(opaque, news);
            }
            self.deadlines.pop();
        }
    }

    fn end(&mut self, opaque: i32, news: &mut Vec<News<T>>) {
        let Entry::Occupied(mut request) = self.requests.entry(opaque) else { return };
        let State::Unanswered(waiting) = &request.get().state else { return };
        self.unanswered -= 1;
        news.push(waiting.lost(Lost::Expired));
        match waiting {
            Waiting::Task(_) => request.get_mut().state = State::Expired,
            Waiting::Receiver(_) => drop(request.remove()),
        }
    }

    /// Ends the requests whose receivers have [given up](Receiver::gives_up).
    pub fn give_up(&mut self, news: &mut Vec<News<T>>) {
        let Self { requests, unanswered, .. } = self;
        requests.retain(|_, request| match &request.state {
            State::Unanswered(waiting @ Waiting::Receiver(receiver)) if receiver.gives_up() => {
                *unanswered -= 1;
                news.push(waiting.lost(Lost::Expired));
                false
            }
            _ => true,
        });
    }

    /// When [`expire`](Self::expire) is to be called next; perhaps for nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Whether a request was begun since the last call.
    pub fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Ends the connection: adds what is to be told to everyone who waits to `news`, and refuses whoever comes. Only the
    /// first cause counts: false if there was one.
    pub fn close(&mut self, cause: &Arc<str>, news: &mut Vec<News<T>>) -> bool {
        if self.closed.is_some() {
            return false;
        }
        self.closed = Some(Arc::clone(cause));
        self.deadlines = BinaryHeap::new();
        let Self { requests, unanswered, .. } = self;
        requests.retain(|_, request| {
            let State::Unanswered(waiting) = &request.state else { return true };
            news.push(waiting.lost(Lost::Closed(Arc::clone(cause))));
            let stays = matches!(waiting, Waiting::Task(_));
            *unanswered -= usize::from(!stays);
            stays
        });
        true
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<&Arc<str>> {
        self.closed.as_ref()
    }

    /// How many requests wait for a response.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.unanswered
    }
}

impl<T> Waiting<T> {
    fn lost(&self, lost: Lost) -> News<T> {
        match self {
            Self::Task(waker) => News::Wake(waker.clone()),
            Self::Receiver(receiver) => News::Outcome(Arc::clone(receiver), Err(lost)),
        }
    }
}

/// Whether that deadline is one of a request that waits.
fn is_due<T>(requests: &Requests<T>, opaque: i32, deadline: Instant) -> bool {
    requests
        .get(&opaque)
        .is_some_and(|request| request.deadline == deadline && matches!(request.state, State::Unanswered(_)))
}

/// Spreads consecutive numbers over a table. They are our own, so that nobody can make them collide.
#[derive(Debug, Default)]
struct OpaqueHasher(u64);

impl Hasher for OpaqueHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i32(&mut self, opaque: i32) {
        // The golden ratio: the table looks at the upper bits too.
        self.0 = u64::from(opaque.cast_unsigned()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn noop<T>() -> Waiting<T> {
        Waiting::Task(Waker::noop().clone())
    }

    fn begin<T>(session: &mut Session<T>, deadline: Instant) -> i32 {
        let opaque = session.next_opaque().unwrap();
        session.begin(opaque, deadline, noop());
        opaque
    }

    fn expired<T>(session: &mut Session<T>, now: Instant) -> usize {
        let mut news = Vec::new();
        session.expire(now, &mut news);
        news.len()
    }

    #[test]
    fn responses_find_their_requests_in_any_order() {
        let now = Instant::now();
        let mut session = Session::default();
        let first = begin(&mut session, now);
        let second = begin(&mut session, now);
        assert!(session.complete(second, "second").is_ok());
        assert_eq!(session.complete(second, "again").unwrap_err(), "again");
        assert_eq!(session.in_flight(), 1);
        assert_eq!(session.poll(first, Waker::noop()), Poll::Pending);
        assert_eq!(session.poll(second, Waker::noop()), Poll::Ready(Ok("second")));
        assert!(session.complete(first, "first").is_ok());
        assert_eq!(session.poll(first, Waker::noop()), Poll::Ready(Ok("first")));
        assert_eq!(session.in_flight(), 0);
        assert!(session.requests.is_empty());
    }

    #[test]
    fn a_request_ends_at_its_deadline_and_not_before() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut session = Session::<()>::default();
        let third = begin(&mut session, after(3));
        begin(&mut session, after(4));
        let first = begin(&mut session, after(1));
        assert_eq!(session.next_deadline(), Some(after(1)));
        assert_eq!(expired(&mut session, after(1)), 1);
        assert_eq!(session.poll(first, Waker::noop()), Poll::Ready(Err(Lost::Expired)));
        assert_eq!(session.poll(third, Waker::noop()), Poll::Pending);
        assert_eq!(session.next_deadline(), Some(after(3)));
        assert_eq!(expired(&mut session, after(9)), 2);
        assert_eq!(session.next_deadline(), None);
        assert_eq!(session.in_flight(), 0);
    }

    #[test]
    fn ending_one_of_many_looks_at_that_one() {
        let now = Instant::now();
        let mut session = Session::<()>::default();
        for after in 1..=10_000 {
            begin(&mut session, now + Duration::from_millis(after));
        }
        for after in 1..=100 {
            assert_eq!(expired(&mut session, now + Duration::from_millis(after)), 1);
            assert_eq!(session.deadlines.len(), usize::try_from(10_000 - after).unwrap());
        }
    }

    #[test]
    fn deadlines_of_answered_requests_are_forgotten() {
        let now = Instant::now();
        let mut session = Session::default();
        let waiting = begin(&mut session, now + Duration::from_secs(9));
        for after in 0..10_000 {
            let opaque = begin(&mut session, now + Duration::from_micros(after));
            session.complete(opaque, ()).unwrap().tell();
            assert!(session.poll(opaque, Waker::noop()).is_ready());
            assert!(
                session.deadlines.len() <= FEW_DEADLINES + 4,
                "{} after {after}",
                session.deadlines.len()
            );
        }
        assert_eq!(expired(&mut session, now + Duration::from_secs(1)), 0);
        assert_eq!(
            session.next_deadline(),
            Some(now + Duration::from_secs(9)),
            "nothing is looked at for nothing"
        );
        assert_eq!(session.poll(waiting, Waker::noop()), Poll::Pending);
    }

    #[test]
    fn a_response_that_comes_too_late_changes_nothing() {
        let now = Instant::now();
        let mut session = Session::default();
        let opaque = begin(&mut session, now);
        assert_eq!(expired(&mut session, now), 1);
        assert_eq!(session.complete(opaque, 1).unwrap_err(), 1);
        assert_eq!(session.poll(opaque, Waker::noop()), Poll::Ready(Err(Lost::Expired)));
        let forgotten = begin(&mut session, now);
        session.forget(forgotten);
        assert_eq!(session.complete(forgotten, 2).unwrap_err(), 2);
        assert_eq!(session.in_flight(), 0);
    }

    #[test]
    fn the_first_cause_ends_everyone_once_and_stays() {
        let now = Instant::now();
        let count = Arc::new(Count::default());
        let mut session = Session::default();
        let waiting = session.next_opaque().unwrap();
        session.begin(waiting, now, Waiting::Task(Arc::clone(&count).into()));
        let answered = begin(&mut session, now);
        session.complete(answered, 7).unwrap().tell();
        let mut news = Vec::new();
        let cause: Arc<str> = "reset".into();
        assert!(session.close(&cause, &mut news));
        assert!(!session.close(&"later".into(), &mut news));
        news.drain(..).for_each(News::tell);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(Err(Lost::Closed(told))) = session.poll(waiting, Waker::noop()) else { panic!() };
        assert!(Arc::ptr_eq(&told, &cause), "the cause is shared");
        assert_eq!(session.poll(answered, Waker::noop()), Poll::Ready(Ok(7)), "an answer that came counts");
        assert_eq!(&*session.next_opaque().unwrap_err(), "reset");
    }

    /// Keeps what it is handed.
    #[derive(Default)]
    struct Kept {
        outcomes: Mutex<Vec<Result<i32, Lost>>>,
        gives_up: bool,
    }

    impl Receiver<i32> for Kept {
        fn receive(self: Arc<Self>, outcome: Result<i32, Lost>) {
            self.outcomes.lock().unwrap().push(outcome);
        }

        fn gives_up(&self) -> bool {
            self.gives_up
        }
    }

    #[test]
    fn a_receiver_is_handed_every_kind_of_outcome_once_and_nothing_is_left_of_its_request() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut session = Session::default();
        let (kept, leaving) =
            (Arc::new(Kept::default()), Arc::new(Kept { gives_up: true, ..Kept::default() }));
        let mut ask = |deadline, receiver: &Arc<Kept>| {
            let opaque = session.next_opaque().unwrap();
            session.begin(
                opaque,
                deadline,
                Waiting::Receiver(Arc::clone(receiver) as Arc<dyn Receiver<i32>>),
            );
            opaque
        };
        let (answered, _expired, _closed, _left) =
            (ask(later, &kept), ask(now, &kept), ask(later, &kept), ask(later, &leaving));
        let mut news = vec![session.complete(answered, 5).unwrap()];
        assert_eq!(session.complete(answered, 6).unwrap_err(), 6);
        session.expire(now, &mut news);
        session.give_up(&mut news);
        assert_eq!(session.in_flight(), 1);
        session.close(&"reset".into(), &mut news);
        assert_eq!((session.in_flight(), session.requests.len()), (0, 0));
        news.into_iter().for_each(News::tell);
        let wanted = [Ok(5), Err(Lost::Expired), Err(Lost::Closed("reset".into()))];
        assert_eq!(*kept.outcomes.lock().unwrap(), wanted);
        assert_eq!(leaving.outcomes.lock().unwrap().len(), 1);
    }

    #[test]
    fn numbers_in_use_are_not_given_out_again() {
        let now = Instant::now();
        let mut session = Session::<()> { last_opaque: i32::MAX - 1, ..Session::default() };
        let first = begin(&mut session, now);
        assert_eq!(first, i32::MAX);
        session.last_opaque = first - 1;
        assert_eq!(begin(&mut session, now), i32::MIN);
    }
}
