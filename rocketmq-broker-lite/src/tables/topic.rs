//! The topics of a broker and the rules by which they come into being.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfig, TopicConfigTable};
use rocketmq_protocol::message::{
    AUTO_CREATE_TOPIC_KEY, MAX_TOPIC_BYTES, SCHEDULE_TOPIC, illegal_name_character,
};
use tokio::sync::watch;

use super::file::ConfigTable;
use super::save_queue::{ChangeId, SaveQueue};
use crate::clock::Clock;
use crate::store::StoreDir;

/// Takes a message for every pull whose offset was out of range.
pub(crate) const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// RocketMQ's own topics, to which no client may send.
const NOT_FOR_CLIENTS: [&str; 6] = [
    SCHEDULE_TOPIC,
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
];
const SCHEDULE_QUEUES: i32 = 18;
/// How many changes a name server may lag behind before it is told all topics again.
const MOST_RECENT: usize = 10_000;

/// Whether messages of that topic are for the program's own use of several tags. Java: `TopicFilterType.MULTI_TAG`.
pub(crate) const MULTI_TAG: &str = "MULTI_TAG";

/// The `topicSysFlag` of a topic made in unit mode.
pub(crate) fn unit_flag(unit_mode: bool, for_subscribers: bool) -> i32 {
    match (unit_mode, for_subscribers) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// Why a name cannot be a topic's; the words are Java's. `None` if it can.
pub(crate) fn topic_name_fault(topic: &str) -> Option<&'static str> {
    if topic.trim().is_empty() {
        Some("The specified topic is blank.")
    } else if illegal_name_character(topic).is_some() {
        Some("The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
    } else if topic.len() > MAX_TOPIC_BYTES {
        Some("The specified topic is longer than topic max length.")
    } else {
        None
    }
}

/// True for those of RocketMQ's own topics to which clients may not send.
pub(crate) fn is_closed_to_clients(topic: &str) -> bool {
    NOT_FOR_CLIENTS.contains(&topic)
}

/// What decides which topics there are from the start, and how new ones come into being.
#[derive(Clone, Debug)]
pub(crate) struct TopicRules {
    /// The cluster, which is also a topic.
    pub(crate) cluster_name: String,
    /// The broker, which is also a topic.
    pub(crate) broker_name: String,
    /// Whether a send may create its topic after `TBW102`.
    pub(crate) auto_create: bool,
    /// How many queues `TBW102` has.
    pub(crate) default_queue_nums: i32,
    /// Whether the cluster's topic can be used.
    pub(crate) cluster_topic_enable: bool,
    /// Whether the broker's topic can be used.
    pub(crate) broker_topic_enable: bool,
    /// The topic of message traces, if the broker is to have it.
    pub(crate) trace_topic: Option<String>,
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Its name. Clones do not keep the frame that first brought it.
    pub(crate) name: ByteString,
    /// Its settings.
    pub(crate) config: TopicConfig,
    /// The change that brought them.
    pub(crate) change: ChangeId,
}

impl Topic {
    fn new(config: TopicConfig, change: ChangeId) -> Arc<Self> {
        Arc::new(Self { name: config.topic_name.as_str().into(), config, change })
    }

    /// Whether messages may be sent.
    pub(crate) fn is_writable(&self) -> bool {
        self.config.perm & perm::WRITE != 0
    }

    /// Whether messages may be pulled.
    pub(crate) fn is_readable(&self) -> bool {
        self.config.perm & perm::READ != 0
    }
}

/// All topics of a broker.
pub(crate) struct TopicTable {
    rules: TopicRules,
    clock: Clock,
    topics: DashMap<ByteString, Arc<Topic>>,
    /// Changes are made one at a time.
    state: Mutex<State>,
    changes: watch::Sender<DataVersion>,
    file: ConfigTable,
    saves: SaveQueue,
}

/// What belongs to all topics together.
struct State {
    version: DataVersion,
    /// The topics that changed last, oldest first.
    recent: VecDeque<Arc<Topic>>,
}

/// What has changed since a moment.
#[derive(Debug)]
pub(crate) struct Increment {
    /// The version of all topics.
    pub(crate) version: DataVersion,
    /// The last change in it.
    pub(crate) up_to: ChangeId,
    /// The topics; one that changed more than once may be there more than once, the last time as it is now.
    pub(crate) topics: Vec<Arc<Topic>>,
}

impl TopicTable {
    /// The topics that every broker has, and those of `topics.json`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(rules: TopicRules, store: impl Into<StoreDir>, clock: Clock) -> io::Result<Self> {
        let file = ConfigTable::new(store, "topics.json");
        let topics = DashMap::new();
        for config in boot_topics(&rules) {
            topics.insert(config.topic_name.as_str().into(), Topic::new(config, 0));
        }
        let stored: TopicConfigTable = file.load()?.unwrap_or_default();
        for (name, mut config) in stored.topic_config_table {
            config.topic_name.clone_from(&name);
            topics.insert(name.into(), Topic::new(config, 0));
        }
        let version = stored.data_version;
        Ok(Self {
            rules,
            clock,
            topics,
            state: Mutex::new(State { version, recent: VecDeque::new() }),
            changes: watch::channel(version).0,
            file,
            saves: SaveQueue::default(),
        })
    }

    /// The topic of that name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|topic| Arc::clone(&topic))
    }

    /// Creates a topic after another one, as a send to an unknown topic asks for it. `None` if the other one is not
    /// there or may not be inherited from.
    pub(crate) fn create_after(
        &self,
        name: &str,
        default_topic: &str,
        queue_nums: i32,
        sys_flag: i32,
    ) -> Option<Arc<Topic>> {
        let state = self.state();
        if let Some(known) = self.find(name) {
            return Some(known);
        }
        let default = self.find(default_topic)?;
        let forbidden = default_topic == AUTO_CREATE_TOPIC_KEY && !self.rules.auto_create;
        let config = inherit(name, &default.config, queue_nums, sys_flag).filter(|_| !forbidden);
        let Some(config) = config else {
            tracing::warn!(
                topic = name,
                default_topic,
                "no topic is created: it may not inherit from the default topic"
            );
            return None;
        };
        Some(self.insert(config, state))
    }

    /// The topic of that name; if there is none, it is created, readable and writable, with so many queues.
    pub(crate) fn find_or_create(&self, name: &str, queue_nums: i32, sys_flag: i32) -> Arc<Topic> {
        if let Some(known) = self.find(name) {
            return known;
        }
        let state = self.state();
        if let Some(known) = self.find(name) {
            return known;
        }
        self.insert(TopicConfig { topic_sys_flag: sys_flag, ..TopicConfig::new(name, queue_nums) }, state)
    }

    /// Takes in topics that have messages but no settings: their save was lost. `queue_nums` is how many queues they have
    /// at least.
    pub(crate) fn adopt(&self, found: impl IntoIterator<Item = (String, i32)>) {
        for (name, queue_nums) in found {
            if self.find(&name).is_none() {
                tracing::warn!(
                    topic = name,
                    queue_nums,
                    "a topic has messages but no settings; it gets the usual ones"
                );
                self.find_or_create(&name, queue_nums, 0);
            }
        }
    }

    /// Marks exactly these topics as order topics.
    pub(crate) fn set_order_topics<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let ordered: Vec<&str> = names.collect();
        let wrong = |topic: &Topic| topic.config.order != ordered.contains(&&*topic.name);
        if !self.topics.iter().any(|topic| wrong(topic.value())) {
            return;
        }
        let mut state = self.state();
        let change = self.saves.change();
        let wrong: Vec<_> =
            self.topics.iter().filter(|topic| wrong(topic)).map(|topic| Arc::clone(&topic)).collect();
        for topic in wrong {
            let config = TopicConfig { order: !topic.config.order, ..topic.config.clone() };
            self.put(Topic::new(config, change), &mut state);
        }
        self.commit(state);
    }

    /// All topics and their version.
    pub(crate) fn snapshot(&self) -> TopicConfigTable {
        let data_version = self.state().version;
        let named = |topic: &Arc<Topic>| (topic.config.topic_name.clone(), topic.config.clone());
        let topic_config_table = self.topics.iter().map(|entry| named(entry.value())).collect();
        TopicConfigTable { data_version, topic_config_table }
    }

    /// Tells of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<DataVersion> {
        self.changes.subscribe()
    }

    /// What has changed after a change; `None` if that was too long ago.
    pub(crate) fn since(&self, change: ChangeId) -> Option<Increment> {
        let state = self.state();
        let up_to = self.saves.last();
        let oldest = state.recent.front().map_or(up_to + 1, |topic| topic.change);
        if oldest > change + 1 {
            return None;
        }
        let start = state.recent.partition_point(|topic| topic.change <= change);
        let topics = state.recent.range(start..).cloned().collect();
        Some(Increment { version: state.version, up_to, topics })
    }

    /// All topics, as an increment of nothing.
    pub(crate) fn all(&self) -> Increment {
        let (version, up_to) = {
            let state = self.state();
            (state.version, self.saves.last())
        };
        let topics = self.topics.iter().map(|topic| Arc::clone(&topic)).collect();
        Increment { version, up_to, topics }
    }

    /// Which changes are on disk.
    pub(crate) fn saves(&self) -> &SaveQueue {
        &self.saves
    }

    /// Writes `topics.json` if it has changed. Waits for the disk. False if that failed.
    pub(crate) fn persist(&self) -> bool {
        let up_to = self.saves.last();
        let saved = self.file.save_if_changed(|| Some(self.snapshot()));
        if saved {
            self.saves.saved(up_to);
        }
        saved
    }

    fn insert(&self, config: TopicConfig, mut state: MutexGuard<'_, State>) -> Arc<Topic> {
        tracing::info!(topic = %config.topic_name, queues = config.write_queue_nums, "new topic");
        let topic = Topic::new(config, self.saves.change());
        self.put(Arc::clone(&topic), &mut state);
        self.commit(state);
        topic
    }

    fn put(&self, topic: Arc<Topic>, state: &mut State) {
        self.topics.insert(topic.name.clone(), Arc::clone(&topic));
        state.recent.push_back(topic);
        // A change that is not there as a whole is not there.
        while state.recent.len() > MOST_RECENT {
            let dropped = state.recent.pop_front().map(|topic| topic.change);
            while dropped.is_some() && state.recent.front().map(|topic| topic.change) == dropped {
                state.recent.pop_front();
            }
        }
    }

    /// Whoever gives an answer that rests on the change waits until it is saved.
    fn commit(&self, mut state: MutexGuard<'_, State>) {
        state.version = state.version.next(self.clock.now_ms());
        let now = state.version;
        self.file.mark_changed();
        drop(state);
        self.changes.send_replace(now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings of a topic that is created after `default`; `None` if that one may not be inherited from.
fn inherit(name: &str, default: &TopicConfig, queue_nums: i32, sys_flag: i32) -> Option<TopicConfig> {
    if default.perm & perm::INHERIT == 0 {
        return None;
    }
    let queues = queue_nums.min(default.write_queue_nums).max(0);
    Some(TopicConfig {
        perm: default.perm & !perm::INHERIT,
        topic_filter_type: default.topic_filter_type.clone(),
        topic_sys_flag: sys_flag,
        ..TopicConfig::new(name, queues)
    })
}

/// The topics that every broker has.
fn boot_topics(rules: &TopicRules) -> Vec<TopicConfig> {
    let inheritable = |name: &str, queues, usable: bool| TopicConfig {
        perm: perm::INHERIT | if usable { perm::READ | perm::WRITE } else { 0 },
        ..TopicConfig::new(name, queues)
    };
    let mut topics = vec![
        TopicConfig::new(SELF_TEST_TOPIC, 1),
        TopicConfig::new(BENCHMARK_TOPIC, 1024),
        inheritable(&rules.cluster_name, 16, rules.cluster_topic_enable),
        inheritable(&rules.broker_name, 1, rules.broker_topic_enable),
        TopicConfig::new(OFFSET_MOVED_TOPIC, 1),
        TopicConfig::new(SCHEDULE_TOPIC, SCHEDULE_QUEUES),
        TopicConfig::new(format!("{}_REPLY_TOPIC", rules.cluster_name), 1),
    ];
    if rules.auto_create {
        topics.push(inheritable(AUTO_CREATE_TOPIC_KEY, rules.default_queue_nums, true));
    }
    topics.extend(rules.trace_topic.iter().map(|name| TopicConfig::new(name.as_str(), 1)));
    topics
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rules() -> TopicRules {
        TopicRules {
            cluster_name: "DefaultCluster".into(),
            broker_name: "broker-a".into(),
            auto_create: true,
            default_queue_nums: 8,
            cluster_topic_enable: true,
            broker_topic_enable: true,
            trace_topic: None,
        }
    }

    fn open(rules: TopicRules, directory: &Path) -> TopicTable {
        TopicTable::open(rules, directory, Clock::default()).unwrap()
    }

    #[test]
    fn a_new_topic_gets_the_smaller_number_of_queues_and_loses_inherit() {
        let directory = tempfile::tempdir().unwrap();
        let table = open(rules(), directory.path());
        for (asked, got) in [(4, 4), (100, 8), (-3, 0)] {
            let topic = table.create_after(&format!("T{got}"), AUTO_CREATE_TOPIC_KEY, asked, 0).unwrap();
            let TopicConfig { perm, read_queue_nums, write_queue_nums, .. } = topic.config;
            assert_eq!((perm, read_queue_nums, write_queue_nums), (6, got, got), "asked for {asked}");
        }
    }

    #[test]
    fn no_topic_comes_from_one_that_may_not_be_inherited_or_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let table = open(rules(), directory.path());
        assert!(table.create_after("T", BENCHMARK_TOPIC, 4, 0).is_none());
        assert!(table.create_after("T", "nowhere", 4, 0).is_none());
        assert_eq!(table.create_after("T", "DefaultCluster", 40, 0).unwrap().config.write_queue_nums, 16);
    }

    #[test]
    fn without_auto_creation_tbw102_gives_nothing_even_if_the_file_has_it() {
        let directory = tempfile::tempdir().unwrap();
        {
            let table = open(rules(), directory.path());
            table.create_after("T", AUTO_CREATE_TOPIC_KEY, 4, 0).unwrap();
            assert!(table.persist());
        }
        let closed = open(TopicRules { auto_create: false, ..rules() }, directory.path());
        assert!(closed.find(AUTO_CREATE_TOPIC_KEY).is_some(), "it was in the file");
        assert!(closed.create_after("U", AUTO_CREATE_TOPIC_KEY, 4, 0).is_none());
        assert!(closed.create_after("T", AUTO_CREATE_TOPIC_KEY, 4, 0).is_some(), "T was there before");
    }

    #[test]
    fn topics_and_their_version_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let before = {
            let table = open(rules(), directory.path());
            table.find_or_create("%RETRY%g", 1, 2);
            table.find_or_create("%RETRY%g", 5, 2);
            assert!(table.persist());
            table.snapshot()
        };
        assert_eq!(before.data_version.counter, 1);
        assert_eq!(before.topic_config_table["%RETRY%g"].write_queue_nums, 1);
        assert_eq!(open(rules(), directory.path()).snapshot(), before);
    }

    #[test]
    fn a_topic_without_settings_gets_its_queues_back() {
        let directory = tempfile::tempdir().unwrap();
        let table = open(rules(), directory.path());
        table.find_or_create("Known", 4, 0);
        table.adopt([("Known".to_owned(), 9), ("Lost".to_owned(), 3)]);
        let queues = |name| table.find(name).unwrap().config.write_queue_nums;
        assert_eq!((queues("Known"), queues("Lost")), (4, 3));
    }

    #[test]
    fn javas_file_is_read_and_written_in_its_layout() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/topics.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for java in [
            include_str!("../../../rocketmq-protocol/tests/golden/store-4.9.7/topics.json"),
            include_str!("../../../rocketmq-protocol/tests/golden/store-5.5.0/topics.json"),
        ] {
            std::fs::write(&path, java).unwrap();
            let table = open(rules(), directory.path());
            assert_eq!(table.find("Tags").unwrap().config.write_queue_nums, 4);
            table.find_or_create("New", 1, 0);
            assert!(table.persist());
            let ours = std::fs::read_to_string(&path).unwrap();
            let block =
                "\t\t\"Tags\":{\n\t\t\t\"order\":false,\n\t\t\t\"perm\":6,\n\t\t\t\"readQueueNums\":4,\n";
            assert!(ours.contains(block), "{ours}");
        }
    }

    #[test]
    fn order_topics_follow_the_name_server() {
        let directory = tempfile::tempdir().unwrap();
        let table = open(rules(), directory.path());
        table.find_or_create("A", 1, 0);
        table.find_or_create("B", 1, 0);
        table.set_order_topics(["A", "unknown"].into_iter());
        assert!(table.find("A").unwrap().config.order && !table.find("B").unwrap().config.order);
        let counter = table.snapshot().data_version.counter;
        table.set_order_topics(["A"].into_iter());
        assert_eq!(table.snapshot().data_version.counter, counter, "nothing has changed");
        table.set_order_topics(["B"].into_iter());
        assert!(!table.find("A").unwrap().config.order && table.find("B").unwrap().config.order);
    }

    #[test]
    fn names_are_checked_as_java_checks_them() {
        for (name, word) in
            [(" ", "blank"), ("a b", "illegal"), ("é", "illegal"), (&"x".repeat(128), "longer")]
        {
            assert!(topic_name_fault(name).unwrap().contains(word), "{name:?}");
        }
        assert_eq!(topic_name_fault("%RETRY%my-group_1|x"), None);
        assert!(is_closed_to_clients(SCHEDULE_TOPIC) && !is_closed_to_clients(AUTO_CREATE_TOPIC_KEY));
    }
}
