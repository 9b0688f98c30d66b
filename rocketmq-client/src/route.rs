//! Topics and where their queues are: what is derived from a route, and the table of all routes in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::route::{MASTER_ID, QueueData, TopicRouteData, perm};
use rocketmq_protocol::message::MessageQueue;
use rocketmq_protocol::message::wire::WireMessageQueue;

/// How many queues of one topic are used, for sending and for consuming each. Far more than any cluster has; a route that
/// names more is broken or hostile, and must not cost the memory that it asks for.
const MAX_QUEUES: usize = 65_536;

/// A topic's route and what follows from it. It never changes: a new route takes its place.
#[derive(Debug)]
pub(crate) struct TopicRoute {
    pub(crate) topic: ByteString,
    pub(crate) data: TopicRouteData,
    /// The queues that can be sent to.
    pub(crate) publish: Vec<PublishQueue>,
    /// The brokers that they are on.
    pub(crate) publish_brokers: Vec<ByteString>,
    /// The queues that can be consumed.
    pub(crate) subscribe: Vec<MessageQueue>,
    /// Turns with every send, from a random start.
    next: AtomicUsize,
}

/// A queue that can be sent to, and its broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishQueue {
    pub(crate) queue: MessageQueue,
    pub(crate) broker_addr: Arc<str>,
}

impl TopicRoute {
    /// What follows from a route whose lists are sorted.
    fn new(topic: &ByteString, data: TopicRouteData) -> Self {
        warn_of_excess(topic, &data);
        let publish = publish_queues(topic, &data);
        let subscribe = subscribe_queues(topic, &data);
        let publish_brokers = brokers_of(&publish);
        Self {
            topic: topic.clone(),
            data,
            publish,
            publish_brokers,
            subscribe,
            next: AtomicUsize::new(rand::random::<u32>() as usize),
        }
    }

    /// The next queue in turn, on another broker than `avoid` if there is one.
    pub(crate) fn next_queue(&self, avoid: Option<&str>) -> Option<&PublishQueue> {
        self.next_queue_by(&[&|broker: &str| Some(broker) != avoid])
    }

    /// The next queue in turn whose broker is wanted: by the first of the wishes if any queue fulfils it, else by the
    /// second, and so on; without any such queue, the next one.
    pub(crate) fn next_queue_by(&self, wishes: &[&dyn Fn(&str) -> bool]) -> Option<&PublishQueue> {
        let count = self.publish.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut in_turn = (0..count).map(|step| &self.publish[start.wrapping_add(step) % count]);
        let next = in_turn.next()?;
        // A wish is about brokers: whether any of them fulfils it is known without a look at every queue.
        let can_be = |wish: &dyn Fn(&str) -> bool| self.publish_brokers.iter().any(|broker| wish(broker));
        let wanted = wishes.iter().find(|wish| wish(next.queue.broker_name()) || can_be(wish));
        match wanted {
            Some(wish) if !wish(next.queue.broker_name()) => {
                in_turn.find(|queue| wish(queue.queue.broker_name())).or(Some(next))
            }
            _ => Some(next),
        }
    }
}

/// Writable queues of brokers whose master is there, in the order of Java: by broker, then by number.
fn publish_queues(topic: &ByteString, data: &TopicRouteData) -> Vec<PublishQueue> {
    let master = |broker: &str| {
        let broker = data.broker_datas.iter().find(|data| &*data.broker_name == broker)?;
        broker.broker_addrs.get(&MASTER_ID).map(|addr| Arc::<str>::from(addr.as_str()))
    };
    if let Some(order) = data.order_topic_conf.as_deref().filter(|order| !order.is_empty()) {
        return ordered_queues(topic, order, master);
    }
    let mut queues = Vec::new();
    for data in data.queue_datas.iter().filter(|data| data.perm & perm::WRITE != 0) {
        let Some(broker_addr) = master(&data.broker_name) else { continue };
        queues.extend((0..data.write_queue_nums).take(room(&queues)).map(|queue_id| PublishQueue {
            queue: MessageQueue::shared(topic.clone(), data.broker_name.clone(), queue_id),
            broker_addr: Arc::clone(&broker_addr),
        }));
    }
    queues
}

fn brokers_of(queues: &[PublishQueue]) -> Vec<ByteString> {
    let mut brokers: Vec<_> = queues.iter().map(|queue| queue.queue.broker_name_shared().clone()).collect();
    brokers.sort_unstable();
    brokers.dedup();
    brokers
}

/// How many queues there may be beyond these.
fn room<T>(queues: &[T]) -> usize {
    MAX_QUEUES.saturating_sub(queues.len())
}

/// `broker:count;broker:count`: exactly those queues.
fn ordered_queues(
    topic: &ByteString,
    order: &str,
    master: impl Fn(&str) -> Option<Arc<str>>,
) -> Vec<PublishQueue> {
    let mut queues = Vec::new();
    for part in order.split(';') {
        let Some((broker, count)) = part.split_once(':') else { continue };
        let (Ok(count), Some(broker_addr)) = (count.trim().parse::<i32>(), master(broker)) else { continue };
        let broker = ByteString::from(broker);
        queues.extend((0..count).take(room(&queues)).map(|queue_id| PublishQueue {
            queue: MessageQueue::shared(topic.clone(), broker.clone(), queue_id),
            broker_addr: Arc::clone(&broker_addr),
        }));
    }
    queues
}

fn subscribe_queues(topic: &ByteString, data: &TopicRouteData) -> Vec<MessageQueue> {
    let readable = data.queue_datas.iter().filter(|data| data.perm & perm::READ != 0);
    let queues = readable.flat_map(|data| {
        (0..data.read_queue_nums)
            .map(|queue_id| MessageQueue::shared(topic.clone(), data.broker_name.clone(), queue_id))
    });
    queues.take(MAX_QUEUES).collect()
}

/// A route that names more queues than are used.
fn warn_of_excess(topic: &str, data: &TopicRouteData) {
    let named = |nums: fn(&QueueData) -> i32| {
        data.queue_datas.iter().map(|data| i64::from(nums(data).max(0))).sum::<i64>()
    };
    let most = named(|data| data.write_queue_nums).max(named(|data| data.read_queue_nums));
    if usize::try_from(most).is_ok_and(|most| most > MAX_QUEUES) {
        tracing::error!(
            topic,
            named = most,
            used = MAX_QUEUES,
            "the route names too many queues: the rest is left out"
        );
    }
}

/// The routes of all topics in use, and the brokers that they name.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    topics: DashMap<ByteString, Arc<TopicRoute>, RandomState>,
    brokers: DashMap<ByteString, Arc<BTreeMap<i64, String>>>,
}

impl RouteTable {
    /// The route of a topic, if it is known.
    pub(crate) fn get(&self, topic: &str) -> Option<Arc<TopicRoute>> {
        self.topics.get(topic).map(|route| Arc::clone(&route))
    }

    /// Takes a topic's new route; returns it, and whether anything changed.
    pub(crate) fn update(&self, topic: &ByteString, data: TopicRouteData) -> (Arc<TopicRoute>, bool) {
        for broker in &data.broker_datas {
            self.brokers.insert(broker.broker_name.clone(), Arc::new(broker.broker_addrs.clone()));
        }
        let data = data.sorted();
        if let Some(known) = self.get(topic).filter(|known| known.data == data) {
            return (known, false);
        }
        let route = Arc::new(TopicRoute::new(topic, data));
        self.topics.insert(topic.clone(), Arc::clone(&route));
        (route, true)
    }

    /// The topics in use.
    pub(crate) fn topics(&self) -> Vec<ByteString> {
        self.topics.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Brokers that a route in use still names, as (name, id, address).
    pub(crate) fn live_brokers(&self) -> Vec<(ByteString, i64, String)> {
        let mut live = BTreeMap::new();
        for route in &self.topics {
            for broker in &route.data.broker_datas {
                for (id, addr) in &broker.broker_addrs {
                    live.insert((broker.broker_name.clone(), *id), addr.clone());
                }
            }
        }
        live.into_iter().map(|((name, id), addr)| (name, id, addr)).collect()
    }

    /// The address of a broker's master.
    pub(crate) fn master_addr(&self, broker_name: &str) -> Option<String> {
        self.brokers.get(broker_name)?.get(&MASTER_ID).cloned()
    }

    /// The addresses of a broker's group by id: 0 is its master, the others are slaves.
    pub(crate) fn addrs(&self, broker_name: &str) -> Option<Arc<BTreeMap<i64, String>>> {
        self.brokers.get(broker_name).map(|brokers| Arc::clone(&brokers))
    }

    /// The address of the broker to consume from: the wanted member of the group, else the next, else any; one that is
    /// not `usable` only if there is no other. Java: `findBrokerAddressInSubscribe`.
    pub(crate) fn consume_addr(
        &self,
        broker_name: &str,
        wanted_id: i64,
        usable: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let brokers = self.addrs(broker_name)?;
        let at = |id: i64| brokers.get(&id).filter(|addr| usable(addr));
        let wanted = at(wanted_id).or_else(|| at(wanted_id.saturating_add(1)));
        let any = || brokers.values().find(|addr| usable(addr)).or_else(|| brokers.values().next());
        wanted.or_else(any).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocketmq_protocol::body::route::BrokerData;

    fn route(brokers: &[(&str, i64, i32, i32)]) -> TopicRouteData {
        TopicRouteData {
            broker_datas: brokers
                .iter()
                .map(|(name, id, ..)| BrokerData {
                    broker_addrs: BTreeMap::from([(*id, format!("{name}:1"))]),
                    broker_name: (*name).into(),
                    cluster: "C".into(),
                })
                .collect(),
            queue_datas: brokers
                .iter()
                .map(|(name, _, perm, queues)| QueueData {
                    broker_name: (*name).into(),
                    perm: *perm,
                    read_queue_nums: *queues,
                    write_queue_nums: *queues,
                    topic_sys_flag: 0,
                })
                .collect(),
            ..TopicRouteData::default()
        }
    }

    #[test]
    fn only_writable_queues_of_live_masters_are_sent_to() {
        let data = route(&[("b", 0, 6, 2), ("a", 0, 4, 2), ("slave", 1, 6, 2)]);
        let topic = TopicRoute::new(&"T".into(), data);
        let published: Vec<_> = topic.publish.iter().map(|queue| queue.queue.to_string()).collect();
        assert_eq!(
            published,
            [
                "MessageQueue [topic=T, brokerName=b, queueId=0]",
                "MessageQueue [topic=T, brokerName=b, queueId=1]"
            ]
        );
        assert_eq!(topic.subscribe.len(), 6);
    }

    #[test]
    fn turns_visit_every_queue_and_avoid_a_broker_where_possible() {
        let topic = TopicRoute::new(&"T".into(), route(&[("a", 0, 6, 2), ("b", 0, 6, 2)]));
        let mut seen: Vec<_> = (0..4).map(|_| topic.next_queue(None).unwrap().queue.clone()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        assert!((0..8).all(|_| topic.next_queue(Some("a")).unwrap().queue.broker_name() == "b"));
        let single = TopicRoute::new(&"T".into(), route(&[("a", 0, 6, 2)]));
        assert!(single.next_queue(Some("a")).is_some());
    }

    #[test]
    fn an_order_configuration_names_exactly_its_queues() {
        let data = TopicRouteData {
            order_topic_conf: Some("b:1;a:2".into()),
            ..route(&[("a", 0, 6, 8), ("b", 0, 6, 8)])
        };
        let topic = TopicRoute::new(&"T".into(), data);
        let queues: Vec<_> =
            topic.publish.iter().map(|q| (q.queue.broker_name(), q.queue.queue_id())).collect();
        assert_eq!(queues, [("b", 0), ("a", 0), ("a", 1)]);
    }

    #[test]
    fn hostile_numbers_cost_nothing_and_panic_nothing() {
        for queues in [i32::MIN, -1, 0] {
            let topic = TopicRoute::new(&"T".into(), route(&[("a", 0, 6, queues)]));
            assert!(
                topic.publish.is_empty() && topic.subscribe.is_empty() && topic.next_queue(None).is_none()
            );
        }
        let many = [("a", 0, 6, i32::MAX), ("b", 0, 6, i32::MAX)];
        let topic = TopicRoute::new(&"T".into(), route(&many));
        assert_eq!((topic.publish.len(), topic.subscribe.len()), (MAX_QUEUES, MAX_QUEUES));
        let order = format!("a:{};b:{};a:-1;:;a:", i32::MAX, i32::MAX);
        let data = TopicRouteData { order_topic_conf: Some(order), ..route(&many) };
        assert_eq!(TopicRoute::new(&"T".into(), data).publish.len(), MAX_QUEUES);
    }

    #[test]
    fn a_suggested_broker_that_cannot_be_is_no_panic() {
        let table = RouteTable::default();
        table.update(&"T".into(), route(&[("a", i64::MAX, 6, 1)]));
        for wanted in [i64::MAX, i64::MIN, -1] {
            let chosen = table.consume_addr("a", wanted, |_| true);
            assert_eq!(chosen.as_deref(), Some("a:1"), "{wanted}");
        }
    }

    #[test]
    fn a_broker_that_cannot_be_used_is_asked_only_if_there_is_no_other() {
        let table = RouteTable::default();
        table.brokers.insert("a".into(), Arc::new([0, 1].map(|id| (id, format!("a:{id}"))).into()));
        let chosen = |wanted, avoid| table.consume_addr("a", wanted, |addr| addr != avoid).unwrap();
        assert_eq!([chosen(0, ""), chosen(1, ""), chosen(7, "")], ["a:0", "a:1", "a:0"]);
        assert_eq!([chosen(0, "a:0"), chosen(1, "a:1"), chosen(7, "a:0")], ["a:1", "a:0", "a:1"]);
        table.brokers.insert("a".into(), Arc::new([(0, "a:0".to_owned())].into()));
        assert_eq!(chosen(0, "a:0"), "a:0");
    }

    #[test]
    fn the_same_route_again_changes_nothing() {
        let table = RouteTable::default();
        let topic = ByteString::from_static("T");
        assert!(table.update(&topic, route(&[("a", 0, 6, 1), ("b", 0, 6, 1)])).1);
        assert!(!table.update(&topic, route(&[("b", 0, 6, 1), ("a", 0, 6, 1)])).1);
        assert!(table.update(&topic, route(&[("a", 0, 6, 1)])).1);
        assert_eq!(table.live_brokers().len(), 1);
    }
}
