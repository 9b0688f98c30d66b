//! The name server over real connections.

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::RegisterBrokerBody;
use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::body::topic_config::{DataVersion, TopicConfig, TopicConfigTable};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::header::NoFields;
use rocketmq_protocol::remoting::{Connection, Handler, Responder, connect};
use rocketmq_protocol::request::{
    AllTopicsRequest, BrokerClusterInfoRequest, BrokerHeartbeatRequest, BrokerMemberGroupRequest,
    ConsumerListRequest, DeleteKvConfigRequest, DeleteTopicInNamesrvRequest, GetKvConfigRequest,
    GetKvConfigResponse, KvListByNamespaceRequest, PutKvConfigRequest, QueryDataVersionRequest,
    QueryDataVersionResponse, RegisterBrokerRequest, RegisterBrokerResponse, RegisterTopicRequest, Request,
    RouteInfoRequest, UnregisterBrokerRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

struct NoRequests;

impl Handler for NoRequests {
    fn handle(&self, _: RemotingCommand, _: Responder) {}
}

/// A name server and a peer that is connected to it.
struct Bench {
    namesrv: NameServer,
    peer: Connection,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(NamesrvConfig::default(), Clock::default()).await
    }

    async fn start_with(config: NamesrvConfig, clock: Clock) -> Self {
        let namesrv = NameServer::start_with_clock(config, clock).await.unwrap();
        let peer = dial(&namesrv).await;
        Self { namesrv, peer }
    }

    async fn ask(&self, request: &impl Request, body: impl Into<Bytes>) -> RemotingCommand {
        self.peer.invoke(request, body.into(), TIMEOUT).await.unwrap()
    }

    async fn route(&self) -> RemotingCommand {
        self.ask(&route_request(), Bytes::new()).await
    }
}

async fn dial(namesrv: &NameServer) -> Connection {
    let addr = namesrv.addr().to_string();
    connect(&addr, TIMEOUT, ConnectionConfig::default(), Arc::new(NoRequests), &TaskTracker::new())
        .await
        .unwrap()
}

fn route_request() -> RouteInfoRequest {
    RouteInfoRequest { topic: "T".into(), accept_standard_json_only: None }
}

fn registration() -> RegisterBrokerRequest {
    RegisterBrokerRequest {
        broker_name: "broker-a".into(),
        broker_addr: "10.0.0.1:10911".into(),
        cluster_name: "DefaultCluster".into(),
        ha_server_addr: "10.0.0.1:10912".into(),
        broker_id: 0,
        compressed: None,
        body_crc32: None,
        heartbeat_timeout_millis: None,
    }
}

fn version() -> DataVersion {
    DataVersion { counter: 1, timestamp: 1_700_000_000_000 }
}

fn topics() -> Vec<u8> {
    let topic_config_table = [("T".to_owned(), TopicConfig::new("T", 4))].into();
    let topic_config_serialize_wrapper = TopicConfigTable { data_version: version(), topic_config_table };
    json::to_vec(&RegisterBrokerBody { topic_config_serialize_wrapper, ..Default::default() }).unwrap()
}

fn text(command: &RemotingCommand) -> &str {
    std::str::from_utf8(command.body()).unwrap()
}

#[tokio::test]
async fn what_a_broker_registers_can_be_asked_for() {
    let bench = Bench::start().await;
    let answer = bench.ask(&registration(), topics()).await;
    assert_eq!((answer.code(), answer.remark()), (0, None));
    let master: RegisterBrokerResponse = answer.header().unwrap();
    assert_eq!((master.master_addr, master.ha_server_addr), (None, None));

    let route = bench.route().await;
    let parsed: TopicRouteData = json::from_slice(route.body()).unwrap();
    assert_eq!(parsed.broker_datas[0].broker_addrs[&0], "10.0.0.1:10911");
    assert_eq!(
        text(&route),
        r#"{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#
    );

    let clusters = bench.ask(&BrokerClusterInfoRequest, Bytes::new()).await;
    assert_eq!(
        text(&clusters),
        r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#
    );

    let slave =
        RegisterBrokerRequest { broker_id: 1, broker_addr: "10.0.0.2:10911".into(), ..registration() };
    let master: RegisterBrokerResponse = bench.ask(&slave, topics()).await.header().unwrap();
    assert_eq!(master.master_addr.as_deref(), Some("10.0.0.1:10911"));
    assert_eq!(master.ha_server_addr.as_deref(), Some("10.0.0.1:10912"));
}

#[tokio::test]
async fn a_topic_without_a_route_is_answered_in_javas_words() {
    let bench = Bench::start().await;
    let answer = bench.route().await;
    assert_eq!(answer.code(), 17);
    assert_eq!(
        answer.remark().unwrap(),
        "No topic route info in name server for the topic: T\nSee http://rocketmq.apache.org/docs/faq/ for further details."
    );
}

#[tokio::test]
async fn a_broker_that_unregisters_is_gone() {
    let bench = Bench::start().await;
    bench.ask(&registration(), topics()).await;
    let farewell = UnregisterBrokerRequest {
        broker_name: "broker-a".into(),
        broker_addr: "10.0.0.1:10911".into(),
        cluster_name: "DefaultCluster".into(),
        broker_id: 0,
    };
    assert!(bench.ask(&farewell, Bytes::new()).await.is_success());
    assert_eq!(bench.route().await.code(), 17);
    let clusters = bench.ask(&BrokerClusterInfoRequest, Bytes::new()).await;
    assert_eq!(json::from_slice::<ClusterInfo>(clusters.body()).unwrap(), ClusterInfo::default());
}

#[tokio::test]
async fn a_broker_whose_connection_closes_is_gone_at_once() {
    let bench = Bench::start().await;
    let broker = dial(&bench.namesrv).await;
    broker.invoke(&registration(), topics().into(), TIMEOUT).await.unwrap();
    assert!(bench.route().await.is_success());
    broker.close("the broker's process ends");
    let gone = async {
        while bench.route().await.is_success() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, gone)
        .await
        .expect("the broker is still there long after its connection closed");
}

#[tokio::test]
async fn a_silent_broker_is_removed_and_its_connection_closed() {
    let scan_not_active_broker_interval = Duration::from_millis(10);
    let clock = Clock::default();
    let config = NamesrvConfig { scan_not_active_broker_interval, ..NamesrvConfig::default() };
    let bench = Bench::start_with(config, clock.clone()).await;
    let broker = dial(&bench.namesrv).await;
    broker.invoke(&registration(), topics().into(), TIMEOUT).await.unwrap();
    clock.advance(Duration::from_secs(121));
    tokio::time::timeout(TIMEOUT, broker.closed()).await.expect("the silent broker's connection stays open");
    assert_eq!(bench.route().await.code(), 17);
}

/// A 5.x broker may register for ten seconds only, and says each second that it lives.
#[tokio::test]
async fn a_broker_that_keeps_alive_by_heartbeats_stays() {
    let scan_not_active_broker_interval = Duration::from_millis(10);
    let clock = Clock::default();
    let config = NamesrvConfig { scan_not_active_broker_interval, ..NamesrvConfig::default() };
    let bench = Bench::start_with(config, clock.clone()).await;
    let quick = RegisterBrokerRequest { heartbeat_timeout_millis: Some(10_000), ..registration() };
    bench.ask(&quick, topics()).await;
    let heartbeat = BrokerHeartbeatRequest {
        cluster_name: "DefaultCluster".into(),
        broker_addr: "10.0.0.1:10911".into(),
        broker_name: "broker-a".into(),
    };
    for _ in 0..5 {
        clock.advance(Duration::from_secs(9));
        let answer = bench.ask(&heartbeat, Bytes::new()).await;
        assert_eq!((answer.code(), answer.remark()), (0, None));
        assert!(bench.route().await.is_success());
    }
    clock.advance(Duration::from_secs(11));
    tokio::time::timeout(TIMEOUT, bench.peer.closed())
        .await
        .expect("the silent broker's connection stays open");
}

#[tokio::test]
async fn a_topic_can_be_registered_listed_and_deleted_by_itself() {
    let bench = Bench::start().await;
    bench.ask(&registration(), topics()).await;
    let body = r#"{"brokerDatas":null,"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2}]}"#;
    let new = RegisterTopicRequest { topic: "New".into() };
    assert!(bench.ask(&new, body).await.is_success());
    assert_eq!(text(&bench.ask(&AllTopicsRequest, Bytes::new()).await), r#"{"topicList":["New","T"]}"#);
    let delete = DeleteTopicInNamesrvRequest { topic: "T".into(), cluster_name: None };
    assert!(bench.ask(&delete, Bytes::new()).await.is_success());
    assert_eq!(bench.route().await.code(), 17);
    let group =
        BrokerMemberGroupRequest { cluster_name: "DefaultCluster".into(), broker_name: "broker-a".into() };
    assert_eq!(
        text(&bench.ask(&group, Bytes::new()).await),
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}}"#
    );
}

#[tokio::test]
async fn texts_are_kept_by_namespace_and_brokers_learn_the_order_topics() {
    let bench = Bench::start().await;
    let namespace = ByteString::from_static("ORDER_TOPIC_CONFIG");
    let get = GetKvConfigRequest { namespace: namespace.clone(), key: "T".into() };
    let list = KvListByNamespaceRequest { namespace: namespace.clone() };
    let answer = bench.ask(&get, Bytes::new()).await;
    let remark = Some("No config item, Namespace: ORDER_TOPIC_CONFIG Key: T");
    assert_eq!((answer.code(), answer.remark()), (22, remark));
    let answer = bench.ask(&list, Bytes::new()).await;
    assert_eq!((answer.code(), answer.remark()), (22, Some("No config item, Namespace: ORDER_TOPIC_CONFIG")));
    assert!(bench.ask(&registration(), topics()).await.body().is_empty());

    let put =
        PutKvConfigRequest { namespace: namespace.clone(), key: "T".into(), value: "broker-a:4".into() };
    assert!(bench.ask(&put, Bytes::new()).await.is_success());
    let value: GetKvConfigResponse = bench.ask(&get, Bytes::new()).await.header().unwrap();
    assert_eq!(value.value.as_deref(), Some("broker-a:4"));
    for answer in [bench.ask(&list, Bytes::new()).await, bench.ask(&registration(), topics()).await] {
        assert_eq!(text(&answer), r#"{"table":{"T":"broker-a:4"}}"#);
    }
    let delete = DeleteKvConfigRequest { namespace, key: "T".into() };
    assert!(bench.ask(&delete, Bytes::new()).await.is_success());
    assert_eq!(bench.ask(&get, Bytes::new()).await.code(), 22);
}

#[tokio::test]
async fn a_broker_can_ask_whether_its_topics_are_known() {
    let bench = Bench::start().await;
    let query = QueryDataVersionRequest {
        broker_name: "broker-a".into(),
        broker_addr: "10.0.0.1:10911".into(),
        cluster_name: "DefaultCluster".into(),
        broker_id: 0,
    };
    let asked = json::to_vec(&version()).unwrap();
    let unknown = bench.ask(&query, asked.clone()).await;
    assert!(unknown.header::<QueryDataVersionResponse>().unwrap().changed);
    assert!(unknown.body().is_empty());
    bench.ask(&registration(), topics()).await;
    let known = bench.ask(&query, asked).await;
    assert!(!known.header::<QueryDataVersionResponse>().unwrap().changed);
    assert_eq!(text(&known), r#"{"counter":1,"timestamp":1700000000000}"#);
}

/// Every body that the Java classes of both lines make, plain and compressed, with its checksum.
#[tokio::test]
async fn javas_registrations_are_taken() {
    let files = [
        include_str!("../../../rocketmq-protocol/tests/golden/register-broker-4.9.8.txt"),
        include_str!("../../../rocketmq-protocol/tests/golden/register-broker-5.5.0.txt"),
    ];
    let bench = Bench::start().await;
    for line in files.iter().flat_map(|file| file.lines()).filter(|line| line.starts_with("topics-")) {
        let field = |key| line.split('\t').find_map(|field| field.strip_prefix(key)).unwrap();
        let hex = field("compressedHex=").as_bytes().chunks(2);
        let compressed: Vec<u8> =
            hex.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
        let bodies = [
            (None, field("plainCrc32="), field("plain=").as_bytes().to_vec()),
            (Some(true), field("compressedCrc32="), compressed),
        ];
        for (compressed, crc, body) in bodies {
            let body_crc32 = Some(crc.parse().unwrap());
            let request = RegisterBrokerRequest { compressed, body_crc32, ..registration() };
            let answer = bench.ask(&request, body.clone()).await;
            assert_eq!((answer.code(), answer.remark()), (0, None), "{line}");
            let wrong = RegisterBrokerRequest { body_crc32: body_crc32.map(|crc: i32| crc ^ 1), ..request };
            let answer = bench.ask(&wrong, body).await;
            assert_eq!((answer.code(), answer.remark()), (1, Some("crc32 not match")), "{line}");
        }
    }
    let clusters = bench.ask(&BrokerClusterInfoRequest, Bytes::new()).await;
    assert!(text(&clusters).contains("10.0.0.1:10911"), "{}", text(&clusters));
}

#[tokio::test]
async fn an_unknown_code_is_answered_as_not_supported() {
    let bench = Bench::start().await;
    let answer = bench.ask(&ConsumerListRequest { consumer_group: "g".into() }, Bytes::new()).await;
    assert_eq!((answer.code(), answer.remark()), (3, Some(" request type 38 not supported")));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_with_what_is_wrong() {
    let bench = Bench::start().await;
    let answer = bench.ask(&NoTopic, Bytes::new()).await;
    assert_eq!(answer.code(), 17, "{:?}", answer.remark());
    let answer = bench.ask(&registration(), "{\"topicConfig").await;
    assert_eq!(answer.code(), 1, "{:?}", answer.remark());
}

/// A route request without its topic.
struct NoTopic;

impl rocketmq_protocol::header::HeaderFields for NoTopic {
    fn write_fields(&self, _: &mut impl rocketmq_protocol::header::FieldSink) {}
}

impl Request for NoTopic {
    type Response = NoFields;

    fn code(&self) -> rocketmq_protocol::code::RequestCode {
        rocketmq_protocol::code::RequestCode::GetRouteInfoByTopic
    }
}

/// A client from before 4.9.4 reads only fastjson's dialect, unless it says otherwise.
#[tokio::test]
async fn older_clients_get_the_old_form() {
    let bench = Bench::start().await;
    bench.ask(&registration(), topics()).await;
    for (version, fields, strict) in [
        (400, r#"{"topic":"T"}"#, false),
        (400, r#"{"topic":"T","acceptStandardJsonOnly":"true"}"#, true),
        (401, r#"{"topic":"T"}"#, true),
    ] {
        let mut stream = TcpStream::connect(bench.namesrv.addr()).await.unwrap();
        let header = format!(
            r#"{{"code":105,"extFields":{fields},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":{version}}}"#
        );
        stream.write_all(&frame(header.as_bytes())).await.unwrap();
        let answer = read_frame(&mut stream).await;
        assert_eq!(text(&answer).contains(r#"{"0":"10.0.0.1:10911"}"#), strict, "{}", text(&answer));
        assert_eq!(text(&answer).contains(r#"{0:"10.0.0.1:10911"}"#), !strict, "{}", text(&answer));
    }
}

fn frame(header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap();
    [&(length + 4).to_be_bytes(), &length.to_be_bytes(), header].concat()
}

async fn read_frame(stream: &mut TcpStream) -> RemotingCommand {
    let length = stream.read_u32().await.unwrap();
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut frame).await.unwrap();
    RemotingCommand::decode(frame.into()).unwrap()
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nobody_elses() {
    let bench = Bench::start().await;
    bench.ask(&registration(), topics()).await;
    let too_long = 0x7FFF_FFFFu32.to_be_bytes();
    let no_json = frame(b"this is no header");
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &too_long, &no_json, &[0xFF; 64]] {
        let mut stream = TcpStream::connect(bench.namesrv.addr()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let ended = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        // An end or a reset: either way the connection is closed.
        ended.unwrap_or_else(|_| panic!("the connection is still open after {garbage:?}")).ok();
        let next = dial(&bench.namesrv).await;
        assert!(next.invoke(&route_request(), Bytes::new(), TIMEOUT).await.unwrap().is_success());
    }
}

#[tokio::test]
async fn shutdown_frees_the_port_ends_connections_and_can_be_called_again() {
    let bench = Bench::start().await;
    bench.namesrv.shutdown().await;
    bench.namesrv.shutdown().await;
    tokio::time::timeout(TIMEOUT, bench.peer.closed())
        .await
        .expect("the connection outlives the name server");
    let config = NamesrvConfig { listen_port: bench.namesrv.addr().port(), ..NamesrvConfig::default() };
    NameServer::start(config).await.expect("the port is free again");
}

#[tokio::test]
async fn dropping_it_closes_its_connections() {
    let Bench { namesrv, peer } = Bench::start().await;
    drop(namesrv);
    tokio::time::timeout(TIMEOUT, peer.closed()).await.expect("the connection outlives the name server");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let bench = Bench::start().await;
    let addr = bench.namesrv.addr();
    let config = NamesrvConfig { listen_port: addr.port(), ..NamesrvConfig::default() };
    let error = NameServer::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {addr}: ")), "{error}");
}
