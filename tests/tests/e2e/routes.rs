//! Routes as the releases write them.

use std::sync::Arc;

use bytes::Bytes;
use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{DefaultMQProducer, Message};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder};
use tests::Cluster;
use tokio_util::task::TaskTracker;

/// A name server that answers every route query with one text.
struct OneRoute(String);

impl Handler for OneRoute {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        match request.code() {
            105 => responder.success(&NoFields, Bytes::from(self.0.clone())),
            _ => responder.error(ResponseCode::RequestCodeNotSupported.as_i32(), "only routes here"),
        }
    }
}

/// Sends through a name server that answers like `route`, in which BROKER stands for the broker's address.
async fn send_by_route(route: &str) {
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let addr = mq.as_embedded().unwrap().broker_addr().to_string();
    let handler = Arc::new(OneRoute(route.replace("BROKER", &addr)));
    let any = "127.0.0.1:0".parse().unwrap();
    let tasks = TaskTracker::new();
    let namesrv = Listener::bind(any, ListenerConfig::default(), handler, tasks).await.unwrap();
    let producer = DefaultMQProducer::builder("p").namesrv_addr(namesrv.local_addr().to_string());
    let producer = producer.start().await.unwrap();
    let sent = producer.send(Message::new("TopicTest", "x")).await;
    assert_eq!(
        sent.unwrap_or_else(|error| panic!("{route}: {error}")).message_queue.broker_name(),
        "broker-a"
    );
    producer.shutdown().await;
    namesrv.shutdown("the test ends").await;
    mq.stop().await;
}

/// fastjson's dialect: numbers as keys, and none of the fields of later releases.
#[tokio::test]
async fn a_route_of_4_9_is_understood() {
    send_by_route(
        r#"{"brokerDatas":[{"brokerAddrs":{0:"BROKER"},"brokerName":"broker-a","cluster":"DefaultCluster"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#,
    )
    .await;
    // Before 4.9.4 the flag's name was misspelt.
    send_by_route(
        r#"{"brokerDatas":[{"brokerAddrs":{0:"BROKER"},"brokerName":"broker-a","cluster":"DefaultCluster"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSynFlag":0,"writeQueueNums":4}]}"#,
    )
    .await;
}

#[tokio::test]
async fn a_route_of_5_x_is_understood() {
    send_by_route(
        r#"{"brokerDatas":[{"brokerAddrs":{"0":"BROKER"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false,"zoneName":null}],"filterServerTable":{},"orderTopicConf":null,"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}],"topicQueueMappingByBroker":null,"aFieldOfTomorrow":[{"x":1}]}"#,
    )
    .await;
}

#[tokio::test]
async fn a_route_without_what_is_not_needed_is_understood() {
    send_by_route(
        r#"{"brokerDatas":[{"brokerAddrs":{0:"BROKER"},"brokerName":"broker-a"}],"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"writeQueueNums":4}]}"#,
    )
    .await;
}
