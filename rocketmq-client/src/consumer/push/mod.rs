//! The push consumer: pulls in the background and calls a listener.
//!
//! The group's core (`consumer/group.rs`) pulls. What arrives becomes calls of the listener (`concurrently`); what the
//! listener fails goes back to the broker (`send_back`), as does what it holds for too long (`stuck`).

mod builder;
mod concurrently;
mod send_back;
mod stuck;

use std::sync::{Arc, Weak};
use std::time::Duration;

use rocketmq_protocol::body::heartbeat::ConsumeType;
use rocketmq_protocol::message::{MessageQueue, retry_topic};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::filter::MessageSelector;
use super::group::GroupCore;
use super::listener::DynListener;
use super::subscriptions::Subscriptions;
use crate::error::{Error, Result};
use crate::instance::{ClientInstance, ConsumerMember, Ending, Membership, ShutdownReport, supervised};
use crate::validate;

pub use builder::DefaultMQPushConsumerBuilder;

use builder::PushConfig;
use concurrently::WorkPool;

/// Calls a listener with messages as they come. Java: `DefaultMQPushConsumer`.
///
/// Every message that was sent is given to the listener of one member of the group at least once; an offset is committed
/// only past messages that the listener is done with or the broker has taken back.
///
/// A queue that comes from another member of the group rests for 250 ms before it is consumed: its owner until then ends
/// its calls and commits what they did, so that next to nothing comes twice when members come and go. A consumer that is
/// alone in its group begins at once.
///
/// Clones share one consumer. Dropping the last one stops it without waiting: nothing more is pulled, calls of the
/// listener that are under way are cut off at their next await, and what is done with is committed in the background, as
/// long as the runtime lives. Messages under way come again to another member. Call [`shutdown`](Self::shutdown) to end
/// it in order.
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

/// What the program holds; the consumer's own tasks hold only [`Push`].
struct Handle {
    push: Arc<Push>,
    ending: Ending,
}

/// A group's core, and the listener.
struct Push {
    core: Arc<GroupCore>,
    config: PushConfig,
    listener: Arc<dyn DynListener>,
    work: WorkPool,
    /// The workers, and messages on their way back.
    workers: TaskTracker,
    /// Ends the workers, finished or not.
    workers_stop: CancellationToken,
}

impl DefaultMQPushConsumer {
    /// The settings of a consumer of that group, to be started.
    pub fn builder(consumer_group: impl Into<String>) -> DefaultMQPushConsumerBuilder {
        DefaultMQPushConsumerBuilder::new(consumer_group.into().into())
    }

    async fn start(builder: DefaultMQPushConsumerBuilder) -> Result<Self> {
        let subscriptions = builder.check()?;
        let DefaultMQPushConsumerBuilder { client, group, push: config, listener, .. } = builder;
        let listener = listener.ok_or_else(Error::closed)?;
        subscriptions.set_all_of(&retry_topic(&group.consumer_group));
        let membership = ClientInstance::join(&client).await?;
        let push = Push::new(group, config, listener, subscriptions, membership.instance());
        let member: Weak<dyn ConsumerMember> = Arc::<GroupCore>::downgrade(&push.core);
        membership.enroll_consumer(member)?;
        let core = Arc::clone(&push.core);
        // A caller that stops waiting from here on leaves it to the ending to say goodbye to the brokers.
        let consumer = Self(Arc::new(Handle { ending: Ending::of(membership), push }));
        if let Err(error) = core.meet_brokers().await {
            // No broker has heard of it.
            consumer.0.ending.at_once();
            return Err(error);
        }
        core.spawn_tasks();
        consumer.0.push.spawn_workers();
        Ok(consumer)
    }

    /// Takes messages of one more topic, or other messages of a topic.
    ///
    /// # Errors
    /// An invalid topic or expression, or a consumer that was shut down.
    ///
    /// # Cancel safety
    /// A call that is dropped has either no effect or its whole effect; brokers then learn of it by the next heartbeat.
    pub async fn subscribe(&self, topic: &str, selector: impl Into<MessageSelector>) -> Result<()> {
        self.check_open()?;
        validate::topic(topic)?;
        let selector = selector.into();
        selector.subscription(topic, 0)?;
        let core = &self.0.push.core;
        core.find_route(&topic.into()).await?;
        core.subscriptions.set(topic, &selector)?;
        core.subscriptions_changed().await;
        Ok(())
    }

    /// Takes no more messages of a topic.
    ///
    /// # Errors
    /// A consumer that was shut down.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken effect here; brokers learn of it by the next heartbeat.
    pub async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.check_open()?;
        let core = &self.0.push.core;
        core.subscriptions.remove(topic);
        core.subscriptions_changed().await;
        Ok(())
    }

    /// Stops pulling until [`resume`](Self::resume): messages that were pulled still reach the listener, none that is sent
    /// from now on does.
    pub fn suspend(&self) {
        self.0.push.core.suspend();
    }

    /// Pulls again after [`suspend`](Self::suspend).
    pub fn resume(&self) {
        self.0.push.core.resume();
    }

    /// The id under which brokers know this client.
    #[must_use]
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.push.core.instance.client_id()
    }

    /// The queues that are this consumer's at the moment, in order.
    #[must_use]
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.0.push.core.assignment()
    }

    /// Stops pulling, waits for calls of the listener that are under way (up to `await_termination_when_shutdown`),
    /// commits what is done with, tells the brokers, and ends the client. Messages that no call has begun on are left to
    /// other members. Every further call waits for the same end and reports the same.
    ///
    /// # Cancel safety
    /// A caller that stops waiting does not stop it: it goes on by itself.
    pub async fn shutdown(&self) -> ShutdownReport {
        let push = Arc::clone(&self.0.push);
        let patience = push.config.await_termination_when_shutdown;
        self.0.ending.begin(|membership| push.end(membership, patience)).await
    }

    fn check_open(&self) -> Result<()> {
        if self.0.ending.has_begun() { Err(Error::closed()) } else { Ok(()) }
    }
}

impl Push {
    fn new(
        group: super::group::GroupConfig,
        config: PushConfig,
        listener: Arc<dyn DynListener>,
        subscriptions: Subscriptions,
        instance: &Arc<ClientInstance>,
    ) -> Arc<Self> {
        let work = WorkPool::new(config.consume_message_batch_max_size);
        let sink = Arc::new(work.clone());
        let passively = ConsumeType::ConsumePassively;
        let core = GroupCore::new(group, passively, Arc::clone(instance), subscriptions, sink);
        Arc::new(Self {
            core: Arc::new(core),
            config,
            listener,
            work,
            workers: TaskTracker::new(),
            workers_stop: instance.stop_token().child_token(),
        })
    }

    fn spawn_workers(self: &Arc<Self>) {
        for _ in 0..self.config.consume_thread_max {
            let push = Arc::clone(self);
            self.spawn(async move { supervised("consume", || concurrently::run(&push)).await });
        }
        let push = Arc::clone(self);
        let watching = async move { supervised("stuck listeners", || stuck::run(&push)).await };
        // Not one of the workers: no shutdown waits for it.
        self.core.tasks.spawn(until(self.core.stop.clone(), watching));
    }

    /// A task that shutdown waits for, and cuts off when the time for that is up.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.workers.spawn(until(self.workers_stop.clone(), task));
    }
}

impl Push {
    /// Members learn of the end after the offsets are committed: who takes the queues over begins where this one ended.
    async fn end(self: Arc<Self>, membership: Membership, patience: Duration) -> ShutdownReport {
        let core = &self.core;
        core.stop_pulling().await;
        self.work.close();
        self.workers.close();
        let drained = tokio::time::timeout(patience, self.workers.wait()).await.is_ok();
        self.workers_stop.cancel();
        let abandoned = core.give_up_all().await;
        membership.resign();
        membership.unregister(None, Some(&core.config.consumer_group), Duration::ZERO).await;
        membership.leave().await;
        ShutdownReport { abandoned, drained }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.ending.has_begun() {
            self.push.workers_stop.cancel();
            let push = Arc::clone(&self.push);
            drop(self.ending.begin(|membership| push.end(membership, Duration::ZERO)));
        }
    }
}

impl std::fmt::Debug for DefaultMQPushConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefaultMQPushConsumer({} of {})", self.client_id(), self.0.push.core.config.consumer_group)
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
