//! Where topics and brokers are: codes 105, 106 and 901.

use std::sync::Arc;

use rocketmq_protocol::body::cluster::{BrokerMemberGroup, BrokerMemberGroupBody};
use rocketmq_protocol::body::json;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::request::{BrokerMemberGroupRequest, RouteInfoRequest};

use super::Processor;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::{FAQ, Refusal};

/// From this version on (V4_9_4) clients are answered in strict JSON.
const STRICT_JSON_VERSION: i32 = 401;

pub(super) const FAMILY: Family<Processor> = &[
    (RequestCode::GetRouteInfoByTopic, Processor::route_info),
    (RequestCode::GetBrokerMemberGroup, Processor::broker_member_group),
];

/// What goes through the whole table.
pub(super) const WHOLE_TABLE_FAMILY: Family<Processor> =
    &[(RequestCode::GetBrokerClusterInfo, Processor::broker_cluster_info)];

impl Processor {
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

    fn broker_member_group(self: &Arc<Self>, request: &Request<'_>) -> Result<Answer, Refusal> {
        let header: BrokerMemberGroupRequest = request.header()?;
        let broker_member_group = BrokerMemberGroup {
            broker_addrs: self.read().members(&header.broker_name),
            broker_name: header.broker_name.to_string(),
            cluster: header.cluster_name.to_string(),
        };
        Ok(Answer::body(json::to_fastjson(&BrokerMemberGroupBody { broker_member_group })?))
    }
}

/// Java's words.
fn no_route(topic: &str) -> Refusal {
    let remark = format!("No topic route info in name server for the topic: {topic}{FAQ}");
    Refusal::new(ResponseCode::TopicNotExist, remark)
}
