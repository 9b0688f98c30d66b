//! What one send costs in allocations, those of the connection included.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use rocketmq_client::{DefaultMQProducer, Message};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder};
use rocketmq_protocol::request::SendMessageResponse;
use tokio_util::task::TaskTracker;

const SENDS: u64 = 1_000;
const MOST_A_SEND: u64 = 4;

/// Name server and broker in one, on a thread of its own: allocations are counted by thread.
struct Peer;

impl Handler for Peer {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        match RequestCode::from_i32(request.code()) {
            Some(RequestCode::GetRouteInfoByTopic) => {
                let route = route(&responder.connection().local_addr().to_string());
                responder.success(&NoFields, json::to_vec(&route).unwrap().into());
            }
            Some(RequestCode::SendMessageV2) => {
                let stored = SendMessageResponse {
                    msg_id: "7F00000100002A9F0000000000000000".into(),
                    queue_id: request.field("e").unwrap().parse().unwrap(),
                    queue_offset: 7,
                    transaction_id: None,
                    region_id: Some("DefaultRegion".into()),
                    trace_on: Some("true".into()),
                    recall_handle: None,
                };
                responder.success(&stored, Bytes::new());
            }
            Some(_) => responder.success(&NoFields, Bytes::new()),
            None => responder.error(ResponseCode::RequestCodeNotSupported, "not in this test"),
        }
    }
}

fn route(addr: &str) -> TopicRouteData {
    let broker = BrokerData {
        broker_addrs: BTreeMap::from([(0, addr.to_owned())]),
        broker_name: "broker".into(),
        cluster: "C".into(),
    };
    let queues = QueueData {
        broker_name: "broker".into(),
        perm: perm::READ | perm::WRITE,
        read_queue_nums: 4,
        write_queue_nums: 4,
        topic_sys_flag: 0,
    };
    TopicRouteData { broker_datas: vec![broker], queue_datas: vec![queues], ..TopicRouteData::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Starts the peer; it ends when the sender that comes back is dropped.
fn start_peer() -> (String, tokio::sync::oneshot::Sender<()>) {
    let (addr, started) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let any = "127.0.0.1:0".parse().unwrap();
            let listener = Listener::bind(any, ListenerConfig::default(), Arc::new(Peer), TaskTracker::new());
            let listener = listener.await.unwrap();
            addr.send(listener.local_addr().to_string()).unwrap();
            // An error says that the test is over.
            let _ = stopped.await;
        });
    });
    (started.recv().unwrap(), stop)
}

#[test]
fn a_send_makes_at_most_four_allocations() {
    let (addr, _stop) = start_peer();
    let runtime = runtime();
    let producer = runtime.block_on(async {
        let producer = DefaultMQProducer::builder("g").namesrv_addr(addr).start().await.unwrap();
        for _ in 0..SENDS {
            producer.send(Message::new("TopicTest", "warm")).await.unwrap();
        }
        producer
    });
    let messages: Vec<_> =
        (0..SENDS).map(|_| Message::new("TopicTest", Bytes::from_static(&[7; 1024]))).collect();
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for message in messages {
                producer.send(message).await.unwrap();
            }
        });
    });
    // Buffers that adapt may grow once more.
    let rare = SENDS / 100;
    let (total, most) = (counted.count_total, MOST_A_SEND * SENDS + rare);
    assert!(total <= most, "{total} allocations in {SENDS} sends; {most} are the most");
    runtime.block_on(producer.shutdown());
}
