//! The name servers' view.

use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::request::RouteInfoRequest;

use super::*;
use crate::config::NamesrvConfig;
use crate::nameserver::NameServer;

async fn route(namesrv: &NameServer, topic: &str) -> Option<TopicRouteData> {
    let (sender, requests) = mpsc::unbounded_channel();
    let addr = namesrv.addr().to_string();
    let handler = Arc::new(Listening(sender));
    let connection =
        remoting::connect(&addr, PATIENCE, ConnectionConfig::default(), handler, &TaskTracker::new())
            .await
            .unwrap();
    let client = Client { connection, requests };
    let answer = client
        .call(&RouteInfoRequest { topic: topic.into(), accept_standard_json_only: None }, Bytes::new())
        .await;
    answer.is_success().then(|| json::from_slice(answer.body()).unwrap())
}

#[tokio::test]
async fn a_started_broker_is_known_everywhere_and_a_stopped_one_nowhere() {
    let first = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let second = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let addresses = format!("{};localhost:{}", first.addr(), second.addr().port());
    let broker = TestBroker::with(|config| config.namesrv_addr = addresses).await;
    for namesrv in [&first, &second] {
        let known = route(namesrv, "TBW102").await.unwrap();
        assert_eq!(known.broker_datas[0].broker_addrs[&0], broker.broker.addr().to_string());
        assert_eq!((known.queue_datas[0].perm, known.queue_datas[0].write_queue_nums), (7, 8));
    }
    broker.client().await.send("New", "x", &[]).await;
    for namesrv in [&first, &second] {
        eventually("the new topic is known", async || route(namesrv, "New").await.is_some()).await;
    }
    broker.broker.shutdown().await;
    assert_eq!(route(&first, "New").await, None);
    assert_eq!(route(&second, "TBW102").await, None);
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_name_server_that_comes_later_or_comes_back_learns_of_the_broker() {
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let port = namesrv.addr().port();
    namesrv.shutdown().await;
    let addr = format!("127.0.0.1:{port}");
    let broker = TestBroker::with(|config| config.namesrv_addr = addr).await;
    for round in ["comes", "comes back"] {
        let again = NamesrvConfig { listen_port: port, ..NamesrvConfig::default() };
        let namesrv = NameServer::start(again).await.unwrap();
        eventually(round, async || route(&namesrv, "TBW102").await.is_some()).await;
        namesrv.shutdown().await;
    }
    broker.broker.shutdown().await;
}
