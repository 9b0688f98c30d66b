//! How often the client allocates for a message that it consumes.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::alloc::System;
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
use rocketmq_protocol::request::{PullMessageRequest, PullMessageResponse};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// As a pull brings them by default.
const BATCH: i64 = 32;
const BATCHES: i64 = 400;
/// For the first messages everything is allocated that is used again later.
const WARM: usize = 64 * 32;

/// Name server and broker in one. Each answer to a pull is made beforehand, but for its header.
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

#[tokio::test]
async fn a_consumed_message_costs_four_allocations_at_the_most() {
    let answers = (0..BATCHES).map(answer).collect();
    let broker = Arc::new(Broker { answers, client_id: watch::Sender::default() });
    let addr = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(addr, ListenerConfig::default(), broker, TaskTracker::new()).await.unwrap();
    let all = usize::try_from(BATCH * BATCHES).unwrap();
    let (count, (done, mut ended)) = (AtomicUsize::new(0), watch::channel(None));
    let started = std::sync::OnceLock::new();
    let consumer = DefaultMQPushConsumer::builder("g")
        .namesrv_addr(listener.local_addr().to_string())
        .consume_from_where(ConsumeFromWhere::FirstOffset)
        .persist_consumer_offset_interval(Duration::from_secs(3600))
        .subscribe("T", "*")
        .consume_concurrently(move |_, _| {
            match count.fetch_add(1, Ordering::Relaxed) + 1 {
                WARM => drop(started.set(ALLOCATOR.stats())),
                now if now == all => {
                    done.send_replace(started.get().map(|started| ALLOCATOR.stats() - *started));
                }
                _ => {}
            }
            std::future::ready(ConsumeConcurrentlyStatus::ConsumeSuccess)
        })
        .start()
        .await
        .unwrap();
    let stats = tokio::time::timeout(Duration::from_secs(60), ended.wait_for(Option::is_some)).await;
    let stats = stats.expect("all messages come").unwrap().unwrap();
    consumer.shutdown().await;
    let messages = all - WARM;
    let each =
        |count: usize| f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(messages).unwrap());
    println!(
        "{:.2} allocations and {:.2} reallocations a message",
        each(stats.allocations),
        each(stats.reallocations)
    );
    assert!(each(stats.allocations + stats.reallocations) <= 4.0);
}
