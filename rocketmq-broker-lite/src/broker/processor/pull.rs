//! Pulling: code 11.

use std::sync::Arc;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::MessageModel;
use rocketmq_protocol::body::route::perm;
use rocketmq_protocol::body::subscription::{
    EXPRESSION_TYPE_SQL92, EXPRESSION_TYPE_TAG, SUBSCRIBE_ALL, SubscriptionData,
};
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::remoting::{Connection, Reserved, Responder};
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse, pull_sys_flag};

use super::client::no_such_filter;
use super::offset_moved;
use crate::broker::context::Context;
use crate::clients::consumers::Subscription;
use crate::pull_wait::held::HeldPull;
use crate::pull_wait::plan::PullPlan;
use crate::pull_wait::wake::{NotHeld, Ticket};
use crate::server::answer::Answer;
use crate::server::dispatch::{Family, Request, in_pool};
use crate::server::refusal::{FAQ, Refusal};
use crate::store::{PullStatus, Pulled};
use crate::tables::subscription_group::SubscriptionGroup;
use crate::tables::topic::Topic;

/// The broker to pull from next: this one, the master.
const MASTER_ID: i64 = 0;

/// The requests of this file.
pub(crate) const FAMILY: Family<Context> = &[(RequestCode::PullMessage, pull)];

/// Answers a pull, or holds it until there is something to answer.
fn pull(context: &Arc<Context>, request: &Request<'_>) -> Result<Answer, Refusal> {
    let header: PullMessageRequest = request.header()?;
    let (plan, wants) = check(context, &header, request.connection())?;
    // A consumer that has not consumed anything yet has no offset to commit.
    if header.sys_flag & pull_sys_flag::COMMIT_OFFSET != 0 && header.commit_offset >= 0 {
        // Both names have passed the checks.
        let _ =
            context.offsets.commit(&plan.group.name, &plan.topic.name, header.queue_id, header.commit_offset);
    }
    let wait = Wait::of(context, &header);
    let context = Arc::clone(context);
    match plan.pull_now(&context.store, &wants) {
        Some(pulled) => finish(&context, request.connection(), Found { plan, wants, pulled, wait }),
        None => Ok(Answer::later(move |responder| {
            pull_in_pool(&context, responder, plan, wants, wait);
        })),
    }
}

/// How long a pull that finds nothing is held, if at all.
#[derive(Clone, Copy)]
struct Wait(Option<i64>);

impl Wait {
    fn of(context: &Context, header: &PullMessageRequest) -> Self {
        let timeout_ms = match context.config.long_polling_enable {
            true => header.suspend_timeout_millis,
            false => i64::try_from(context.config.short_polling_time_mills.as_millis()).unwrap_or(i64::MAX),
        };
        Self((header.sys_flag & pull_sys_flag::SUSPEND != 0).then_some(timeout_ms))
    }
}

/// What a pull has found.
struct Found {
    plan: PullPlan,
    wants: Arc<SubscriptionData>,
    pulled: Pulled,
    wait: Wait,
}

/// Pulls where the disk may be waited for.
fn pull_in_pool(
    context: &Arc<Context>,
    responder: Responder,
    plan: PullPlan,
    wants: Arc<SubscriptionData>,
    wait: Wait,
) {
    let shared = Arc::clone(context);
    let Some(held) = reserve(responder.connection(), &plan, &wants) else {
        return too_much_held().answer(responder);
    };
    in_pool(&context.readers, responder, move |responder| {
        drop(held);
        if responder.connection().must_not_take_on() {
            return takes_no_answers().answer(responder);
        }
        let pulled = plan.pull(&shared.store, &wants);
        let found = Found { plan, wants, pulled, wait };
        match finish(&shared, responder.connection(), found) {
            Ok(answer) => answer.send(responder),
            Err(refusal) => refusal.answer(responder),
        }
    });
}

/// Answers, or holds the pull if there is nothing to answer with yet.
fn finish(context: &Arc<Context>, connection: &Connection, found: Found) -> Result<Answer, Refusal> {
    let Found { plan, wants, pulled, wait } = found;
    match wait.0 {
        Some(timeout_ms) if plan.code(&pulled) == ResponseCode::PullNotFound => {
            hold(context, connection, plan, wants, timeout_ms)
        }
        _ => Ok(answer(context, &plan, pulled)),
    }
}

/// Answers a pull that was held. It is not held again. A consumer that takes no answers is told to pause: messages would
/// only lie in memory. If the group has come to want something else meanwhile, that is what it gets.
pub(crate) fn answer_held(context: &Arc<Context>, held: HeldPull<Ticket>) {
    let Ticket { plan, responder, .. } = held.ticket;
    if responder.connection().must_not_take_on() {
        return takes_no_answers().answer(responder);
    }
    let current = match context.consumers.subscription(&plan.group.name, &plan.topic.name) {
        Subscription::Group { data: Some(data), .. } if !plan.says_what_it_wants => data,
        _ => held.subscription,
    };
    match plan.pull_now(&context.store, &current) {
        Some(pulled) => answer(context, &plan, pulled).send(responder),
        None => pull_in_pool(context, responder, plan, current, Wait(None)),
    }
}

fn hold(
    context: &Arc<Context>,
    connection: &Connection,
    plan: PullPlan,
    subscription: Arc<SubscriptionData>,
    timeout_ms: i64,
) -> Result<Answer, Refusal> {
    let held = reserve(connection, &plan, &subscription).ok_or_else(too_much_held)?;
    let deadline_ms = context.clock.now_ms().saturating_add(timeout_ms);
    let context = Arc::clone(context);
    Ok(Answer::later(move |responder| {
        let from_offset = plan.offset;
        let ticket = Ticket { plan, responder, _held: held };
        let pull = HeldPull { from_offset, deadline_ms, subscription, ticket };
        match context.held.hold(&context.store, pull) {
            Ok(()) => {}
            Err(NotHeld::Full(pull)) => {
                Refusal::busy("too many pulls are held").answer(pull.ticket.responder);
            }
            Err(NotHeld::Closing(pull)) => answer_held(&context, *pull),
        }
    }))
}

/// The memory that a pull takes while it waits.
fn reserve(connection: &Connection, plan: &PullPlan, wants: &SubscriptionData) -> Option<Reserved> {
    connection.budget().try_reserve(size_of::<HeldPull<Ticket>>() + plan.subscription_bytes(wants))
}

// Consumers pause on these. On 19 they would ask again at once.

fn too_much_held() -> Refusal {
    Refusal::busy("too many bytes are held for this consumer")
}

fn takes_no_answers() -> Refusal {
    Refusal::busy("the consumer does not take its answers")
}

fn answer(context: &Context, plan: &PullPlan, pulled: Pulled) -> Answer {
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
    Answer::coded(code, remark, header, pulled.body)
}

/// The checks of a pull, in Java's order.
fn check(
    context: &Context,
    header: &PullMessageRequest,
    connection: &Connection,
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
    let topic = readable_topic(context, header, connection)?;
    let wants = subscription(context, header, &group)?;
    if !wants.is_tag_type() {
        return Err(no_such_filter(&wants.expression_type));
    }
    let Ok(max_messages) = usize::try_from(header.max_msg_nums) else {
        // Java makes a list of that capacity.
        let remark = format!("Illegal Capacity: {}", header.max_msg_nums);
        return Err(Refusal::system(remark));
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
    Ok((plan, wants))
}

fn readable_topic(
    context: &Context,
    header: &PullMessageRequest,
    connection: &Connection,
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
            connection.peer_addr()
        );
        return Err(Refusal::system(remark));
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
