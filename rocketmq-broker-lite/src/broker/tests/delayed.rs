//! Messages with a delay level.

use super::*;

async fn arrives(client: &Client, topic: &str, queue_id: i32, offset: i64) -> MessageExt {
    let answer = client.pull(&waiting_pull(topic, queue_id, offset, "*")).await;
    assert_eq!(answer.code, 0, "{}", answer.remark);
    answer.messages[0].clone()
}

#[tokio::test]
async fn a_delayed_message_comes_when_its_time_has_come_and_keeps_its_properties() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "at once", &[]).await;
    let request = SendMessageRequest {
        queue_id: 2,
        ..send_request("T", &[("TAGS", "A"), ("DELAY", "5"), ("WAIT", "true")])
    };
    let sent: SendMessageResponse = client.call(&request, "later").await.header().unwrap();
    assert_eq!(sent.queue_id, 2, "the queue that the producer meant");
    let waiting = client.pull(&pull_request("SCHEDULE_TOPIC_XXXX", 4, 0, "A")).await;
    assert_eq!(waiting.code, 20, "in place of its tag stands the moment of its delivery");
    broker.clock.advance(Duration::from_secs(59));
    assert_eq!(client.pull(&pull_request("T", 2, 0, "*")).await.code, 19, "level 5 is a minute");
    broker.clock.advance(Duration::from_secs(2));
    let message = arrives(&client, "T", 2, 0).await;
    assert_eq!((&message.body()[..], message.get_tags()), (&b"later"[..], Some("A")));
    for (name, value) in [("DELAY", "5"), ("REAL_TOPIC", "T"), ("REAL_QID", "2"), ("WAIT", "true")] {
        assert_eq!(message.get_property(name), Some(value), "{name}");
    }
    assert_eq!(client.pull(&pull_request("T", 2, 0, "A")).await.messages.len(), 1, "its tag counts again");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_level_beyond_the_highest_is_the_highest() {
    let broker = TestBroker::with(|config| config.message_delay_level = "1s 2s".into()).await;
    let client = broker.client().await;
    client.send("T", "later", &[("DELAY", "99")]).await;
    broker.clock.advance(Duration::from_secs(3));
    assert_eq!(&arrives(&client, "T", 0, 0).await.body()[..], b"later");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn many_messages_of_many_levels_all_come() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for number in 0..200 {
        client.send("T", &number.to_string(), &[("DELAY", &(number % 4 + 1).to_string())]).await;
    }
    broker.clock.advance(Duration::from_secs(31));
    eventually("all are there", async || broker.broker.context.store.max_offset("T", 0) == 200).await;
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_comes_once() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "first", &[("DELAY", "1")]).await;
    broker.clock.advance(Duration::from_secs(2));
    arrives(&client, "T", 0, 0).await;
    client.send("T", "second", &[("DELAY", "1")]).await;
    let broker = broker.restart().await;
    broker.clock.advance(Duration::from_secs(2));
    let client = broker.client().await;
    assert_eq!(&arrives(&client, "T", 0, 1).await.body()[..], b"second");
    assert_eq!(broker.broker.context.store.max_offset("T", 0), 2, "the first one came once");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn with_sync_flush_progress_is_saved_once_the_disk_has_what_was_delivered() {
    let broker =
        TestBroker::with(|config| config.flush_disk_type = crate::config::FlushDiskType::SyncFlush).await;
    let client = broker.client().await;
    client.send("T", "later", &[("DELAY", "1")]).await;
    broker.clock.advance(Duration::from_secs(2));
    arrives(&client, "T", 0, 0).await;
    let context = Arc::clone(&broker.broker.context);
    tokio::task::spawn_blocking(move || context.persist_schedule()).await.unwrap();
    let file = broker.config.store_path_root_dir.join("config/delayOffset.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "{\n\t\"offsetTable\":{\n\t\t1:1\n\t}\n}");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn what_waits_survives_a_crash() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "now", &[]).await;
    client.send("T", "later", &[("DELAY", "3")]).await;
    drop(client);
    let broker = broker.crash().await;
    broker.clock.advance(Duration::from_secs(11));
    let client = broker.client().await;
    assert_eq!(&arrives(&client, "T", 0, 1).await.body()[..], b"later");
    broker.broker.shutdown().await;
}
