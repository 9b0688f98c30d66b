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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientConfig;
    use crate::instance::ConsumerMember;
    use bytes::Bytes;
    use rocketmq_protocol::ByteString;
    use rocketmq_protocol::body::heartbeat::{ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel};
    use rocketmq_protocol::header::NoFields;
    use rocketmq_protocol::remoting::{Listener, ListenerConfig};
    use rocketmq_protocol::request::HeartbeatRequest;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use tokio_util::task::TaskTracker;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Tells the test of its connection.
    struct Peer(mpsc::UnboundedSender<Connection>);

    impl Handler for Peer {
        fn connected(&self, connection: &Connection) {
            self.0.send(connection.clone()).unwrap();
        }

        fn handle(&self, _: RemotingCommand, responder: Responder) {
            responder.success(&NoFields, Bytes::new());
        }
    }

    /// Panics in its first rebalance.
    struct Member {
        group: ByteString,
        panicked: AtomicBool,
        rebalanced: mpsc::UnboundedSender<()>,
    }

    impl ConsumerMember for Member {
        fn consumer_group(&self) -> &ByteString {
            &self.group
        }

        fn consumer_data(&self) -> ConsumerData {
            ConsumerData {
                group_name: self.group.to_string(),
                consume_type: ConsumeType::ConsumePassively,
                message_model: MessageModel::Clustering,
                consume_from_where: ConsumeFromWhere::LastOffset,
                subscription_data_set: Vec::new(),
                unit_mode: false,
            }
        }

        fn rebalance_soon(&self) {
            assert!(self.panicked.swap(true, Ordering::Relaxed), "as the test wants it");
            self.rebalanced.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_member_that_panics_costs_one_request_and_no_connection() {
        let (connected, mut connections) = mpsc::unbounded_channel();
        let any = "127.0.0.1:0".parse().unwrap();
        let peer = Arc::new(Peer(connected));
        let listener =
            Listener::bind(any, ListenerConfig::default(), peer, TaskTracker::new()).await.unwrap();
        let addr = listener.local_addr().to_string();
        let config = ClientConfig { namesrv_addr: Some(addr.clone()), ..ClientConfig::default() };
        let membership = ClientInstance::join(&config).await.unwrap();
        let (rebalanced, mut rebalances) = mpsc::unbounded_channel();
        let member = Arc::new(Member { group: "g".into(), panicked: AtomicBool::new(false), rebalanced });
        let weak: Weak<dyn ConsumerMember> = Arc::<Member>::downgrade(&member);
        membership.enroll_consumer(weak).unwrap();

        let beat = || membership.call(&addr, &HeartbeatRequest, Bytes::new(), PATIENCE);
        beat().await.unwrap();
        let to_client = connections.recv().await.unwrap();
        for _ in 0..2 {
            let changed = NotifyConsumerIdsChanged { consumer_group: "g".into() };
            to_client.try_oneway(&changed, Bytes::new()).unwrap();
        }
        tokio::time::timeout(PATIENCE, rebalances.recv()).await.unwrap().unwrap();
        beat().await.unwrap();
        assert!(connections.try_recv().is_err(), "one connection is enough");
        membership.leave().await;
    }
}
