//! Which groups a connection belongs to, so that its end need not be looked for in every group.

use std::collections::HashSet;
use std::hash::Hash;

use dashmap::DashMap;
use rocketmq_protocol::ByteString;

/// Groups by connection.
pub(super) struct Memberships<C>(DashMap<C, HashSet<ByteString>>);

impl<C: Eq + Hash> Default for Memberships<C> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<C: Clone + Eq + Hash> Memberships<C> {
    /// A connection belongs to a group.
    pub(super) fn join(&self, connection: &C, group: &ByteString) {
        if let Some(mut groups) = self.0.get_mut(connection) {
            if !groups.contains(group) {
                groups.insert(group.clone());
            }
            return;
        }
        self.0.entry(connection.clone()).or_default().insert(group.clone());
    }

    /// A connection belongs to a group no longer.
    pub(super) fn leave(&self, connection: &C, group: &str) {
        if let Some(mut groups) = self.0.get_mut(connection) {
            groups.remove(group);
        }
        self.0.remove_if(connection, |_, groups| groups.is_empty());
    }

    /// A connection has ended; returns its groups.
    pub(super) fn end(&self, connection: &C) -> Vec<ByteString> {
        self.0.remove(connection).map_or_else(Vec::new, |(_, groups)| groups.into_iter().collect())
    }
}
