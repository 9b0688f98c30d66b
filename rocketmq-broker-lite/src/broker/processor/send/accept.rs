//! Whether a message may be sent, and where it goes: the checks in Java's order.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::body::topic_config::TopicConfig;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::message::{RETRY_TOPIC_PREFIX, SysFlag, dlq_topic};
use rocketmq_protocol::request::SendMessageRequest;

use crate::broker::context::Context;
use crate::server::refusal::{FAQ, Refusal};
use crate::tables::topic::{MULTI_TAG, Topic, is_closed_to_clients, topic_name_fault, unit_flag};

/// Clients of this `MQVersion` ordinal (V3_4_9) or a later one say themselves how often a message may be given back.
pub(crate) const MAX_RECONSUME_TIMES_SINCE: i32 = 121;

/// Where a message goes.
pub(super) struct Place {
    /// The topic.
    pub(super) topic: Arc<Topic>,
    /// The queue in it.
    pub(super) queue_id: i32,
    /// The queue that the answer names: the one in the topic that the producer meant.
    pub(super) answered_queue_id: i32,
    /// RocketMQ's own flags.
    pub(super) sys_flag: SysFlag,
    /// It was given back too often; it waits no more.
    pub(super) is_dead_letter: bool,
}

/// Checks a send and finds its place.
pub(super) fn check(
    context: &Context,
    request: &RemotingCommand,
    header: &SendMessageRequest,
    producer: SocketAddr,
) -> Result<Place, Refusal> {
    let topic = topic(context, header)?;
    check_queue(header, &topic, producer)?;
    let queue_id = pick_queue(header, &topic)?;
    let mut sys_flag = SysFlag(header.sys_flag);
    if topic.config.topic_filter_type == MULTI_TAG {
        sys_flag = sys_flag.with(SysFlag::MULTI_TAGS);
    }
    let place = Place { topic, queue_id, answered_queue_id: queue_id, sys_flag, is_dead_letter: false };
    match place.topic.name.strip_prefix(RETRY_TOPIC_PREFIX) {
        // 4.9 stores a batch for a retry topic as any other.
        Some(group) if header.batch != Some(true) => {
            bury_if_dead(context, request, header, group, &place).map(|dead| dead.unwrap_or(place))
        }
        _ => Ok(place),
    }
}

fn topic(context: &Context, header: &SendMessageRequest) -> Result<Arc<Topic>, Refusal> {
    let name = &*header.topic;
    let known = context.topics.find(name);
    let is_order_topic = known.as_ref().is_some_and(|topic| topic.config.order);
    if context.config.broker_permission & perm::WRITE == 0 && is_order_topic {
        return Err(broker_forbids(context));
    }
    // A topic that is there has a good name.
    if known.is_none()
        && let Some(fault) = topic_name_fault(name)
    {
        return Err(Refusal::system(fault));
    }
    if is_closed_to_clients(name) {
        let remark = format!("Sending message to topic[{name}] is forbidden.");
        return Err(Refusal::new(ResponseCode::NoPermission, remark));
    }
    known.or_else(|| create(context, header)).ok_or_else(|| {
        let remark = format!("topic[{name}] not exist, apply first please!{FAQ}");
        Refusal::new(ResponseCode::TopicNotExist, remark)
    })
}

fn create(context: &Context, header: &SendMessageRequest) -> Option<Arc<Topic>> {
    let is_retry = header.topic.starts_with(RETRY_TOPIC_PREFIX);
    let sys_flag = unit_flag(header.unit_mode == Some(true), is_retry);
    let queue_nums = header.default_topic_queue_nums;
    let created = context.topics.create_after(&header.topic, &header.default_topic, queue_nums, sys_flag);
    created.or_else(|| is_retry.then(|| context.topics.find_or_create(&header.topic, 1, sys_flag)))
}

fn check_queue(header: &SendMessageRequest, topic: &Topic, producer: SocketAddr) -> Result<(), Refusal> {
    let TopicConfig { write_queue_nums, read_queue_nums, .. } = topic.config;
    if header.queue_id < write_queue_nums.max(read_queue_nums) {
        return Ok(());
    }
    let mut remark = format!("request queueId[{}] is illegal, ", header.queue_id);
    describe(&topic.config, &mut remark);
    // Writing to a string cannot fail.
    let _ = write!(remark, " Producer: {producer}");
    Err(Refusal::system(remark))
}

fn pick_queue(header: &SendMessageRequest, topic: &Topic) -> Result<i32, Refusal> {
    if header.queue_id >= 0 {
        return Ok(header.queue_id);
    }
    if topic.config.write_queue_nums <= 0 {
        let remark = format!("topic[{}] has no queue to write to", topic.name);
        return Err(Refusal::system(remark));
    }
    Ok(rand::random_range(0..topic.config.write_queue_nums))
}

/// A consumer's own send to its retry topic: beyond the group's limit it goes to the dead letters.
fn bury_if_dead(
    context: &Context,
    request: &RemotingCommand,
    header: &SendMessageRequest,
    group: &str,
    place: &Place,
) -> Result<Option<Place>, Refusal> {
    let group = context.groups.find(group).ok_or_else(|| Refusal::no_group(group))?;
    let asked = header.max_reconsume_times.filter(|_| request.version() >= MAX_RECONSUME_TIMES_SINCE);
    let max_reconsume_times = asked.unwrap_or(group.config.retry_max_times);
    if header.reconsume_times.unwrap_or(0) < max_reconsume_times {
        return Ok(None);
    }
    let topic = context.topics.find_or_create(&dlq_topic(&group.name), 1, 0);
    Ok(Some(Place { topic, queue_id: 0, is_dead_letter: true, ..*place }))
}

/// The broker as a whole takes no messages.
pub(crate) fn broker_forbids(context: &Context) -> Refusal {
    let remark = format!("the broker[{}] sending message is forbidden", context.place.host);
    Refusal::new(ResponseCode::NoPermission, remark)
}

/// Java's `TopicConfig.toString`.
fn describe(config: &TopicConfig, out: &mut String) {
    let mark = |bit, letter| if config.perm & bit == 0 { '-' } else { letter };
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}{}{}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        config.topic_name,
        config.read_queue_nums,
        config.write_queue_nums,
        mark(perm::READ, 'R'),
        mark(perm::WRITE, 'W'),
        mark(perm::INHERIT, 'X'),
        config.topic_filter_type,
        config.topic_sys_flag,
        config.order
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_described_as_java_does() {
        let mut text = String::new();
        describe(&TopicConfig::new("T", 4), &mut text);
        assert_eq!(
            text,
            "TopicConfig [topicName=T, readQueueNums=4, writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, \
             topicSysFlag=0, order=false]"
        );
    }
}
