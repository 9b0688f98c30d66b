//! What a program sends.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use super::content::{Content, content_readers};
use super::java::hash_map_order;
use super::keys::IntoKeys;
use super::properties::{NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, Properties, names};
use super::wire::WireMessage;

/// A message to send. Java: `Message`.
///
/// The setters take and return the message. Where a setter has the plain name, its reader starts with `get_`.
///
/// ```
/// use rocketmq_protocol::message::Message;
///
/// let message = Message::new("TopicTest", "Hello").tags("TagA").keys(["order-1"]).property("region", "eu");
/// assert_eq!(message.get_keys(), Some("order-1"));
/// assert_eq!(message.get_property("region"), Some("eu"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Message {
    content: Content,
    defect: Option<Box<str>>,
}

impl Message {
    /// A message with that body for that topic.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let mut properties = Properties::new();
        properties.set(names::WAIT, "true");
        let (topic, body) = (topic.into().into(), body.into());
        Self { content: Content { topic, flag: 0, properties, body, transaction_id: None }, defect: None }
    }

    /// The tag, by which consumers filter. One tag a message, in spite of the name.
    #[doc(alias = "setTags")]
    pub fn tags(mut self, tags: impl AsRef<str>) -> Self {
        self.put(names::TAGS, tags.as_ref());
        self
    }

    /// The keys, by which the message can be found again: a list of strings, or one string. A string that holds spaces is
    /// several keys.
    #[doc(alias = "setKeys")]
    pub fn keys<M>(mut self, keys: impl IntoKeys<M>) -> Self {
        self.put(names::KEYS, &keys.into_keys());
        self
    }

    /// Any property of the program's own.
    ///
    /// A blank name or value, one of RocketMQ's own names, or a name or value that holds one of the separators
    /// `\u{1}` and `\u{2}` makes the send fail with an error that says so.
    #[doc(alias = "putUserProperty")]
    pub fn property(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        if name.trim().is_empty() || value.trim().is_empty() {
            self.note(format!("property {name:?} has a blank name or value"));
        } else if names::RESERVED.contains(&name) {
            self.note(format!("property {name:?} is reserved by RocketMQ; choose another name"));
        } else {
            self.put(name, value);
        }
        self
    }

    /// A number of the program's own that travels with the message; 0 by default.
    #[doc(alias = "setFlag")]
    pub fn flag(mut self, flag: i32) -> Self {
        self.content.flag = flag;
        self
    }

    /// Holds the message back at the broker: level 1 to 18 stand for
    /// 1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h unless the broker is configured otherwise. 0 is none.
    #[doc(alias = "setDelayTimeLevel")]
    pub fn delay_time_level(mut self, level: u32) -> Self {
        self.content
            .properties
            .set(names::DELAY, &if level == 0 { String::new() } else { level.to_string() });
        self
    }

    /// Holds the message back at the broker for that many seconds. Needs timers, which 5.x brokers have, by default for up
    /// to three days.
    ///
    /// A 5.x broker without them (`timerWheelEnable=false`) and broker-lite refuse such a message; **4.9 brokers know
    /// nothing of timers and deliver it at once**. A [`delay_time_level`](Self::delay_time_level) beside it takes
    /// precedence, and of the three kinds of timer this one does.
    #[doc(alias = "setDelayTimeSec")]
    pub fn delay_time_sec(mut self, seconds: u64) -> Self {
        self.put(names::TIMER_DELAY_SEC, &seconds.to_string());
        self
    }

    /// The same in milliseconds; brokers round to their precision, 1 s by default. See
    /// [`delay_time_sec`](Self::delay_time_sec) for which brokers can.
    #[doc(alias = "setDelayTimeMs")]
    pub fn delay_time_ms(mut self, milliseconds: u64) -> Self {
        self.put(names::TIMER_DELAY_MS, &milliseconds.to_string());
        self
    }

    /// Holds the message back at the broker until that moment, in milliseconds since 1970; a moment that has passed
    /// delivers at once. See [`delay_time_sec`](Self::delay_time_sec) for which brokers can.
    #[doc(alias = "setDeliverTimeMs")]
    pub fn deliver_time_ms(mut self, timestamp_ms: i64) -> Self {
        self.put(names::TIMER_DELIVER_MS, &timestamp_ms.to_string());
        self
    }

    /// How soon the message is to be consumed, from 0. 5.5 brokers heed it in topics of the type `PRIORITY` that are
    /// consumed by POP; everywhere else it is a property without effect.
    #[doc(alias = "setPriority")]
    pub fn priority(mut self, priority: u32) -> Self {
        self.put(names::PRIORITY, &priority.to_string());
        self
    }

    /// Whether the broker answers only once the message is flushed and replicated as it is configured to do; true by
    /// default.
    #[doc(alias = "setWaitStoreMsgOK")]
    pub fn wait_store_msg_ok(mut self, wait: bool) -> Self {
        self.content.properties.set(names::WAIT, if wait { "true" } else { "false" });
        self
    }

    content_readers!();

    fn put(&mut self, name: &str, value: &str) {
        let separator = |c| matches!(c, NAME_VALUE_SEPARATOR | PROPERTY_SEPARATOR);
        if name.contains(separator) || value.contains(separator) {
            self.note(format!("property {name:?} holds one of the separators \\u{{1}} and \\u{{2}}"));
        } else {
            self.content.properties.set(name, value);
        }
    }

    fn note(&mut self, defect: String) {
        self.defect.get_or_insert(defect.into());
    }
}

impl WireMessage for Message {
    fn topic_shared(&self) -> &ByteString {
        &self.content.topic
    }

    fn defect(&self) -> Option<&str> {
        self.defect.as_deref()
    }

    fn into_properties(self) -> Properties {
        self.content.properties
    }

    fn set_reserved_property(&mut self, name: &str, value: &str) {
        self.put(name, value);
    }

    fn set_transaction_id(&mut self, transaction_id: impl Into<ByteString>) {
        self.content.transaction_id = Some(transaction_id.into());
    }

    fn set_body(&mut self, body: Bytes) {
        self.content.body = body;
    }
}

/// As Java's `toString`.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_content(f, &self.content, Some(&self.content.body))
    }
}

/// What `Message.toString` prints of any message.
pub(super) fn fmt_content(f: &mut fmt::Formatter<'_>, content: &Content, body: Option<&[u8]>) -> fmt::Result {
    let Content { topic, flag, properties, transaction_id, .. } = content;
    write!(f, "Message{{topic='{topic}', flag={flag}, properties={{")?;
    for (at, (name, value)) in hash_map_order(&properties.distinct()).into_iter().enumerate() {
        write!(f, "{}{name}={value}", if at == 0 { "" } else { ", " })?;
    }
    f.write_str("}, body=")?;
    match body {
        None => f.write_str("null")?,
        Some(body) => {
            for (at, byte) in body.iter().enumerate() {
                write!(f, "{}{}", if at == 0 { "[" } else { ", " }, byte.cast_signed())?;
            }
            f.write_str(if body.is_empty() { "[]" } else { "]" })?;
        }
    }
    write!(f, ", transactionId='{}'}}", transaction_id.as_deref().unwrap_or("null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_java() {
        let message = Message::new("T", vec![1u8, 0xFF]).tags("A");
        assert_eq!(
            message.to_string(),
            "Message{topic='T', flag=0, properties={WAIT=true, TAGS=A}, body=[1, -1], transactionId='null'}"
        );
    }

    #[test]
    fn what_cannot_travel_is_noted() {
        assert!(Message::new("T", "b").property("KEYS", "x").defect().unwrap().contains("reserved"));
        assert!(Message::new("T", "b").property(" ", "x").defect().unwrap().contains("blank"));
        assert!(Message::new("T", "b").property("a", "x\u{1}y").defect().unwrap().contains("separators"));
        assert_eq!(Message::new("T", "b").property("a", "b").defect(), None);
    }

    #[test]
    fn javas_setters_write_javas_properties() {
        let message = Message::new("T", "b")
            .keys("a b")
            .delay_time_level(3)
            .delay_time_sec(5)
            .delay_time_ms(1500)
            .deliver_time_ms(1_700_000_000_000)
            .priority(1)
            .property("__SHARDINGKEY", "k");
        let expected = [
            ("WAIT", "true"),
            ("KEYS", "a b"),
            ("DELAY", "3"),
            ("TIMER_DELAY_SEC", "5"),
            ("TIMER_DELAY_MS", "1500"),
            ("TIMER_DELIVER_MS", "1700000000000"),
            ("_SYS_MSG_PRIORITY_", "1"),
            ("__SHARDINGKEY", "k"),
        ];
        assert_eq!(message.properties().distinct(), expected);
        assert_eq!(message.defect(), None);
    }
}
