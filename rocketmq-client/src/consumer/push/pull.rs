//! The pull loop of one queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::wire::{WireMessageExt, WireMessageQueue};
use rocketmq_protocol::message::{MessageExt, names};
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse, pull_sys_flag};

use super::Inner;
use super::process_queue::ProcessQueue;
use super::work::Work;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::{Answer, ConsumerMember};

/// How long the broker may hold a pull that finds nothing.
const BROKER_SUSPEND: Duration = Duration::from_secs(15);
/// How long a pull may take.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);
/// The rest after a failed pull.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// The rest after the broker asked for one.
const PAUSE_FOR_FLOW_CONTROL: Duration = Duration::from_millis(20);

/// Where the next pull goes.
struct Position {
    offset: i64,
    /// The member of the broker's group that the last answer suggested.
    broker_id: i64,
}

/// Pulls until the queue is given away.
pub(super) async fn run(consumer: Arc<Inner>, queue: Arc<ProcessQueue>, start_offset: i64) {
    let mut position = Position { offset: start_offset, broker_id: 0 };
    let pulling = async {
        loop {
            consumer.wait_until_resumed().await;
            queue.wait_for_room(&consumer.config.thresholds).await;
            if let Err(error) = pull_once(&consumer, &queue, &mut position).await {
                let pause = react(&consumer, &queue, &error).await;
                tokio::time::sleep(pause).await;
            } else if !consumer.config.pull_interval.is_zero() {
                tokio::time::sleep(consumer.config.pull_interval).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = queue.dropped().cancelled() => {}
        () = pulling => {}
    }
}

/// What a failed pull asks for, and how long to rest after it.
async fn react(consumer: &Inner, queue: &ProcessQueue, error: &Error) -> Duration {
    let code = error.response_code().and_then(ResponseCode::from_i32);
    match code {
        Some(ResponseCode::FlowControl) => return PAUSE_FOR_FLOW_CONTROL,
        // The broker does not know this consumer, or not its newest subscription.
        Some(ResponseCode::SubscriptionNotExist | ResponseCode::SubscriptionNotLatest) => {
            consumer.instance.heartbeat().await;
        }
        _ => consumer.instance.doubt_routes(),
    }
    tracing::warn!(queue = %queue.queue, %error, "a pull failed");
    PAUSE_AFTER_ERROR
}

async fn pull_once(consumer: &Arc<Inner>, queue: &Arc<ProcessQueue>, position: &mut Position) -> Result<()> {
    let Some(subscription) = consumer.subscription(queue.queue.topic()) else {
        return Err(Error::new(ErrorKind::InvalidArgument, "the topic is not subscribed any more"));
    };
    let Some(answer) = ask(consumer, queue, &subscription, position).await? else {
        return Ok(());
    };
    let bounds = &answer.header;
    match answer.code {
        ResponseCode::PullOffsetMoved => correct_offset(consumer, queue, position.offset, bounds).await,
        ResponseCode::Success => {
            let messages = decode(consumer, queue, &subscription, &answer)?;
            submit(consumer, queue, messages, bounds.next_begin_offset);
        }
        _ => queue.advance(bounds.next_begin_offset),
    }
    *position = Position { offset: bounds.next_begin_offset, broker_id: bounds.suggest_which_broker_id };
    Ok(())
}

/// The answers that say where the queue goes on.
const ANSWERS: [ResponseCode; 4] = [
    ResponseCode::Success,
    ResponseCode::PullNotFound,
    ResponseCode::PullRetryImmediately,
    ResponseCode::PullOffsetMoved,
];

/// One pull. `None` if the consumer was suspended or came to want something else meanwhile: then this was not asked.
async fn ask(
    consumer: &Inner,
    queue: &ProcessQueue,
    subscription: &SubscriptionData,
    position: &Position,
) -> Result<Option<Answer<PullMessageResponse>>> {
    let addr = consumer.instance.routes().consume_addr(queue.queue.broker_name(), position.broker_id);
    let Some(addr) = addr else {
        let why = format!("no address of broker {} is known", queue.queue.broker_name());
        return Err(Error::new(ErrorKind::NoRoute, why).of_topic(queue.queue.topic()));
    };
    let request = request(consumer, queue, subscription, position.offset);
    let mut outdated = consumer.pulls_outdated.subscribe();
    if *consumer.suspended.borrow() {
        return Ok(None);
    }
    let door = consumer.instance.door();
    let answered = tokio::select! {
        biased;
        // The sender lives as long as the consumer.
        _ = outdated.changed() => return Ok(None),
        answered = door.call_accepting(&addr, &request, Bytes::new(), PULL_TIMEOUT, &ANSWERS) => answered,
    };
    // A subscription is replaced before it is told to pulls.
    let current = consumer.subscription(queue.queue.topic());
    if current.is_none_or(|current| current.sub_version != subscription.sub_version) {
        return Ok(None);
    }
    answered.map(Some)
}

/// The broker does not have the offset that was asked for: what it says instead is committed, and the queue is taken
/// anew from there.
async fn correct_offset(consumer: &Inner, queue: &ProcessQueue, asked: i64, bounds: &PullMessageResponse) {
    tracing::warn!(
        queue = %queue.queue, asked, next = bounds.next_begin_offset,
        min = bounds.min_offset, max = bounds.max_offset,
        "the offset is out of range: consumption goes on where the broker says"
    );
    consumer.commit_at(queue, bounds.next_begin_offset).await;
    consumer.queues().remove(&queue.queue);
    consumer.rebalance_soon();
    // Last: it ends the task that runs this.
    queue.drop_now();
}

fn request(
    consumer: &Inner,
    queue: &ProcessQueue,
    subscription: &SubscriptionData,
    queue_offset: i64,
) -> PullMessageRequest {
    PullMessageRequest {
        consumer_group: consumer.config.consumer_group.clone(),
        topic: queue.queue.topic_shared().clone(),
        queue_id: queue.queue.queue_id(),
        queue_offset,
        max_msg_nums: consumer.config.pull_batch_size,
        // Java's pulls may carry an offset to commit. A broker handles pulls and commits on different threads, so such a
        // one may come to lie over a later commit: these carry none.
        sys_flag: pull_sys_flag::SUSPEND,
        commit_offset: 0,
        suspend_timeout_millis: i64::try_from(BROKER_SUSPEND.as_millis()).unwrap_or(i64::MAX),
        subscription: None,
        sub_version: subscription.sub_version,
        expression_type: Some(subscription.expression_type.as_str().into()),
        max_msg_bytes: Some(consumer.config.pull_batch_size_in_bytes),
        broker_name: Some(queue.queue.broker_name_shared().clone()),
    }
}

/// The messages of an answer that pass the filter: the broker compares only the tags' hash codes.
fn decode(
    consumer: &Inner,
    queue: &ProcessQueue,
    subscription: &SubscriptionData,
    answer: &Answer<PullMessageResponse>,
) -> Result<Vec<MessageExt>> {
    let bounds = &answer.header;
    let (min_offset, max_offset) = (bounds.min_offset.to_string(), bounds.max_offset.to_string());
    let mut messages = Vec::with_capacity(usize::try_from(consumer.config.pull_batch_size).unwrap_or(0));
    let mut rest = answer.body.clone();
    while !rest.is_empty() {
        let (mut message, behind) = MessageExt::decode(&rest)
            .map_err(|error| Error::bad_answer("a message of the broker's answer", error))?;
        rest = behind;
        if subscription.is_tag_type() && !subscription.matches_tag(message.get_tags()) {
            continue;
        }
        message.set_broker_name(queue.queue.broker_name_shared().clone());
        if message.get_property(names::TRAN_MSG) == Some("true")
            && let Some(id) = message.get_property(names::UNIQ_KEY).map(str::to_owned)
        {
            message.set_transaction_id(id);
        }
        let properties = message.properties_mut();
        properties.set(names::MIN_OFFSET, &min_offset);
        properties.set(names::MAX_OFFSET, &max_offset);
        messages.push(message);
    }
    Ok(messages)
}

fn submit(consumer: &Arc<Inner>, queue: &Arc<ProcessQueue>, messages: Vec<MessageExt>, next_offset: i64) {
    let sizes = messages
        .iter()
        .map(|message| (message.queue_offset(), usize::try_from(message.store_size()).unwrap_or_default()));
    queue.put(sizes);
    queue.advance(next_offset);
    let mut messages = messages.into_iter();
    loop {
        let batch: Vec<_> = messages.by_ref().take(consumer.config.consume_message_batch_max_size).collect();
        if batch.is_empty() {
            return;
        }
        consumer.submit(Work { queue: Arc::clone(queue), messages: batch });
    }
}
