//! How often the client allocates for a message that it consumes.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
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
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// As a pull brings them by default.
const BATCH: i64 = 32;
const BATCHES: i64 = 400;
/// For the first messages everything is allocated that is used again later.
const WARM: i64 = 64 * BATCH;
const MOST_A_MESSAGE: i64 = 4;

/// Name server and broker in one, on a thread of its own: allocations are counted by thread.
struct Broker {
    answers: Vec<Bytes>,
    client_id: watch::Sender<String>,
}

impl Handler for Broker {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
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
            RequestCode::QueryConsumerOffset => responder.error(ResponseCode::QueryNotFound, "nothing"),
            RequestCode::PullMessage => self.answer_pull(&request, responder),
            _ => responder.success(&NoFields, Bytes::new()),
        }
    }
}

impl Broker {
    fn answer_pull(&self, request: &RemotingCommand, responder: Responder) {
        let header: PullMessageRequest = request.header().unwrap();
        let answer = usize::try_from(header.queue_offset / BATCH).unwrap();
        let answer = self.answers.get(answer).filter(|_| &*header.topic == "T");
        let Some(answer) = answer else { return responder.forget() };
        let bounds = PullMessageResponse {
            suggest_which_broker_id: 0,
            next_begin_offset: header.queue_offset + BATCH,
            min_offset: 0,
            max_offset: BATCH * BATCHES,
        };
        responder.success(&bounds, answer.clone());
    }
}

fn route(addr: SocketAddr) -> TopicRouteData {
    let broker = BrokerData {
        broker_addrs: BTreeMap::from([(0, addr.to_string())]),
        broker_name: "b".into(),
        cluster: "C".into(),
    };
    let queues = QueueData {
        broker_name: "b".into(),
        perm: perm::READ | perm::WRITE,
        read_queue_nums: 1,
        write_queue_nums: 1,
        topic_sys_flag: 0,
    };
    TopicRouteData { broker_datas: vec![broker], queue_datas: vec![queues], ..TopicRouteData::default() }
}

fn answer(batch: i64) -> Bytes {
    let host = "127.0.0.1:10911".parse().unwrap();
    let mut bytes = Vec::new();
    for queue_offset in batch * BATCH..(batch + 1) * BATCH {
        let record = Record {
            queue_id: 0,
            flag: 0,
            queue_offset,
            physical_offset: queue_offset * 1200,
            sys_flag: SysFlag::default(),
            born_timestamp: 1,
            born_host: host,
            store_timestamp: 1,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &[b'x'; 1024],
            topic: b"T",
            properties: b"KEYS\x01k1\x02UNIQ_KEY\x017F000001000018B4AAC2000000000000\x02WAIT\x01true\x02TAGS\x01TagA\x02",
        };
        record.encode(&mut bytes).unwrap();
    }
    bytes.into()
}

/// Runs the broker until the test ends; its address.
fn start_broker() -> SocketAddr {
    let (sender, started) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answers = (0..BATCHES).map(answer).collect();
            let broker = Arc::new(Broker { answers, client_id: watch::Sender::default() });
            let addr = "127.0.0.1:0".parse().unwrap();
            let tasks = TaskTracker::new();
            let listener = Listener::bind(addr, ListenerConfig::default(), broker, tasks).await.unwrap();
            sender.send(listener.local_addr()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    started.recv().unwrap()
}

#[test]
fn a_consumed_message_costs_four_allocations_at_the_most() {
    let broker = start_broker();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (done, mut consumed) = watch::channel(0);
    let consumer = DefaultMQPushConsumer::builder("g")
        .namesrv_addr(broker.to_string())
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .persist_consumer_offset_interval(Duration::from_secs(3600))
        .subscribe("T", "*")
        .consume_concurrently(move |_, _| {
            done.send_modify(|count| *count += 1);
            std::future::ready(ConsumeConcurrentlyStatus::ConsumeSuccess)
        });
    let consumer = runtime.block_on(consumer.start()).unwrap();
    // The consumer's tasks run only while this waits.
    let mut wait_for = |count: i64| {
        let enough = async { *consumed.wait_for(|consumed| *consumed >= count).await.unwrap() };
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), enough).await }).unwrap()
    };
    let warm = wait_for(WARM);
    let mut all = 0;
    let counted = allocation_counter::measure(|| all = wait_for(BATCH * BATCHES));
    runtime.block_on(consumer.shutdown());
    let (messages, allocations) = (all - warm, i64::try_from(counted.count_total).unwrap());
    println!("{allocations} allocations for {messages} messages");
    assert!(allocations <= MOST_A_MESSAGE * messages, "{allocations} allocations for {messages} messages");
}
