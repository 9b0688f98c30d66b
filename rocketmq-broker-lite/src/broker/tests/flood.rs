//! Peers that send as fast as they can, and one that does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_normal_sender_is_served_beside_eight_that_flood() {
    const FLOODERS: usize = 8;
    const SENDS: usize = 40;
    let broker = TestBroker::start().await;
    let over = Arc::new(AtomicBool::new(false));
    let mut flooders = Vec::new();
    for _ in 0..FLOODERS {
        let (client, over) = (broker.client().await, Arc::clone(&over));
        flooders.push(tokio::spawn(async move {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                client
                    .connection
                    .invoke_oneway(&send_request("Flood", &[]), vec![0; 1024].into())
                    .await
                    .unwrap();
                sent += 1;
                if sent % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            sent
        }));
    }
    let client = broker.client().await;
    let mut times = Vec::new();
    let sending = async {
        for number in 0..SENDS {
            let began = Instant::now();
            client.send("T", &number.to_string(), &[]).await;
            times.push(began.elapsed());
        }
    };
    // A starved sender had six sends in eight seconds.
    tokio::time::timeout(PATIENCE, sending).await.expect("the normal sender is starved");
    over.store(true, Ordering::Relaxed);
    let mut flooded = 0;
    for flooder in flooders {
        flooded += flooder.await.unwrap();
    }
    times.sort();
    println!("{flooded} one-way sends beside; p50 {:?}, p99 {:?}", times[SENDS / 2], times[SENDS - 2]);
    assert!(flooded > SENDS, "there was a flood: {flooded}");
    assert!(
        times[SENDS / 2] < Duration::from_secs(1),
        "starved: half of the sends took {:?}",
        times[SENDS / 2]
    );
    broker.broker.shutdown().await;
}
