//! From a request's code to its processor.

use std::sync::{Arc, OnceLock};

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};

use super::context::Context;
use super::processor::{client, consumer, pull, queue_offset, send, send_back};
use super::refusal::Refusal;

/// Hands requests to processors, once there is a broker to serve them: its port is known only when it listens already.
#[derive(Default)]
pub(crate) struct Dispatcher(OnceLock<Arc<Context>>);

impl Dispatcher {
    /// Begins to serve.
    pub(crate) fn serve(&self, context: Arc<Context>) {
        // Called once; a second call would change nothing.
        let _ = self.0.set(context);
    }
}

impl Handler for Dispatcher {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        let Some(context) = self.0.get() else {
            return Refusal::new(ResponseCode::SystemBusy, "the broker is starting").answer(responder);
        };
        match RequestCode::from_i32(request.code()) {
            Some(RequestCode::SendMessage | RequestCode::SendMessageV2 | RequestCode::SendBatchMessage) => {
                send::handle(context, &request, responder);
            }
            Some(RequestCode::PullMessage) => pull::handle(context, &request, responder),
            Some(RequestCode::ConsumerSendMsgBack) => send_back::handle(context, &request, responder),
            Some(RequestCode::HeartBeat) => client::heartbeat(context, &request, responder),
            Some(RequestCode::UnregisterClient) => client::unregister(context, &request, responder),
            Some(RequestCode::CheckClientConfig) => client::check_config(&request, responder),
            Some(RequestCode::GetConsumerListByGroup) => consumer::list(context, &request, responder),
            Some(RequestCode::QueryConsumerOffset) => consumer::query_offset(context, &request, responder),
            Some(RequestCode::UpdateConsumerOffset) => consumer::update_offset(context, &request, responder),
            Some(RequestCode::SearchOffsetByTimestamp) => queue_offset::search(context, &request, responder),
            Some(RequestCode::GetMaxOffset) => queue_offset::max(context, &request, responder),
            Some(RequestCode::GetMinOffset) => queue_offset::min(context, &request, responder),
            Some(RequestCode::GetEarliestMsgStoreTime) => {
                queue_offset::earliest(context, &request, responder)
            }
            _ => not_supported(&request, responder),
        }
    }

    fn disconnected(&self, connection: &Connection, cause: &str) {
        let Some(context) = self.0.get() else { return };
        tracing::debug!(peer = %connection.peer_addr(), cause, "a client is gone");
        context.held.disconnected(connection);
        context.producers.disconnected(connection);
        for group in context.consumers.disconnected(connection) {
            context.notify_consumers(&group);
        }
    }
}

/// Java's answer to a code that it does not know; here also to those that this release does not have yet.
fn not_supported(request: &RemotingCommand, responder: Responder) {
    let remark = format!(" request type {} not supported", request.code());
    Refusal::new(ResponseCode::RequestCodeNotSupported, remark).answer(responder);
}
