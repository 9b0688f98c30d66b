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
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Abandoned, Connection, Handler, PendingResponse, RemotingError};
use rocketmq_protocol::request::Request;
use rocketmq_protocol::session::{Lost, Receiver};
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
    /// It was sent anew: a peer that goes away once more is not asked again.
    last: bool,
}

/// The way to a peer: a connection with room, and the request's time.
#[derive(Debug)]
pub(crate) struct Way {
    connection: Arc<Connection>,
    deadline: Instant,
    timeout: Duration,
    /// What is left of it.
    left: Duration,
    span: Span,
}

impl Way {
    /// Hands a request to the connection, and its outcome to `receiver`: see [`Door::judge`].
    pub(crate) fn begin_for<R: Request>(
        &self,
        request: &R,
        body: Bytes,
        receiver: Arc<dyn Receiver<RemotingCommand>>,
    ) -> Result<()> {
        Ok(self.connection.begin_for(request, body, self.left, receiver)?)
    }
}

/// What an outcome comes to.
#[derive(Debug)]
pub(crate) enum Judged<H> {
    Answered(Result<Answer<H>>),
    /// The peer asked for a new connection instead of answering.
    GoneAway,
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
        let Way { connection, deadline, timeout, left, span } =
            self.way(addr, request.code(), timeout).await?;
        let response = connection.begin(request, body, left)?;
        Ok(Underway { connection, response, deadline, timeout, span, last: false })
    }

    /// The same for a request that its peer has sent away once: nor is it sent anew another time.
    pub(crate) async fn begin_last<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Underway> {
        let underway = self.begin(addr, request, body, timeout).await?;
        Ok(Underway { last: true, ..underway })
    }

    /// The way to a peer: this waits for the connection and for room, up to `timeout`.
    ///
    /// # Cancel safety
    /// Nothing was sent.
    pub(crate) async fn way(&self, addr: &str, code: RequestCode, timeout: Duration) -> Result<Way> {
        let span = tracing::trace_span!("rpc", addr, request = ?code);
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
        Ok(Way { connection, deadline, timeout, left, span })
    }

    /// What the outcome comes to that a receiver was handed.
    pub(crate) fn judge<R: Request>(
        &self,
        way: &Way,
        addr: &str,
        outcome: std::result::Result<RemotingCommand, Lost>,
        accepted: &[ResponseCode],
    ) -> Judged<R::Response> {
        let _entered = way.span.enter();
        match outcome {
            Ok(command) if command.code() == ResponseCode::GoAway.as_i32() => {
                self.connections.leave(addr, &way.connection);
                Judged::GoneAway
            }
            Ok(command) => Judged::Answered(decode::<R>(addr, &command, accepted)),
            Err(lost) => Judged::Answered(Err(way.connection.error(lost, way.timeout).into())),
        }
    }

    /// Ends the requests whose receivers have given up.
    pub(crate) fn give_up(&self) {
        self.connections.give_up();
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
        let Underway { connection, response, deadline, timeout, span, last } = underway;
        let mut command = response.instrument(span).await.map_err(|error| of_caller(error, timeout))?;
        if command.code() == ResponseCode::GoAway.as_i32() && !last {
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
    pub(super) fn close(&self) {
        self.connections.close();
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
