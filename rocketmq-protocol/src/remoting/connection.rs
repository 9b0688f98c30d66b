//! One connection: its handle and its two tasks.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbound::Outbound;
use super::{RemotingError, Responder};
use crate::command::{Outgoing, RemotingCommand};
use crate::frame::{MAX_FRAME_BYTES, split_frame};
use crate::header::{HeaderFields, SerializeType};
use crate::request::Request;
use crate::session::Session;

/// How much one read asks for: it adapts to the traffic between these bounds.
const MIN_READ_BYTES: usize = 4 * 1024;
const MAX_READ_BYTES: usize = 256 * 1024;
/// How long a closing connection tries to write what is queued.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// Peers that answer with this `MQVersion` ordinal (V4_1_0_SNAPSHOT) or a later one read the binary header.
const BINARY_HEADER_SINCE: i32 = 232;

/// The limits of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The largest frame that is taken, in bytes after its length field. Default 16 MiB. A longer one ends the
    /// connection.
    pub max_frame_bytes: usize,
    /// How many bytes may wait to be written. Default 64 MiB. Requests wait for room; while a peer does not take its
    /// responses, no further requests are read from it.
    pub outbound_limit_bytes: usize,
    /// A connection on which nothing moves either way for so long is closed. Default 120 s.
    pub idle_timeout: Duration,
    /// Send requests with the binary header once the peer has shown that it reads it. Default true.
    pub prefer_binary_header: bool,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: MAX_FRAME_BYTES,
            outbound_limit_bytes: 64 * 1024 * 1024,
            idle_timeout: Duration::from_secs(120),
            prefer_binary_header: true,
        }
    }
}

/// What a side does with the requests that its peer sends.
pub trait Handler: Send + Sync + 'static {
    /// A connection begins.
    fn connected(&self, connection: &Connection) {
        let _ = connection;
    }

    /// A request came. Called on the connection's reader task, in the order of arrival: it must not block, and may
    /// keep the responder and answer later from any thread.
    fn handle(&self, request: RemotingCommand, responder: Responder);

    /// A connection has ended.
    fn disconnected(&self, connection: &Connection, cause: &str) {
        let _ = (connection, cause);
    }
}

/// A handle to one connection; clones are cheap and equal. The connection lives until [`close`](Self::close), its end
/// at the peer, or the end of whoever started it: dropping handles does not end it.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

type Waiter = oneshot::Sender<Result<RemotingCommand, RemotingError>>;

struct Inner {
    peer_addr: SocketAddr,
    local_addr: SocketAddr,
    peer_name: Arc<str>,
    config: ConnectionConfig,
    session: Mutex<Session<Waiter>>,
    outbound: Outbound,
    peer_reads_binary: AtomicBool,
    /// Grows with every read and write: tells an idle connection from a busy one.
    activity: AtomicU64,
    ended: CancellationToken,
}

impl Connection {
    /// Starts the two tasks of a connection on a stream.
    pub(super) fn start(
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        (local_addr, peer_addr): (SocketAddr, SocketAddr),
        config: ConnectionConfig,
        handler: Arc<dyn Handler>,
        tasks: &TaskTracker,
        ended: CancellationToken,
    ) -> Self {
        let connection = Self(Arc::new(Inner {
            peer_addr,
            local_addr,
            peer_name: peer_addr.to_string().into(),
            session: Mutex::default(),
            outbound: Outbound::new(config.outbound_limit_bytes),
            peer_reads_binary: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            ended,
            config,
        }));
        handler.connected(&connection);
        tasks.spawn(connection.clone().write(writer));
        tasks.spawn(connection.clone().read(reader, handler));
        connection
    }

    /// The other side's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer_addr
    }

    /// This side's address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr
    }

    /// Sends a request and waits for its response, whatever the response's code.
    ///
    /// # Errors
    /// [`RemotingError`] if there is none.
    ///
    /// # Cancel safety
    /// A call that is dropped forgets the request; a frame that was queued is still sent, whole.
    pub async fn invoke<R: Request>(
        &self,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<RemotingCommand, RemotingError> {
        let deadline = Instant::now() + timeout;
        let timed_out = || RemotingError::Timeout { addr: Arc::clone(&self.0.peer_name), timeout };
        if self.0.outbound.is_full() {
            let room = tokio::time::timeout_at(deadline.into(), self.0.outbound.room()).await;
            room.map_err(|_| timed_out())?;
        }
        let (waiter, response) = oneshot::channel();
        let begun = self.session().begin(deadline, waiter).map_err(|(_, cause)| self.not_sent(cause))?;
        let mut forget = ForgetOnDrop { connection: self, opaque: Some(begun.opaque) };
        self.put(request, begun.opaque, false, body)?;
        if begun.is_earliest {
            self.0.outbound.filled.notify_one();
        }
        let response = response.await;
        forget.opaque = None;
        match response {
            Ok(Err(RemotingError::Timeout { .. })) => Err(timed_out()),
            Ok(response) => response,
            Err(_) => Err(self.closed_error()),
        }
    }

    /// Sends a request that wants no response, once there is room in the outbound buffer.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended or the request is too large.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent either the whole request or nothing.
    pub async fn invoke_oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        tokio::select! {
            biased;
            () = self.0.outbound.room() => {}
            () = self.0.ended.cancelled() => {}
        }
        self.try_oneway(request, body)
    }

    /// Sends a request that wants no response, if there is room in the outbound buffer.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended, the buffer is full or the request is too large.
    pub fn try_oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        if self.0.outbound.is_full() {
            let queued_bytes = self.0.outbound.queued_bytes();
            return Err(RemotingError::OutboundFull { addr: Arc::clone(&self.0.peer_name), queued_bytes });
        }
        let opaque = {
            let mut session = self.session();
            if let Some(cause) = session.closed() {
                return Err(self.not_sent(Arc::clone(cause)));
            }
            session.next_opaque()
        };
        self.put(request, opaque, true, body)
    }

    /// Ends the connection: everyone who waits gets the cause, responses that are queued are still written.
    pub fn close(&self, cause: &str) {
        let cause: Arc<str> = cause.into();
        let waiting = self.session().close(&cause);
        self.0.ended.cancel();
        for waiter in waiting {
            let addr = Arc::clone(&self.0.peer_name);
            // A waiter that has gone away wants no error.
            let _ = waiter.send(Err(RemotingError::Closed { addr, cause: Arc::clone(&cause) }));
        }
    }

    /// True once the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Waits for the connection's end and says why it came.
    pub async fn closed(&self) -> Arc<str> {
        self.0.ended.cancelled().await;
        self.cause()
    }

    /// Queues a response.
    pub(super) fn respond(&self, response: &Outgoing, fields: &impl HeaderFields, body: Bytes) {
        if self.is_closed() {
            return;
        }
        let body_bytes = body.len();
        let queued = self.0.outbound.put(body, |out| response.encode(out, fields, body_bytes));
        if let Err(error) = queued {
            self.close(&format!("a response is too large: {error}"));
        }
    }

    fn put<R: Request>(
        &self,
        request: &R,
        opaque: i32,
        oneway: bool,
        body: Bytes,
    ) -> Result<(), RemotingError> {
        let binary = self.0.config.prefer_binary_header && self.0.peer_reads_binary.load(Ordering::Relaxed);
        let serialize_type = if binary { SerializeType::RocketMq } else { SerializeType::Json };
        let outgoing = Outgoing::request(request.code().as_i32(), opaque, oneway, serialize_type);
        let (body_bytes, limit_bytes) = (body.len(), self.0.config.max_frame_bytes);
        let too_large = |frame_bytes| RemotingError::TooLarge { frame_bytes, limit_bytes };
        if body_bytes > limit_bytes {
            return Err(too_large(body_bytes));
        }
        let queued = self.0.outbound.put(body, |out| outgoing.encode(out, request, body_bytes));
        queued.map_err(|error| too_large(error.frame_bytes))
    }

    fn session(&self) -> MutexGuard<'_, Session<Waiter>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cause(&self) -> Arc<str> {
        self.session().closed().cloned().unwrap_or_else(|| "shut down".into())
    }

    fn not_sent(&self, cause: Arc<str>) -> RemotingError {
        RemotingError::NotSent { addr: Arc::clone(&self.0.peer_name), cause }
    }

    fn closed_error(&self) -> RemotingError {
        RemotingError::Closed { addr: Arc::clone(&self.0.peer_name), cause: self.cause() }
    }

    // --- the writer task ----------------------------------------------------------------------------------------

    /// Writes what is queued, answers requests whose time is up, and closes the connection when nothing moves.
    async fn write(self, mut socket: impl AsyncWrite + Unpin) {
        let mut spare = BytesMut::new();
        let mut idle = IdleWatch::new(self.0.config.idle_timeout);
        let mut timer = pin!(tokio::time::sleep_until(idle.next_check.into()));
        let mut ended = pin!(self.0.ended.cancelled());
        loop {
            // Most often nothing has changed, and the timer is left as it is.
            let next = self.next_timer(&idle).into();
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = &mut ended => break,
                () = self.0.outbound.filled.notified() => {
                    let written = self.write_queued(&mut socket, &mut spare).await;
                    if let Err(error) = written {
                        self.close(&format!("write failed: {error}"));
                    }
                }
                () = &mut timer => {
                    self.expire_requests();
                    if idle.is_over(self.0.activity.load(Ordering::Relaxed)) {
                        self.close("idle for too long");
                    }
                }
            }
        }
        // Responses that are due still go out; a peer that does not take them is not waited for.
        let last_writes = self.0.outbound.write_to(&mut socket, &mut spare);
        let _ = tokio::time::timeout(LAST_WRITES, last_writes).await;
        let _ = tokio::time::timeout(LAST_WRITES, socket.shutdown()).await;
    }

    async fn write_queued(
        &self,
        socket: &mut (impl AsyncWrite + Unpin),
        spare: &mut BytesMut,
    ) -> io::Result<()> {
        // Whoever is about to send gets to do so: more frames a write.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            written = self.0.outbound.write_to(socket, spare) => written?,
            // A peer that has stopped reading must not keep the connection's end, nor its timers, waiting.
            () = self.0.ended.cancelled() => {}
            () = self.stuck() => {}
        }
        self.0.activity.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Runs the timers while a write waits for the peer; returns once the peer was silent for too long.
    async fn stuck(&self) {
        let mut idle = IdleWatch::new(self.0.config.idle_timeout);
        while !idle.is_over(self.0.activity.load(Ordering::Relaxed)) {
            tokio::time::sleep_until(self.next_timer(&idle).into()).await;
            self.expire_requests();
        }
        self.close("the peer takes no data");
    }

    fn next_timer(&self, idle: &IdleWatch) -> Instant {
        let deadline = self.session().next_deadline();
        deadline.map_or(idle.next_check, |deadline| deadline.min(idle.next_check))
    }

    fn expire_requests(&self) {
        let expired = self.session().expire(Instant::now());
        for waiter in expired {
            let addr = Arc::clone(&self.0.peer_name);
            // The caller knows its timeout and puts it in.
            let _ = waiter.send(Err(RemotingError::Timeout { addr, timeout: Duration::ZERO }));
        }
    }

    // --- the reader task ----------------------------------------------------------------------------------------

    async fn read(self, mut socket: impl AsyncRead + Unpin, handler: Arc<dyn Handler>) {
        // Also when a handler panics: the connection must not be left half alive.
        let _end = CloseOnDrop { connection: &self, handler: &handler };
        let mut buffer = BytesMut::new();
        let mut read_bytes = MIN_READ_BYTES;
        loop {
            if let Err(cause) = self.dispatch_frames(&mut buffer, &handler) {
                return self.close(&cause);
            }
            tokio::select! {
                biased;
                () = self.0.ended.cancelled() => return,
                got = self.read_more(&mut socket, &mut buffer, &mut read_bytes) => match got {
                    Ok(0) => return self.close("the peer closed the connection"),
                    Ok(_) => { self.0.activity.fetch_add(1, Ordering::Relaxed); }
                    Err(error) => return self.close(&format!("read failed: {error}")),
                }
            }
        }
    }

    /// Reads once. A peer that does not take its responses is not read from.
    async fn read_more(
        &self,
        socket: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
        read_bytes: &mut usize,
    ) -> io::Result<usize> {
        self.0.outbound.room().await;
        buffer.reserve(*read_bytes);
        let free = buffer.capacity() - buffer.len();
        let got = socket.read_buf(buffer).await?;
        if got == free {
            *read_bytes = (*read_bytes * 2).min(MAX_READ_BYTES);
        } else if got < *read_bytes / 4 {
            *read_bytes = (*read_bytes / 2).max(MIN_READ_BYTES);
        }
        Ok(got)
    }

    fn dispatch_frames(&self, buffer: &mut BytesMut, handler: &Arc<dyn Handler>) -> Result<(), String> {
        while let Some(frame) =
            split_frame(buffer, self.0.config.max_frame_bytes).map_err(|e| e.to_string())?
        {
            let command = RemotingCommand::decode(frame).map_err(|error| error.to_string())?;
            if command.is_response() {
                self.complete(command);
            } else {
                let responder = Responder::new(self.clone(), &command);
                handler.handle(command, responder);
            }
        }
        Ok(())
    }

    fn complete(&self, response: RemotingCommand) {
        if response.version() >= BINARY_HEADER_SINCE {
            self.0.peer_reads_binary.store(true, Ordering::Relaxed);
        }
        let waiter = self.session().complete(response.opaque());
        match waiter {
            // The caller may have gone away meanwhile.
            Some(waiter) => drop(waiter.send(Ok(response))),
            None => {
                tracing::debug!(peer = %self.0.peer_name, opaque = response.opaque(), "a response nobody waits for")
            }
        }
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connection {}

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} -> {})", self.0.local_addr, self.0.peer_addr)
    }
}

/// Forgets a request whose caller went away.
struct ForgetOnDrop<'a> {
    connection: &'a Connection,
    opaque: Option<i32>,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(opaque) = self.opaque {
            self.connection.session().complete(opaque);
        }
    }
}

/// Ends the connection with its reader.
struct CloseOnDrop<'a> {
    connection: &'a Connection,
    handler: &'a Arc<dyn Handler>,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.connection.close("shut down");
        self.handler.disconnected(self.connection, &self.connection.cause());
    }
}

/// Notices when a counter has not moved for a whole timeout.
struct IdleWatch {
    timeout: Duration,
    next_check: Instant,
    last_seen: u64,
}

impl IdleWatch {
    fn new(timeout: Duration) -> Self {
        Self { timeout, next_check: Instant::now() + timeout, last_seen: 0 }
    }

    fn is_over(&mut self, activity: u64) -> bool {
        if Instant::now() < self.next_check {
            return false;
        }
        let idle = activity == self.last_seen;
        self.last_seen = activity;
        self.next_check = Instant::now() + self.timeout;
        idle
    }
}
