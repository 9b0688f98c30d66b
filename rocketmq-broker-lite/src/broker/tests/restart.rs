//! What is still there after a restart.

use rocketmq_protocol::request::UpdateConsumerOffsetRequest;

use super::*;

async fn fill(broker: &TestBroker) {
    let client = broker.client().await;
    for number in 0..10 {
        client.send("T", &number.to_string(), &[("TAGS", "A")]).await;
    }
    client.join("c", "g", &[("T", "*")]).await;
    let commit = UpdateConsumerOffsetRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 0,
        commit_offset: 4,
        broker_name: None,
    };
    assert_eq!(client.call(&commit, Bytes::new()).await.code(), 0);
}

#[tokio::test]
async fn after_a_shutdown_everything_is_there() {
    let broker = TestBroker::start().await;
    fill(&broker).await;
    let topics = broker.broker.context.topics.snapshot();
    let broker = broker.restart().await;
    assert_eq!(broker.broker.context.topics.snapshot(), topics);
    assert_eq!(broker.broker.context.offsets.query("g", "T", 0), Some(4));
    let client = broker.client().await;
    assert_eq!(client.pull(&pull_request("T", 0, 0, "A")).await.messages.len(), 10);
    assert_eq!(client.send("T", "10", &[]).await.queue_offset, 10);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn after_a_crash_topics_groups_and_messages_are_there() {
    let broker = TestBroker::start().await;
    fill(&broker).await;
    let topics = broker.broker.context.topics.snapshot();
    // What a heartbeat brings is saved soon after it.
    let (saves, last) = (broker.broker.context.topics.saves(), broker.broker.context.topics.saves().last());
    eventually("the retry topic is saved", async || saves.is_saved(last)).await;
    let broker = broker.crash().await;
    assert_eq!(broker.broker.context.topics.snapshot(), topics);
    let client = broker.client().await;
    assert_eq!(client.pull(&pull_request("T", 0, 0, "A")).await.messages.len(), 10);
    assert_eq!(client.send("T", "10", &[]).await.queue_offset, 10);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn shutdown_can_be_called_again_and_the_port_is_free() {
    let broker = TestBroker::start().await;
    let addr = broker.broker.addr();
    broker.broker.shutdown().await;
    broker.broker.shutdown().await;
    drop(tokio::net::TcpListener::bind(addr).await.unwrap());
    assert!(broker.directory.path().exists());
}

#[tokio::test]
async fn a_second_broker_on_the_same_store_and_one_on_a_used_port_do_not_start() {
    let broker = TestBroker::start().await;
    let same = Broker::start(broker.config.clone()).await.unwrap_err();
    assert!(matches!(same, StartError::Store { .. }), "{same}");
    let elsewhere = tempfile::tempdir().unwrap();
    let config = BrokerConfig {
        store_path_root_dir: elsewhere.path().to_owned(),
        listen_port: broker.broker.addr().port(),
        ..BrokerConfig::default()
    };
    let used = Broker::start(config.clone()).await.unwrap_err();
    assert!(matches!(used, StartError::Bind { .. }), "{used}");
    let free = BrokerConfig { listen_port: 0, ..config };
    Broker::start(free).await.unwrap().shutdown().await;
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_table_that_cannot_be_read_stops_the_start_and_names_the_file() {
    let broker = TestBroker::start().await;
    broker.broker.shutdown().await;
    let file = broker.config.store_path_root_dir.join("config/topics.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{").unwrap();
    let error = Broker::start(broker.config.clone()).await.unwrap_err();
    assert!(error.to_string().contains("topics.json"), "{error}");
}
