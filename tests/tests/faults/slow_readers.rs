//! Consumers that pull and do not read: reset, closed, or just there while the broker serves others, and stops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rocketmq_broker_lite::{NameServer, NamesrvConfig};
use rocketmq_client::{DefaultMQProducer, Message, SendRequest};
use tests::{BrokerProcess, RawClient, eventually, request, unique, within};

/// What each pull brings: 40 messages of 1 KiB.
const MESSAGES: usize = 40;
const BODY_BYTES: usize = 1024;

/// How long an answer to somebody else may take. A broker whose workers spin does not answer at all.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// How often slow readers come and go.
const FLOODS: usize = 5;

/// What 40 readers with 200 pulls of 40 KiB each are owed.
const OWED_BYTES: u64 = 40 * 200 * 40 * 1100;

/// By how much all further waves may exceed the first: far less than one of them, if nothing of it were used again.
const MORE_BYTES: u64 = 64 * 1024 * 1024;

/// What the broker may keep of it: what its allocator keeps is not more than what it gets from there.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// A broker of its own process, with a topic that has one full pull in its first queue.
struct Bed {
    broker: BrokerProcess,
    namesrv: NameServer,
    topic: String,
    _store: tempfile::TempDir,
}

impl Bed {
    async fn start() -> Self {
        let store = tempfile::tempdir().unwrap();
        let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
        let broker = start_broker(store.path(), &namesrv).await;
        let topic = unique("slow");
        let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(namesrv.addr().to_string());
        let producer = producer.start().await.unwrap();
        for _ in 0..MESSAGES {
            let message = Message::new(topic.clone(), vec![b'x'; BODY_BYTES]);
            let _ = producer.send(SendRequest::new(message).select_queue(|_, _| 0)).await.unwrap();
        }
        producer.shutdown().await;
        Self { broker, namesrv, topic, _store: store }
    }

    /// A connection that has sent this many pulls of everything, and has got the first bytes of their answers.
    async fn slow_reader(&self, pulls: usize) -> RawClient {
        let mut client = RawClient::connect_slow(self.broker.addr()).await;
        let pulls: Vec<u8> =
            (0..pulls).flat_map(|opaque| self.pull(i32::try_from(opaque).unwrap())).collect();
        client.send(&pulls).await;
        client.answered().await;
        client
    }

    async fn slow_readers(&self, count: usize, pulls: usize) -> Vec<RawClient> {
        let mut readers = Vec::new();
        for _ in 0..count {
            readers.push(self.slow_reader(pulls).await);
        }
        readers
    }

    fn pull(&self, opaque: i32) -> Vec<u8> {
        let fields = format!(
            r#"{{"consumerGroup":"g","topic":"{}","queueId":"0","queueOffset":"0","maxMsgNums":"{MESSAGES}","sysFlag":"6","commitOffset":"0","suspendTimeoutMillis":"15000","subscription":"*","subVersion":"0","expressionType":"TAG"}}"#,
            self.topic
        );
        request(11, opaque, &fields, b"")
    }

    /// Waits until the broker has given back what it took since, all but [`KEPT_BYTES`].
    async fn memory_back(&self, before: u64) -> u64 {
        let mut now = 0;
        eventually("the broker's memory returns", || {
            now = self.broker.resident_bytes();
            now < before + KEPT_BYTES
        })
        .await;
        now
    }

    async fn stop(self) {
        self.broker.kill().await;
        self.namesrv.shutdown().await;
    }
}

async fn start_broker(store: &Path, namesrv: &NameServer) -> BrokerProcess {
    let program = env!("CARGO_BIN_EXE_test-mqbroker");
    BrokerProcess::start(program, store, &namesrv.addr().to_string(), "").await
}

/// Somebody else, whose heartbeats and sends must be answered all the while.
struct Probe {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, Duration)>,
}

impl Probe {
    fn start(bed: &Bed) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(probe(bed.broker.addr().to_owned(), bed.topic.clone(), Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Ends after a last round trip that begins now.
    async fn stop(self, during: &str) {
        self.stop.store(true, Ordering::SeqCst);
        let (count, longest) = within("the probe's last round trip", self.task).await.unwrap();
        println!("{during}: {count} round trips of the probe, the longest took {longest:.1?}");
    }
}

async fn probe(addr: String, topic: String, stop: Arc<AtomicBool>) -> (usize, Duration) {
    let heartbeat = br#"{"clientID":"probe","consumerDataSet":[],"producerDataSet":[{"groupName":"probe"}]}"#;
    let send = format!(
        r#"{{"a":"probe","b":"{topic}","c":"TBW102","d":"4","e":"1","f":"0","g":"1","h":"0","i":"","j":"0","k":"false","l":"0","m":"false"}}"#
    );
    let (mut count, mut longest) = (0, Duration::ZERO);
    let mut last = false;
    while !last {
        last = stop.load(Ordering::SeqCst);
        let began = Instant::now();
        // New connections are served as well.
        let mut client = RawClient::connect(&addr).await;
        for (code, fields, body) in [(34, "{}", &heartbeat[..]), (310, &send, b"probe")] {
            client.send(&request(code, 7, fields, body)).await;
            let answer = client.answer_within(SERVED_WITHIN).await;
            let answer =
                answer.unwrap_or_else(|_| panic!("request {code} is not answered: others are not served"));
            assert_eq!(answer.expect("the broker keeps the connection").code(), 0, "request {code}");
        }
        count += 1;
        longest = longest.max(began.elapsed());
    }
    (count, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_pull_and_reset_cost_others_nothing() {
    let bed = Bed::start().await;
    let before = bed.broker.resident_bytes();
    for (consumers, pulls) in [(100, 1), (100, MESSAGES)] {
        let probe = Probe::start(&bed);
        for _ in 0..consumers {
            bed.slow_reader(pulls).await.reset();
        }
        probe.stop(&format!("{consumers} consumers with {pulls} pulls each, reset")).await;
    }
    bed.memory_back(before).await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_closed_with_pulls_outstanding_costs_others_nothing() {
    let bed = Bed::start().await;
    let before = bed.broker.resident_bytes();
    for outstanding in [40, 200] {
        for reset in [false, true] {
            let probe = Probe::start(&bed);
            for _ in 0..8 {
                let reader = bed.slow_reader(outstanding).await;
                if reset { reader.reset() } else { drop(reader) }
            }
            probe.stop(&format!("{outstanding} outstanding pulls, eight times, reset: {reset}")).await;
        }
    }
    bed.memory_back(before).await;
    bed.stop().await;
}

/// Those after the first need no more than these, and once all are gone the system has its memory back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_cost_others_nothing_and_their_memory_returns() {
    let bed = Bed::start().await;
    let before = bed.broker.resident_bytes();
    let mut peaks = Vec::new();
    for wave in 1..=FLOODS {
        let probe = Probe::start(&bed);
        let readers = bed.slow_readers(40, 200).await;
        probe.stop(&format!("wave {wave} of 40 slow readers with 200 pulls each")).await;
        peaks.push(bed.broker.resident_bytes());
        readers.into_iter().for_each(RawClient::reset);
    }
    let after = bed.memory_back(before).await;
    let kib: Vec<_> = peaks.iter().map(|bytes| bytes / 1024).collect();
    println!("resident, KiB: {} before, {kib:?} with slow readers, {} after", before / 1024, after / 1024);
    assert!(peaks[0] - before < OWED_BYTES, "{kib:?} KiB");
    assert!(peaks[FLOODS - 1] < peaks[0] + MORE_BYTES, "each wave takes more: {kib:?} KiB");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_slow_readers_stops_in_under_two_seconds() {
    let bed = Bed::start().await;
    let readers = bed.slow_readers(40, 200).await;
    let began = Instant::now();
    let status = bed.broker.terminate().await;
    let took = began.elapsed();
    println!("SIGTERM with {} slow readers: {took:.1?}", readers.len());
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "it took {took:.1?}");
    bed.namesrv.shutdown().await;
}
