//! Giving a message back to the broker, to come again later.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::wire::{WireMessageExt, WireMessageQueue, WireProperties};
use rocketmq_protocol::message::{MessageExt, SysFlag, names};
use rocketmq_protocol::request::{SendBackRequest, SendMessageRequest};

use super::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::now_ms;

const SEND_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay level of the first retry; each further one is a level later.
const FIRST_RETRY_LEVEL: i32 = 3;

/// Asks the broker that holds the message to move it to the retry topic (or the dead letters). If that fails, sends a
/// new message to the retry topic, as Java does.
pub(super) async fn send_back(consumer: &Inner, message: &MessageExt, delay_level: i32) -> Result<()> {
    let asked = ask_broker(consumer, message, delay_level).await;
    let Err(error) = asked else { return Ok(()) };
    tracing::warn!(msg_id = %message.msg_id(), %error, "sending back failed: sending a new message to the retry topic");
    send_anew(consumer, message).await
}

async fn ask_broker(consumer: &Inner, message: &MessageExt, delay_level: i32) -> Result<()> {
    let by_name = message.broker_name().and_then(|name| consumer.instance.routes().master_addr(name));
    let addr = by_name.unwrap_or_else(|| message.store_host().to_string());
    let request = SendBackRequest {
        offset: message.commit_log_offset(),
        group: consumer.config.consumer_group.clone(),
        delay_level,
        origin_msg_id: Some(message.msg_id().into()),
        origin_topic: Some(message.topic_shared().clone()),
        unit_mode: Some(false),
        max_reconsume_times: Some(consumer.config.max_reconsume_times),
        broker_name: message.broker_name().map(ByteString::from),
    };
    consumer.instance.call(&addr, &request, Bytes::new(), SEND_BACK_TIMEOUT).await.map(drop)
}

async fn send_anew(consumer: &Inner, message: &MessageExt) -> Result<()> {
    let topic = ByteString::from(&*consumer.retry_topic);
    let route = consumer.instance.route(&topic, None).await?;
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
        sys_flag: SysFlag::default().0,
        born_timestamp: now_ms(),
        flag: message.get_flag(),
        properties: Some(retry_properties(message)),
        reconsume_times: Some(message.reconsume_times() + 1),
        unit_mode: Some(false),
        max_reconsume_times: Some(consumer.config.max_reconsume_times),
        batch: Some(false),
        broker_name: Some(queue.queue.broker_name_shared().clone()),
    };
    let sent =
        consumer.instance.call(&queue.broker_addr, &request, message.body().clone(), SEND_BACK_TIMEOUT);
    sent.await.map(drop)
}

/// What the new message keeps of the old one.
fn retry_properties(message: &MessageExt) -> ByteString {
    let mut properties = message.properties().clone();
    let origin =
        message.get_property(names::ORIGIN_MESSAGE_ID).map_or_else(|| message.msg_id(), str::to_owned);
    for name in [names::MIN_OFFSET, names::MAX_OFFSET, names::CONSUME_START_TIME, names::TRAN_MSG] {
        properties.remove(name);
    }
    properties.set(names::ORIGIN_MESSAGE_ID, &origin);
    properties.set(names::RETRY_TOPIC, message.topic());
    properties.set(names::DELAY, &(FIRST_RETRY_LEVEL + message.reconsume_times()).to_string());
    properties.into_wire()
}
