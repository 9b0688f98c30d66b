//! One message.

use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::{SCHEDULE_TOPIC, SysFlag, names};

use super::super::store_answer;
use super::{Received, Sent, new_message, with_scratch};
use crate::broker::context::Context;
use crate::delay::schedule::waiting_queue;
use crate::server::refusal::Refusal;
use crate::store::{NewMessage, StoreError, Submission};
use crate::stored_properties::{Noted, copy_single, push};

/// Encodes one message.
pub(super) fn encode(
    context: &Context,
    received: &Received<'_>,
    submission: &mut Submission,
) -> Result<Sent, Refusal> {
    with_scratch(|properties| {
        let sent = received.header.properties.as_deref().unwrap_or_default();
        let noted = copy_single(sent, &context.config.broker_cluster_name, properties);
        refuse_transaction(context, received, &noted)?;
        let level = delay_level(received, &noted)?;
        // As in 5.x, a delay level takes precedence over a timer.
        if noted.has_timer && level <= 0 {
            return Err(no_timers());
        }
        let encoded = match waiting_queue(context.schedule.levels(), level) {
            None => encode_now(context, received, properties, &noted, submission),
            Some(queue_id) => encode_delayed(context, received, properties, &noted, queue_id, submission),
        };
        encoded.map_err(|error| store_answer::refusal(&error, context.config.max_message_size))?;
        Ok(Sent {
            queue_id: received.place.answered_queue_id,
            wait: noted.wants_to_wait(),
            topic_change: received.place.topic.change,
        })
    })
}

/// What this release does not do must not look done.
fn refuse_transaction(context: &Context, received: &Received<'_>, noted: &Noted<'_>) -> Result<(), Refusal> {
    let transaction = received.place.sys_flag.transaction();
    let half = noted.is_half()
        || [SysFlag::TRANSACTION_PREPARED, SysFlag::TRANSACTION_ROLLBACK].contains(&transaction);
    if half {
        let remark = format!("the broker[{}] sending transaction message is forbidden", context.place.host);
        return Err(Refusal::new(ResponseCode::NoPermission, remark));
    }
    Ok(())
}

/// What a timer message is told, in the words of 5.x with `timerWheelEnable=false`. 4.9 knows no timers and delivers such
/// a message at once.
pub(super) fn no_timers() -> Refusal {
    let remark = "accurate timer message is not enabled, timerWheelEnable is false";
    Refusal::system(remark)
}

fn delay_level(received: &Received<'_>, noted: &Noted<'_>) -> Result<i32, Refusal> {
    if received.place.is_dead_letter {
        return Ok(0);
    }
    noted.delay_level().map_err(|text| Refusal::system(format!("For input string: \"{text}\"")))
}

fn encode_now(
    context: &Context,
    received: &Received<'_>,
    properties: &str,
    noted: &Noted<'_>,
    submission: &mut Submission,
) -> Result<(), StoreError> {
    let message = NewMessage { properties, tags_code: noted.tags_code(), ..new_message(context, received) };
    context.store.encode(&[message], submission)
}

/// The message waits where delayed ones do. Its properties then say where it belongs, and, as in Java, keep `WAIT`.
fn encode_delayed(
    context: &Context,
    received: &Received<'_>,
    properties: &mut String,
    noted: &Noted<'_>,
    queue_id: i32,
    submission: &mut Submission,
) -> Result<(), StoreError> {
    if let Some(wait) = noted.wait {
        push(properties, names::WAIT, wait);
    }
    push(properties, names::REAL_TOPIC, &received.place.topic.name);
    push(properties, names::REAL_QID, &received.place.queue_id.to_string());
    let topic = context.topics.find_or_create(SCHEDULE_TOPIC, queue_id + 1, 0);
    let message = NewMessage {
        topic: &topic.name,
        queue_id,
        properties,
        tags_code: noted.tags_code(),
        ..new_message(context, received)
    };
    context.store.encode(&[message], submission)
}
