//! The one task of a connection: each turn it reads what is there, answers or hands on, writes what is queued, looks at
//! the time, and sleeps. It never waits for one of these while another could go on.

use std::any::Any;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use super::config::Side;
use super::inbound::Inbound;
use super::liveness::{Holding, Liveness};
use super::requests::Requests;
use super::write_queue::{MAX_SLICES, WriteQueue};
use super::{Connection, Handler};
use crate::command::RemotingCommand;
use crate::session::News;

/// Peers that answer with this `MQVersion` ordinal (V4_1_0_SNAPSHOT) or a later one read the binary header.
const BINARY_HEADER_SINCE: i32 = 232;
/// How much a connection may write before others get their turn.
const WRITE_BYTES_A_TURN: usize = 4 * 1024 * 1024;
/// When to look again whether a peer may be read from, if nothing else tells.
const PAUSE: Duration = Duration::from_millis(100);

/// Owns the stream, what of it is read and what is written to it.
pub(super) struct Task<S> {
    stream: S,
    connection: Connection,
    handler: Arc<dyn Handler>,
    state: State,
    /// The time of this turn: the clock is read once.
    now: Instant,
    inbound: Inbound,
    responses: Vec<RemotingCommand>,
    /// Something was read in this turn.
    has_read: bool,
    /// What is being written. Nothing is added to it, so that a write that was cut goes on where it stopped.
    writing: WriteQueue,
    /// The socket takes nothing for now, and will tell.
    write_blocked: bool,
    unflushed: bool,
    liveness: Liveness,
    timer: Pin<Box<Sleep>>,
    /// When to look again whether the peer may be read from.
    paused_until: Option<Instant>,
    /// The turn ended early, so that others get theirs.
    yielded: bool,
    /// What was found out under the lock and is told after it.
    news: Vec<News<RemotingCommand>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handler has not been told of the connection.
    New,
    Open,
    /// It has ended; what is queued is written, at most until then.
    Flushing(Instant),
    /// All is written, and the peer is left the time to read it and to close its side: an end that leaves something unread
    /// would make the system throw away what is still on its way.
    Lingering(Instant),
    Over,
}

/// Why a connection must end.
enum End {
    /// The peer closed its side. It may still read.
    PeerClosed,
    /// It may be that the peer can be written to.
    Refused(String),
    /// The stream is of no use any longer.
    Broken(String),
}

impl<S> Task<S> {
    pub(super) fn new(stream: S, connection: Connection, handler: Arc<dyn Handler>) -> Self {
        let config = &connection.0.config;
        let now = tokio::time::Instant::now().into_std();
        let liveness = Liveness::new(now, config.idle_timeout, config.liveness_timeout);
        Self {
            stream,
            handler,
            state: State::New,
            now,
            inbound: Inbound::new(config.max_frame_bytes, &config.budget),
            responses: Vec::new(),
            has_read: false,
            writing: WriteQueue::default(),
            write_blocked: false,
            unflushed: false,
            timer: Box::pin(tokio::time::sleep_until(liveness.next_check(Holding::default()).into())),
            liveness,
            paused_until: None,
            yielded: false,
            news: Vec::new(),
            connection,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Task<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        task.now = tokio::time::Instant::now().into_std();
        task.yielded = false;
        if task.state == State::New {
            task.begin(cx);
        }
        if task.state == State::Open {
            if let Err(end) = task.turn(cx) {
                task.end(end);
            } else if !task.connection.is_closed() {
                return Poll::Pending;
            }
            task.begin_to_close();
        }
        task.poll_close(cx)
    }
}

/// An open connection.
impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    fn begin(&mut self, cx: &mut Context<'_>) {
        self.state = State::Open;
        // Armed once: from then on it wakes this task.
        let _ = self.timer.as_mut().poll(cx);
        let (handler, connection) = (&self.handler, &self.connection);
        guarded(connection, "connected", || handler.connected(connection));
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let answered = self.poll_read(cx)?;
        self.poll_write(cx)?;
        self.sleep(cx, answered)
    }

    /// Reads and dispatches what is there. Returns how many requests got their responses.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<usize, End> {
        self.inbound.begin_turn();
        self.paused_until = None;
        let mut answered = 0;
        loop {
            let dispatched = self.dispatch();
            answered += self.complete();
            dispatched?;
            if self.inbound.turn_is_over() {
                self.yield_turn(cx);
                return Ok(answered);
            }
            if self.must_pause() {
                self.paused_until = Some(self.now + PAUSE);
                return Ok(answered);
            }
            match self.inbound.poll_read(cx, &mut self.stream) {
                Poll::Pending => return Ok(answered),
                Poll::Ready(Ok(0)) => return Err(End::PeerClosed),
                Poll::Ready(Ok(_)) => self.has_read = true,
                Poll::Ready(Err(error)) => return Err(End::Broken(format!("read failed: {error}"))),
            }
        }
    }

    /// Hands requests to the handler, and collects responses.
    fn dispatch(&mut self) -> Result<(), End> {
        let Self { connection, inbound, handler, responses, .. } = self;
        let mut requests = Requests::new(connection, inbound, responses);
        if requests.peek().is_some() {
            // Awake already: answers need not wake this task.
            connection.0.lock().parked = None;
        }
        while requests.peek().is_some() {
            if guarded(connection, "handle", || handler.handle_all(&mut requests)) {
                // What the handler left is answered with an error.
                requests.by_ref().for_each(drop);
            }
        }
        requests.into_broken().map_or(Ok(()), |cause| Err(End::Refused(cause)))
    }

    /// Gives the responses to those who wait for them.
    fn complete(&mut self) -> usize {
        if self.responses.is_empty() {
            return 0;
        }
        let shared = &self.connection.0;
        let mut core = shared.lock();
        for response in self.responses.drain(..) {
            if response.version() >= BINARY_HEADER_SINCE {
                shared.peer_reads_binary.store(true, Ordering::Relaxed);
            }
            match core.session.complete(response.opaque(), response) {
                Ok(news) => self.news.push(news),
                Err(response) => {
                    tracing::debug!(peer = %shared.peer_name, opaque = response.opaque(), "a response nobody waits for");
                }
            }
        }
        drop(core);
        let answered = self.news.len();
        self.news.drain(..).for_each(News::tell);
        answered
    }

    /// Whether the peer is not to be read from for now. Only the accepting side ever stops.
    fn must_pause(&self) -> bool {
        if self.connection.0.side == Side::Connecting {
            return false;
        }
        let memory_is_short = self.connection.0.config.budget.is_full();
        let large = self.inbound.large_frame_bytes();
        let no_room = memory_is_short && large.is_some_and(|bytes| !self.inbound.has_room_for(bytes));
        no_room || self.connection.must_not_take_on()
    }

    /// Writes what is queued, as far as the socket takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let mut turn = WRITE_BYTES_A_TURN;
        loop {
            if self.writing.is_empty() {
                std::mem::swap(&mut self.connection.0.lock().queue, &mut self.writing);
            }
            if self.writing.is_empty() {
                self.write_blocked = false;
                return self.poll_flush(cx);
            }
            let written = match write_some(&self.writing, &mut self.stream, cx) {
                Poll::Pending => {
                    self.write_blocked = true;
                    return Ok(());
                }
                Poll::Ready(Ok(0)) => return Err(End::Broken("write failed: nothing was taken".into())),
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Err(End::Broken(format!("write failed: {error}"))),
            };
            self.writing.advance(written);
            self.connection.budget().release(written);
            self.liveness.wrote(self.now);
            self.unflushed = true;
            turn = turn.saturating_sub(written);
            if turn == 0 {
                self.yield_turn(cx);
                return Ok(());
            }
        }
    }

    /// For streams that buffer.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(End::Broken(format!("write failed: {error}"))),
            }
        }
        Ok(())
    }

    /// Ends what has taken too long, and sleeps until there is something to do.
    fn sleep(&mut self, cx: &mut Context<'_>, answered: usize) -> Result<(), End> {
        let mut core = self.connection.0.lock();
        let asked = core.session.take_asked();
        if std::mem::take(&mut self.has_read) {
            self.liveness.read(self.now, core.session.in_flight() > 0);
        } else if asked {
            self.liveness.asked(self.now);
        }
        core.session.expire(self.now, &mut self.news);
        let deadline = core.session.next_deadline();
        let more = !core.queue.is_empty() && !self.write_blocked;
        let closed = core.session.closed().is_some();
        core.parked = (!more && !closed && !self.yielded && answered < 2).then(|| cx.waker().clone());
        let must_go_on = more && !self.yielded;
        drop(core);
        self.news.drain(..).for_each(News::tell);
        let holding = self.holding();
        if let Some(cause) = self.liveness.verdict(self.now, holding) {
            return Err(End::Refused(cause.into()));
        }
        let check = self.liveness.next_check(holding);
        let next = [deadline, self.paused_until].into_iter().flatten().fold(check, Instant::min);
        self.arm(cx, next);
        if must_go_on || (self.paused_until.is_some() && !self.must_pause()) {
            self.yield_turn(cx);
        } else if answered >= 2 && !self.yielded {
            defer(cx);
        }
        Ok(())
    }

    fn holding(&self) -> Holding {
        let partial_frame = self.inbound.large_frame_bytes().is_some();
        let memory_is_short = self.connection.0.config.budget.is_full();
        Holding {
            unwritten: !self.writing.is_empty(),
            partial_frame,
            over_share: memory_is_short && (partial_frame || self.connection.budget().is_over_share()),
        }
    }

    /// Sets the timer, unless it goes off before: then it is set again when it has.
    fn arm(&mut self, cx: &mut Context<'_>, next: Instant) {
        let set = self.timer.deadline().into_std();
        if next < set || set <= self.now {
            self.timer.as_mut().reset(next.into());
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Ends this turn; the next one comes after the others'.
    fn yield_turn(&mut self, cx: &mut Context<'_>) {
        self.yielded = true;
        cx.waker().wake_by_ref();
    }
}

/// A connection that has ended.
impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    fn end(&mut self, end: End) {
        let (cause, broken) = match end {
            End::PeerClosed => ("the peer closed the connection".into(), false),
            End::Refused(cause) => (cause, false),
            End::Broken(cause) => (cause, true),
        };
        self.connection.close(&cause);
        if broken {
            self.state = State::Over;
        }
    }

    fn begin_to_close(&mut self) {
        let config = &self.connection.0.config;
        let within = self.connection.0.lock().close_within.unwrap_or(config.close_timeout);
        if self.state != State::Over {
            self.state = State::Flushing(self.now + within);
            self.timer.as_mut().reset((self.now + within).into());
        }
        let (handler, connection) = (&self.handler, &self.connection);
        guarded(connection, "disconnected", || handler.disconnected(connection, &connection.0.cause()));
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let peer_is_done = self.discard(cx);
        if let State::Flushing(until) = self.state {
            let shut = match self.poll_write(cx) {
                Err(_) => Poll::Ready(Err(())),
                Ok(()) if !self.writing.is_empty() || self.unflushed => Poll::Pending,
                Ok(()) => Pin::new(&mut self.stream).poll_shutdown(cx).map_err(drop),
            };
            match shut {
                Poll::Ready(Ok(())) => self.state = State::Lingering(until),
                Poll::Ready(Err(())) => self.state = State::Over,
                Poll::Pending => {}
            }
        }
        let lingered = matches!(self.state, State::Lingering(_)) && peer_is_done;
        if self.state == State::Over || lingered || self.timer.as_mut().poll(cx).is_ready() {
            self.state = State::Over;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads on, so that the peer is not kept from reading by what it still has to write. True once it has closed.
    fn discard(&mut self, cx: &mut Context<'_>) -> bool {
        if self.state == State::Over {
            return true;
        }
        self.inbound.begin_turn();
        for _ in 0..DISCARDS_A_TURN {
            self.inbound.discard();
            match self.inbound.poll_read(cx, &mut self.stream) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
            }
        }
        self.yield_turn(cx);
        false
    }
}

/// How many reads of a closing connection are thrown away before others get their turn.
const DISCARDS_A_TURN: usize = 16;

impl<S> Drop for Task<S> {
    /// Also when the runtime ends: nobody is left waiting, and nothing is left counted.
    fn drop(&mut self) {
        let shared = &self.connection.0;
        shared.close("shut down", None);
        if matches!(self.state, State::New | State::Open) {
            let (handler, connection) = (&self.handler, &self.connection);
            guarded(connection, "disconnected", || handler.disconnected(connection, &shared.cause()));
        }
        let queue = std::mem::take(&mut shared.lock().queue);
        let mut abandoned = self.writing.abandoned();
        abandoned += queue.abandoned();
        shared.budget.release(abandoned.bytes);
        if !abandoned.is_nothing() {
            tracing::debug!(peer = %shared.peer_name, ?abandoned, cause = %shared.cause(), "not everything was written");
        }
        // Nobody else sets it.
        let _ = shared.over.set(abandoned);
    }
}

fn write_some(
    queue: &WriteQueue,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let used = queue.slices(&mut slices);
    let stream = Pin::new(stream);
    match &slices[..used] {
        [only] => stream.poll_write(cx, only),
        several => stream.poll_write_vectored(cx, several),
    }
}

/// The next turn comes when those who were just woken have had theirs: what they send goes out in one write.
fn defer(cx: &mut Context<'_>) {
    // The first poll leaves the waker with the runtime; there is nothing to wait for.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// Runs the handler's own code. True if it did not panic.
fn guarded(connection: &Connection, what: &str, call: impl FnOnce()) -> bool {
    let called = catch_unwind(AssertUnwindSafe(call));
    if let Err(panic) = &called {
        let peer = &connection.0.peer_name;
        tracing::error!(%peer, what, panic = panic_message(&**panic), "a handler panicked");
    }
    called.is_ok()
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}
