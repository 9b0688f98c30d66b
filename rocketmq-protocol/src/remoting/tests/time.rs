//! Deadlines and signs of life, whatever the socket does.

use super::*;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_a_write_is_blocked() {
    let (client, peer) = client(ConnectionConfig::default());
    peer.take_until(3);
    let began = Instant::now();
    let error = client.invoke(&ask(), vec![1; 100_000].into(), SECOND / 2).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_no_sign_of_the_peers_life() {
    let config = ConnectionConfig::default();
    let liveness_timeout = config.liveness_timeout;
    let (client, _peer) = client(config);
    let began = Instant::now();
    while !client.is_closed() {
        let error = client.invoke(&ask(), Bytes::new(), SECOND).await.unwrap_err();
        assert!(error.is_timeout() || client.is_closed(), "{error}");
    }
    let took = began.elapsed();
    assert!(took >= liveness_timeout && took < liveness_timeout + 2 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_now_and_then_is_alive() {
    let (client, peer) = client(ConnectionConfig::default());
    for opaque in 1..=10 {
        let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
        tokio::time::sleep(30 * SECOND).await;
        peer.feed(&response(opaque, b""));
        assert!(pending.await.is_ok(), "request {opaque}");
    }
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_answered_connection_is_closed_for_being_idle_and_not_before() {
    let config = ConnectionConfig::default();
    let idle_timeout = config.idle_timeout;
    let (client, peer) = client(config);
    let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
    peer.feed(&response(1, b""));
    pending.await.unwrap();
    let began = Instant::now();
    assert_eq!(&*client.closed().await, "idle for too long");
    assert!(began.elapsed() >= idle_timeout, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_leaves_nothing_to_wait_for() {
    let config = ConnectionConfig { max_frame_bytes: 1000, ..ConnectionConfig::default() };
    let idle_timeout = config.idle_timeout;
    let (client, _peer) = client(config);
    let began = Instant::now();
    let error = client.invoke(&ask(), vec![0; 1000].into(), SECOND).await.unwrap_err();
    assert!(matches!(error, RemotingError::TooLarge { limit_bytes: 1000, .. }), "{error}");
    client.closed().await;
    assert!(began.elapsed() >= idle_timeout, "closed after {:?}", began.elapsed());
}
