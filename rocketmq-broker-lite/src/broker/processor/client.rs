//! Clients come, live and go: codes 34, 35 and 46.

use std::sync::Arc;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{ConsumerData, HeartbeatData};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::subscription::{SubscriptionData, UNVERSIONED};
use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::message::retry_topic;
use rocketmq_protocol::remoting::Connection;
use rocketmq_protocol::request::{CheckClientConfigRequest, UnregisterClientRequest};

use crate::broker::context::Context;
use crate::clients::consumers::ClientInfo;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;
use crate::tables::topic::unit_flag;

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> = &[
    (RequestCode::HeartBeat, heartbeat),
    (RequestCode::UnregisterClient, unregister),
    (RequestCode::CheckClientConfig, check_config),
];

/// A client lives, and says what it produces and consumes.
fn heartbeat(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let heartbeat: HeartbeatData =
        json::from_slice(request.body()).map_err(|error| Refusal::bad_body(&error))?;
    let client = ClientInfo {
        client_id: ByteString::from(heartbeat.client_id),
        language: request.language(),
        version: request.version(),
        last_seen_ms: context.clock.now_ms(),
    };
    for consumer in heartbeat.consumer_data_set {
        register_consumer(context, consumer, request.connection(), client.clone());
    }
    for producer in heartbeat.producer_data_set {
        context.producers.heartbeat(producer.group_name, request.connection(), client.clone());
    }
    Ok(Answer::ok())
}

fn register_consumer(
    context: &Context,
    mut consumer: ConsumerData,
    connection: &Connection,
    client: ClientInfo,
) {
    let unversioned = |data: &&mut SubscriptionData| data.sub_version == UNVERSIONED;
    for data in consumer.subscription_data_set.iter_mut().filter(unversioned) {
        data.sub_version = client.last_seen_ms;
    }
    let group = context.groups.find(&consumer.group_name);
    if let Some(group) = &group {
        let sys_flag = unit_flag(consumer.unit_mode, true);
        context.topics.find_or_create(&retry_topic(&group.name), group.config.retry_queue_nums, sys_flag);
    }
    let name = consumer.group_name.clone();
    let changed = context.consumers.heartbeat(consumer, connection, client);
    if changed && group.is_none_or(|group| group.config.notify_consumer_ids_changed_enable) {
        context.notify_consumers(&name);
    }
}

/// A client leaves its groups.
fn unregister(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: UnregisterClientRequest = request.header()?;
    if let Some(group) = header.producer_group {
        context.producers.leave(&group, request.connection());
    }
    if let Some(group) = header.consumer_group {
        context.consumers.leave(&group, request.connection());
        if context.groups.find(&group).is_none_or(|group| group.config.notify_consumer_ids_changed_enable) {
            context.notify_consumers(&group);
        }
    }
    Ok(Answer::ok())
}

/// Whether this broker takes a subscription: those by tag only.
fn check_config(_: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked: Option<CheckClientConfigRequest> =
        json::from_slice(request.body()).map_err(|error| Refusal::bad_body(&error))?;
    let asked = asked.unwrap_or_default().subscription_data;
    if !asked.is_tag_type() {
        return Err(no_such_filter(&asked.expression_type));
    }
    Ok(Answer::ok())
}

/// What Java answers while `enablePropertyFilter` is false.
pub(crate) fn no_such_filter(expression_type: &str) -> Refusal {
    let remark = format!("The broker does not support consumer to filter message by {expression_type}");
    Refusal::system(remark)
}
