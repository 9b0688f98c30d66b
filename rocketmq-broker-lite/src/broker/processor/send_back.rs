//! A consumer gives a message back: code 36.

use std::sync::Arc;

use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::message::wire::WireProperties;
use rocketmq_protocol::message::{
    MAX_TOPIC_BYTES, Properties, SCHEDULE_TOPIC, dlq_topic, names, retry_topic,
};
use rocketmq_protocol::remoting::Responder;
use rocketmq_protocol::request::SendBackRequest;

use super::send::{MAX_RECONSUME_TIMES_SINCE, broker_forbids};
use crate::broker::context::Context;
use crate::config::FlushDiskType;
use crate::delay::schedule::waiting_queue;
use crate::retry::{Destination, destination, properties};
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request};
use crate::server::refusal::Refusal;
use crate::store::{Appended, FlushOutcome, NewMessage, StoreError, Submission};
use crate::stored_properties::note;
use crate::tables::subscription_group::SubscriptionGroup;
use crate::tables::topic::{Topic, unit_flag};

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> = &[(RequestCode::ConsumerSendMsgBack, send_back)];

/// Stores the message once more, in the group's retry topic or among its dead letters.
fn send_back(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: SendBackRequest = request.header()?;
    let Some(submission) = take_back(context, request.version(), &header)? else { return Ok(Answer::ok()) };
    let context = Arc::clone(context);
    Ok(Answer::later(move |responder| {
        let shared = Arc::clone(&context);
        let done = move |submission: &Submission| answer(&shared, submission, responder);
        context.store.submit(submission, Box::new(done));
    }))
}

fn answer(context: &Context, submission: &Submission, responder: Responder) {
    match submission.outcomes().next() {
        Some(Ok([stored])) => answer_when_safe(context, stored, responder),
        Some(Err(error)) => not_stored(error).answer(responder),
        // There is one message.
        _ => not_stored(&StoreError::ShutDown).answer(responder),
    }
}

/// The consumer goes on once this is answered, and its offset may be on disk before the message it gave back.
fn answer_when_safe(context: &Context, stored: &Appended, responder: Responder) {
    if context.config.flush_disk_type != FlushDiskType::SyncFlush || responder.is_oneway() {
        return Answer::ok().send(responder);
    }
    let done = move |outcome| match outcome {
        FlushOutcome::Flushed => Answer::ok().send(responder),
        FlushOutcome::TimedOut => Refusal::system("FLUSH_DISK_TIMEOUT").answer(responder),
        FlushOutcome::Failed => Refusal::system("SERVICE_NOT_AVAILABLE").answer(responder),
    };
    context.store.when_flushed(stored.end_offset(), context.config.sync_flush_timeout, Box::new(done));
}

/// `None` if the group wants no retries, and nothing is stored.
fn take_back(
    context: &Context,
    client_version: i32,
    header: &SendBackRequest,
) -> Result<Option<Submission>, Refusal> {
    let group = context.groups.find(&header.group).ok_or_else(|| Refusal::no_group(&header.group))?;
    if context.config.broker_permission & perm::WRITE == 0 {
        return Err(broker_forbids(context));
    }
    if group.config.retry_queue_nums <= 0 {
        return Ok(None);
    }
    let retry = retry_topic(&group.name);
    if retry.len() > MAX_TOPIC_BYTES {
        let remark = format!("the group's name is too long: its retry topic[{retry}] cannot be stored");
        return Err(Refusal::new(ResponseCode::MessageIllegal, remark));
    }
    let sys_flag = unit_flag(header.unit_mode == Some(true), true);
    let retry = context.topics.find_or_create(&retry, group.config.retry_queue_nums, sys_flag);
    if !retry.is_writable() {
        let remark = format!("the topic[{}] sending message is forbidden", retry.name);
        return Err(Refusal::new(ResponseCode::NoPermission, remark));
    }
    let not_found = |_| Refusal::system(format!("look message by offset failed, {}", header.offset));
    let bytes = context.store.message_at(header.offset).map_err(not_found)?;
    let record = Record::parse(&bytes).map_err(|_| not_found(StoreError::NotFound(header.offset)))?;
    let destination = destination(
        record.reconsume_times,
        max_reconsume_times(client_version, header, &group),
        header.delay_level,
    );
    encode_again(context, &group, &retry, &record, destination).map(Some)
}

fn max_reconsume_times(client_version: i32, header: &SendBackRequest, group: &SubscriptionGroup) -> i32 {
    let asked = header.max_reconsume_times.filter(|_| client_version >= MAX_RECONSUME_TIMES_SINCE);
    asked.unwrap_or(group.config.retry_max_times)
}

fn encode_again(
    context: &Context,
    group: &SubscriptionGroup,
    retry: &Topic,
    record: &Record<'_>,
    destination: Destination,
) -> Result<Submission, Refusal> {
    let mut properties = properties(record, destination);
    let waiting = match destination {
        Destination::DeadLetter => None,
        Destination::Retry { delay_level } => waiting_queue(context.schedule.levels(), delay_level),
    };
    let (topic, queue_id) = match (destination, waiting) {
        (Destination::DeadLetter, _) => (context.topics.find_or_create(&dlq_topic(&group.name), 1, 0), 0),
        (Destination::Retry { .. }, Some(queue_id)) => {
            say_where_it_belongs(&mut properties, retry, retry_queue(group));
            (context.topics.find_or_create(SCHEDULE_TOPIC, queue_id + 1, 0), queue_id)
        }
        (Destination::Retry { .. }, None) => {
            (context.topics.find_or_create(&retry.name, 1, 0), retry_queue(group))
        }
    };
    let tags_code = note(properties.as_str()).tags_code();
    let message = NewMessage {
        reconsume_times: record.reconsume_times.saturating_add(1),
        ..NewMessage::again(record, &topic.name, queue_id, properties.as_str(), tags_code)
    };
    let mut submission = Submission::default();
    context.store.encode(&[message], &mut submission).map_err(|error| not_stored(&error))?;
    Ok(submission)
}

fn not_stored(error: &StoreError) -> Refusal {
    Refusal::system(status_name(error))
}

fn retry_queue(group: &SubscriptionGroup) -> i32 {
    rand::random_range(0..group.config.retry_queue_nums.max(1))
}

fn say_where_it_belongs(properties: &mut Properties, topic: &Topic, queue_id: i32) {
    properties.set(names::REAL_TOPIC, &topic.name);
    properties.set(names::REAL_QID, &queue_id.to_string());
}

/// Java answers with the name of its `PutMessageStatus`; ours says more.
fn status_name(error: &StoreError) -> String {
    match error {
        StoreError::MessageIllegal { .. } => format!("MESSAGE_ILLEGAL: {error}"),
        StoreError::Busy => "OS_PAGE_CACHE_BUSY".to_owned(),
        StoreError::PropertiesTooLong { .. } => format!("PROPERTIES_SIZE_EXCEEDED: {error}"),
        // Why in detail is for the log: it names the server's files.
        _ => "SERVICE_NOT_AVAILABLE".to_owned(),
    }
}
