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
use rocketmq_protocol::remoting::Responder;
use rocketmq_protocol::request::{SendMessageRequest, SendMessageRequestV1, SendMessageResponse};

use super::store_answer;
use crate::broker::context::Context;
use crate::config::FlushDiskType;
use crate::server::refusal::Refusal;
use crate::store::{Appended, NewMessage, Submission};
use crate::tables::save_queue::ChangeId;

/// What a scratch buffer may keep for the next message, in bytes.
const SCRATCH_KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where properties are put together: one buffer a thread, so that a send costs no allocation for it.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The sends of one read, on their way into the store together.
pub(crate) struct Sends<'a> {
    context: &'a Arc<Context>,
    submission: Submission,
    waiting: Vec<Waiting>,
}

/// Who waits for an entry of the submission.
struct Waiting {
    responder: Responder,
    sent: Sent,
}

impl<'a> Sends<'a> {
    /// None yet.
    pub(crate) fn new(context: &'a Arc<Context>) -> Self {
        Self { context, submission: Submission::default(), waiting: Vec::new() }
    }

    /// Takes in a message or a batch, or refuses it.
    pub(crate) fn add(&mut self, request: &RemotingCommand, responder: Responder) {
        let header = match header(request) {
            Ok(header) => header,
            Err(error) => return Refusal::from(error).answer(responder),
        };
        match encode(self.context, request, &header, &responder, &mut self.submission) {
            Ok(sent) => self.waiting.push(Waiting { responder, sent }),
            Err(refusal) => refusal.with_fields(Region::of(self.context)).answer(responder),
        }
    }

    /// Stores what was taken in. Each is answered once it is as safe as configured.
    pub(crate) fn store(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (waiting, submission) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.submission));
        let context = Arc::clone(self.context);
        let done = move |submission: &Submission| answer_all(&context, waiting, submission);
        self.context.store.submit(submission, Box::new(done));
    }
}

fn encode(
    context: &Context,
    request: &RemotingCommand,
    header: &SendMessageRequest,
    responder: &Responder,
    submission: &mut Submission,
) -> Result<Sent, Refusal> {
    let born_host = responder.connection().peer_addr();
    let place = accept::check(context, request, header, born_host)?;
    let message = Received { header, place, body: request.body(), born_host };
    match header.batch {
        Some(true) => batch::encode(context, &message, submission),
        _ => single::encode(context, &message, submission),
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

/// What is to be known of a send once it is stored.
struct Sent {
    /// The queue that the producer meant, also where the message waits elsewhere.
    queue_id: i32,
    /// Whether the producer wants to wait for the disk.
    wait: bool,
    /// The change that brought the topic; it is on disk before the answer is given.
    topic_change: ChangeId,
}

fn header(request: &RemotingCommand) -> Result<SendMessageRequest, HeaderError> {
    if request.code() == RequestCode::SendMessage.as_i32() {
        request.header::<SendMessageRequestV1>().map(Into::into)
    } else {
        request.header()
    }
}

fn answer_all(context: &Arc<Context>, waiting: Vec<Waiting>, submission: &Submission) {
    let (mut now, mut once_saved) = (Stored::default(), Stored::default());
    let mut change = 0;
    for (Waiting { responder, sent }, outcome) in waiting.into_iter().zip(submission.outcomes()) {
        match outcome {
            Ok(stored) if context.topics.saves().is_saved(sent.topic_change) => {
                now.add(context, responder, &sent, stored);
            }
            Ok(stored) => {
                change = change.max(sent.topic_change);
                once_saved.add(context, responder, &sent, stored);
            }
            Err(error) => {
                let refusal = store_answer::refusal(error, context.config.max_message_size);
                refusal.with_fields(Region::of(context)).answer(responder);
            }
        }
    }
    now.answer(context);
    if change > 0 {
        let shared = Arc::clone(context);
        context.topics.saves().when_saved(change, move || once_saved.answer(&shared));
    }
}

/// Sends that are stored, with their answers.
#[derive(Default)]
struct Stored {
    to_answer: Vec<(Responder, SendMessageResponse)>,
    /// Those that wait for the disk, up to this physical offset.
    to_flush: Vec<(Responder, SendMessageResponse)>,
    end_offset: i64,
}

impl Stored {
    fn add(&mut self, context: &Context, responder: Responder, sent: &Sent, stored: &[Appended]) {
        let is_sync = context.config.flush_disk_type == FlushDiskType::SyncFlush;
        let answer = answer_header(context, sent, stored);
        if is_sync && sent.wait && !responder.is_oneway() {
            self.end_offset = stored.last().map_or(self.end_offset, Appended::end_offset);
            self.to_flush.push((responder, answer));
        } else {
            self.to_answer.push((responder, answer));
        }
    }

    fn answer(self, context: &Arc<Context>) {
        for (responder, answer) in self.to_answer {
            responder.success(&answer, Bytes::new());
        }
        if !self.to_flush.is_empty() {
            answer_when_flushed(context, self.to_flush, self.end_offset);
        }
    }
}

fn answer_when_flushed(
    context: &Arc<Context>,
    answers: Vec<(Responder, SendMessageResponse)>,
    end_offset: i64,
) {
    let shared = Arc::clone(context);
    let done = move |outcome| {
        for (responder, answer) in answers {
            match store_answer::flush_code(outcome) {
                Ok(ResponseCode::Success) => responder.success(&answer, Bytes::new()),
                Ok(code) => responder.send(code.as_i32(), None, &answer, Bytes::new()),
                Err(refusal) => refusal.with_fields(Region::of(&shared)).answer(responder),
            }
        }
    };
    context.store.when_flushed(end_offset, context.config.sync_flush_timeout, Box::new(done));
}

fn answer_header(context: &Context, sent: &Sent, stored: &[Appended]) -> SendMessageResponse {
    SendMessageResponse {
        msg_id: message_ids(context, stored),
        queue_id: sent.queue_id,
        queue_offset: stored.first().map_or(0, |first| first.queue_offset),
        transaction_id: None,
        region_id: Some(context.place.region_id.clone()),
        trace_on: Some(context.place.trace_on.clone()),
        recall_handle: None,
    }
}

/// The offset message id, or those of a batch joined by commas, in one allocation.
fn message_ids(context: &Context, stored: &[Appended]) -> ByteString {
    let id = |appended: &Appended| OffsetMessageId {
        store_host: context.place.store_host,
        physical_offset: appended.physical_offset,
    };
    if let [only] = stored {
        return id(only).to_shared();
    }
    let mut text = String::with_capacity(stored.len() * 57);
    for appended in stored {
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
