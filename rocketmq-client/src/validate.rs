//! Java's `Validators`: what is refused before it reaches a broker.

use rocketmq_protocol::message::wire::{WireMessage, WireProperties};
use rocketmq_protocol::message::{
    MAX_GROUP_BYTES, MAX_TOPIC_BYTES, Message, SCHEDULE_TOPIC, illegal_name_character, properties,
};

use crate::error::{Error, ErrorKind, Result};

/// Topics that RocketMQ keeps for itself.
const FORBIDDEN_TOPICS: [&str; 6] = [
    SCHEDULE_TOPIC,
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

/// Refuses names that no topic can have.
pub(crate) fn topic(topic: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorKind::InvalidTopic, why).of_topic(topic));
    if topic.trim().is_empty() {
        return refuse("The specified topic is blank".to_owned());
    }
    if topic.len() > MAX_TOPIC_BYTES {
        return refuse(format!(
            "The specified topic is {} bytes long; topics may have {MAX_TOPIC_BYTES}: shorten the name",
            topic.len()
        ));
    }
    if let Some(character) = illegal_name_character(topic) {
        return refuse(format!(
            "The specified topic[{topic}] contains the illegal character {character:?}; letters, digits, %, |, - and _ \
             are allowed"
        ));
    }
    Ok(())
}

/// Refuses names that no group can have, and the default name, which programs share by accident.
pub(crate) fn group(group: &str, default_name: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorKind::InvalidConfig, why));
    if group.trim().is_empty() {
        return refuse("the specified group is blank".to_owned());
    }
    if group.len() > MAX_GROUP_BYTES {
        return refuse(format!(
            "the specified group is {} bytes long; groups may have {MAX_GROUP_BYTES}: shorten the name",
            group.len()
        ));
    }
    if let Some(character) = illegal_name_character(group) {
        return refuse(format!(
            "the specified group[{group}] contains the illegal character {character:?}; letters, digits, %, |, - and _ \
             are allowed"
        ));
    }
    if group == default_name {
        return refuse(format!("the group can not equal {default_name}, please specify another one"));
    }
    Ok(())
}

/// Refuses messages that no broker takes.
pub(crate) fn message(message: &Message, max_message_size: usize) -> Result<()> {
    topic(message.topic())?;
    let refuse = |kind, why: String| Err(Error::new(kind, why).of_topic(message.topic()));
    if FORBIDDEN_TOPICS.contains(&message.topic()) {
        return refuse(
            ErrorKind::InvalidTopic,
            format!(
                "Sending message to topic[{}] is forbidden: RocketMQ keeps it for itself",
                message.topic()
            ),
        );
    }
    if let Some(defect) = message.defect() {
        return refuse(ErrorKind::InvalidMessage, format!("the message cannot be sent: {defect}"));
    }
    if message.body().is_empty() {
        return refuse(
            ErrorKind::EmptyBody,
            "the message body length is zero; give it at least one byte".to_owned(),
        );
    }
    if message.body().len() > max_message_size {
        return refuse(
            ErrorKind::MessageTooLarge,
            format!(
                "the message body size over max value, MAX: {max_message_size}; this one has {} bytes. Split it, or raise \
                 max_message_size here and maxMessageSize at the broker",
                message.body().len()
            ),
        );
    }
    let properties_bytes = message.properties().as_str().len();
    if properties_bytes > properties::MAX_PROPERTIES_BYTES {
        return refuse(
            ErrorKind::InvalidMessage,
            format!(
                "the properties take {properties_bytes} bytes; {} are the most",
                properties::MAX_PROPERTIES_BYTES
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(message: Message) -> ErrorKind {
        super::message(&message, 10).unwrap_err().kind()
    }

    #[test]
    fn each_defect_has_its_kind() {
        assert_eq!(kind(Message::new("T", "")), ErrorKind::EmptyBody);
        assert_eq!(kind(Message::new("T", vec![0; 11])), ErrorKind::MessageTooLarge);
        assert_eq!(kind(Message::new(" ", "b")), ErrorKind::InvalidTopic);
        assert_eq!(kind(Message::new("a.b", "b")), ErrorKind::InvalidTopic);
        assert_eq!(kind(Message::new("t".repeat(128), "b")), ErrorKind::InvalidTopic);
        assert_eq!(kind(Message::new(SCHEDULE_TOPIC, "b")), ErrorKind::InvalidTopic);
        assert_eq!(kind(Message::new("T", "b").property("KEYS", "k")), ErrorKind::InvalidMessage);
        assert_eq!(kind(Message::new("T", "b").property("a", "x".repeat(40_000))), ErrorKind::InvalidMessage);
        super::message(&Message::new("t".repeat(127), vec![0; 10]), 10).unwrap();
    }

    #[test]
    fn the_default_group_is_refused() {
        assert!(group("DEFAULT_PRODUCER", "DEFAULT_PRODUCER").is_err());
        assert!(group("g%|-_1", "DEFAULT_PRODUCER").is_ok());
    }
}
