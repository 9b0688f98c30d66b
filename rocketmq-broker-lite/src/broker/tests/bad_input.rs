//! Requests that make no sense.

use super::*;

/// Every code that the broker serves.
const SERVED: [RequestCode; 15] = [
    RequestCode::SendMessage,
    RequestCode::SendMessageV2,
    RequestCode::SendBatchMessage,
    RequestCode::PullMessage,
    RequestCode::ConsumerSendMsgBack,
    RequestCode::HeartBeat,
    RequestCode::CheckClientConfig,
    RequestCode::GetConsumerListByGroup,
    RequestCode::QueryConsumerOffset,
    RequestCode::UpdateConsumerOffset,
    RequestCode::SearchOffsetByTimestamp,
    RequestCode::GetMaxOffset,
    RequestCode::GetMinOffset,
    RequestCode::GetEarliestMsgStoreTime,
    RequestCode::SendMessageV2,
];

#[tokio::test]
async fn a_request_without_its_fields_gets_code_1_and_the_next_is_served() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for code in SERVED {
        let (answered, remark) = client.code_of(&Raw(code, Vec::new()), "not JSON").await;
        assert_eq!(answered, 1, "{code:?}: {remark}");
        let words = ["the custom field <", "the body cannot be read"];
        assert!(words.iter().any(|word| remark.starts_with(word)), "{code:?}: {remark}");
    }
    let bad = Raw(RequestCode::GetMaxOffset, vec![("topic", "T"), ("queueId", "one")]);
    let (code, remark) = client.code_of(&bad, "").await;
    assert_eq!((code, remark.contains("queueId")), (1, true), "{remark}");
    client.send("T", "x", &[]).await;
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn codes_that_are_not_served_are_answered_so() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for code in [
        RequestCode::EndTransaction,
        RequestCode::LockBatchMq,
        RequestCode::UnlockBatchMq,
        RequestCode::GetRouteInfoByTopic,
        RequestCode::PushReplyMessageToClient,
    ] {
        let (answered, remark) = client.code_of(&Raw(code, Vec::new()), "").await;
        assert_eq!((answered, remark), (3, format!(" request type {} not supported", code.as_i32())));
    }
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn numbers_at_the_edge_do_no_harm() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    for edge in [i32::MIN, -1, i32::MAX] {
        let sent = SendMessageRequest {
            default_topic_queue_nums: edge,
            sys_flag: edge,
            flag: edge,
            reconsume_times: Some(edge),
            max_reconsume_times: Some(edge),
            ..send_request(&format!("Edge{}", edge.unsigned_abs()), &[])
        };
        client.call(&sent, "x").await;
        let pulled = PullMessageRequest {
            queue_offset: i64::from(edge) << 31,
            max_msg_nums: edge,
            max_msg_bytes: Some(edge),
            commit_offset: i64::MIN,
            suspend_timeout_millis: i64::from(edge) << 31,
            ..pull_request("T", 0, 0, "*")
        };
        client.call(&pulled, "").await;
    }
    let waits_for_ever =
        PullMessageRequest { suspend_timeout_millis: i64::MAX, ..waiting_pull("T", 0, 1, "*") };
    let no_time = PullMessageRequest { suspend_timeout_millis: i64::MIN, ..waiting_pull("T", 0, 1, "*") };
    assert_eq!(client.pull(&no_time).await.code, 19);
    let (answer, _) = tokio::join!(client.pull(&waits_for_ever), client.send("T", "y", &[]));
    assert_eq!(answer.bodies(), ["y"]);
    broker.broker.shutdown().await;
}
