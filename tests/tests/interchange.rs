//! One store, by turns under the real broker and under ours: each goes on where the other ended, in order or not.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rocketmq_client::{
    ConsumeFromWhere, DefaultMQProducer, DefaultMQPushConsumer, DefaultMQPushConsumerBuilder, Message,
    MessageExt,
};
use tests::{BrokerProcess, Collector, RealCluster, unique};

/// Messages of each visit: with their bodies they fill most of a log file, so that nearly every visit begins another.
const COUNT: usize = 400;
const BODY_BYTES: usize = 2_000;
/// The real one takes whole mebibytes.
const LOG_FILE_OPTION: [&str; 2] = ["--mapped-mb", "1"];
const LOG_FILE_LINE: &str = "mappedFileSizeCommitLog=1048576";

/// How the broker before this one ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    InOrder,
    Killed,
}

/// What has been sent to the store so far, and who consumes it.
struct Visitor {
    namesrv_addr: String,
    topic: String,
    group: String,
    sent: BTreeSet<String>,
    /// Sent with a delay just before the last broker ended.
    on_its_way: Option<String>,
}

impl Visitor {
    fn consumer(&self, group: &str) -> DefaultMQPushConsumerBuilder {
        DefaultMQPushConsumer::builder(group.to_owned())
            .namesrv_addr(&self.namesrv_addr)
            .consume_from_where(ConsumeFromWhere::FirstOffset)
            .subscribe(&self.topic, "*")
    }

    /// Looks whether all is there, and adds more.
    async fn visit(&mut self, who: &str, before: Before) {
        println!("{who}");
        if before != Before::Nothing {
            self.check_log(who).await;
        }
        let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(&self.namesrv_addr);
        let producer = producer.send_msg_timeout(Duration::from_secs(20)).start().await.unwrap();
        let mut new = Vec::new();
        for i in 0..COUNT {
            let body = format!("{who} {}:{}", self.sent.len() + i, "x".repeat(BODY_BYTES));
            producer
                .send(Message::new(self.topic.clone(), body.clone()).keys([i.to_string()]))
                .await
                .unwrap();
            new.push(body);
        }
        self.check_group(who, before, &new).await;
        self.sent.extend(new);
        let delayed = format!("{DELAYED} {who}");
        producer.send(Message::new(self.topic.clone(), delayed.clone()).delay_time_level(2)).await.unwrap();
        self.on_its_way = Some(delayed);
        producer.shutdown().await;
    }

    /// Who begins at the first message gets all of them, at offsets without a gap. Only what was delayed may be there more
    /// than once, if the progress of its delivery was lost in a crash.
    async fn check_log(&mut self, who: &str) {
        self.sent.extend(self.on_its_way.take());
        let mut inbox = Collector::new();
        let newcomer = self.consumer(&unique("g")).consume_concurrently(inbox.listener());
        let newcomer = newcomer.start().await.unwrap();
        let messages = self.until_all_of(&self.sent, &mut inbox).await;
        newcomer.shutdown().await;
        let prompt = messages.iter().filter(|message| !is_delayed(message)).count();
        let expected = self.sent.iter().filter(|body| !body.starts_with(DELAYED)).count();
        assert_eq!(prompt, expected, "{who}: messages are there twice");
        assert!(bodies(&messages) == self.sent, "{who}: messages that nobody sent");
        let mut queues: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
        for message in &messages {
            let is_new = queues.entry(message.queue_id()).or_default().insert(message.queue_offset());
            assert!(is_new, "{who}: two messages at {}:{}", message.queue_id(), message.queue_offset());
        }
        for (queue, offsets) in queues {
            let no_gap = offsets.iter().copied().eq(0..offsets.len() as i64);
            assert!(no_gap, "{who}: queue {queue} has gaps: {offsets:?}");
        }
    }

    async fn until_all_of(&self, wanted: &BTreeSet<String>, inbox: &mut Collector) -> Vec<MessageExt> {
        let mut missing = wanted.clone();
        let all = |messages: &[MessageExt]| {
            if let Some(last) = messages.last() {
                missing.remove(&*String::from_utf8_lossy(last.body()));
            }
            missing.is_empty()
        };
        inbox.until("all messages", all).await
    }

    /// The group that was here before goes on where it was.
    async fn check_group(&self, who: &str, before: Before, new: &[String]) {
        let mut inbox = Collector::new();
        let member = self.consumer(&self.group).consume_concurrently(inbox.listener());
        let member = member.start().await.unwrap();
        let messages = bodies(&self.until_all_of(&new.iter().cloned().collect(), &mut inbox).await);
        member.shutdown().await;
        // Who is killed has not saved what was committed in the last seconds.
        if before == Before::InOrder {
            let again = messages.intersection(&self.sent).filter(|body| !body.starts_with(DELAYED));
            assert_eq!(again.count(), 0, "{who}: the group's offsets were lost");
        }
    }
}

const DELAYED: &str = "delayed by";

fn is_delayed(message: &MessageExt) -> bool {
    message.body().starts_with(DELAYED.as_bytes())
}

fn bodies(messages: &[MessageExt]) -> BTreeSet<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.body()).into_owned()).collect()
}

async fn ours(real: &RealCluster) -> BrokerProcess {
    let program = env!("CARGO_BIN_EXE_test-mqbroker");
    BrokerProcess::start(program, &real.store(), &real.namesrv_addr(), LOG_FILE_LINE).await
}

/// What our checkpoint has behind Java's part.
fn own_bytes_of_checkpoint(real: &RealCluster) -> Vec<u8> {
    std::fs::read(real.store().join("checkpoint")).unwrap()[256..292].to_vec()
}

async fn by_turns(version: &str) {
    // One at a time: each is a name server and a broker in Java.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let Some(real) = RealCluster::start_or_skip(version, &LOG_FILE_OPTION) else { return };
    let mut visitor = Visitor {
        namesrv_addr: real.namesrv_addr(),
        topic: unique("by-turns"),
        group: unique("g"),
        sent: BTreeSet::new(),
        on_its_way: None,
    };
    visitor.visit("the real one", Before::Nothing).await;
    real.stop_broker();
    let running = ours(&real).await;
    visitor.visit("ours", Before::InOrder).await;
    assert!(running.terminate().await.success());
    let own_bytes = own_bytes_of_checkpoint(&real);
    assert_eq!(&own_bytes[..8], b"rmq-safe");
    real.restart_broker();
    visitor.visit("the real one after ours", Before::InOrder).await;
    real.kill_broker();
    assert_eq!(own_bytes_of_checkpoint(&real), own_bytes, "the real one leaves what it does not know");
    let running = ours(&real).await;
    visitor.visit("ours after the real one's crash", Before::Killed).await;
    running.kill().await;
    real.restart_broker();
    visitor.visit("the real one after our crash", Before::Killed).await;
    real.stop_broker();
    let running = ours(&real).await;
    visitor.check_log("ours in the end").await;
    assert!(running.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_to_and_fro_between_ours_and_4_9_7() {
    by_turns("4.9.7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_to_and_fro_between_ours_and_5_5_0() {
    by_turns("5.5.0").await;
}
