//! Sending: codes 10, 310 and 320.

mod accept;
mod batch;
mod single;

pub(crate) use accept::{MAX_RECONSUME_TIMES_SINCE, broker_forbids};

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::{FieldSink, HeaderError, HeaderFields};
use rocketmq_protocol::message::id::OffsetMessageId;
use rocketmq_protocol::message::names;
use rocketmq_protocol::request::{SendMessageRequest, SendMessageRequestV1, SendMessageResponse};

use super::store_answer;
use crate::broker::context::Context;
use crate::config::FlushDiskType;
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;
use crate::store::{Appended, NewMessage};

/// What a scratch buffer may keep for the next message, in bytes.
const SCRATCH_KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where properties are put together: one buffer a thread, so that a send costs no allocation for it.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> = &[
    (RequestCode::SendMessage, send),
    (RequestCode::SendMessageV2, send),
    (RequestCode::SendBatchMessage, send),
];

/// Stores a message or a batch, and answers once it is as safe as configured.
fn send(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header = header(request)?;
    let stored = store(context, request, &header, request.connection().peer_addr());
    let stored = stored.map_err(|refusal| refusal.with_fields(Region::of(context)))?;
    Ok(answer(context, stored))
}

fn store(
    context: &Context,
    request: &RemotingCommand,
    header: &SendMessageRequest,
    born_host: SocketAddr,
) -> Result<Stored, Refusal> {
    let place = accept::check(context, request, header, born_host)?;
    let message = Received { header, place, body: request.body(), born_host };
    match header.batch {
        Some(true) => batch::store(context, &message),
        _ => single::store(context, &message),
    }
}

/// What the answer to a send that is refused says nevertheless.
struct Region {
    id: ByteString,
    trace_on: ByteString,
}

impl Region {
    fn of(context: &Context) -> Self {
        Self { id: context.place.region_id.clone(), trace_on: context.place.trace_on.clone() }
    }
}

impl HeaderFields for Region {
    fn write_fields(&self, sink: &mut impl FieldSink) {
        sink.text(names::MSG_REGION, &self.id);
        sink.text(names::TRACE_ON, &self.trace_on);
    }
}

/// A send that passed the checks.
struct Received<'a> {
    header: &'a SendMessageRequest,
    place: accept::Place,
    body: &'a Bytes,
    born_host: SocketAddr,
}

/// What a send has stored.
struct Stored {
    first: Appended,
    /// The places of all messages of a batch.
    all: Vec<Appended>,
    /// The queue that the producer meant, also where the message waits elsewhere.
    queue_id: i32,
    /// Whether the producer wants to wait for the disk.
    wait: bool,
}

fn header(request: &RemotingCommand) -> Result<SendMessageRequest, HeaderError> {
    if request.code() == RequestCode::SendMessage.as_i32() {
        request.header::<SendMessageRequestV1>().map(Into::into)
    } else {
        request.header()
    }
}

fn answer(context: &Arc<Context>, stored: Stored) -> Answer {
    let answer = answer_header(context, &stored);
    if context.config.flush_disk_type != FlushDiskType::SyncFlush || !stored.wait {
        return Answer::fields(answer);
    }
    let end_offset = stored.all.last().unwrap_or(&stored.first).end_offset();
    let context = Arc::clone(context);
    Answer::later(move |responder| {
        let region = Region::of(&context);
        let done = move |outcome| match store_answer::flush_code(outcome) {
            Ok(ResponseCode::Success) => responder.success(&answer, Bytes::new()),
            Ok(code) => responder.send(code.as_i32(), None, &answer, Bytes::new()),
            Err(refusal) => refusal.with_fields(region).answer(responder),
        };
        context.store.when_flushed(end_offset, context.config.sync_flush_timeout, Box::new(done));
    })
}

fn answer_header(context: &Context, stored: &Stored) -> SendMessageResponse {
    SendMessageResponse {
        msg_id: message_ids(context, stored),
        queue_id: stored.queue_id,
        queue_offset: stored.first.queue_offset,
        transaction_id: None,
        region_id: Some(context.place.region_id.clone()),
        trace_on: Some(context.place.trace_on.clone()),
        recall_handle: None,
    }
}

/// The offset message id, or those of a batch joined by commas, in one allocation.
fn message_ids(context: &Context, stored: &Stored) -> ByteString {
    let id = |appended: &Appended| OffsetMessageId {
        store_host: context.place.store_host,
        physical_offset: appended.physical_offset,
    };
    if stored.all.is_empty() {
        return id(&stored.first).to_shared();
    }
    let mut text = String::with_capacity(stored.all.len() * 57);
    for appended in &stored.all {
        if !text.is_empty() {
            text.push(',');
        }
        id(appended).push_to(&mut text);
    }
    text.into()
}

/// What every message of a send has in common; properties, tag and, in a batch, flag and body are to be filled in.
fn new_message<'a>(context: &Context, received: &'a Received<'_>) -> NewMessage<'a> {
    NewMessage {
        topic: &received.place.topic.name,
        queue_id: received.place.queue_id,
        flag: received.header.flag,
        sys_flag: received.place.sys_flag,
        born_timestamp: received.header.born_timestamp,
        born_host: received.born_host,
        store_host: context.place.store_host,
        reconsume_times: received.header.reconsume_times.unwrap_or(0),
        prepared_transaction_offset: 0,
        body: received.body,
        properties: "",
        tags_code: 0,
    }
}

/// Lends the thread's buffer, empty.
fn with_scratch<T>(work: impl FnOnce(&mut String) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let result = work(scratch);
        if scratch.capacity() > SCRATCH_KEPT_BYTES {
            *scratch = String::new();
        }
        result
    })
}
