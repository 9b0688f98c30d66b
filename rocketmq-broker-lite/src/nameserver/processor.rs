//! What the name server answers: parse, ask the route table, answer.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::{RegisterBodyError, RegisterBrokerBody};
use rocketmq_protocol::body::topic_config::DataVersion;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};
use rocketmq_protocol::request::{
    QueryDataVersionRequest, QueryDataVersionResponse, RegisterBrokerRequest, RegisterBrokerResponse,
    RouteInfoRequest, UnregisterBrokerRequest,
};
use tokio::sync::Notify;

use super::route_table::{Registration, RouteTable};
use crate::clock::Clock;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request, Table};
use crate::server::refusal::{FAQ, Refusal};

/// From this version on (V4_9_4) clients are answered in strict JSON.
const STRICT_JSON_VERSION: i32 = 401;

/// The route table, and the answers to what is asked of it.
#[derive(Debug)]
pub(super) struct Processor {
    table: RwLock<RouteTable<Connection>>,
    clock: Clock,
    /// Told of each registration.
    registered: Notify,
}

impl Processor {
    pub(super) fn new(silence_limit: Duration, clock: Clock) -> Self {
        Self { table: RwLock::new(RouteTable::new(silence_limit)), clock, registered: Notify::new() }
    }

    /// Removes the brokers that were silent for too long, and closes their connections.
    pub(super) fn expire(&self) {
        let expired = self.write().expire(self.clock.now_ms());
        for (addr, connection) in expired {
            tracing::warn!(%addr, "the broker was silent for too long");
            connection.close("the broker was silent for too long");
        }
    }

    /// Waits until the broker of that address is registered.
    pub(super) async fn wait_for(&self, broker_addr: &str) {
        loop {
            let registered = self.registered.notified();
            tokio::pin!(registered);
            // Enabled before the look: a registration between the two is not missed.
            registered.as_mut().enable();
            if self.read().knows(broker_addr) {
                return;
            }
            registered.await;
        }
    }

    /// All brokers, and which belong to which cluster.
    pub(super) fn cluster_info(&self) -> ClusterInfo {
        self.read().cluster_info()
    }

    fn register_broker(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: RegisterBrokerRequest = request.header()?;
        let wanted_crc = header.body_crc32.unwrap_or(0);
        if wanted_crc != 0 && wanted_crc != body_crc32(request.body()) {
            return Err(Refusal::system("crc32 not match"));
        }
        let body = RegisterBrokerBody::decode(request.body(), header.compressed.unwrap_or(false))?;
        let timeout_ms = header.heartbeat_timeout_millis.and_then(|millis| u64::try_from(millis).ok());
        let registration = Registration {
            cluster: header.cluster_name.to_string(),
            broker_name: header.broker_name.to_string(),
            broker_id: header.broker_id,
            broker_addr: header.broker_addr.to_string(),
            ha_server_addr: header.ha_server_addr.to_string(),
            heartbeat_timeout: timeout_ms.map(Duration::from_millis),
            topics: body.topic_config_serialize_wrapper,
        };
        let master = self.write().register(registration, request.connection().clone(), self.clock.now_ms());
        self.registered.notify_waiters();
        let answer = RegisterBrokerResponse {
            ha_server_addr: master.ha_server_addr.map(Into::into),
            master_addr: master.addr.map(Into::into),
        };
        Ok(Answer::fields(answer))
    }

    fn unregister_broker(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: UnregisterBrokerRequest = request.header()?;
        self.write().unregister(&header.broker_name, &header.broker_addr);
        Ok(Answer::ok())
    }

    fn query_data_version(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: QueryDataVersionRequest = request.header()?;
        let asked: DataVersion = json::from_slice(request.body())?;
        let now_ms = self.clock.now_ms();
        let (changed, known) = self.write().query_data_version(&header.broker_addr, asked, now_ms);
        let body = known.map(|version| json::to_vec(&version)).transpose()?.unwrap_or_default();
        Ok(Answer::with(QueryDataVersionResponse { changed }, body))
    }

    fn route_info(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: RouteInfoRequest = request.header()?;
        let route = self.read().route(&header.topic).ok_or_else(|| no_route(&header.topic))?;
        let strict =
            request.version() >= STRICT_JSON_VERSION || header.accept_standard_json_only == Some(true);
        let body = if strict { json::to_vec(&route)? } else { json::to_fastjson(&route)? };
        Ok(Answer::body(body))
    }

    fn broker_cluster_info(self: &Arc<Self>, _: &Request<'_>) -> Result<Answer, Refusal> {
        Ok(Answer::body(json::to_fastjson(&self.cluster_info())?))
    }

    // The table is whole after a panic too: each of its changes is a few insertions and removals that cannot panic.
    fn read(&self) -> RwLockReadGuard<'_, RouteTable<Connection>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RouteTable<Connection>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the name server answers.
const FAMILY: Family<Processor> = &[
    (RequestCode::RegisterBroker, Processor::register_broker),
    (RequestCode::UnregisterBroker, Processor::unregister_broker),
    (RequestCode::QueryDataVersion, Processor::query_data_version),
    (RequestCode::GetRouteInfoByTopic, Processor::route_info),
    (RequestCode::GetBrokerClusterInfo, Processor::broker_cluster_info),
];

/// Where requests and the ends of connections reach the name server.
pub(super) struct Dispatcher {
    processor: Arc<Processor>,
    table: Table<Processor>,
}

impl Dispatcher {
    pub(super) fn new(processor: Arc<Processor>) -> Self {
        Self { processor, table: Table::new(&[FAMILY]) }
    }
}

impl Handler for Dispatcher {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        self.table.serve(&self.processor, &request, responder);
    }

    /// A broker whose connection ends is gone at once.
    fn disconnected(&self, connection: &Connection, cause: &str) {
        for addr in self.processor.write().connection_closed(connection) {
            tracing::info!(%addr, cause, "the broker's connection ended: it is forgotten");
        }
    }
}

/// Java's words.
fn no_route(topic: &str) -> Refusal {
    let remark = format!("No topic route info in name server for the topic: {topic}{FAQ}");
    Refusal::new(ResponseCode::TopicNotExist, remark)
}

impl From<RegisterBodyError> for Refusal {
    fn from(error: RegisterBodyError) -> Self {
        Self::system(error)
    }
}

/// The CRC-32 of a body as Java sends it: without the sign bit.
fn body_crc32(body: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or_default()
}
