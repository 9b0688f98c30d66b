//! Keeping a consumer's share of the queues right: who is in the group, what is given up, what is taken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::heartbeat::MessageModel;
use rocketmq_protocol::body::json;
use rocketmq_protocol::request::ConsumerListRequest;
use tokio::time::Instant;

use super::assignment::{CALLS_END_WITHIN, Change, Situation, change, decide};
use super::group::GroupCore;
use crate::error::{Error, ErrorKind, Result};

/// How often the share is looked at without a reason.
const INTERVAL: Duration = Duration::from_secs(20);
/// While something is missing (a route, the group's members) it is looked at more often: the first time after this pause,
/// which doubles up to the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The rebalance task: at start, when the group or a route changes, and by the clock.
pub(super) async fn run(core: &Arc<GroupCore>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let (decisions, complete) = tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            decided = decide_all(core) => decided,
        };
        // From here on nothing is cut off: a queue that is given up is always committed.
        apply(core, decisions).await;
        let wait = if complete { INTERVAL } else { pause };
        pause = if complete { FIRST_PAUSE } else { (pause * 2).min(INTERVAL) };
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.rebalance_wanted.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What changes in each topic, and whether nothing was missing to decide it. In the meantime the brokers learn how far
/// this member is: another one may be about to take its queues.
async fn decide_all(core: &Arc<GroupCore>) -> (Vec<Change>, bool) {
    let topics = core.subscriptions.topics();
    let deciding = join_all(topics.iter().map(|topic| decide_topic(core, topic)));
    let (decided, ()) = tokio::join!(deciding, core.commit_before_rebalance());
    let mut complete = true;
    let mut changes = Vec::new();
    for (topic, decision) in topics.iter().zip(decided) {
        match decision {
            Ok(change) => changes.push(change),
            Err(error) => {
                complete = false;
                report(core, topic, &error);
            }
        }
    }
    (changes, complete)
}

/// A route or a place among the members usually follows within a moment; anything else needs someone to look at it.
fn report(core: &GroupCore, topic: &str, error: &Error) {
    let group = &core.config.consumer_group;
    match error.kind() {
        ErrorKind::NoRoute => tracing::debug!(topic, %group, %error, "rebalance is incomplete"),
        _ => {
            tracing::warn!(topic, %group, %error, "rebalance is incomplete: the share of the topic stays as it is")
        }
    }
}

async fn decide_topic(core: &GroupCore, topic: &ByteString) -> Result<Change> {
    let queues = core.instance.route(topic, None).await?.subscribe.clone();
    let now = Instant::now();
    if core.config.message_model == MessageModel::Broadcasting {
        return Ok(change(&core.queues_of(topic), queues.into_iter().collect(), now));
    }
    let members = group_members(core, topic).await?;
    let client_id = core.instance.client_id();
    tracing::debug!(%client_id, %topic, ?members, "the group's members");
    if !members.iter().any(|member| **member == **client_id) {
        // A broker that was restarted, or that has not heard of this consumer yet.
        core.instance.heartbeat().await;
        let why = "the broker does not count this consumer among its group yet";
        return Err(Error::new(ErrorKind::NoRoute, why).of_topic(&**topic));
    }
    let situation = Situation {
        group: &core.config.consumer_group,
        client_id,
        queues,
        members,
        held: core.queues_of(topic),
        now: Instant::now(),
    };
    let strategy = &*core.config.allocate_message_queue_strategy;
    decide(strategy, situation).map_err(|panic| {
        let why = "allocate_message_queue_strategy panicked: the share stays as it is";
        Error::new(ErrorKind::InvalidConfig, why).of_topic(&**topic).with_source(panic)
    })
}

/// Gives up first, then takes.
async fn apply(core: &Arc<GroupCore>, changes: Vec<Change>) {
    let topics = core.subscriptions.topics();
    let revoked = core.revoke(|queue| {
        !topics.iter().any(|topic| **topic == *queue.topic())
            || changes.iter().any(|change| change.revoke.contains(queue))
    });
    join_all(revoked.iter().map(|held| async {
        // A call that takes longer is on its own: its messages come again to the next owner, who waits no longer either.
        let _ = tokio::time::timeout(CALLS_END_WITHIN, held.wait_for_calls()).await;
        core.offsets.commit_last(held).await;
    }))
    .await;
    for assignment in changes.into_iter().flat_map(|change| change.assign) {
        core.assign(assignment.queue, assignment.ask_at);
    }
}

/// The client ids of the group, from the first broker of the topic that knows them: masters come before their slaves, and
/// what can be reached before what cannot.
async fn group_members(core: &GroupCore, topic: &str) -> Result<Vec<String>> {
    let request = ConsumerListRequest { consumer_group: core.config.consumer_group.clone() };
    let instance = &core.instance;
    let route = instance.routes().get(topic);
    let brokers = route.iter().flat_map(|route| &route.data.broker_datas);
    let mut addrs: Vec<_> = brokers.flat_map(|broker| broker.broker_addrs.values()).collect();
    addrs.sort_by_key(|addr| !core.reach.is_reachable(addr));
    let mut last = None;
    for addr in addrs {
        let answer = instance.call(addr, &request, Bytes::new(), instance.api_timeout()).await;
        core.reach.note(addr, &answer);
        match answer {
            Ok(answer) => {
                let list: ConsumerList = json::from_slice(&answer.body)
                    .map_err(|error| Error::bad_answer("the group's members", error).at(addr))?;
                return Ok(list.consumer_id_list);
            }
            Err(error) => last = Some(error),
        }
    }
    // A broker that does not know the group answers with an error too.
    match last {
        Some(error) if error.kind() != ErrorKind::Broker => Err(error),
        _ => Ok(Vec::new()),
    }
}
