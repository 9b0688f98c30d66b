//! What a consumer is answered at once.

use rocketmq_protocol::body::heartbeat::MessageModel;

use super::*;

#[tokio::test]
async fn each_check_has_its_code_and_its_words() {
    let broker = TestBroker::with(|config| config.auto_create_subscription_group = false).await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let ours = |request: PullMessageRequest| PullMessageRequest {
        consumer_group: "TOOLS_CONSUMER".into(),
        ..request
    };
    let pull = |topic: &str, queue| ours(pull_request(topic, queue, 0, "*"));
    let by_heartbeat = |version| PullMessageRequest { sys_flag: 0, sub_version: version, ..pull("T", 0) };
    let cases = [
        (pull_request("T", 0, 0, "*"), 26, "subscription group [g] does not exist"),
        (pull("U", 0), 17, "topic[U] not exist, apply first please!"),
        (pull("T", 4), 1, "queueId[4] is illegal, topic:[T] topicConfig.readQueueNums:[4]"),
        (pull("T", -1), 1, "queueId[-1] is illegal"),
        (ours(pull_request("T", 0, 0, "||")), 23, "parse the consumer's subscription failed"),
        (by_heartbeat(1), 24, "the consumer's group info not exist"),
        (
            PullMessageRequest { expression_type: Some("SQL92".into()), ..pull("T", 0) },
            1,
            "The broker does not support consumer to filter message by SQL92",
        ),
    ];
    for (request, code, remark) in cases {
        let (answered, words) = client.code_of(&request, Bytes::new()).await;
        assert_eq!(answered, code, "{request:?}: {words}");
        assert!(words.contains(remark), "{request:?}: {words}");
    }
    client.join("c", "TOOLS_CONSUMER", &[("U", "*")]).await;
    assert_eq!(client.code_of(&by_heartbeat(1), Bytes::new()).await.0, 24, "not subscribed");
    client.join("c", "TOOLS_CONSUMER", &[("T", "*")]).await;
    assert_eq!(
        client.code_of(&by_heartbeat(2), Bytes::new()).await.0,
        25,
        "a newer subscription is on its way"
    );
    assert_eq!(client.code_of(&by_heartbeat(1), Bytes::new()).await.0, 0);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_may_not_be_read_says_so() {
    let broker = TestBroker::with(|config| config.broker_permission = 2).await;
    let client = broker.client().await;
    let (code, remark) = client.code_of(&pull_request("T", 0, 0, "*"), Bytes::new()).await;
    assert_eq!((code, &*remark), (16, "the broker[127.0.0.1] pulling message is forbidden"));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn offsets_out_of_range_are_corrected_and_noted() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let empty = client.send("T", "a", &[]).await;
    assert_eq!(empty.queue_offset, 0);
    for (queue_id, offset, code, status, next) in [
        (0, 1, 19, "OFFSET_OVERFLOW_ONE", 1),
        (0, 5, 21, "OFFSET_OVERFLOW_BADLY", 1),
        (0, -1, 21, "OFFSET_TOO_SMALL", 0),
        (1, 3, 21, "NO_M", 0),
    ] {
        let answer = client.pull(&pull_request("T", queue_id, offset, "*")).await;
        assert_eq!((answer.code, answer.next_offset()), (code, next), "offset {offset}: {}", answer.remark);
        assert!(answer.remark.starts_with(status), "{}", answer.remark);
    }
    let never_used = client.pull(&pull_request("T", 1, 0, "*")).await;
    assert_eq!(never_used.code, 19, "{}", never_used.remark);
    // The notes are stored behind the answers.
    let mut next = 0;
    while next < 3 {
        next = client.pull(&waiting_pull("OFFSET_MOVED_EVENT", 0, next, "g")).await.next_offset();
    }
    let notes = client.pull(&pull_request("OFFSET_MOVED_EVENT", 0, 0, "g")).await;
    assert_eq!(notes.messages.len(), 3);
    assert_eq!(
        notes.bodies()[0],
        r#"{"consumerGroup":"g","messageQueue":{"topic":"T","brokerName":"broker-a","queueId":0},"offsetNew":1,"offsetRequest":5}"#
    );
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn only_the_wanted_tags_are_given_out() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for (body, tag) in [("1", "A"), ("2", "B"), ("3", "中文"), ("4", "C")] {
        client.send("T", body, &[("TAGS", tag)]).await;
    }
    for (tags, bodies) in
        [("*", vec!["1", "2", "3", "4"]), ("A || 中文", vec!["1", "3"]), ("B||C", vec!["2", "4"])]
    {
        assert_eq!(client.pull(&pull_request("T", 0, 0, tags)).await.bodies(), bodies, "{tags}");
    }
    let none = client.pull(&pull_request("T", 0, 0, "X")).await;
    assert_eq!((none.code, &*none.remark, none.next_offset()), (20, "NO_MATCHED_MESSAGE", 4));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_pull_gives_no_more_than_it_asks_for() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for number in 0..40 {
        client.send("T", &number.to_string(), &[]).await;
    }
    for (asked, got) in [(1, 1), (10, 10), (100, 32), (0, 1)] {
        let request = PullMessageRequest { max_msg_nums: asked, ..pull_request("T", 0, 0, "*") };
        let answer = client.pull(&request).await;
        assert_eq!((answer.messages.len(), answer.next_offset()), (got, got as i64), "asked for {asked}");
    }
    let negative = PullMessageRequest { max_msg_nums: -5, ..pull_request("T", 0, 0, "*") };
    assert_eq!(client.code_of(&negative, "").await.0, 1, "as 4.9.7");
    let few_bytes = PullMessageRequest { max_msg_bytes: Some(1), ..pull_request("T", 0, 0, "*") };
    assert_eq!(client.pull(&few_bytes).await.messages.len(), 1, "the first one always fits");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_group_that_may_not_broadcast_is_refused() {
    let broker = TestBroker::start().await;
    let file = broker.config.store_path_root_dir.join("config/subscriptionGroup.json");
    broker.broker.shutdown().await;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(
        &file,
        r#"{"subscriptionGroupTable":{"g":{"consumeBroadcastEnable":false},"off":{"consumeEnable":false}}}"#,
    )
    .unwrap();
    let broker = broker.restart().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let data = HeartbeatData {
        client_id: "c".into(),
        consumer_data_set: vec![ConsumerData {
            group_name: "g".into(),
            message_model: MessageModel::Broadcasting,
            subscription_data_set: vec![SubscriptionData::by_tag("T", "*", 1)],
            ..ConsumerData::default()
        }],
        ..HeartbeatData::default()
    };
    client.call(&HeartbeatRequest, json::to_vec(&data).unwrap()).await;
    let by_heartbeat = PullMessageRequest { sys_flag: 0, ..pull_request("T", 0, 0, "*") };
    let (code, remark) = client.code_of(&by_heartbeat, Bytes::new()).await;
    assert_eq!((code, &*remark), (16, "the consumer group[g] can not consume by broadcast way"));
    let off = PullMessageRequest { consumer_group: "off".into(), ..by_heartbeat };
    assert_eq!(client.code_of(&off, Bytes::new()).await.0, 16);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn the_configured_limits_of_a_pull_hold_and_no_others() {
    for (count, bytes, expected) in [(64, 256 << 10, 64), (3, 256 << 10, 3), (64, 1, 1)] {
        let broker = TestBroker::with(|config| {
            config.max_transfer_count_on_message_in_memory = count;
            config.max_transfer_bytes_on_message_in_memory = bytes;
        })
        .await;
        let client = broker.client().await;
        for number in 0..70 {
            client.send("T", &number.to_string(), &[]).await;
        }
        let request = PullMessageRequest { max_msg_nums: 100, ..pull_request("T", 0, 0, "*") };
        assert_eq!(client.pull(&request).await.messages.len(), expected, "{count} messages, {bytes} bytes");
        broker.broker.shutdown().await;
    }
}
