//! What a message to send and a received one have in common.

use bytes::Bytes;
use bytestring::ByteString;

use super::Properties;

/// The part of a message that the producer wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) topic: ByteString,
    pub(super) flag: i32,
    pub(super) properties: Properties,
    pub(super) body: Bytes,
    pub(super) transaction_id: Option<ByteString>,
}

/// Adds the readers of [`Content`] to a type that holds one in its field `content`.
macro_rules! content_readers {
    () => {
        /// The topic.
        #[must_use]
        #[doc(alias = "getTopic")]
        pub fn topic(&self) -> &str {
            &self.content.topic
        }

        /// The body.
        #[must_use]
        #[doc(alias = "getBody")]
        pub fn body(&self) -> &Bytes {
            &self.content.body
        }

        /// All properties, RocketMQ's own among them.
        #[must_use]
        #[doc(alias = "getProperties")]
        pub fn properties(&self) -> &Properties {
            &self.content.properties
        }

        /// The producer's own number; 0 unless it set one.
        #[must_use]
        #[doc(alias = "getFlag")]
        pub fn get_flag(&self) -> i32 {
            self.content.flag
        }

        /// The tag.
        #[must_use]
        #[doc(alias = "getTags")]
        pub fn get_tags(&self) -> Option<&str> {
            self.content.properties.get(names::TAGS)
        }

        /// The keys, separated by one space.
        #[must_use]
        #[doc(alias = "getKeys")]
        pub fn get_keys(&self) -> Option<&str> {
            self.content.properties.get(names::KEYS)
        }

        /// The value of a property, RocketMQ's own among them.
        #[must_use]
        #[doc(alias = "getProperty")]
        pub fn get_property(&self, name: &str) -> Option<&str> {
            self.content.properties.get(name)
        }

        /// The value of a property that the producer's program set. As in Java, RocketMQ's own are found too.
        #[must_use]
        #[doc(alias = "getUserProperty")]
        pub fn user_property(&self, name: &str) -> Option<&str> {
            self.content.properties.get(name)
        }

        /// The delay level, from 1; 0 for none.
        #[must_use]
        #[doc(alias = "getDelayTimeLevel")]
        pub fn get_delay_time_level(&self) -> u32 {
            self.content.properties.get(names::DELAY).and_then(|level| level.parse().ok()).unwrap_or(0)
        }

        /// The seconds for which a timer holds the message back, if it has such a timer (5.x).
        #[must_use]
        #[doc(alias = "getDelayTimeSec")]
        pub fn get_delay_time_sec(&self) -> Option<u64> {
            self.content.properties.get(names::TIMER_DELAY_SEC)?.parse().ok()
        }

        /// The milliseconds for which a timer holds the message back, if it has such a timer (5.x).
        #[must_use]
        #[doc(alias = "getDelayTimeMs")]
        pub fn get_delay_time_ms(&self) -> Option<u64> {
            self.content.properties.get(names::TIMER_DELAY_MS)?.parse().ok()
        }

        /// The moment until which a timer holds the message back, in milliseconds since 1970, if it has such a timer (5.x).
        #[must_use]
        #[doc(alias = "getDeliverTimeMs")]
        pub fn get_deliver_time_ms(&self) -> Option<i64> {
            self.content.properties.get(names::TIMER_DELIVER_MS)?.parse().ok()
        }

        /// The priority, if it has one (5.5).
        #[must_use]
        #[doc(alias = "getPriority")]
        pub fn get_priority(&self) -> Option<u32> {
            self.content.properties.get(names::PRIORITY)?.parse().ok()
        }

        /// Whether the broker answers only once the message is flushed and replicated as it is configured to do.
        #[must_use]
        #[doc(alias = "isWaitStoreMsgOK")]
        pub fn is_wait_store_msg_ok(&self) -> bool {
            self.content.properties.get(names::WAIT).is_none_or(|wait| wait.eq_ignore_ascii_case("true"))
        }

        /// The id of the transaction that the message is part of, if it is known to be part of one.
        #[must_use]
        #[doc(alias = "getTransactionId")]
        pub fn transaction_id(&self) -> Option<&str> {
            self.content.transaction_id.as_deref()
        }
    };
}
pub(super) use content_readers;
