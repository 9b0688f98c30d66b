//! The push consumer: pulls in the background and calls a listener.
//!
//! `rebalance` decides which queues are this consumer's; each has a [`ProcessQueue`] and a `pull` loop. What is pulled
//! becomes `work` for the listener; what the listener fails goes `send_back`; `commit` tells the brokers what is done.

mod builder;
mod commit;
mod process_queue;
mod pull;
mod rebalance;
mod send_back;
mod start_offset;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{self, ConsumeType, ConsumerData};
use rocketmq_protocol::body::subscription::{SUBSCRIBE_ALL, SubscriptionData};
use rocketmq_protocol::message::{MessageQueue, retry_topic};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::filter::MessageSelector;
use super::listener::DynListener;
use crate::error::{Error, Result};
use crate::instance::{ClientInstance, ConsumerMember, Membership, now_ms};
use crate::validate;

pub use builder::DefaultMQPushConsumerBuilder;
pub use start_offset::ConsumeFromWhere;

use builder::ConsumerConfig;
use process_queue::ProcessQueue;
use work::Work;

/// Calls a listener with messages as they come. Java: `DefaultMQPushConsumer`.
///
/// Every message that was sent is given to the listener of one member of the group at least once; an offset is committed
/// only past messages that the listener is done with or the broker has taken back.
///
/// Clones share one consumer. Dropping the last one stops it without waiting: messages under way come again to another
/// member. Call [`shutdown`](Self::shutdown) to end it in order.
///
/// ```no_run
/// # async fn example() -> rocketmq_client::Result<()> {
/// use rocketmq_client::{ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer};
///
/// let consumer = DefaultMQPushConsumer::builder("billing")
///     .namesrv_addr("127.0.0.1:9876")
///     .consume_from_where(ConsumeFromWhere::FirstOffset)
///     .subscribe("TopicTest", "TagA || TagB")
///     .consume_concurrently(|msgs, _context| async move {
///         println!("{} new messages", msgs.len());
///         ConsumeConcurrentlyStatus::ConsumeSuccess
///     })
///     .start()
///     .await?;
/// consumer.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "MQPushConsumer")]
pub struct DefaultMQPushConsumer(Arc<Handle>);

/// What the program holds; the consumer's own tasks hold only [`Inner`].
struct Handle {
    inner: Arc<Inner>,
    membership: Mutex<Option<Membership>>,
}

struct Inner {
    config: ConsumerConfig,
    instance: Arc<ClientInstance>,
    retry_topic: String,
    listener: Arc<dyn DynListener>,
    subscriptions: RwLock<BTreeMap<String, Arc<SubscriptionData>>>,
    queues: Mutex<HashMap<MessageQueue, Arc<ProcessQueue>>>,
    work: async_channel::Sender<Work>,
    rebalance_wanted: Notify,
    suspended: watch::Sender<bool>,
    /// Has pulls that wait at a broker given up: the consumer was suspended, or wants something else now.
    pulls_outdated: watch::Sender<()>,
    /// Ends rebalancing, pulling and committing; what the listener does goes on.
    pulls_stop: CancellationToken,
    tasks: TaskTracker,
    workers: TaskTracker,
    /// Ends the workers, finished or not.
    workers_stop: CancellationToken,
}

/// What a shutdown left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Messages that were pulled but that the listener was not done with: they come again to another member.
    pub abandoned: usize,
    /// Whether every call of the listener that was under way came to its end in time.
    pub drained: bool,
}

impl DefaultMQPushConsumer {
    /// The settings of a consumer of that group, to be started.
    pub fn builder(consumer_group: impl Into<String>) -> DefaultMQPushConsumerBuilder {
        DefaultMQPushConsumerBuilder::new(consumer_group.into().into())
    }

    async fn start(builder: DefaultMQPushConsumerBuilder) -> Result<Self> {
        let mut subscriptions = builder.check()?;
        let DefaultMQPushConsumerBuilder { client, config, listener, .. } = builder;
        let listener = listener.ok_or_else(Error::closed)?;
        let retry_topic = retry_topic(&config.consumer_group);
        let retry = SubscriptionData::by_tag(&retry_topic, SUBSCRIBE_ALL, now_ms());
        subscriptions.insert(retry_topic.clone(), Arc::new(retry));
        let membership = ClientInstance::join(&client).await?;
        let instance = Arc::clone(membership.instance());
        let (work, work_to_do) = async_channel::unbounded();
        let inner = Arc::new(Inner {
            pulls_stop: instance.stop_token().child_token(),
            workers_stop: instance.stop_token().child_token(),
            config,
            instance,
            retry_topic,
            listener,
            subscriptions: RwLock::new(subscriptions),
            queues: Mutex::default(),
            work,
            rebalance_wanted: Notify::new(),
            suspended: watch::Sender::new(false),
            pulls_outdated: watch::Sender::new(()),
            tasks: TaskTracker::new(),
            workers: TaskTracker::new(),
        });
        let member: Weak<dyn ConsumerMember> = Arc::<Inner>::downgrade(&inner);
        membership.enroll_consumer(member)?;
        let consumer =
            Self(Arc::new(Handle { inner: Arc::clone(&inner), membership: Mutex::new(Some(membership)) }));
        inner.meet_brokers().await?;
        inner.spawn_tasks(&work_to_do);
        Ok(consumer)
    }

    /// Takes messages of one more topic, or other messages of a topic.
    ///
    /// # Errors
    /// A topic or expression that cannot be, or a consumer that was shut down.
    pub async fn subscribe(&self, topic: &str, selector: impl Into<MessageSelector>) -> Result<()> {
        self.check_open()?;
        validate::topic(topic)?;
        let subscription = Arc::new(selector.into().subscription(topic, now_ms())?);
        self.0.inner.find_route(topic).await?;
        self.0.inner.change_subscriptions(|all| all.insert(topic.to_owned(), subscription)).await;
        Ok(())
    }

    /// Takes no more messages of a topic.
    ///
    /// # Errors
    /// A consumer that was shut down.
    pub async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.check_open()?;
        self.0.inner.change_subscriptions(|all| all.remove(topic)).await;
        Ok(())
    }

    /// Stops pulling until [`resume`](Self::resume): messages that were pulled still reach the listener, none that is sent
    /// from now on does.
    pub fn suspend(&self) {
        self.0.inner.suspended.send_replace(true);
        self.0.inner.pulls_outdated.send_replace(());
    }

    /// Pulls again.
    pub fn resume(&self) {
        self.0.inner.suspended.send_replace(false);
    }

    /// The id under which brokers know this client.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.0.inner.instance.client_id()
    }

    /// The queues that are this consumer's at the moment, in order.
    #[must_use]
    pub fn assignment(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.0.inner.queues().keys().cloned().collect();
        queues.sort_unstable();
        queues
    }

    /// Stops pulling, waits for calls of the listener that are under way, commits what is done with, tells the brokers,
    /// and ends the client. Messages that no call has begun on are left to other members. A second shutdown does nothing.
    pub async fn shutdown(&self) -> ShutdownReport {
        let Some(membership) = self.0.take_membership() else {
            return ShutdownReport { abandoned: 0, drained: true };
        };
        let inner = &self.0.inner;
        inner.pulls_stop.cancel();
        inner.tasks.close();
        inner.tasks.wait().await;
        inner.work.close();
        inner.workers.close();
        let waiting =
            tokio::time::timeout(inner.config.await_termination_when_shutdown, inner.workers.wait());
        let drained = waiting.await.is_ok();
        inner.workers_stop.cancel();
        let held: Vec<_> = std::mem::take(&mut *inner.queues()).into_values().collect();
        inner.commit(&held).await;
        let abandoned = held.iter().map(|queue| queue.pending()).sum();
        let group = &inner.config.consumer_group;
        membership.resign();
        membership.unregister(None, Some(group), inner.instance.api_timeout()).await;
        membership.leave().await;
        ShutdownReport { abandoned, drained }
    }

    fn check_open(&self) -> Result<()> {
        let open = self.0.membership.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if open { Ok(()) } else { Err(Error::closed()) }
    }
}

impl Inner {
    /// Asks for the routes of all topics and makes itself known to their brokers, before the first pull.
    async fn meet_brokers(&self) -> Result<()> {
        for topic in self.topics() {
            if *topic != *self.retry_topic {
                self.find_route(&topic).await?;
            }
        }
        self.instance.heartbeat().await;
        Ok(())
    }

    /// A topic without a route may get one later.
    async fn find_route(&self, topic: &str) -> Result<()> {
        match self.instance.route(&topic.into(), None).await {
            Err(error) if error.kind() == crate::ErrorKind::NoRoute => {
                tracing::warn!(topic, %error, "the subscribed topic has no route yet: it is consumed once it has");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    fn spawn_tasks(self: &Arc<Self>, work: &async_channel::Receiver<Work>) {
        self.tasks.spawn(until(self.pulls_stop.clone(), rebalance::run(Arc::clone(self))));
        self.tasks.spawn(until(self.pulls_stop.clone(), commit::run(Arc::clone(self))));
        for _ in 0..self.config.consume_thread_max {
            self.workers.spawn(until(self.workers_stop.clone(), work::run(Arc::clone(self), work.clone())));
        }
    }

    /// Work is bounded by what the queues' thresholds let in; after the end of the workers it is dropped.
    fn submit(&self, work: Work) {
        let _ = self.work.try_send(work);
    }

    async fn wait_until_resumed(&self) {
        // The sender lives as long as `self`.
        let _ = self.suspended.subscribe().wait_for(|suspended| !suspended).await;
    }

    fn topics(&self) -> Vec<ByteString> {
        let subscriptions = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
        subscriptions.keys().map(|topic| topic.as_str().into()).collect()
    }

    fn subscription(&self, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.subscriptions.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    /// Changes what is wanted, here and at the brokers, and has pulls that wait there ask anew.
    async fn change_subscriptions<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<SubscriptionData>>) -> T,
    ) {
        change(&mut self.subscriptions.write().unwrap_or_else(PoisonError::into_inner));
        self.instance.heartbeat().await;
        self.pulls_outdated.send_replace(());
        self.rebalance_soon();
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<MessageQueue, Arc<ProcessQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsumerMember for Inner {
    fn consumer_group(&self) -> &ByteString {
        &self.config.consumer_group
    }

    fn consumer_data(&self) -> ConsumerData {
        let subscriptions = self.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
        ConsumerData {
            consume_from_where: match self.config.consume_from_where {
                ConsumeFromWhere::LastOffset => heartbeat::ConsumeFromWhere::LastOffset,
                ConsumeFromWhere::FirstOffset => heartbeat::ConsumeFromWhere::FirstOffset,
                ConsumeFromWhere::Timestamp(_) => heartbeat::ConsumeFromWhere::Timestamp,
            },
            consume_type: ConsumeType::ConsumePassively,
            group_name: self.config.consumer_group.to_string(),
            message_model: self.config.message_model,
            subscription_data_set: subscriptions
                .values()
                .map(|subscription| (**subscription).clone())
                .collect(),
            unit_mode: false,
        }
    }

    fn rebalance_soon(&self) {
        self.rebalance_wanted.notify_one();
    }
}

impl Handle {
    fn take_membership(&self) -> Option<Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(membership) = self.take_membership() {
            drop(membership);
            self.inner.pulls_stop.cancel();
            self.inner.workers_stop.cancel();
        }
    }
}

impl std::fmt::Debug for DefaultMQPushConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefaultMQPushConsumer({} of {})", self.client_id(), self.0.inner.config.consumer_group)
    }
}

/// Runs a task until its end or its stop.
async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = task => {}
    }
}
