//! A group's members and offsets: codes 38, 14 and 15.

use bytes::Bytes;
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::json;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::remoting::Responder;
use rocketmq_protocol::request::{
    ConsumerListRequest, OffsetResponse, QueryConsumerOffsetRequest, UpdateConsumerOffsetRequest,
};

use crate::broker::context::Context;
use crate::broker::refusal::Refusal;

/// The members of a group.
pub(crate) fn list(context: &Context, request: &RemotingCommand, responder: Responder) {
    let header: ConsumerListRequest = match request.header() {
        Ok(header) => header,
        Err(error) => return Refusal::from(error).answer(responder),
    };
    let members = ConsumerList { consumer_id_list: context.consumers.client_ids(&header.consumer_group) };
    match json::to_vec(&members) {
        Ok(body) if !members.consumer_id_list.is_empty() => responder.success(&NoFields, body.into()),
        _ => {
            let remark = format!("no consumer for this group, {}", header.consumer_group);
            Refusal::new(ResponseCode::SystemError, remark).answer(responder);
        }
    }
}

/// A group's offset in a queue. A group that has none starts at 0 as long as the queue's first message is there and in
/// memory; else the consumer is to decide.
pub(crate) fn query_offset(context: &Context, request: &RemotingCommand, responder: Responder) {
    let header: QueryConsumerOffsetRequest = match request.header() {
        Ok(header) => header,
        Err(error) => return Refusal::from(error).answer(responder),
    };
    let QueryConsumerOffsetRequest { consumer_group, topic, queue_id, set_zero_if_not_found, .. } = header;
    let committed = context.offsets.query(&consumer_group, &topic, queue_id).filter(|offset| *offset >= 0);
    let zero = || {
        set_zero_if_not_found != Some(false)
            && context.store.min_offset(&topic, queue_id) <= 0
            && context.store.is_in_memory(&topic, queue_id, 0)
    };
    match committed.or_else(|| zero().then_some(0)) {
        Some(offset) => responder.success(&OffsetResponse { offset }, Bytes::new()),
        None => {
            let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
            Refusal::new(ResponseCode::QueryNotFound, remark).answer(responder);
        }
    }
}

/// Commits a group's offset in a queue.
pub(crate) fn update_offset(context: &Context, request: &RemotingCommand, responder: Responder) {
    let header: UpdateConsumerOffsetRequest = match request.header() {
        Ok(header) => header,
        Err(error) => return Refusal::from(error).answer(responder),
    };
    let UpdateConsumerOffsetRequest { consumer_group, topic, queue_id, commit_offset, .. } = header;
    match context.offsets.commit(&consumer_group, &topic, queue_id, commit_offset) {
        Ok(()) => responder.success(&NoFields, Bytes::new()),
        Err(error) => Refusal::new(ResponseCode::SystemError, error.to_string()).answer(responder),
    }
}
