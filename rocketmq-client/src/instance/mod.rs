//! What all producers and consumers of one client id share: connections, routes, heartbeats.

mod discovery;
mod door;
mod duties;
mod ending;
mod groups;
mod identity;
mod inbound;
mod membership;
mod name_servers;
mod registry;
mod single_flight;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::request::Request;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ClientConfig;
use crate::error::Result;
use crate::route::RouteTable;

use discovery::Questions;
use groups::Groups;
use identity::MessageIds;
use name_servers::NameServers;

pub(crate) use discovery::AutoCreate;
pub(crate) use door::{Answer, Door, Judged, Underway, Way};
pub(crate) use ending::Ending;
pub use ending::ShutdownReport;
pub(crate) use groups::{ConsumerMember, ProducerMember};
pub(crate) use identity::now_ms;
pub(crate) use membership::Membership;
pub(crate) use supervise::{Panic, guarded, guarded_async, supervised};

pub(crate) struct ClientInstance {
    client_id: ByteString,
    config: ClientConfig,
    name_servers: NameServers,
    door: Door,
    routes: RouteTable,
    questions: Questions,
    message_ids: MessageIds,
    groups: Groups,
    /// Wakes the route duty before its time.
    routes_doubted: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ClientInstance {
    /// The instance for that configuration: a running one if client id, name servers and runtime are the same.
    pub(crate) async fn join(config: &ClientConfig) -> Result<Membership> {
        let name_servers = config.name_servers()?;
        let ip = identity::local_ip(&name_servers, config.mq_client_api_timeout).await;
        let client_id = identity::client_id(config, ip);
        let start = || {
            Self::start(client_id.clone().into(), config.clone(), name_servers.clone(), MessageIds::new(ip))
        };
        if config.instance_name.is_none() {
            // The id is this client's own: there is nobody to share with.
            return Ok(Membership::first(start()));
        }
        Ok(registry::join(&client_id, &name_servers, start))
    }

    fn start(
        client_id: ByteString,
        config: ClientConfig,
        name_servers: Vec<String>,
        ids: MessageIds,
    ) -> Arc<Self> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let instance = Arc::new(Self {
            client_id,
            name_servers: NameServers::new(name_servers),
            door: Door::new(config.connect_timeout, tasks.clone(), stop.clone()),
            routes: RouteTable::default(),
            questions: Questions::default(),
            message_ids: ids,
            groups: Groups::default(),
            routes_doubted: Notify::new(),
            stop,
            tasks,
            config,
        });
        instance.door.set_handler(inbound::Reception::open(&instance));
        duties::spawn(&instance);
        instance
    }

    pub(crate) fn client_id(&self) -> &ByteString {
        &self.client_id
    }

    pub(crate) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Where every request goes out.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Ends with the instance.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn next_message_id(&self, now_ms: i64) -> String {
        self.message_ids.next_id(now_ms)
    }

    pub(crate) fn api_timeout(&self) -> Duration {
        self.config.mq_client_api_timeout
    }

    /// Sends a request to a broker and waits for its answer; any code but success is an error.
    pub(crate) async fn call<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer<R::Response>> {
        self.door.call(addr, request, body, timeout).await
    }

    /// Something about the routes seems wrong: they are asked for anew at once.
    pub(crate) fn doubt_routes(&self) {
        self.routes_doubted.notify_one();
    }

    fn rebalance_all(&self) {
        for consumer in self.groups.consumers() {
            consumer.rebalance_soon();
        }
    }

    // --- the end ------------------------------------------------------------------------------------------------

    /// Ends connections and duties, without waiting.
    fn close(&self) {
        self.stop.cancel();
        self.door.close();
    }
}
