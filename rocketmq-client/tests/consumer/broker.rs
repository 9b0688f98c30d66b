//! Brokers, and a name server, that do what a test wants and tell what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_client::{
    ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus, ConsumeFromWhere, DefaultMQPushConsumer,
    DefaultMQPushConsumerBuilder, MessageExt,
};
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::heartbeat::HeartbeatData;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::message::SysFlag;
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::remoting::{Connection, Handler, Listener, ListenerConfig, Responder};
use rocketmq_protocol::request::{
    NotifyConsumerIdsChanged, OffsetResponse, PullMessageRequest, PullMessageResponse,
    QueryConsumerOffsetRequest, SendBackRequest, SendMessageRequest, UnregisterClientRequest,
    UpdateConsumerOffsetRequest,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a broker was asked, of the things that tests look at. Offsets are those of topic `T`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Offset {
        queue_id: i32,
    },
    Commit {
        queue_id: i32,
        offset: i64,
    },
    Pull {
        queue_id: i32,
        offset: i64,
    },
    SendBack {
        physical_offset: i64,
        delay_level: i32,
    },
    Send {
        sys_flag: i32,
        body: Bytes,
    },
    /// Who is in the group: so many are.
    Members {
        count: usize,
    },
    Unregister,
}

/// What a test wants in place of what a broker would do by itself.
pub(crate) enum Reply {
    Usual,
    Silence,
    /// What it would do by itself, that much later.
    Late(Duration),
    Refuse(ResponseCode),
    /// To a pull: the offset is out of range, go on there.
    OffsetMoved(i64),
}

type Decide = Box<dyn FnMut(&Asked) -> Reply + Send>;

/// A broker that has a topic `T`, every retry topic (empty), and whoever sends heartbeats in its group.
pub(crate) struct FakeBroker {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    asked: tokio::sync::Mutex<mpsc::UnboundedReceiver<Asked>>,
    listener: Listener,
}

struct State {
    this: Weak<State>,
    table: Mutex<Table>,
    decide: Mutex<Decide>,
    asked: mpsc::UnboundedSender<Asked>,
}

#[derive(Default)]
struct Table {
    /// Of each queue, by offset.
    records: BTreeMap<i32, BTreeMap<i64, Bytes>>,
    committed: BTreeMap<i32, i64>,
    members: BTreeSet<String>,
    connections: Vec<Connection>,
}

impl Handler for State {
    fn connected(&self, connection: &Connection) {
        self.table.lock().unwrap().connections.push(connection.clone());
    }

    fn handle(&self, request: RemotingCommand, responder: Responder) {
        let reply = match self.of_interest(&request) {
            Some(asked) => {
                let reply = (self.decide.lock().unwrap())(&asked);
                // The test may be over.
                let _ = self.asked.send(asked);
                reply
            }
            None => Reply::Usual,
        };
        match reply {
            Reply::Usual => self.answer(&request, responder),
            Reply::Silence => responder.forget(),
            Reply::Late(by) => {
                let state = self.this.upgrade().unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    state.answer(&request, responder);
                });
            }
            Reply::Refuse(code) => responder.error(code, "as the test wants it"),
            Reply::OffsetMoved(next) => {
                let code = ResponseCode::PullOffsetMoved.as_i32();
                responder.send(code, None, &bounds(next), Bytes::new());
            }
        }
    }
}

impl State {
    fn of_interest(&self, request: &RemotingCommand) -> Option<Asked> {
        match RequestCode::from_i32(request.code()).unwrap() {
            RequestCode::QueryConsumerOffset => {
                let header: QueryConsumerOffsetRequest = request.header().unwrap();
                (&*header.topic == "T").then_some(Asked::Offset { queue_id: header.queue_id })
            }
            RequestCode::UpdateConsumerOffset => {
                let header: UpdateConsumerOffsetRequest = request.header().unwrap();
                let (queue_id, offset) = (header.queue_id, header.commit_offset);
                (&*header.topic == "T").then_some(Asked::Commit { queue_id, offset })
            }
            RequestCode::PullMessage => {
                let header: PullMessageRequest = request.header().unwrap();
                let (queue_id, offset) = (header.queue_id, header.queue_offset);
                (&*header.topic == "T").then_some(Asked::Pull { queue_id, offset })
            }
            RequestCode::ConsumerSendMsgBack => {
                let header: SendBackRequest = request.header().unwrap();
                let (physical_offset, delay_level) = (header.offset, header.delay_level);
                Some(Asked::SendBack { physical_offset, delay_level })
            }
            RequestCode::SendMessage | RequestCode::SendMessageV2 => {
                let header: SendMessageRequest = request.header().unwrap();
                Some(Asked::Send { sys_flag: header.sys_flag, body: request.body().clone() })
            }
            RequestCode::GetConsumerListByGroup => {
                Some(Asked::Members { count: self.table.lock().unwrap().members.len() })
            }
            RequestCode::UnregisterClient => Some(Asked::Unregister),
            _ => None,
        }
    }

    fn answer(&self, request: &RemotingCommand, responder: Responder) {
        let mut table = self.table.lock().unwrap();
        match RequestCode::from_i32(request.code()).unwrap() {
            RequestCode::HeartBeat => {
                let beat: HeartbeatData = json::from_slice(request.body()).unwrap();
                table.members.insert(beat.client_id);
                responder.success(&NoFields, Bytes::new());
            }
            RequestCode::UnregisterClient => {
                let header: UnregisterClientRequest = request.header().unwrap();
                table.members.remove(&*header.client_id);
                responder.success(&NoFields, Bytes::new());
            }
            RequestCode::GetConsumerListByGroup => {
                let members = ConsumerList { consumer_id_list: table.members.iter().cloned().collect() };
                responder.success(&NoFields, json::to_vec(&members).unwrap().into());
            }
            RequestCode::QueryConsumerOffset => {
                let header: QueryConsumerOffsetRequest = request.header().unwrap();
                match table.committed.get(&header.queue_id).filter(|_| &*header.topic == "T") {
                    Some(offset) => responder.success(&OffsetResponse { offset: *offset }, Bytes::new()),
                    None => responder.error(ResponseCode::QueryNotFound, "nothing committed"),
                }
            }
            RequestCode::UpdateConsumerOffset => {
                let header: UpdateConsumerOffsetRequest = request.header().unwrap();
                if &*header.topic == "T" {
                    table.committed.insert(header.queue_id, header.commit_offset);
                }
                responder.success(&NoFields, Bytes::new());
            }
            RequestCode::GetMaxOffset => {
                responder.success(&OffsetResponse { offset: MAX_OFFSET }, Bytes::new())
            }
            RequestCode::PullMessage => table.answer_pull(request, responder),
            _ => responder.success(&NoFields, Bytes::new()),
        }
    }
}

/// What every queue says of its end.
pub(crate) const MAX_OFFSET: i64 = 1000;

impl Table {
    fn answer_pull(&self, request: &RemotingCommand, responder: Responder) {
        let header: PullMessageRequest = request.header().unwrap();
        let records = self.records.get(&header.queue_id).filter(|_| &*header.topic == "T");
        let mut found = records.into_iter().flat_map(|records| records.range(header.queue_offset..));
        let count = usize::try_from(header.max_msg_nums).unwrap();
        let found: Vec<_> = found.by_ref().take(count).collect();
        match found.last() {
            Some((last, _)) => {
                let body: Vec<u8> = found.iter().flat_map(|(_, record)| record.iter().copied()).collect();
                responder.success(&bounds(*last + 1), body.into());
            }
            // Held for ever: there is nothing more.
            None => responder.forget(),
        }
    }
}

fn bounds(next_begin_offset: i64) -> PullMessageResponse {
    PullMessageResponse {
        suggest_which_broker_id: 0,
        next_begin_offset,
        min_offset: 0,
        max_offset: MAX_OFFSET,
    }
}

impl FakeBroker {
    pub(crate) async fn start() -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let state = Arc::new_cyclic(|this| State {
            this: this.clone(),
            table: Mutex::default(),
            decide: Mutex::new(Box::new(|_| Reply::Usual)),
            asked: sender,
        });
        let listener = listen(Arc::<State>::clone(&state)).await;
        Self { addr: listener.local_addr(), state, asked: tokio::sync::Mutex::new(asked), listener }
    }

    /// Has messages at these offsets of a queue; a body says where its message is from.
    pub(crate) fn has(&self, queue_id: i32, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            let body = format!("{queue_id}:{offset}");
            self.has_record(queue_id, offset, record(queue_id, offset, SysFlag::default(), body.as_bytes()));
        }
    }

    pub(crate) fn has_record(&self, queue_id: i32, offset: i64, record: Bytes) {
        let mut table = self.state.table.lock().unwrap();
        table.records.entry(queue_id).or_default().insert(offset, record);
    }

    pub(crate) fn commit(&self, queue_id: i32, offset: i64) {
        self.state.table.lock().unwrap().committed.insert(queue_id, offset);
    }

    /// Counts another client among every group, and tells those that are connected.
    pub(crate) fn joined_by(&self, client_id: &str) {
        self.state.table.lock().unwrap().members.insert(client_id.to_owned());
        self.tells_of_a_change();
    }

    /// Tells those that are connected that the group has changed, whether or not it has.
    pub(crate) fn tells_of_a_change(&self) {
        let table = self.state.table.lock().unwrap();
        let changed = NotifyConsumerIdsChanged { consumer_group: "g".into() };
        for connection in &table.connections {
            // One that has ended needs to know nothing.
            let _ = connection.try_oneway(&changed, Bytes::new());
        }
    }

    pub(crate) fn decide(&self, decide: impl FnMut(&Asked) -> Reply + Send + 'static) {
        *self.state.decide.lock().unwrap() = Box::new(decide);
    }

    /// Waits until it is asked something of which `wanted` says so; returns it.
    pub(crate) async fn asked(&self, what: &str, wanted: impl Fn(&Asked) -> bool) -> Asked {
        let mut seen = Vec::new();
        let mut asked = self.asked.lock().await;
        let waiting = async {
            loop {
                let next = asked.recv().await.unwrap();
                if wanted(&next) {
                    return next;
                }
                seen.push(next);
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(asked) => asked,
            Err(_) => panic!("the broker was not asked: {what}; it was asked {seen:?}"),
        }
    }

    /// Waits until that offset is committed.
    pub(crate) async fn committed(&self, queue_id: i32, offset: i64) {
        let commit = Asked::Commit { queue_id, offset };
        self.asked(&format!("{commit:?}"), |asked| *asked == commit).await;
    }

    /// What it was asked since it was last looked at.
    pub(crate) async fn rest(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().await;
        std::iter::from_fn(|| asked.try_recv().ok()).collect()
    }

    /// Dies: nobody listens at its address any more. The address.
    pub(crate) async fn die(self) -> SocketAddr {
        self.listener.shutdown("the broker dies").await;
        self.addr
    }
}

/// A name server for which every topic has the same queues.
pub(crate) struct FakeNameServer {
    addr: SocketAddr,
    route: Arc<Route>,
    _listener: Listener,
}

struct Route(Mutex<TopicRouteData>);

impl Handler for Route {
    fn handle(&self, _: RemotingCommand, responder: Responder) {
        responder.success(&NoFields, json::to_vec(&*self.0.lock().unwrap()).unwrap().into());
    }
}

impl FakeNameServer {
    /// Each broker's name, and its group by id; every broker has `queues` queues of each topic.
    pub(crate) async fn start(queues: i32, brokers: &[(&'static str, &[(i64, SocketAddr)])]) -> Self {
        let route = Arc::new(Route(Mutex::new(route(queues, brokers))));
        let listener = listen(Arc::<Route>::clone(&route)).await;
        Self { addr: listener.local_addr(), route, _listener: listener }
    }

    pub(crate) fn set(&self, queues: i32, brokers: &[(&'static str, &[(i64, SocketAddr)])]) {
        *self.route.0.lock().unwrap() = route(queues, brokers);
    }

    /// A consumer of `T` to be started; it begins at the first message and commits by the clock only every hour.
    pub(crate) fn consumer(&self) -> DefaultMQPushConsumerBuilder {
        DefaultMQPushConsumer::builder("g")
            .namesrv_addr(self.addr.to_string())
            .poll_name_server_interval(Duration::from_millis(50))
            .persist_consumer_offset_interval(Duration::from_secs(3600))
            .consume_from_where(ConsumeFromWhere::FirstOffset)
            .subscribe("T", "*")
    }
}

/// One broker that is a cluster.
pub(crate) async fn one_broker(queues: i32) -> (FakeNameServer, FakeBroker) {
    let broker = FakeBroker::start().await;
    let name_server = FakeNameServer::start(queues, &[("a", &[(0, broker.addr)])]).await;
    (name_server, broker)
}

fn route(queues: i32, brokers: &[(&'static str, &[(i64, SocketAddr)])]) -> TopicRouteData {
    let data = |(name, addrs): &(&'static str, &[(i64, SocketAddr)])| BrokerData {
        broker_addrs: addrs.iter().map(|(id, addr)| (*id, addr.to_string())).collect(),
        broker_name: (*name).into(),
        cluster: "C".into(),
    };
    let queue = |(name, _): &(&'static str, &[(i64, SocketAddr)])| QueueData {
        broker_name: (*name).into(),
        perm: perm::READ | perm::WRITE,
        read_queue_nums: queues,
        write_queue_nums: queues,
        topic_sys_flag: 0,
    };
    TopicRouteData {
        broker_datas: brokers.iter().map(data).collect(),
        queue_datas: brokers.iter().map(queue).collect(),
        ..TopicRouteData::default()
    }
}

/// A record of `T`; its physical offset is a hundred times its queue offset.
pub(crate) fn record(queue_id: i32, queue_offset: i64, sys_flag: SysFlag, body: &[u8]) -> Bytes {
    let host = "127.0.0.1:10911".parse().unwrap();
    let record = Record {
        queue_id,
        flag: 0,
        queue_offset,
        physical_offset: queue_offset * 100,
        sys_flag,
        born_timestamp: 0,
        born_host: host,
        store_timestamp: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        topic: b"T",
        properties: b"",
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes.into()
}

async fn listen(handler: Arc<dyn Handler>) -> Listener {
    let addr = "127.0.0.1:0".parse().unwrap();
    Listener::bind(addr, ListenerConfig::default(), handler, TaskTracker::new()).await.unwrap()
}

/// The bodies that a listener gets, and the listener's other side.
pub(crate) struct Inbox {
    sender: mpsc::UnboundedSender<String>,
    bodies: mpsc::UnboundedReceiver<String>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let (sender, bodies) = mpsc::unbounded_channel();
        Self { sender, bodies }
    }

    /// Takes every message, and passes it on.
    pub(crate) fn listener(
        &self,
    ) -> impl Fn(Vec<MessageExt>, ConsumeConcurrentlyContext) -> Ready<ConsumeConcurrentlyStatus>
    + Send
    + Sync
    + use<> {
        let pass = self.passer();
        move |messages, _| {
            pass(&messages);
            ready(ConsumeConcurrentlyStatus::ConsumeSuccess)
        }
    }

    /// Passes on what a call has.
    pub(crate) fn passer(&self) -> impl Fn(&[MessageExt]) + Send + Sync + Clone + use<> {
        let sender = self.sender.clone();
        move |messages| {
            for message in messages {
                // The test may be over.
                let _ = sender.send(String::from_utf8_lossy(message.body()).into_owned());
            }
        }
    }

    /// The next ones, sorted.
    pub(crate) async fn next(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            match tokio::time::timeout(PATIENCE, self.bodies.recv()).await {
                Ok(body) => bodies.push(body.unwrap()),
                Err(_) => panic!("{} messages of {count} came: {bodies:?}", bodies.len()),
            }
        }
        bodies.sort_unstable();
        bodies
    }
}
