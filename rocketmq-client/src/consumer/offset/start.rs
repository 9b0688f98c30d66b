//! Where consumption of a queue begins.

use bytes::Bytes;
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::message::{MessageQueue, RETRY_TOPIC_PREFIX};
use rocketmq_protocol::request::{MaxOffsetRequest, SearchOffsetRequest};

use super::remote::OFFSET_TIMEOUT;
use super::{Found, OffsetStore};
use crate::consumer::process_queue::Committed;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::ClientInstance;

/// Where a group without a committed offset begins. Java: `ConsumeFromWhere`.
///
/// The broker has a say in this: for a queue whose very first message it still holds in memory it answers that the group
/// is at offset 0, so a new group of a young topic begins at its first message whatever is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeFromWhere {
    /// At the end of each queue: only messages that come from now on. The default.
    #[doc(alias = "CONSUME_FROM_LAST_OFFSET")]
    #[default]
    LastOffset,
    /// At the first message that each queue still has.
    #[doc(alias = "CONSUME_FROM_FIRST_OFFSET")]
    FirstOffset,
    /// At the first message that was stored at or after a moment, given as `yyyyMMddHHmmss` in the local time zone.
    /// `start` refuses any other form. Java: `CONSUME_FROM_TIMESTAMP` and `setConsumeTimestamp`.
    #[doc(alias = "CONSUME_FROM_TIMESTAMP")]
    #[doc(alias = "setConsumeTimestamp")]
    Timestamp(String),
}

impl ConsumeFromWhere {
    /// The moment in milliseconds since 1970; `None` for the other variants.
    pub(crate) fn timestamp_ms(&self) -> Result<Option<i64>> {
        let Self::Timestamp(at) = self else { return Ok(None) };
        let parse = || {
            let local = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", at)?;
            local.to_zoned(jiff::tz::TimeZone::system()).map(|zoned| zoned.timestamp().as_millisecond())
        };
        parse().map(Some).map_err(|error| {
            let why = format!("consume_from_where: {at:?} is not of the form yyyyMMddHHmmss: {error}");
            Error::new(ErrorKind::InvalidConfig, why)
        })
    }
}

/// The first offset to pull, and what is committed: `None` if the former follows from `from`.
pub(crate) async fn find(
    instance: &ClientInstance,
    store: &OffsetStore,
    queue: &MessageQueue,
    from: &ConsumeFromWhere,
) -> Result<(i64, Option<Committed>)> {
    let certain = match store.read(queue).await? {
        Found::Committed(committed) => {
            let Committed { offset, at_master } = committed;
            let client_id = instance.client_id();
            tracing::info!(%queue, offset, at_master, %client_id, "consumption begins at the committed offset");
            return Ok((offset, Some(committed)));
        }
        Found::Nothing { certain } => certain,
    };
    let is_retry = queue.topic().starts_with(RETRY_TOPIC_PREFIX);
    // From the first message on nothing is lost, even if the master does have an offset of this group.
    if *from == ConsumeFromWhere::FirstOffset || (*from == ConsumeFromWhere::LastOffset && is_retry) {
        return Ok((0, None));
    }
    let Some(master) = instance.routes().master_addr(queue.broker_name()).filter(|_| certain) else {
        let why = format!(
            "its slave knows no offset of the group, and the master of broker {} cannot be asked for the group's or the \
             queue's",
            queue.broker_name()
        );
        return Err(Error::new(ErrorKind::NoRoute, why).of_topic(queue.topic()));
    };
    let offset = match from.timestamp_ms()? {
        Some(timestamp) if !is_retry => offset_of_moment(instance, &master, queue, timestamp).await?,
        _ => end_offset(instance, &master, queue).await?,
    };
    tracing::info!(%queue, offset, ?from, "nothing is committed: consumption begins as configured");
    Ok((offset, None))
}

async fn end_offset(instance: &ClientInstance, addr: &str, queue: &MessageQueue) -> Result<i64> {
    let request = MaxOffsetRequest {
        topic: queue.topic_shared().clone(),
        queue_id: queue.queue_id(),
        broker_name: Some(queue.broker_name_shared().clone()),
    };
    Ok(instance.call(addr, &request, Bytes::new(), OFFSET_TIMEOUT).await?.header.offset)
}

async fn offset_of_moment(
    instance: &ClientInstance,
    addr: &str,
    queue: &MessageQueue,
    timestamp: i64,
) -> Result<i64> {
    let request = SearchOffsetRequest {
        topic: queue.topic_shared().clone(),
        queue_id: queue.queue_id(),
        timestamp,
        broker_name: Some(queue.broker_name_shared().clone()),
    };
    Ok(instance.call(addr, &request, Bytes::new(), OFFSET_TIMEOUT).await?.header.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientConfig;
    use crate::consumer::offset::BrokerOffsets;
    use crate::consumer::reach::Reach;
    use crate::instance::Membership;
    use rocketmq_protocol::body::json;
    use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
    use rocketmq_protocol::code::{RequestCode, ResponseCode};
    use rocketmq_protocol::command::RemotingCommand;
    use rocketmq_protocol::header::NoFields;
    use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder};
    use rocketmq_protocol::request::OffsetResponse;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use tokio_util::task::TaskTracker;

    const MAX_OFFSET: i64 = 100;
    const OFFSET_OF_MOMENT: i64 = 42;
    const COMMITTED: i64 = 7;

    /// Name server and broker in one: every topic is here, and only the group `known` has committed anything.
    struct OldBroker;

    impl Handler for OldBroker {
        fn handle(&self, request: RemotingCommand, responder: Responder) {
            let offset = match RequestCode::from_i32(request.code()) {
                Some(RequestCode::GetRouteInfoByTopic) => {
                    let route = route(&responder.connection().local_addr().to_string());
                    return responder.success(&NoFields, json::to_vec(&route).unwrap().into());
                }
                Some(RequestCode::QueryConsumerOffset)
                    if request.field("consumerGroup").unwrap() == "known" =>
                {
                    COMMITTED
                }
                Some(RequestCode::QueryConsumerOffset) => {
                    return responder.error(
                        ResponseCode::QueryNotFound,
                        "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
                    );
                }
                Some(RequestCode::GetMaxOffset) => MAX_OFFSET,
                Some(RequestCode::SearchOffsetByTimestamp) => OFFSET_OF_MOMENT,
                _ => return responder.error(ResponseCode::RequestCodeNotSupported, "not in this test"),
            };
            responder.success(&OffsetResponse { offset }, Bytes::new());
        }
    }

    fn route(addr: &str) -> TopicRouteData {
        let broker = BrokerData {
            broker_addrs: BTreeMap::from([(0, addr.to_owned())]),
            broker_name: "old".into(),
            cluster: "C".into(),
        };
        let queues = QueueData {
            broker_name: "old".into(),
            perm: perm::READ | perm::WRITE,
            read_queue_nums: 1,
            write_queue_nums: 1,
            topic_sys_flag: 0,
        };
        TopicRouteData { broker_datas: vec![broker], queue_datas: vec![queues], ..TopicRouteData::default() }
    }

    async fn start() -> (Listener, Membership) {
        let addr = "127.0.0.1:0".parse().unwrap();
        let listener =
            Listener::bind(addr, ListenerConfig::default(), Arc::new(OldBroker), TaskTracker::new())
                .await
                .unwrap();
        let namesrv_addr = Some(listener.local_addr().to_string());
        let config = ClientConfig { namesrv_addr, ..ClientConfig::default() };
        let instance = ClientInstance::join(&config).await.unwrap();
        for topic in ["T", "%RETRY%new"] {
            instance.route(&topic.into(), None).await.unwrap();
        }
        (listener, instance)
    }

    fn store(instance: &Membership, group: &'static str) -> OffsetStore {
        let stop = instance.stop_token().clone();
        let reach = Reach::new(Arc::clone(instance.instance()), group.into(), stop, TaskTracker::new());
        OffsetStore::Brokers(BrokerOffsets::new(Arc::clone(instance.instance()), group.into(), reach))
    }

    #[tokio::test]
    async fn without_a_committed_offset_consumption_begins_as_javas_table_says() {
        let (_listener, instance) = start().await;
        let moment = ConsumeFromWhere::Timestamp("20260101000000".into());
        let table = [
            (ConsumeFromWhere::LastOffset, "T", MAX_OFFSET),
            (ConsumeFromWhere::LastOffset, "%RETRY%new", 0),
            (ConsumeFromWhere::FirstOffset, "T", 0),
            (ConsumeFromWhere::FirstOffset, "%RETRY%new", 0),
            (moment.clone(), "T", OFFSET_OF_MOMENT),
            (moment, "%RETRY%new", MAX_OFFSET),
        ];
        for (from, topic, expected) in table {
            let queue = MessageQueue::new(topic, "old", 0);
            let start = find(&instance, &store(&instance, "new"), &queue, &from).await.unwrap();
            assert_eq!(start, (expected, None), "{from:?} of {topic}");
        }
    }

    #[tokio::test]
    async fn a_committed_offset_comes_before_everything() {
        let (_listener, instance) = start().await;
        let queue = MessageQueue::new("T", "old", 0);
        let store = store(&instance, "known");
        let start = find(&instance, &store, &queue, &ConsumeFromWhere::LastOffset).await.unwrap();
        assert_eq!(start, (COMMITTED, Some(Committed { offset: COMMITTED, at_master: true })));
    }

    #[test]
    fn moments_are_read_in_java_form() {
        assert_eq!(ConsumeFromWhere::LastOffset.timestamp_ms().unwrap(), None);
        assert!(ConsumeFromWhere::Timestamp("20260101000000".into()).timestamp_ms().unwrap().is_some());
        for wrong in ["", "2026", "20261301000000", "yesterday"] {
            let error = ConsumeFromWhere::Timestamp(wrong.into()).timestamp_ms().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{wrong}");
        }
    }
}
