//! Brokers come, live and go: codes 103, 104, 322 and 904.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::{RegisterBodyError, RegisterBrokerBody};
use rocketmq_protocol::body::topic_config::DataVersion;
use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::request::{
    BrokerHeartbeatRequest, QueryDataVersionRequest, QueryDataVersionResponse, RegisterBrokerRequest,
    RegisterBrokerResponse, UnregisterBrokerRequest,
};

use super::Processor;
use crate::nameserver::kv::ORDER_TOPIC_CONFIG;
use crate::nameserver::route_table::Registration;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;

pub(super) const FAMILY: Family<Processor> = &[
    (RequestCode::RegisterBroker, Processor::register_broker),
    (RequestCode::UnregisterBroker, Processor::unregister_broker),
    (RequestCode::QueryDataVersion, Processor::query_data_version),
    (RequestCode::BrokerHeartbeat, Processor::broker_heartbeat),
];

impl Processor {
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
        let master =
            self.write().register(&registration, request.connection().clone(), self.clock.now_ms())?;
        self.registered.notify_waiters();
        let answer = RegisterBrokerResponse {
            ha_server_addr: master.ha_server_addr.map(Into::into),
            master_addr: master.addr.map(Into::into),
        };
        // The order topics, if there are any.
        let order_topics = self.kv().list(ORDER_TOPIC_CONFIG);
        let body = order_topics.map(|table| json::to_vec(&table)).transpose()?.unwrap_or_default();
        Ok(Answer::with(answer, body))
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

    fn broker_heartbeat(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: BrokerHeartbeatRequest = request.header()?;
        self.write().heard(&header.broker_addr, self.clock.now_ms());
        Ok(Answer::ok())
    }
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
