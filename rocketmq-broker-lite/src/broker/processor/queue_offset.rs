//! Where a queue begins and ends: codes 29 to 32. A queue that is not there begins and ends at 0, as in Java.

use bytes::Bytes;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::{FromFields, HeaderFields};
use rocketmq_protocol::remoting::Responder;
use rocketmq_protocol::request::{
    EarliestStoreTimeRequest, MaxOffsetRequest, MinOffsetRequest, OffsetResponse, SearchOffsetRequest,
    TimestampResponse,
};

use crate::broker::context::Context;
use crate::broker::refusal::Refusal;

/// The offset of the message stored nearest to a moment.
pub(crate) fn search(context: &Context, request: &RemotingCommand, responder: Responder) {
    answer(request, responder, |header: SearchOffsetRequest| OffsetResponse {
        offset: context.store.offset_by_time(&header.topic, header.queue_id, header.timestamp),
    });
}

/// The offset of the next message.
pub(crate) fn max(context: &Context, request: &RemotingCommand, responder: Responder) {
    answer(request, responder, |header: MaxOffsetRequest| OffsetResponse {
        offset: context.store.max_offset(&header.topic, header.queue_id),
    });
}

/// The offset of the first message.
pub(crate) fn min(context: &Context, request: &RemotingCommand, responder: Responder) {
    answer(request, responder, |header: MinOffsetRequest| OffsetResponse {
        offset: context.store.min_offset(&header.topic, header.queue_id),
    });
}

/// When the first message was stored; −1 if there is none.
pub(crate) fn earliest(context: &Context, request: &RemotingCommand, responder: Responder) {
    answer(request, responder, |header: EarliestStoreTimeRequest| TimestampResponse {
        timestamp: context.store.earliest_store_time(&header.topic, header.queue_id).unwrap_or(-1),
    });
}

fn answer<H: FromFields, A: HeaderFields>(
    request: &RemotingCommand,
    responder: Responder,
    found: impl FnOnce(H) -> A,
) {
    match request.header() {
        Ok(header) => responder.success(&found(header), Bytes::new()),
        Err(error) => Refusal::from(error).answer(responder),
    }
}
