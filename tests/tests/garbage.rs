//! Thousands of garbage connections, and what is left of them: alone in this process, so that its memory can be read.

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::Message;
use tests::{Cluster, RawClient, resident_bytes};

const CONNECTIONS: usize = 4000;
/// What all of them together may leave behind. A connection that kept only its 8 KiB read buffer would show.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Memory is the whole process's: one test at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One peer, of a few kinds in turn.
async fn garbage(addr: &str, kind: usize) {
    let mut client = RawClient::connect(addr).await;
    match kind % 6 {
        // Claims 15 MiB, which is within the limit, and sends nothing of them.
        0 => client.send(&(15u32 << 20).to_be_bytes()).await,
        1 => client.send(&u32::MAX.to_be_bytes()).await,
        2 => client.send(&tests::frame("{\"code\":", b"x")).await,
        3 => client.send(&[0x5A; 4096]).await,
        4 => {
            client
                .send(&tests::frame(
                    r#"{"code":31999,"opaque":1,"flag":0,"language":"JAVA","version":1}"#,
                    b"",
                ))
                .await
        }
        _ => {}
    }
    client.finish().await;
    // Whatever is answered: the end of the connection is waited for.
    while client.answer().await.is_some() {}
}

async fn flood(addrs: &[String; 2], connections: usize) {
    for first in (0..connections).step_by(50) {
        let wave = (first..first + 50).map(|at| {
            let addr = addrs[at % 2].clone();
            tokio::spawn(async move { garbage(&addr, at / 2).await })
        });
        for peer in wave.collect::<Vec<_>>() {
            tests::within("the end of a garbage connection", peer).await.unwrap();
        }
    }
}

/// The figure is VmRSS of this process, which holds name server, broker, the garbage's clients and one producer; it is
/// read after a first flood has warmed up the allocator and again after eight times as many connections.
#[tokio::test]
async fn thousands_of_garbage_connections_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let addrs = [mq.namesrv_addr().to_owned(), mq.as_embedded().unwrap().broker_addr().to_string()];
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new("T", "before")).await.unwrap();
    flood(&addrs, CONNECTIONS / 8).await;
    let before = resident_bytes();
    flood(&addrs, CONNECTIONS).await;
    let after = resident_bytes();
    println!("{CONNECTIONS} connections: {} KiB before, {} KiB after", before / 1024, after / 1024);
    assert!(after < before + MOST_BYTES, "{before} bytes before, {after} after {CONNECTIONS} connections");
    let _ = producer.send(Message::new("T", "after")).await.unwrap();
    producer.shutdown().await;
    mq.stop().await;
}

/// Peers that claim large frames and stay get no memory for what they have not sent.
#[tokio::test]
async fn claims_cost_nothing() {
    let _alone = ALONE.lock().await;
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let addr = mq.as_embedded().unwrap().broker_addr().to_string();
    let before = resident_bytes();
    let mut claims = Vec::new();
    for _ in 0..400 {
        let mut client = RawClient::connect(&addr).await;
        client.send(&(15u32 << 20).to_be_bytes()).await;
        claims.push(client);
    }
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new("T", "served between 6 GiB of claims")).await.unwrap();
    let after = resident_bytes();
    println!("400 claims of 15 MiB: {} KiB before, {} KiB after", before / 1024, after / 1024);
    assert!(after < before + 64 * 1024 * 1024, "{before} bytes before, {after} with 400 claims");
    drop(claims);
    producer.shutdown().await;
    mq.stop().await;
}
