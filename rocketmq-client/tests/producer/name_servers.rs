//! Name servers that hang or are gone.

use std::error::Error as _;
use std::time::Duration;

use futures_util::future::join_all;
use rocketmq_client::{DefaultMQProducer, DefaultMQProducerBuilder, ErrorKind, Message};

use crate::cluster::{FakeBroker, FakeNameServer, PATIENCE, closed_port};
use crate::peers::hanging_peer;

/// Half of them start at the first name server, half at the second: this many make it all but certain that both happen.
const PRODUCERS: usize = 24;

fn builder(name_servers: &str) -> DefaultMQProducerBuilder {
    DefaultMQProducer::builder("g").namesrv_addr(name_servers)
}

#[tokio::test]
async fn with_one_of_two_name_servers_hanging_no_send_fails() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let both = format!("{};{}", hanging_peer().await, name_server.addr);
    let sends = (0..PRODUCERS).map(|_| async {
        let producer = builder(&both).start().await.unwrap();
        producer.send(Message::new("T", "b")).await.unwrap();
        producer.send(Message::new("T2", "b")).await.unwrap();
        producer.shutdown().await;
    });
    join_all(sends).await;
    assert_eq!(broker.received().len(), 2 * PRODUCERS);
}

/// The time that a question may take is of no matter: the next server is asked soon.
#[tokio::test]
async fn a_hanging_name_server_costs_a_start_no_more_than_a_head_start() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let three = format!("{};{};{}", hanging_peer().await, hanging_peer().await, name_server.addr);
    let sends = (0..PRODUCERS).map(|_| async {
        let patient = builder(&three).mq_client_api_timeout(10 * PATIENCE).send_msg_timeout(10 * PATIENCE);
        let producer = patient.start().await.unwrap();
        producer.send(Message::new("T", "b")).await.unwrap();
        producer.shutdown().await;
    });
    tokio::time::timeout(PATIENCE, join_all(sends)).await.expect("a share of the time was waited for");
}

#[tokio::test]
async fn a_question_outlives_the_sends_that_had_no_time_for_it() {
    let broker = FakeBroker::start("a").await;
    let name_server = FakeNameServer::start(&[&broker]).await;
    let both = format!("{};{}", hanging_peer().await, name_server.addr);
    let sends = (0..PRODUCERS).map(|_| async {
        let hasty = builder(&both)
            .mq_client_api_timeout(Duration::from_secs(4))
            .send_msg_timeout(Duration::from_millis(100));
        let producer = hasty.start().await.unwrap();
        // A send whose question hangs leaves it to the next one.
        while let Err(error) = producer.send(Message::new("T", "b")).await {
            assert_eq!(error.topic(), Some("T"), "{error}");
            assert!(error.is_retryable(), "{error}");
        }
        producer.shutdown().await;
    });
    tokio::time::timeout(PATIENCE, join_all(sends)).await.unwrap();
    assert!(name_server.queries() < 2 * PRODUCERS, "a question is asked once, not by every send");
}

#[tokio::test]
async fn an_error_of_the_name_servers_names_topic_and_source() {
    let none = closed_port().await;
    let producer = builder(&none.to_string()).start().await.unwrap();
    let error = producer.send(Message::new("T", "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.topic()), (ErrorKind::NameServerUnreachable, Some("T")), "{error}");
    assert_eq!(error.broker_addr(), Some(none.to_string().as_str()));
    assert!(error.source().is_some() && error.is_retryable() && error.has_no_side_effects(), "{error:?}");
    producer.shutdown().await;
}
