//! One of two brokers is stopped by SIGSTOP, as a machine that swaps or a disk that hangs: no send fails, and sends go on.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rocketmq_broker_lite::{NameServer, NamesrvConfig};
use rocketmq_client::{DefaultMQProducer, Message};
use tests::{BrokerProcess, unique};
use tokio::time::Instant;

const TASKS: usize = 8;
const BEFORE: Duration = Duration::from_secs(2);
/// The first second is for finding out: a silent broker is given up after a third of the send's 3 s.
const FINDING_OUT: Duration = Duration::from_millis(1_200);

/// How long the broker stays stopped. `ROCKETMQ_HUNG_SECONDS` sets another time than 5 s.
fn stopped_for() -> Duration {
    let seconds = std::env::var("ROCKETMQ_HUNG_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

async fn broker(name: &str, dir: &tempfile::TempDir, namesrv: &str) -> BrokerProcess {
    let program = env!("CARGO_BIN_EXE_test-mqbroker");
    BrokerProcess::start_named(name, program, &dir.path().join(name), namesrv, "").await
}

/// Sends until it is told to stop. Any error ends the test.
async fn send_until(
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    producer: DefaultMQProducer,
    topic: String,
) {
    while !stop.load(Ordering::Relaxed) {
        producer.send(Message::new(topic.clone(), "b")).await.unwrap();
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a second over a while.
async fn rate(sent: &AtomicUsize, over: Duration) -> f64 {
    let (before, started) = (sent.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(over).await;
    (sent.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_fails_while_one_of_two_brokers_is_stopped_and_half_the_rate_stays() {
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let namesrv_addr = namesrv.addr().to_string();
    let (well, stopped) =
        (broker("broker-a", &dir, &namesrv_addr).await, broker("broker-b", &dir, &namesrv_addr).await);
    let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(namesrv_addr).start().await.unwrap();
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let topic = unique("hung");
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            tokio::spawn(send_until(Arc::clone(&stop), Arc::clone(&sent), producer.clone(), topic.clone()))
        })
        .collect();
    let both = rate(&sent, BEFORE).await;
    stopped.suspend();
    tokio::time::sleep(FINDING_OUT).await;
    let one = rate(&sent, stopped_for() - FINDING_OUT).await;
    stopped.resume();
    let again = rate(&sent, BEFORE).await;
    println!(
        "sends a second: {both:.0} with both brokers, {one:.0} with one stopped, {again:.0} with both again"
    );
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(one >= both / 2.0, "{one:.0} a second while one is stopped, {both:.0} before");
    producer.shutdown().await;
    assert!(well.terminate().await.success() && stopped.terminate().await.success());
    namesrv.shutdown().await;
}
