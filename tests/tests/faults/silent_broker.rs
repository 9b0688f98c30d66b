//! Two brokers, and one of them falls silent under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rocketmq_broker_lite::{NameServer, NamesrvConfig};
use rocketmq_client::{DefaultMQProducer, Message, SendStatus};
use tests::{BrokerProcess, RawClient, eventually, request, unique, within};

const TASKS: usize = 16;

/// How long the rate is measured before and after.
const HEALTHY: Duration = Duration::from_secs(3);

/// How long the broker is stopped: longer than a send may take (3 s). `SILENT_SECONDS=20` is the long form.
fn silence() -> Duration {
    let seconds = std::env::var("SILENT_SECONDS").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// Asks the name server for its brokers (106) until these are among them.
async fn both_registered(namesrv_addr: &str, brokers: [&str; 2]) {
    loop {
        let mut client = RawClient::connect(namesrv_addr).await;
        client.send(&request(106, 1, "{}", b"")).await;
        let known = String::from_utf8_lossy(client.answer().await.unwrap().body()).into_owned();
        if brokers.iter().all(|broker| known.contains(broker)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends at default settings from one of the tasks until told to stop.
async fn send(
    producer: DefaultMQProducer,
    topic: String,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match producer.send(Message::new(topic.clone(), vec![b'x'; 1024])).await {
            Ok(result) if result.send_status == SendStatus::SendOk => {
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok(result) => failures.push(result.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}

/// Sends a second, over that time.
async fn rate(sent: &AtomicUsize, over: Duration) -> f64 {
    let (before, began) = (sent.load(Ordering::SeqCst), Instant::now());
    tokio::time::sleep(over).await;
    (sent.load(Ordering::SeqCst) - before) as f64 / began.elapsed().as_secs_f64()
}

/// The rate counts from one second after the broker fell silent, and is held against the healthy one of before and after,
/// whichever is lower: other work on the machine comes and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_fails_no_send_and_costs_at_most_half_the_rate() {
    let directory = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let addr = namesrv.addr().to_string();
    let start = |name: &'static str| {
        let (store, addr) = (directory.path().join(name), addr.clone());
        let program = env!("CARGO_BIN_EXE_test-mqbroker");
        async move { BrokerProcess::start_named(name, program, &store, &addr, "").await }
    };
    let (steady, silent) = (start("broker-a").await, start("broker-b").await);
    within("both registrations", both_registered(&addr, [steady.addr(), silent.addr()])).await;
    let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(&addr).start().await.unwrap();
    let (topic, stop, sent) =
        (unique("silent"), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(send(producer.clone(), topic.clone(), Arc::clone(&stop), Arc::clone(&sent))))
        .collect();
    eventually("sends go on", || sent.load(Ordering::SeqCst) > 1000).await;

    let before = rate(&sent, HEALTHY).await;
    silent.suspend();
    let first = rate(&sent, Duration::from_secs(1)).await;
    let during = rate(&sent, silence() - Duration::from_secs(1)).await;
    silent.resume();
    let at = sent.load(Ordering::SeqCst);
    eventually("sends go on", || sent.load(Ordering::SeqCst) > at + 1000).await;
    let after = rate(&sent, HEALTHY).await;
    stop.store(true, Ordering::SeqCst);
    let mut failures = Vec::new();
    for task in tasks {
        failures.extend(within("the last send", task).await.unwrap());
    }
    println!(
        "sends a second: {before:.0} before, {first:.0} in the first second of silence, {during:.0} in the {} s \
         after that, {after:.0} when it spoke again; {} failed",
        silence().as_secs() - 1,
        failures.len()
    );
    assert!(failures.is_empty(), "{} sends failed, the first: {}", failures.len(), failures[0]);
    assert!(during >= before.min(after) / 2.0, "{during:.0}/s of {before:.0} and {after:.0}");
    producer.shutdown().await;
    steady.kill().await;
    silent.kill().await;
    namesrv.shutdown().await;
}
