//! A message's properties, kept in the form in which they travel and are stored:
//!
//! ```text
//! key \u{1} value \u{2} key \u{1} value \u{2} ...
//! ```
//!
//! Receiving costs nothing that way (the string is a slice of the frame), and sending appends to one string.
//! RocketMQ 4.9 leaves out the last `\u{2}`, 5.x keeps it; both are read, the latter is written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use bytes::Bytes;
use bytestring::ByteString;

use super::wire::WireProperties;

/// Stands between a property's name and its value.
pub const NAME_VALUE_SEPARATOR: char = '\u{1}';
/// Stands behind each property.
pub const PROPERTY_SEPARATOR: char = '\u{2}';

/// The longest encoded properties that a broker stores: their length is an `i16` in the log.
pub const MAX_PROPERTIES_BYTES: usize = i16::MAX as usize;

/// The digits of the longest `i64`, and its sign.
const MAX_NUMBER_BYTES: usize = 20;

/// The properties of one message, in the order in which they were put.
#[derive(Clone, Default)]
pub struct Properties(Repr);

#[derive(Clone)]
enum Repr {
    /// As it came off the wire or the log.
    Wire(ByteString),
    /// Being built; always ends with the separator, or is empty.
    Owned(String),
}

impl Default for Repr {
    fn default() -> Self {
        Self::Owned(String::new())
    }
}

impl Properties {
    /// No properties.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`. Where a name stands twice the last one counts, as in Java.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        entries(self.as_str()).rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// True if there is a property of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a property, in place of an earlier one of that name. An empty value removes it: it could not be read back.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.contains(name) {
            self.remove(name);
        }
        if name.is_empty() || value.is_empty() {
            return;
        }
        push_entry(self.owned_with(name.len() + value.len() + 2), name, value);
    }

    /// Removes a property and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let removed = self.get(name)?.to_owned();
        let mut kept = String::with_capacity(self.as_str().len());
        for (key, value) in entries(self.as_str()).filter(|(key, _)| *key != name) {
            push_entry(&mut kept, key, value);
        }
        self.0 = Repr::Owned(kept);
        Some(removed)
    }

    /// The properties in the order in which they were put; a name that stands twice comes twice.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        entries(self.as_str())
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Each name once: at its first place, with its last value, as a Java map holds them.
    #[must_use]
    pub fn distinct(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (key, value) in self.iter() {
            match places.entry(key) {
                Entry::Occupied(place) => all[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(all.len());
                    all.push((key, value));
                }
            }
        }
        all
    }

    /// As a string that has room for so many bytes more.
    fn owned_with(&mut self, more_bytes: usize) -> &mut String {
        if let Repr::Wire(encoded) = &self.0 {
            let mut text = String::with_capacity(encoded.len() + 1 + more_bytes);
            text.push_str(encoded);
            if !text.is_empty() && !text.ends_with(PROPERTY_SEPARATOR) {
                text.push(PROPERTY_SEPARATOR);
            }
            self.0 = Repr::Owned(text);
        }
        match &mut self.0 {
            Repr::Owned(text) => {
                text.reserve(more_bytes);
                text
            }
            Repr::Wire(_) => unreachable!("made owned above"),
        }
    }
}

impl WireProperties for Properties {
    fn from_wire(encoded: impl Into<ByteString>) -> Self {
        Self(Repr::Wire(encoded.into()))
    }

    fn from_bytes(encoded: Bytes) -> Self {
        Self(Repr::Wire(lossy(encoded)))
    }

    fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Wire(text) => text,
            Repr::Owned(text) => text,
        }
    }

    fn to_wire(&self) -> ByteString {
        match &self.0 {
            Repr::Wire(text) => text.clone(),
            Repr::Owned(text) => ByteString::from(text.as_str()),
        }
    }

    fn into_wire(self) -> ByteString {
        match self.0 {
            Repr::Wire(text) => text,
            Repr::Owned(text) => text.into(),
        }
    }

    fn set_numbers(&mut self, numbers: &[(&str, i64)]) {
        for (name, _) in numbers {
            if self.contains(name) {
                self.remove(name);
            }
        }
        let added: usize = numbers.iter().map(|(name, _)| name.len() + MAX_NUMBER_BYTES + 2).sum();
        let text = self.owned_with(added);
        for (name, number) in numbers {
            text.push_str(name);
            text.push(NAME_VALUE_SEPARATOR);
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}");
            text.push(PROPERTY_SEPARATOR);
        }
    }
}

/// The readable entries of an encoded string.
fn entries(encoded: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    encoded.split(PROPERTY_SEPARATOR).filter_map(|entry| {
        let (key, value) = entry.split_once(NAME_VALUE_SEPARATOR)?;
        (!key.is_empty() && !value.is_empty()).then_some((key, value))
    })
}

/// Appends one encoded property to `text`.
pub fn push_entry(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push(NAME_VALUE_SEPARATOR);
    text.push_str(value);
    text.push(PROPERTY_SEPARATOR);
}

/// Reads UTF-8 without a copy, and anything else with U+FFFD in place of what is wrong.
pub(crate) fn lossy(bytes: Bytes) -> ByteString {
    match ByteString::try_from(bytes.clone()) {
        Ok(text) => text,
        Err(_) => match String::from_utf8_lossy(&bytes) {
            Cow::Borrowed(text) => ByteString::from(text),
            Cow::Owned(text) => ByteString::from(text),
        },
    }
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.distinct()).finish()
    }
}

impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.distinct(), other.distinct());
        left.sort_unstable();
        right.sort_unstable();
        left == right
    }
}

impl Eq for Properties {}

/// As setting one after the other does.
impl<'a> FromIterator<(&'a str, &'a str)> for Properties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(entries: I) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let last: HashMap<_, _> =
            entries.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
        let mut text = String::new();
        for (place, (name, value)) in entries.into_iter().enumerate() {
            if last.get(name) == Some(&place) && !name.is_empty() && !value.is_empty() {
                push_entry(&mut text, name, value);
            }
        }
        Self(Repr::Owned(text))
    }
}

/// Names that RocketMQ itself gives meaning to.
pub mod names {
    macro_rules! names {
        (
            reserved { $($(#[$doc:meta])* $konst:ident = $text:literal;)* }
            open { $($(#[$open_doc:meta])* $open:ident = $open_text:literal;)* }
        ) => {
            $($(#[$doc])* pub const $konst: &str = $text;)*
            $($(#[$open_doc])* pub const $open: &str = $open_text;)*
            /// Names that programs must not use for properties of their own: those that Java 5.5.0 refuses, and with
            /// them all that 4.9 does.
            pub const RESERVED: &[&str] = &[$($text),*];
        };
    }
    names! {
        reserved {
            /// The message's keys, separated by one space.
            KEYS = "KEYS";
            /// The message's tag.
            TAGS = "TAGS";
            /// Whether the answer waits until the message is flushed or replicated as configured.
            WAIT = "WAIT";
            /// The delay level.
            DELAY = "DELAY";
            /// The topic that a message in a retry topic came from.
            RETRY_TOPIC = "RETRY_TOPIC";
            /// The topic that a scheduled or half message will go to.
            REAL_TOPIC = "REAL_TOPIC";
            /// The queue that a scheduled or half message will go to.
            REAL_QID = "REAL_QID";
            /// Marks a half message.
            TRAN_MSG = "TRAN_MSG";
            /// The producer group of a half message.
            PGROUP = "PGROUP";
            /// The queue's lowest offset when a message was pulled.
            MIN_OFFSET = "MIN_OFFSET";
            /// The queue's end offset when a message was pulled.
            MAX_OFFSET = "MAX_OFFSET";
            /// The buyer.
            BUYER_ID = "BUYER_ID";
            /// The id that a message had before it went to a retry topic.
            ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
            /// A transfer mark.
            TRANSFER_FLAG = "TRANSFER_FLAG";
            /// A correction mark.
            CORRECTION_FLAG = "CORRECTION_FLAG";
            /// A mark of MetaQ 2.
            MQ2_FLAG = "MQ2_FLAG";
            /// How often a message in a retry topic was consumed.
            RECONSUME_TIME = "RECONSUME_TIME";
            /// The broker's region.
            MSG_REGION = "MSG_REGION";
            /// Whether the message is traced.
            TRACE_ON = "TRACE_ON";
            /// The id given by the producer.
            UNIQ_KEY = "UNIQ_KEY";
            /// More of the id.
            EXTEND_UNIQ_INFO = "EXTEND_UNIQ_INFO";
            /// How often a message may be consumed again.
            MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
            /// When consumption began.
            CONSUME_START_TIME = "CONSUME_START_TIME";
            /// The half message's queue offset.
            TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET";
            /// The instance (name space).
            INSTANCE_ID = "INSTANCE_ID";
            /// Ties a reply to its request.
            CORRELATION_ID = "CORRELATION_ID";
            /// The client that waits for the reply.
            REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
            /// How long the requester waits.
            TTL = "TTL";
            /// When a reply arrived.
            ARRIVE_TIME = "ARRIVE_TIME";
            /// When a reply was pushed.
            PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
            /// The broker's cluster.
            CLUSTER = "CLUSTER";
            /// The message's kind.
            MSG_TYPE = "MSG_TYPE";
            /// Offsets in light message queues.
            INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET";
            /// Duplicate detection.
            DUP_INFO = "DUP_INFO";
            /// POP's check point.
            POP_CK = "POP_CK";
            /// The offset of POP's check point.
            POP_CK_OFFSET = "POP_CK_OFFSET";
            /// When a message was first popped.
            FIRST_POP_TIME = "1ST_POP_TIME";
            /// Deliver after so many seconds (5.x).
            TIMER_DELAY_SEC = "TIMER_DELAY_SEC";
            /// Deliver after so many milliseconds (5.x).
            TIMER_DELAY_MS = "TIMER_DELAY_MS";
            /// Deliver at that moment, in milliseconds since 1970 (5.x).
            TIMER_DELIVER_MS = "TIMER_DELIVER_MS";
            /// When a timer message was taken in.
            TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS";
            /// When a timer message was given out.
            TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS";
            /// How often a timer message went round the wheel.
            TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES";
            /// When a timer message is due.
            TIMER_OUT_MS = "TIMER_OUT_MS";
            /// The timer message to delete.
            TIMER_DEL_UNIQKEY = "TIMER_DEL_UNIQKEY";
            /// The timer's delay level.
            TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL";
            /// The topic that a dead letter came from.
            DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC";
            /// The id that a dead letter had.
            DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID";
            /// The group that a message in a retry topic came from.
            ORIGIN_GROUP = "ORIGIN_GROUP";
            /// The producer's address, where it is not the sender's.
            BORN_HOST = "__BORNHOST";
            /// When the message was made, where it is not when it was sent.
            BORN_TIMESTAMP = "BORN_TIMESTAMP";
            /// The stored body's checksum.
            CRC32 = "__CRC32#";
            /// The priority (5.5).
            PRIORITY = "_SYS_MSG_PRIORITY_";
            /// The lite topic (5.5).
            LITE_TOPIC = "__LITE_TOPIC";
        }
        // Programs may set these, as in Java.
        open {
            /// The transaction's id.
            TRANSACTION_ID = "__transactionId__";
            /// How often a half message was checked.
            TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES";
            /// How long a half message is not checked.
            CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS";
            /// Light message queues.
            INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH";
            /// How many messages an inner batch holds.
            INNER_NUM = "INNER_NUM";
            /// The first offset of an inner batch.
            INNER_BASE = "INNER_BASE";
            /// The sharding key.
            SHARDING_KEY = "__SHARDINGKEY";
            /// The queue that a message is forwarded to.
            FORWARD_QUEUE_ID = "PROPERTY_FORWARD_QUEUE_ID";
            /// A redirection mark.
            REDIRECT = "REDIRECT";
            /// The trace's context.
            TRACE_CONTEXT = "TRACE_CONTEXT";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_releases_forms_are_read() {
        for text in ["a\u{1}1\u{2}b\u{1}2", "a\u{1}1\u{2}b\u{1}2\u{2}"] {
            let properties = Properties::from_wire(text);
            assert_eq!(properties.get("a"), Some("1"));
            assert_eq!(properties.get("b"), Some("2"));
        }
    }

    #[test]
    fn setting_replaces_and_an_empty_value_removes() {
        let mut properties = Properties::from_wire("a\u{1}1\u{2}b\u{1}2");
        properties.set("a", "3");
        assert_eq!(properties.as_str(), "b\u{1}2\u{2}a\u{1}3\u{2}");
        properties.set("b", "");
        assert_eq!(properties.as_str(), "a\u{1}3\u{2}");
        assert_eq!(properties.remove("a").as_deref(), Some("3"));
        assert!(properties.is_empty());
    }

    #[test]
    fn collecting_is_as_setting_one_after_the_other() {
        let entries = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", ""), ("", "5"), ("d", "6")];
        let mut set = Properties::new();
        entries.iter().for_each(|(name, value)| set.set(name, value));
        assert_eq!(Properties::from_iter(entries).as_str(), set.as_str());
    }

    /// Looking each up among all before it would take minutes.
    #[test]
    fn collecting_is_linear() {
        let names: Vec<_> = (0..200_000).map(|number| number.to_string()).collect();
        let properties: Properties = names.iter().map(|name| (&**name, "1")).collect();
        assert_eq!(properties.iter().count(), names.len());
    }

    /// 16,000 names fit a record. Looking each up among all before it took seconds.
    #[test]
    fn many_names_are_told_apart_in_time_linear_in_their_number() {
        let text: String = (0..300_000).map(|number| format!("{number}\u{1}v\u{2}")).collect();
        let properties = Properties::from_wire(text.as_str());
        assert_eq!(properties.distinct().len(), 300_000);
        assert_eq!(properties, properties.clone());
    }

    #[test]
    fn the_last_of_two_values_counts() {
        let properties = Properties::from_wire("a\u{1}1\u{2}b\u{1}2\u{2}a\u{1}3\u{2}");
        assert_eq!(properties.get("a"), Some("3"));
        assert_eq!(properties.distinct(), [("a", "3"), ("b", "2")]);
    }

    #[test]
    fn numbers_are_set_as_if_one_by_one() {
        for encoded in ["", "a\u{1}1", "a\u{1}1\u{2}MIN\u{1}7\u{2}"] {
            let mut at_once = Properties::from_wire(encoded);
            let mut one_by_one = at_once.clone();
            at_once.set_numbers(&[("MIN", 0), ("MAX", i64::MIN)]);
            one_by_one.set("MIN", "0");
            one_by_one.set("MAX", &i64::MIN.to_string());
            assert_eq!(at_once.as_str(), one_by_one.as_str(), "{encoded:?}");
        }
    }

    #[test]
    fn entries_without_name_or_value_are_passed_over() {
        let properties = Properties::from_wire("\u{1}1\u{2}b\u{1}\u{2}c\u{2}d\u{1}4");
        assert_eq!(properties.distinct(), [("d", "4")]);
    }
}
