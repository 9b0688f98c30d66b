//! A group's members and offsets: codes 38, 14 and 15.

use std::sync::Arc;

use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::json;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::request::{
    ConsumerListRequest, OffsetResponse, QueryConsumerOffsetRequest, UpdateConsumerOffsetRequest,
};

use crate::broker::context::Context;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request, in_pool};
use crate::server::refusal::Refusal;

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> = &[
    (RequestCode::GetConsumerListByGroup, list),
    (RequestCode::QueryConsumerOffset, query_offset),
    (RequestCode::UpdateConsumerOffset, update_offset),
];

/// The members of a group.
fn list(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: ConsumerListRequest = request.header()?;
    let members = ConsumerList { consumer_id_list: context.consumers.client_ids(&header.consumer_group) };
    if members.consumer_id_list.is_empty() {
        return Err(Refusal::system(format!("no consumer for this group, {}", header.consumer_group)));
    }
    Ok(Answer::body(json::to_vec(&members)?))
}

/// A group's offset in a queue. A group that has none starts at 0 as long as the queue's first message is there and in
/// memory; else the consumer is to decide.
fn query_offset(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: QueryConsumerOffsetRequest = request.header()?;
    let QueryConsumerOffsetRequest { consumer_group, topic, queue_id, set_zero_if_not_found, .. } = header;
    if let Some(offset) = context.offsets.query(&consumer_group, &topic, queue_id).filter(|it| *it >= 0) {
        return Ok(Answer::fields(OffsetResponse { offset }));
    }
    if set_zero_if_not_found == Some(false) || context.store.min_offset(&topic, queue_id) > 0 {
        return Err(no_offset());
    }
    let context = Arc::clone(context);
    Ok(Answer::later(move |responder| {
        let shared = Arc::clone(&context);
        in_pool(&context.readers, responder, move |responder| {
            match shared.store.is_in_memory(&topic, queue_id, 0) {
                true => Answer::fields(OffsetResponse { offset: 0 }).send(responder),
                false => no_offset().answer(responder),
            }
        });
    }))
}

fn no_offset() -> Refusal {
    Refusal::new(
        ResponseCode::QueryNotFound,
        "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
    )
}

/// Commits a group's offset in a queue.
fn update_offset(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: UpdateConsumerOffsetRequest = request.header()?;
    let UpdateConsumerOffsetRequest { consumer_group, topic, queue_id, commit_offset, .. } = header;
    context.offsets.commit(&consumer_group, &topic, queue_id, commit_offset).map_err(Refusal::system)?;
    Ok(Answer::ok())
}
