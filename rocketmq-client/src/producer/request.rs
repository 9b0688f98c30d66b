//! What `send` takes.

use std::fmt;
use std::time::Duration;

use rocketmq_protocol::message::{Message, MessageQueue};

use super::selector::{FnSelector, MessageQueueSelector};
use crate::config;

/// One send: a message or a batch, and optionally its queue and its timeout.
#[must_use = "it is sent by DefaultMQProducer::send"]
pub struct SendRequest {
    pub(super) payload: Payload,
    pub(super) target: Target,
    pub(super) timeout: Option<Duration>,
}

pub(super) enum Payload {
    One(Message),
    Batch(Vec<Message>),
}

pub(super) enum Target {
    /// The producer takes the queues in turn, and another broker's after a failure.
    Any,
    /// Exactly this queue.
    Queue(MessageQueue),
    /// The selector's choice among all queues.
    Selected(Box<dyn MessageQueueSelector>),
}

impl Payload {
    /// The message, or the first one of the batch.
    pub(super) fn first(&self) -> Option<&Message> {
        match self {
            Self::One(message) => Some(message),
            Self::Batch(messages) => messages.first(),
        }
    }
}

impl SendRequest {
    /// A message, to be sent to whichever queue is next.
    pub fn new(message: Message) -> Self {
        message.into()
    }

    /// To this queue and no other: the send is tried once. Java: `send(msg, mq)`.
    pub fn queue(mut self, queue: MessageQueue) -> Self {
        self.target = Target::Queue(queue);
        self
    }

    /// To the queue whose index the closure returns: the send is tried once. Java: `send(msg, selector, arg)`.
    pub fn select_queue<F>(self, select: F) -> Self
    where
        F: Fn(&[MessageQueue], &Message) -> usize + Send + Sync + 'static,
    {
        self.selector(FnSelector(select))
    }

    /// To the queue that the selector chooses: the send is tried once. Java: `send(msg, selector, arg)`.
    pub fn selector(mut self, selector: impl MessageQueueSelector + 'static) -> Self {
        self.target = Target::Selected(Box::new(selector));
        self
    }

    /// How long the send may take with all its tries. Default: the producer's `send_msg_timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(config::timeout(timeout));
        self
    }

    /// What the send holds of the in-flight budget.
    pub(super) fn body_bytes(&self) -> usize {
        match &self.payload {
            Payload::One(message) => message.body().len(),
            Payload::Batch(messages) => messages.iter().map(|message| message.body().len()).sum(),
        }
    }
}

impl From<Message> for SendRequest {
    fn from(message: Message) -> Self {
        Self { payload: Payload::One(message), target: Target::Any, timeout: None }
    }
}

impl From<Vec<Message>> for SendRequest {
    fn from(messages: Vec<Message>) -> Self {
        Self { payload: Payload::Batch(messages), target: Target::Any, timeout: None }
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = match &self.payload {
            Payload::One(_) => 1,
            Payload::Batch(messages) => messages.len(),
        };
        write!(f, "SendRequest({messages} messages of {} bytes)", self.body_bytes())
    }
}
