//! What becomes of a message that a consumer gives back.

use rocketmq_protocol::message::id::OffsetMessageId;
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::message::wire::WireProperties;
use rocketmq_protocol::message::{Properties, names};

/// The level of the first retry; each further one takes the next.
const FIRST_LEVEL: i32 = 3;

/// Where a message that was given back goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To the group's retry topic, after the delay of that level.
    Retry {
        /// The delay level.
        delay_level: i32,
    },
    /// To the group's dead letters.
    DeadLetter,
}

/// Decides by how often the message was given back before, how often it may be, and the level that the consumer asks
/// for: 0 leaves it to the broker, below 0 means the dead letters.
pub(crate) fn destination(reconsume_times: i32, max_reconsume_times: i32, delay_level: i32) -> Destination {
    if delay_level < 0 || reconsume_times >= max_reconsume_times {
        Destination::DeadLetter
    } else if delay_level == 0 {
        Destination::Retry { delay_level: FIRST_LEVEL.saturating_add(reconsume_times) }
    } else {
        Destination::Retry { delay_level }
    }
}

/// The properties under which the message is stored again: it remembers the topic and the id that it first had.
pub(crate) fn properties(record: &Record<'_>, destination: Destination) -> Properties {
    let mut properties = Properties::from_wire(String::from_utf8_lossy(record.properties).into_owned());
    if !properties.contains(names::RETRY_TOPIC) {
        properties.set(names::RETRY_TOPIC, &String::from_utf8_lossy(record.topic));
    }
    if !properties.contains(names::ORIGIN_MESSAGE_ID) {
        let id = OffsetMessageId { store_host: record.store_host, physical_offset: record.physical_offset };
        properties.set(names::ORIGIN_MESSAGE_ID, &id.to_shared());
    }
    properties.set(names::WAIT, "false");
    let delay_level = match destination {
        Destination::Retry { delay_level } => delay_level,
        Destination::DeadLetter => 0,
    };
    properties.set(names::DELAY, &delay_level.to_string());
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocketmq_protocol::message::SysFlag;

    #[test]
    fn the_ladder_starts_at_level_three_and_ends_in_the_dead_letters() {
        for times in 0..16 {
            assert_eq!(destination(times, 16, 0), Destination::Retry { delay_level: 3 + times });
        }
        assert_eq!(destination(16, 16, 0), Destination::DeadLetter);
        assert_eq!(destination(2, 2, 5), Destination::DeadLetter);
        assert_eq!(destination(0, 16, -1), Destination::DeadLetter);
        assert_eq!(destination(4, 16, 1), Destination::Retry { delay_level: 1 });
    }

    #[test]
    fn topic_and_id_are_those_of_the_first_time() {
        let record = |topic, properties, physical_offset| Record {
            queue_id: 0,
            flag: 0,
            queue_offset: 0,
            physical_offset,
            sys_flag: SysFlag(0),
            born_timestamp: 0,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_timestamp: 0,
            store_host: "127.0.0.1:21012".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"",
            topic,
            properties,
        };
        let first = properties(&record(b"Tags", b"TAGS\x01A", 1070), Destination::Retry { delay_level: 3 });
        for (name, value) in [
            (names::RETRY_TOPIC, "Tags"),
            (names::ORIGIN_MESSAGE_ID, "7F00000100005214000000000000042E"),
            (names::WAIT, "false"),
            (names::DELAY, "3"),
            (names::TAGS, "A"),
        ] {
            assert_eq!(first.get(name), Some(value));
        }
        let second = record(b"%RETRY%g", first.as_str().as_bytes(), 5000);
        let second = properties(&second, Destination::DeadLetter);
        assert_eq!(second.get(names::RETRY_TOPIC), Some("Tags"));
        assert_eq!(second.get(names::ORIGIN_MESSAGE_ID), Some("7F00000100005214000000000000042E"));
        assert_eq!(second.get(names::DELAY), Some("0"));
    }
}
