//! The requests that brokers send to a client. They are answered by a task of their own: nothing that a member does may
//! hold up the connection that brought the request.

use std::sync::{Arc, Weak};

use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};
use rocketmq_protocol::request::NotifyConsumerIdsChanged;
use tokio::sync::mpsc;

use super::ClientInstance;
use super::supervise::guarded;

/// How many requests may wait for the task; further ones are refused as busy.
const WAITING_MAX: usize = 1024;

/// A request and the way back for its answer.
type Inbound = (RemotingCommand, Responder);

/// Takes requests off the connections.
pub(super) struct Reception {
    instance: Weak<ClientInstance>,
    waiting: mpsc::Sender<Inbound>,
}

impl Reception {
    /// Begins to take requests, until the instance ends.
    pub(super) fn open(instance: &Arc<ClientInstance>) -> Arc<Self> {
        let (waiting, requests) = mpsc::channel(WAITING_MAX);
        instance.tasks.spawn(answer_all(Arc::clone(instance), requests));
        Arc::new(Self { instance: Arc::downgrade(instance), waiting })
    }
}

impl Handler for Reception {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        if let Err(refused) = self.waiting.try_send((request, responder)) {
            let (request, responder) = refused.into_inner();
            responder.error(
                ResponseCode::SystemBusy,
                format!("request {} has to wait: too many do", request.code()),
            );
        }
    }

    fn disconnected(&self, connection: &Connection, cause: &str) {
        let Some(instance) = self.instance.upgrade() else { return };
        if !instance.stop.is_cancelled() {
            tracing::debug!(peer = %connection.peer_addr(), cause, "a connection ended");
            instance.doubt_routes();
        }
    }
}

async fn answer_all(instance: Arc<ClientInstance>, mut requests: mpsc::Receiver<Inbound>) {
    loop {
        tokio::select! {
            biased;
            () = instance.stop.cancelled() => return,
            request = requests.recv() => {
                let Some((request, responder)) = request else { return };
                // A responder that is dropped by a panic answers with an error. The panic itself is logged.
                let _ = guarded("a broker's request", || answer(&instance, &request, responder));
            }
        }
    }
}

fn answer(instance: &ClientInstance, request: &RemotingCommand, responder: Responder) {
    match RequestCode::from_i32(request.code()) {
        Some(RequestCode::NotifyConsumerIdsChanged) => {
            responder.forget();
            let Ok(changed) = request.header::<NotifyConsumerIdsChanged>() else { return };
            if let Some(member) = instance.groups.consumer(&changed.consumer_group) {
                member.rebalance_soon();
            }
        }
        _ => {
            let remark = format!(" request type {} not supported", request.code());
            responder.error(ResponseCode::RequestCodeNotSupported, remark);
        }
    }
}
