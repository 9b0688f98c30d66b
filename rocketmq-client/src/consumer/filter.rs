//! Which messages of a topic a consumer wants.

use rocketmq_protocol::body::subscription::SubscriptionData;

use crate::error::{Error, ErrorKind, Result};

/// An expression that picks messages. Java: `MessageSelector`.
///
/// A plain string is a tag expression: `"TagA || TagB"`, with or without spaces; `"*"` takes every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSelector {
    expression: String,
    is_tag: bool,
}

impl MessageSelector {
    /// Picks by tag: `TagA || TagB`; `*` or nothing takes every message.
    #[must_use]
    #[doc(alias = "byTag")]
    pub fn by_tag(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), is_tag: true }
    }

    /// Picks by an SQL92 expression over the properties. Not supported yet: subscribing with it is an error.
    #[must_use]
    #[doc(alias = "bySql")]
    pub fn by_sql(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), is_tag: false }
    }

    /// The subscription of `topic` by this expression.
    pub(crate) fn subscription(&self, topic: &str, version: i64) -> Result<SubscriptionData> {
        if !self.is_tag {
            let why = "SQL92 expressions are not supported yet; subscribe by tag";
            return Err(Error::new(ErrorKind::InvalidArgument, why).of_topic(topic));
        }
        let subscription = SubscriptionData::by_tag(topic, &self.expression, version);
        if subscription.tags_set.is_empty() && self.expression.contains('|') {
            let why = format!("the expression {:?} names no tag", self.expression);
            return Err(Error::new(ErrorKind::InvalidArgument, why).of_topic(topic));
        }
        Ok(subscription)
    }
}

impl From<&str> for MessageSelector {
    fn from(expression: &str) -> Self {
        Self::by_tag(expression)
    }
}

impl From<String> for MessageSelector {
    fn from(expression: String) -> Self {
        Self::by_tag(expression)
    }
}
