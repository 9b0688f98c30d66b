//! Sending messages.

mod builder;
mod callbacks;
mod detect;
mod fault;
mod flight;
mod prepare;
mod request;
mod selector;
mod send;
mod ticket;
mod tries;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::{MessageQueue, SendResult};
use tokio::runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, Result};
use crate::instance::{ClientInstance, Ending, Membership, ProducerMember, ShutdownReport, guarded_async};
use crate::validate;

pub use builder::DefaultMQProducerBuilder;
pub use request::SendRequest;
pub use selector::{MessageQueueSelector, SelectMessageQueueByHash, SelectMessageQueueByRandom};
pub use ticket::SendTicket;

use builder::ProducerConfig;
use callbacks::Callbacks;
use fault::{BrokerMemory, LatencyFaults};
use flight::Flight;
use ticket::{Budget, Held};

/// Sends messages. Java: `DefaultMQProducer`.
///
/// Clones share one producer. Dropping the last one stops it without waiting: the tickets of sends that are under way answer
/// [`ErrorKind::Closed`](crate::ErrorKind::Closed) with an unknown outcome, one-way sends that are not written yet may be
/// lost, and the brokers learn of its end only by the closed connection. Call [`shutdown`](Self::shutdown) to end it in order.
///
/// ```no_run
/// # async fn example() -> rocketmq_client::Result<()> {
/// use rocketmq_client::{DefaultMQProducer, Message};
///
/// let producer = DefaultMQProducer::builder("orders").namesrv_addr("127.0.0.1:9876").start().await?;
/// let result = producer.send(Message::new("TopicTest", "Hello").tags("TagA").keys(["order-1"])).await?;
/// println!("{result}");
/// producer.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "MQProducer")]
pub struct DefaultMQProducer(Arc<Handle>);

/// What the clones of a producer share; its drop is the end of the last one.
struct Handle {
    inner: Arc<Inner>,
    ending: Ending,
}

/// What its tasks share too.
struct Inner {
    config: ProducerConfig,
    instance: Arc<ClientInstance>,
    budget: Budget,
    memory: BrokerMemory,
    /// `None` unless it is enabled.
    latency: Option<LatencyFaults>,
    /// All sends under way, those of callers that wait too.
    sends: TaskTracker,
    stop: CancellationToken,
    callbacks: Arc<Callbacks>,
    /// Where sends go on that have to be tried again.
    runtime: runtime::Handle,
    sent_oneway: AtomicBool,
}

impl DefaultMQProducer {
    /// The settings of a producer of that group, to be started.
    pub fn builder(producer_group: impl Into<String>) -> DefaultMQProducerBuilder {
        DefaultMQProducerBuilder::new(producer_group.into().into())
    }

    async fn start(builder: DefaultMQProducerBuilder) -> Result<Self> {
        let DefaultMQProducerBuilder { client, config } = builder;
        validate::group(&config.producer_group, builder::DEFAULT_GROUP)?;
        let membership = ClientInstance::join(&client).await?;
        let inner = Arc::new(Inner::new(Arc::clone(membership.instance()), config));
        let member: Weak<dyn ProducerMember> = Arc::<Inner>::downgrade(&inner);
        membership.enroll_producer(member)?;
        if inner.latency.as_ref().is_some_and(|latency| latency.detects) {
            inner.spawn_until_stop("the detector", Arc::clone(&inner).detect());
        }
        Ok(Self(Arc::new(Handle { inner, ending: Ending::of(membership) })))
    }

    /// Sends a message, a batch (`Vec<Message>`), or a [`SendRequest`] that names queue or timeout, and waits for the
    /// broker's answer. A failed try is repeated on another broker: see
    /// [`retry_times_when_send_failed`](DefaultMQProducerBuilder::retry_times_when_send_failed).
    ///
    /// # Errors
    /// What cannot be sent is refused at once; for the rest [`Error::attempts`](crate::Error::attempts) tells of every
    /// try, and [`Error::has_no_side_effects`](crate::Error::has_no_side_effects) whether a broker may hold the message
    /// all the same.
    ///
    /// # Cancel safety
    /// A send that is dropped may or may not have reached the broker.
    pub async fn send(&self, request: impl Into<SendRequest>) -> Result<SendResult> {
        let inner = &self.0.inner;
        let _sending = inner.enter()?;
        inner.send(request.into(), inner.config.retry_times_when_send_failed).await
    }

    /// Sends without waiting for the answer: returns once the message is handed to the connection, or has failed. That waits
    /// for room in the in-flight budget and in the connection's outbound buffer, and where they are not there yet for
    /// route and connection, for the send's timeout at the most. The ticket is a future of the outcome, and can call back.
    /// Java: `send(msg, sendCallback)`.
    ///
    /// Messages that one caller sends one after the other leave in that order; one that has to be tried again may be
    /// overtaken.
    ///
    /// # Errors
    /// Only [`ErrorKind::Closed`](crate::ErrorKind::Closed); all other errors come through the ticket.
    ///
    /// # Cancel safety
    /// A call that is dropped has not sent anything.
    #[doc(alias = "SendCallback")]
    pub async fn send_async(&self, request: impl Into<SendRequest>) -> Result<SendTicket> {
        let (inner, request) = (&self.0.inner, request.into());
        let entered = inner.enter()?;
        let budget = inner.budget.acquire(request.body_bytes()).await?;
        let flight = Flight::new(Arc::clone(inner), Held { _budget: Some(budget), _entered: entered });
        match inner.prepare(request, inner.config.retry_times_when_send_async_failed).await {
            Ok(sending) => flight.depart(sending).await,
            Err(error) => flight.end(Err(error)),
        }
        Ok(SendTicket::new(flight))
    }

    /// Sends and forgets: returns once the message is handed to the connection. A message that is lost after that is not
    /// noticed. Waits while the connection's outbound buffer (64 MiB) is full. [`shutdown`](Self::shutdown) waits until the
    /// brokers have read what was sent before it.
    ///
    /// # Errors
    /// As [`send`](Self::send), up to the point of handing over.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent either the whole message or nothing.
    #[doc(alias = "sendOneway")]
    pub async fn send_oneway(&self, request: impl Into<SendRequest>) -> Result<()> {
        let _sending = self.0.inner.enter()?;
        self.0.inner.sent_oneway.store(true, Ordering::Relaxed);
        self.0.inner.send_oneway(request.into()).await
    }

    /// The queues of a topic that can be sent to. An unknown topic has those that a first send would create.
    ///
    /// # Errors
    /// No name server answers, or none knows the topic.
    ///
    /// # Cancel safety
    /// A call that is dropped changes nothing.
    #[doc(alias = "fetchPublishMessageQueues")]
    pub async fn fetch_publish_message_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        let inner = &self.0.inner;
        let _entered = inner.enter()?;
        validate::topic(topic)?;
        let route = inner.instance.route(&ByteString::from(topic), Some(&inner.config.auto_create)).await?;
        Ok(route.publish.iter().map(|queue| queue.queue.clone()).collect())
    }

    /// The id under which brokers know this client.
    #[must_use]
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.inner.instance.client_id()
    }

    /// Waits for the sends under way, those of other clones too, and until the brokers have read all one-way sends: for
    /// [`await_termination_when_shutdown`](DefaultMQProducerBuilder::await_termination_when_shutdown) at the most. Then
    /// tells the brokers, and ends the client. Later calls answer [`ErrorKind::Closed`](crate::ErrorKind::Closed). Every
    /// further call waits for the same end and reports the same.
    ///
    /// # Cancel safety
    /// A shutdown that has begun goes on when its caller stops waiting.
    pub async fn shutdown(&self) -> ShutdownReport {
        let inner = Arc::clone(&self.0.inner);
        let end = |membership| {
            inner.close();
            inner.end(membership)
        };
        self.0.ending.begin(end).await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.ending.at_once() {
            self.inner.close();
            self.inner.stop();
        }
    }
}

impl Inner {
    fn new(instance: Arc<ClientInstance>, config: ProducerConfig) -> Self {
        let sends_max = config.back_pressure_for_async_send_num;
        let detects = config.start_detector_enable;
        Self {
            budget: Budget::new(sends_max, config.back_pressure_for_async_send_size),
            memory: BrokerMemory::default(),
            latency: config.send_latency_fault_enable.then(|| LatencyFaults::new(detects)),
            sends: TaskTracker::new(),
            stop: instance.stop_token().child_token(),
            callbacks: Callbacks::new(runtime::Handle::current()),
            runtime: runtime::Handle::current(),
            sent_oneway: AtomicBool::new(false),
            instance,
            config,
        }
    }

    /// Counts a call among those that shutdown waits for, unless it has begun.
    fn enter(&self) -> Result<TaskTrackerToken> {
        // In this order: close() looks for calls after it has closed.
        let entered = self.sends.token();
        if self.sends.is_closed() { Err(Error::closed()) } else { Ok(entered) }
    }

    /// Lets no further call in.
    fn close(&self) {
        self.sends.close();
        self.budget.close();
    }

    async fn end(self: Arc<Self>, membership: Membership) -> ShutdownReport {
        let timeout = self.config.await_termination_when_shutdown;
        let deadline = Instant::now() + timeout;
        let drained = tokio::time::timeout(timeout, self.sends.wait()).await.is_ok();
        let under_way = self.sends.len();
        self.stop();
        membership.resign();
        // A broker reads its connection in order: once it has answered the goodbye, it has all one-way sends before it.
        let patience = match self.sent_oneway.load(Ordering::Relaxed) {
            true => deadline.saturating_duration_since(Instant::now()),
            false => Duration::ZERO,
        };
        membership.unregister(Some(&self.config.producer_group), None, patience).await;
        let unwritten = membership.leave().await.oneway_requests;
        let report = ShutdownReport { abandoned: under_way + unwritten, drained: drained && unwritten == 0 };
        if !report.drained {
            let group = &self.config.producer_group;
            tracing::warn!(%group, under_way, unwritten, ?timeout, "a shutdown did not wait for all sends");
        }
        report
    }

    /// What a callback holds whose send is over.
    fn hold_now(&self) -> Held {
        Held { _budget: self.budget.try_acquire(), _entered: self.sends.token() }
    }

    /// Ends all sends under way.
    fn stop(&self) {
        self.stop.cancel();
        self.instance.door().give_up();
    }

    /// Runs a task for as long as the producer runs.
    fn spawn_until_stop(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.instance.tasks().spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                // A panic is logged there.
                _ = guarded_async(what, task) => {}
            }
        });
    }
}

impl ProducerMember for Inner {
    fn producer_group(&self) -> &ByteString {
        &self.config.producer_group
    }
}

impl std::fmt::Debug for DefaultMQProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefaultMQProducer({} of {})", self.client_id(), self.0.inner.config.producer_group)
    }
}
