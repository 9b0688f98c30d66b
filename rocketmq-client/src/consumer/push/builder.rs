//! A push consumer before it starts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::MessageModel;
use rocketmq_protocol::message::{MessageExt, MessageQueue};

use super::DefaultMQPushConsumer;
use crate::config::{self, ClientConfig, client_config_setters};
use crate::consumer::filter::MessageSelector;
use crate::consumer::group::GroupConfig;
use crate::consumer::limits::Load;
use crate::consumer::listener::{
    ConsumeConcurrentlyContext, DynListener, FnListener, IntoConsumeConcurrentlyStatus,
    MessageListenerConcurrently,
};
use crate::consumer::offset::ConsumeFromWhere;
use crate::consumer::process_queue::Thresholds;
use crate::consumer::subscriptions::Subscriptions;
use crate::error::{Error, ErrorKind, Result};
use crate::rebalance::{AllocateMessageQueueAveragely, AllocateMessageQueueStrategy, FnStrategy};
use crate::validate;

/// The group that Java's consumers have when none is given; no client may use it.
const DEFAULT_GROUP: &str = "DEFAULT_CONSUMER";
const MEBIBYTE: usize = 1024 * 1024;

#[derive(Clone)]
pub(super) struct PushConfig {
    pub(super) consume_thread_max: usize,
    pub(super) consume_message_batch_max_size: usize,
    pub(super) consume_timeout: Duration,
    pub(super) max_reconsume_times: i32,
    pub(super) await_termination_when_shutdown: Duration,
}

/// Collects the settings of a [`DefaultMQPushConsumer`].
#[must_use = "nothing happens before start()"]
pub struct DefaultMQPushConsumerBuilder {
    pub(super) client: ClientConfig,
    pub(super) group: GroupConfig,
    pub(super) push: PushConfig,
    pub(super) subscriptions: Vec<(String, MessageSelector)>,
    pub(super) listener: Option<Arc<dyn DynListener>>,
}

impl DefaultMQPushConsumerBuilder {
    pub(super) fn new(consumer_group: ByteString) -> Self {
        Self {
            client: ClientConfig::default(),
            group: GroupConfig {
                consumer_group,
                message_model: MessageModel::Clustering,
                consume_from_where: ConsumeFromWhere::LastOffset,
                allocate_message_queue_strategy: Arc::new(AllocateMessageQueueAveragely),
                pull_batch_size: 32,
                pull_batch_size_in_bytes: 256 * 1024,
                pull_interval: Duration::ZERO,
                thresholds: Thresholds { messages: 1000, bytes: 100 * MEBIBYTE, span: 2000 },
                topic_limit: Load { messages: usize::MAX, bytes: usize::MAX },
                client_limit: Load { messages: usize::MAX, bytes: 1024 * MEBIBYTE },
                persist_consumer_offset_interval: Duration::from_secs(5),
            },
            push: PushConfig {
                consume_thread_max: 20,
                consume_message_batch_max_size: 1,
                consume_timeout: Duration::from_secs(15 * 60),
                max_reconsume_times: 16,
                await_termination_when_shutdown: Duration::from_secs(30),
            },
            subscriptions: Vec::new(),
            listener: None,
        }
    }

    client_config_setters!();

    /// Takes messages of a topic: all (`"*"`), or those with certain tags (`"TagA || TagB"`). May be called for several
    /// topics; the last call for a topic counts.
    pub fn subscribe(mut self, topic: impl Into<String>, selector: impl Into<MessageSelector>) -> Self {
        self.subscriptions.push((topic.into(), selector.into()));
        self
    }

    /// The listener, as a closure that returns a status or a result: an error counts as
    /// [`ReconsumeLater`](crate::ConsumeConcurrentlyStatus::ReconsumeLater) and is logged. Java: `registerMessageListener`.
    #[doc(alias = "registerMessageListener")]
    pub fn consume_concurrently<F, Fut>(self, listener: F) -> Self
    where
        F: Fn(Vec<MessageExt>, ConsumeConcurrentlyContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoConsumeConcurrentlyStatus> + Send + 'static,
    {
        self.message_listener_concurrently(FnListener(listener))
    }

    /// The listener, as a value of its own type. Java: `registerMessageListener`.
    #[doc(alias = "registerMessageListener")]
    pub fn message_listener_concurrently(mut self, listener: impl MessageListenerConcurrently) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Where a group without committed offsets begins. Default: at the end of each queue. See [`ConsumeFromWhere`] for
    /// the broker's say in it.
    #[doc(alias = "setConsumeFromWhere")]
    pub fn consume_from_where(mut self, from: ConsumeFromWhere) -> Self {
        self.group.consume_from_where = from;
        self
    }

    /// Whether the members of the group share the messages (the default) or each get them all. Broadcasting is not
    /// supported yet: `start` refuses it.
    #[doc(alias = "setMessageModel")]
    pub fn message_model(mut self, model: MessageModel) -> Self {
        self.group.message_model = model;
        self
    }

    /// How the group shares the queues. Default [`AllocateMessageQueueAveragely`]. All members must use the same.
    #[doc(alias = "setAllocateMessageQueueStrategy")]
    pub fn allocate_message_queue_strategy(
        mut self,
        strategy: impl AllocateMessageQueueStrategy + 'static,
    ) -> Self {
        self.group.allocate_message_queue_strategy = Arc::new(strategy);
        self
    }

    /// The same as a closure: it gets the group, a member's client id, all queues and all members' client ids, and returns
    /// that member's share. The name is for logs.
    pub fn allocate_message_queues_by<F>(self, name: impl Into<String>, allocate: F) -> Self
    where
        F: Fn(&str, &str, &[MessageQueue], &[String]) -> Vec<MessageQueue> + Send + Sync + 'static,
    {
        self.allocate_message_queue_strategy(FnStrategy { name: name.into(), allocate })
    }

    /// How many calls of the listener may run at once. Default 20, 1 to 1000. They are tasks, not threads.
    #[doc(alias = "setConsumeThreadMax")]
    pub fn consume_thread_max(mut self, listeners: usize) -> Self {
        self.push.consume_thread_max = listeners;
        self
    }

    /// How many messages one call of the listener gets at the most. Default 1, 1 to 1024.
    #[doc(alias = "setConsumeMessageBatchMaxSize")]
    pub fn consume_message_batch_max_size(mut self, messages: usize) -> Self {
        self.push.consume_message_batch_max_size = messages;
        self
    }

    /// How many messages one pull asks for. Default 32, 1 to 1024.
    #[doc(alias = "setPullBatchSize")]
    pub fn pull_batch_size(mut self, messages: u16) -> Self {
        self.group.pull_batch_size = i32::from(messages);
        self
    }

    /// How many bytes one pull asks for; 5.x brokers heed it. Default 256 KiB.
    #[doc(alias = "setPullBatchSizeInBytes")]
    pub fn pull_batch_size_in_bytes(mut self, bytes: u32) -> Self {
        self.group.pull_batch_size_in_bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self
    }

    /// The rest between two pulls of a queue. Default none.
    #[doc(alias = "setPullInterval")]
    pub fn pull_interval(mut self, interval: Duration) -> Self {
        self.group.pull_interval = config::timeout(interval);
        self
    }

    /// How many messages of one queue may wait here before pulling stops. Default 1000, 1 to 65,535.
    #[doc(alias = "setPullThresholdForQueue")]
    pub fn pull_threshold_for_queue(mut self, messages: usize) -> Self {
        self.group.thresholds.messages = messages;
        self
    }

    /// How many MiB of one queue may wait here before pulling stops. Default 100, 1 to 1024.
    #[doc(alias = "setPullThresholdSizeForQueue")]
    pub fn pull_threshold_size_for_queue(mut self, mebibytes: usize) -> Self {
        self.group.thresholds.bytes = mebibytes.saturating_mul(MEBIBYTE);
        self
    }

    /// How many messages of all queues of one topic may wait here before pulling of that topic stops. Default: no limit
    /// but those per queue and per client; 1 to 6,553,500.
    #[doc(alias = "setPullThresholdForTopic")]
    pub fn pull_threshold_for_topic(mut self, messages: usize) -> Self {
        self.group.topic_limit.messages = messages;
        self
    }

    /// How many MiB of all queues of one topic may wait here before pulling of that topic stops. Default: no limit but
    /// those per queue and per client; 1 to 102,400.
    #[doc(alias = "setPullThresholdSizeForTopic")]
    pub fn pull_threshold_size_for_topic(mut self, mebibytes: usize) -> Self {
        self.group.topic_limit.bytes = mebibytes.saturating_mul(MEBIBYTE);
        self
    }

    /// How many messages of all topics may wait here before pulling stops. Default: no limit but the others; at least 1.
    /// Java has no such limit.
    pub fn pull_threshold_for_client(mut self, messages: usize) -> Self {
        self.group.client_limit.messages = messages;
        self
    }

    /// How many MiB of all topics may wait here before pulling stops. Default 1024; at least 1. Java has no such limit:
    /// there the memory grows with the number of queues.
    pub fn pull_threshold_size_for_client(mut self, mebibytes: usize) -> Self {
        self.group.client_limit.bytes = mebibytes.saturating_mul(MEBIBYTE);
        self
    }

    /// How long a call of the listener may have a message before it goes back to the broker, to come again later. What
    /// the call answers after that changes nothing for it. Default 15 minutes, at least 10 ms. Calls that last longer
    /// than a fifteenth of it (one minute) are warned of.
    #[doc(alias = "setConsumeTimeout")]
    pub fn consume_timeout(mut self, timeout: Duration) -> Self {
        self.push.consume_timeout = config::interval(timeout);
        self
    }

    /// How far the offsets of waiting messages of one queue may lie apart before pulling stops. Default 2000, 1 to
    /// 65,535.
    #[doc(alias = "setConsumeConcurrentlyMaxSpan")]
    pub fn consume_concurrently_max_span(mut self, offsets: u16) -> Self {
        self.group.thresholds.span = i64::from(offsets);
        self
    }

    /// How often a message may come again before it goes to the dead letters. Default 16.
    #[doc(alias = "setMaxReconsumeTimes")]
    pub fn max_reconsume_times(mut self, times: u16) -> Self {
        self.push.max_reconsume_times = i32::from(times);
        self
    }

    /// How often offsets are committed. Default 5 s, at least 10 ms.
    #[doc(alias = "setPersistConsumerOffsetInterval")]
    pub fn persist_consumer_offset_interval(mut self, interval: Duration) -> Self {
        self.group.persist_consumer_offset_interval = config::interval(interval);
        self
    }

    /// How long `shutdown` waits for calls of the listener that are under way. Default 30 s (Java: 0, which loses the
    /// outcome of running listeners).
    #[doc(alias = "awaitTerminationMillisWhenShutdown")]
    #[doc(alias = "setAwaitTerminationMillisWhenShutdown")]
    pub fn await_termination_when_shutdown(mut self, timeout: Duration) -> Self {
        self.push.await_termination_when_shutdown = config::timeout(timeout);
        self
    }

    /// Starts the consumer: when this returns, the brokers know it and it is taking its share of the queues.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a setting out of range, [`ErrorKind::NoNameServer`] if none is given,
    /// [`ErrorKind::NameServerUnreachable`] if none answers. A topic that does not exist yet is no error: it is consumed
    /// once it does.
    ///
    /// # Cancel safety
    /// A start that is dropped leaves no consumer behind; what brokers were told of it is taken back in the background.
    pub async fn start(self) -> Result<DefaultMQPushConsumer> {
        DefaultMQPushConsumer::start(self).await
    }

    pub(super) fn check(&self) -> Result<Subscriptions> {
        validate::group(&self.group.consumer_group, DEFAULT_GROUP)?;
        let (group, push) = (&self.group, &self.push);
        let range = |name: &str, value: usize, min: usize, max: usize| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{name} is {value}; its range is {min} to {max}"),
            )),
        };
        range("consume_thread_max", push.consume_thread_max, 1, 1000)?;
        range("consume_message_batch_max_size", push.consume_message_batch_max_size, 1, 1024)?;
        range("pull_batch_size", usize::try_from(group.pull_batch_size).unwrap_or(0), 1, 1024)?;
        range("pull_threshold_for_queue", group.thresholds.messages, 1, 65_535)?;
        range("pull_threshold_size_for_queue", group.thresholds.bytes / MEBIBYTE, 1, 1024)?;
        let limit = |name: &str, value: usize, max: usize| match value {
            usize::MAX => Ok(()),
            value => range(name, value, 1, max),
        };
        limit("pull_threshold_for_topic", group.topic_limit.messages, 6_553_500)?;
        limit("pull_threshold_size_for_topic", mebibytes(group.topic_limit.bytes), 102_400)?;
        limit("pull_threshold_for_client", group.client_limit.messages, usize::MAX)?;
        limit("pull_threshold_size_for_client", mebibytes(group.client_limit.bytes), usize::MAX)?;
        range(
            "consume_concurrently_max_span",
            usize::try_from(group.thresholds.span).unwrap_or(0),
            1,
            65_535,
        )?;
        group.consume_from_where.timestamp_ms()?;
        if group.message_model == MessageModel::Broadcasting {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "message_model: broadcasting is not supported yet",
            ));
        }
        if self.listener.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "messageListener is null: give one by consume_concurrently or message_listener_concurrently",
            ));
        }
        let subscriptions = Subscriptions::default();
        for (topic, selector) in &self.subscriptions {
            validate::topic(topic)?;
            subscriptions.set(topic, selector)?;
        }
        Ok(subscriptions)
    }
}

/// No limit stays none.
fn mebibytes(bytes: usize) -> usize {
    if bytes == usize::MAX { bytes } else { bytes / MEBIBYTE }
}

impl std::fmt::Debug for DefaultMQPushConsumerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DefaultMQPushConsumerBuilder({} of {:?})", self.group.consumer_group, self.subscriptions)
    }
}
