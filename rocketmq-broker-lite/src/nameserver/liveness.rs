//! Which broker was heard when, and on which connection: functions over the time. No I/O.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rocketmq_protocol::body::topic_config::DataVersion;

/// A broker's place among all: the group's name and its number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) broker_name: String,
    pub(super) broker_id: i64,
}

/// A broker that lives.
#[derive(Debug)]
pub(super) struct Live<C> {
    pub(super) place: Place,
    pub(super) last_heard_ms: i64,
    pub(super) silence_limit_ms: i64,
    pub(super) data_version: DataVersion,
    pub(super) ha_server_addr: String,
    /// The connection that it last registered on.
    pub(super) connection: C,
}

/// The brokers that live, by address and by connection.
#[derive(Debug)]
pub(super) struct Liveness<C> {
    live: HashMap<String, Live<C>>,
    by_connection: HashMap<C, HashSet<String>>,
}

impl<C: Clone + Eq + Hash> Liveness<C> {
    pub(super) fn new() -> Self {
        Self { live: HashMap::new(), by_connection: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn get(&self, broker_addr: &str) -> Option<&Live<C>> {
        self.live.get(broker_addr)
    }

    /// How many brokers last registered on a connection.
    pub(super) fn count_on(&self, connection: &C) -> usize {
        self.by_connection.get(connection).map_or(0, HashSet::len)
    }

    /// Takes in a broker; returns what was known of it.
    pub(super) fn insert(&mut self, broker_addr: &str, live: Live<C>) -> Option<Live<C>> {
        let before = self.remove(broker_addr);
        self.by_connection.entry(live.connection.clone()).or_default().insert(broker_addr.to_owned());
        self.live.insert(broker_addr.to_owned(), live);
        before
    }

    pub(super) fn remove(&mut self, broker_addr: &str) -> Option<Live<C>> {
        let live = self.live.remove(broker_addr)?;
        if let Some(addrs) = self.by_connection.get_mut(&live.connection) {
            addrs.remove(broker_addr);
            if addrs.is_empty() {
                self.by_connection.remove(&live.connection);
            }
        }
        Some(live)
    }

    /// A broker gave a sign of life.
    pub(super) fn heard(&mut self, broker_addr: &str, now_ms: i64) {
        if let Some(live) = self.live.get_mut(broker_addr) {
            live.last_heard_ms = now_ms;
        }
    }

    /// The brokers that last registered on a connection.
    pub(super) fn on_connection(&self, connection: &C) -> Vec<String> {
        self.by_connection.get(connection).map_or_else(Vec::new, |addrs| addrs.iter().cloned().collect())
    }

    /// The brokers that were silent for too long, with their connections.
    pub(super) fn silent(&self, now_ms: i64) -> Vec<(String, C)> {
        let silent = |live: &Live<C>| live.last_heard_ms.saturating_add(live.silence_limit_ms) < now_ms;
        let of = |(addr, live): (&String, &Live<C>)| (addr.clone(), live.connection.clone());
        self.live.iter().filter(|(_, live)| silent(live)).map(of).collect()
    }
}
