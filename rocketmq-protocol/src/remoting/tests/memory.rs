//! What a peer can make a side hold, and what it can make others wait for.

use std::sync::Mutex;

use super::super::Budget;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_reads_on_when_its_own_buffer_is_full() {
    let config = ConnectionConfig { outbound_limit_bytes: 1000, ..ConnectionConfig::default() };
    let (client, peer) = client(config);
    let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
    settle().await;
    peer.take_until(0);
    client.try_oneway(&ask(), vec![0; 2000].into()).unwrap();
    peer.has_blocked().await;
    assert!(client.budget().is_full());
    peer.feed(&response(1, b"answer"));
    assert_eq!(pending.await.unwrap().body(), "answer");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_room_and_go_on_when_there_is_some() {
    let config = ConnectionConfig { outbound_limit_bytes: 1000, ..ConnectionConfig::default() };
    let (client, peer) = client(config);
    peer.take_until(0);
    client.try_oneway(&ask(), vec![0; 2000].into()).unwrap();
    let error = client.try_oneway(&ask(), Bytes::new()).unwrap_err();
    assert!(matches!(error, RemotingError::OutboundFull { .. }), "{error}");
    assert!(client.invoke(&ask(), Bytes::new(), SECOND).await.unwrap_err().is_timeout());
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.invoke_oneway(&ask(), Bytes::from_static(b"waited")).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    peer.take_all();
    waiting.await.unwrap().unwrap();
    settle().await;
    assert_eq!(bodies(&peer.written())[1..], ["waited"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_answers_costs_the_limit_and_one_answer() {
    const LIMIT: usize = 10_000;
    let config = ConnectionConfig { outbound_limit_bytes: LIMIT, ..ConnectionConfig::default() };
    let (server, peer) = server(config);
    peer.take_until(0);
    let asked: Vec<u8> = (0..100).flat_map(|opaque| request(opaque, &[1; 1000])).collect();
    peer.feed(&asked);
    tokio::time::sleep(5 * SECOND).await;
    let held = server.budget().used_bytes();
    assert!((LIMIT..LIMIT + 1200).contains(&held), "{held} bytes are held");
    peer.take_all();
    tokio::time::sleep(SECOND).await;
    assert_eq!(bodies(&peer.written()).len(), 100);
    assert_eq!(server.budget().used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_peer_that_takes_nothing_does_not_keep_others_from_being_served() {
    let budget = Budget::new(200_000);
    let config = ConnectionConfig { budget: budget.clone(), ..ConnectionConfig::default() };
    let (greedy, frozen) = server(config.clone());
    frozen.take_until(0);
    let asked: Vec<u8> = (0..100).flat_map(|opaque| request(opaque, &[1; 10_000])).collect();
    frozen.feed(&asked);
    tokio::time::sleep(SECOND).await;
    assert!(budget.is_full());
    assert!(budget.used_bytes() < 300_000, "{} bytes are held", budget.used_bytes());
    let (_modest, peer) = server(config);
    peer.feed(&request(1, b"small"));
    settle().await;
    assert_eq!(bodies(&peer.written()), ["small"]);
    // It does not get to keep it for ever either.
    assert_eq!(&*greedy.closed().await, "the peer stands still while memory is short");
    frozen.is_gone().await;
    assert_eq!(budget.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_waits_while_memory_is_short_and_is_read_when_it_is_not() {
    let budget = Budget::new(1_000_000);
    let config = ConnectionConfig { budget: budget.clone(), ..ConnectionConfig::default() };
    let (_server, peer) = server(config);
    let held = budget.try_reserve(1_000_000).unwrap();
    let asked = request(1, &[1; 500_000]);
    peer.feed(&asked);
    tokio::time::sleep(5 * SECOND).await;
    assert!(budget.used_bytes() < 1_000_000 + 100_000, "{} bytes are held", budget.used_bytes());
    drop(held);
    peer.has_written(500_000).await;
    settle().await;
    assert_eq!(bodies(&peer.written())[0].len(), 500_000);
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_only_claimed_takes_no_memory_beyond_its_limit() {
    let budget = Budget::unlimited();
    let config = ConnectionConfig { budget: budget.clone(), ..ConnectionConfig::default() };
    let (server, peer) = server(config);
    peer.feed(b"\x7F\xFF\xFF\xFFjunk");
    assert!(server.closed().await.contains("over the limit"));
    peer.close();
    peer.is_gone().await;
    assert_eq!(budget.used_bytes(), 0);
}

/// Notes whose request it was.
struct Noting(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Handler for Noting {
    fn handle(&self, _: RemotingCommand, responder: Responder) {
        self.1.lock().unwrap().push(self.0);
        responder.success(&OffsetResponse { offset: 7 }, Bytes::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flooding_peer_does_not_starve_another() {
    let served = Arc::new(Mutex::new(Vec::new()));
    let (stream, flood) = faulty_stream();
    let tasks = TaskTracker::new();
    let config = ConnectionConfig::default;
    flood.feed(&(0..5000).flat_map(|opaque| request(opaque, b"")).collect::<Vec<_>>());
    accepting(stream, config(), Arc::new(Noting("flood", Arc::clone(&served))), &tasks);
    let (stream, drop) = faulty_stream();
    drop.feed(&request(1, b""));
    accepting(stream, config(), Arc::new(Noting("drop", Arc::clone(&served))), &tasks);
    flood.was_read().await;
    settle().await;
    let served = served.lock().unwrap();
    assert_eq!(served.len(), 5001);
    let before = served.iter().position(|whose| *whose == "drop").unwrap();
    assert!(before <= 1000, "{before} requests of the other came first");
}
