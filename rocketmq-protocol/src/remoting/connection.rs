//! One connection: what both sides do with it. Its task is in `task.rs`.

use std::fmt;
use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::config::Side;
use super::shared::Shared;
use super::task::Task;
use super::{Abandoned, Budget, ConnectionConfig, Handler, RemotingError};
use crate::command::RemotingCommand;
use crate::request::Request;
use crate::session::{Lost, Receiver, Waiting};

/// A deadline for those who set none that a clock can hold.
const FAR_AWAY: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A handle to one connection; clones are cheap and equal. The connection lives until [`close`](Self::close), its end
/// at the peer, or the end of whoever started it: dropping handles does not end it.
#[derive(Clone)]
pub struct Connection(pub(super) Arc<Shared>);

impl Connection {
    /// Starts the task of a connection on a stream.
    pub(super) fn start(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        addresses: (SocketAddr, SocketAddr),
        config: ConnectionConfig,
        side: Side,
        handler: Arc<dyn Handler>,
        tasks: &TaskTracker,
    ) -> Self {
        let connection = Self(Arc::new(Shared::new(addresses, config, side)));
        tasks.spawn(Task::new(stream, connection.clone(), handler));
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

    /// What is held on behalf of the peer, and how much may be.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.0.budget
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
        let deadline = deadline_after(timeout);
        if self.0.budget.is_full() {
            let room = tokio::time::timeout_at(deadline, self.room()).await;
            room.map_err(|_| RemotingError::Timeout { addr: Arc::clone(&self.0.peer_name), timeout })?;
        }
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let opaque = self.0.begin(request, body, deadline.into_std(), Waiting::Task(waker))?;
        PendingResponse { connection: self.clone(), opaque, timeout, has_waker: true, over: false }.await
    }

    /// False while requests have to wait for [`room`](Self::room).
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.0.budget.is_full()
    }

    /// Waits until there is room for another request, or the connection has ended.
    pub async fn room(&self) {
        if self.0.budget.is_full() {
            tokio::select! {
                biased;
                () = self.0.budget.room() => {}
                _ = self.0.closed.wait() => {}
            }
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
        let deadline = deadline_after(timeout).into_std();
        let waiting = Waiting::Task(Waker::noop().clone());
        let opaque = self.0.begin(request, body, deadline, waiting)?;
        Ok(PendingResponse { connection: self.clone(), opaque, timeout, has_waker: false, over: false })
    }

    /// The same for a request whose outcome is handed to `receiver`, on the connection's task: no task need wait.
    /// [`error`](Self::error) says what a lost one means.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended or the request is too large: nothing was sent, and `receiver` is not
    /// called.
    pub fn begin_for<R: Request>(
        &self,
        request: &R,
        body: Bytes,
        timeout: Duration,
        receiver: Arc<dyn Receiver<RemotingCommand>>,
    ) -> Result<(), RemotingError> {
        let deadline = deadline_after(timeout).into_std();
        self.0.begin(request, body, deadline, Waiting::Receiver(receiver)).map(drop)
    }

    /// Ends the requests whose receivers have given up.
    pub fn give_up(&self) {
        self.0.give_up();
    }

    /// What became of a request that had `timeout` and got no response.
    #[must_use]
    pub fn error(&self, lost: Lost, timeout: Duration) -> RemotingError {
        let addr = Arc::clone(&self.0.peer_name);
        match lost {
            Lost::Expired => RemotingError::Timeout { addr, timeout },
            Lost::Closed(cause) => RemotingError::Closed { addr, cause },
        }
    }

    /// Sends a request that wants no response, once there is room for it.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended or the request is too large.
    ///
    /// # Cancel safety
    /// A call that is dropped has queued either the whole request or nothing.
    pub async fn invoke_oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        self.room().await;
        self.0.oneway(request, body)
    }

    /// Sends a request that wants no response, if there is room for it.
    ///
    /// # Errors
    /// [`RemotingError`] if the connection has ended, the buffer is full or the request is too large.
    pub fn try_oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        if self.0.budget.is_full() {
            let queued_bytes = self.0.budget.used_bytes();
            return Err(RemotingError::OutboundFull { addr: Arc::clone(&self.0.peer_name), queued_bytes });
        }
        self.0.oneway(request, body)
    }

    /// Ends the connection without waiting: everyone who waits gets the cause, nothing further is sent, and what is queued
    /// is still written within [`ConnectionConfig::close_timeout`]. Only the first call counts.
    pub fn close(&self, cause: &str) {
        self.0.close(cause, None);
    }

    /// Ends the connection and waits until what is queued is written and the peer has closed its side too, at most for
    /// `within`. Says what was not written. If the connection had ended already, waits for that end.
    ///
    /// # Cancel safety
    /// A call that is dropped does not stop the end of the connection.
    pub async fn shutdown(&self, cause: &str, within: Duration) -> Abandoned {
        self.0.close(cause, Some(within));
        *self.0.over.wait().await
    }

    /// True once the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.initialized()
    }

    /// Waits for the connection's end and says why it came.
    pub async fn closed(&self) -> Arc<str> {
        Arc::clone(self.0.closed.wait().await)
    }

    /// Whether a peer holds too much for its requests to be read, or for its answers to be put together.
    ///
    /// A connecting side always reads, so that its requests get their answers.
    #[must_use]
    pub fn must_not_take_on(&self) -> bool {
        self.0.side == Side::Accepting && self.0.budget.is_over_share()
    }

    /// Waits until nothing of the connection is left but its handles.
    pub(super) async fn ended(&self) {
        self.0.over.wait().await;
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
    opaque: i32,
    timeout: Duration,
    /// The session knows whom to wake: no need to take the lock for the first poll.
    has_waker: bool,
    over: bool,
}

impl Future for PendingResponse {
    type Output = Result<RemotingCommand, RemotingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.has_waker) {
            return Poll::Pending;
        }
        let response = ready!(self.connection.0.poll_response(self.opaque, cx));
        self.over = true;
        Poll::Ready(response.map_err(|lost| self.connection.error(lost, self.timeout)))
    }
}

/// Forgets a request whose caller went away.
impl Drop for PendingResponse {
    fn drop(&mut self) {
        if !self.over {
            self.connection.0.lock().session.forget(self.opaque);
        }
    }
}

fn deadline_after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FAR_AWAY)
}
