//! Telling the name servers which topics this broker holds: one task a name server, so that a dead one delays nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::kv_table::KvTable;
use rocketmq_protocol::body::register_broker::RegisterBrokerBody;
use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfigTable};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{self, Connection, ConnectionConfig, Handler, RemotingError, Responder};
use rocketmq_protocol::request::{RegisterBrokerRequest, UnregisterBrokerRequest};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::dispatch::not_supported;
use crate::tables::save_queue::ChangeId;
use crate::tables::topic::{Increment, Topic, TopicTable};

/// How long a connection to a name server may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a leaving broker waits for a name server.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// The pauses between attempts to reach a name server that does not answer: they double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How often the store is looked at: one that failed changes the registration.
const LOOK_AT_STORE: Duration = Duration::from_millis(500);
/// How many topics one request may carry: some megabytes at most, where 16 MiB is the longest frame. Java has 800 for this
/// (`splitRegistrationSize`), unless all go in one request.
const TOPICS_IN_A_PART: usize = 10_000;

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
    /// Whether the store failed for good. A full disk is no failure: with one broker, clients would lose the route and with
    /// it the reason.
    pub(crate) has_failed: Box<dyn Fn() -> bool + Send + Sync>,
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
                known: None,
                permission: shared.permission,
            };
            let (stop, crash) = (stop.clone(), crash.clone());
            tasks.spawn(async move { crash.run_until_cancelled(one.run(stop)).await });
            first_attempts.push(first_attempt);
        }
        first_attempts
    }

    /// The bodies that tell a name server of these topics: one, or several with a version each, since a name server takes a
    /// topic's change only with a change of the version. The last one has the right version.
    fn bodies(&self, increment: &Increment, permission: i32) -> Result<Vec<Bytes>, serde_json::Error> {
        let mut version = increment.version;
        // What clients may do is no part of the table, but a change of it is one for the name server.
        version.timestamp += i64::from(permission != self.permission);
        let mut parts: Vec<_> = increment.topics.chunks(TOPICS_IN_A_PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        let bodies = parts.into_iter().enumerate().map(|(number, part)| {
            // Two apart: what a changed permission adds to one must not make it another's.
            let behind = 2 * i64::try_from(last - number).unwrap_or_default();
            body(DataVersion { timestamp: version.timestamp - behind, ..version }, part, permission)
        });
        bodies.collect()
    }

    /// What clients may do with this broker's topics: a store that failed for good takes no messages.
    fn permission_now(&self) -> i32 {
        if (self.has_failed)() { self.permission & !perm::WRITE } else { self.permission }
    }
}

fn body(
    data_version: DataVersion,
    topics: &[Arc<Topic>],
    permission: i32,
) -> Result<Bytes, serde_json::Error> {
    let all = perm::READ | perm::WRITE;
    let config = |topic: &Arc<Topic>| {
        let mut config = topic.config.clone();
        if permission & all != all {
            config.perm &= permission;
        }
        (config.topic_name.clone(), config)
    };
    let topic_config_table = topics.iter().map(config).collect();
    let topic_config_serialize_wrapper = TopicConfigTable { data_version, topic_config_table };
    json::to_vec(&RegisterBrokerBody { topic_config_serialize_wrapper, ..Default::default() })
        .map(Bytes::from)
}

/// The task of one name server.
struct OneNameServer {
    registration: Arc<Registration>,
    addr: String,
    /// The first name server in the list decides which topics are order topics, as in Java.
    sets_order_topics: bool,
    tasks: TaskTracker,
    attempted: Option<oneshot::Sender<()>>,
    /// The last change that the name server knows of; `None` if it is to be told everything.
    known: Option<ChangeId>,
    /// What it was told that clients may do.
    permission: i32,
}

/// What a name server is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Everything,
    /// What changed since it was last told something.
    Changes,
}

impl OneNameServer {
    async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.registration.topics.changes();
        let mut link = Link(None);
        let mut pause = FIRST_PAUSE;
        let mut turn = Turn::Everything;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let registered = tokio::select! {
                registered = self.register(&mut link, turn) => registered,
                () = stop.cancelled() => break,
            };
            match registered {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::warn!(name_server = self.addr, %error, "this broker is not registered there; trying on");
                    link = Link(None);
                    self.known = None;
                }
            }
            if let Some(attempted) = self.attempted.take() {
                // Whoever starts the broker may have stopped waiting.
                let _ = attempted.send(());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                next = self.next_turn(link.0.as_ref(), &mut changes, &mut pause) => turn = next,
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
    ) -> Turn {
        let Some(connection) = connection else {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(LAST_PAUSE);
            return Turn::Everything;
        };
        tokio::select! {
            () = tokio::time::sleep(self.registration.period) => Turn::Everything,
            _ = changes.changed() => Turn::Changes,
            () = self.permission_changed() => Turn::Everything,
            _ = connection.closed() => {
                tokio::time::sleep(FIRST_PAUSE).await;
                Turn::Everything
            }
        }
    }

    async fn permission_changed(&self) {
        while self.registration.permission_now() == self.permission {
            tokio::time::sleep(LOOK_AT_STORE).await;
        }
    }

    async fn register(&mut self, link: &mut Link, turn: Turn) -> Result<(), RegisterError> {
        if link.0.as_ref().is_none_or(Connection::is_closed) {
            self.known = None;
            *link = Link(Some(self.connect().await?));
        }
        let topics = &self.registration.topics;
        let known = self.known.filter(|_| turn == Turn::Changes);
        let increment = known.and_then(|known| topics.since(known)).unwrap_or_else(|| topics.all());
        let permission = self.registration.permission_now();
        for body in self.registration.bodies(&increment, permission)? {
            self.send(link, body).await?;
        }
        (self.known, self.permission) = (Some(increment.up_to), permission);
        Ok(())
    }

    async fn send(&self, link: &Link, body: Bytes) -> Result<(), RegisterError> {
        let Link(Some(live)) = link else { return Ok(()) };
        let identity = &self.registration.identity;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::tables::topic::TopicRules;

    #[test]
    fn many_topics_are_split_and_only_the_last_part_has_the_right_version() {
        let directory = tempfile::tempdir().unwrap();
        let rules = TopicRules {
            cluster_name: "C".into(),
            broker_name: "b".into(),
            auto_create: true,
            default_queue_nums: 8,
            cluster_topic_enable: true,
            broker_topic_enable: true,
            trace_topic: None,
        };
        let topics = TopicTable::open(rules, directory.path(), Clock::default()).unwrap();
        let start = topics.saves().last();
        for number in 0..2 * TOPICS_IN_A_PART + 1 {
            topics.find_or_create(&format!("T{number}"), 1, 0);
        }
        let identity = Identity {
            cluster_name: "C".into(),
            broker_name: "b".into(),
            broker_id: 0,
            broker_addr: "x:1".into(),
            ha_server_addr: "x:2".into(),
        };
        let registration = Registration {
            identity,
            permission: 6,
            has_failed: Box::new(|| false),
            period: LAST_PAUSE,
            timeout: LAST_PAUSE,
            topics: Arc::new(topics),
        };
        assert!(registration.topics.since(start).is_none(), "too long ago: everything is told");
        let all = registration.topics.all();
        let decode =
            |body: &Bytes| RegisterBrokerBody::decode(body, false).unwrap().topic_config_serialize_wrapper;
        let parts: Vec<_> = registration.bodies(&all, 6).unwrap().iter().map(decode).collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts.iter().map(|part| part.topic_config_table.len()).sum::<usize>(), all.topics.len());
        assert_eq!(parts[2].data_version, all.version);
        assert!(parts[0].data_version != parts[1].data_version && parts[1].data_version != all.version);
        let read_only: Vec<_> = registration.bodies(&all, 4).unwrap().iter().map(decode).collect();
        assert_ne!(
            read_only[2].data_version, all.version,
            "a name server takes it only under another version"
        );
        assert!(read_only[0].topic_config_table.values().all(|topic| topic.perm & perm::WRITE == 0));

        let before = registration.topics.saves().last();
        registration.topics.find_or_create("New", 1, 0);
        let increment = registration.topics.since(before).unwrap();
        assert_eq!(increment.topics.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), ["New"]);
        assert_eq!(registration.bodies(&increment, 6).unwrap().len(), 1);
        assert!(registration.topics.since(increment.up_to).unwrap().topics.is_empty());
    }
}
