//! What a side does with what its peer sends unasked.

use super::{Connection, Requests, Responder};
use crate::command::RemotingCommand;

/// What a side does with the requests that its peer sends. A panic in any of these is logged; it costs the request that
/// caused it and nothing else.
pub trait Handler: Send + Sync + 'static {
    /// A connection begins.
    fn connected(&self, connection: &Connection) {
        let _ = connection;
    }

    /// A request came. Called on the connection's task, in the order of arrival: it must not block, and may keep the
    /// responder and answer later from any thread.
    fn handle(&self, request: RemotingCommand, responder: Responder);

    /// Requests came, at least one: as many as are there already, up to what a connection may take before others get
    /// their turn. By default each goes to [`handle`](Self::handle); who can do something cheaper for many at once takes
    /// them from the iterator. What is left in it is answered with an error.
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
