//! Groups and their members.

use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::request::{CheckClientConfigRequest, ConsumerListRequest, UnregisterClientRequest};

use super::super::jobs::expire_clients_once;
use super::*;

async fn members(client: &Client, group: &str) -> Result<Vec<String>, (i32, String)> {
    let answer = client.call(&ConsumerListRequest { consumer_group: group.into() }, Bytes::new()).await;
    match answer.is_success() {
        true => Ok(json::from_slice::<ConsumerList>(answer.body()).unwrap().consumer_id_list),
        false => Err((answer.code(), answer.remark().unwrap_or_default().to_owned())),
    }
}

#[tokio::test]
async fn members_are_told_when_one_comes_leaves_or_disconnects() {
    let broker = TestBroker::start().await;
    let (mut first, mut second) = (broker.client().await, broker.client().await);
    assert_eq!(members(&first, "g").await, Err((1, "no consumer for this group, g".into())));
    first.join("c1", "g", &[("T", "*")]).await;
    assert_eq!(first.notice().await, "g", "the first member is told of itself, as in Java");
    second.join("c2", "g", &[("T", "*")]).await;
    assert_eq!((first.notice().await, second.notice().await), ("g".into(), "g".into()));
    assert_eq!(members(&first, "g").await.unwrap(), ["c1", "c2"]);

    let leave = UnregisterClientRequest {
        client_id: "c2".into(),
        producer_group: Some("CLIENT_INNER_PRODUCER".into()),
        consumer_group: Some("g".into()),
        broker_name: None,
    };
    assert_eq!(second.call(&leave, Bytes::new()).await.code(), 0);
    assert_eq!(first.notice().await, "g");
    assert_eq!(members(&first, "g").await.unwrap(), ["c1"]);

    second.join("c2", "g", &[("T", "*")]).await;
    assert_eq!(first.notice().await, "g");
    drop(second);
    assert_eq!(first.notice().await, "g");
    assert_eq!(members(&first, "g").await.unwrap(), ["c1"]);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn the_same_heartbeat_again_tells_nobody_and_another_topic_does() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.join("c1", "g", &[("T", "*")]).await;
    client.notice().await;
    client.join("c1", "g", &[("T", "*")]).await;
    assert!(client.requests.try_recv().is_err(), "a notice would have come before the answer");
    client.join("c1", "g", &[("T", "*"), ("U", "*")]).await;
    assert_eq!(client.notice().await, "g");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn silent_members_are_dropped_with_their_connections() {
    let broker = TestBroker::start().await;
    let (mut alive, silent) = (broker.client().await, broker.client().await);
    silent.join("silent", "g", &[("T", "*")]).await;
    alive.join("alive", "g", &[("T", "*")]).await;
    alive.notice().await;
    broker.clock.advance(Duration::from_secs(100));
    alive.join("alive", "g", &[("T", "*")]).await;
    broker.clock.advance(Duration::from_secs(25));
    expire_clients_once(&broker.broker.context);
    silent.connection.closed().await;
    assert_eq!(alive.notice().await, "g");
    assert_eq!(members(&alive, "g").await.unwrap(), ["alive"]);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_heartbeat_creates_the_groups_retry_topic() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.join("c1", "g", &[("T", "*"), ("%RETRY%g", "*")]).await;
    let retry = broker.broker.context.topics.find("%RETRY%g").unwrap();
    assert_eq!((retry.config.read_queue_nums, retry.config.write_queue_nums, retry.config.perm), (1, 1, 6));
    assert_eq!(broker.broker.context.producers.count("CLIENT_INNER_PRODUCER"), 1);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn subscriptions_by_tag_are_taken_and_by_sql_refused() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let mut asked = CheckClientConfigRequest {
        client_id: "c".into(),
        group: "g".into(),
        subscription_data: SubscriptionData::by_tag("T", "A", 1),
    };
    assert_eq!(client.code_of(&asked, json::to_vec(&asked).unwrap()).await, (0, String::new()));
    asked.subscription_data.expression_type = "SQL92".into();
    let (code, remark) = client.code_of(&asked, json::to_vec(&asked).unwrap()).await;
    assert_eq!((code, &*remark), (1, "The broker does not support consumer to filter message by SQL92"));
    broker.broker.shutdown().await;
}
