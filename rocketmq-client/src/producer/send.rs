//! One send with all its tries.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::wire::{WireMessage, WireMessageQueue};
use rocketmq_protocol::message::{MessageQueue, SendResult, SendStatus};
use rocketmq_protocol::request::{SendMessageRequest, SendMessageResponse};
use tokio::time::Instant;

use super::Inner;
use super::prepare::{Prepared, check};
use super::request::{Payload, SendRequest, Target};
use crate::error::{Attempt, Error, ErrorKind, Result, is_retryable_code};
use crate::instance::{Answer, guarded};
use crate::route::{PublishQueue, TopicRoute};

/// The answers that mean that the broker holds the message.
const STORED: [ResponseCode; 4] = [
    ResponseCode::Success,
    ResponseCode::FlushDiskTimeout,
    ResponseCode::FlushSlaveTimeout,
    ResponseCode::SlaveNotAvailable,
];

/// How often a send is tried, and until when.
struct Effort {
    tries: usize,
    started: Instant,
    timeout: Duration,
    /// What one try may take, but for the last.
    timeout_per_try: Option<Duration>,
}

impl Effort {
    fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    fn timeout_of(&self, attempt: usize) -> Duration {
        match self.timeout_per_try {
            Some(limit) if attempt + 1 < self.tries => self.left().min(limit),
            _ => self.left(),
        }
    }
}

impl Inner {
    /// Sends with the tries that the kind of call has.
    pub(super) async fn send(&self, request: SendRequest, retries: usize) -> Result<SendResult> {
        check(&request.payload, &self.config)?;
        let tries = if matches!(request.target, Target::Any) { 1 + retries } else { 1 };
        let timeout = request.timeout.unwrap_or(self.config.send_msg_timeout);
        let timeout_per_try = self.config.send_msg_max_timeout_per_request;
        let effort = Effort { tries, started: Instant::now(), timeout, timeout_per_try };
        let (route, chosen) = self.target(&request, timeout).await?;
        let mut prepared = Prepared::new(&self.instance, &self.config, request.payload)?;
        let mut attempts: Vec<Attempt> = Vec::new();
        for attempt in 0..tries {
            if effort.left().is_zero() {
                break;
            }
            let avoid = attempts.last().map(|attempt| attempt.broker_name.as_str());
            let queue = match &chosen {
                Some(queue) => queue,
                None => route.next_queue(avoid).ok_or_else(|| self.no_queue(&prepared.header.topic))?,
            };
            let started = Instant::now();
            match self.attempt(&mut prepared, queue, effort.timeout_of(attempt)).await {
                Ok(result) if self.is_final(&result, attempt + 1 == tries) => return Ok(result),
                Ok(_) => {}
                Err(error) => {
                    self.note_failure(&error);
                    let retry = may_try_again(&error);
                    let broker_name = queue.queue.broker_name().to_owned();
                    attempts.push(Attempt { broker_name, elapsed: started.elapsed(), error });
                    if !retry {
                        break;
                    }
                }
            }
        }
        Err(Error::after_attempts(&prepared.header.topic, effort.started.elapsed(), attempts))
    }

    /// Sends without waiting for an answer.
    pub(super) async fn send_oneway(&self, request: SendRequest) -> Result<()> {
        check(&request.payload, &self.config)?;
        let timeout = request.timeout.unwrap_or(self.config.send_msg_timeout);
        let (route, chosen) = self.target(&request, timeout).await?;
        let mut prepared = Prepared::new(&self.instance, &self.config, request.payload)?;
        let queue = match &chosen {
            Some(queue) => queue,
            None => route.next_queue(None).ok_or_else(|| self.no_queue(&prepared.header.topic))?,
        };
        address(&mut prepared.header, &queue.queue);
        let send = self.instance.door().call_oneway(&queue.broker_addr, &prepared.header, prepared.body);
        match tokio::time::timeout(timeout, send).await {
            Ok(sent) => sent,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "no room for a one-way send within {} ms: the broker takes messages too slowly",
                    timeout.as_millis()
                ),
            )
            .at(&*queue.broker_addr)),
        }
    }

    /// The topic's route, and the queue if the caller has a say in it.
    async fn target(
        &self,
        request: &SendRequest,
        timeout: Duration,
    ) -> Result<(Arc<TopicRoute>, Option<PublishQueue>)> {
        let message = match &request.payload {
            Payload::One(message) => message,
            Payload::Batch(messages) => &messages[0],
        };
        let asking = self.instance.route(message.topic_shared(), Some(&self.config.auto_create));
        let route = tokio::time::timeout(timeout, asking).await.map_err(|_| {
            let why = format!("sendDefaultImpl call timeout: no route within {} ms", timeout.as_millis());
            Error::new(ErrorKind::NameServerUnreachable, why).of_topic(message.topic())
        })??;
        let chosen = match &request.target {
            Target::Any => None,
            Target::Queue(queue) => Some(self.exact_queue(message.topic(), queue)?),
            Target::Selected(selector) => {
                let queues: Vec<MessageQueue> =
                    route.publish.iter().map(|queue| queue.queue.clone()).collect();
                if queues.is_empty() {
                    return Err(self.no_queue(message.topic()));
                }
                let index = guarded("the selector", || selector.select(&queues, message))
                    .map_err(|panic| Error::panicked("the selector", panic).of_topic(message.topic()))?;
                let wrong = || {
                    let why = format!("the selector chose queue {index} of {}", queues.len());
                    Error::new(ErrorKind::InvalidArgument, why).of_topic(message.topic())
                };
                Some(route.publish.get(index).ok_or_else(wrong)?.clone())
            }
        };
        Ok((route, chosen))
    }

    fn exact_queue(&self, topic: &str, queue: &MessageQueue) -> Result<PublishQueue> {
        if queue.topic() != topic {
            let why = format!("message's topic not equal mq's topic: {topic}, {}", queue.topic());
            return Err(Error::new(ErrorKind::InvalidArgument, why).of_topic(topic));
        }
        let Some(broker_addr) = self.instance.routes().master_addr(queue.broker_name()) else {
            let why = format!(
                "The broker[{}] not exist: no route names it, or its master is down",
                queue.broker_name()
            );
            return Err(Error::new(ErrorKind::NoRoute, why).of_topic(topic));
        };
        Ok(PublishQueue { queue: queue.clone(), broker_addr: broker_addr.into() })
    }

    async fn attempt(
        &self,
        prepared: &mut Prepared,
        queue: &PublishQueue,
        timeout: Duration,
    ) -> Result<SendResult> {
        address(&mut prepared.header, &queue.queue);
        let sent = self.instance.door().call_accepting(
            &queue.broker_addr,
            &prepared.header,
            prepared.body.clone(),
            timeout,
            &STORED,
        );
        let answer = sent.await.map_err(|error| error.of_topic(queue.queue.topic()))?;
        Ok(send_result(answer, prepared, queue))
    }

    /// True if the caller gets this result: it is good, or a better one is not to be tried for.
    fn is_final(&self, result: &SendResult, last_try: bool) -> bool {
        last_try
            || result.send_status == SendStatus::SendOk
            || !self.config.retry_another_broker_when_not_store_ok
    }

    /// A broker that cannot be reached may have moved.
    fn note_failure(&self, error: &Error) {
        tracing::debug!(%error, "a try of a send failed");
        if matches!(error.kind(), ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout) {
            self.instance.doubt_routes();
        }
    }

    fn no_queue(&self, topic: &str) -> Error {
        self.instance.doubt_routes();
        let why = format!(
            "No route info of this topic: {topic} has no queue to send to: its brokers' masters are down, or lack the \
             permission to be written"
        );
        Error::new(ErrorKind::NoRoute, why).of_topic(topic)
    }
}

fn address(header: &mut SendMessageRequest, queue: &MessageQueue) {
    header.queue_id = queue.queue_id();
    header.broker_name = Some(queue.broker_name_shared().clone());
}

/// Java's rule for synchronous sends: transport errors, and the broker's codes that another broker may not give.
fn may_try_again(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Broker => error.response_code().is_some_and(is_retryable_code),
        ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout => true,
        _ => false,
    }
}

fn send_result(answer: Answer<SendMessageResponse>, prepared: &Prepared, queue: &PublishQueue) -> SendResult {
    let send_status = match answer.code {
        ResponseCode::FlushDiskTimeout => SendStatus::FlushDiskTimeout,
        ResponseCode::FlushSlaveTimeout => SendStatus::FlushSlaveTimeout,
        ResponseCode::SlaveNotAvailable => SendStatus::SlaveNotAvailable,
        _ => SendStatus::SendOk,
    };
    let header = answer.header;
    let message_queue = match header.queue_id == queue.queue.queue_id() {
        true => queue.queue.clone(),
        false => MessageQueue::shared(
            queue.queue.topic_shared().clone(),
            queue.queue.broker_name_shared().clone(),
            header.queue_id,
        ),
    };
    let mut result =
        SendResult::new(send_status, prepared.msg_id.clone(), message_queue, header.queue_offset);
    result.offset_msg_id = Some(header.msg_id);
    result.transaction_id = header.transaction_id;
    result.region_id = header.region_id;
    result.trace_on = header.trace_on.as_deref() != Some("false");
    result.recall_handle = header.recall_handle;
    result
}
