//! What a producer is answered.

use rocketmq_protocol::message::wire::WireProperties;
use rocketmq_protocol::message::{Message, SysFlag, batch};

use super::*;
use crate::config::FlushDiskType;

#[tokio::test]
async fn a_message_comes_back_as_it_was_sent_with_the_cluster_added() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let sent = client.send("T", "hello", &[("KEYS", "k"), ("WAIT", "true"), ("TAGS", "A")]).await;
    assert_eq!((sent.queue_id, sent.queue_offset), (0, 0));
    assert_eq!(sent.region_id.as_deref(), Some("DefaultRegion"));
    let answer = client.pull(&pull_request("T", 0, 0, "*")).await;
    assert_eq!((answer.code, &*answer.remark, answer.bodies()), (0, "FOUND", vec!["hello".to_owned()]));
    let message = &answer.messages[0];
    assert_eq!(message.offset_msg_id(), *sent.msg_id);
    assert_eq!(message.properties().as_str(), "KEYS\u{1}k\u{2}TAGS\u{1}A\u{2}CLUSTER\u{1}DefaultCluster");
    assert_eq!((message.get_flag(), message.born_timestamp()), (7, 1_700_000_000_000));
    assert_eq!(message.store_host(), broker.broker.addr());
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn each_check_has_its_code_and_its_words() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let to = |topic: &str| send_request(topic, &[]);
    let cases = [
        (to(" "), 1, "The specified topic is blank."),
        (to("a b"), 1, "The specified topic contains illegal characters"),
        (to(&"x".repeat(128)), 1, "The specified topic is longer than topic max length."),
        (to("SCHEDULE_TOPIC_XXXX"), 16, "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden."),
        (
            SendMessageRequest { default_topic: "none".into(), ..to("U") },
            17,
            "topic[U] not exist, apply first please!",
        ),
        (
            SendMessageRequest { queue_id: 4, ..to("T") },
            1,
            "request queueId[4] is illegal, TopicConfig [topicName=T,",
        ),
        (send_request("T", &[("TRAN_MSG", "true")]), 16, "sending transaction message is forbidden"),
        (
            SendMessageRequest { sys_flag: SysFlag::TRANSACTION_PREPARED, ..to("T") },
            16,
            "transaction message",
        ),
        (send_request("T", &[("TIMER_DELAY_MS", "5")]), 1, "timerWheelEnable is false"),
        (send_request("T", &[("TIMER_DELIVER_MS", "5"), ("DELAY", "0")]), 1, "timerWheelEnable is false"),
        (send_request("T", &[("DELAY", "x")]), 1, "For input string: \"x\""),
        (to("%RETRY%a@b"), 1, "illegal characters"),
    ];
    for (request, code, remark) in cases {
        let (answered, words) = client.code_of(&request, "x").await;
        assert_eq!(answered, code, "{request:?}: {words}");
        assert!(words.contains(remark), "{request:?}: {words}");
    }
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn messages_over_the_limits_are_illegal() {
    let broker = TestBroker::with(|config| config.max_message_size = 1_000).await;
    let client = broker.client().await;
    client.send("T", &"x".repeat(1_000), &[]).await;
    assert_eq!(client.code_of(&send_request("T", &[]), "x".repeat(1_001)).await.0, 13);
    let long = "x".repeat(32_768);
    let (code, remark) = client.code_of(&send_request("T", &[("a", &long)]), "x").await;
    assert_eq!(code, 13);
    assert!(remark.contains("msg body length limit 1000B"), "{remark}");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn an_unknown_topic_is_created_after_tbw102() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let sent = client.call(&SendMessageRequest { queue_id: -1, ..send_request("New", &[]) }, "x").await;
    let queue_id = sent.header::<SendMessageResponse>().unwrap().queue_id;
    assert!((0..4).contains(&queue_id), "a random queue: {queue_id}");
    let topic = broker.broker.context.topics.find("New").unwrap();
    assert_eq!((topic.config.write_queue_nums, topic.config.perm), (4, 6));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn without_auto_creation_an_unknown_topic_is_refused() {
    let broker = TestBroker::with(|config| config.auto_create_topic_enable = false).await;
    let client = broker.client().await;
    let (code, remark) = client.code_of(&send_request("New", &[]), "x").await;
    assert_eq!((code, remark.contains("apply first please!")), (17, true));
    let cluster = SendMessageRequest { default_topic: "DefaultCluster".into(), ..send_request("New", &[]) };
    assert_eq!(client.code_of(&cluster, "x").await.0, 0, "the cluster's topic may be inherited from");
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn long_field_names_do_as_well() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let fields = [
        ("producerGroup", "p"),
        ("topic", "T"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "1"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1"),
        ("flag", "0"),
        ("properties", "TAGS\u{1}A"),
    ];
    assert_eq!(
        client.code_of(&Raw(RequestCode::SendMessage, fields.to_vec()), "v1").await,
        (0, String::new())
    );
    assert_eq!(client.pull(&pull_request("T", 1, 0, "A")).await.bodies(), ["v1"]);
    broker.broker.shutdown().await;
}

fn batch_of(bodies: &[&str]) -> Bytes {
    let messages: Vec<Message> =
        bodies.iter().map(|body| Message::new("T", body.to_string()).tags(body.to_uppercase())).collect();
    batch::encode(&messages).unwrap()
}

#[tokio::test]
async fn a_batch_lies_in_one_queue_and_each_message_has_its_id() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let request =
        SendMessageRequest { batch: Some(true), ..send_request("T", &[("WAIT", "true"), ("UNIQ_KEY", "U")]) };
    let answer = client.call(&request, batch_of(&["a", "b", "c"])).await;
    let sent: SendMessageResponse = answer.header().unwrap();
    let ids: Vec<&str> = sent.msg_id.split(',').collect();
    let pulled = client.pull(&pull_request("T", 0, 0, "*")).await;
    assert_eq!(pulled.bodies(), ["a", "b", "c"]);
    assert_eq!(pulled.messages.iter().map(MessageExt::offset_msg_id).collect::<Vec<_>>(), ids);
    assert_eq!(pulled.messages.iter().map(MessageExt::queue_offset).collect::<Vec<_>>(), [0, 1, 2]);
    let properties = pulled.messages[1].properties();
    assert_eq!(
        properties.as_str(),
        "WAIT\u{1}true\u{2}TAGS\u{1}B\u{2}WAIT\u{1}true\u{2}UNIQ_KEY\u{1}U\u{2}CLUSTER\u{1}DefaultCluster"
    );
    assert_eq!(client.pull(&pull_request("T", 0, 0, "B")).await.bodies(), ["b"], "each has its own tag");
    broker.broker.shutdown().await;
}

/// Properties that come again with each message: 4 KiB of them and a thousand messages would be 4 MiB.
#[tokio::test]
async fn a_batch_that_grows_with_its_properties_is_refused_before_it_does() {
    let broker = TestBroker::with(|config| config.max_message_size = 1 << 20).await;
    let client = broker.client().await;
    let long = "x".repeat(4096);
    let request = SendMessageRequest { batch: Some(true), ..send_request("T", &[("LONG", long.as_str())]) };
    assert_eq!(client.code_of(&request, batch_of(&["b"; 1000])).await.0, 13);
    let answer = client.call(&request, batch_of(&["b"; 100])).await;
    assert_eq!(answer.code(), 0, "{:?}", answer.remark());
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_refused_send_names_region_and_tracing() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    let request = SendMessageRequest { queue_id: 99, ..send_request("T", &[]) };
    let answer = client.call(&request, "x").await;
    assert_eq!(answer.code(), 1);
    assert_eq!(answer.field("MSG_REGION").as_deref(), Some("DefaultRegion"));
    assert_eq!(answer.field("TRACE_ON").as_deref(), Some("true"));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_batch_that_makes_no_sense_stores_nothing() {
    let broker = TestBroker::with(|config| config.max_message_size = 100).await;
    let client = broker.client().await;
    let request = SendMessageRequest { batch: Some(true), ..send_request("T", &[]) };
    let half = batch_of(&["a", "b"]);
    for (body, code) in [
        (Bytes::new(), 13),
        (Bytes::from_static(b"\0\0"), 1),
        (half.slice(..half.len() - 1), 1),
        (batch_of(&["x".repeat(90).as_str()]), 13),
    ] {
        assert_eq!(client.code_of(&request, body.clone()).await.0, code, "{body:?}");
    }
    let delayed = SendMessageRequest { batch: Some(true), ..send_request("T", &[("DELAY", "1")]) };
    assert_eq!(client.code_of(&delayed, batch_of(&["a"])).await.0, 13);
    let timed = batch::encode(&[Message::new("T", "a"), Message::new("T", "b").delay_time_sec(5)]).unwrap();
    let (code, remark) = client.code_of(&request, timed).await;
    assert!(code == 1 && remark.contains("timerWheelEnable is false"), "{code}: {remark}");
    assert_eq!(client.pull(&pull_request("T", 0, 0, "*")).await.code, 19);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn with_sync_flush_an_answer_means_that_the_disk_has_it() {
    let broker = TestBroker::with(|config| config.flush_disk_type = FlushDiskType::SyncFlush).await;
    let client = broker.client().await;
    let sends = (0..20).map(|number| {
        let client = &client;
        async move { client.send("T", &number.to_string(), &[]).await }
    });
    for send in sends {
        send.await;
    }
    client.send("T", "does not wait", &[("WAIT", "false")]).await;
    let request = SendMessageRequest { batch: Some(true), ..send_request("T", &[]) };
    assert_eq!(client.code_of(&request, batch_of(&["a", "b"])).await.0, 0);
    assert_eq!(client.pull(&pull_request("T", 0, 0, "*")).await.messages.len(), 23);
    broker.broker.shutdown().await;
}
