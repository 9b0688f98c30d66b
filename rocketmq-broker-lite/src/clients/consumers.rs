//! Who consumes: the members of each consumer group and what the group subscribes to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{ConsumerData, MessageModel};
use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::code::LanguageCode;

use super::memberships::Memberships;

/// A client that is silent for longer is taken for dead.
pub(crate) const CLIENT_EXPIRY_MS: i64 = 120_000;

/// What a heartbeat says about its sender.
#[derive(Clone, Debug)]
pub(crate) struct ClientInfo {
    /// The client's id.
    pub(crate) client_id: ByteString,
    /// Its language.
    #[expect(dead_code, reason = "shown by the admin requests to come")]
    pub(crate) language: LanguageCode,
    /// Its `MQVersion` ordinal.
    #[expect(dead_code, reason = "shown by the admin requests to come")]
    pub(crate) version: i32,
    /// When it was last heard of, in milliseconds since 1970.
    pub(crate) last_seen_ms: i64,
}

/// What a pull needs to know of its group's subscription.
#[derive(Clone, Debug)]
pub(crate) enum Subscription {
    /// Nobody of the group is online.
    NoGroup,
    /// The group is online.
    Group {
        /// Whether its members share the messages.
        message_model: MessageModel,
        /// What it wants of the topic, if anything.
        data: Option<Arc<SubscriptionData>>,
    },
}

/// The groups that are online. `C` is a connection.
pub(crate) struct ConsumerManager<C> {
    groups: DashMap<ByteString, Group<C>>,
    memberships: Memberships<C>,
}

struct Group<C> {
    message_model: MessageModel,
    members: HashMap<C, ClientInfo>,
    subscriptions: HashMap<String, Arc<SubscriptionData>>,
}

impl<C: Eq + Hash> Default for ConsumerManager<C> {
    fn default() -> Self {
        Self { groups: DashMap::new(), memberships: Memberships::default() }
    }
}

impl<C: Clone + Eq + Hash> ConsumerManager<C> {
    /// Takes in a heartbeat; true if the group has changed by it: a new member, or other topics.
    pub(crate) fn heartbeat(&self, consumer: ConsumerData, connection: &C, client: ClientInfo) -> bool {
        let name = ByteString::from(consumer.group_name);
        self.memberships.join(connection, &name);
        let mut group = self.groups.entry(name).or_insert_with(|| Group {
            message_model: consumer.message_model,
            members: HashMap::new(),
            subscriptions: HashMap::new(),
        });
        group.message_model = consumer.message_model;
        let is_new = group.members.insert(connection.clone(), client).is_none();
        group.subscribe(consumer.subscription_data_set) || is_new
    }

    /// What the group wants of a topic.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Subscription {
        self.groups.get(group).map_or(Subscription::NoGroup, |group| Subscription::Group {
            message_model: group.message_model,
            data: group.subscriptions.get(topic).cloned(),
        })
    }

    /// The ids of a group's members, sorted, each once: a client that has just connected anew is one client.
    pub(crate) fn client_ids(&self, group: &str) -> Vec<String> {
        let Some(group) = self.groups.get(group) else { return Vec::new() };
        let ids: BTreeSet<&str> = group.members.values().map(|member| &*member.client_id).collect();
        ids.into_iter().map(str::to_owned).collect()
    }

    /// The connections of a group's members.
    pub(crate) fn connections(&self, group: &str) -> Vec<C> {
        self.groups.get(group).map_or_else(Vec::new, |group| group.members.keys().cloned().collect())
    }

    /// A member leaves.
    pub(crate) fn leave(&self, group: &str, connection: &C) {
        self.memberships.leave(connection, group);
        self.remove(group, connection);
    }

    /// A connection has ended; returns the groups that it was a member of.
    pub(crate) fn disconnected(&self, connection: &C) -> Vec<ByteString> {
        let mut left = self.memberships.end(connection);
        left.retain(|group| self.remove(group, connection));
        left
    }

    /// False if it was no member.
    fn remove(&self, group: &str, connection: &C) -> bool {
        let removed =
            self.groups.get_mut(group).is_some_and(|mut it| it.members.remove(connection).is_some());
        self.groups.remove_if(group, |_, group| group.members.is_empty());
        removed
    }

    /// Drops the members that have been silent for too long; returns them with their groups.
    pub(crate) fn expire(&self, now_ms: i64) -> Vec<(ByteString, C)> {
        let mut expired = Vec::new();
        self.groups.retain(|name, group| {
            group.members.retain(|connection, member| {
                let alive = now_ms - member.last_seen_ms <= CLIENT_EXPIRY_MS;
                if !alive {
                    expired.push((name.clone(), connection.clone()));
                }
                alive
            });
            !group.members.is_empty()
        });
        expired.iter().for_each(|(group, connection)| self.memberships.leave(connection, group));
        expired
    }
}

impl<C> Group<C> {
    /// Takes over what a member subscribes to; true if topics came or went.
    fn subscribe(&mut self, wanted: Vec<SubscriptionData>) -> bool {
        let before = self.subscriptions.len();
        let topics: HashSet<&str> = wanted.iter().map(|data| data.topic.as_str()).collect();
        self.subscriptions.retain(|topic, _| topics.contains(topic.as_str()));
        let mut changed = self.subscriptions.len() != before;
        for data in wanted {
            match self.subscriptions.get_mut(&data.topic) {
                None => {
                    changed = true;
                    self.subscriptions.insert(data.topic.clone(), Arc::new(data));
                }
                Some(known) if data.sub_version > known.sub_version => *known = Arc::new(data),
                Some(_) => {}
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{assert_linear, cpu_time};

    fn client(id: &str, last_seen_ms: i64) -> ClientInfo {
        ClientInfo { client_id: id.into(), language: LanguageCode::Java, version: 409, last_seen_ms }
    }

    fn consumer(topics: &[(&str, i64)]) -> ConsumerData {
        ConsumerData {
            group_name: "g".into(),
            subscription_data_set: topics
                .iter()
                .map(|(topic, version)| SubscriptionData::by_tag(topic, &format!("v{version}"), *version))
                .collect(),
            ..ConsumerData::default()
        }
    }

    fn expression(groups: &ConsumerManager<u32>, topic: &str) -> Option<String> {
        match groups.subscription("g", topic) {
            Subscription::NoGroup => None,
            Subscription::Group { data, .. } => data.map(|data| data.sub_string.clone()),
        }
    }

    #[test]
    fn a_group_changes_when_members_or_topics_do() {
        let groups = ConsumerManager::default();
        assert!(groups.heartbeat(consumer(&[("T", 1)]), &1u32, client("a", 0)), "the first member");
        assert!(!groups.heartbeat(consumer(&[("T", 1)]), &1, client("a", 0)), "the same again");
        assert!(groups.heartbeat(consumer(&[("T", 1)]), &2, client("b", 0)), "a second member");
        assert!(groups.heartbeat(consumer(&[("T", 1), ("U", 1)]), &1, client("a", 0)), "a topic more");
        assert!(groups.heartbeat(consumer(&[("U", 1)]), &1, client("a", 0)), "a topic less");
        assert_eq!(expression(&groups, "T"), None);
        assert_eq!(groups.client_ids("g"), ["a", "b"]);
    }

    #[test]
    fn only_a_newer_subscription_replaces_one_and_that_is_no_change() {
        let groups = ConsumerManager::default();
        groups.heartbeat(consumer(&[("T", 2)]), &1u32, client("a", 0));
        assert!(!groups.heartbeat(consumer(&[("T", 1)]), &1, client("a", 0)));
        assert_eq!(expression(&groups, "T").unwrap(), "v2");
        assert!(!groups.heartbeat(consumer(&[("T", 3)]), &1, client("a", 0)));
        assert_eq!(expression(&groups, "T").unwrap(), "v3");
    }

    #[test]
    fn members_go_by_leaving_by_disconnecting_and_by_silence() {
        let groups = ConsumerManager::default();
        for (connection, seen) in [(1u32, 0), (2, 0), (3, 1), (4, 1_000_000)] {
            groups.heartbeat(consumer(&[]), &connection, client(&connection.to_string(), seen));
        }
        groups.leave("g", &1);
        assert_eq!(groups.disconnected(&2), ["g"]);
        assert!(groups.disconnected(&2).is_empty());
        assert!(groups.expire(CLIENT_EXPIRY_MS + 1).is_empty(), "not yet");
        assert_eq!(groups.expire(CLIENT_EXPIRY_MS + 2), [("g".into(), 3)]);
        assert_eq!(groups.client_ids("g"), ["4"]);
        groups.leave("g", &4);
        assert!(matches!(groups.subscription("g", "T"), Subscription::NoGroup));
    }

    #[test]
    fn a_client_that_connected_anew_is_listed_once() {
        let groups = ConsumerManager::default();
        for connection in [1u32, 2] {
            groups.heartbeat(consumer(&[]), &connection, client("a", 0));
        }
        assert_eq!(groups.client_ids("g"), ["a"]);
        assert_eq!(groups.connections("g").len(), 2);
    }

    #[test]
    fn the_cost_of_a_disconnect_does_not_grow_with_the_number_of_groups() {
        assert_linear(1_000, 10_000, |count| {
            let groups = ConsumerManager::default();
            let group = |number| ConsumerData { group_name: format!("g{number}"), ..ConsumerData::default() };
            for number in 0..count {
                groups.heartbeat(group(number), &number, client("c", 0));
            }
            cpu_time(|| (0..count).for_each(|number| assert_eq!(groups.disconnected(&number).len(), 1)))
        });
    }
}
