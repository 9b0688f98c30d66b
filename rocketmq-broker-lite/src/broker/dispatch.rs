//! Where requests and the ends of connections reach the broker.

use std::sync::{Arc, OnceLock};

use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Requests, Responder};

use super::context::Context;
use super::processor::send::Sends;
use super::processor::{FAMILIES, READING_FAMILIES};
use crate::server::dispatch::Table;
use crate::server::refusal::Refusal;

/// Hands requests to processors, once there is a broker to serve them: its port is known only when it listens already.
pub(crate) struct Dispatcher {
    context: OnceLock<Arc<Context>>,
    table: Table<Context>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self { context: OnceLock::new(), table: Table::new(FAMILIES).and_in_pool(READING_FAMILIES) }
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
            Some(context) => self.table.serve(context, &context.readers, request, responder),
            None => Refusal::busy("the broker is starting").answer(responder),
        }
    }

    /// Sends that stand one behind the other are stored together; all others go by the table.
    fn handle_all(&self, requests: &mut Requests<'_>) {
        let mut sends = self.context.get().map(Sends::new);
        for (request, responder) in requests {
            match &mut sends {
                Some(sends) if is_send(&request) => sends.add(&request, responder),
                Some(sends) => {
                    sends.store();
                    self.handle(request, responder);
                }
                None => self.handle(request, responder),
            }
        }
        if let Some(sends) = &mut sends {
            sends.store();
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

fn is_send(request: &RemotingCommand) -> bool {
    let sends = [RequestCode::SendMessageV2, RequestCode::SendBatchMessage, RequestCode::SendMessage];
    sends.iter().any(|code| code.as_i32() == request.code())
}
