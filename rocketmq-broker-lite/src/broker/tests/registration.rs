//! The name servers' view.

use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::request::RouteInfoRequest;

use super::*;
use crate::config::{FlushDiskType, NamesrvConfig};
use crate::nameserver::NameServer;
use crate::store::faulty_fs::{Faults, FaultyFs};

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

#[tokio::test]
async fn a_store_that_failed_is_registered_as_read_only_and_a_full_disk_is_not() {
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let faults = Arc::new(Faults::default());
    let broker = TestBroker::on(Arc::new(FaultyFs(Arc::clone(&faults))), |config| {
        config.namesrv_addr = namesrv.addr().to_string();
        config.register_name_server_period = Duration::from_millis(50);
        config.flush_disk_type = FlushDiskType::SyncFlush;
    })
    .await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let perm = async || Some(route(&namesrv, "T").await?.queue_datas[0].perm);
    eventually("the topic is known", async || perm().await == Some(6)).await;

    faults.used_percent.store(99, Ordering::SeqCst);
    broker.clock.advance(Duration::from_secs(10));
    let refused = client.call(&send_request("T", &[]), "y").await;
    assert_eq!(refused.code(), 14, "{:?}", refused.remark());
    // A new topic's route comes with a registration that was made after the refusal.
    broker.broker.context.topics.find_or_create("Later", 1, 0);
    eventually("it registers", async || route(&namesrv, "Later").await.is_some()).await;
    assert_eq!(perm().await, Some(6));
    faults.used_percent.store(1, Ordering::SeqCst);
    broker.clock.advance(Duration::from_secs(10));
    client.send("T", "z", &[]).await;

    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert_eq!(client.call(&send_request("T", &[]), "y").await.code(), 14);
    eventually("it takes no messages", async || perm().await == Some(4)).await;
    drop(broker);
    namesrv.shutdown().await;
}
