//! Clients come, live and go: codes 34, 35 and 46.

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{ConsumerData, HeartbeatData};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::subscription::{SubscriptionData, UNVERSIONED};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::message::retry_topic;
use rocketmq_protocol::remoting::{Connection, Responder};
use rocketmq_protocol::request::{CheckClientConfigRequest, UnregisterClientRequest};

use crate::broker::context::Context;
use crate::broker::refusal::Refusal;
use crate::consumer_manager::ClientInfo;
use crate::tables::topic::unit_flag;

/// A client lives, and says what it produces and consumes.
pub(crate) fn heartbeat(context: &Context, request: &RemotingCommand, responder: Responder) {
    let heartbeat: HeartbeatData = match json::from_slice(request.body()) {
        Ok(heartbeat) => heartbeat,
        Err(error) => return Refusal::bad_body(&error).answer(responder),
    };
    let client = ClientInfo {
        client_id: ByteString::from(heartbeat.client_id),
        language: request.language(),
        version: request.version(),
        last_seen_ms: context.clock.now_ms(),
    };
    for consumer in heartbeat.consumer_data_set {
        register_consumer(context, consumer, responder.connection(), client.clone());
    }
    for producer in heartbeat.producer_data_set {
        context.producers.heartbeat(producer.group_name, responder.connection(), client.clone());
    }
    responder.success(&NoFields, Bytes::new());
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
pub(crate) fn unregister(context: &Context, request: &RemotingCommand, responder: Responder) {
    let header: UnregisterClientRequest = match request.header() {
        Ok(header) => header,
        Err(error) => return Refusal::from(error).answer(responder),
    };
    if let Some(group) = header.producer_group {
        context.producers.leave(&group, responder.connection());
    }
    if let Some(group) = header.consumer_group {
        context.consumers.leave(&group, responder.connection());
        if context.groups.find(&group).is_none_or(|group| group.config.notify_consumer_ids_changed_enable) {
            context.notify_consumers(&group);
        }
    }
    responder.success(&NoFields, Bytes::new());
}

/// Whether this broker takes a subscription: those by tag only.
pub(crate) fn check_config(request: &RemotingCommand, responder: Responder) {
    let asked: CheckClientConfigRequest = match json::from_slice::<Option<_>>(request.body()) {
        Ok(asked) => asked.unwrap_or_default(),
        Err(error) => return Refusal::bad_body(&error).answer(responder),
    };
    if asked.subscription_data.is_tag_type() {
        responder.success(&NoFields, Bytes::new());
    } else {
        no_such_filter(&asked.subscription_data.expression_type).answer(responder);
    }
}

/// What Java answers while `enablePropertyFilter` is false.
pub(crate) fn no_such_filter(expression_type: &str) -> Refusal {
    let remark = format!("The broker does not support consumer to filter message by {expression_type}");
    Refusal::new(ResponseCode::SystemError, remark)
}
