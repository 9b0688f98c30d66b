//! Sending messages.

mod builder;
mod prepare;
mod request;
mod selector;
mod send;
mod ticket;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::{MessageQueue, SendResult};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};
use crate::instance::{ClientInstance, Membership, ProducerMember, guarded_async};
use crate::validate;

pub use builder::DefaultMQProducerBuilder;
pub use request::SendRequest;
pub use selector::{MessageQueueSelector, SelectMessageQueueByHash, SelectMessageQueueByRandom};
pub use ticket::SendTicket;

use builder::ProducerConfig;
use ticket::Budget;

/// Sends messages. Java: `DefaultMQProducer`.
///
/// Clones share one producer. Dropping the last one stops it without waiting: sends that are under way are lost, and the
/// brokers learn of its end only by the closed connection. Call [`shutdown`](Self::shutdown) to end it in order.
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
pub struct DefaultMQProducer(Arc<Inner>);

struct Inner {
    config: ProducerConfig,
    instance: Arc<ClientInstance>,
    membership: Mutex<Option<Membership>>,
    budget: Budget,
    /// Sends that go on by themselves.
    sends: TaskTracker,
    stop: CancellationToken,
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
        let instance = Arc::clone(membership.instance());
        let inner = Arc::new(Inner {
            budget: Budget::new(
                config.back_pressure_for_async_send_num,
                config.back_pressure_for_async_send_size,
            ),
            sends: TaskTracker::new(),
            stop: instance.stop_token().child_token(),
            membership: Mutex::default(),
            instance,
            config,
        });
        let member: Weak<dyn ProducerMember> = Arc::<Inner>::downgrade(&inner);
        membership.enroll_producer(member)?;
        inner.membership.lock().unwrap_or_else(PoisonError::into_inner).replace(membership);
        Ok(Self(inner))
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
        self.0.check_open()?;
        self.0.send(request.into(), self.0.config.retry_times_when_send_failed).await
    }

    /// Sends without waiting for the answer: waits only for room in the in-flight budget. The ticket is a future of the
    /// outcome, and can call back. Java: `send(msg, sendCallback)`.
    ///
    /// # Errors
    /// Only [`ErrorKind::Closed`](crate::ErrorKind::Closed); all other errors come through the ticket.
    ///
    /// # Cancel safety
    /// A call that is dropped has not sent anything.
    #[doc(alias = "SendCallback")]
    pub async fn send_async(&self, request: impl Into<SendRequest>) -> Result<SendTicket> {
        let request = request.into();
        self.0.check_open()?;
        let budget = self.0.budget.acquire(request.body_bytes()).await?;
        let (sender, outcome) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        self.0.sends.spawn(async move {
            let retries = inner.config.retry_times_when_send_async_failed;
            let sent = tokio::select! {
                biased;
                sent = guarded_async("a send", inner.send(request, retries)) => {
                    sent.unwrap_or_else(|panic| Err(Error::panicked("a send", panic)))
                }
                () = inner.stop.cancelled() => Err(Error::closed()),
            };
            drop(budget);
            // Nobody may be waiting for the outcome any more.
            let _ = sender.send(sent);
        });
        Ok(SendTicket::new(outcome, self.0.instance.tasks().clone()))
    }

    /// Sends and forgets: returns once the message is handed to the connection. A message that is lost after that is not
    /// noticed. Waits while the connection's outbound buffer (64 MiB) is full.
    ///
    /// # Errors
    /// As [`send`](Self::send), up to the point of handing over.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent either the whole message or nothing.
    #[doc(alias = "sendOneway")]
    pub async fn send_oneway(&self, request: impl Into<SendRequest>) -> Result<()> {
        self.0.check_open()?;
        self.0.send_oneway(request.into()).await
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
        self.0.check_open()?;
        validate::topic(topic)?;
        let route = self.0.instance.route(&ByteString::from(topic), Some(&self.0.config.auto_create)).await?;
        Ok(route.publish.iter().map(|queue| queue.queue.clone()).collect())
    }

    /// The id under which brokers know this client.
    #[must_use]
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.instance.client_id()
    }

    /// Waits for the sends under way, tells the brokers, and ends the client. Later calls answer
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); a second shutdown does nothing.
    ///
    /// # Cancel safety
    /// A caller that stops waiting leaves the client closed: sends still under way may be lost, and brokers learn of its end
    /// only by the closed connection.
    pub async fn shutdown(&self) {
        let Some(membership) = self.0.take_membership() else { return };
        self.0.budget.close();
        self.0.sends.close();
        self.0.sends.wait().await;
        self.0.stop.cancel();
        let group = &self.0.config.producer_group;
        membership.resign();
        membership.unregister(Some(group), None).await;
        membership.leave().await;
    }
}

impl Inner {
    fn take_membership(&self) -> Option<Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn check_open(&self) -> Result<()> {
        let open = self.membership.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if open { Ok(()) } else { Err(Error::closed()) }
    }
}

impl ProducerMember for Inner {
    fn producer_group(&self) -> &ByteString {
        &self.config.producer_group
    }
}

impl std::fmt::Debug for DefaultMQProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefaultMQProducer({} of {})", self.client_id(), self.0.config.producer_group)
    }
}
