//! The one door through which every request leaves a client. Whatever must happen to all of them happens here: the
//! connection is found, a peer that is going away is left, answers are checked and decoded.
//!
//! What is built on top of all requests later has its place in [`Door::begin`] and [`Door::finish`]: they have the request's typed fields and
//! its body before they are encoded, so signing collects the fields into a scratch list, sorts them, and signs them with
//! the body; hooks see the address, the request's code and the outcome.

mod connections;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Abandoned, Connection, Handler, PendingResponse, RemotingError};
use rocketmq_protocol::request::Request;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::error::{Error, Result, SendOutcome};
use connections::Connections;

/// Sends requests to name servers and brokers.
pub(crate) struct Door {
    connections: Connections,
}

/// A request that was handed to its connection. Dropping it forgets the request; it is sent all the same.
#[derive(Debug)]
pub(crate) struct Underway {
    connection: Arc<Connection>,
    response: PendingResponse,
    deadline: Instant,
    timeout: Duration,
    span: Span,
}

/// What a peer answered.
#[derive(Debug)]
pub(crate) struct Answer<H> {
    /// One of the codes that the caller takes for an answer.
    pub(crate) code: ResponseCode,
    /// The header of the answer, decoded.
    pub(crate) header: H,
    pub(crate) body: Bytes,
}

impl Door {
    /// The connections run on `tasks`; `stop` ends those that are being made.
    pub(super) fn new(connect_timeout: Duration, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { connections: Connections::new(connect_timeout, tasks, stop) }
    }

    /// Says who answers the requests that brokers send. Called once, before the first connection.
    pub(super) fn set_handler(&self, handler: Arc<dyn Handler>) {
        self.connections.set_handler(handler);
    }

    /// Sends a request and waits for its answer; any code but success is an error. `timeout` covers connecting too.
    pub(crate) async fn call<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer<R::Response>> {
        self.call_accepting(addr, request, body, timeout, &[ResponseCode::Success]).await
    }

    /// The same where other codes are answers too: those listed.
    pub(crate) async fn call_accepting<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
        accepted: &[ResponseCode],
    ) -> Result<Answer<R::Response>> {
        let underway = self.begin(addr, request, body.clone(), timeout).await?;
        self.finish(underway, addr, request, body, accepted).await
    }

    /// Hands a request to its connection: this waits for the connection and for room, and not for the answer. Requests
    /// that one caller begins are sent in that order.
    ///
    /// # Cancel safety
    /// Nothing was sent.
    pub(crate) async fn begin<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Underway> {
        let span = tracing::trace_span!("rpc", addr, request = ?request.code());
        let deadline = Instant::now() + timeout;
        let ready = self.connections.ready(addr).filter(|connection| connection.has_room());
        let (connection, left) = match ready {
            Some(connection) => (connection, timeout),
            None => {
                let connecting = self.connected_with_room(addr, deadline, timeout);
                // Boxed: it is rare, and large beside the rest.
                let connection = Box::pin(connecting.instrument(span.clone())).await?;
                (connection, deadline.saturating_duration_since(Instant::now()))
            }
        };
        let response = connection.begin(request, body, left)?;
        Ok(Underway { connection, response, deadline, timeout, span })
    }

    /// Waits for the answer of a request that was begun.
    pub(crate) async fn finish<R: Request>(
        &self,
        underway: Underway,
        addr: &str,
        request: &R,
        body: Bytes,
        accepted: &[ResponseCode],
    ) -> Result<Answer<R::Response>> {
        let Underway { connection, response, deadline, timeout, span } = underway;
        let mut command = response.instrument(span).await.map_err(|error| of_caller(error, timeout))?;
        if command.code() == ResponseCode::GoAway.as_i32() {
            // A 5.x broker that is shutting down says so instead of answering: a new connection may reach another one
            // behind the same address. Whoever says it twice means it.
            self.connections.leave(addr, &connection);
            let left = deadline.saturating_duration_since(Instant::now());
            let again = Box::pin(self.begin(addr, request, body, left)).await?;
            command = again.response.await.map_err(|error| of_caller(error, timeout))?;
        }
        decode::<R>(addr, &command, accepted)
    }

    /// Sends a request that wants no answer: returns once it is handed to the connection.
    ///
    /// # Cancel safety
    /// Either the whole request is sent or nothing.
    pub(crate) async fn call_oneway<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let connection = self.connected_with_room(addr, deadline, timeout).await?;
            match connection.try_oneway(request, body.clone()) {
                // Others were faster to take the room.
                Err(RemotingError::OutboundFull { .. }) if Instant::now() < deadline => {}
                sent => return Ok(sent?),
            }
        }
    }

    /// Ends every connection, now and for good.
    pub(super) fn close(&self, cause: &str) {
        self.connections.close(cause);
    }

    /// What connections that [`close`](Self::close) has ended had not written.
    pub(super) async fn abandoned(&self) -> Abandoned {
        self.connections.abandoned().await
    }

    async fn connected_with_room(
        &self,
        addr: &str,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Arc<Connection>> {
        let connection = self.connected(addr, deadline).await?;
        if !connection.has_room() {
            let room = tokio::time::timeout_at(deadline, connection.room()).await;
            room.map_err(|_| Error::no_room(addr, timeout))?;
        }
        Ok(connection)
    }

    async fn connected(&self, addr: &str, deadline: Instant) -> Result<Arc<Connection>, RemotingError> {
        if let Some(connection) = self.connections.ready(addr) {
            return Ok(connection);
        }
        let connecting = tokio::time::timeout_at(deadline, self.connections.get(addr));
        connecting.await.map_err(|_| RemotingError::Connect {
            addr: addr.into(),
            source: Arc::new(std::io::ErrorKind::TimedOut.into()),
        })?
    }
}

/// As the caller knows its timeout, not less the time for connecting.
fn of_caller(error: RemotingError, timeout: Duration) -> Error {
    match error {
        RemotingError::Timeout { addr, .. } => RemotingError::Timeout { addr, timeout }.into(),
        other => other.into(),
    }
}

/// The one place where answers are checked and read.
fn decode<R: Request>(
    addr: &str,
    command: &RemotingCommand,
    accepted: &[ResponseCode],
) -> Result<Answer<R::Response>> {
    let code = ResponseCode::from_i32(command.code()).filter(|code| accepted.contains(code));
    let Some(code) = code else { return Err(Error::broker(command.code(), command.remark(), addr)) };
    let header = command.header::<R::Response>();
    // Its code says that the request was carried out.
    let done =
        |error| Error::bad_answer("the answer's header", error).at(addr).with_outcome(SendOutcome::Stored);
    let header = header.map_err(done)?;
    Ok(Answer { code, header, body: command.body().clone() })
}
