//! What every kind of consumer is built on: a group's membership, its share of the queues, what is pulled of them, and
//! its offsets. What becomes of pulled messages is up to a [`Sink`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{self, ConsumeType, ConsumerData, MessageModel};
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::message::{MessageQueue, retry_topic};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{Budget, Load};
use super::offset::{BrokerOffsets, ConsumeFromWhere, OffsetStore};
use super::process_queue::{ProcessQueue, Thresholds, Turn};
use super::reach::Reach;
use super::subscriptions::Subscriptions;
use super::{pull, rebalance};
use crate::error::{ErrorKind, Result};
use crate::instance::{ClientInstance, ConsumerMember, guarded_async, supervised};
use crate::rebalance::AllocateMessageQueueStrategy;

/// Takes what is pulled. The messages lie in the queue: the sink calls [`ProcessQueue::take`] when it is ready for them.
pub(crate) trait Sink: Send + Sync {
    /// That many messages more wait in a queue. Must not block.
    fn arrived(&self, queue: &Arc<ProcessQueue>, messages: usize);
}

/// The settings that all kinds of consumers have.
#[derive(Clone)]
pub(crate) struct GroupConfig {
    pub(crate) consumer_group: ByteString,
    pub(crate) message_model: MessageModel,
    pub(crate) consume_from_where: ConsumeFromWhere,
    pub(crate) allocate_message_queue_strategy: Arc<dyn AllocateMessageQueueStrategy>,
    pub(crate) pull_batch_size: i32,
    pub(crate) pull_batch_size_in_bytes: i32,
    pub(crate) pull_interval: Duration,
    pub(crate) thresholds: Thresholds,
    pub(crate) topic_limit: Load,
    pub(crate) client_limit: Load,
    pub(crate) persist_consumer_offset_interval: Duration,
}

/// How long the commits of some queues may hold up those of others.
const COMMITTED_WITHIN: Duration = Duration::from_millis(500);
/// How long they may hold up a rebalance: longer, since whoever takes a queue next goes on where they say.
const COMMITTED_WITHIN_A_REBALANCE: Duration = Duration::from_secs(2);

/// A group's consumer, as brokers and instance see it.
pub(crate) struct GroupCore {
    pub(crate) config: GroupConfig,
    pub(crate) instance: Arc<ClientInstance>,
    pub(crate) retry_topic: ByteString,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) offsets: OffsetStore,
    pub(crate) reach: Reach,
    pub(crate) sink: Arc<dyn Sink>,
    consume_type: ConsumeType,
    queues: Mutex<HashMap<MessageQueue, Arc<ProcessQueue>>>,
    budgets: Budgets,
    pub(super) rebalance_wanted: Notify,
    pub(super) commit_wanted: Notify,
    suspended: watch::Sender<bool>,
    /// Cancels pulls held at a broker: the consumer was suspended, or wants something else now.
    pulls_outdated: watch::Sender<()>,
    /// Ends rebalancing, pulling and committing.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// The limits that queues share.
struct Budgets {
    client: Arc<Budget>,
    topics: Mutex<BTreeMap<ByteString, Arc<Budget>>>,
    topic_limit: Load,
}

impl GroupCore {
    pub(crate) fn new(
        config: GroupConfig,
        consume_type: ConsumeType,
        instance: Arc<ClientInstance>,
        subscriptions: Subscriptions,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let group = config.consumer_group.clone();
        let (stop, tasks) = (instance.stop_token().child_token(), TaskTracker::new());
        let reach = Reach::new(Arc::clone(&instance), group.clone(), stop.clone(), tasks.clone());
        Self {
            retry_topic: retry_topic(&group).into(),
            subscriptions,
            offsets: OffsetStore::Brokers(BrokerOffsets::new(Arc::clone(&instance), group, reach.clone())),
            reach,
            sink,
            consume_type,
            queues: Mutex::default(),
            budgets: Budgets {
                client: Arc::new(Budget::new(config.client_limit)),
                topics: Mutex::default(),
                topic_limit: config.topic_limit,
            },
            rebalance_wanted: Notify::new(),
            commit_wanted: Notify::new(),
            suspended: watch::Sender::new(false),
            pulls_outdated: watch::Sender::new(()),
            stop,
            tasks,
            config,
            instance,
        }
    }

    /// Asks for the routes of all topics and makes itself known to their brokers, before the first pull.
    ///
    /// # Errors
    /// No name server answers. A topic without a route may get one later.
    pub(crate) async fn meet_brokers(&self) -> Result<()> {
        for topic in self.subscriptions.topics() {
            if topic != self.retry_topic {
                self.find_route(&topic).await?;
            }
        }
        self.instance.heartbeat().await;
        Ok(())
    }

    /// Asks for a topic's route; that it has none yet is no error.
    pub(crate) async fn find_route(&self, topic: &ByteString) -> Result<()> {
        match self.instance.route(topic, None).await {
            Err(error) if error.kind() == ErrorKind::NoRoute => {
                tracing::warn!(%topic, %error, "the subscribed topic has no route yet: it is consumed once it has");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    pub(crate) fn spawn_tasks(self: &Arc<Self>) {
        let core = Arc::clone(self);
        self.tasks.spawn(async move { supervised("rebalance", || rebalance::run(&core)).await });
        let core = Arc::clone(self);
        self.tasks.spawn(async move { supervised("offset commit", || core.commit_by_the_clock()).await });
    }

    /// Stops rebalancing and pulling, and waits until both have stopped. What is held stays.
    pub(crate) async fn stop_pulling(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Gives up all queues and commits what they are done with. Returns how many messages are left to others.
    pub(crate) async fn give_up_all(&self) -> usize {
        let held: Vec<_> = std::mem::take(&mut *self.queues()).into_values().collect();
        held.iter().for_each(|queue| queue.revoke());
        futures_util::future::join_all(held.iter().map(|queue| self.offsets.commit_last(queue))).await;
        held.iter().map(|queue| queue.pending()).sum()
    }

    // --- subscriptions ------------------------------------------------------------------------------------------

    /// Tells the brokers that the subscriptions have changed, and pulls held there are asked again.
    pub(crate) async fn subscriptions_changed(&self) {
        self.instance.heartbeat().await;
        self.pulls_outdated.send_replace(());
        self.rebalance_soon();
    }

    // --- suspension ---------------------------------------------------------------------------------------------

    pub(crate) fn suspend(&self) {
        self.suspended.send_replace(true);
        self.pulls_outdated.send_replace(());
    }

    pub(crate) fn resume(&self) {
        self.suspended.send_replace(false);
    }

    pub(super) fn is_suspended(&self) -> bool {
        *self.suspended.borrow()
    }

    pub(super) async fn wait_until_resumed(&self) {
        // The sender lives as long as `self`.
        let _ = self.suspended.subscribe().wait_for(|suspended| !suspended).await;
    }

    /// Changes when pulls under way ask for what is no longer wanted.
    pub(super) fn outdated_pulls(&self) -> watch::Receiver<()> {
        self.pulls_outdated.subscribe()
    }

    // --- queues -------------------------------------------------------------------------------------------------

    /// The queues that are this consumer's, in order.
    pub(crate) fn assignment(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.queues().keys().cloned().collect();
        queues.sort_unstable();
        queues
    }

    pub(crate) fn held_queues(&self) -> Vec<Arc<ProcessQueue>> {
        self.queues().values().cloned().collect()
    }

    pub(super) fn queues_of(&self, topic: &str) -> BTreeSet<MessageQueue> {
        self.queues().keys().filter(|queue| queue.topic() == topic).cloned().collect()
    }

    /// Takes a queue: it is pulled from `ask_at` on.
    pub(super) fn assign(self: &Arc<Self>, queue: MessageQueue, ask_at: tokio::time::Instant) {
        let budgets = vec![self.budgets.of_topic(queue.topic_shared()), Arc::clone(&self.budgets.client)];
        let held = Arc::new(ProcessQueue::new(queue.clone(), self.stop.child_token(), budgets));
        self.queues().insert(queue, Arc::clone(&held));
        let core = Arc::clone(self);
        self.tasks.spawn(async move {
            supervised("pull", || pull::run(&core, &held, ask_at)).await;
        });
    }

    /// Gives up the queues of which `gone` says so: nothing more of them is pulled or called from now on.
    pub(super) fn revoke(&self, gone: impl Fn(&MessageQueue) -> bool) -> Vec<Arc<ProcessQueue>> {
        let revoked: Vec<_> =
            self.queues().extract_if(|queue, _| gone(queue)).map(|(_, held)| held).collect();
        for held in &revoked {
            held.revoke();
            tracing::info!(queue = %held.queue, client_id = %self.instance.client_id(), "a queue is given up");
        }
        revoked
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<MessageQueue, Arc<ProcessQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- offsets ------------------------------------------------------------------------------------------------

    /// Commits what all queues are done with, and does not wait for long for brokers that take their time.
    async fn commit_all(self: &Arc<Self>, within: Duration) {
        let behind = self.held_queues().into_iter().filter(|queue| self.offsets.is_behind(queue));
        let commit = |core: Arc<Self>, queue: Arc<ProcessQueue>, turn| async move {
            core.offsets.commit(&queue, turn).await;
        };
        self.in_turn(behind, commit, within).await;
    }

    /// The same before a rebalance.
    pub(super) async fn commit_before_rebalance(self: &Arc<Self>) {
        self.commit_all(COMMITTED_WITHIN_A_REBALANCE).await;
    }

    async fn tell_again(self: &Arc<Self>) {
        let told_once = self.held_queues().into_iter().filter(|queue| queue.told_once().is_some());
        let tell = |core: Arc<Self>, queue: Arc<ProcessQueue>, turn| async move {
            core.offsets.tell_again(&queue, turn).await;
        };
        self.in_turn(told_once, tell, COMMITTED_WITHIN).await;
    }

    /// Tells the brokers something of each queue. Who only waits for a queue's turn is cut off with its time, so that one
    /// at a time is all that a broker which hangs keeps; what has begun is not, since the broker might handle it after a
    /// later one.
    async fn in_turn<F>(
        self: &Arc<Self>,
        queues: impl Iterator<Item = Arc<ProcessQueue>>,
        tell: impl Fn(Arc<Self>, Arc<ProcessQueue>, Turn) -> F,
        within: Duration,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let tell = &tell;
        let telling = queues.map(|queue| async move {
            let turn = queue.turn().await;
            let telling = tell(Arc::clone(self), queue, turn);
            // A panic is logged there.
            self.tasks.spawn(async move { guarded_async("a commit", telling).await.is_ok() }).await
        });
        let telling: Vec<_> = telling.collect();
        let _ = tokio::time::timeout(within, futures_util::future::join_all(telling)).await;
    }

    /// By the clock, and when there is a reason.
    async fn commit_by_the_clock(self: &Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.commit_wanted.notified() => {}
                () = tokio::time::sleep(self.config.persist_consumer_offset_interval) => self.tell_again().await,
            }
            self.commit_all(COMMITTED_WITHIN).await;
        }
    }
}

impl ConsumerMember for GroupCore {
    fn consumer_group(&self) -> &ByteString {
        &self.config.consumer_group
    }

    fn consumer_data(&self) -> ConsumerData {
        ConsumerData {
            consume_from_where: match self.config.consume_from_where {
                ConsumeFromWhere::LastOffset => heartbeat::ConsumeFromWhere::LastOffset,
                ConsumeFromWhere::FirstOffset => heartbeat::ConsumeFromWhere::FirstOffset,
                ConsumeFromWhere::Timestamp(_) => heartbeat::ConsumeFromWhere::Timestamp,
            },
            consume_type: self.consume_type,
            group_name: self.config.consumer_group.to_string(),
            message_model: self.config.message_model,
            subscription_data_set: self.subscriptions.all(),
            unit_mode: false,
        }
    }

    fn rebalance_soon(&self) {
        self.rebalance_wanted.notify_one();
    }
}

impl Budgets {
    fn of_topic(&self, topic: &ByteString) -> Arc<Budget> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = topics.entry(topic.clone()).or_insert_with(|| Arc::new(Budget::new(self.topic_limit)));
        Arc::clone(budget)
    }
}
