//! Reads of the disk hang: whoever needs them waits, and nobody else.

use rocketmq_protocol::request::{ConsumerListRequest, SearchOffsetRequest};

use super::*;
use crate::store::faulty_fs::{Faults, FaultyFs};

/// Reads hang until this is dropped: also when a test fails, so that the runtime can end.
struct Hung(Arc<Faults>);

impl Hung {
    fn new(faults: &Arc<Faults>) -> Self {
        faults.hold_reads(true);
        Self(Arc::clone(faults))
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.0.hold_reads(false);
    }
}

/// A broker that has these messages on the disk only.
async fn cold_broker(topic: &str, count: usize, properties: &[(&str, &str)]) -> (TestBroker, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let broker = TestBroker::on(Arc::new(FaultyFs(Arc::clone(&faults))), |_| {}).await;
    let client = broker.client().await;
    for number in 0..count {
        client.send(topic, &number.to_string(), properties).await;
    }
    drop(client);
    (broker.restart().await, faults)
}

/// Everything that needs no disk works, often enough to meet every thread of the runtime.
async fn others_are_served(client: &Client) {
    for _ in 0..20 {
        client.send("Other", "x", &[]).await;
        client.join("d", "h", &[("Other", "*")]).await;
        let members = ConsumerListRequest { consumer_group: "h".into() };
        assert_eq!(client.code_of(&members, Bytes::new()).await.0, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_pulls_and_searches_hold_up_nobody() {
    cold_pulls_hold_up_nobody().await;
}

#[tokio::test]
async fn cold_pulls_and_searches_hold_up_nobody_on_a_single_thread() {
    cold_pulls_hold_up_nobody().await;
}

async fn cold_pulls_hold_up_nobody() {
    const PULLS: usize = 100;
    let (broker, faults) = cold_broker("T", 10, &[]).await;
    let (cold, other) = (broker.client().await, broker.client().await);
    let hung = Hung::new(&faults);
    let request = pull_request("T", 0, 0, "*");
    let pulls: Vec<_> =
        (0..PULLS).map(|_| cold.connection.begin(&request, Bytes::new(), PATIENCE).unwrap()).collect();
    let search = SearchOffsetRequest { topic: "T".into(), queue_id: 0, timestamp: 0, broker_name: None };
    let search = cold.connection.begin(&search, Bytes::new(), PATIENCE).unwrap();
    eventually("as many reads as may wait for the disk", async || faults.held() == READERS).await;

    others_are_served(&other).await;
    // The same client's other requests are served, too.
    others_are_served(&cold).await;
    assert_eq!(faults.held(), READERS, "and no further");
    drop(hung);
    for pull in pulls {
        assert_eq!(PullAnswer::of(&pull.await.unwrap()).bodies().len(), 10);
    }
    assert!(search.await.unwrap().is_success());
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_pulls_end_in_time_while_delayed_messages_wait_for_the_disk() {
    let (broker, faults) = cold_broker("D", 50, &[("DELAY", "1")]).await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "x", &[]).await;
    let context = Arc::clone(&broker.broker.context);
    let request = waiting_pull("T", 0, 1, "*");
    let pulling = consumer.connection.begin(&request, Bytes::new(), PATIENCE).unwrap();
    eventually("the pull is held", async || context.held.count() == 1).await;
    let hung = Hung::new(&faults);
    broker.clock.advance(Duration::from_secs(2));
    eventually("the delivery waits for the disk", async || faults.held() == 1).await;
    broker.clock.advance(Duration::from_secs(20));
    assert_eq!(PullAnswer::of(&pulling.await.unwrap()).code, 19);
    others_are_served(&consumer).await;
    drop(hung);
    let delivered = async || {
        let mut count = 0;
        while let bodies @ 1.. = consumer.pull(&pull_request("D", 0, count, "*")).await.bodies().len() {
            count += i64::try_from(bodies).unwrap();
        }
        count == 50
    };
    eventually("all delayed messages are delivered", delivered).await;
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_stops_once_its_reads_end_though_their_clients_are_gone() {
    let (broker, faults) = cold_broker("T", 1, &[]).await;
    let cold = broker.client().await;
    let hung = Hung::new(&faults);
    let pull = cold.connection.begin(&pull_request("T", 0, 0, "*"), Bytes::new(), PATIENCE).unwrap();
    eventually("the read waits", async || faults.held() == 1).await;
    drop((pull, cold));
    let stopping = tokio::spawn(async move { broker.broker.shutdown().await });
    drop(hung);
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
