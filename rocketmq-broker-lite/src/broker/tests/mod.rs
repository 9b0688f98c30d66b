//! A broker on a temporary store, and a client that says exactly what a test wants it to say.

mod bad_input;
mod consumers;
mod delayed;
mod durability;
mod flood;
mod held_pulls;
mod hung_read;
mod hung_write;
mod offsets;
mod pull;
mod registration;
mod restart;
mod retry;
mod send;
mod topic_saves;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::heartbeat::{ConsumerData, HeartbeatData, ProducerData};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::subscription::SubscriptionData;
use rocketmq_protocol::code::RequestCode;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::{FieldSink, HeaderFields, NoFields};
use rocketmq_protocol::message::wire::{WireMessageExt, WireProperties};
use rocketmq_protocol::message::{AUTO_CREATE_TOPIC_KEY, MessageExt, Properties};
use rocketmq_protocol::remoting::{self, Connection, ConnectionConfig, Handler, Responder};
use rocketmq_protocol::request::{
    HeartbeatRequest, PullMessageRequest, PullMessageResponse, Request, SendBackRequest, SendMessageRequest,
    SendMessageResponse, pull_sys_flag,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::Broker;
use super::start::READERS;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::error::StartError;
use crate::store::fs::{Fs, OsFs};

const PATIENCE: Duration = Duration::from_secs(20);

struct TestBroker {
    broker: Broker,
    clock: Clock,
    config: BrokerConfig,
    directory: Arc<TempDir>,
    fs: Arc<dyn Fs>,
}

impl TestBroker {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::on(Arc::new(OsFs), configure).await
    }

    /// One whose files are as a test likes.
    async fn on(fs: Arc<dyn Fs>, configure: impl FnOnce(&mut BrokerConfig)) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut config = BrokerConfig {
            broker_name: "broker-a".into(),
            store_path_root_dir: directory.path().join("store"),
            mapped_file_size_commit_log: 16 << 20,
            mapped_file_size_consume_queue: 20_000,
            ..BrokerConfig::default()
        };
        configure(&mut config);
        let clock = Clock::default();
        let broker = Broker::start_on(config.clone(), clock.clone(), Arc::clone(&fs)).await.unwrap();
        Self { broker, clock, config, directory, fs }
    }

    /// Another broker on the same store, after this one was shut down.
    async fn restart(self) -> Self {
        self.broker.shutdown().await;
        self.start_again().await
    }

    /// Another broker on the same store, after this one was dropped without a word.
    async fn crash(self) -> Self {
        self.start_again().await
    }

    async fn start_again(self) -> Self {
        let Self { broker, clock, config, directory, fs } = self;
        drop(broker);
        let start = async {
            loop {
                match Broker::start_on(config.clone(), clock.clone(), Arc::clone(&fs)).await {
                    Ok(broker) => return broker,
                    // The tasks of the dropped one still have to end.
                    Err(StartError::Store { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let broker = tokio::time::timeout(PATIENCE, start).await.unwrap();
        Self { broker, clock, config, directory, fs }
    }

    async fn client(&self) -> Client {
        let (sender, requests) = mpsc::unbounded_channel();
        let tasks = TaskTracker::new();
        let handler = Arc::new(Listening(sender));
        let addr = self.broker.addr().to_string();
        let connection =
            remoting::connect(&addr, PATIENCE, ConnectionConfig::default(), handler, &tasks).await.unwrap();
        Client { connection, requests }
    }
}

struct Listening(mpsc::UnboundedSender<RemotingCommand>);

impl Handler for Listening {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        responder.forget();
        // The test may be over.
        let _ = self.0.send(request);
    }
}

struct Client {
    connection: Connection,
    /// What the broker asks of this client.
    requests: mpsc::UnboundedReceiver<RemotingCommand>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.close("the test is over");
    }
}

impl Client {
    async fn call<R: Request>(&self, request: &R, body: impl Into<Bytes>) -> RemotingCommand {
        self.connection.invoke(request, body.into(), PATIENCE).await.unwrap()
    }

    /// The code and the remark of the answer.
    async fn code_of<R: Request>(&self, request: &R, body: impl Into<Bytes>) -> (i32, String) {
        let answer = self.call(request, body).await;
        (answer.code(), answer.remark().unwrap_or_default().to_owned())
    }

    /// Sends a message that must be stored.
    async fn send(&self, topic: &str, body: &str, properties: &[(&str, &str)]) -> SendMessageResponse {
        let answer = self.call(&send_request(topic, properties), body.to_owned()).await;
        assert!(answer.is_success(), "{} {:?}", answer.code(), answer.remark());
        answer.header().unwrap()
    }

    async fn pull(&self, request: &PullMessageRequest) -> PullAnswer {
        PullAnswer::of(&self.call(request, Bytes::new()).await)
    }

    /// Joins a group as its consumer of these topics.
    async fn join(&self, client_id: &str, group: &str, subscriptions: &[(&str, &str)]) {
        let data = HeartbeatData {
            client_id: client_id.into(),
            consumer_data_set: vec![ConsumerData {
                group_name: group.into(),
                subscription_data_set: subscriptions
                    .iter()
                    .map(|(topic, tags)| SubscriptionData::by_tag(topic, tags, 1))
                    .collect(),
                ..ConsumerData::default()
            }],
            producer_data_set: vec![ProducerData { group_name: "CLIENT_INNER_PRODUCER".into() }],
        };
        let answer = self.call(&HeartbeatRequest, json::to_vec(&data).unwrap()).await;
        assert!(answer.is_success(), "{:?}", answer.remark());
    }

    /// The group that the broker says has changed.
    async fn notice(&mut self) -> ByteString {
        let request = tokio::time::timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap();
        assert_eq!(request.code(), RequestCode::NotifyConsumerIdsChanged.as_i32());
        request.field("consumerGroup").unwrap()
    }
}

struct PullAnswer {
    code: i32,
    remark: String,
    header: Option<PullMessageResponse>,
    messages: Vec<MessageExt>,
}

impl PullAnswer {
    fn of(answer: &RemotingCommand) -> Self {
        let mut messages = Vec::new();
        let mut rest = answer.body().clone();
        while !rest.is_empty() {
            let (message, behind) = MessageExt::decode(&rest).unwrap();
            messages.push(message);
            rest = behind;
        }
        Self {
            code: answer.code(),
            remark: answer.remark().unwrap_or_default().to_owned(),
            header: answer.header().ok(),
            messages,
        }
    }

    fn bodies(&self) -> Vec<String> {
        self.messages.iter().map(|message| String::from_utf8(message.body().to_vec()).unwrap()).collect()
    }

    fn next_offset(&self) -> i64 {
        self.header.as_ref().unwrap().next_begin_offset
    }
}

fn send_request(topic: &str, properties: &[(&str, &str)]) -> SendMessageRequest {
    let properties: Properties = properties.iter().copied().collect();
    SendMessageRequest {
        producer_group: "p".into(),
        topic: topic.into(),
        default_topic: AUTO_CREATE_TOPIC_KEY.into(),
        default_topic_queue_nums: 4,
        queue_id: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 7,
        properties: Some(properties.to_wire()),
        reconsume_times: None,
        unit_mode: None,
        max_reconsume_times: None,
        batch: None,
        broker_name: None,
    }
}

/// A pull that brings its own subscription and does not wait.
fn pull_request(topic: &str, queue_id: i32, offset: i64, tags: &str) -> PullMessageRequest {
    PullMessageRequest {
        consumer_group: "g".into(),
        topic: topic.into(),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: pull_sys_flag::SUBSCRIPTION,
        commit_offset: 0,
        suspend_timeout_millis: 15_000,
        subscription: Some(tags.into()),
        sub_version: 1,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        broker_name: None,
    }
}

/// A pull that brings its own subscription and waits.
fn waiting_pull(topic: &str, queue_id: i32, offset: i64, tags: &str) -> PullMessageRequest {
    let request = pull_request(topic, queue_id, offset, tags);
    PullMessageRequest { sys_flag: request.sys_flag | pull_sys_flag::SUSPEND, ..request }
}

/// A request with any fields.
struct Raw(RequestCode, Vec<(&'static str, &'static str)>);

impl HeaderFields for Raw {
    fn write_fields(&self, sink: &mut impl FieldSink) {
        self.1.iter().for_each(|(key, value)| sink.text(key, value));
    }
}

impl Request for Raw {
    type Response = NoFields;

    fn code(&self) -> RequestCode {
        self.0
    }
}

fn send_back_request(group: &str, offset: i64) -> SendBackRequest {
    SendBackRequest {
        offset,
        group: group.into(),
        delay_level: 0,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: None,
        max_reconsume_times: None,
        broker_name: None,
    }
}

/// Waits until something is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
