//! Giving a message back to the broker, to come again later.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::wire::{WireMessageQueue, WireProperties};
use rocketmq_protocol::message::{MessageExt, MessageQueue, names};
use rocketmq_protocol::request::{SendBackRequest, SendMessageRequest};

use super::Push;
use crate::consumer::process_queue::{Record, Returning};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::now_ms;

const SEND_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay level of the first retry; each further one is a level later.
const FIRST_RETRY_LEVEL: i32 = 3;

/// Asks the broker that holds the message to move it to the retry topic (or the dead letters). If that fails, sends a
/// new message to the retry topic, as Java does.
///
/// # Errors
/// Neither worked: the message is safe nowhere but in its queue.
pub(super) async fn send_back(
    push: &Push,
    queue: &MessageQueue,
    returning: &Returning,
    delay_level: i32,
) -> Result<()> {
    match &returning.pulled.record {
        Record::Message(message) => {
            let addr = push.core.instance.routes().master_addr(queue.broker_name());
            let addr = addr.unwrap_or_else(|| message.store_host().to_string());
            let request = SendBackRequest {
                origin_msg_id: Some(message.msg_id().into()),
                origin_topic: Some(origin_topic(push, message).into()),
                ..request(push, queue, message.commit_log_offset(), delay_level)
            };
            let asked = call(push, &addr, &request).await;
            let Err(error) = asked else { return Ok(()) };
            tracing::warn!(
                msg_id = %message.msg_id(), %error,
                "sending back failed: sending a new message to the retry topic"
            );
            send_anew(push, message).await
        }
        Record::Unreadable { physical_offset } => {
            send_back_unreadable(push, queue, returning.offset, *physical_offset, delay_level).await
        }
    }
}

/// The broker may be able to read what is not readable here. If it says that it is not, then nobody ever will: the record
/// is passed over, aloud.
async fn send_back_unreadable(
    push: &Push,
    queue: &MessageQueue,
    offset: i64,
    physical_offset: Option<i64>,
    delay_level: i32,
) -> Result<()> {
    let pass_over = |why: &dyn std::fmt::Display| {
        tracing::error!(%queue, offset, ?physical_offset, %why, "a record that nobody can read is passed over");
        Ok(())
    };
    let Some(physical_offset) = physical_offset else {
        return pass_over(&"it does not say where it lies in the broker's log");
    };
    let Some(addr) = push.core.instance.routes().master_addr(queue.broker_name()) else {
        let why = format!("the master of broker {} is not known", queue.broker_name());
        return Err(Error::new(ErrorKind::NoRoute, why).of_topic(queue.topic()));
    };
    match call(push, &addr, &request(push, queue, physical_offset, delay_level)).await {
        Err(error) if error.kind() == ErrorKind::Broker => pass_over(&error),
        other => other,
    }
}

fn request(push: &Push, queue: &MessageQueue, physical_offset: i64, delay_level: i32) -> SendBackRequest {
    SendBackRequest {
        offset: physical_offset,
        group: push.core.config.consumer_group.clone(),
        delay_level,
        origin_msg_id: None,
        origin_topic: Some(queue.topic_shared().clone()),
        unit_mode: Some(false),
        max_reconsume_times: Some(push.config.max_reconsume_times),
        broker_name: Some(queue.broker_name_shared().clone()),
    }
}

async fn call(push: &Push, addr: &str, request: &SendBackRequest) -> Result<()> {
    push.core.instance.call(addr, request, Bytes::new(), SEND_BACK_TIMEOUT).await.map(drop)
}

/// The topic that the message was first sent to.
fn origin_topic<'a>(push: &Push, message: &'a MessageExt) -> &'a str {
    let retried = *message.topic() == *push.core.retry_topic;
    let origin = if retried { message.get_property(names::RETRY_TOPIC) } else { None };
    origin.unwrap_or_else(|| message.topic())
}

async fn send_anew(push: &Push, message: &MessageExt) -> Result<()> {
    let topic = push.core.retry_topic.clone();
    let instance = &push.core.instance;
    let route = instance.route(&topic, None).await?;
    let Some(queue) = route.next_queue(message.broker_name()) else {
        return Err(
            Error::new(ErrorKind::NoRoute, "the retry topic has no queue to send to").of_topic(&*topic)
        );
    };
    let request = SendMessageRequest {
        producer_group: ByteString::from_static("CLIENT_INNER_PRODUCER"),
        topic: topic.clone(),
        default_topic: ByteString::from_static(rocketmq_protocol::message::AUTO_CREATE_TOPIC_KEY),
        default_topic_queue_nums: 1,
        queue_id: queue.queue.queue_id(),
        // The body goes as it was stored.
        sys_flag: message.sys_flag().compression_only().0,
        born_timestamp: now_ms(),
        flag: message.get_flag(),
        properties: Some(retry_properties(push, message)),
        reconsume_times: Some(message.reconsume_times() + 1),
        unit_mode: Some(false),
        max_reconsume_times: Some(push.config.max_reconsume_times),
        batch: Some(false),
        broker_name: Some(queue.queue.broker_name_shared().clone()),
    };
    let sent = instance.call(&queue.broker_addr, &request, message.body().clone(), SEND_BACK_TIMEOUT);
    sent.await.map(drop)
}

/// What the new message keeps of the old one.
fn retry_properties(push: &Push, message: &MessageExt) -> ByteString {
    let mut properties = message.properties().clone();
    let origin =
        message.get_property(names::ORIGIN_MESSAGE_ID).map_or_else(|| message.msg_id(), str::to_owned);
    for name in [names::MIN_OFFSET, names::MAX_OFFSET, names::CONSUME_START_TIME, names::TRAN_MSG] {
        properties.remove(name);
    }
    properties.set(names::ORIGIN_MESSAGE_ID, &origin);
    properties.set(names::RETRY_TOPIC, origin_topic(push, message));
    properties.set(names::DELAY, &(FIRST_RETRY_LEVEL + message.reconsume_times()).to_string());
    properties.into_wire()
}
