//! What a consumer wants of a topic.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::message::string_hash;

/// The expression that takes every message.
pub const SUBSCRIBE_ALL: &str = "*";
/// The type of tag expressions.
pub const EXPRESSION_TYPE_TAG: &str = "TAG";
/// The type of SQL92 expressions.
pub const EXPRESSION_TYPE_SQL92: &str = "SQL92";

/// One subscription. Java: `SubscriptionData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Filtering by a class; no release since 4.x has it.
    pub class_filter_mode: bool,
    /// The tags' hash codes.
    pub code_set: BTreeSet<i32>,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The expression.
    pub sub_string: String,
    /// Milliseconds since 1970: a newer subscription replaces an older one.
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

    /// The broker's test: only the tag's hash code is known there.
    #[must_use]
    pub fn matches_code(&self, tags_code: i64) -> bool {
        self.sub_string == SUBSCRIBE_ALL
            || i32::try_from(tags_code).is_ok_and(|code| self.code_set.contains(&code))
    }

    /// The consumer's test: the tag itself.
    #[must_use]
    pub fn matches_tag(&self, tag: Option<&str>) -> bool {
        self.tags_set.is_empty() || tag.is_some_and(|tag| self.tags_set.contains(tag))
    }
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
