//! What all producers and consumers of one client id share: connections, routes, heartbeats.

mod connections;
mod duties;
mod identity;
mod inbound;
mod membership;
mod name_servers;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::ConsumerData;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{TopicRouteData, perm};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::request::{Request, RouteInfoRequest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ClientConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::route::{RouteTable, TopicRoute};

use connections::Connections;
use identity::MessageIds;
use name_servers::NameServers;

pub(crate) use identity::now_ms;
pub(crate) use membership::Membership;

/// A consumer as its instance sees it.
pub(crate) trait GroupMember: Send + Sync {
    /// What heartbeats say of it.
    fn consumer_data(&self) -> ConsumerData;

    /// The group or a route has changed.
    fn rebalance_soon(&self);
}

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
    connections: Connections,
    routes: RouteTable,
    /// One lock for each topic whose route is being asked for, so that a crowd asks once.
    route_queries: DashMap<ByteString, Arc<tokio::sync::Mutex<()>>>,
    message_ids: MessageIds,
    groups: Mutex<Groups>,
    /// Wakes the route duty before its time.
    routes_doubted: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Groups {
    producers: BTreeSet<String>,
    consumers: BTreeMap<String, Weak<dyn GroupMember>>,
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
            connections: Connections::new(config.connect_timeout, tasks.clone()),
            routes: RouteTable::default(),
            route_queries: DashMap::new(),
            message_ids: ids,
            groups: Mutex::default(),
            routes_doubted: Notify::new(),
            stop: CancellationToken::new(),
            tasks,
            config,
        });
        instance.connections.set_handler(Arc::new(inbound::Inbound::new(&instance)));
        duties::spawn(&instance);
        instance
    }

    pub(crate) fn client_id(&self) -> &ByteString {
        &self.client_id
    }

    pub(crate) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
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

    /// Sends a request to a broker; any answer but success is an error.
    pub(crate) async fn call<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<RemotingCommand> {
        let answer = self.connections.invoke(addr, request, body, timeout).await?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(Error::broker(answer.code(), answer.remark(), addr)),
        }
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
        let answer = self.name_servers.invoke(&self.connections, &request, self.api_timeout()).await?;
        if answer.code() == ResponseCode::TopicNotExist.as_i32() {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(Error::broker(answer.code(), answer.remark(), "the name server").of_topic(&**topic));
        }
        let route = json::from_slice(answer.body());
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

    // --- groups -------------------------------------------------------------------------------------------------

    /// A group has one producer in an instance.
    pub(crate) fn add_producer(&self, group: &str) -> Result<()> {
        match self.groups().producers.insert(group.to_owned()) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("The producer group[{group}] has been created before, specify another name please."),
            )),
        }
    }

    pub(crate) fn add_consumer(&self, group: &str, member: Weak<dyn GroupMember>) -> Result<()> {
        let mut groups = self.groups();
        if groups.consumers.contains_key(group) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("The consumer group[{group}] has been created before, specify another name please."),
            ));
        }
        groups.consumers.insert(group.to_owned(), member);
        Ok(())
    }

    pub(crate) fn remove_producer(&self, group: &str) {
        self.groups().producers.remove(group);
    }

    pub(crate) fn remove_consumer(&self, group: &str) {
        self.groups().consumers.remove(group);
    }

    fn consumers(&self) -> Vec<Arc<dyn GroupMember>> {
        self.groups().consumers.values().filter_map(Weak::upgrade).collect()
    }

    fn rebalance_all(&self) {
        for consumer in self.consumers() {
            consumer.rebalance_soon();
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the end ------------------------------------------------------------------------------------------------

    /// Ends connections and duties, without waiting.
    fn close(&self) {
        self.stop.cancel();
        self.connections.close("the client was shut down");
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
