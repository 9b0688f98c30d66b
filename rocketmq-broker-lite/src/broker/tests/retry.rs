//! Messages that are given back.

use super::*;

fn give_back(message: &MessageExt, delay_level: i32) -> SendBackRequest {
    SendBackRequest { delay_level, ..send_back_request("g", message.commit_log_offset()) }
}

async fn one(client: &Client, topic: &str, offset: i64) -> MessageExt {
    let answer = client.pull(&waiting_pull(topic, 0, offset, "*")).await;
    assert_eq!(answer.code, 0, "{topic}: {}", answer.remark);
    answer.messages[0].clone()
}

#[tokio::test]
async fn the_ladder_leads_to_the_dead_letters() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[("TAGS", "A"), ("KEYS", "k")]).await;
    let first = one(&client, "T", 0).await;
    let mut message = first.clone();
    for (times, seconds) in [(1, 10), (2, 30), (3, 60)] {
        assert_eq!(client.code_of(&give_back(&message, 0), Bytes::new()).await, (0, String::new()));
        broker.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(broker.broker.context.store.max_offset("%RETRY%g", 0), times - 1, "too early");
        broker.clock.advance(Duration::from_secs(2));
        message = one(&client, "%RETRY%g", times - 1).await;
        assert_eq!(i64::from(message.reconsume_times()), times);
        assert_eq!(message.get_property("RETRY_TOPIC"), Some("T"));
        assert_eq!(message.get_property("ORIGIN_MESSAGE_ID"), Some(&*first.offset_msg_id()));
        assert_eq!((message.get_tags(), message.get_keys()), (Some("A"), Some("k")));
        assert_eq!(message.born_timestamp(), first.born_timestamp());
    }
    let last = SendBackRequest { max_reconsume_times: Some(3), ..give_back(&message, 0) };
    assert_eq!(client.code_of(&last, Bytes::new()).await.0, 0);
    let dead = one(&client, "%DLQ%g", 0).await;
    assert_eq!((dead.reconsume_times(), dead.get_property("RETRY_TOPIC")), (4, Some("T")));
    let names =
        |message: &MessageExt| message.properties().iter().filter(|(name, _)| *name == "REAL_TOPIC").count();
    assert_eq!(names(&message), 1, "nothing piles up");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_level_of_the_consumers_choice_and_the_way_to_the_dead_letters() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let message = one(&client, "T", 0).await;
    assert_eq!(client.code_of(&give_back(&message, 1), Bytes::new()).await.0, 0);
    broker.clock.advance(Duration::from_secs(2));
    one(&client, "%RETRY%g", 0).await;
    assert_eq!(client.code_of(&give_back(&message, -1), Bytes::new()).await.0, 0);
    one(&client, "%DLQ%g", 0).await;
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_given_back_is_said() {
    let broker = TestBroker::with(|config| config.auto_create_subscription_group = false).await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let (code, remark) = client.code_of(&send_back_request("g", 0), Bytes::new()).await;
    assert_eq!(code, 26);
    assert!(remark.starts_with("subscription group not exist, g "), "{remark}");
    for offset in [3, 999_999, -1, i64::MAX] {
        let (code, remark) = client.code_of(&send_back_request("TOOLS_CONSUMER", offset), Bytes::new()).await;
        assert_eq!((code, remark), (1, format!("look message by offset failed, {offset}")));
    }
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_consumers_own_send_to_its_retry_topic_counts_too() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let send = |times, max| SendMessageRequest {
        reconsume_times: Some(times),
        max_reconsume_times: max,
        ..send_request("%RETRY%g", &[("RETRY_TOPIC", "T")])
    };
    assert_eq!(client.code_of(&send(15, None), "alive").await.0, 0);
    assert_eq!(client.code_of(&send(16, None), "dead").await.0, 0);
    assert_eq!(client.code_of(&send(2, Some(2)), "dead by its own limit").await.0, 0);
    assert_eq!(client.pull(&pull_request("%RETRY%g", 0, 0, "*")).await.bodies(), ["alive"]);
    let dead = client.pull(&pull_request("%DLQ%g", 0, 0, "*")).await;
    assert_eq!(dead.bodies(), ["dead", "dead by its own limit"]);
    broker.broker.shutdown().await;
}
