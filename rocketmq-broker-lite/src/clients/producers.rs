//! Who produces: the members of each producer group.

use std::collections::HashMap;
use std::hash::Hash;

use dashmap::DashMap;
use rocketmq_protocol::ByteString;

use super::consumers::{CLIENT_EXPIRY_MS, ClientInfo};
use super::memberships::Memberships;

/// The producer groups that are online. `C` is a connection.
pub(crate) struct ProducerManager<C> {
    groups: DashMap<ByteString, HashMap<C, ClientInfo>>,
    memberships: Memberships<C>,
}

impl<C: Eq + Hash> Default for ProducerManager<C> {
    fn default() -> Self {
        Self { groups: DashMap::new(), memberships: Memberships::default() }
    }
}

impl<C: Clone + Eq + Hash> ProducerManager<C> {
    /// A member lives.
    pub(crate) fn heartbeat(&self, group: String, connection: &C, client: ClientInfo) {
        let group = ByteString::from(group);
        self.memberships.join(connection, &group);
        self.groups.entry(group).or_default().insert(connection.clone(), client);
    }

    /// A member leaves.
    pub(crate) fn leave(&self, group: &str, connection: &C) {
        self.memberships.leave(connection, group);
        self.remove(group, connection);
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&self, connection: &C) {
        self.memberships.end(connection).iter().for_each(|group| self.remove(group, connection));
    }

    fn remove(&self, group: &str, connection: &C) {
        if let Some(mut members) = self.groups.get_mut(group) {
            members.remove(connection);
        }
        self.groups.remove_if(group, |_, members| members.is_empty());
    }

    /// Drops the members that have been silent for too long; returns them.
    pub(crate) fn expire(&self, now_ms: i64) -> Vec<C> {
        let mut expired = Vec::new();
        self.groups.retain(|group, members| {
            members.retain(|connection, member| {
                let alive = now_ms - member.last_seen_ms <= CLIENT_EXPIRY_MS;
                if !alive {
                    expired.push((group.clone(), connection.clone()));
                }
                alive
            });
            !members.is_empty()
        });
        expired.iter().for_each(|(group, connection)| self.memberships.leave(connection, group));
        expired.into_iter().map(|(_, connection)| connection).collect()
    }

    /// How many members a group has.
    #[cfg(test)]
    pub(crate) fn count(&self, group: &str) -> usize {
        self.groups.get(group).map_or(0, |members| members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocketmq_protocol::code::LanguageCode;

    #[test]
    fn members_come_by_heartbeat_and_go_by_leaving_disconnecting_and_silence() {
        let groups = ProducerManager::default();
        for (connection, last_seen_ms) in [(1u32, 0), (2, 0), (3, 0), (4, 500_000)] {
            let client_id = connection.to_string().into();
            let client = ClientInfo { client_id, language: LanguageCode::Rust, version: 409, last_seen_ms };
            groups.heartbeat("p".into(), &connection, client);
        }
        assert_eq!(groups.count("p"), 4);
        groups.leave("p", &1);
        groups.disconnected(&2);
        assert_eq!(groups.count("p"), 2);
        assert_eq!(groups.expire(CLIENT_EXPIRY_MS + 1), [3]);
        groups.disconnected(&4);
        assert_eq!(groups.count("p"), 0);
    }
}
