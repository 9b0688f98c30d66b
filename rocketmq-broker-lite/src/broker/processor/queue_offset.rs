//! Where a queue begins and ends: codes 29 to 32. A queue that is not there begins and ends at 0, as in Java.

use std::sync::Arc;

use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::request::{
    EarliestStoreTimeRequest, MaxOffsetRequest, MinOffsetRequest, OffsetResponse, SearchOffsetRequest,
    TimestampResponse,
};

use crate::broker::context::Context;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> =
    &[(RequestCode::GetMaxOffset, max), (RequestCode::GetMinOffset, min)];

/// Those that look at messages.
pub(crate) const READING_FAMILY: Family<Context> =
    &[(RequestCode::SearchOffsetByTimestamp, search), (RequestCode::GetEarliestMsgStoreTime, earliest)];

/// The offset of the message stored nearest to a moment.
fn search(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let SearchOffsetRequest { topic, queue_id, timestamp, .. } = request.header()?;
    Ok(Answer::fields(OffsetResponse { offset: context.store.offset_by_time(&topic, queue_id, timestamp) }))
}

/// The offset of the next message.
fn max(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let MaxOffsetRequest { topic, queue_id, .. } = request.header()?;
    Ok(Answer::fields(OffsetResponse { offset: context.store.max_offset(&topic, queue_id) }))
}

/// The offset of the first message.
fn min(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let MinOffsetRequest { topic, queue_id, .. } = request.header()?;
    Ok(Answer::fields(OffsetResponse { offset: context.store.min_offset(&topic, queue_id) }))
}

/// When the first message was stored; −1 if there is none.
fn earliest(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let EarliestStoreTimeRequest { topic, queue_id, .. } = request.header()?;
    let timestamp = context.store.earliest_store_time(&topic, queue_id).unwrap_or(-1);
    Ok(Answer::fields(TimestampResponse { timestamp }))
}
