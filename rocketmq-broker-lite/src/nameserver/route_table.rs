//! Which broker is where and holds which topics: functions over what brokers said and the time. No I/O.
//!
//! ```text
//! topics    topic        -> broker name -> queues
//! groups    broker name  -> cluster, broker id -> address; the topics it stands in
//! live      address      -> its place, when it was last heard, on which connection, with which version of its topics
//! ```
//!
//! An address stands in `groups` if and only if it stands in `live`, in the place that `live` names; a broker name without
//! addresses is forgotten, and so are its topics. So whatever comes or goes is found without a search: a registration or a
//! lost connection costs by what it brings or takes, not by what else there is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::route::{BrokerData, MASTER_ID, QueueData, TopicRouteData};
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfig, TopicConfigTable};

use super::limits::{LimitError, Limits, check_count};
use super::liveness::{Live, Liveness, Place};

/// What a broker says of itself.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) cluster: String,
    pub(super) broker_name: String,
    pub(super) broker_id: i64,
    pub(super) broker_addr: String,
    pub(super) ha_server_addr: String,
    /// How long it may be silent; `None`: as long as the name server lets brokers be.
    pub(super) heartbeat_timeout: Option<Duration>,
    pub(super) topics: TopicConfigTable,
}

impl Registration {
    fn place(&self) -> Place {
        Place { broker_name: self.broker_name.clone(), broker_id: self.broker_id }
    }
}

/// What a slave learns of its master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) addr: Option<String>,
    pub(super) ha_server_addr: Option<String>,
}

/// The brokers of one name, and the topics in which that name stands.
#[derive(Debug)]
struct Group {
    data: BrokerData,
    topics: HashSet<Arc<str>>,
}

/// The tables. `C` is the connection that a broker registers on.
#[derive(Debug)]
pub(super) struct RouteTable<C> {
    topics: HashMap<Arc<str>, BTreeMap<String, QueueData>>,
    groups: BTreeMap<String, Group>,
    live: Liveness<C>,
    /// Pairs of a topic and a broker name.
    routes: usize,
    silence_limit: Duration,
    limits: Limits,
}

impl<C: Clone + Eq + Hash> RouteTable<C> {
    /// Empty tables. A broker may be silent for `silence_limit` if it does not say otherwise.
    pub(super) fn new(silence_limit: Duration, limits: Limits) -> Self {
        Self {
            topics: HashMap::new(),
            groups: BTreeMap::new(),
            live: Liveness::new(),
            routes: 0,
            silence_limit,
            limits,
        }
    }

    /// A broker registers, for the first time or again. Only a master's topics count.
    ///
    /// # Errors
    /// It goes beyond a limit; nothing has changed.
    pub(super) fn register(
        &mut self,
        registration: &Registration,
        connection: C,
        now_ms: i64,
    ) -> Result<Master, LimitError> {
        self.check_limits(registration, &connection)?;
        let Registration { broker_name, broker_id, broker_addr, .. } = registration;
        self.leave_other_place(registration);
        let group = self.groups.entry(broker_name.clone()).or_insert_with(|| Group {
            data: BrokerData { broker_name: broker_name.as_str().into(), ..BrokerData::default() },
            topics: HashSet::new(),
        });
        group.data.cluster.clone_from(&registration.cluster);
        let replaced = group.data.broker_addrs.insert(*broker_id, broker_addr.clone());
        let new_in_place = replaced.is_none();
        if let Some(replaced) = replaced.filter(|replaced| replaced != broker_addr) {
            tracing::info!(%broker_name, broker_id, from = %replaced, to = %broker_addr, "the broker's address changed");
            self.live.remove(&replaced);
        }
        if *broker_id == MASTER_ID {
            self.take_topics(registration, new_in_place);
        }
        self.set_live(registration, connection, now_ms);
        if *broker_id == MASTER_ID { Ok(Master::default()) } else { Ok(self.master_of(broker_name)) }
    }

    fn check_limits(&self, registration: &Registration, connection: &C) -> Result<(), LimitError> {
        let limits = &self.limits;
        limits.check_names(registration)?;
        let known = self.live.get(&registration.broker_addr);
        if known.is_none() {
            check_count("brokerAddr", "brokers", self.live.len() + 1, limits.brokers)?;
        }
        if known.is_none_or(|live| live.connection != *connection) {
            let count = self.live.count_on(connection) + 1;
            check_count("brokerAddr", "brokers on this connection", count, limits.brokers_on_connection)?;
        }
        let held = self.groups.get(&registration.broker_name).map(|group| &group.topics);
        let new = |config: &&TopicConfig| held.is_none_or(|held| !held.contains(&*config.topic_name));
        let new = registration.topics.topic_config_table.values().filter(new).count();
        check_count("topicConfigTable", "topics on brokers", self.routes + new, limits.routes)
    }

    /// One address has one place: a slave that became the master leaves its old number, a broker that was given another
    /// name leaves the old one.
    fn leave_other_place(&mut self, registration: &Registration) {
        let place = self.live.get(&registration.broker_addr).map(|live| live.place.clone());
        if let Some(place) = place.filter(|place| *place != registration.place()) {
            // The name itself stays if it is the one being registered: its topics are not to vanish for a moment.
            let keep_name = place.broker_name == registration.broker_name;
            self.leave_place(&place, &registration.broker_addr, keep_name);
        }
    }

    fn leave_place(&mut self, place: &Place, broker_addr: &str, keep_name: bool) {
        let Some(group) = self.groups.get_mut(&place.broker_name) else { return };
        let addrs = &mut group.data.broker_addrs;
        if addrs.get(&place.broker_id).is_some_and(|addr| addr == broker_addr) {
            addrs.remove(&place.broker_id);
        }
        if addrs.is_empty() && !keep_name {
            self.forget_name(&place.broker_name);
        }
    }

    /// Takes over the topics that are new or may have changed. A broker that adds one topic says only that one, under
    /// the version of all of them; so a topic that is missing here is taken whatever the version.
    fn take_topics(&mut self, registration: &Registration, new_in_place: bool) {
        let Registration { broker_name, broker_addr, topics, .. } = registration;
        let all = new_in_place || self.topics_changed(broker_addr, topics.data_version);
        let mut changed = 0;
        for config in topics.topic_config_table.values() {
            let known =
                self.groups.get(broker_name).is_some_and(|it| it.topics.contains(&*config.topic_name));
            if all || !known {
                changed += usize::from(self.set_queues(&config.topic_name, queue_data(broker_name, config)));
            }
        }
        if changed > 0 {
            tracing::info!(%broker_name, changed, "topics are new or have changed");
        }
    }

    /// True if the topic's queues on that broker were not known so.
    fn set_queues(&mut self, topic: &str, queues: QueueData) -> bool {
        let broker_name = &*queues.broker_name;
        let Some(group) = self.groups.get_mut(broker_name) else { return false };
        let name = match self.topics.get_key_value(topic) {
            Some((name, brokers)) if brokers.get(broker_name) == Some(&queues) => {
                debug_assert!(group.topics.contains(name), "{topic} is not in the index of {broker_name}");
                return false;
            }
            Some((name, _)) => Arc::clone(name),
            None => topic.into(),
        };
        tracing::debug!(%topic, ?queues, "the topic's queues are known or changed");
        self.routes += usize::from(group.topics.insert(Arc::clone(&name)));
        self.topics.entry(name).or_default().insert(broker_name.to_owned(), queues);
        true
    }

    fn set_live(&mut self, registration: &Registration, connection: C, now_ms: i64) {
        let Registration { broker_name, broker_addr, ha_server_addr, .. } = registration;
        let silence_limit = registration.heartbeat_timeout.unwrap_or(self.silence_limit);
        let live = Live {
            place: registration.place(),
            last_heard_ms: now_ms,
            silence_limit_ms: i64::try_from(silence_limit.as_millis()).unwrap_or(i64::MAX),
            data_version: registration.topics.data_version,
            ha_server_addr: ha_server_addr.clone(),
            connection,
        };
        if self.live.insert(broker_addr, live).is_none() {
            tracing::info!(%broker_name, %broker_addr, %ha_server_addr, "new broker registered");
        }
    }

    fn master_of(&self, broker_name: &str) -> Master {
        let group = self.groups.get(broker_name);
        let addr = group.and_then(|group| group.data.broker_addrs.get(&MASTER_ID));
        match addr.and_then(|addr| self.live.get(addr).map(|live| (addr, live))) {
            None => Master::default(),
            Some((addr, live)) => {
                Master { addr: Some(addr.clone()), ha_server_addr: Some(live.ha_server_addr.clone()) }
            }
        }
    }

    /// One topic's queues, said by themselves (5.x). If one of them is on a broker that is not known, nothing is taken from
    /// there on, as in Java.
    ///
    /// # Errors
    /// It goes beyond a limit; nothing has changed.
    pub(super) fn register_topic(&mut self, topic: &str, queues: Vec<QueueData>) -> Result<(), LimitError> {
        self.limits.check_topic(topic)?;
        let known = |queues: &QueueData| self.groups.contains_key(&*queues.broker_name);
        let count = self.routes + queues.iter().filter(|queues| known(queues)).count();
        check_count("queueDatas", "topics on brokers", count, self.limits.routes)?;
        if !self.topics.contains_key(topic) && !queues.iter().all(known) {
            tracing::warn!(%topic, "the topic is said to be on a broker that is not registered");
            return Ok(());
        }
        for queues in queues {
            if !self.groups.contains_key(&*queues.broker_name) {
                tracing::warn!(%topic, ?queues, "the topic is said to be on a broker that is not registered");
                return Ok(());
            }
            self.set_queues(topic, queues);
        }
        Ok(())
    }

    /// Forgets a topic, on all brokers or on those of one cluster. A broker that still has it brings it back.
    pub(super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(brokers) = self.topics.get_mut(topic) else { return };
        let mut kept = BTreeMap::new();
        for (name, queues) in std::mem::take(brokers) {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            if cluster.is_none_or(|cluster| cluster == group.data.cluster) {
                group.topics.remove(topic);
                self.routes -= 1;
            } else {
                kept.insert(name, queues);
            }
        }
        if kept.is_empty() {
            self.topics.remove(topic);
        } else {
            *brokers = kept;
        }
    }

    /// A broker leaves. An address that has since taken its place stays.
    pub(super) fn unregister(&mut self, broker_name: &str, broker_addr: &str) {
        if self.live.get(broker_addr).is_some_and(|live| live.place.broker_name == broker_name) {
            tracing::info!(%broker_name, %broker_addr, "the broker leaves");
            self.remove(broker_addr);
        }
    }

    /// A connection ended: the brokers that last registered on it are gone. Returns their addresses.
    pub(super) fn connection_closed(&mut self, connection: &C) -> Vec<String> {
        let gone = self.live.on_connection(connection);
        gone.iter().for_each(|addr| self.remove(addr));
        gone
    }

    /// Removes the brokers that were silent for too long. Returns their addresses, and the connections to be closed.
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<(String, C)> {
        let gone = self.live.silent(now_ms);
        gone.iter().for_each(|(addr, _)| self.remove(addr));
        gone
    }

    /// Takes an address out of all tables.
    fn remove(&mut self, broker_addr: &str) {
        if let Some(live) = self.live.remove(broker_addr) {
            self.leave_place(&live.place, broker_addr, false);
        }
    }

    fn forget_name(&mut self, broker_name: &str) {
        let Some(group) = self.groups.remove(broker_name) else { return };
        self.routes -= group.topics.len();
        for topic in group.topics {
            if let Some(brokers) = self.topics.get_mut(&topic) {
                brokers.remove(broker_name);
                if brokers.is_empty() {
                    self.topics.remove(&topic);
                }
            }
        }
    }

    /// A broker says that it lives (5.x). One that is not known has to register first.
    pub(super) fn heard(&mut self, broker_addr: &str, now_ms: i64) {
        self.live.heard(broker_addr, now_ms);
    }

    /// Whether a broker's topics have another version than the one known here. Who asks lives, as in 5.x.
    pub(super) fn query_data_version(
        &mut self,
        broker_addr: &str,
        data_version: DataVersion,
        now_ms: i64,
    ) -> (bool, Option<DataVersion>) {
        self.live.heard(broker_addr, now_ms);
        let known = self.live.get(broker_addr).map(|live| live.data_version);
        (known != Some(data_version), known)
    }

    fn topics_changed(&self, broker_addr: &str, data_version: DataVersion) -> bool {
        self.live.get(broker_addr).is_none_or(|live| live.data_version != data_version)
    }

    /// A topic's queues and the brokers that hold them; `None` if there are none.
    pub(super) fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let brokers = queues.keys().filter_map(|name| self.groups.get(name));
        let broker_datas: Vec<_> = brokers.map(|group| group.data.clone()).collect();
        let queue_datas = queues.values().cloned().collect();
        (!broker_datas.is_empty()).then(|| TopicRouteData {
            broker_datas,
            queue_datas,
            ..TopicRouteData::default()
        })
    }

    /// All topics, sorted.
    pub(super) fn topics(&self) -> Vec<String> {
        let mut topics: Vec<_> = self.topics.keys().map(|topic| topic.to_string()).collect();
        topics.sort_unstable();
        topics
    }

    /// All brokers, and which belong to which cluster.
    pub(super) fn cluster_info(&self) -> ClusterInfo {
        let mut info = ClusterInfo::default();
        for (name, group) in &self.groups {
            let names: &mut BTreeSet<_> =
                info.cluster_addr_table.entry(group.data.cluster.clone()).or_default();
            names.insert(name.clone());
            info.broker_addr_table.insert(name.clone(), group.data.clone());
        }
        info
    }

    /// The brokers of a name, by number.
    pub(super) fn members(&self, broker_name: &str) -> BTreeMap<i64, String> {
        self.groups.get(broker_name).map_or_else(BTreeMap::new, |group| group.data.broker_addrs.clone())
    }

    /// Whether a broker of that address is registered.
    pub(super) fn knows(&self, broker_addr: &str) -> bool {
        self.live.get(broker_addr).is_some()
    }
}

fn queue_data(broker_name: &str, config: &TopicConfig) -> QueueData {
    QueueData {
        broker_name: broker_name.into(),
        perm: config.perm,
        read_queue_nums: config.read_queue_nums,
        topic_sys_flag: config.topic_sys_flag,
        write_queue_nums: config.write_queue_nums,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{assert_linear, cpu_time};

    const LIMIT: Duration = Duration::from_secs(120);

    fn table() -> RouteTable<u32> {
        RouteTable::new(LIMIT, Limits::default())
    }

    fn register(
        table: &mut RouteTable<u32>,
        registration: Registration,
        connection: u32,
        now_ms: i64,
    ) -> Master {
        table.register(&registration, connection, now_ms).unwrap()
    }

    /// A broker of group `a` with the topics named, all with `queues` queues.
    fn broker(id: i64, addr: &str, version: i64, topics: &[&str], queues: i32) -> Registration {
        let data_version = DataVersion { counter: version, timestamp: version };
        let configs = topics.iter().map(|topic| ((*topic).to_owned(), TopicConfig::new(*topic, queues)));
        Registration {
            cluster: "C".into(),
            broker_name: "a".into(),
            broker_id: id,
            broker_addr: addr.into(),
            ha_server_addr: format!("{addr}-ha"),
            heartbeat_timeout: None,
            topics: TopicConfigTable { data_version, topic_config_table: configs.collect() },
        }
    }

    fn queues(table: &RouteTable<u32>, topic: &str) -> Option<i32> {
        Some(table.route(topic)?.queue_datas[0].read_queue_nums)
    }

    fn addrs(table: &RouteTable<u32>) -> Vec<(i64, String)> {
        let info = table.cluster_info();
        info.broker_addr_table
            .get("a")
            .map_or_else(Vec::new, |a| a.broker_addrs.clone().into_iter().collect())
    }

    #[test]
    fn a_registered_topic_has_a_route() {
        let mut table = table();
        assert_eq!(table.route("T"), None);
        assert_eq!(register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0), Master::default());
        let route = table.route("T").unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs[&0], "x:1");
        assert_eq!(route.queue_datas[0].broker_name, "a");
        let info = table.cluster_info();
        assert!(info.cluster_addr_table["C"].contains("a"), "{info:?}");
    }

    #[test]
    fn topics_change_only_with_their_version() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, broker(0, "x:1", 1, &["T"], 8), 7, 1);
        assert_eq!(queues(&table, "T"), Some(4));
        register(&mut table, broker(0, "x:1", 2, &["T"], 8), 7, 2);
        assert_eq!(queues(&table, "T"), Some(8));
    }

    #[test]
    fn a_topic_left_out_of_a_registration_stays_and_one_not_known_is_taken_whatever_the_version() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, broker(0, "x:1", 2, &["New"], 2), 7, 1);
        register(&mut table, broker(0, "x:1", 2, &["T", "New", "Missed"], 4), 7, 2);
        assert_eq!(
            [queues(&table, "T"), queues(&table, "New"), queues(&table, "Missed")],
            [Some(4), Some(2), Some(4)]
        );
    }

    #[test]
    fn only_the_master_says_what_topics_there_are_and_a_slave_hears_of_it() {
        let mut table = table();
        assert_eq!(register(&mut table, broker(1, "x:2", 1, &["T"], 4), 8, 0), Master::default());
        assert_eq!(table.route("T"), None);
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        let master = register(&mut table, broker(1, "x:2", 1, &["T"], 9), 8, 0);
        assert_eq!(master, Master { addr: Some("x:1".into()), ha_server_addr: Some("x:1-ha".into()) });
        assert_eq!(queues(&table, "T"), Some(4));
        assert_eq!(table.route("T").unwrap().broker_datas[0].broker_addrs.len(), 2);
    }

    #[test]
    fn a_slave_that_became_the_master_stands_in_one_place() {
        let mut table = table();
        register(&mut table, broker(1, "x:2", 1, &["T"], 4), 8, 0);
        register(&mut table, broker(0, "x:2", 1, &["T"], 4), 8, 1);
        assert_eq!(addrs(&table), [(0, "x:2".to_owned())]);
        assert_eq!(queues(&table, "T"), Some(4));
    }

    #[test]
    fn an_address_that_got_another_name_leaves_the_old_one() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        let renamed = Registration { broker_name: "b".into(), ..broker(0, "x:1", 1, &["T"], 4) };
        register(&mut table, renamed, 8, 1);
        assert_eq!(table.cluster_info().broker_addr_table.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(table.route("T").unwrap().queue_datas.len(), 1);
    }

    #[test]
    fn a_broker_that_took_a_place_survives_the_farewell_of_the_one_before() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, broker(0, "y:1", 1, &["T"], 4), 8, 1);
        table.unregister("a", "x:1");
        table.connection_closed(&7);
        assert_eq!(addrs(&table), [(0, "y:1".to_owned())]);
        table.unregister("a", "y:1");
        assert_eq!(table.route("T"), None);
        assert_eq!(table.cluster_info(), ClusterInfo::default());
    }

    #[test]
    fn a_closed_connection_removes_its_broker_unless_it_registered_anew_elsewhere() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 8, 1);
        assert!(table.connection_closed(&7).is_empty());
        assert_eq!(table.connection_closed(&8), ["x:1"]);
        assert_eq!(table.route("T"), None);
    }

    #[test]
    fn topics_of_a_group_stay_while_one_of_its_brokers_lives() {
        let mut table = table();
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, broker(1, "x:2", 1, &[], 4), 8, 0);
        table.connection_closed(&7);
        assert_eq!(table.route("T").unwrap().broker_datas[0].broker_addrs[&1], "x:2");
    }

    #[test]
    fn a_silent_broker_expires_after_its_own_limit_or_the_general_one() {
        let mut table = table();
        let quick = Registration {
            broker_name: "quick".into(),
            heartbeat_timeout: Some(Duration::from_secs(10)),
            ..broker(0, "q:1", 1, &["T"], 4)
        };
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        register(&mut table, quick, 8, 0);
        assert!(table.expire(10_000).is_empty());
        assert_eq!(table.expire(10_001), [("q:1".to_owned(), 8)]);
        assert!(table.expire(120_000).is_empty());
        assert_eq!(table.expire(120_001), [("x:1".to_owned(), 7)]);
    }

    #[test]
    fn asking_for_a_version_or_saying_so_keeps_a_broker_alive() {
        let mut table = table();
        let version = |counter| DataVersion { counter, timestamp: counter };
        assert_eq!(table.query_data_version("x:1", version(1), 0), (true, None));
        table.heard("x:1", 0);
        assert!(!table.knows("x:1"), "one that never registered is not known by a heartbeat");
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        assert_eq!(table.query_data_version("x:1", version(2), 60_000), (true, Some(version(1))));
        assert_eq!(table.expire(180_000), []);
        assert_eq!(table.query_data_version("x:1", version(1), 180_000), (false, Some(version(1))));
        table.heard("x:1", 290_000);
        assert_eq!(table.expire(410_000), []);
        assert_eq!(table.expire(410_001).len(), 1);
    }

    #[test]
    fn a_topic_can_be_said_and_forgotten_by_itself() {
        let mut table = table();
        let said = |name: &str| queue_data(name, &TopicConfig::new("New", 3));
        table.register_topic("New", vec![said("a")]).unwrap();
        assert_eq!(table.route("New"), None, "its broker is not known");
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register_topic("New", vec![said("a"), said("nobody")]).unwrap();
        assert_eq!(table.route("New"), None, "one of its brokers is not known");
        table.register_topic("New", vec![said("a")]).unwrap();
        assert_eq!(queues(&table, "New"), Some(3));
        table.delete_topic("New", Some("another cluster"));
        assert_eq!(table.topics(), ["New", "T"]);
        table.delete_topic("New", Some("C"));
        table.delete_topic("T", None);
        assert!(table.topics().is_empty());
        register(&mut table, broker(0, "x:1", 1, &["T"], 4), 7, 0);
        assert_eq!(table.topics(), ["T"], "a broker that still has it brings it back");
        assert_eq!(table.members("a")[&0], "x:1");
        table.connection_closed(&7);
        assert_eq!((table.routes, table.topics.len(), table.live.len()), (0, 0, 0));
    }

    #[test]
    fn what_goes_beyond_a_limit_is_refused_and_changes_nothing() {
        let limits =
            Limits { name_bytes: 20, topic_name_bytes: 6, brokers: 3, brokers_on_connection: 2, routes: 4 };
        let mut table = RouteTable::new(LIMIT, limits);
        register(&mut table, broker(0, "x:1", 1, &["T", "U"], 4), 7, 0);
        let named = |name: &str, addr: &str| Registration {
            broker_name: name.into(),
            ..broker(0, addr, 1, &["T", "V"], 4)
        };
        register(&mut table, named("b", "y:1"), 7, 0);
        let before = format!("{table:?}");
        let long = "x".repeat(21);
        for (registration, connection, why) in [
            (named(&long, "z:1"), 8, "brokerName is 21 bytes long, the limit is 20"),
            (named("c", &long), 8, "brokerAddr is 21 bytes long, the limit is 20"),
            (broker(0, "x:1", 1, &["1234567"], 4), 7, "topicName is 7 bytes long, the limit is 6"),
            (named("c", "z:1"), 7, "brokerAddr: there would be 3 brokers on this connection, the limit is 2"),
            (named("c", "z:1"), 8, "topicConfigTable: there would be 6 topics on brokers, the limit is 4"),
        ] {
            let error = table.register(&registration, connection, 0).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
        let many = vec![queue_data("a", &TopicConfig::new("New", 3))];
        assert!(table.register_topic("New", many).is_err());
        assert_eq!(format!("{table:?}"), before);
        // Registering again what is known needs no room.
        register(&mut table, broker(0, "x:1", 2, &["T", "U"], 4), 7, 0);
        register(&mut table, Registration { topics: TopicConfigTable::default(), ..named("c", "z:1") }, 8, 0);
        let error = table.register(&named("d", "w:1"), 9, 0).unwrap_err().to_string();
        assert_eq!(error, "brokerAddr: there would be 4 brokers, the limit is 3");
    }

    /// Ten times as many brokers may cost some thirty times as much, not a hundred times.
    #[test]
    fn the_cost_of_a_broker_does_not_grow_with_the_number_of_brokers() {
        let limits = Limits { brokers_on_connection: usize::MAX, ..Limits::default() };
        let live_and_die = |count: usize| {
            let registrations: Vec<_> = (0..count)
                .map(|number| Registration {
                    broker_name: format!("broker-{number}"),
                    ..broker(0, &format!("x:{number}"), 1, &["T", "U"], 4)
                })
                .collect();
            let mut table = RouteTable::new(LIMIT, limits);
            cpu_time(|| {
                for registration in &registrations {
                    register(&mut table, registration.clone(), 7, 0);
                }
                assert_eq!(table.connection_closed(&7).len(), count);
                assert_eq!(table.topics.len(), 0);
            })
        };
        assert_linear(1_500, 15_000, live_and_die);
    }
}
