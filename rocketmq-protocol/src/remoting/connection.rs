//! One connection: what both sides do with it. Its two tasks are in `reader.rs` and `writer.rs`.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbound::Outbound;
use super::{RemotingError, Requests, Responder};
use crate::command::{Outgoing, RemotingCommand};
use crate::frame::MAX_FRAME_BYTES;
use crate::header::{HeaderFields, SerializeType};
use crate::request::Request;
use crate::session::Session;

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

    /// A request came. Called on the connection's task, in the order of arrival: it must not block, and may keep the
    /// responder and answer later from any thread.
    fn handle(&self, request: RemotingCommand, responder: Responder);

    /// The requests of one read came, at least one. By default each goes to [`handle`](Self::handle); who can do
    /// something cheaper for many at once takes them from the iterator. What is left in it is answered with an error.
    fn handle_all(&self, requests: &mut Requests<'_>) {
        for (request, responder) in requests {
            self.handle(request, responder);
        }
    }

    /// A connection has ended.
    fn disconnected(&self, connection: &Connection, cause: &str) {
        let _ = (connection, cause);
    }
}

/// A handle to one connection; clones are cheap and equal. The connection lives until [`close`](Self::close), its end
/// at the peer, or the end of whoever started it: dropping handles does not end it.
#[derive(Clone)]
pub struct Connection(pub(super) Arc<Inner>);

pub(super) type Waiter = oneshot::Sender<Result<RemotingCommand, RemotingError>>;

pub(super) struct Inner {
    pub(super) peer_addr: SocketAddr,
    pub(super) local_addr: SocketAddr,
    pub(super) peer_name: Arc<str>,
    pub(super) config: ConnectionConfig,
    pub(super) session: Mutex<Session<Waiter>>,
    pub(super) outbound: Outbound,
    pub(super) peer_reads_binary: AtomicBool,
    /// Grows with every read and write: tells an idle connection from a busy one.
    pub(super) activity: AtomicU64,
    pub(super) ended: CancellationToken,
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
        if self.0.outbound.is_full() {
            let room = tokio::time::timeout_at(deadline.into(), self.0.outbound.room()).await;
            room.map_err(|_| RemotingError::Timeout { addr: Arc::clone(&self.0.peer_name), timeout })?;
        }
        self.begin(request, body, deadline.saturating_duration_since(Instant::now()))?.await.map_err(
            |error| match error {
                RemotingError::Timeout { addr, .. } => RemotingError::Timeout { addr, timeout },
                other => other,
            },
        )
    }

    /// False while the outbound buffer is full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.0.outbound.is_full()
    }

    /// Waits until there is room in the outbound buffer, or the connection has ended.
    pub async fn room(&self) {
        tokio::select! {
            biased;
            () = self.0.outbound.room() => {}
            () = self.0.ended.cancelled() => {}
        }
    }

    /// Queues a request at once, whether there is [`room`](Self::room) or not, and returns the future of its response:
    /// requests that one caller begins are written in that order. Dropping the future forgets the request; the frame is
    /// still sent, whole.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended or the request is too large: nothing was sent.
    pub fn begin<R: Request>(
        &self,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<PendingResponse, RemotingError> {
        let (waiter, response) = oneshot::channel();
        let deadline = Instant::now() + timeout;
        let begun = self.session().begin(deadline, waiter).map_err(|(_, cause)| self.not_sent(cause))?;
        let pending =
            PendingResponse { connection: self.clone(), opaque: Some(begun.opaque), response, timeout };
        self.put(request, begun.opaque, false, body)?;
        if begun.is_earliest {
            self.0.outbound.filled.notify_one();
        }
        Ok(pending)
    }

    /// Sends a request that wants no response, once there is room in the outbound buffer.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended or the request is too large.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent either the whole request or nothing.
    pub async fn invoke_oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        self.room().await;
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

    pub(super) fn session(&self) -> MutexGuard<'_, Session<Waiter>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cause(&self) -> Arc<str> {
        self.session().closed().cloned().unwrap_or_else(|| "shut down".into())
    }

    fn not_sent(&self, cause: Arc<str>) -> RemotingError {
        RemotingError::NotSent { addr: Arc::clone(&self.0.peer_name), cause }
    }

    fn closed_error(&self) -> RemotingError {
        RemotingError::Closed { addr: Arc::clone(&self.0.peer_name), cause: self.cause() }
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

/// The future of a response, whatever the response's code. Made by [`Connection::begin`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct PendingResponse {
    connection: Connection,
    /// `None` once the response is there.
    opaque: Option<i32>,
    response: oneshot::Receiver<Result<RemotingCommand, RemotingError>>,
    timeout: Duration,
}

impl Future for PendingResponse {
    type Output = Result<RemotingCommand, RemotingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.response).poll(context));
        self.opaque = None;
        Poll::Ready(match response {
            Ok(Err(RemotingError::Timeout { addr, .. })) => {
                Err(RemotingError::Timeout { addr, timeout: self.timeout })
            }
            Ok(response) => response,
            Err(_) => Err(self.connection.closed_error()),
        })
    }
}

/// Forgets a request whose caller went away.
impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(opaque) = self.opaque {
            self.connection.session().complete(opaque);
        }
    }
}
