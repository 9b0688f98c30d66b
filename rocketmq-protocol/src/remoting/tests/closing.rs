//! How a connection ends: what is queued is written, up to a deadline, and what is lost is told.

use super::super::Abandoned;
use super::*;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_write_ends_at_its_deadline_and_says_what_is_lost() {
    let frame = {
        let (client, peer) = client(ConnectionConfig::default());
        client.try_oneway(&ask(), Bytes::from_static(b"body")).unwrap();
        settle().await;
        peer.written().len()
    };
    for cut in 0..3 * frame {
        let (client, peer) = client(ConnectionConfig::default());
        peer.take_until(cut);
        let _pending = client.begin(&ask(), Bytes::from_static(b"body"), MINUTE).unwrap();
        client.try_oneway(&ask(), Bytes::from_static(b"body")).unwrap();
        client.try_oneway(&ask(), Bytes::from_static(b"body")).unwrap();
        peer.has_blocked().await;
        let total = cut + client.budget().used_bytes();
        let began = Instant::now();
        let abandoned = client.shutdown("over", 3 * SECOND).await;
        let wanted = Abandoned {
            bytes: total - cut,
            frames: 3 - frames_in(cut, &peer),
            oneway_requests: (3 - frames_in(cut, &peer)).min(2),
        };
        assert_eq!(abandoned, wanted, "cut at {cut}");
        assert!((3 * SECOND..4 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
        peer.is_gone().await;
    }
}

/// How many whole frames were written.
fn frames_in(cut: usize, peer: &Peer) -> usize {
    let mut bytes = BytesMut::from(&peer.written()[..cut]);
    std::iter::from_fn(|| split_frame(&mut bytes, MAX_FRAME_BYTES).unwrap()).count()
}

#[tokio::test(start_paused = true)]
async fn a_close_writes_what_is_queued_however_slowly_the_peer_takes_it() {
    let (client, peer) = client(ConnectionConfig::default());
    peer.take_until(0);
    for _ in 0..100 {
        client.try_oneway(&ask(), vec![1; 1000].into()).unwrap();
    }
    let total = client.budget().used_bytes();
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown("over", MINUTE).await }
    });
    for taken in (0..total).step_by(997) {
        peer.take_until(taken);
        peer.has_blocked().await;
    }
    peer.take_all();
    peer.was_shut().await;
    peer.close();
    assert!(closing.await.unwrap().is_nothing());
    assert_eq!(bodies(&peer.written()).len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_takes_nothing_more_and_nobody_waits_for_it() {
    let (client, peer) = client(ConnectionConfig::default());
    let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
    client.close("over");
    client.close("again");
    let error = pending.await.unwrap_err();
    assert!(matches!(&error, RemotingError::Closed { cause, .. } if &**cause == "over"), "{error}");
    let error = client.begin(&ask(), Bytes::new(), MINUTE).unwrap_err();
    assert!(error.has_no_side_effects(), "{error}");
    peer.was_shut().await;
    assert_eq!(bodies(&peer.written()).len(), 1, "what was queued is written");
    peer.close();
    peer.is_gone().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_at_the_end_does_not_keep_the_peer_from_reading() {
    let (client, peer) = client(ConnectionConfig::default());
    client.try_oneway(&ask(), Bytes::new()).unwrap();
    client.close("over");
    peer.feed(&vec![0; 10_000_000]);
    peer.was_read().await;
    peer.close();
    peer.is_gone().await;
}

struct Panicking;

impl Handler for Panicking {
    fn connected(&self, _: &Connection) {
        panic!("in connected");
    }

    fn handle(&self, request: RemotingCommand, responder: Responder) {
        assert_ne!(request.body(), "bad", "a request that panics");
        responder.success(&OffsetResponse { offset: 7 }, request.body().clone());
    }

    fn disconnected(&self, _: &Connection, _: &str) {
        panic!("in disconnected");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_the_request_that_caused_it_and_no_other() {
    let (stream, peer) = faulty_stream();
    let tasks = TaskTracker::new();
    let server = accepting(stream, ConnectionConfig::default(), Arc::new(Panicking), &tasks);
    peer.feed(&[request(1, b"good"), request(2, b"bad"), request(3, b"good too")].concat());
    settle().await;
    assert_eq!(bodies(&peer.written()), ["good", "", "good too"]);
    assert!(!server.is_closed());
    peer.close();
    peer.is_gone().await;
    tasks.close();
    tasks.wait().await;
}

/// Takes one request of a batch and leaves the rest.
struct Lazy;

impl Handler for Lazy {
    fn handle(&self, _: RemotingCommand, responder: Responder) {
        responder.success(&OffsetResponse { offset: 7 }, Bytes::from_static(b"taken"));
    }

    fn handle_all(&self, requests: &mut Requests<'_>) {
        if let Some((request, responder)) = requests.next() {
            self.handle(request, responder);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_handler_leaves_is_answered() {
    let (stream, peer) = faulty_stream();
    let _server = accepting(stream, ConnectionConfig::default(), Arc::new(Lazy), &TaskTracker::new());
    peer.feed(&[request(1, b""), request(2, b""), request(3, b"")].concat());
    settle().await;
    assert_eq!(bodies(&peer.written()), ["taken", "", ""]);
}
