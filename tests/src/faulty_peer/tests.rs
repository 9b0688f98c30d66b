use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use Direction::{Answers, Requests};

/// A client and a server with the peer between them.
async fn pair() -> (TcpStream, FaultyPeer, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let peer = FaultyPeer::before(listener.local_addr().unwrap()).await;
    let client = TcpStream::connect(peer.addr()).await.unwrap();
    let (server, _) = within("the peer's connection", listener.accept()).await.unwrap();
    (client, peer, server)
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within("bytes", stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// What comes up to the end of the stream, and how it ended.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, std::io::Result<()>) {
    let mut bytes = Vec::new();
    let ended = within("the stream's end", stream.read_to_end(&mut bytes)).await;
    (bytes, ended.map(drop))
}

#[tokio::test]
async fn an_open_peer_passes_bytes_and_ends_both_ways() {
    let (mut client, peer, mut server) = pair().await;
    peer.accepted(1).await;
    client.write_all(b"question").await.unwrap();
    assert_eq!(read(&mut server, 8).await, b"question");
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut client, 6).await, b"answer");
    peer.passed(Requests, 8).await;
    peer.passed(Answers, 6).await;
    client.shutdown().await.unwrap();
    assert!(rest(&mut server).await.0.is_empty());
    server.write_all(b"last").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await.0, b"last");
    peer.open(0).await;
}

#[tokio::test]
async fn a_frozen_peer_blocks_its_sender_and_loses_nothing() {
    let (mut client, peer, mut server) = pair().await;
    peer.set(Requests, Flow::Frozen);
    let bytes: Vec<u8> = (0..16_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut taken = 0;
    client.writable().await.unwrap();
    // What the kernel takes for a peer that does not read.
    while let Ok(length) = client.try_write(&bytes[taken..]) {
        taken += length;
    }
    assert!(taken < bytes.len() / 2, "{taken} bytes went into a frozen peer");
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut client, 6).await, b"answer", "the other direction is open");
    assert_eq!(peer.bytes(Requests), 0);
    peer.set(Requests, Flow::Open);
    let reading = async {
        assert!(read(&mut server, bytes.len()).await == bytes, "bytes were changed");
    };
    let (written, ()) = tokio::join!(client.write_all(&bytes[taken..]), reading);
    written.unwrap();
}

#[tokio::test]
async fn a_reset_comes_at_its_byte_at_both_ends() {
    for (direction, at) in [(Requests, 0), (Requests, 1), (Requests, 40_000), (Answers, 0), (Answers, 77)] {
        let (mut client, peer, mut server) = pair().await;
        peer.set(direction, Flow::ResetAt(at));
        let (from, to) = match direction {
            Requests => (&mut client, &mut server),
            Answers => (&mut server, &mut client),
        };
        // It may be reset before all is written.
        let _ = from.write_all(&[7; 100_000]).await;
        let (came, ended) = rest(to).await;
        assert_eq!(came.len() as u64, at, "{direction:?}");
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "{direction:?} at {at}");
        assert!(rest(from).await.1.is_err(), "{direction:?} at {at}: the sender is not reset");
        peer.open(0).await;
    }
}

#[tokio::test]
async fn a_slow_peer_passes_its_bytes_a_tick() {
    let (mut client, peer, mut server) = pair().await;
    peer.set(Requests, Flow::Slow { bytes: 10, every: Duration::from_millis(10) });
    client.write_all(&[1; 95]).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(read(&mut server, 95).await, [1; 95]);
    assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_half_open_peer_ends_one_direction_only() {
    let (mut client, peer, mut server) = pair().await;
    peer.set(Answers, Flow::Shut);
    assert_eq!(rest(&mut client).await.0, b"");
    client.write_all(b"still here").await.unwrap();
    assert_eq!(read(&mut server, 10).await, b"still here");
    // What the server still says goes nowhere, and harms nobody.
    server.write_all(b"lost").await.unwrap();
    peer.open(1).await;
}

#[tokio::test]
async fn a_black_hole_swallows_bytes_and_ends_until_it_is_opened() {
    let (mut client, peer, mut server) = pair().await;
    client.write_all(b"before").await.unwrap();
    assert_eq!(read(&mut server, 6).await, b"before");
    peer.set_both(Flow::Swallowed);
    client.write_all(&[0; 3_000_000]).await.unwrap();
    client.shutdown().await.unwrap();
    server.write_all(b"swallowed").await.unwrap();
    peer.dropped(Requests, 3_000_000).await;
    peer.dropped(Answers, 9).await;
    peer.set_both(Flow::Open);
    server.write_all(b"after").await.unwrap();
    assert_eq!(read(&mut client, 5).await, b"after");
    assert!(rest(&mut server).await.0.is_empty(), "the end comes now, and nothing before it");
}

#[tokio::test]
async fn a_peer_alone_reads_and_never_answers() {
    let peer = FaultyPeer::alone().await;
    let mut client = TcpStream::connect(peer.addr()).await.unwrap();
    client.write_all(&[0; 1_000_000]).await.unwrap();
    peer.passed(Requests, 1_000_000).await;
    peer.reset_all();
    assert_eq!(rest(&mut client).await.1.unwrap_err().kind(), ErrorKind::ConnectionReset);
    peer.open(0).await;
}

#[tokio::test]
async fn a_dropped_peer_resets_its_connections_and_closes_its_port() {
    let (mut client, peer, mut server) = pair().await;
    peer.accepted(1).await;
    let addr = peer.addr();
    drop(peer);
    assert!(rest(&mut client).await.1.is_err());
    assert!(rest(&mut server).await.1.is_err());
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn clients_find_a_broker_behind_the_peer_through_the_name_server() {
    let peer = std::sync::Arc::new(FaultyPeer::before_broker().await);
    let front = std::sync::Arc::clone(&peer);
    let builder = rocketmq_broker_lite::TestCluster::builder();
    let mq = crate::Cluster::embedded(builder.configure_broker(move |config| front.configure(config))).await;
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(rocketmq_client::Message::new("T", "x")).await.unwrap();
    assert!(peer.bytes(Requests) > 0 && peer.bytes(Answers) > 0, "the send went past the peer");
    producer.shutdown().await;
    mq.stop().await;
}
