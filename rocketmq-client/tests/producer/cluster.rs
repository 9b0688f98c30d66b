//! Name servers and brokers that do what a test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_client::{DefaultMQProducer, DefaultMQProducerBuilder};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData, perm};
use rocketmq_protocol::code::{RequestCode, ResponseCode};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::remoting::{Connection, Handler, Listener, ListenerConfig, Responder};
use rocketmq_protocol::request::{OffsetResponse, SendMessageRequest, SendMessageResponse};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a broker does with a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Stores the message and answers with this code: success, or one of those that tell how badly it is stored.
    Store(ResponseCode),
    /// Answers with this code.
    Refuse(ResponseCode),
    /// Takes it and never answers.
    Silence,
    /// Stores it and answers when the test says so.
    Hold,
}

pub(crate) const STORE: Reply = Reply::Store(ResponseCode::Success);

/// A send that a broker received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) header: SendMessageRequest,
    pub(crate) body: Bytes,
}

type Decide = Box<dyn Fn(&Received) -> Reply + Send>;

/// A broker that keeps what it receives.
pub(crate) struct FakeBroker {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    handler: Arc<BrokerHandler>,
    _listener: Listener,
}

struct BrokerHandler {
    decide: Mutex<Decide>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: Mutex<Vec<Connection>>,
    next_offset: AtomicI64,
    held: Mutex<Vec<(i32, Responder)>>,
    /// Answers nothing at all, as a stopped process.
    frozen: AtomicBool,
}

impl Handler for BrokerHandler {
    fn connected(&self, connection: &Connection) {
        self.connections.lock().unwrap().push(connection.clone());
    }

    fn handle(&self, request: RemotingCommand, responder: Responder) {
        match RequestCode::from_i32(request.code()) {
            Some(RequestCode::SendMessageV2 | RequestCode::SendBatchMessage) => {
                self.take(&request, responder)
            }
            _ if self.frozen.load(Ordering::Relaxed) => responder.forget(),
            Some(RequestCode::GetMaxOffset) => responder.success(&OffsetResponse { offset: 0 }, Bytes::new()),
            Some(_) => responder.success(&NoFields, Bytes::new()),
            None => responder.error(ResponseCode::RequestCodeNotSupported, "not in this test"),
        }
    }
}

impl BrokerHandler {
    fn take(&self, request: &RemotingCommand, responder: Responder) {
        let received = Received { header: request.header().unwrap(), body: request.body().clone() };
        let frozen = self.frozen.load(Ordering::Relaxed);
        let reply = if frozen { Reply::Silence } else { (self.decide.lock().unwrap())(&received) };
        let queue_id = received.header.queue_id;
        self.received.lock().unwrap().push(received);
        match reply {
            Reply::Silence => responder.forget(),
            Reply::Refuse(code) => responder.error(code, "as the test wants it"),
            Reply::Hold => self.held.lock().unwrap().push((queue_id, responder)),
            Reply::Store(code) => self.store(code, queue_id, responder),
        }
        self.count.send_modify(|count| *count += 1);
    }

    fn store(&self, code: ResponseCode, queue_id: i32, responder: Responder) {
        let response = SendMessageResponse {
            msg_id: "7F00000100002A9F0000000000000000".into(),
            queue_id,
            queue_offset: self.next_offset.fetch_add(1, Ordering::Relaxed),
            transaction_id: None,
            region_id: None,
            trace_on: None,
            recall_handle: None,
        };
        responder.send(code.as_i32(), None, &response, Bytes::new());
    }
}

impl FakeBroker {
    pub(crate) async fn start(name: &'static str) -> Self {
        let handler = Arc::new(BrokerHandler {
            decide: Mutex::new(Box::new(|_| STORE)),
            received: Mutex::default(),
            count: watch::Sender::new(0),
            connections: Mutex::default(),
            next_offset: AtomicI64::new(0),
            held: Mutex::default(),
            frozen: AtomicBool::new(false),
        });
        let listener = listen(Arc::<BrokerHandler>::clone(&handler)).await;
        Self { name, addr: listener.local_addr(), handler, _listener: listener }
    }

    /// From now on does the same with every send.
    pub(crate) fn reply(&self, reply: Reply) {
        self.decide(move |_| reply);
    }

    pub(crate) fn decide(&self, decide: impl Fn(&Received) -> Reply + Send + 'static) {
        *self.handler.decide.lock().unwrap() = Box::new(decide);
    }

    /// Answers what it has held.
    pub(crate) fn release(&self) {
        for (queue_id, responder) in self.handler.held.lock().unwrap().drain(..) {
            self.handler.store(ResponseCode::Success, queue_id, responder);
        }
    }

    /// While frozen it answers nothing.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.handler.frozen.store(frozen, Ordering::Relaxed);
    }

    /// Reads no further frame of its connection until the sender is dropped.
    pub(crate) fn stop_reading(&self) -> std::sync::mpsc::Sender<()> {
        let (open, opened) = std::sync::mpsc::channel::<()>();
        self.decide(move |_| {
            // An error: it may go on.
            let _ = opened.recv();
            STORE
        });
        open
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.handler.received.lock().unwrap().clone()
    }

    /// The bodies as text, in the order of arrival.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.received().iter().map(|received| String::from_utf8_lossy(&received.body).into_owned()).collect()
    }

    /// Waits until this many sends have come.
    pub(crate) async fn wait_for(&self, sends: usize) {
        let mut count = self.handler.count.subscribe();
        let enough = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= sends)).await;
        assert!(enough.is_ok(), "{} sends of {sends} have come", self.received().len());
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.handler.connections.lock().unwrap().clone()
    }
}

/// A name server that knows every topic: its queues are on the brokers given.
pub(crate) struct FakeNameServer {
    pub(crate) addr: SocketAddr,
    handler: Arc<NameServerHandler>,
    _listener: Listener,
}

struct NameServerHandler {
    route: Mutex<TopicRouteData>,
    queries: watch::Sender<usize>,
}

impl Handler for NameServerHandler {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        if request.code() != RequestCode::GetRouteInfoByTopic.as_i32() {
            return responder.error(ResponseCode::RequestCodeNotSupported, "not in this test");
        }
        self.queries.send_modify(|queries| *queries += 1);
        let route = self.route.lock().unwrap();
        responder.success(&NoFields, json::to_vec(&*route).unwrap().into());
    }
}

impl FakeNameServer {
    pub(crate) async fn start(brokers: &[&FakeBroker]) -> Self {
        Self::with_route(route(brokers, 4)).await
    }

    pub(crate) async fn with_route(route: TopicRouteData) -> Self {
        let handler =
            Arc::new(NameServerHandler { route: Mutex::new(route), queries: watch::Sender::new(0) });
        let listener = listen(Arc::<NameServerHandler>::clone(&handler)).await;
        Self { addr: listener.local_addr(), handler, _listener: listener }
    }

    /// How often it was asked for a route.
    pub(crate) fn queries(&self) -> usize {
        *self.handler.queries.borrow()
    }

    pub(crate) fn producer(&self) -> DefaultMQProducerBuilder {
        DefaultMQProducer::builder("g").namesrv_addr(self.addr.to_string())
    }
}

/// An address at which nobody listens.
pub(crate) async fn closed_port() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A topic with this many queues on each broker.
pub(crate) fn route(brokers: &[&FakeBroker], queues: i32) -> TopicRouteData {
    let data = |broker: &&FakeBroker| BrokerData {
        broker_addrs: BTreeMap::from([(0, broker.addr.to_string())]),
        broker_name: broker.name.into(),
        cluster: "C".into(),
    };
    let queue = |broker: &&FakeBroker| QueueData {
        broker_name: broker.name.into(),
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

async fn listen(handler: Arc<dyn Handler>) -> Listener {
    let addr = "127.0.0.1:0".parse().unwrap();
    Listener::bind(addr, ListenerConfig::default(), handler, TaskTracker::new()).await.unwrap()
}
