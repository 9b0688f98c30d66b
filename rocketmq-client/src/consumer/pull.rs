//! The pull loop of one queue: find out where to begin, then ask the broker again and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::body::route::MASTER_ID;
use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse, pull_sys_flag};
use tokio::time::Instant;

use super::group::GroupCore;
use super::offset::{no_broker, start};
use super::process_queue::ProcessQueue;
use super::records::decode;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Answer;

/// How long the broker may hold a pull that finds nothing.
const BROKER_SUSPEND: Duration = Duration::from_secs(15);
/// How long a pull may take.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);
/// The rest after a failed pull.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// The rest after the broker asked for one.
const PAUSE_FOR_FLOW_CONTROL: Duration = Duration::from_millis(20);
/// The rest after an answer that leaves the queue where it is and was not held at the broker: a slave that is behind its
/// dead master says so at once, every time.
const PAUSE_WITHOUT_PROGRESS: Duration = Duration::from_millis(100);
/// The rest before it is asked again where to begin; it doubles up to the longest.
const FIRST_START_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_START_PAUSE: Duration = Duration::from_secs(5);

/// Where the next pull goes.
struct Position {
    offset: i64,
    /// The member of the broker's group that the last answer suggested.
    broker_id: i64,
}

/// Pulls until the queue is given up.
pub(super) async fn run(core: &Arc<GroupCore>, queue: &Arc<ProcessQueue>, ask_at: Instant) {
    let pulling = async {
        tokio::time::sleep_until(ask_at).await;
        let offset = begin(core, queue).await;
        let mut position = Position { offset, broker_id: MASTER_ID };
        loop {
            core.wait_until_resumed().await;
            queue.wait_for_room(&core.config.thresholds).await;
            let pause = match pull_once(core, queue, &mut position).await {
                Ok(pause) => pause,
                Err(error) => react(core, queue, &error).await,
            };
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = queue.revoked().cancelled() => {}
        () = pulling => {}
    }
}

/// Finds out where to begin. No other queue waits for this one: each asks for itself until it is answered.
async fn begin(core: &GroupCore, queue: &ProcessQueue) -> i64 {
    let mut pause = FIRST_START_PAUSE;
    loop {
        let from = &core.config.consume_from_where;
        match start::find(&core.instance, &core.offsets, &queue.queue, from).await {
            Ok((offset, committed)) => {
                queue.begin(offset, committed);
                if committed.is_none() {
                    core.commit_wanted.notify_one();
                }
                return offset;
            }
            Err(error) => {
                tracing::warn!(queue = %queue.queue, %error, "it is not known where to begin: asking again");
                core.instance.doubt_routes();
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_START_PAUSE);
    }
}

/// What a failed pull asks for, and how long to rest after it.
async fn react(core: &GroupCore, queue: &ProcessQueue, error: &Error) -> Duration {
    match error.response_code().and_then(ResponseCode::from_i32) {
        Some(ResponseCode::FlowControl) => return PAUSE_FOR_FLOW_CONTROL,
        // The broker does not know this consumer, or not its newest subscription.
        Some(ResponseCode::SubscriptionNotExist | ResponseCode::SubscriptionNotLatest) => {
            core.instance.heartbeat().await;
        }
        _ => core.instance.doubt_routes(),
    }
    tracing::warn!(queue = %queue.queue, %error, "a pull failed");
    PAUSE_AFTER_ERROR
}

/// Pulls; returns how long to rest after it.
async fn pull_once(core: &GroupCore, queue: &Arc<ProcessQueue>, position: &mut Position) -> Result<Duration> {
    let Some(subscription) = core.subscriptions.of(queue.queue.topic()) else {
        return Err(Error::new(ErrorKind::InvalidArgument, "the topic is not subscribed any more"));
    };
    let Some(answer) = ask(core, queue, &subscription, position).await? else {
        return Ok(Duration::ZERO);
    };
    let mut next = answer.header.next_begin_offset;
    match answer.code {
        ResponseCode::PullOffsetMoved => correct_offset(core, queue, position.offset, &answer.header).await,
        ResponseCode::Success => {
            let max_messages = core.config.pull_batch_size;
            let decoded = decode(&queue.queue, &subscription, &answer, position.offset, max_messages);
            next = decoded.next_offset;
            let new = queue.put(decoded.messages, next);
            if new > 0 {
                core.sink.arrived(queue, new);
            }
        }
        _ => queue.advance(next),
    }
    let stands_still = next == position.offset
        && matches!(answer.code, ResponseCode::PullOffsetMoved | ResponseCode::PullRetryImmediately);
    position.offset = next;
    position.broker_id = answer.header.suggest_which_broker_id;
    Ok(if stands_still { PAUSE_WITHOUT_PROGRESS } else { core.config.pull_interval })
}

/// One pull. `None` if the consumer was suspended or came to want something else meanwhile: then this was not asked.
async fn ask(
    core: &GroupCore,
    queue: &ProcessQueue,
    subscription: &SubscriptionData,
    position: &Position,
) -> Result<Option<Answer<PullMessageResponse>>> {
    let usable = |addr: &str| core.reach.is_reachable(addr);
    let addr = core.instance.routes().consume_addr(queue.queue.broker_name(), position.broker_id, usable);
    let addr = addr.ok_or_else(|| no_broker(&queue.queue))?;
    let request = request(core, queue, subscription, position.offset);
    let mut outdated = core.outdated_pulls();
    if core.is_suspended() {
        return Ok(None);
    }
    let codes = [
        ResponseCode::Success,
        ResponseCode::PullNotFound,
        ResponseCode::PullRetryImmediately,
        ResponseCode::PullOffsetMoved,
    ];
    let door = core.instance.door();
    let answer = tokio::select! {
        biased;
        // The sender lives as long as the consumer.
        _ = outdated.changed() => return Ok(None),
        answer = door.call_accepting(&addr, &request, Bytes::new(), PULL_TIMEOUT, &codes) => answer,
    };
    core.reach.note(&addr, &answer);
    // A subscription is replaced before it is told to pulls.
    let current = core.subscriptions.of(queue.queue.topic());
    if current.is_none_or(|current| current.sub_version != subscription.sub_version) {
        return Ok(None);
    }
    answer.map(Some)
}

/// The broker does not have the offset that was asked for: consumption goes on where it says. What is held is still
/// consumed; where the queue now ends before that, consumed first.
async fn correct_offset(core: &GroupCore, queue: &ProcessQueue, asked: i64, bounds: &PullMessageResponse) {
    let next = bounds.next_begin_offset;
    tracing::warn!(
        queue = %queue.queue, asked, next, min = bounds.min_offset, max = bounds.max_offset,
        "the offset is out of range: consumption goes on where the broker says"
    );
    if next >= asked {
        queue.advance(next);
    } else {
        queue.restart_at(next).await;
    }
    core.commit_wanted.notify_one();
}

fn request(
    core: &GroupCore,
    queue: &ProcessQueue,
    subscription: &SubscriptionData,
    queue_offset: i64,
) -> PullMessageRequest {
    PullMessageRequest {
        consumer_group: core.config.consumer_group.clone(),
        topic: queue.queue.topic_shared().clone(),
        queue_id: queue.queue.queue_id(),
        queue_offset,
        max_msg_nums: core.config.pull_batch_size,
        // Java's pulls may carry an offset to commit. A broker handles pulls and commits on different threads, so that one
        // could overwrite a later commit: these carry none.
        sys_flag: pull_sys_flag::SUSPEND,
        commit_offset: 0,
        suspend_timeout_millis: i64::try_from(BROKER_SUSPEND.as_millis()).unwrap_or(i64::MAX),
        subscription: None,
        sub_version: subscription.sub_version,
        expression_type: Some(subscription.expression_type.as_str().into()),
        max_msg_bytes: Some(core.config.pull_batch_size_in_bytes),
        broker_name: Some(queue.queue.broker_name_shared().clone()),
    }
}
