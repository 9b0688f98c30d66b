//! Tables are saved beside the requests, not in them.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use tokio::task::JoinSet;

use super::*;
use crate::store::faulty_fs::{Faults, FaultyFs};

async fn broker(faults: &Arc<Faults>) -> TestBroker {
    TestBroker::on(Arc::new(FaultyFs(Arc::clone(faults))), |_| {}).await
}

#[tokio::test]
async fn topics_that_come_together_are_saved_together() {
    let faults = Arc::new(Faults::default());
    let broker = broker(&faults).await;
    let client = broker.client().await;
    let begin = |number: usize| {
        let request = send_request(&format!("T{number}"), &[]);
        client.connection.begin(&request, Bytes::from_static(b"x"), PATIENCE).unwrap()
    };
    let sends: Vec<_> = (0..400).map(begin).collect();
    for send in sends {
        assert!(send.await.unwrap().is_success());
    }
    let saves = faults.table_syncs.load(Ordering::SeqCst);
    assert!(saves <= 100, "{saves} saves for 400 topics");
    let broker = broker.crash().await;
    for number in 0..400 {
        let name = format!("T{number}");
        assert!(broker.broker.context.topics.find(&name).is_some(), "{name} was answered and is lost");
    }
    broker.broker.shutdown().await;
}

/// `TOPICS=20000 cargo test --release -p rocketmq-broker-lite --lib many_new_topics -- --nocapture` tells how fast; the short
/// form only counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_topics_of_many_clients_cost_few_saves() {
    const CLIENTS: usize = 16;
    let count = std::env::var("TOPICS").ok().and_then(|count| count.parse().ok()).unwrap_or(320);
    let faults = Arc::new(Faults::default());
    let broker = broker(&faults).await;
    let (observer, begun) = (broker.client().await, Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let mut creators = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, next) = (broker.client().await, Arc::clone(&next));
        creators.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return;
                }
                client.send(&format!("T{number}"), "x", &[]).await;
            }
        });
    }
    let (mut slowest, mut heartbeats) = (Duration::ZERO, 0);
    while creators.try_join_next().is_some() || !creators.is_empty() {
        let asked = Instant::now();
        observer.join("c", "g", &[("T0", "*")]).await;
        slowest = slowest.max(asked.elapsed());
        heartbeats += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (saves, took) = (faults.table_syncs.load(Ordering::SeqCst), begun.elapsed());
    let megabytes = faults.table_bytes.load(Ordering::SeqCst) / 1_000_000;
    println!(
        "{count} topics in {took:?}, {:.0} a second; {saves} saves, {megabytes} MB; slowest of {heartbeats} heartbeats {slowest:?}",
        count as f64 / took.as_secs_f64()
    );
    assert!(saves < count / 2, "{saves} saves for {count} topics");
    assert!(broker.broker.context.topics.find(&format!("T{}", count - 1)).is_some());
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_to_a_new_topic_waits_for_its_save_and_nothing_else_does() {
    let faults = Arc::new(Faults::default());
    let broker = broker(&faults).await;
    let client = broker.client().await;
    client.send("Known", "x", &[]).await;
    faults.hold_table_syncs(true);
    let request = send_request("New", &[]);
    let mut first = client.connection.begin(&request, Bytes::from_static(b"1"), PATIENCE).unwrap();
    let held = Arc::clone(&faults);
    tokio::task::spawn_blocking(move || held.wait_for_one_held()).await.unwrap();
    for number in 0..20 {
        client.join("c", &format!("new-group-{number}"), &[("Known", "*")]).await;
        client.send("Known", "y", &[]).await;
    }
    let answered = is_done(&mut first).await;
    assert!(!answered, "the send is answered before its topic is on disk");
    faults.hold_table_syncs(false);
    assert!(first.await.unwrap().is_success());
    broker.broker.shutdown().await;
}

/// Whether a future is done after others had their turn.
async fn is_done(future: &mut (impl Future + Unpin)) -> bool {
    tokio::task::yield_now().await;
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await
}
