//! Which broker is where and holds which topics: functions over what brokers said and the time. No I/O.
//!
//! ```text
//! topics    topic        -> broker name -> queues
//! brokers   broker name  -> cluster, broker id -> address
//! live      address      -> when it was last heard, on which connection, with which version of its topics
//! ```
//!
//! An address stands in `brokers` if and only if it stands in `live`; a broker name without addresses is forgotten, and
//! so are its topics.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::route::{BrokerData, MASTER_ID, QueueData, TopicRouteData};
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfig, TopicConfigTable};

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

/// What a slave learns of its master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) addr: Option<String>,
    pub(super) ha_server_addr: Option<String>,
}

/// The tables. `C` is the connection that a broker registers on.
#[derive(Debug)]
pub(super) struct RouteTable<C> {
    topics: HashMap<String, BTreeMap<String, QueueData>>,
    brokers: BTreeMap<String, BrokerData>,
    live: HashMap<String, Live<C>>,
    silence_limit: Duration,
}

#[derive(Debug)]
struct Live<C> {
    last_heard_ms: i64,
    silence_limit_ms: i64,
    data_version: DataVersion,
    ha_server_addr: String,
    connection: C,
}

impl<C: Clone + PartialEq> RouteTable<C> {
    /// Empty tables. A broker may be silent for `silence_limit` if it does not say otherwise.
    pub(super) fn new(silence_limit: Duration) -> Self {
        Self { topics: HashMap::new(), brokers: BTreeMap::new(), live: HashMap::new(), silence_limit }
    }

    /// A broker registers, for the first time or again. Only a master's topics count.
    pub(super) fn register(&mut self, registration: Registration, connection: C, now_ms: i64) -> Master {
        let Registration { broker_name, broker_id, broker_addr, .. } = &registration;
        self.leave_other_places(&registration);
        let group = self.brokers.entry(broker_name.clone()).or_insert_with(|| BrokerData {
            broker_addrs: BTreeMap::new(),
            broker_name: broker_name.as_str().into(),
            cluster: registration.cluster.clone(),
        });
        group.cluster.clone_from(&registration.cluster);
        let replaced = group.broker_addrs.insert(*broker_id, broker_addr.clone());
        let new_in_place = replaced.is_none();
        if let Some(replaced) = replaced.filter(|replaced| replaced != broker_addr) {
            tracing::info!(%broker_name, broker_id, from = %replaced, to = %broker_addr, "the broker's address changed");
            self.live.remove(&replaced);
        }
        if *broker_id == MASTER_ID {
            self.take_topics(&registration, new_in_place);
        }
        self.set_live(&registration, connection, now_ms);
        if registration.broker_id == MASTER_ID {
            Master::default()
        } else {
            self.master_of(&registration.broker_name)
        }
    }

    /// One address has one place: a slave that became the master leaves its old number, a broker that was given another
    /// name leaves the old one.
    fn leave_other_places(&mut self, registration: &Registration) {
        let place = |name: &str, id: i64| name == registration.broker_name && id == registration.broker_id;
        let elsewhere = self.brokers.iter().flat_map(|(name, group)| {
            let ids = group.broker_addrs.iter().filter(|(_, addr)| **addr == registration.broker_addr);
            ids.map(move |(id, _)| (name.clone(), *id))
        });
        let elsewhere: Vec<_> = elsewhere.filter(|(name, id)| !place(name, *id)).collect();
        for (name, id) in elsewhere {
            // The name itself stays if it is the one being registered: its topics are not to vanish for a moment.
            if let Some(group) = self.brokers.get_mut(&name) {
                group.broker_addrs.remove(&id);
                if group.broker_addrs.is_empty() && name != registration.broker_name {
                    self.forget_name(&name);
                }
            }
        }
    }

    /// Takes over the topics that are new or may have changed. A broker that adds one topic says only that one, under
    /// the version of all of them; so a topic that is missing here is taken whatever the version.
    fn take_topics(&mut self, registration: &Registration, new_in_place: bool) {
        let Registration { broker_name, broker_addr, topics, .. } = registration;
        let all = new_in_place || self.topics_changed(broker_addr, topics.data_version);
        for config in topics.topic_config_table.values() {
            let brokers = self.topics.entry(config.topic_name.clone()).or_default();
            if all || !brokers.contains_key(broker_name) {
                let queues = queue_data(broker_name, config);
                if brokers.get(broker_name) != Some(&queues) {
                    tracing::info!(topic = %config.topic_name, ?queues, "the topic's queues are known or changed");
                    brokers.insert(broker_name.clone(), queues);
                }
            }
        }
    }

    fn set_live(&mut self, registration: &Registration, connection: C, now_ms: i64) {
        let Registration { broker_name, broker_addr, ha_server_addr, .. } = registration;
        let silence_limit = registration.heartbeat_timeout.unwrap_or(self.silence_limit);
        let live = Live {
            last_heard_ms: now_ms,
            silence_limit_ms: i64::try_from(silence_limit.as_millis()).unwrap_or(i64::MAX),
            data_version: registration.topics.data_version,
            ha_server_addr: ha_server_addr.clone(),
            connection,
        };
        if self.live.insert(broker_addr.clone(), live).is_none() {
            tracing::info!(%broker_name, %broker_addr, %ha_server_addr, "new broker registered");
        }
    }

    fn master_of(&self, broker_name: &str) -> Master {
        let addr = self.brokers.get(broker_name).and_then(|group| group.broker_addrs.get(&MASTER_ID));
        match addr.and_then(|addr| self.live.get(addr).map(|live| (addr, live))) {
            None => Master::default(),
            Some((addr, live)) => {
                Master { addr: Some(addr.clone()), ha_server_addr: Some(live.ha_server_addr.clone()) }
            }
        }
    }

    /// A broker leaves. An address that has since taken its place stays.
    pub(super) fn unregister(&mut self, broker_name: &str, broker_addr: &str) {
        let here = self.brokers.get(broker_name).is_some_and(|group| has_addr(group, broker_addr));
        if here {
            tracing::info!(%broker_name, %broker_addr, "the broker leaves");
            self.remove(broker_addr);
        }
    }

    /// A connection ended: the brokers that last registered on it are gone. Returns their addresses.
    pub(super) fn connection_closed(&mut self, connection: &C) -> Vec<String> {
        self.remove_where(|live| live.connection == *connection).into_iter().map(|(addr, _)| addr).collect()
    }

    /// Removes the brokers that were silent for too long. Returns their addresses, and the connections to be closed.
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<(String, C)> {
        self.remove_where(|live| live.last_heard_ms.saturating_add(live.silence_limit_ms) < now_ms)
    }

    fn remove_where(&mut self, gone: impl Fn(&Live<C>) -> bool) -> Vec<(String, C)> {
        let of = |(addr, live): (&String, &Live<C>)| (addr.clone(), live.connection.clone());
        let gone: Vec<_> = self.live.iter().filter(|(_, live)| gone(live)).map(of).collect();
        for (addr, _) in &gone {
            self.remove(addr);
        }
        gone
    }

    /// Takes an address out of all tables.
    fn remove(&mut self, broker_addr: &str) {
        self.live.remove(broker_addr);
        let mut emptied = Vec::new();
        for (name, group) in &mut self.brokers {
            group.broker_addrs.retain(|_, addr| addr != broker_addr);
            if group.broker_addrs.is_empty() {
                emptied.push(name.clone());
            }
        }
        for name in emptied {
            self.forget_name(&name);
        }
    }

    fn forget_name(&mut self, broker_name: &str) {
        self.brokers.remove(broker_name);
        self.topics.retain(|_, brokers| {
            brokers.remove(broker_name);
            !brokers.is_empty()
        });
    }

    /// Whether a broker's topics have another version than the one known here. If not, this counts as a sign of life.
    pub(super) fn query_data_version(
        &mut self,
        broker_addr: &str,
        data_version: DataVersion,
        now_ms: i64,
    ) -> (bool, Option<DataVersion>) {
        let changed = self.topics_changed(broker_addr, data_version);
        let known = self.live.get_mut(broker_addr).map(|live| {
            if !changed {
                live.last_heard_ms = now_ms;
            }
            live.data_version
        });
        (changed, known)
    }

    fn topics_changed(&self, broker_addr: &str, data_version: DataVersion) -> bool {
        self.live.get(broker_addr).is_none_or(|live| live.data_version != data_version)
    }

    /// A topic's queues and the brokers that hold them; `None` if there are none.
    pub(super) fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let broker_datas: Vec<_> = queues.keys().filter_map(|name| self.brokers.get(name)).cloned().collect();
        let queue_datas = queues.values().cloned().collect();
        (!broker_datas.is_empty()).then(|| TopicRouteData {
            broker_datas,
            queue_datas,
            ..TopicRouteData::default()
        })
    }

    /// All brokers, and which belong to which cluster.
    pub(super) fn cluster_info(&self) -> ClusterInfo {
        let mut cluster_addr_table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, group) in &self.brokers {
            cluster_addr_table.entry(group.cluster.clone()).or_default().insert(name.clone());
        }
        ClusterInfo { broker_addr_table: self.brokers.clone(), cluster_addr_table }
    }

    /// Whether a broker of that address is registered.
    pub(super) fn knows(&self, broker_addr: &str) -> bool {
        self.live.contains_key(broker_addr)
    }
}

fn has_addr(group: &BrokerData, broker_addr: &str) -> bool {
    group.broker_addrs.values().any(|addr| addr == broker_addr)
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

    const LIMIT: Duration = Duration::from_secs(120);

    fn table() -> RouteTable<u32> {
        RouteTable::new(LIMIT)
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
        assert_eq!(table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0), Master::default());
        let route = table.route("T").unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs[&0], "x:1");
        assert_eq!(route.queue_datas[0].broker_name, "a");
        let info = table.cluster_info();
        assert!(info.cluster_addr_table["C"].contains("a"), "{info:?}");
    }

    #[test]
    fn topics_change_only_with_their_version() {
        let mut table = table();
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(broker(0, "x:1", 1, &["T"], 8), 7, 1);
        assert_eq!(queues(&table, "T"), Some(4));
        table.register(broker(0, "x:1", 2, &["T"], 8), 7, 2);
        assert_eq!(queues(&table, "T"), Some(8));
    }

    #[test]
    fn a_topic_left_out_of_a_registration_stays_and_one_not_known_is_taken_whatever_the_version() {
        let mut table = table();
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(broker(0, "x:1", 2, &["New"], 2), 7, 1);
        table.register(broker(0, "x:1", 2, &["T", "New", "Missed"], 4), 7, 2);
        assert_eq!(
            [queues(&table, "T"), queues(&table, "New"), queues(&table, "Missed")],
            [Some(4), Some(2), Some(4)]
        );
    }

    #[test]
    fn only_the_master_says_what_topics_there_are_and_a_slave_hears_of_it() {
        let mut table = table();
        assert_eq!(table.register(broker(1, "x:2", 1, &["T"], 4), 8, 0), Master::default());
        assert_eq!(table.route("T"), None);
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        let master = table.register(broker(1, "x:2", 1, &["T"], 9), 8, 0);
        assert_eq!(master, Master { addr: Some("x:1".into()), ha_server_addr: Some("x:1-ha".into()) });
        assert_eq!(queues(&table, "T"), Some(4));
        assert_eq!(table.route("T").unwrap().broker_datas[0].broker_addrs.len(), 2);
    }

    #[test]
    fn a_slave_that_became_the_master_stands_in_one_place() {
        let mut table = table();
        table.register(broker(1, "x:2", 1, &["T"], 4), 8, 0);
        table.register(broker(0, "x:2", 1, &["T"], 4), 8, 1);
        assert_eq!(addrs(&table), [(0, "x:2".to_owned())]);
        assert_eq!(queues(&table, "T"), Some(4));
    }

    #[test]
    fn an_address_that_got_another_name_leaves_the_old_one() {
        let mut table = table();
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        let renamed = Registration { broker_name: "b".into(), ..broker(0, "x:1", 1, &["T"], 4) };
        table.register(renamed, 8, 1);
        assert_eq!(table.cluster_info().broker_addr_table.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(table.route("T").unwrap().queue_datas.len(), 1);
    }

    #[test]
    fn a_broker_that_took_a_place_survives_the_farewell_of_the_one_before() {
        let mut table = table();
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(broker(0, "y:1", 1, &["T"], 4), 8, 1);
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
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(broker(0, "x:1", 1, &["T"], 4), 8, 1);
        assert!(table.connection_closed(&7).is_empty());
        assert_eq!(table.connection_closed(&8), ["x:1"]);
        assert_eq!(table.route("T"), None);
    }

    #[test]
    fn topics_of_a_group_stay_while_one_of_its_brokers_lives() {
        let mut table = table();
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(broker(1, "x:2", 1, &[], 4), 8, 0);
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
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        table.register(quick, 8, 0);
        assert!(table.expire(10_000).is_empty());
        assert_eq!(table.expire(10_001), [("q:1".to_owned(), 8)]);
        assert!(table.expire(120_000).is_empty());
        assert_eq!(table.expire(120_001), [("x:1".to_owned(), 7)]);
    }

    #[test]
    fn asking_for_a_version_keeps_a_broker_alive_only_if_it_is_the_known_one() {
        let mut table = table();
        let version = |counter| DataVersion { counter, timestamp: counter };
        assert_eq!(table.query_data_version("x:1", version(1), 0), (true, None));
        table.register(broker(0, "x:1", 1, &["T"], 4), 7, 0);
        assert_eq!(table.query_data_version("x:1", version(2), 60_000), (true, Some(version(1))));
        assert_eq!(table.expire(120_000), []);
        assert_eq!(table.query_data_version("x:1", version(1), 60_000), (false, Some(version(1))));
        assert_eq!(table.expire(180_000), []);
        assert_eq!(table.expire(180_001).len(), 1);
    }
}
