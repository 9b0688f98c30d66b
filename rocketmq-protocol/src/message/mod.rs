//! Messages: what a program sends, what it receives, and how both lie in frames and in the commit log.

pub mod batch;
mod content;
mod ext;
pub mod id;
mod java;
mod keys;
mod outgoing;
pub mod properties;
mod queue;
pub mod record;
mod send_result;
mod sys_flag;
pub mod wire;

pub use ext::MessageExt;
pub use java::{hash_map_order, string_hash};
pub use keys::IntoKeys;
pub use outgoing::Message;
pub use properties::{Properties, names};
pub use queue::MessageQueue;
pub use send_result::{SendResult, SendStatus};
pub use sys_flag::SysFlag;

/// Starts the name of every retry topic; the consumer group's name follows.
pub const RETRY_TOPIC_PREFIX: &str = "%RETRY%";
/// Starts the name of every dead-letter topic; the consumer group's name follows.
pub const DLQ_TOPIC_PREFIX: &str = "%DLQ%";
/// The topic whose settings an automatically created topic inherits.
pub const AUTO_CREATE_TOPIC_KEY: &str = "TBW102";
/// The topic in which delayed messages wait.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

/// The longest topic name in bytes that every release stores.
pub const MAX_TOPIC_BYTES: usize = 127;
/// The longest group name in bytes.
pub const MAX_GROUP_BYTES: usize = 255;

/// The retry topic of a consumer group.
#[must_use]
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_TOPIC_PREFIX}{group}")
}

/// The dead-letter topic of a consumer group.
#[must_use]
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_TOPIC_PREFIX}{group}")
}

/// The first character that RocketMQ does not allow in a topic's or group's name: names hold ASCII letters, digits,
/// `%`, `|`, `-` and `_` only.
#[must_use]
pub fn illegal_name_character(name: &str) -> Option<char> {
    name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '-' | '_')))
}
