//! Where consumption of a queue begins.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::message::{MessageQueue, RETRY_TOPIC_PREFIX};
use rocketmq_protocol::request::{
    MaxOffsetRequest, OffsetResponse, QueryConsumerOffsetRequest, Request, SearchOffsetRequest,
};

use crate::error::{Error, ErrorKind, Result};
use crate::instance::ClientInstance;

/// Java's time for offset queries.
pub(super) const OFFSET_TIMEOUT: Duration = Duration::from_secs(5);

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
    pub(super) fn timestamp_ms(&self) -> Result<Option<i64>> {
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

/// Where to begin, and what the broker has committed.
pub(super) struct StartOffset {
    pub(super) offset: i64,
    pub(super) committed: Option<i64>,
}

/// The committed offset, or else what `from` says.
pub(super) async fn find(
    instance: &ClientInstance,
    group: &str,
    queue: &MessageQueue,
    from: &ConsumeFromWhere,
) -> Result<StartOffset> {
    let Some(addr) = instance.routes().master_addr(queue.broker_name()) else {
        let why = format!("the master of broker {} is not known", queue.broker_name());
        return Err(Error::new(ErrorKind::NoRoute, why).of_topic(queue.topic()));
    };
    let broker_name = Some(queue.broker_name_shared().clone());
    let query = QueryConsumerOffsetRequest {
        consumer_group: group.into(),
        topic: queue.topic_shared().clone(),
        queue_id: queue.queue_id(),
        set_zero_if_not_found: None,
        broker_name: broker_name.clone(),
    };
    match ask(instance, &addr, &query).await {
        Ok(offset) => {
            tracing::info!(%queue, group, offset, "consumption begins at the broker's committed offset");
            return Ok(StartOffset { offset, committed: Some(offset) });
        }
        Err(error) if error.response_code() == Some(ResponseCode::QueryNotFound.as_i32()) => {}
        Err(error) => return Err(error),
    }
    let (topic, queue_id) = (queue.topic_shared().clone(), queue.queue_id());
    let is_retry = queue.topic().starts_with(RETRY_TOPIC_PREFIX);
    let max_offset = || MaxOffsetRequest { topic: topic.clone(), queue_id, broker_name: broker_name.clone() };
    let offset = match from {
        ConsumeFromWhere::FirstOffset => 0,
        ConsumeFromWhere::LastOffset if is_retry => 0,
        ConsumeFromWhere::LastOffset => ask(instance, &addr, &max_offset()).await?,
        ConsumeFromWhere::Timestamp(_) if is_retry => ask(instance, &addr, &max_offset()).await?,
        ConsumeFromWhere::Timestamp(_) => {
            let timestamp = from.timestamp_ms()?.unwrap_or_default();
            let search = SearchOffsetRequest { topic, queue_id, timestamp, broker_name };
            ask(instance, &addr, &search).await?
        }
    };
    tracing::info!(%queue, group, offset, ?from, "nothing is committed: consumption begins as configured");
    Ok(StartOffset { offset, committed: None })
}

async fn ask<R: Request<Response = OffsetResponse>>(
    instance: &ClientInstance,
    addr: &str,
    request: &R,
) -> Result<i64> {
    Ok(instance.call(addr, request, Bytes::new(), OFFSET_TIMEOUT).await?.header.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientConfig;
    use crate::instance::Membership;
    use rocketmq_protocol::body::json;
    use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
    use rocketmq_protocol::code::RequestCode;
    use rocketmq_protocol::command::RemotingCommand;
    use rocketmq_protocol::header::NoFields;
    use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder};
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
            let start = find(&instance, "new", &queue, &from).await.unwrap();
            assert_eq!((start.offset, start.committed), (expected, None), "{from:?} of {topic}");
        }
    }

    #[tokio::test]
    async fn a_committed_offset_comes_before_everything() {
        let (_listener, instance) = start().await;
        let queue = MessageQueue::new("T", "old", 0);
        let start = find(&instance, "known", &queue, &ConsumeFromWhere::LastOffset).await.unwrap();
        assert_eq!((start.offset, start.committed), (COMMITTED, Some(COMMITTED)));
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
