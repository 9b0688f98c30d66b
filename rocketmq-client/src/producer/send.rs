//! One send with all its tries.
//!
//! `prepare` makes the message ready and finds its route, `begin_try` chooses a queue and hands the request to the
//! connection, `follow` waits for the answer and tries again. The first two happen in the call of `send` and of
//! `send_async` alike, so one caller's messages leave in the order in which it sent them.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::wire::{WireMessage, WireMessageQueue};
use rocketmq_protocol::message::{MessageQueue, SendResult, SendStatus};
use rocketmq_protocol::request::{SendMessageRequest, SendMessageResponse};
use tokio::time::Instant;

use super::Inner;
use super::fault::Ended;
use super::prepare::{Prepared, check, give_ids, no_message};
use super::request::{Payload, SendRequest, Target};
use super::tries::{Tries, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Answer, Underway, guarded, now_ms};
use crate::route::{PublishQueue, TopicRoute};

/// The answers that mean that the broker holds the message.
pub(super) const STORED: [ResponseCode; 4] = [
    ResponseCode::Success,
    ResponseCode::FlushDiskTimeout,
    ResponseCode::FlushSlaveTimeout,
    ResponseCode::SlaveNotAvailable,
];

/// A try that had less time than this says nothing about its broker.
const TELLING_TIMEOUT: Duration = Duration::from_millis(50);

/// A message on its way to being stored.
pub(super) struct Sending {
    pub(super) prepared: Prepared,
    route: Arc<TopicRoute>,
    /// The queue, if the caller has a say in it.
    chosen: Option<PublishQueue>,
    pub(super) tries: Tries,
}

/// One try: where, since when, and how long it may take.
pub(super) struct Try {
    pub(super) queue: PublishQueue,
    began: Instant,
    pub(super) timeout: Duration,
}

impl Try {
    /// What is left of its time.
    pub(super) fn left(&self, now: Instant) -> Duration {
        (self.began + self.timeout).saturating_duration_since(now)
    }
}

/// A try that was begun, or failed in beginning.
pub(super) type Begun = (Try, Result<Underway>);

impl Inner {
    /// Sends with the tries that the kind of call has.
    pub(super) async fn send(self: &Arc<Self>, request: SendRequest, retries: usize) -> Result<SendResult> {
        let mut sending = self.prepare(request, retries).await?;
        let first = self.begin_try(&mut sending).await;
        self.follow(sending, first).await
    }

    /// Makes the message ready. This waits only if the topic's route is not known yet.
    pub(super) async fn prepare(&self, request: SendRequest, retries: usize) -> Result<Sending> {
        let started = Instant::now();
        let SendRequest { mut payload, target, timeout } = request;
        let now = now_ms();
        let msg_id = give_ids(&self.instance, &mut payload, now);
        check(&payload, &self.config)?;
        let most = if matches!(target, Target::Any) { retries.saturating_add(1) } else { 1 };
        let timeout = timeout.unwrap_or(self.config.send_msg_timeout);
        let (route, chosen) = self.target(&payload, &target, timeout).await?;
        let prepared = Prepared::new(&self.config, &route.topic, payload, msg_id, now)?;
        let tries = Tries::new(most, started, timeout, self.config.send_msg_max_timeout_per_request);
        Ok(Sending { prepared, route, chosen, tries })
    }

    /// Chooses a queue and hands the request to its broker's connection. `None`: no try is left, or no time.
    pub(super) async fn begin_try(&self, sending: &mut Sending) -> Option<Begun> {
        let mut queue = self.choose(sending)?;
        let mut began = Instant::now();
        let pause = sending.tries.pause_before(queue.queue.broker_name(), began);
        if !pause.is_zero() {
            Box::pin(tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.0)))).await;
            began = Instant::now();
            // The route may have changed meanwhile.
            if let Some(route) = self.instance.routes().get(&sending.prepared.header.topic) {
                sending.route = route;
            }
            queue = self.choose(sending)?;
        }
        let tried = self.take_try(sending, queue, began)?;
        let Prepared { header, body, .. } = &sending.prepared;
        let addr = &tried.queue.broker_addr;
        let underway = self.instance.door().begin(addr, header, body.clone(), tried.timeout).await;
        Some((tried, underway))
    }

    /// Chooses the queue of the first try, before which nothing is waited for.
    pub(super) fn first_try(&self, sending: &mut Sending) -> Option<Try> {
        let queue = self.choose(sending)?;
        self.take_try(sending, queue, Instant::now())
    }

    fn take_try(&self, sending: &mut Sending, queue: PublishQueue, began: Instant) -> Option<Try> {
        let elsewhere = self.is_there_another(sending, queue.queue.broker_name());
        let timeout = sending.tries.begin(began, elsewhere)?;
        address(&mut sending.prepared.header, &queue.queue);
        Some(Try { queue, began, timeout })
    }

    /// Waits for the answer to a try, and tries again where that may help.
    pub(super) async fn follow(
        self: &Arc<Self>,
        mut sending: Sending,
        first: Option<Begun>,
    ) -> Result<SendResult> {
        let mut next = first;
        while let Some((tried, underway)) = next {
            let answered = match underway {
                Ok(underway) => self.finish_try(&mut sending.prepared, underway, &tried.queue).await,
                Err(error) => Err(error),
            };
            let verdict = self.settle(&mut sending, &tried, answered);
            match verdict {
                Verdict::Done(result) => return Ok(result),
                Verdict::GiveUp => break,
                Verdict::Again if self.stop.is_cancelled() => {
                    return sending.tries.cut_off(&sending.prepared.header.topic);
                }
                // Boxed, as all that is rare on a send's way: its future is moved whole, and stays small.
                Verdict::Again => next = Box::pin(self.begin_try(&mut sending)).await,
            }
        }
        sending.tries.finish(&sending.prepared.header.topic, Instant::now())
    }

    /// What follows from the outcome of a try.
    pub(super) fn settle(
        self: &Arc<Self>,
        sending: &mut Sending,
        tried: &Try,
        answered: Result<SendResult>,
    ) -> Verdict {
        // A clock read that a send which went well does without.
        let elapsed = match &answered {
            Ok(_) if self.latency.is_none() => Duration::ZERO,
            _ => tried.began.elapsed(),
        };
        self.note(tried, elapsed, answered.as_ref().map(drop));
        match answered {
            Ok(result) => self.judge(sending, result),
            Err(error) => {
                tracing::debug!(%error, "a try of a send failed");
                let queue = &tried.queue.queue;
                sending.tries.fail(queue.broker_name(), elapsed, error.of_topic(queue.topic()))
            }
        }
    }

    fn judge(&self, sending: &mut Sending, result: SendResult) -> Verdict {
        let wants_ok = self.config.retry_another_broker_when_not_store_ok;
        if wants_ok && result.send_status != SendStatus::SendOk {
            sending.prepared.msg_id.clone_from(&result.msg_id);
        }
        sending.tries.succeed(result, wants_ok)
    }

    /// Sends without waiting for an answer.
    pub(super) async fn send_oneway(self: &Arc<Self>, request: SendRequest) -> Result<()> {
        let mut sending = self.prepare(request, 0).await?;
        let topic = sending.prepared.header.topic.clone();
        let queue = self.choose(&sending).ok_or_else(|| self.no_queue(&topic))?;
        let left = sending.tries.deadline().saturating_duration_since(Instant::now());
        let Prepared { header, body, .. } = &mut sending.prepared;
        address(header, &queue.queue);
        let sent = self.instance.door().call_oneway(&queue.broker_addr, header, body.clone(), left).await;
        sent.map_err(|error| {
            self.note_failure(&queue, left, &error);
            error.of_topic(&*topic)
        })
    }

    /// The topic's route, and the queue if the caller has a say in it.
    async fn target(
        &self,
        payload: &Payload,
        target: &Target,
        timeout: Duration,
    ) -> Result<(Arc<TopicRoute>, Option<PublishQueue>)> {
        let message = payload.first().ok_or_else(no_message)?;
        let topic = message.topic_shared();
        let route = match self.instance.routes().get(topic) {
            Some(route) => route,
            None => Box::pin(self.find_route(topic, timeout)).await?,
        };
        let chosen = match target {
            Target::Any if route.publish.is_empty() => return Err(self.no_queue(topic)),
            Target::Any => None,
            Target::Queue(queue) => Some(self.exact_queue(topic, queue)?),
            Target::Selected(selector) => {
                let queues: Vec<MessageQueue> =
                    route.publish.iter().map(|queue| queue.queue.clone()).collect();
                if queues.is_empty() {
                    return Err(self.no_queue(topic));
                }
                let index = guarded("the selector", || selector.select(&queues, message))
                    .map_err(|panic| Error::panicked("the selector", panic).of_topic(&**topic))?;
                let wrong = || {
                    let why = format!("the selector chose queue {index} of {}", queues.len());
                    Error::new(ErrorKind::InvalidArgument, why).of_topic(&**topic)
                };
                Some(route.publish.get(index).ok_or_else(wrong)?.clone())
            }
        };
        Ok((route, chosen))
    }

    async fn find_route(&self, topic: &ByteString, timeout: Duration) -> Result<Arc<TopicRoute>> {
        let asking = self.instance.route(topic, Some(&self.config.auto_create));
        tokio::time::timeout(timeout, asking).await.unwrap_or_else(|_| {
            let why = format!("sendDefaultImpl call timeout: no route within {} ms", timeout.as_millis());
            Err(Error::new(ErrorKind::NameServerUnreachable, why).of_topic(&**topic))
        })
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

    /// The queue of the next try: that of the caller's choice; else the next in turn, on a broker that has not failed in
    /// this send and is not remembered as failing, as far as there is one.
    fn choose(&self, sending: &Sending) -> Option<PublishQueue> {
        if let Some(chosen) = &sending.chosen {
            return Some(chosen.clone());
        }
        let tries = &sending.tries;
        let fresh = |broker: &str| !tries.has_failed(broker);
        let well = |broker: &str| fresh(broker) && !self.memory.avoids(broker);
        let chosen = match &self.latency {
            None => sending.route.next_queue_by(&[&well, &fresh]),
            Some(latency) => {
                let now = Instant::now();
                let available = |broker: &str| well(broker) && latency.is_available(broker, now);
                let reachable = |broker: &str| well(broker) && latency.is_reachable(broker);
                sending.route.next_queue_by(&[&available, &reachable, &well, &fresh])
            }
        };
        // The message is stored: only a broker that has not seen it can do better.
        chosen.filter(|chosen| !tries.has_stored() || fresh(chosen.queue.broker_name())).cloned()
    }

    /// Whether there is a broker to go to that is as good as any, should this one be silent.
    fn is_there_another(&self, sending: &Sending, broker: &str) -> bool {
        let is_good =
            |other: &str| other != broker && !sending.tries.has_failed(other) && !self.memory.avoids(other);
        sending.chosen.is_none() && sending.route.publish_brokers.iter().any(|other| is_good(other))
    }

    async fn finish_try(
        &self,
        prepared: &mut Prepared,
        underway: Underway,
        queue: &PublishQueue,
    ) -> Result<SendResult> {
        let (door, body) = (self.instance.door(), prepared.body.clone());
        let answer = door.finish(underway, &queue.broker_addr, &prepared.header, body, &STORED).await?;
        Ok(send_result(answer, std::mem::take(&mut prepared.msg_id), queue))
    }

    /// Remembers how a try went for the choice of queues.
    fn note(self: &Arc<Self>, tried: &Try, elapsed: Duration, outcome: Result<(), &Error>) {
        let broker = tried.queue.queue.broker_name_shared();
        let ended = match outcome {
            Ok(()) => Ended::Well,
            Err(error) if is_unreached(error) => Ended::Unreached,
            Err(_) => Ended::Refused,
        };
        if let Some(latency) = &self.latency {
            latency.note(broker, elapsed, ended, tried.began + elapsed);
        }
        match outcome {
            Ok(()) => self.memory.note_success(broker),
            Err(error) => self.note_failure(&tried.queue, tried.timeout, error),
        }
    }

    fn note_failure(self: &Arc<Self>, queue: &PublishQueue, timeout: Duration, error: &Error) {
        if !is_unreached(error) || self.stop.is_cancelled() {
            return;
        }
        // It may have moved.
        self.instance.doubt_routes();
        // Who gives a broker no time learns nothing about it.
        let (broker, topic) = (queue.queue.broker_name_shared(), queue.queue.topic_shared());
        if timeout >= TELLING_TIMEOUT && self.memory.note_failure(broker, Instant::now()) {
            self.spawn_until_stop("a broker's probe", Arc::clone(self).probe(broker.clone(), topic.clone()));
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

fn is_unreached(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout)
}

fn address(header: &mut SendMessageRequest, queue: &MessageQueue) {
    header.queue_id = queue.queue_id();
    header.broker_name = Some(queue.broker_name_shared().clone());
}

pub(super) fn send_result(
    answer: Answer<SendMessageResponse>,
    msg_id: String,
    queue: &PublishQueue,
) -> SendResult {
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
    let mut result = SendResult::new(send_status, msg_id, message_queue, header.queue_offset);
    result.offset_msg_id = Some(header.msg_id);
    result.transaction_id = header.transaction_id;
    result.region_id = header.region_id;
    result.trace_on = header.trace_on.as_deref() != Some("false");
    result.recall_handle = header.recall_handle;
    result
}
