//! What a consumer wants of a topic.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use super::date;
use crate::message::string_hash;

/// The expression that takes every message.
pub const SUBSCRIBE_ALL: &str = "*";
/// The type of tag expressions.
pub const EXPRESSION_TYPE_TAG: &str = "TAG";
/// The type of SQL92 expressions.
pub const EXPRESSION_TYPE_SQL92: &str = "SQL92";

/// The version of a subscription whose sender gave none: the receiver is to put the moment of its arrival there.
pub const UNVERSIONED: i64 = i64::MIN;

/// One subscription. Java: `SubscriptionData`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Filtering by a class; no release since 4.x has it.
    pub class_filter_mode: bool,
    /// The tags' hash codes.
    pub code_set: BTreeSet<i32>,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The expression. One that is absent takes what the hash codes say.
    #[serde(default)]
    pub sub_string: String,
    /// Milliseconds since 1970: a newer subscription replaces an older one. [`UNVERSIONED`] where a peer has left it out.
    #[serde(default = "unversioned", deserialize_with = "version")]
    pub sub_version: i64,
    /// The tags.
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: String,
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self::by_tag("", SUBSCRIBE_ALL, 0)
    }
}

impl SubscriptionData {
    /// A subscription by tags: `TagA || TagB`, with or without spaces; empty or `*` takes every message.
    #[must_use]
    pub fn by_tag(topic: &str, expression: &str, sub_version: i64) -> Self {
        let all = expression.trim().is_empty() || expression == SUBSCRIBE_ALL;
        let tags: BTreeSet<String> = match all {
            true => BTreeSet::new(),
            false => expression
                .split("||")
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        Self {
            class_filter_mode: false,
            code_set: tags.iter().map(|tag| string_hash(tag)).collect(),
            expression_type: EXPRESSION_TYPE_TAG.to_owned(),
            sub_string: if all { SUBSCRIBE_ALL } else { expression }.to_owned(),
            sub_version,
            tags_set: tags,
            topic: topic.to_owned(),
        }
    }

    /// True if the expression filters by tag (rather than by SQL92).
    #[must_use]
    pub fn is_tag_type(&self) -> bool {
        self.expression_type.is_empty() || self.expression_type == EXPRESSION_TYPE_TAG
    }

    /// The broker's test: only the tag's hash code is known there. What a class would filter passes.
    #[must_use]
    pub fn matches_code(&self, tags_code: i64) -> bool {
        self.sub_string == SUBSCRIBE_ALL
            || self.class_filter_mode
            || i32::try_from(tags_code).is_ok_and(|code| self.code_set.contains(&code))
    }

    /// The consumer's test: the tag itself.
    #[must_use]
    pub fn matches_tag(&self, tag: Option<&str>) -> bool {
        self.tags_set.is_empty() || tag.is_some_and(|tag| self.tags_set.contains(tag))
    }
}

fn unversioned() -> i64 {
    UNVERSIONED
}

/// A whole number, also in quotes or with a fraction; none where there is nothing in it.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Version;

    impl Visitor<'_> for Version {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a version")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        #[expect(clippy::cast_possible_wrap, reason = "as in Java, whose long wraps")]
        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            Ok(number as i64)
        }

        #[expect(clippy::cast_possible_truncation, reason = "what does not fit is the largest that does")]
        fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
            Ok(number as i64)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            let digits = text.replace(',', "");
            match digits.as_str() {
                "" | "null" | "NULL" => Ok(UNVERSIONED),
                digits => {
                    let version = digits.parse().ok().or_else(|| date::millis(text));
                    version.ok_or_else(|| E::custom(format_args!("{text:?} is no version")))
                }
            }
        }

        fn visit_unit<E: Error>(self) -> Result<i64, E> {
            Ok(UNVERSIONED)
        }
    }

    deserializer.deserialize_any(Version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_around_tags_do_not_count() {
        for expression in ["TagA || TagB", "TagA||TagB", "  TagA  ||TagB "] {
            let subscription = SubscriptionData::by_tag("T", expression, 0);
            assert_eq!(subscription.tags_set, BTreeSet::from(["TagA".into(), "TagB".into()]), "{expression}");
            assert!(subscription.matches_code(2_598_919) && subscription.matches_tag(Some("TagB")));
            assert!(!subscription.matches_code(1) && !subscription.matches_tag(Some("TagC")));
            assert!(!subscription.matches_tag(None));
        }
    }

    #[test]
    fn empty_and_star_take_everything() {
        for expression in ["", "*", "  "] {
            let subscription = SubscriptionData::by_tag("T", expression, 0);
            assert_eq!(subscription.sub_string, "*");
            assert!(subscription.matches_code(0) && subscription.matches_tag(None));
        }
    }
}
