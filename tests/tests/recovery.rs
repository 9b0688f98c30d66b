//! kill -9 of the broker under load, and a new start on the same store: every acknowledged message is consumed, no queue offset
//! is given twice, and none is left out. `KILLS=100 cargo test --release -p tests --test recovery -- --nocapture` kills a hundred
//! times in each flush mode.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rocketmq_broker_lite::{NameServer, NamesrvConfig};
use rocketmq_client::{
    ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, DefaultMQPushConsumerBuilder, Message,
    MessageExt, SendRequest, SendStatus,
};
use tests::{BrokerProcess, Collector, eventually, unique};

/// How often the broker is killed; `KILLS` says otherwise.
const KILLS: usize = 3;
/// So small that every cycle begins new files.
const SMALL_FILES: &str = "mappedFileSizeCommitLog=262144\nmappedFileSizeConsumeQueue=2000";
const TASKS: usize = 8;

async fn broker(store: &Path, namesrv: &NameServer, flush: &str) -> BrokerProcess {
    let properties = format!("flushDiskType={flush}\nflushConsumerOffsetInterval=100\n{SMALL_FILES}");
    let program = env!("CARGO_BIN_EXE_test-mqbroker");
    BrokerProcess::start(program, store, &namesrv.addr().to_string(), &properties).await
}

/// Routes are asked for often: the broker has another port after each start.
fn consumer(namesrv: &NameServer, group: &str) -> DefaultMQPushConsumerBuilder {
    DefaultMQPushConsumer::builder(group.to_owned())
        .namesrv_addr(namesrv.addr().to_string())
        .poll_name_server_interval(Duration::from_millis(200))
        .heartbeat_broker_interval(Duration::from_millis(500))
        .consume_from_where(ConsumeFromWhere::FirstOffset)
}

async fn producer(namesrv: &NameServer) -> DefaultMQProducer {
    let builder = DefaultMQProducer::builder(unique("p"))
        .namesrv_addr(namesrv.addr().to_string())
        .poll_name_server_interval(Duration::from_millis(200))
        .send_msg_timeout(Duration::from_secs(2));
    builder.start().await.unwrap()
}

/// Sends until it is told to stop; returns the bodies of what was acknowledged.
async fn send_until(
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    producer: DefaultMQProducer,
    topic: String,
    task: usize,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for i in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let body = format!("{task}-{i}");
        let message =
            Message::new(topic.clone(), body.clone()).keys([&body]).property("filler", "x".repeat(500));
        match producer.send(message).await {
            Ok(result) if result.send_status == SendStatus::SendOk => {
                acknowledged.push(body);
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {}
            // The broker is away: not to be tried again at full speed.
            Err(_) => tokio::task::yield_now().await,
        }
    }
    acknowledged
}

/// Kills the broker several times while messages are sent and consumed, and checks that none is missing in the end.
async fn killed_under_load(flush: &str) {
    let store = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let mut running = broker(store.path(), &namesrv, flush).await;
    let (topic, producer) = (unique("killed"), producer(&namesrv).await);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let sending: Vec<_> = (0..TASKS)
        .map(|task| {
            let share =
                send_until(Arc::clone(&stop), Arc::clone(&sent), producer.clone(), topic.clone(), task);
            tokio::spawn(share)
        })
        .collect();
    let inbox = Collector::new();
    let member =
        consumer(&namesrv, &unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let member = member.start().await.unwrap();
    let kills = std::env::var("KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for kill in 1..=kills {
        let (before, consumed) = (sent.load(Ordering::SeqCst), inbox.count());
        eventually("messages are sent and consumed", || {
            sent.load(Ordering::SeqCst) >= before + 1000 && inbox.count() > consumed
        })
        .await;
        running.kill().await;
        println!("{flush}: kill {kill} after {} acknowledgements", sent.load(Ordering::SeqCst));
        running = broker(store.path(), &namesrv, flush).await;
    }
    let before = sent.load(Ordering::SeqCst);
    eventually("messages are sent again", || sent.load(Ordering::SeqCst) >= before + 1000).await;
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = HashSet::new();
    for task in sending {
        acknowledged.extend(task.await.unwrap());
    }
    check_complete(&namesrv, &topic, &acknowledged, inbox, flush).await;
    member.shutdown().await;
    producer.shutdown().await;
    running.kill().await;
    namesrv.shutdown().await;
}

/// Which message each queue has at each offset.
#[derive(Default)]
struct Offsets(BTreeMap<i32, BTreeMap<i64, String>>);

impl Offsets {
    fn take(&mut self, message: &MessageExt) {
        let (queue_id, offset, id) =
            (message.queue_id(), message.queue_offset(), message.offset_msg_id().to_string());
        let known = self.0.entry(queue_id).or_default().insert(offset, id.clone());
        assert!(known.is_none_or(|known| known == id), "offset {offset} of queue {queue_id} was given twice");
    }

    fn are_without_gaps(&self) -> bool {
        let is_whole = |queue: &BTreeMap<i64, String>| {
            queue.last_key_value().is_none_or(|(last, _)| *last + 1 == queue.len() as i64)
        };
        self.0.values().all(is_whole)
    }
}

/// The member that was there all the time, and one that comes after it all, both get everything.
async fn check_complete(
    namesrv: &NameServer,
    topic: &str,
    acknowledged: &HashSet<String>,
    mut steady: Collector,
    flush: &str,
) {
    let mut late = Collector::new();
    let newcomer =
        consumer(namesrv, &unique("g")).subscribe(topic, "*").consume_concurrently(late.listener());
    let newcomer = newcomer.start().await.unwrap();
    for (who, inbox) in [("a consumer started after it all", &mut late), ("the consumer", &mut steady)] {
        let (mut missing, mut offsets) = (acknowledged.clone(), Offsets::default());
        let messages = inbox
            .until(&format!("{who} to get all {} acknowledged messages", acknowledged.len()), |messages| {
                if let Some(message) = messages.last() {
                    missing.remove(std::str::from_utf8(message.body()).unwrap());
                    offsets.take(message);
                }
                missing.is_empty() && offsets.are_without_gaps()
            })
            .await;
        let distinct: HashSet<_> = messages.iter().map(rocketmq_client::MessageExt::offset_msg_id).collect();
        println!(
            "{flush}: {} acknowledged, {who} got {} calls for {} stored messages",
            acknowledged.len(),
            messages.len(),
            distinct.len()
        );
    }
    newcomer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_flush_keeps_what_it_acknowledged() {
    killed_under_load("SYNC_FLUSH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_flush_keeps_what_it_acknowledged_when_the_process_is_killed() {
    killed_under_load("ASYNC_FLUSH").await;
}

#[tokio::test]
async fn offsets_delays_and_topics_outlive_a_kill() {
    let store = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(NamesrvConfig::default()).await.unwrap();
    let running = broker(store.path(), &namesrv, "ASYNC_FLUSH").await;
    let (topic, group, sender) = (unique("offsets"), unique("g"), producer(&namesrv).await);
    let mut ids = BTreeSet::new();
    for i in 0..20 {
        let request = SendRequest::new(Message::new(topic.clone(), format!("{i}")))
            .select_queue(move |queues, _| i % queues.len());
        ids.insert(sender.send(request).await.unwrap().msg_id.to_string());
    }
    let mut inbox = Collector::new();
    let first = consumer(&namesrv, &group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let first = first.start().await.unwrap();
    inbox.ids(ids).await;
    first.shutdown().await;
    // On disk the offsets are written by the clock: here every 100 ms.
    let file = store.path().join("config/consumerOffset.json");
    eventually("the offsets are on disk", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let compact: String = text.split_whitespace().collect();
        compact.contains(&format!("\"{topic}@{group}\":{{0:5,1:5,2:5,3:5}}"))
    })
    .await;
    let delayed = sender.send(Message::new(topic.clone(), "delayed").delay_time_level(1)).await.unwrap();
    running.kill().await;

    let running = broker(store.path(), &namesrv, "ASYNC_FLUSH").await;
    let sender = producer(&namesrv).await;
    let queues = sender.fetch_publish_message_queues(&topic).await.unwrap();
    assert_eq!(queues.len(), 4, "the topic is as it was");
    let new = sender.send(Message::new(topic.clone(), "new")).await.unwrap();
    let mut inbox = Collector::new();
    let second = consumer(&namesrv, &group).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let second = second.start().await.unwrap();
    inbox.ids([new.msg_id.to_string(), delayed.msg_id.to_string()]).await;
    assert_eq!(inbox.count(), 2, "consumed messages came again: the offsets were lost");
    second.shutdown().await;
    sender.shutdown().await;
    running.kill().await;
    namesrv.shutdown().await;
}
