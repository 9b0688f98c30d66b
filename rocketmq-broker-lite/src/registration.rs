//! Telling the name servers which topics this broker holds: one task a name server, so that a dead one delays nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::kv_table::KvTable;
use rocketmq_protocol::body::register_broker::RegisterBrokerBody;
use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{self, Connection, ConnectionConfig, Handler, RemotingError, Responder};
use rocketmq_protocol::request::{RegisterBrokerRequest, UnregisterBrokerRequest};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::dispatch::not_supported;
use crate::tables::topic::TopicTable;

/// How long a connection to a name server may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a leaving broker waits for a name server.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// The pauses between attempts to reach a name server that does not answer: they double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Who this broker is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its cluster.
    pub(crate) cluster_name: ByteString,
    /// Its name.
    pub(crate) broker_name: ByteString,
    /// Its number among the brokers of that name.
    pub(crate) broker_id: i64,
    /// Where clients reach it.
    pub(crate) broker_addr: ByteString,
    /// Where slaves would reach it.
    pub(crate) ha_server_addr: ByteString,
}

/// What the registrations need.
pub(crate) struct Registration {
    /// Who registers.
    pub(crate) identity: Identity,
    /// What clients may do with this broker's topics: see [`perm`].
    pub(crate) permission: i32,
    /// How often to register.
    pub(crate) period: Duration,
    /// How long a name server may take.
    pub(crate) timeout: Duration,
    /// What to register.
    pub(crate) topics: Arc<TopicTable>,
}

/// Why a name server does not have this broker.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error(transparent)]
    Remoting(#[from] RemotingError),
    #[error("it answers code {code}: {remark}")]
    Refused { code: i32, remark: String },
    #[error("the topics cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Registration {
    /// Starts registering at each of the name servers until `stop`, when it unregisters, or `crash`, when it just ends.
    /// The receivers tell when each name server's first attempt is over.
    pub(crate) fn start<'a>(
        self,
        name_servers: impl Iterator<Item = &'a str>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        crash: &CancellationToken,
    ) -> Vec<oneshot::Receiver<()>> {
        let shared = Arc::new(self);
        let mut first_attempts = Vec::new();
        for (index, addr) in name_servers.enumerate() {
            let (attempted, first_attempt) = oneshot::channel();
            let one = OneNameServer {
                registration: Arc::clone(&shared),
                addr: addr.to_owned(),
                sets_order_topics: index == 0,
                tasks: tasks.clone(),
                attempted: Some(attempted),
            };
            let (stop, crash) = (stop.clone(), crash.clone());
            tasks.spawn(async move { crash.run_until_cancelled(one.run(stop)).await });
            first_attempts.push(first_attempt);
        }
        first_attempts
    }

    fn body(&self) -> Result<Bytes, serde_json::Error> {
        let mut topics = self.topics.snapshot();
        let all = perm::READ | perm::WRITE;
        if self.permission & all != all {
            topics.topic_config_table.values_mut().for_each(|topic| topic.perm = self.permission);
        }
        let body =
            RegisterBrokerBody { topic_config_serialize_wrapper: topics, ..RegisterBrokerBody::default() };
        json::to_vec(&body).map(Bytes::from)
    }
}

/// The task of one name server.
struct OneNameServer {
    registration: Arc<Registration>,
    addr: String,
    /// The first name server in the list decides which topics are order topics, as in Java.
    sets_order_topics: bool,
    tasks: TaskTracker,
    attempted: Option<oneshot::Sender<()>>,
}

impl OneNameServer {
    async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.registration.topics.changes();
        let mut link = Link(None);
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let registered = tokio::select! {
                registered = self.register(&mut link) => registered,
                () = stop.cancelled() => break,
            };
            match registered {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(name_server = self.addr, %error, "this broker is not registered there; trying on");
                    link = Link(None);
                }
            }
            if let Some(attempted) = self.attempted.take() {
                // Whoever starts the broker may have stopped waiting.
                let _ = attempted.send(());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.next_turn(link.0.as_ref(), &mut changes, &mut pause) => {}
            }
        }
        self.unregister(link).await;
    }

    /// Waits until it is time to register again: after the period or at once when the topics change or the name server
    /// goes away; after a growing pause if it is not there.
    async fn next_turn(
        &self,
        connection: Option<&Connection>,
        changes: &mut watch::Receiver<impl Sized>,
        pause: &mut Duration,
    ) {
        let Some(connection) = connection else {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(LAST_PAUSE);
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(self.registration.period) => {}
            _ = changes.changed() => {}
            _ = connection.closed() => tokio::time::sleep(FIRST_PAUSE).await,
        }
    }

    async fn register(&self, link: &mut Link) -> Result<(), RegisterError> {
        if link.0.as_ref().is_none_or(Connection::is_closed) {
            *link = Link(Some(self.connect().await?));
        }
        let Link(Some(live)) = link else { return Ok(()) };
        let identity = &self.registration.identity;
        let body = self.registration.body()?;
        let request = RegisterBrokerRequest {
            broker_name: identity.broker_name.clone(),
            broker_addr: identity.broker_addr.clone(),
            cluster_name: identity.cluster_name.clone(),
            ha_server_addr: identity.ha_server_addr.clone(),
            broker_id: identity.broker_id,
            compressed: Some(false),
            body_crc32: Some((crc32fast::hash(&body) & 0x7FFF_FFFF).cast_signed()),
            heartbeat_timeout_millis: None,
        };
        let answer = live.invoke(&request, body, self.registration.timeout).await?;
        if !answer.is_success() {
            let remark = answer.remark().unwrap_or_default().to_owned();
            return Err(RegisterError::Refused { code: answer.code(), remark });
        }
        self.take_order_topics(&answer);
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, RemotingError> {
        let handler = Arc::new(NoRequests);
        remoting::connect(&self.addr, CONNECT_TIMEOUT, ConnectionConfig::default(), handler, &self.tasks)
            .await
    }

    fn take_order_topics(&self, answer: &RemotingCommand) {
        if !self.sets_order_topics || answer.body().is_empty() {
            return;
        }
        match json::from_slice::<KvTable>(answer.body()) {
            Ok(order) => self.registration.topics.set_order_topics(order.table.keys().map(String::as_str)),
            Err(error) => tracing::warn!(name_server = self.addr, %error, "the order topics cannot be read"),
        }
    }

    async fn unregister(&self, link: Link) {
        let Some(connection) = &link.0 else { return };
        let identity = &self.registration.identity;
        let request = UnregisterBrokerRequest {
            broker_name: identity.broker_name.clone(),
            broker_addr: identity.broker_addr.clone(),
            cluster_name: identity.cluster_name.clone(),
            broker_id: identity.broker_id,
        };
        if let Err(error) = connection.invoke(&request, Bytes::new(), UNREGISTER_TIMEOUT).await {
            tracing::warn!(name_server = self.addr, %error, "this broker could not unregister");
        }
    }
}

/// The connection to a name server, if there is one. It ends with this value: a connection does not end by itself when
/// its last handle is dropped.
struct Link(Option<Connection>);

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.close("the broker ends this connection");
        }
    }
}

/// A name server sends no requests to brokers that this release knows.
struct NoRequests;

impl Handler for NoRequests {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        not_supported(&request).answer(responder);
    }
}
