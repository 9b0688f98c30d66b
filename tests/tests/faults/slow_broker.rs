//! A broker that reads slowly, and clients that go away while their writes are under way.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::Message;
use tests::{Cluster, Collector, Direction, FaultyPeer, Flow, unique};

/// 13 MB with their headers: more than the kernel takes for a peer that does not read.
const SENDS: usize = 12_000;

/// A body that tells where it was torn: its number, again and again. Small enough to be copied among others' bytes.
fn body(number: usize) -> String {
    format!("{number:08}|").repeat(100)
}

/// A client whose writes wait for the broker in mid-frame ends; then the broker reads on. What it stores was sent, whole.
async fn a_client_that_goes_away_leaves_whole_messages(shutdown: bool) {
    let peer = Arc::new(FaultyPeer::before_broker().await);
    let front = Arc::clone(&peer);
    let builder = TestCluster::builder().configure_broker(move |config| front.configure(config));
    let mq = Cluster::embedded(builder).await;
    let topic = unique("torn");
    // One queue: its last message is the last of all.
    let producer = mq.producer().default_topic_queue_nums(1).start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), body(0))).await.unwrap();
    peer.set(Direction::Requests, Flow::Frozen);
    for number in 1..SENDS {
        // A client that bounds what it queues makes its callers wait: then there is enough under way.
        let sending = producer.send_oneway(Message::new(topic.clone(), body(number)));
        if tokio::time::timeout(Duration::from_millis(20), sending).await.is_err() {
            println!("{number} sends are under way");
            break;
        }
    }
    if shutdown {
        let opened = async {
            // The last writes are under way by now, and the end comes in their midst.
            tokio::time::sleep(Duration::from_millis(500)).await;
            peer.set(Direction::Requests, Flow::Slow { bytes: 8 * 1024, every: Duration::from_millis(10) });
        };
        tests::within("shutdown", async { tokio::join!(producer.shutdown(), opened) }).await;
    }
    drop(producer);
    peer.set(Direction::Requests, Flow::Open);
    // The client's connection has ended, so the broker has everything that it will ever get of it.
    peer.open(0).await;
    let last = mq.producer().start().await.unwrap();
    let _ = last.send(Message::new(topic.clone(), "last")).await.unwrap();
    check_bodies(&mq, &topic).await;
    last.shutdown().await;
    mq.stop().await;
}

async fn check_bodies(mq: &Cluster, topic: &str) {
    let sent: HashSet<String> = (0..SENDS).map(body).chain(["last".to_owned()]).collect();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    let stored = inbox.until("the last message", |messages| {
        messages.last().is_some_and(|message| message.body() == "last")
    });
    let stored = stored.await;
    consumer.shutdown().await;
    for message in &stored {
        let text = String::from_utf8_lossy(message.body());
        assert!(sent.contains(text.as_ref()), "nobody sent this body: {text:?}");
    }
    println!("{} messages are stored, all of them were sent", stored.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_shut_down_in_mid_write_leaves_no_body_that_nobody_sent() {
    a_client_that_goes_away_leaves_whole_messages(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_dropped_in_mid_write_leaves_no_body_that_nobody_sent() {
    // Where in its frame the write stands is chance.
    for _ in 0..5 {
        a_client_that_goes_away_leaves_whole_messages(false).await;
    }
}
