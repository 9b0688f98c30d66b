//! The note about a pull whose offset was out of range, in a topic of its own.

use rocketmq_protocol::body::json;
use rocketmq_protocol::message::{MessageQueue, SysFlag, names};
use serde::Serialize;

use crate::broker::context::Context;
use crate::pull_wait::plan::PullPlan;
use crate::store::{Appended, NewMessage, StoreError, Submission};
use crate::stored_properties::{push, tags_code};
use crate::tables::topic::OFFSET_MOVED_TOPIC;

/// Java: `OffsetMovedEvent`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OffsetMovedEvent<'a> {
    consumer_group: &'a str,
    message_queue: MessageQueue,
    offset_new: i64,
    offset_request: i64,
}

/// Stores the note. It is a courtesy to operators: a failure is only logged.
pub(crate) fn record(context: &Context, plan: &PullPlan, offset_new: i64) {
    let group = &*plan.group.name;
    tracing::warn!(group, topic = %plan.topic.name, queue = plan.queue_id, from = plan.offset, to = offset_new,
        "a pull's offset is out of range");
    let event = OffsetMovedEvent {
        consumer_group: group,
        message_queue: MessageQueue::new(
            plan.topic.name.clone(),
            context.config.broker_name.as_str(),
            plan.queue_id,
        ),
        offset_new,
        offset_request: plan.offset,
    };
    let (Some(topic), Ok(body)) = (context.topics.find(OFFSET_MOVED_TOPIC), json::to_vec(&event)) else {
        return;
    };
    let mut properties = String::new();
    push(&mut properties, names::KEYS, group);
    push(&mut properties, names::TAGS, group);
    let message = NewMessage {
        topic: &topic.name,
        queue_id: 0,
        flag: 0,
        sys_flag: SysFlag::default(),
        born_timestamp: context.clock.now_ms(),
        born_host: context.place.store_host,
        store_host: context.place.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: &body,
        properties: &properties,
        tags_code: tags_code(Some(group)),
    };
    let mut submission = Submission::default();
    match context.store.encode(&[message], &mut submission) {
        Ok(()) => context.store.submit(submission, Box::new(|stored| stored.outcomes().for_each(warn))),
        Err(error) => warn(Err(&error)),
    }
}

fn warn(stored: Result<&[Appended], &StoreError>) {
    if let Err(error) = stored {
        tracing::warn!(%error, "the event of a moved offset is not stored");
    }
}
