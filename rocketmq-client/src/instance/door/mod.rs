//! The one door through which every request leaves a client. Whatever must happen to all of them happens here: the
//! connection is found, a peer that is going away is left, answers are checked and decoded.
//!
//! What is built on top of all requests later has its place in [`Door::exchange`]: it has the request's typed fields and
//! its body before they are encoded, so signing collects the fields into a scratch list, sorts them, and signs them with
//! the body; hooks see the address, the request's code and the outcome.

mod connections;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, RemotingError};
use rocketmq_protocol::request::Request;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::error::{Error, Result, SendOutcome};
use connections::Connections;

/// Sends requests to name servers and brokers.
pub(crate) struct Door {
    connections: Connections,
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
    pub(super) fn new(connect_timeout: Duration, tasks: TaskTracker) -> Self {
        Self { connections: Connections::new(connect_timeout, tasks) }
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
        let command = self.exchange(addr, request, body, timeout).await?;
        decode::<R>(addr, &command, accepted)
    }

    /// Sends a request that wants no answer: returns once it is handed to the connection.
    pub(crate) async fn call_oneway<R: Request>(&self, addr: &str, request: &R, body: Bytes) -> Result<()> {
        let connection = self.connections.get(addr).await?;
        Ok(connection.invoke_oneway(request, body).await?)
    }

    /// Ends every connection, now and for good.
    pub(super) fn close(&self, cause: &str) {
        self.connections.close(cause);
    }

    async fn exchange<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<RemotingCommand, RemotingError> {
        let span = tracing::trace_span!("rpc", addr, request = ?request.code());
        let deadline = Instant::now() + timeout;
        async {
            let connection = self.connected(addr, deadline).await?;
            let answer = invoke(&connection, request, body.clone(), timeout, deadline).await?;
            if answer.code() != ResponseCode::GoAway.as_i32() {
                return Ok(answer);
            }
            // A 5.x broker that is shutting down says so instead of answering: a new connection may reach another one
            // behind the same address. Whoever says it twice means it.
            self.connections.leave(addr, &connection);
            let connection = self.connected(addr, deadline).await?;
            invoke(&connection, request, body, timeout, deadline).await
        }
        .instrument(span)
        .await
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

async fn invoke<R: Request>(
    connection: &Connection,
    request: &R,
    body: Bytes,
    timeout: Duration,
    deadline: Instant,
) -> Result<RemotingCommand, RemotingError> {
    let left = deadline.saturating_duration_since(Instant::now());
    connection.invoke(request, body, left).await.map_err(|error| match error {
        // As the caller knows it, not less the time for connecting.
        RemotingError::Timeout { addr, .. } => RemotingError::Timeout { addr, timeout },
        other => other,
    })
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
