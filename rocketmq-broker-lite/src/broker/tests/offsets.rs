//! Offsets of groups and of queues.

use rocketmq_protocol::request::{
    EarliestStoreTimeRequest, MaxOffsetRequest, MinOffsetRequest, OffsetResponse, QueryConsumerOffsetRequest,
    SearchOffsetRequest, TimestampResponse, UpdateConsumerOffsetRequest,
};

use super::*;

fn query(topic: &str, queue_id: i32) -> QueryConsumerOffsetRequest {
    QueryConsumerOffsetRequest {
        consumer_group: "g".into(),
        topic: topic.into(),
        queue_id,
        set_zero_if_not_found: None,
        broker_name: None,
    }
}

async fn offset<R: Request>(client: &Client, request: &R) -> i64 {
    let answer = client.call(request, Bytes::new()).await;
    assert!(answer.is_success(), "{:?}", answer.remark());
    answer.header::<OffsetResponse>().unwrap().offset
}

#[tokio::test]
async fn a_new_group_starts_at_0_while_the_first_message_is_in_memory() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    assert_eq!(offset(&client, &query("T", 0)).await, 0);
    let no_zero = QueryConsumerOffsetRequest { set_zero_if_not_found: Some(false), ..query("T", 0) };
    let (code, remark) = client.code_of(&no_zero, Bytes::new()).await;
    assert_eq!((code, &*remark), (22, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn an_offset_is_committed_by_request_and_by_pull() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let commit = UpdateConsumerOffsetRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 0,
        commit_offset: 9,
        broker_name: None,
    };
    client.connection.invoke_oneway(&commit, Bytes::new()).await.unwrap();
    assert_eq!(offset(&client, &query("T", 0)).await, 9, "requests of one connection are done in order");
    let pull = pull_request("T", 0, 0, "*");
    let pull = PullMessageRequest {
        sys_flag: pull.sys_flag | pull_sys_flag::COMMIT_OFFSET,
        commit_offset: 1,
        ..pull
    };
    client.pull(&pull).await;
    assert_eq!(offset(&client, &query("T", 0)).await, 1, "backwards too, as in 4.9");
    let refused = PullMessageRequest { queue_id: 99, commit_offset: 5, ..pull };
    client.pull(&refused).await;
    assert_eq!(
        broker.broker.context.offsets.query("g", "T", 99),
        None,
        "a pull that is refused commits nothing"
    );
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_queue_knows_its_bounds_and_times() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let (topic, broker_name) = (ByteString::from_static("T"), None);
    let max = MaxOffsetRequest { topic: topic.clone(), queue_id: 0, broker_name: broker_name.clone() };
    let min = MinOffsetRequest { topic: topic.clone(), queue_id: 0, broker_name: broker_name.clone() };
    let earliest =
        EarliestStoreTimeRequest { topic: topic.clone(), queue_id: 0, broker_name: broker_name.clone() };
    assert_eq!(offset(&client, &max).await, 0, "no such queue yet");
    assert_eq!(
        client.call(&earliest, Bytes::new()).await.header::<TimestampResponse>().unwrap().timestamp,
        -1
    );
    for number in 0..3 {
        client.send("T", &number.to_string(), &[]).await;
        broker.clock.advance(Duration::from_secs(10));
    }
    assert_eq!((offset(&client, &min).await, offset(&client, &max).await), (0, 3));
    let first = client.call(&earliest, Bytes::new()).await.header::<TimestampResponse>().unwrap().timestamp;
    let search = |timestamp| SearchOffsetRequest {
        topic: topic.clone(),
        queue_id: 0,
        timestamp,
        broker_name: broker_name.clone(),
    };
    assert_eq!(offset(&client, &search(first)).await, 0);
    assert_eq!(offset(&client, &search(first + 10_500)).await, 1, "the nearest, as in 4.9");
    broker.broker.shutdown().await;
}
