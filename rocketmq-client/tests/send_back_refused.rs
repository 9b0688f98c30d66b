//! A broker that takes nothing back: the message is not lost, and no offset is committed past it.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_client::{ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer};
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::heartbeat::HeartbeatData;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::message::SysFlag;
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder};
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse, UpdateConsumerOffsetRequest};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(60);

/// Name server and broker in one: topic `T` holds one message, everything that is sent or given back is refused.
struct Refusing {
    client_id: watch::Sender<String>,
    /// What the client gives away.
    events: mpsc::UnboundedSender<Event>,
    /// What it commits of `T`.
    committed: watch::Sender<i64>,
}

#[derive(Debug, PartialEq)]
enum Event {
    GivenBack,
    SentToRetryTopic,
}

impl Handler for Refusing {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        let note = |event| self.events.send(event).unwrap();
        match RequestCode::from_i32(request.code()).unwrap() {
            RequestCode::GetRouteInfoByTopic => {
                let route = route(responder.connection().local_addr());
                responder.success(&NoFields, json::to_vec(&route).unwrap().into());
            }
            RequestCode::HeartBeat => {
                let beat: HeartbeatData = json::from_slice(request.body()).unwrap();
                self.client_id.send_replace(beat.client_id);
                responder.success(&NoFields, Bytes::new());
            }
            RequestCode::GetConsumerListByGroup => {
                let members = ConsumerList { consumer_id_list: vec![self.client_id.borrow().clone()] };
                responder.success(&NoFields, json::to_vec(&members).unwrap().into());
            }
            RequestCode::QueryConsumerOffset => {
                responder.error(ResponseCode::QueryNotFound, "nothing committed")
            }
            RequestCode::PullMessage => answer_pull(&request, responder),
            RequestCode::ConsumerSendMsgBack => {
                note(Event::GivenBack);
                responder.error(ResponseCode::SystemError, "refused");
            }
            RequestCode::SendMessage | RequestCode::SendMessageV2 => {
                note(Event::SentToRetryTopic);
                responder.error(ResponseCode::SystemError, "refused");
            }
            RequestCode::UpdateConsumerOffset => {
                let header: UpdateConsumerOffsetRequest = request.header().unwrap();
                if &*header.topic == "T" {
                    self.committed.send_replace(header.commit_offset);
                }
                responder.success(&NoFields, Bytes::new());
            }
            _ => responder.success(&NoFields, Bytes::new()),
        }
    }
}

fn route(addr: SocketAddr) -> TopicRouteData {
    TopicRouteData {
        broker_datas: vec![BrokerData {
            broker_addrs: BTreeMap::from([(0, addr.to_string())]),
            broker_name: "b".into(),
            cluster: "C".into(),
        }],
        queue_datas: vec![QueueData {
            broker_name: "b".into(),
            perm: perm::READ | perm::WRITE,
            read_queue_nums: 1,
            write_queue_nums: 1,
            topic_sys_flag: 0,
        }],
        ..TopicRouteData::default()
    }
}

fn answer_pull(request: &RemotingCommand, responder: Responder) {
    let header: PullMessageRequest = request.header().unwrap();
    if &*header.topic != "T" || header.queue_offset > 0 {
        // Held for ever: there is nothing more.
        return responder.forget();
    }
    let addr = responder.connection().local_addr();
    let record = Record {
        queue_id: 0,
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: SysFlag::default(),
        born_timestamp: 0,
        born_host: addr,
        store_timestamp: 0,
        store_host: addr,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: b"precious",
        topic: b"T",
        properties: b"",
    };
    let mut body = Vec::new();
    record.encode(&mut body).unwrap();
    let bounds = PullMessageResponse {
        suggest_which_broker_id: 0,
        next_begin_offset: 1,
        min_offset: 0,
        max_offset: 1,
    };
    responder.success(&bounds, body.into());
}

#[tokio::test]
async fn a_message_that_no_broker_takes_back_stays_and_comes_again() {
    let (events, mut asked) = mpsc::unbounded_channel();
    let (commits, mut committed) = watch::channel(0);
    let handler = Refusing { client_id: watch::Sender::default(), events, committed: commits };
    let addr = "127.0.0.1:0".parse().unwrap();
    let listener =
        Listener::bind(addr, ListenerConfig::default(), Arc::new(handler), TaskTracker::new()).await.unwrap();
    let (calls, mut called) = mpsc::unbounded_channel();
    let count = AtomicUsize::new(0);
    let seen_by_listener = committed.clone();
    let consumer = DefaultMQPushConsumer::builder("g")
        .namesrv_addr(listener.local_addr().to_string())
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        // Often: a commit that must not be would be seen.
        .persist_consumer_offset_interval(Duration::from_millis(10))
        .subscribe("T", "*")
        .consume_concurrently(move |msgs, _| {
            calls.send((msgs[0].reconsume_times(), *seen_by_listener.borrow())).unwrap();
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    ConsumeConcurrentlyStatus::ReconsumeLater
                } else {
                    ConsumeConcurrentlyStatus::ConsumeSuccess
                }
            }
        })
        .start()
        .await
        .unwrap();

    // Each call with what was committed by then.
    assert_eq!(tokio::time::timeout(PATIENCE, called.recv()).await.unwrap(), Some((0, 0)));
    assert_eq!(tokio::time::timeout(PATIENCE, called.recv()).await.unwrap(), Some((1, 0)));
    assert_eq!(asked.recv().await, Some(Event::GivenBack));
    assert_eq!(asked.recv().await, Some(Event::SentToRetryTopic));
    tokio::time::timeout(PATIENCE, committed.wait_for(|offset| *offset == 1)).await.unwrap().unwrap();
    assert!(called.is_empty() && asked.is_empty());
    consumer.shutdown().await;
    listener.shutdown("the test is over").await;
}
