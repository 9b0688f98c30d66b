//! Making a message ready for the wire, once, whatever the number of tries.

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::compression::{CompressionType, compress_zlib};
use rocketmq_protocol::message::wire::{WireMessage, WireProperties};
use rocketmq_protocol::message::{Message, Properties, RETRY_TOPIC_PREFIX, SysFlag, batch, names};
use rocketmq_protocol::request::SendMessageRequest;

use super::builder::ProducerConfig;
use super::request::Payload;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::ClientInstance;
use crate::validate;

/// A message or batch as it goes over the wire.
pub(super) struct Prepared {
    /// The id, or the ids joined by commas.
    pub(super) msg_id: String,
    pub(super) body: Bytes,
    /// All fields; queue and broker are set anew for each try.
    pub(super) header: SendMessageRequest,
}

impl Prepared {
    /// `payload` has passed [`check`] and has its ids. `topic` is its topic, and `now` when it was made.
    pub(super) fn new(
        config: &ProducerConfig,
        topic: &ByteString,
        payload: Payload,
        msg_id: String,
        now: i64,
    ) -> Result<Self> {
        match payload {
            Payload::One(message) => Ok(Self::one(config, topic, message, msg_id, now)),
            Payload::Batch(messages) => Self::batch(config, topic, &messages, msg_id, now),
        }
    }

    fn one(config: &ProducerConfig, topic: &ByteString, message: Message, msg_id: String, now: i64) -> Self {
        let mut sys_flag = SysFlag::default();
        let mut body = message.body().clone();
        if body.len() >= config.compress_msg_body_over_howmuch {
            let compressed = compress_zlib(&body, config.compress_level);
            // Random bytes grow, and would even break the broker's limit.
            if compressed.len() < body.len() {
                body = compressed.into();
                sys_flag = sys_flag.with_compression(CompressionType::Zlib);
            }
        }
        let header = header(config, topic, message, sys_flag, now);
        Self { msg_id, body, header }
    }

    fn batch(
        config: &ProducerConfig,
        topic: &ByteString,
        messages: &[Message],
        msg_id: String,
        now: i64,
    ) -> Result<Self> {
        let body = batch::encode(messages)
            .map_err(|error| Error::new(ErrorKind::InvalidMessage, error.to_string()).with_source(error))?;
        check_batch_size(body.len(), config, messages[0].topic())?;
        // The batch as a whole has only what its messages share.
        let envelope = Message::new(messages[0].topic_shared().clone(), "")
            .wait_store_msg_ok(messages[0].is_wait_store_msg_ok());
        let header = SendMessageRequest {
            batch: Some(true),
            ..header(config, topic, envelope, SysFlag::default(), now)
        };
        Ok(Self { msg_id, body, header })
    }
}

/// Gives an id to every message that has none. Returns the id, or those of a batch joined by commas.
pub(super) fn give_ids(instance: &ClientInstance, payload: &mut Payload, now: i64) -> String {
    match payload {
        Payload::One(message) => give_id(instance, message, now),
        Payload::Batch(messages) => {
            let ids: Vec<_> = messages.iter_mut().map(|message| give_id(instance, message, now)).collect();
            ids.join(",")
        }
    }
}

fn give_id(instance: &ClientInstance, message: &mut Message, now: i64) -> String {
    if let Some(id) = message.get_property(names::UNIQ_KEY) {
        return id.to_owned();
    }
    let id = instance.next_message_id(now);
    message.set_reserved_property(names::UNIQ_KEY, &id);
    id
}

/// Refuses what cannot be sent, before any route is asked for.
pub(super) fn check(payload: &Payload, config: &ProducerConfig) -> Result<()> {
    match payload {
        Payload::One(message) => validate::message(message, config.max_message_size),
        Payload::Batch(messages) => check_batch(messages, config),
    }
}

pub(super) fn no_message() -> Error {
    Error::new(ErrorKind::InvalidMessage, "a batch needs at least one message")
}

fn check_batch(messages: &[Message], config: &ProducerConfig) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidMessage, why));
    let first = messages.first().ok_or_else(no_message)?;
    for message in messages {
        validate::message(message, config.max_message_size)?;
        if message.get_delay_time_level() > 0 {
            return refuse("TimeDelayLevel is not supported for batching");
        }
        // Java sends these, and every broker delivers them at once.
        if has_timer(message) {
            return refuse(
                "timers (delay_time_sec, delay_time_ms, deliver_time_ms) are not supported for batching",
            );
        }
        if message.topic().starts_with(RETRY_TOPIC_PREFIX) {
            return refuse("Retry Group is not supported for batching");
        }
        if message.topic() != first.topic() {
            return refuse("The topic of the messages in one batch should be the same");
        }
        if message.is_wait_store_msg_ok() != first.is_wait_store_msg_ok() {
            return refuse("The waitStoreMsgOK of the messages in one batch should the same");
        }
    }
    check_batch_size(messages.iter().map(batch::encoded_len).sum(), config, first.topic())
}

fn has_timer(message: &Message) -> bool {
    [names::TIMER_DELAY_SEC, names::TIMER_DELAY_MS, names::TIMER_DELIVER_MS]
        .into_iter()
        .any(|name| message.properties().contains(name))
}

fn check_batch_size(bytes: usize, config: &ProducerConfig, topic: &str) -> Result<()> {
    if bytes <= config.max_message_size {
        return Ok(());
    }
    let message = format!(
        "the message body size over max value, MAX: {}; this batch takes {bytes} bytes: send fewer messages at a time",
        config.max_message_size
    );
    Err(Error::new(ErrorKind::MessageTooLarge, message).of_topic(topic))
}

/// `topic` is the message's, but a string that clones without an allocation.
fn header(
    config: &ProducerConfig,
    topic: &ByteString,
    message: Message,
    sys_flag: SysFlag,
    now: i64,
) -> SendMessageRequest {
    let flag = message.get_flag();
    let mut properties = message.into_properties();
    let is_retry = topic.starts_with(RETRY_TOPIC_PREFIX);
    SendMessageRequest {
        producer_group: config.producer_group.clone(),
        topic: topic.clone(),
        default_topic: config.auto_create.key.clone(),
        default_topic_queue_nums: config.auto_create.queue_nums,
        queue_id: 0,
        sys_flag: sys_flag.0,
        born_timestamp: now,
        flag,
        // In a retry topic these two travel as fields of their own.
        reconsume_times: Some(if is_retry { take_number(&mut properties, names::RECONSUME_TIME) } else { 0 }),
        max_reconsume_times: is_retry.then(|| take_number(&mut properties, names::MAX_RECONSUME_TIMES)),
        properties: Some(properties.into_wire()),
        unit_mode: Some(false),
        batch: Some(false),
        broker_name: None,
    }
}

fn take_number(properties: &mut Properties, name: &str) -> i32 {
    properties.remove(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}
