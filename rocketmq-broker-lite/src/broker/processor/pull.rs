//! Pulling: code 11.

use std::sync::Arc;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::MessageModel;
use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::body::subscription::{
    EXPRESSION_TYPE_SQL92, EXPRESSION_TYPE_TAG, SUBSCRIBE_ALL, SubscriptionData,
};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::Responder;
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse, pull_sys_flag};

use super::client::no_such_filter;
use super::offset_moved;
use crate::broker::context::Context;
use crate::broker::pull_hold::Ticket;
use crate::broker::refusal::{FAQ, Refusal};
use crate::consumer_manager::Subscription;
use crate::long_polling::HeldPull;
use crate::store::{PullStatus, Pulled};
use crate::subscription_group::SubscriptionGroup;
use crate::topic::Topic;

/// The broker to pull from next: this one, the master.
const MASTER_ID: i64 = 0;

/// A pull that passed every check. It holds nothing of the frame that brought it.
pub(crate) struct PullPlan {
    /// Who pulls.
    pub(crate) group: Arc<SubscriptionGroup>,
    /// From which topic.
    pub(crate) topic: Arc<Topic>,
    /// From which queue.
    pub(crate) queue_id: i32,
    /// From which offset on.
    pub(crate) offset: i64,
    /// How many messages at the most.
    max_messages: usize,
    /// How many bytes at the most.
    max_bytes: usize,
    /// The request itself said what it wants; else the group's heartbeats do.
    says_what_it_wants: bool,
}

/// Answers a pull, or holds it until there is something to answer.
pub(crate) fn handle(context: &Context, request: &RemotingCommand, responder: Responder) {
    let checked = request.header().map_err(Refusal::from).and_then(|header: PullMessageRequest| {
        check(context, &header, &responder).map(|(plan, wants)| (header, plan, wants))
    });
    let (header, plan, wants) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(responder),
    };
    // A consumer that has not consumed anything yet has no offset to commit.
    if header.sys_flag & pull_sys_flag::COMMIT_OFFSET != 0 && header.commit_offset >= 0 {
        // Both names have passed the checks.
        let _ =
            context.offsets.commit(&plan.group.name, &plan.topic.name, header.queue_id, header.commit_offset);
    }
    let pulled = plan.pull(context, &wants);
    let code = plan.code(&pulled);
    if code == ResponseCode::PullNotFound && header.sys_flag & pull_sys_flag::SUSPEND != 0 {
        hold(context, &header, plan, wants, responder);
    } else {
        answer(context, &plan, pulled, responder);
    }
}

/// Answers a pull that was held. It is not held again. A consumer that takes no answers gets one without messages: those
/// would only lie in memory, and it will ask for them again. If the group has come to want something else meanwhile, that is
/// what it gets.
pub(crate) fn answer_held(context: &Context, held: HeldPull<Ticket>) {
    let Ticket { plan, responder, .. } = held.ticket;
    if responder.connection().must_not_take_on() {
        let nothing = plan.nothing(context);
        return answer(context, &plan, nothing, responder);
    }
    let current = match context.consumers.subscription(&plan.group.name, &plan.topic.name) {
        Subscription::Group { data: Some(data), .. } if !plan.says_what_it_wants => data,
        _ => held.subscription,
    };
    let pulled = plan.pull(context, &current);
    answer(context, &plan, pulled, responder);
}

fn hold(
    context: &Context,
    header: &PullMessageRequest,
    plan: PullPlan,
    subscription: Arc<SubscriptionData>,
    responder: Responder,
) {
    let timeout_ms = match context.config.long_polling_enable {
        true => header.suspend_timeout_millis,
        false => i64::try_from(context.config.short_polling_time_mills.as_millis()).unwrap_or(i64::MAX),
    };
    let Some(held) = responder.connection().budget().try_reserve(plan.held_bytes(&subscription)) else {
        let nothing = plan.nothing(context);
        return answer(context, &plan, nothing, responder);
    };
    let pull = HeldPull {
        from_offset: plan.offset,
        deadline_ms: context.clock.now_ms().saturating_add(timeout_ms),
        subscription,
        ticket: Ticket { plan, responder, _held: held },
    };
    if let Err(pull) = context.held.hold(context, pull) {
        answer_held(context, *pull);
    }
}

fn answer(context: &Context, plan: &PullPlan, pulled: Pulled, responder: Responder) {
    let code = plan.code(&pulled);
    if code == ResponseCode::PullOffsetMoved {
        offset_moved::record(context, plan, pulled.next_begin_offset);
    }
    let header = PullMessageResponse {
        suggest_which_broker_id: MASTER_ID,
        next_begin_offset: pulled.next_begin_offset,
        min_offset: pulled.min_offset,
        max_offset: pulled.max_offset,
    };
    let remark = match pulled.status {
        PullStatus::Found => ByteString::from_static("FOUND"),
        other => other.to_string().into(),
    };
    responder.send(code.as_i32(), Some(remark), &header, pulled.body);
}

impl PullPlan {
    fn pull(&self, context: &Context, wants: &SubscriptionData) -> Pulled {
        let matches = |tags_code| wants.matches_code(tags_code);
        context.store.pull(
            &self.topic.name,
            self.queue_id,
            self.offset,
            self.max_messages,
            self.max_bytes,
            &matches,
        )
    }

    /// What a pull gets for which nothing was looked up: as if nothing were there.
    fn nothing(&self, context: &Context) -> Pulled {
        let max_offset = context.store.max_offset(&self.topic.name, self.queue_id);
        Pulled {
            status: PullStatus::OffsetOverflowOne,
            next_begin_offset: self.offset,
            min_offset: context.store.min_offset(&self.topic.name, self.queue_id),
            max_offset,
            body: Bytes::new(),
        }
    }

    /// What memory a held pull takes, roughly.
    fn held_bytes(&self, wants: &SubscriptionData) -> usize {
        let own = if self.says_what_it_wants { subscription_bytes(wants) } else { 0 };
        size_of::<HeldPull<Ticket>>() + own
    }

    fn code(&self, pulled: &Pulled) -> ResponseCode {
        match pulled.status {
            PullStatus::Found => ResponseCode::Success,
            PullStatus::NoMatchedMessage | PullStatus::MessageWasRemoving => {
                ResponseCode::PullRetryImmediately
            }
            PullStatus::OffsetFoundNull | PullStatus::OffsetOverflowOne => ResponseCode::PullNotFound,
            PullStatus::NoMatchedLogicQueue | PullStatus::NoMessageInQueue if self.offset == 0 => {
                ResponseCode::PullNotFound
            }
            PullStatus::NoMatchedLogicQueue
            | PullStatus::NoMessageInQueue
            | PullStatus::OffsetOverflowBadly
            | PullStatus::OffsetTooSmall => ResponseCode::PullOffsetMoved,
        }
    }
}

fn subscription_bytes(wants: &SubscriptionData) -> usize {
    let tags: usize = wants.tags_set.iter().map(|tag| size_of::<String>() + tag.len()).sum();
    size_of::<SubscriptionData>() + wants.sub_string.len() + tags + size_of::<i32>() * wants.code_set.len()
}

/// The checks of a pull, in Java's order.
fn check(
    context: &Context,
    header: &PullMessageRequest,
    responder: &Responder,
) -> Result<(PullPlan, Arc<SubscriptionData>), Refusal> {
    let no_permission = |remark: String| Refusal::new(ResponseCode::NoPermission, remark);
    if context.config.broker_permission & perm::READ == 0 {
        return Err(no_permission(format!(
            "the broker[{}] pulling message is forbidden",
            context.place.host
        )));
    }
    let group = context.groups.find(&header.consumer_group).ok_or_else(|| {
        let remark = format!("subscription group [{}] does not exist, {FAQ}", header.consumer_group);
        Refusal::new(ResponseCode::SubscriptionGroupNotExist, remark)
    })?;
    if !group.config.consume_enable {
        return Err(no_permission(format!("subscription group no permission, {}", group.name)));
    }
    let topic = readable_topic(context, header, responder)?;
    let wants = subscription(context, header, &group)?;
    if !wants.is_tag_type() {
        return Err(no_such_filter(&wants.expression_type));
    }
    let Ok(max_messages) = usize::try_from(header.max_msg_nums) else {
        // Java makes a list of that capacity.
        let remark = format!("Illegal Capacity: {}", header.max_msg_nums);
        return Err(Refusal::new(ResponseCode::SystemError, remark));
    };
    let plan = PullPlan {
        group,
        topic,
        queue_id: header.queue_id,
        offset: header.queue_offset,
        max_messages: max_messages.max(1),
        max_bytes: header.max_msg_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX),
        says_what_it_wants: header.sys_flag & pull_sys_flag::SUBSCRIPTION != 0,
    };
    Ok((plan.within_limits(context), wants))
}

impl PullPlan {
    /// Messages that must come from disk are given out in smaller portions.
    fn within_limits(mut self, context: &Context) -> Self {
        let config = &context.config;
        let (messages, bytes) = match context.store.is_in_memory(&self.topic.name, self.queue_id, self.offset)
        {
            true => (
                config.max_transfer_count_on_message_in_memory,
                config.max_transfer_bytes_on_message_in_memory,
            ),
            false => {
                (config.max_transfer_count_on_message_in_disk, config.max_transfer_bytes_on_message_in_disk)
            }
        };
        self.max_messages = self.max_messages.min(messages);
        self.max_bytes = self.max_bytes.min(bytes);
        self
    }
}

fn readable_topic(
    context: &Context,
    header: &PullMessageRequest,
    responder: &Responder,
) -> Result<Arc<Topic>, Refusal> {
    let topic = context.topics.find(&header.topic).ok_or_else(|| {
        let remark = format!("topic[{}] not exist, apply first please! {FAQ}", header.topic);
        Refusal::new(ResponseCode::TopicNotExist, remark)
    })?;
    if !topic.is_readable() {
        let remark = format!("the topic[{}] pulling message is forbidden", topic.name);
        return Err(Refusal::new(ResponseCode::NoPermission, remark));
    }
    let queues = topic.config.read_queue_nums;
    if header.queue_id < 0 || header.queue_id >= queues {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{queues}] consumer:[/{}]",
            header.queue_id,
            topic.name,
            responder.connection().peer_addr()
        );
        return Err(Refusal::new(ResponseCode::SystemError, remark));
    }
    Ok(topic)
}

/// What the consumer wants: what the request says, or else what its heartbeats said.
fn subscription(
    context: &Context,
    header: &PullMessageRequest,
    group: &SubscriptionGroup,
) -> Result<Arc<SubscriptionData>, Refusal> {
    if header.sys_flag & pull_sys_flag::SUBSCRIPTION != 0 {
        return parse_subscription(header).map(Arc::new);
    }
    let not_exist = |remark: String| Refusal::new(ResponseCode::SubscriptionNotExist, remark);
    let Subscription::Group { message_model, data } =
        context.consumers.subscription(&header.consumer_group, &header.topic)
    else {
        return Err(not_exist(format!("the consumer's group info not exist{FAQ}")));
    };
    if message_model == MessageModel::Broadcasting && !group.config.consume_broadcast_enable {
        let remark = format!("the consumer group[{}] can not consume by broadcast way", group.name);
        return Err(Refusal::new(ResponseCode::NoPermission, remark));
    }
    let data = data.ok_or_else(|| not_exist(format!("the consumer's subscription not exist{FAQ}")))?;
    if data.sub_version < header.sub_version {
        let remark = "the consumer's subscription not latest";
        return Err(Refusal::new(ResponseCode::SubscriptionNotLatest, remark));
    }
    Ok(data)
}

fn parse_subscription(header: &PullMessageRequest) -> Result<SubscriptionData, Refusal> {
    let expression = header.subscription.as_deref().unwrap_or_default();
    let unparsable =
        || Refusal::new(ResponseCode::SubscriptionParseFailed, "parse the consumer's subscription failed");
    match header.expression_type.as_deref() {
        None | Some(EXPRESSION_TYPE_TAG) => {
            // As in Java, where splitting nothing but separators leaves nothing.
            if !expression.is_empty() && expression.split("||").all(str::is_empty) {
                return Err(unparsable());
            }
            Ok(SubscriptionData::by_tag(&header.topic, expression, header.sub_version))
        }
        Some(_) if expression.is_empty() => Err(unparsable()),
        Some(EXPRESSION_TYPE_SQL92) => Ok(SubscriptionData {
            sub_string: expression.to_owned(),
            expression_type: EXPRESSION_TYPE_SQL92.to_owned(),
            ..SubscriptionData::by_tag(&header.topic, "", header.sub_version)
        }),
        // A type that no broker knows filters nothing, as in Java.
        Some(_) => Ok(SubscriptionData::by_tag(&header.topic, SUBSCRIBE_ALL, header.sub_version)),
    }
}
