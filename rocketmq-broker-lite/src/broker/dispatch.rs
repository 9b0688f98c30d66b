//! Where requests and the ends of connections reach the broker.

use std::sync::{Arc, OnceLock};

use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};

use super::context::Context;
use super::processor::FAMILIES;
use crate::server::dispatch::Table;
use crate::server::refusal::Refusal;

/// Hands requests to processors, once there is a broker to serve them: its port is known only when it listens already.
pub(crate) struct Dispatcher {
    context: OnceLock<Arc<Context>>,
    table: Table<Context>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self { context: OnceLock::new(), table: Table::new(FAMILIES) }
    }
}

impl Dispatcher {
    /// Begins to serve.
    pub(crate) fn serve(&self, context: Arc<Context>) {
        // Called once; a second call would change nothing.
        let _ = self.context.set(context);
    }
}

impl Handler for Dispatcher {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        match self.context.get() {
            Some(context) => self.table.serve(context, &request, responder),
            None => Refusal::new(ResponseCode::SystemBusy, "the broker is starting").answer(responder),
        }
    }

    fn disconnected(&self, connection: &Connection, cause: &str) {
        let Some(context) = self.context.get() else { return };
        tracing::debug!(peer = %connection.peer_addr(), cause, "a client is gone");
        context.held.disconnected(connection);
        context.producers.disconnected(connection);
        for group in context.consumers.disconnected(connection) {
            context.notify_consumers(&group);
        }
    }
}
