//! The properties of a message on their way into the store: read once, and written with what the broker adds.

use rocketmq_protocol::message::properties::{NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR};
use rocketmq_protocol::message::{names, string_hash};

/// What a message's properties tell the broker. Where a name stands twice the last one counts, as in Java.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted<'a> {
    /// The tag.
    pub(crate) tags: Option<&'a str>,
    /// The delay level, as text.
    pub(crate) delay: Option<&'a str>,
    /// Whether the producer wants to wait for the disk, as text.
    pub(crate) wait: Option<&'a str>,
    /// Whether it is a half message, as text.
    pub(crate) transaction: Option<&'a str>,
    /// Whether it is to be delivered at a moment or after a time of its own (5.x).
    pub(crate) has_timer: bool,
}

impl Noted<'_> {
    /// What a consume queue holds of the tag.
    pub(crate) fn tags_code(&self) -> i64 {
        tags_code(self.tags)
    }

    /// Whether the producer wants to wait for the disk: yes, unless it says otherwise.
    pub(crate) fn wants_to_wait(&self) -> bool {
        self.wait.is_none_or(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether it is a half message.
    pub(crate) fn is_half(&self) -> bool {
        self.transaction.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The delay level, 0 for none.
    ///
    /// # Errors
    /// The text that is not a number.
    pub(crate) fn delay_level(&self) -> Result<i32, &str> {
        self.delay.map_or(Ok(0), |text| text.parse().map_err(|_| text))
    }
}

/// What a consume queue holds of a tag.
pub(crate) fn tags_code(tags: Option<&str>) -> i64 {
    tags.map_or(0, |tags| i64::from(string_hash(tags)))
}

/// Reads encoded properties.
pub(crate) fn note(encoded: &str) -> Noted<'_> {
    read(encoded, |_, _| {})
}

/// Reads a producer's properties and appends them to `out` as they are stored: `CLUSTER` is the broker's, `WAIT` is
/// left out.
pub(crate) fn copy_single<'a>(encoded: &'a str, cluster: &str, out: &mut String) -> Noted<'a> {
    let noted = read(encoded, |name, value| {
        if name != names::WAIT && name != names::CLUSTER {
            push(out, name, value);
        }
    });
    push(out, names::CLUSTER, cluster);
    noted
}

/// The same for the properties of a whole batch, which keep `WAIT`.
pub(crate) fn copy_batch<'a>(encoded: &'a str, cluster: &str, out: &mut String) -> Noted<'a> {
    let noted = read(encoded, |name, value| {
        if name != names::CLUSTER {
            push(out, name, value);
        }
    });
    push(out, names::CLUSTER, cluster);
    noted
}

/// Appends properties that are encoded already.
pub(crate) fn push_encoded(out: &mut String, start: usize, encoded: &str) {
    if out.len() > start && !encoded.is_empty() && !out.ends_with(PROPERTY_SEPARATOR) {
        out.push(PROPERTY_SEPARATOR);
    }
    out.push_str(encoded);
}

/// Appends one property. As in 4.9 no separator follows the last one.
pub(crate) fn push(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() && !out.ends_with(PROPERTY_SEPARATOR) {
        out.push(PROPERTY_SEPARATOR);
    }
    out.push_str(name);
    out.push(NAME_VALUE_SEPARATOR);
    out.push_str(value);
}

fn read<'a>(encoded: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Noted<'a> {
    let mut noted = Noted::default();
    for entry in encoded.split(PROPERTY_SEPARATOR) {
        let Some((name, value)) = entry.split_once(NAME_VALUE_SEPARATOR) else { continue };
        // Java's decoder passes over both.
        if name.is_empty() || value.is_empty() {
            continue;
        }
        match name {
            names::TAGS => noted.tags = Some(value),
            names::DELAY => noted.delay = Some(value),
            names::WAIT => noted.wait = Some(value),
            names::TRAN_MSG => noted.transaction = Some(value),
            names::TIMER_DELAY_SEC | names::TIMER_DELAY_MS | names::TIMER_DELIVER_MS => {
                noted.has_timer = true
            }
            _ => {}
        }
        each(name, value);
    }
    noted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_message_gets_the_cluster_and_loses_wait() {
        for encoded in [
            "KEYS\u{1}k\u{2}WAIT\u{1}false\u{2}TAGS\u{1}A\u{2}CLUSTER\u{1}x\u{2}",
            "KEYS\u{1}k\u{2}WAIT\u{1}false\u{2}TAGS\u{1}A",
        ] {
            let mut out = String::new();
            let noted = copy_single(encoded, "C", &mut out);
            assert_eq!(out, "KEYS\u{1}k\u{2}TAGS\u{1}A\u{2}CLUSTER\u{1}C");
            assert_eq!((noted.tags, noted.wants_to_wait(), noted.tags_code()), (Some("A"), false, 65));
        }
        let mut out = String::new();
        assert_eq!(copy_single("", "C", &mut out), Noted::default());
        assert_eq!(out, "CLUSTER\u{1}C");
    }

    #[test]
    fn the_last_of_two_counts_and_empty_ones_do_not() {
        let noted = note(
            "TAGS\u{1}A\u{2}TAGS\u{1}B\u{2}\u{1}x\u{2}DELAY\u{1}\u{2}junk\u{2}TRAN_MSG\u{1}True\u{2}TIMER_DELAY_MS\u{1}5",
        );
        assert_eq!(
            (noted.tags, noted.delay, noted.is_half(), noted.has_timer),
            (Some("B"), None, true, true)
        );
        assert!(noted.wants_to_wait(), "that is the default");
    }

    #[test]
    fn a_delay_that_is_no_number_is_an_error() {
        assert_eq!(note("DELAY\u{1}3").delay_level(), Ok(3));
        assert_eq!(note("DELAY\u{1}x").delay_level(), Err("x"));
        assert_eq!(note("").delay_level(), Ok(0));
    }
}
