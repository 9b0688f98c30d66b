//! Cut anywhere, in both directions: the same bytes, or the end.

use super::*;

/// Some small requests, and where asked for one whose body is written from where it lies.
fn send_some(client: &Connection, large_body_bytes: usize) -> Vec<super::super::PendingResponse> {
    let bodies =
        [Bytes::from_static(b"first"), vec![7; large_body_bytes].into(), Bytes::from_static(b"last")];
    bodies.into_iter().map(|body| client.begin(&ask(), body, MINUTE).unwrap()).collect()
}

/// What is written when nothing goes wrong.
async fn written_in_peace(large_body_bytes: usize) -> Vec<u8> {
    let (client, peer) = client(ConnectionConfig::default());
    let pending = send_some(&client, large_body_bytes);
    settle().await;
    drop(pending);
    peer.written()
}

/// Every byte of an exchange of small frames; of one with a large body, every byte around its ends and some within.
async fn places(large_body_bytes: usize) -> Vec<usize> {
    let total = written_in_peace(large_body_bytes).await.len();
    (0..total).filter(|at| *at < 700 || *at + 700 > total || at % 997 == 0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_cut_goes_on_at_the_exact_byte() {
    for large_body_bytes in [10, 20_000] {
        let wanted = written_in_peace(large_body_bytes).await;
        for cut in places(large_body_bytes).await {
            let (client, peer) = client(ConnectionConfig::default());
            peer.take_until(cut);
            let _pending = send_some(&client, large_body_bytes);
            peer.has_blocked().await;
            assert_eq!(client.budget().used_bytes(), wanted.len() - cut, "cut at {cut}");
            // Other bytes, which must come after.
            client.try_oneway(&ask(), Bytes::from_static(b"other")).unwrap();
            peer.take_until(cut + 1);
            peer.has_blocked().await;
            peer.take_all();
            settle().await;
            let written = peer.written();
            assert!(written.starts_with(&wanted), "cut at {cut}");
            assert_eq!(&bodies(&written)[3..], ["other"], "cut at {cut}");
            assert_eq!(client.budget().used_bytes(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_anywhere_ends_the_connection_and_writes_nothing_else() {
    for large_body_bytes in [10, 20_000] {
        let wanted = written_in_peace(large_body_bytes).await;
        for cut in places(large_body_bytes).await {
            let (client, peer) = client(ConnectionConfig::default());
            peer.take_until(cut);
            let pending = send_some(&client, large_body_bytes);
            peer.has_blocked().await;
            peer.reset();
            peer.is_gone().await;
            assert_eq!(peer.written(), wanted[..cut], "cut at {cut}");
            let mut causes = Vec::new();
            for response in pending {
                let Err(RemotingError::Closed { cause, .. }) = response.await else { panic!("cut at {cut}") };
                causes.push(cause);
            }
            assert!(causes.iter().all(|cause| Arc::ptr_eq(cause, &causes[0])), "one cause for all");
            assert_eq!(client.shutdown("over", SECOND).await.bytes, wanted.len() - cut);
            assert_eq!(client.budget().used_bytes(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_in_pieces_is_read_as_if_it_came_whole() {
    for large_body_bytes in [10, 20_000] {
        let answer = response(1, &vec![9; large_body_bytes]);
        for cut in (0..answer.len()).filter(|at| *at < 700 || at % 997 == 0) {
            let (client, peer) = client(ConnectionConfig::default());
            let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
            peer.feed(&answer[..cut]);
            peer.was_read().await;
            peer.feed(&answer[cut..]);
            assert_eq!(pending.await.unwrap().body().len(), large_body_bytes, "cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_cut_off_anywhere_is_the_end_of_its_connection() {
    let answer = response(1, b"answer");
    for cut in 0..answer.len() {
        for reset in [false, true] {
            let (client, peer) = client(ConnectionConfig::default());
            let pending = client.begin(&ask(), Bytes::new(), MINUTE).unwrap();
            peer.feed(&answer[..cut]);
            peer.was_read().await;
            if reset {
                peer.reset()
            } else {
                peer.close()
            }
            let error = pending.await.unwrap_err();
            assert!(matches!(error, RemotingError::Closed { .. }), "cut at {cut}: {error}");
            peer.is_gone().await;
            assert_eq!(client.budget().used_bytes(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_answers_the_same_bytes_wherever_its_peer_stops_and_goes_on() {
    let asked = [request(1, b"one"), request(2, &[5; 300]), request(3, b"three")].concat();
    let in_peace = {
        let (_server, peer) = server(ConnectionConfig::default());
        peer.feed(&asked);
        settle().await;
        peer.written()
    };
    assert_eq!(bodies(&in_peace).len(), 3);
    for cut in 0..asked.len().max(in_peace.len()) {
        let (_server, peer) = server(ConnectionConfig::default());
        peer.take_until(cut.min(in_peace.len()));
        let (first, rest) = asked.split_at(cut.min(asked.len()));
        peer.feed(first);
        peer.was_read().await;
        peer.feed(rest);
        peer.was_read().await;
        peer.take_all();
        peer.has_written(in_peace.len()).await;
        assert_eq!(peer.written(), in_peace, "cut at {cut}");
    }
}
