//! Offsets at the brokers. Java: `RemoteBrokerOffsetStore`.
//!
//! Where a broker's master cannot be reached, its slaves are asked and told: they have the master's offsets as of their
//! last synchronisation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::route::MASTER_ID;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::MessageQueue;
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::request::{QueryConsumerOffsetRequest, Request, UpdateConsumerOffsetRequest};

use super::Found;
use crate::consumer::process_queue::Committed;
use crate::consumer::reach::Reach;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Answer, ClientInstance};

/// Java's time for offset requests.
pub(super) const OFFSET_TIMEOUT: Duration = Duration::from_secs(5);

/// A group's offsets at the brokers.
pub(crate) struct BrokerOffsets {
    instance: Arc<ClientInstance>,
    group: ByteString,
    reach: Reach,
    first_commits: FirstCommits,
}

/// A 4.9 broker makes the table of a group's topic at its first commit, without a lock: of several first commits at once, for
/// different queues, it answers all with success and keeps one. So the first one goes alone, at each broker. Whatever comes
/// of it: behind a broker that hangs all would wait for each other.
#[derive(Default)]
struct FirstCommits(Mutex<HashMap<(ByteString, ByteString), Arc<FirstCommit>>>);

/// Of one topic at one broker.
#[derive(Default)]
struct FirstCommit {
    is_over: AtomicBool,
    under_way: tokio::sync::Mutex<()>,
}

impl FirstCommit {
    /// Waits while it is under way; whoever comes before it is over makes it.
    async fn alone(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.is_over.load(Ordering::Acquire) {
            return None;
        }
        let under_way = self.under_way.lock().await;
        (!self.is_over.load(Ordering::Acquire)).then_some(under_way)
    }
}

impl FirstCommits {
    fn of(&self, queue: &MessageQueue) -> Arc<FirstCommit> {
        let key = (queue.broker_name_shared().clone(), queue.topic_shared().clone());
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }
}

impl BrokerOffsets {
    pub(crate) fn new(instance: Arc<ClientInstance>, group: ByteString, reach: Reach) -> Self {
        Self { instance, group, reach, first_commits: FirstCommits::default() }
    }

    pub(super) async fn read(&self, queue: &MessageQueue) -> Result<Found> {
        let request = QueryConsumerOffsetRequest {
            consumer_group: self.group.clone(),
            topic: queue.topic_shared().clone(),
            queue_id: queue.queue_id(),
            set_zero_if_not_found: None,
            broker_name: Some(queue.broker_name_shared().clone()),
        };
        let (answer, at_master) = self.call_any(queue, &request).await?;
        match answer {
            Ok(answer) => Ok(Found::Committed(Committed { offset: answer.header.offset, at_master })),
            Err(error) if error.response_code() == Some(ResponseCode::QueryNotFound.as_i32()) => {
                Ok(Found::Nothing { certain: at_master })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn commit(&self, queue: &MessageQueue, offset: i64) -> Result<Committed> {
        let request = UpdateConsumerOffsetRequest {
            consumer_group: self.group.clone(),
            topic: queue.topic_shared().clone(),
            queue_id: queue.queue_id(),
            commit_offset: offset,
            broker_name: Some(queue.broker_name_shared().clone()),
        };
        let first = self.first_commits.of(queue);
        let _alone = first.alone().await;
        let told = self.tell(queue, &request).await;
        first.is_over.store(true, Ordering::Release);
        told
    }

    async fn tell(&self, queue: &MessageQueue, request: &UpdateConsumerOffsetRequest) -> Result<Committed> {
        let (answer, at_master) = self.call_any(queue, request).await?;
        answer.map(|_| Committed { offset: request.commit_offset, at_master })
    }

    /// Whether a commit would reach the queue's master.
    pub(super) fn reaches_master(&self, queue: &MessageQueue) -> bool {
        let master = self.instance.routes().master_addr(queue.broker_name());
        master.is_some_and(|addr| self.reach.is_reachable(&addr))
    }

    /// The answer of the queue's master, or of the first of its slaves that answers; whether it was the master's.
    async fn call_any<R: Request>(
        &self,
        queue: &MessageQueue,
        request: &R,
    ) -> Result<(Result<Answer<R::Response>>, bool)> {
        let brokers = self.instance.routes().addrs(queue.broker_name()).unwrap_or_default();
        let mut last = None;
        for (id, addr) in self.reach.in_order(&brokers) {
            let answer = self.instance.call(&addr, request, Bytes::new(), OFFSET_TIMEOUT).await;
            if !self.reach.note(&addr, &answer) {
                return Ok((answer, id == MASTER_ID));
            }
            last = answer.err();
        }
        Err(last.unwrap_or_else(|| no_broker(queue)))
    }
}

/// The routes name no broker for a queue.
pub(crate) fn no_broker(queue: &MessageQueue) -> Error {
    let why =
        format!("no address of broker {} is known, neither of a master nor of a slave", queue.broker_name());
    Error::new(ErrorKind::NoRoute, why).of_topic(queue.topic())
}
