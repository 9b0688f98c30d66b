//! The consumer groups' settings on a broker.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::topic_config::DataVersion;
use rocketmq_protocol::message::{MAX_GROUP_BYTES, illegal_name_character};
use serde::{Deserialize, Serialize};

use super::file::ConfigTable;
use super::save_queue::SaveQueue;
use crate::clock::Clock;
use crate::store::StoreDir;

const BOOT_GROUPS: [&str; 7] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
];
/// Groups of RocketMQ's own, which are always created.
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

/// A group's settings. Java: `SubscriptionGroupConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SubscriptionGroupConfig {
    /// The broker of a group to pull from.
    pub(crate) broker_id: i64,
    /// Whether it may consume by broadcasting.
    pub(crate) consume_broadcast_enable: bool,
    /// Whether it may consume at all.
    pub(crate) consume_enable: bool,
    /// Unused, as in Java.
    pub(crate) consume_from_min_enable: bool,
    /// Its name.
    pub(crate) group_name: String,
    /// Whether its members are told of each other's coming and going.
    pub(crate) notify_consumer_ids_changed_enable: bool,
    /// How often a message may be given back before it becomes a dead letter.
    pub(crate) retry_max_times: i32,
    /// How many queues the retry topic has; none drops what is given back.
    pub(crate) retry_queue_nums: i32,
    /// The broker to pull from while the group lags behind.
    pub(crate) which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            group_name: String::new(),
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
        }
    }
}

impl SubscriptionGroupConfig {
    fn new(group_name: &str) -> Self {
        Self { group_name: group_name.to_owned(), ..Self::default() }
    }
}

/// A group: its name, in a form that clones cheaply, and its settings.
#[derive(Debug)]
pub(crate) struct SubscriptionGroup {
    /// Its name.
    pub(crate) name: ByteString,
    /// Its settings.
    pub(crate) config: SubscriptionGroupConfig,
}

impl SubscriptionGroup {
    fn new(config: SubscriptionGroupConfig) -> Arc<Self> {
        Arc::new(Self { name: config.group_name.as_str().into(), config })
    }
}

/// All groups of a broker.
pub(crate) struct SubscriptionGroupTable {
    auto_create: bool,
    clock: Clock,
    groups: DashMap<ByteString, Arc<SubscriptionGroup>>,
    version: Mutex<DataVersion>,
    file: ConfigTable,
    saves: SaveQueue,
}

/// `subscriptionGroup.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredGroups {
    data_version: DataVersion,
    subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

impl SubscriptionGroupTable {
    /// The groups that every broker has, and those of `subscriptionGroup.json`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(auto_create: bool, store: impl Into<StoreDir>, clock: Clock) -> io::Result<Self> {
        let file = ConfigTable::new(store, "subscriptionGroup.json");
        let groups = DashMap::new();
        for name in BOOT_GROUPS {
            groups.insert(name.into(), SubscriptionGroup::new(SubscriptionGroupConfig::new(name)));
        }
        let stored: StoredGroups = file.load()?.unwrap_or_default();
        for (name, mut config) in stored.subscription_group_table {
            config.group_name.clone_from(&name);
            groups.insert(name.into(), SubscriptionGroup::new(config));
        }
        Ok(Self {
            auto_create,
            clock,
            groups,
            version: Mutex::new(stored.data_version),
            file,
            saves: SaveQueue::default(),
        })
    }

    /// The group of that name. An unknown one is created if the broker is configured so and the name is a group's;
    /// else `None`.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<SubscriptionGroup>> {
        if let Some(known) = self.groups.get(name) {
            return Some(Arc::clone(&known));
        }
        let legal =
            !name.is_empty() && name.len() <= MAX_GROUP_BYTES && illegal_name_character(name).is_none();
        if !legal || !(self.auto_create || name.starts_with(SYSTEM_GROUP_PREFIX)) {
            return None;
        }
        let group = SubscriptionGroup::new(SubscriptionGroupConfig::new(name));
        {
            let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = self.groups.get(name) {
                return Some(Arc::clone(&known));
            }
            tracing::info!(group = name, "new consumer group");
            self.groups.insert(group.name.clone(), Arc::clone(&group));
            *version = version.next(self.clock.now_ms());
            self.file.mark_changed();
            // Nothing waits for it: a group that is lost is made again by the next request that names it.
            self.saves.change();
        }
        Some(group)
    }

    /// Which changes are on disk.
    pub(crate) fn saves(&self) -> &SaveQueue {
        &self.saves
    }

    /// Writes `subscriptionGroup.json` if it has changed. Waits for the disk. False if that failed.
    pub(crate) fn persist(&self) -> bool {
        let up_to = self.saves.last();
        let saved = self.file.save_if_changed(|| {
            let named = |group: &SubscriptionGroup| (group.config.group_name.clone(), group.config.clone());
            Some(StoredGroups {
                data_version: *self.version.lock().unwrap_or_else(PoisonError::into_inner),
                subscription_group_table: self.groups.iter().map(|group| named(&group)).collect(),
            })
        });
        if saved {
            self.saves.saved(up_to);
        }
        saved
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn open(auto_create: bool, directory: &Path) -> SubscriptionGroupTable {
        SubscriptionGroupTable::open(auto_create, directory, Clock::default()).unwrap()
    }

    #[test]
    fn an_unknown_group_is_created_only_if_configured_so() {
        let directory = tempfile::tempdir().unwrap();
        assert!(open(false, directory.path()).find("g").is_none());
        assert!(open(false, directory.path()).find("CID_RMQ_SYS_X").is_some());
        let table = open(true, directory.path());
        let created = table.find("g").unwrap();
        assert!(table.persist());
        assert_eq!((created.config.retry_max_times, created.config.retry_queue_nums), (16, 1));
        assert!(open(false, directory.path()).find("g").is_some(), "it was saved");
    }

    #[test]
    fn names_that_no_group_can_have_create_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let table = open(true, directory.path());
        for name in ["", "a b", "a@b", &"x".repeat(256)] {
            assert!(table.find(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn javas_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/subscriptionGroup.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for java in [
            include_str!("../../../rocketmq-protocol/tests/golden/store-4.9.7/subscriptionGroup.json"),
            include_str!("../../../rocketmq-protocol/tests/golden/store-5.5.0/subscriptionGroup.json"),
        ] {
            std::fs::write(&path, java.replacen("\"retryMaxTimes\":16", "\"retryMaxTimes\":3", 2)).unwrap();
            let table = open(false, directory.path());
            let group = table.find("please_rename_unique_group_name_4").unwrap();
            assert_eq!(group.config.retry_max_times, 3);
        }
    }
}
