//! One send of `send_async` on its way. No task waits for it: the connection hands over the answer, and only a send that has
//! to be tried again becomes a task.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::message::SendResult;
use rocketmq_protocol::request::{Request, SendMessageRequest};
use rocketmq_protocol::session::{Lost, Receiver};
use tokio::time::Instant;

use super::Inner;
use super::callbacks::{Callback, Job};
use super::send::{Begun, STORED, Sending, Try, send_result};
use super::ticket::Held;
use super::tries::Verdict;
use crate::error::{Error, Result, SendOutcome};
use crate::instance::{Judged, Panic, Way, guarded, guarded_async};

/// What its ticket and its connection share.
pub(super) struct Flight {
    inner: Arc<Inner>,
    state: Mutex<State>,
}

struct State {
    /// What the answer is needed with; `None` once it is here.
    trip: Option<Trip>,
    /// Given back once the send is over and its callback has returned.
    held: Option<Held>,
    end: End,
}

struct Trip {
    sending: Sending,
    tried: Try,
    way: Way,
}

/// How a send ends for its ticket.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one: a box would cost every send an allocation"
)]
enum End {
    /// Not yet; the task is to be woken.
    Waited(Option<Waker>),
    Called(Callback),
    /// The ticket has not been asked since.
    Over(Result<SendResult>),
    Told,
}

/// What follows from an answer.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one: a box would cost every send an allocation"
)]
enum Next {
    Over(Result<SendResult>),
    Again(Box<Sending>),
    /// The same try once more, on a new connection.
    Anew(Box<(Sending, Try)>),
}

impl Flight {
    pub(super) fn new(inner: Arc<Inner>, held: Held) -> Arc<Self> {
        let state = State { trip: None, held: Some(held), end: End::Waited(None) };
        Arc::new(Self { inner, state: Mutex::new(state) })
    }

    /// Begins the first try. This waits for the connection, and not for the answer.
    pub(super) async fn depart(self: &Arc<Self>, mut sending: Sending) {
        let inner = &self.inner;
        let Some(tried) = inner.first_try(&mut sending) else {
            return self.go_on(Next::Again(Box::new(sending)));
        };
        let addr = &tried.queue.broker_addr;
        let code = sending.prepared.header.code();
        let way = inner.instance.door().way(addr, code, tried.timeout).await;
        let failed = match way {
            Ok(way) => self.hand_over(Trip { sending, tried, way }),
            Err(error) => Some((sending, tried, error)),
        };
        if let Some((sending, tried, error)) = failed {
            self.go_on(settled(inner, sending, &tried, Err(error)));
        }
    }

    /// Ends it.
    pub(super) fn end(&self, sent: Result<SendResult>) {
        let mut state = self.lock();
        let held = state.held.take();
        match std::mem::replace(&mut state.end, End::Told) {
            End::Waited(waker) => {
                state.end = End::Over(sent);
                drop(state);
                drop(held);
                waker.into_iter().for_each(Waker::wake);
            }
            End::Called(callback) => {
                drop(state);
                self.inner.callbacks.push(Job { callback, sent, _held: held });
            }
            end @ (End::Over(_) | End::Told) => state.end = end,
        }
    }

    /// Has the outcome told to `callback`.
    pub(super) fn call_back(&self, callback: Callback) {
        let mut state = self.lock();
        match std::mem::replace(&mut state.end, End::Told) {
            End::Over(sent) => {
                drop(state);
                // What the send had was given back: its callback counts all the same.
                let held = self.inner.hold_now();
                self.inner.callbacks.push(Job { callback, sent, _held: Some(held) });
            }
            End::Waited(_) | End::Called(_) | End::Told => state.end = End::Called(callback),
        }
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<SendResult>> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.end, End::Told) {
            End::Over(sent) => Poll::Ready(sent),
            End::Told => Poll::Ready(Err(Error::closed())),
            End::Waited(mut waker) => {
                let task = waker.get_or_insert_with(|| cx.waker().clone());
                task.clone_from(cx.waker());
                state.end = End::Waited(waker);
                Poll::Pending
            }
            end @ End::Called(_) => {
                state.end = end;
                Poll::Pending
            }
        }
    }

    /// Hands the request to its connection; what comes back could not be sent.
    fn hand_over(self: &Arc<Self>, trip: Trip) -> Option<(Sending, Try, Error)> {
        // Locked until it is sent: the answer may be quicker.
        let mut state = self.lock();
        let Trip { sending, way, .. } = state.trip.insert(trip);
        let (header, body) = (&sending.prepared.header, sending.prepared.body.clone());
        let receiver = Arc::clone(self);
        let error = way.begin_for(header, body, receiver).err()?;
        let Trip { sending, tried, .. } = state.trip.take()?;
        Some((sending, tried, error))
    }

    fn go_on(self: &Arc<Self>, next: Next) {
        match next {
            Next::Over(sent) => self.end(sent),
            // Boxed: a task's future is moved whole.
            Next::Again(sending) => self.follow(Box::pin(Arc::clone(self).try_again(sending))),
            Next::Anew(parts) => self.follow(Box::pin(Arc::clone(self).try_anew(parts))),
        }
    }

    /// Goes on in a task of its own.
    fn follow(self: &Arc<Self>, sending: impl Future<Output = Result<SendResult>> + Send + 'static) {
        let unfinished = Unfinished(Arc::clone(self));
        self.inner.runtime.spawn(async move {
            let inner = Arc::clone(&unfinished.0.inner);
            let sent = tokio::select! {
                biased;
                sent = guarded_async("a send", sending) => sent.unwrap_or_else(panicked),
                () = inner.stop.cancelled() => Err(cut_off()),
            };
            unfinished.0.end(sent);
        });
    }

    async fn try_again(self: Arc<Self>, mut sending: Box<Sending>) -> Result<SendResult> {
        let begun = self.inner.begin_try(&mut sending).await;
        self.inner.follow(*sending, begun).await
    }

    async fn try_anew(self: Arc<Self>, parts: Box<(Sending, Try)>) -> Result<SendResult> {
        let (sending, tried) = *parts;
        let left = tried.left(Instant::now());
        let (header, body) = (&sending.prepared.header, sending.prepared.body.clone());
        let door = self.inner.instance.door();
        let underway = door.begin_last(&tried.queue.broker_addr, header, body, left).await;
        let begun: Begun = (tried, underway);
        self.inner.follow(sending, Some(begun)).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver<RemotingCommand> for Flight {
    /// On the connection's task: nothing of the program's own runs here.
    fn receive(self: Arc<Self>, outcome: std::result::Result<RemotingCommand, Lost>) {
        let Some(trip) = self.lock().trip.take() else { return };
        let next = guarded("a send", || trip.arrive(&self.inner, outcome));
        self.go_on(next.unwrap_or_else(|panic| Next::Over(panicked(panic))));
    }

    fn gives_up(&self) -> bool {
        self.inner.stop.is_cancelled()
    }
}

impl Trip {
    fn arrive(self, inner: &Arc<Inner>, outcome: std::result::Result<RemotingCommand, Lost>) -> Next {
        let Self { mut sending, tried, way } = self;
        if outcome.is_err() && inner.stop.is_cancelled() {
            return Next::Over(Err(cut_off()));
        }
        let addr = &tried.queue.broker_addr;
        match inner.instance.door().judge::<SendMessageRequest>(&way, addr, outcome, &STORED) {
            Judged::GoneAway => Next::Anew(Box::new((sending, tried))),
            Judged::Answered(answered) => {
                let msg_id = &mut sending.prepared.msg_id;
                let sent = answered.map(|answer| send_result(answer, std::mem::take(msg_id), &tried.queue));
                settled(inner, sending, &tried, sent)
            }
        }
    }
}

fn settled(inner: &Arc<Inner>, mut sending: Sending, tried: &Try, sent: Result<SendResult>) -> Next {
    match inner.settle(&mut sending, tried, sent) {
        Verdict::Done(result) => Next::Over(Ok(result)),
        Verdict::Again if !inner.stop.is_cancelled() => Next::Again(Box::new(sending)),
        Verdict::Again => Next::Over(sending.tries.cut_off(&sending.prepared.header.topic)),
        Verdict::GiveUp => Next::Over(sending.tries.finish(&sending.prepared.header.topic, Instant::now())),
    }
}

fn panicked(panic: Panic) -> Result<SendResult> {
    Err(Error::panicked("a send", panic).with_outcome(SendOutcome::Unknown))
}

fn cut_off() -> Error {
    Error::closed().with_outcome(SendOutcome::Unknown)
}

/// Ends a send whose task ends before it, as at the runtime's end.
struct Unfinished(Arc<Flight>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.end(Err(cut_off()));
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = matches!(self.lock().end, End::Over(_) | End::Told);
        f.debug_struct("Flight").field("over", &over).finish()
    }
}
