//! What all producers and consumers of one client id share: connections, routes, heartbeats.

mod door;
mod duties;
mod groups;
mod identity;
mod inbound;
mod membership;
mod name_servers;
mod registry;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{TopicRouteData, perm};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::{Request, RouteInfoRequest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ClientConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::route::{RouteTable, TopicRoute};

use groups::Groups;
use identity::MessageIds;
use name_servers::NameServers;

pub(crate) use door::{Answer, Door};
pub(crate) use groups::{ConsumerMember, ProducerMember};
pub(crate) use identity::now_ms;
pub(crate) use membership::Membership;
pub(crate) use supervise::{Panic, guarded, guarded_async, supervised};

/// How an unknown topic is to be created by the first send to it.
#[derive(Clone, Debug)]
pub(crate) struct AutoCreate {
    /// The topic whose brokers and settings it gets.
    pub(crate) key: ByteString,
    /// How many queues it gets at the most.
    pub(crate) queue_nums: i32,
}

pub(crate) struct ClientInstance {
    client_id: ByteString,
    config: ClientConfig,
    name_servers: NameServers,
    door: Door,
    routes: RouteTable,
    /// One lock for each topic whose route is being asked for, so that a crowd asks once.
    route_queries: DashMap<ByteString, Arc<tokio::sync::Mutex<()>>>,
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
        let ip = identity::local_ip(&name_servers[0]).await;
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
        let tasks = TaskTracker::new();
        let instance = Arc::new(Self {
            client_id,
            name_servers: NameServers::new(name_servers),
            door: Door::new(config.connect_timeout, tasks.clone()),
            routes: RouteTable::default(),
            route_queries: DashMap::new(),
            message_ids: ids,
            groups: Groups::default(),
            routes_doubted: Notify::new(),
            stop: CancellationToken::new(),
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

    // --- routes -------------------------------------------------------------------------------------------------

    /// The known route of a topic, or else the name server's.
    pub(crate) async fn route(
        &self,
        topic: &ByteString,
        create: Option<&AutoCreate>,
    ) -> Result<Arc<TopicRoute>> {
        if let Some(route) = self.routes.get(topic) {
            return Ok(route);
        }
        let query = Arc::clone(&self.route_queries.entry(topic.clone()).or_default());
        let asked = {
            let _asking = query.lock().await;
            match self.routes.get(topic) {
                Some(route) => Ok(route),
                None => self.refresh_route(topic, create).await,
            }
        };
        self.route_queries.remove_if(topic, |_, lock| Arc::strong_count(lock) <= 2);
        asked
    }

    /// Asks the name server for a topic's route. For a topic that is unknown there, `create` says from which topic's
    /// brokers it may be made.
    pub(crate) async fn refresh_route(
        &self,
        topic: &ByteString,
        create: Option<&AutoCreate>,
    ) -> Result<Arc<TopicRoute>> {
        let mut data = self.query_route(topic).await?;
        if let (None, Some(create)) = (&data, create) {
            data = self.query_route(&create.key).await?.map(|data| route_to_create(data, create.queue_nums));
        }
        let Some(data) = data else {
            return Err(self.no_route(topic, create));
        };
        let (route, changed) = self.routes.update(topic, data);
        if changed {
            tracing::debug!(%topic, publish = route.publish.len(), subscribe = route.subscribe.len(), "new route");
            self.rebalance_all();
        }
        Ok(route)
    }

    /// Something about the routes seems wrong: they are asked for anew at once.
    pub(crate) fn doubt_routes(&self) {
        self.routes_doubted.notify_one();
    }

    async fn query_route(&self, topic: &ByteString) -> Result<Option<TopicRouteData>> {
        let request = RouteInfoRequest { topic: topic.clone(), accept_standard_json_only: Some(true) };
        let answer = self
            .name_servers
            .call(
                &self.door,
                &request,
                self.api_timeout(),
                &[ResponseCode::Success, ResponseCode::TopicNotExist],
            )
            .await
            .map_err(|error| error.of_topic(&**topic))?;
        if answer.code == ResponseCode::TopicNotExist {
            return Ok(None);
        }
        let route = json::from_slice(&answer.body);
        route
            .map(Some)
            .map_err(|error| Error::bad_answer("the name server's route", error).of_topic(&**topic))
    }

    fn no_route(&self, topic: &str, create: Option<&AutoCreate>) -> Error {
        let servers = self.name_servers.addresses().join(";");
        let advice = match create {
            Some(create) => format!(
                "nor is there {} to create it from: create the topic, or set autoCreateTopicEnable=true at a broker that is \
                 registered there",
                create.key
            ),
            None => "create the topic, or check that its brokers are registered there".to_owned(),
        };
        let message = format!(
            "No route info of this topic: {topic}. The name servers [{servers}] answered that they do not know it; {advice}"
        );
        Error::new(ErrorKind::NoRoute, message)
            .of_topic(topic)
            .with_code(ResponseCode::TopicNotExist.as_i32())
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
        self.door.close("the client was shut down");
    }
}

/// The route of a topic that the first send creates: that of the template, with fewer queues.
fn route_to_create(mut template: TopicRouteData, queue_nums: i32) -> TopicRouteData {
    for queues in &mut template.queue_datas {
        let nums = queue_nums.min(queues.read_queue_nums);
        queues.read_queue_nums = nums;
        queues.write_queue_nums = nums;
        queues.perm &= !perm::INHERIT;
    }
    template
}
