//! What the name server answers: parse, ask the route table, answer.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::body::cluster::{BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, TopicList};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::{RegisterBodyError, RegisterBrokerBody};
use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::body::topic_config::DataVersion;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::{HeaderError, HeaderFields, NoFields};
use rocketmq_protocol::remoting::{Connection, Handler, Responder};
use rocketmq_protocol::request::{
    BrokerHeartbeatRequest, BrokerMemberGroupRequest, DeleteTopicInNamesrvRequest, QueryDataVersionRequest,
    QueryDataVersionResponse, RegisterBrokerRequest, RegisterBrokerResponse, RegisterTopicRequest,
    RouteInfoRequest, UnregisterBrokerRequest,
};
use tokio::sync::Notify;

use super::limits::{LimitError, Limits};
use super::route_table::{Registration, RouteTable};
use crate::clock::Clock;

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
        Self {
            table: RwLock::new(RouteTable::new(silence_limit, Limits::default())),
            clock,
            registered: Notify::new(),
        }
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

    fn register_broker(
        &self,
        request: &RemotingCommand,
        connection: &Connection,
    ) -> Answer<RegisterBrokerResponse> {
        let header: RegisterBrokerRequest = request.header()?;
        let wanted_crc = header.body_crc32.unwrap_or(0);
        if wanted_crc != 0 && wanted_crc != body_crc32(request.body()) {
            return Err(Refused::system("crc32 not match"));
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
        let master = self.write().register(&registration, connection.clone(), self.clock.now_ms())?;
        self.registered.notify_waiters();
        let answer = RegisterBrokerResponse {
            ha_server_addr: master.ha_server_addr.map(Into::into),
            master_addr: master.addr.map(Into::into),
        };
        Ok((answer, Bytes::new()))
    }

    fn unregister_broker(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: UnregisterBrokerRequest = request.header()?;
        self.write().unregister(&header.broker_name, &header.broker_addr);
        Ok((NoFields, Bytes::new()))
    }

    fn broker_heartbeat(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: BrokerHeartbeatRequest = request.header()?;
        self.write().heard(&header.broker_addr, self.clock.now_ms());
        Ok((NoFields, Bytes::new()))
    }

    fn broker_member_group(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: BrokerMemberGroupRequest = request.header()?;
        let broker_member_group = BrokerMemberGroup {
            broker_addrs: self.read().members(&header.broker_name),
            broker_name: header.broker_name.to_string(),
            cluster: header.cluster_name.to_string(),
        };
        Ok((NoFields, json::to_fastjson(&BrokerMemberGroupBody { broker_member_group })?.into()))
    }

    fn register_topic(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: RegisterTopicRequest = request.header()?;
        let route: TopicRouteData = json::from_slice(request.body())?;
        self.write().register_topic(&header.topic, route.queue_datas)?;
        Ok((NoFields, Bytes::new()))
    }

    fn delete_topic(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: DeleteTopicInNamesrvRequest = request.header()?;
        let cluster = header.cluster_name.as_deref().filter(|cluster| !cluster.is_empty());
        self.write().delete_topic(&header.topic, cluster);
        Ok((NoFields, Bytes::new()))
    }

    fn all_topics(&self) -> Answer<NoFields> {
        let topics = TopicList { broker_addr: None, topic_list: self.read().topics() };
        Ok((NoFields, json::to_fastjson(&topics)?.into()))
    }

    fn query_data_version(&self, request: &RemotingCommand) -> Answer<QueryDataVersionResponse> {
        let header: QueryDataVersionRequest = request.header()?;
        let asked: DataVersion = json::from_slice(request.body())?;
        let now_ms = self.clock.now_ms();
        let (changed, known) = self.write().query_data_version(&header.broker_addr, asked, now_ms);
        let body = known.map(|version| json::to_vec(&version)).transpose()?.unwrap_or_default();
        Ok((QueryDataVersionResponse { changed }, body.into()))
    }

    fn route_info(&self, request: &RemotingCommand) -> Answer<NoFields> {
        let header: RouteInfoRequest = request.header()?;
        let route = self.read().route(&header.topic).ok_or_else(|| Refused::no_route(&header.topic))?;
        let strict =
            request.version() >= STRICT_JSON_VERSION || header.accept_standard_json_only == Some(true);
        let body = if strict { json::to_vec(&route)? } else { json::to_fastjson(&route)? };
        Ok((NoFields, body.into()))
    }

    fn broker_cluster_info(&self) -> Answer<NoFields> {
        Ok((NoFields, json::to_fastjson(&self.cluster_info())?.into()))
    }

    // The table is whole after a panic too: each of its changes is a few insertions and removals that cannot panic.
    fn read(&self) -> RwLockReadGuard<'_, RouteTable<Connection>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RouteTable<Connection>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Processor {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        let request = &request;
        match RequestCode::from_i32(request.code()) {
            Some(RequestCode::RegisterBroker) => {
                reply(self.register_broker(request, responder.connection()), responder);
            }
            Some(RequestCode::UnregisterBroker) => reply(self.unregister_broker(request), responder),
            Some(RequestCode::BrokerHeartbeat) => reply(self.broker_heartbeat(request), responder),
            Some(RequestCode::GetBrokerMemberGroup) => reply(self.broker_member_group(request), responder),
            Some(RequestCode::RegisterTopicInNamesrv) => reply(self.register_topic(request), responder),
            Some(RequestCode::DeleteTopicInNamesrv) => reply(self.delete_topic(request), responder),
            Some(RequestCode::GetAllTopicListFromNameserver) => reply(self.all_topics(), responder),
            Some(RequestCode::QueryDataVersion) => reply(self.query_data_version(request), responder),
            Some(RequestCode::GetRouteInfoByTopic) => reply(self.route_info(request), responder),
            Some(RequestCode::GetBrokerClusterInfo) => reply(self.broker_cluster_info(), responder),
            _ => {
                let remark = format!(" request type {} not supported", request.code());
                responder.error(ResponseCode::RequestCodeNotSupported, remark);
            }
        }
    }

    /// A broker whose connection ends is gone at once.
    fn disconnected(&self, connection: &Connection, cause: &str) {
        for addr in self.write().connection_closed(connection) {
            tracing::info!(%addr, cause, "the broker's connection ended: it is forgotten");
        }
    }
}

/// The header and the body of a good answer, or why there is none.
type Answer<H> = Result<(H, Bytes), Refused>;

fn reply(answer: Answer<impl HeaderFields>, responder: Responder) {
    match answer {
        Ok((header, body)) => responder.success(&header, body),
        Err(refused) => responder.error(refused.code, refused.remark),
    }
}

/// An answer that says no.
struct Refused {
    code: ResponseCode,
    remark: String,
}

impl Refused {
    fn system(remark: impl ToString) -> Self {
        Self { code: ResponseCode::SystemError, remark: remark.to_string() }
    }

    /// Java's words.
    fn no_route(topic: &str) -> Self {
        let remark = format!(
            "No topic route info in name server for the topic: {topic}\n\
             See http://rocketmq.apache.org/docs/faq/ for further details."
        );
        Self { code: ResponseCode::TopicNotExist, remark }
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Self {
        Self::system(error)
    }
}

impl From<LimitError> for Refused {
    fn from(error: LimitError) -> Self {
        Self::system(error)
    }
}

impl From<RegisterBodyError> for Refused {
    fn from(error: RegisterBodyError) -> Self {
        Self::system(error)
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::system(error)
    }
}

/// The CRC-32 of a body as Java sends it: without the sign bit.
fn body_crc32(body: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or_default()
}
