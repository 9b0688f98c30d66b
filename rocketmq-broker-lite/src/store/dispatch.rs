//! From a record to its unit in a consume queue. Append and recovery both go through here, so that a queue rebuilt from
//! the log is the queue that was.

use rocketmq_protocol::message::properties::{NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR};
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::message::{SCHEDULE_TOPIC, SysFlag, names, string_hash};

use crate::delay::levels::DelayLevels;

/// What Java adds to the store time for a level that it does not know.
const UNKNOWN_LEVEL_DELAY_MS: i64 = 1000;

/// Whether messages of this flag go into a consume queue: half messages and rolled-back ones do not.
pub(super) fn is_queued(sys_flag: SysFlag) -> bool {
    !matches!(sys_flag.transaction(), SysFlag::TRANSACTION_PREPARED | SysFlag::TRANSACTION_ROLLBACK)
}

/// Whether a topic can be a directory's name. Names come off disks too.
pub(super) fn is_storable_topic(topic: &str) -> bool {
    !topic.is_empty() && topic != "." && topic != ".." && !topic.contains(['/', '\0'])
}

/// What the consume queue keeps of a record found in the log: the tag's hash or the deliver time.
pub(super) fn tags_code(record: &Record<'_>, levels: &DelayLevels) -> i64 {
    let properties = String::from_utf8_lossy(record.properties);
    deliver_time(record.topic, &properties, record.store_timestamp, levels)
        .unwrap_or_else(|| property(&properties, names::TAGS).map_or(0, |tags| i64::from(string_hash(tags))))
}

/// When a message in `SCHEDULE_TOPIC_XXXX` is due, in milliseconds since 1970; `None` for any other message.
pub(super) fn deliver_time(
    topic: &[u8],
    properties: &str,
    store_timestamp: i64,
    levels: &DelayLevels,
) -> Option<i64> {
    if topic != SCHEDULE_TOPIC.as_bytes() {
        return None;
    }
    let level: i32 = property(properties, names::DELAY)?.parse().ok()?;
    let highest = i32::try_from(levels.count()).unwrap_or(i32::MAX);
    let delay_ms = |level| levels.delay_ms(level).unwrap_or(UNKNOWN_LEVEL_DELAY_MS);
    (level > 0).then(|| store_timestamp.saturating_add(delay_ms(level.min(highest))))
}

/// A property's value; the last one counts.
fn property<'a>(encoded: &'a str, name: &str) -> Option<&'a str> {
    encoded.rsplit(PROPERTY_SEPARATOR).find_map(|entry| {
        let value = entry.strip_prefix(name)?.strip_prefix(NAME_VALUE_SEPARATOR)?;
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delayed_messages_get_their_deliver_time() {
        let levels = DelayLevels::default();
        let due = |properties| deliver_time(b"SCHEDULE_TOPIC_XXXX", properties, 1000, &levels);
        assert_eq!(due("DELAY\u{1}2\u{2}"), Some(6_000));
        assert_eq!(due("a\u{1}b\u{2}DELAY\u{1}99"), Some(7_201_000), "a level too high is the highest");
        assert_eq!(due("DELAY\u{1}0"), None);
        assert_eq!(due("DELAY\u{1}x"), None);
        assert_eq!(due("XDELAY\u{1}1"), None);
        assert_eq!(deliver_time(b"other", "DELAY\u{1}2", 1000, &levels), None);
    }

    #[test]
    fn half_messages_are_in_no_queue() {
        let queued =
            [0, SysFlag::TRANSACTION_PREPARED, SysFlag::TRANSACTION_COMMIT, SysFlag::TRANSACTION_ROLLBACK]
                .map(|bits| is_queued(SysFlag(bits)));
        assert_eq!(queued, [true, false, true, false]);
    }

    #[test]
    fn a_topic_off_the_disk_cannot_leave_the_directory() {
        for topic in ["", ".", "..", "../x", "/etc", "a\0b"] {
            assert!(!is_storable_topic(topic), "{topic:?}");
        }
        assert!(is_storable_topic("%RETRY%group"));
    }
}
