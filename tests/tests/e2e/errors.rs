//! What goes wrong is said: what, where, and what to do about it.

use std::time::{Duration, Instant};

use rocketmq_broker_lite::{NameServer, NamesrvConfig, TestCluster};
use rocketmq_client::{DefaultMQProducer, DefaultMQProducerBuilder, Error, ErrorKind, Message};
use tests::{Cluster, Collector, unique};
use tokio::net::TcpListener;

/// An address that nobody listens on: it was free a moment ago.
async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn producer(namesrv_addr: &str) -> DefaultMQProducerBuilder {
    DefaultMQProducer::builder("p").namesrv_addr(namesrv_addr)
}

async fn send_error(builder: DefaultMQProducerBuilder, message: Message) -> Error {
    let producer = builder.start().await.unwrap();
    let error = producer.send(message).await.unwrap_err();
    producer.shutdown().await;
    error
}

fn assert_says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[tokio::test]
async fn messages_that_no_broker_takes_are_refused_at_once() {
    // Nobody is there to ask: none of these gets as far as a route.
    let producer = producer(&closed_port().await).start().await.unwrap();
    let refused: [(Message, ErrorKind, &[&str]); 10] = [
        (Message::new("T", ""), ErrorKind::EmptyBody, &["body length is zero", "at least one byte"]),
        (
            Message::new("T", vec![0; 4 * 1024 * 1024 + 1]),
            ErrorKind::MessageTooLarge,
            &["MAX: 4194304", "4194305"],
        ),
        (Message::new("", "x"), ErrorKind::InvalidTopic, &["blank"]),
        (Message::new("a.b", "x"), ErrorKind::InvalidTopic, &["a.b", "'.'", "allowed"]),
        (Message::new("主题", "x"), ErrorKind::InvalidTopic, &["主题", "'主'"]),
        (Message::new("t".repeat(128), "x"), ErrorKind::InvalidTopic, &["128 bytes", "127"]),
        (Message::new("SCHEDULE_TOPIC_XXXX", "x"), ErrorKind::InvalidTopic, &["forbidden"]),
        (Message::new("T", "x").property("KEYS", "k"), ErrorKind::InvalidMessage, &["KEYS", "reserved"]),
        (Message::new("T", "x").property("p", "\u{1}"), ErrorKind::InvalidMessage, &["\"p\"", "separators"]),
        (Message::new("T", "x").property("p", "v".repeat(40_000)), ErrorKind::InvalidMessage, &["32767"]),
    ];
    for (message, kind, words) in refused {
        let error = producer.send(message).await.unwrap_err();
        assert_says(&error, kind, words);
        assert!(error.has_no_side_effects() && !error.is_retryable(), "{error}");
    }
    let batch = vec![Message::new("T", "x"), Message::new("U", "x")];
    assert_says(&producer.send(batch).await.unwrap_err(), ErrorKind::InvalidMessage, &["should be the same"]);
    let batch = vec![Message::new("T", "x"), Message::new("T", "x").delay_time_sec(5)];
    assert_says(&producer.send(batch).await.unwrap_err(), ErrorKind::InvalidMessage, &["timers"]);
    let error = producer.send(Vec::<Message>::new()).await.unwrap_err();
    assert_says(&error, ErrorKind::InvalidMessage, &["at least one message"]);
    producer.shutdown().await;
}

/// 127 bytes are the most, and are enough.
#[tokio::test]
async fn the_longest_topic_is_taken() {
    let mq = Cluster::start().await;
    let name = unique("long");
    let topic = format!("{name}{}", "x".repeat(127 - name.len()));
    let producer = mq.producer().start().await.unwrap();
    assert_eq!(producer.send(Message::new(topic.clone(), "x")).await.unwrap().message_queue.topic(), topic);
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn without_a_name_server_there_is_no_client() {
    // Only an empty list can be tested here: the environment's NAMESRV_ADDR is everybody's.
    let error = producer(" ; ").start().await.unwrap_err();
    assert_says(&error, ErrorKind::NoNameServer, &["No name server address", "namesrv_addr", "NAMESRV_ADDR"]);
    for wrong in ["localhost", "host:port", "127.0.0.1:99999"] {
        assert_says(
            &producer(wrong).start().await.unwrap_err(),
            ErrorKind::InvalidConfig,
            &[wrong, "host:port"],
        );
    }
}

#[tokio::test]
async fn a_name_server_that_is_not_there_is_named() {
    let (one, other) = (closed_port().await, closed_port().await);
    let error = send_error(producer(&format!("{one};{other}")), Message::new("T", "x")).await;
    assert_says(&error, ErrorKind::NameServerUnreachable, &[&one, &other, "Check that it runs"]);
    assert!(error.is_retryable() && error.has_no_side_effects());

    let inbox = Collector::new();
    let consumer = rocketmq_client::DefaultMQPushConsumer::builder("g").namesrv_addr(&one);
    let consumer = consumer.subscribe("T", "*").consume_concurrently(inbox.listener());
    assert_says(&consumer.start().await.unwrap_err(), ErrorKind::NameServerUnreachable, &[&one]);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_given_up_on_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let silent = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    let started = Instant::now();
    let builder = producer(&addr).mq_client_api_timeout(Duration::from_millis(300));
    let error = send_error(builder, Message::new("T", "x")).await;
    assert_says(&error, ErrorKind::NameServerUnreachable, &[&addr, "timeout"]);
    // The send's own timeout holds too, whatever the name server is given.
    let builder = producer(&addr).send_msg_timeout(Duration::from_millis(300));
    let error = send_error(builder, Message::new("T", "x")).await;
    assert_says(&error, ErrorKind::NameServerUnreachable, &["300 ms"]);
    assert!(started.elapsed() < Duration::from_secs(3), "it took {:?}", started.elapsed());
    silent.abort();
}

#[tokio::test]
async fn one_name_server_of_several_is_enough() {
    let mq = Cluster::start().await;
    let topic = unique("rotation");
    for _ in 0..4 {
        let addresses = format!("{};{};{}", closed_port().await, mq.namesrv_addr(), closed_port().await);
        let producer = producer(&addresses).send_msg_timeout(Duration::from_secs(20)).start().await.unwrap();
        let _ = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
        producer.shutdown().await;
    }
    mq.stop().await;
}

#[tokio::test]
async fn a_topic_that_nobody_knows_is_named_with_its_name_server() {
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let addr = namesrv.addr().to_string();
    let error = send_error(producer(&addr), Message::new("Unknown", "x")).await;
    assert_says(
        &error,
        ErrorKind::NoRoute,
        &[
            "No route info of this topic: Unknown",
            &addr,
            "TBW102",
            "create the topic",
            "autoCreateTopicEnable",
        ],
    );
    assert_eq!((error.response_code(), error.topic()), (Some(17), Some("Unknown")));
    namesrv.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_creates_no_topics_leads_to_the_same_error() {
    let builder = TestCluster::builder().configure_broker(|config| config.auto_create_topic_enable = false);
    let mq = Cluster::embedded(builder).await;
    let error = send_error(mq.producer(), Message::new("Unknown", "x")).await;
    assert_says(&error, ErrorKind::NoRoute, &["Unknown", "create the topic"]);
    mq.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_gone_is_named() {
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let broker = &mq.as_embedded().unwrap().brokers()[0];
    let addr = broker.addr().to_string();
    // One producer has a connection, the other only the route.
    let connected = mq.producer().start().await.unwrap();
    let _ = connected.send(Message::new("T", "x")).await.unwrap();
    let informed = mq.producer().start().await.unwrap();
    informed.fetch_publish_message_queues("T").await.unwrap();
    broker.shutdown().await;
    for producer in [&connected, &informed] {
        let error = producer.send(Message::new("T", "x")).await.unwrap_err();
        assert_says(&error, ErrorKind::Connect, &[&addr, "T", "broker-a"]);
        assert_eq!((error.broker_addr(), error.topic()), (Some(&*addr), Some("T")));
        assert!(error.has_no_side_effects() && error.is_retryable());
        assert_eq!(error.attempts().len(), 3, "{error}");
        assert!(error.attempts().iter().all(|attempt| attempt.broker_name == "broker-a"));
        producer.shutdown().await;
    }
    mq.stop().await;
}

/// What a broker says reaches the caller whole: code, remark, broker, topic.
#[tokio::test]
async fn a_brokers_refusal_is_passed_on_whole() {
    let builder = TestCluster::builder().configure_broker(|config| config.broker_permission = 4);
    let mq = Cluster::embedded(builder).await;
    let addr = mq.as_embedded().unwrap().broker_addr().to_string();
    let producer = mq.producer().start().await.unwrap();
    let error = match producer.send(Message::new("TBW102", "x")).await {
        Err(error) => error,
        Ok(sent) => panic!("a broker without permission to be written took {sent}"),
    };
    println!("{error}");
    assert!(matches!(error.kind(), ErrorKind::Broker | ErrorKind::NoRoute), "{error}");
    if error.kind() == ErrorKind::Broker {
        assert_eq!(error.broker_addr(), Some(&*addr));
        assert!(error.response_code().is_some() && error.to_string().contains("DESC:"), "{error}");
    }
    assert_eq!(error.topic(), Some("TBW102"));
    producer.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn a_selector_that_chooses_no_queue_is_told_so() {
    let mq = Cluster::start().await;
    let topic = unique("selector");
    let producer = mq.producer().start().await.unwrap();
    let request = rocketmq_client::SendRequest::new(Message::new(topic.clone(), "x"))
        .select_queue(|queues, _| queues.len());
    assert_says(
        &producer.send(request).await.unwrap_err(),
        ErrorKind::InvalidArgument,
        &["chose queue 4 of 4"],
    );
    producer.shutdown().await;
    mq.stop().await;
}
