//! From a request's code to its processor.

use std::sync::{Arc, OnceLock};

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Requests, Responder};

use super::context::Context;
use super::processor::send::Sends;
use super::processor::{client, consumer, pull, queue_offset, send_back};
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
                let mut sends = Sends::new(context);
                sends.add(&request, responder);
                sends.store();
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

    /// Sends that stand one behind the other are stored together.
    fn handle_all(&self, requests: &mut Requests<'_>) {
        let mut sends = self.0.get().map(Sends::new);
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
        let Some(context) = self.0.get() else { return };
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

/// Java's answer to a code that it does not know; here also to those that this release does not have yet.
fn not_supported(request: &RemotingCommand, responder: Responder) {
    let remark = format!(" request type {} not supported", request.code());
    Refusal::new(ResponseCode::RequestCodeNotSupported, remark).answer(responder);
}
