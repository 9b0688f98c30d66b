//! What a consumer wants of which topics.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::subscription::{SUBSCRIBE_ALL, SubscriptionData};

use super::filter::MessageSelector;
use crate::error::Result;
use crate::instance::now_ms;

/// The subscriptions of one consumer. Each is newer than all before it, so that a broker takes it for the newest: the
/// clock alone may stand still or go back.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    topics: BTreeMap<ByteString, Arc<SubscriptionData>>,
    last_version: i64,
}

impl Subscriptions {
    /// Takes messages of a topic, in place of what was wanted of it before.
    ///
    /// # Errors
    /// An invalid selector.
    pub(crate) fn set(&self, topic: &str, selector: &MessageSelector) -> Result<()> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let version = now_ms().max(table.last_version + 1);
        let subscription = selector.subscription(topic, version)?;
        table.last_version = version;
        table.topics.insert(topic.into(), Arc::new(subscription));
        Ok(())
    }

    /// Takes every message of a topic.
    pub(crate) fn set_all_of(&self, topic: &str) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.last_version = now_ms().max(table.last_version + 1);
        let subscription = SubscriptionData::by_tag(topic, SUBSCRIBE_ALL, table.last_version);
        table.topics.insert(topic.into(), Arc::new(subscription));
    }

    /// Takes nothing more of a topic.
    pub(crate) fn remove(&self, topic: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).topics.remove(topic);
    }

    pub(crate) fn of(&self, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).topics.get(topic).cloned()
    }

    pub(crate) fn topics(&self) -> Vec<ByteString> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).topics.keys().cloned().collect()
    }

    /// For a heartbeat.
    pub(crate) fn all(&self) -> Vec<SubscriptionData> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.topics.values().map(|subscription| (**subscription).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_strictly_grow() {
        let subscriptions = Subscriptions::default();
        let mut last = 0;
        for change in 0..200 {
            let topic = ["A", "B"][change % 2];
            subscriptions.set(topic, &"*".into()).unwrap();
            let version = subscriptions.of(topic).unwrap().sub_version;
            assert!(version > last, "change {change}: {version} after {last}");
            last = version;
        }
        subscriptions.remove("A");
        subscriptions.set("A", &"*".into()).unwrap();
        assert!(subscriptions.of("A").unwrap().sub_version > last);
    }
}
