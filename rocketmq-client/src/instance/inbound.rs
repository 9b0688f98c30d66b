//! The requests that brokers send to a client.

use std::sync::{Arc, Weak};

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};
use rocketmq_protocol::request::NotifyConsumerIdsChanged;

use super::ClientInstance;

pub(super) struct Inbound(Weak<ClientInstance>);

impl Inbound {
    pub(super) fn new(instance: &Arc<ClientInstance>) -> Self {
        Self(Arc::downgrade(instance))
    }
}

impl Handler for Inbound {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        match RequestCode::from_i32(request.code()) {
            Some(RequestCode::NotifyConsumerIdsChanged) => {
                responder.forget();
                let Ok(changed) = request.header::<NotifyConsumerIdsChanged>() else { return };
                let Some(instance) = self.0.upgrade() else { return };
                let member =
                    instance.groups().consumers.get(&*changed.consumer_group).and_then(Weak::upgrade);
                if let Some(member) = member {
                    member.rebalance_soon();
                }
            }
            _ => {
                let remark = format!(" request type {} not supported", request.code());
                responder.error(ResponseCode::RequestCodeNotSupported, remark);
            }
        }
    }

    fn disconnected(&self, connection: &Connection, cause: &str) {
        let Some(instance) = self.0.upgrade() else { return };
        if !instance.stop.is_cancelled() {
            tracing::debug!(peer = %connection.peer_addr(), cause, "a connection ended");
            instance.doubt_routes();
        }
    }
}
