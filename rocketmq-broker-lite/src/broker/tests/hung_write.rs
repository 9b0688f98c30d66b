//! A write to the log hangs: the sends of it wait, and nothing else.

use super::*;
use crate::store::faulty_fs::{Faults, FaultyFs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_hangs_holds_up_no_connection() {
    check().await;
}

#[tokio::test]
async fn a_write_that_hangs_holds_up_no_connection_of_a_single_thread() {
    check().await;
}

async fn check() {
    let faults = Arc::new(Faults::default());
    let broker = TestBroker::on(Arc::new(FaultyFs(Arc::clone(&faults))), |_| {}).await;
    let (client, other) = (broker.client().await, broker.client().await);
    client.join("c", "g", &[("T", "*")]).await;
    client.send("T", "before", &[]).await;

    faults.hold_writes(true);
    let send = |client: &Client, body: &'static str| {
        client
            .connection
            .begin(&send_request("T", &[]), Bytes::from_static(body.as_bytes()), PATIENCE)
            .unwrap()
    };
    let (first, second, third) = (send(&client, "1"), send(&client, "2"), send(&other, "3"));
    let hung = Arc::clone(&faults);
    tokio::task::spawn_blocking(move || hung.wait_for_one_held()).await.unwrap();

    // Each of them often enough to meet every worker.
    for _ in 0..20 {
        client.join("c", "g", &[("T", "*")]).await;
        other.join("d", "g", &[("T", "*")]).await;
        for client in [&client, &other] {
            assert_eq!(client.pull(&pull_request("T", 0, 0, "*")).await.bodies(), ["before"]);
        }
    }
    faults.hold_writes(false);
    for send in [first, second, third] {
        assert!(send.await.unwrap().is_success());
    }
    let mut stored = client.pull(&pull_request("T", 0, 1, "*")).await.bodies();
    stored.sort();
    assert_eq!(stored, ["1", "2", "3"]);
    broker.broker.shutdown().await;
}
