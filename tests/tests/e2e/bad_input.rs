//! Peers that send rubbish.
//!
//! Memory is watched through VmRSS of this process, which holds the embedded broker: `tests/garbage.rs` has it alone.

use std::time::Duration;

use rocketmq_client::Message;
use tests::{Cluster, RawClient, frame, unique};

fn request(code: i32) -> Vec<u8> {
    let header = format!(
        r#"{{"code":{code},"language":"JAVA","version":401,"opaque":77,"flag":0,"serializeTypeCurrentRPC":"JSON","extFields":{{}}}}"#
    );
    frame(&header, b"")
}

/// What is sent, and what it is.
fn rubbish() -> Vec<(&'static str, Vec<u8>)> {
    let truncated = request(105);
    let truncated = truncated[..truncated.len() / 2].to_vec();
    vec![
        ("a frame of 2 GiB", [&0x7FFF_FFFFu32.to_be_bytes()[..], &[0; 64]].concat()),
        ("a frame of a negative length", [0xFF; 64].to_vec()),
        ("a frame of 17 MiB", [&(17u32 << 20).to_be_bytes()[..], &[0; 64]].concat()),
        ("an empty frame", vec![0; 4]),
        ("a frame shorter than its header's length", vec![0, 0, 0, 2, 0, 0]),
        (
            "a header longer than its frame",
            [&8u32.to_be_bytes()[..], &[0, 0, 0xFF, 0xFF, 1, 2, 3, 4]].concat(),
        ),
        ("a header that is no JSON", frame("rubbish, not JSON", b"")),
        ("a header of another shape", frame("[1,2,3]", b"")),
        ("an unknown encoding", [&8u32.to_be_bytes()[..], &[9, 0, 0, 4, 1, 2, 3, 4]].concat()),
        ("a binary header of rubbish", [&12u32.to_be_bytes()[..], &[1, 0, 0, 8], &[0xFF; 8]].concat()),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("half a request", truncated),
        ("nothing", Vec::new()),
    ]
}

/// Asks for the cluster's table, which every name server has.
async fn namesrv_serves(addr: &str) {
    let mut client = RawClient::connect(addr).await;
    client.send(&request(106)).await;
    let answer = client.answer().await.expect("the name server serves the next client");
    assert_eq!((answer.code(), answer.opaque()), (0, 77));
}

async fn broker_addr(mq: &Cluster) -> String {
    let mut client = RawClient::connect(mq.namesrv_addr()).await;
    client.send(&request(106)).await;
    let body = client.answer().await.unwrap().body().to_vec();
    let text = String::from_utf8(body).unwrap();
    let (_, rest) = text.split_once("\"brokerAddrs\":{").unwrap();
    rest.split('"')
        .find(|part| part.starts_with("127.0.0.1:"))
        .unwrap_or_else(|| panic!("no broker in {text}"))
        .to_owned()
}

#[tokio::test]
async fn the_name_server_outlives_rubbish() {
    let mq = Cluster::start().await;
    for (what, bytes) in rubbish() {
        let mut client = RawClient::connect(mq.namesrv_addr()).await;
        client.send(&bytes).await;
        client.finish().await;
        if let Some(answer) = client.answer().await {
            assert_ne!(answer.code(), 0, "{what} was answered with success");
        }
        namesrv_serves(mq.namesrv_addr()).await;
    }
    mq.stop().await;
}

#[tokio::test]
async fn the_broker_outlives_rubbish() {
    let mq = Cluster::start().await;
    let addr = broker_addr(&mq).await;
    let topic = unique("rubbish");
    let producer = mq.producer().start().await.unwrap();
    for (what, bytes) in rubbish() {
        let mut client = RawClient::connect(&addr).await;
        client.send(&bytes).await;
        client.finish().await;
        if let Some(answer) = client.answer().await {
            assert_ne!(answer.code(), 0, "{what} was answered with success");
        }
        let _ = producer.send(Message::new(topic.clone(), what)).await.unwrap();
    }
    producer.shutdown().await;
    mq.stop().await;
}

/// Frames that cannot be right end the connection without waiting for its peer.
#[tokio::test]
async fn a_frame_over_the_limit_ends_its_connection() {
    let mq = Cluster::start().await;
    for addr in [mq.namesrv_addr().to_owned(), broker_addr(&mq).await] {
        let mut client = RawClient::connect(&addr).await;
        client.send(&[&(17u32 << 20).to_be_bytes()[..], &[0; 64]].concat()).await;
        assert!(client.answer().await.is_none(), "{addr} answers a frame of 17 MiB");
    }
    mq.stop().await;
}

#[tokio::test]
async fn an_unknown_request_code_is_answered_with_3() {
    let mq = Cluster::start().await;
    let mut client = RawClient::connect(&broker_addr(&mq).await).await;
    client.send(&request(31_999)).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.code(), answer.opaque()), (3, 77));
    assert!(answer.remark().is_some_and(|remark| remark.contains("31999")), "{:?}", answer.remark());

    let mut client = RawClient::connect(mq.namesrv_addr()).await;
    client.send(&request(31_999)).await;
    // The name server of 4.9 never answers.
    let patience = if mq.as_embedded().is_some() { tests::PATIENCE } else { Duration::from_secs(2) };
    match client.answer_within(patience).await {
        Ok(answer) => assert_eq!(answer.expect("an answer").code(), 3),
        Err(_) => assert!(mq.as_embedded().is_none(), "our name server does not answer an unknown code"),
    }
    mq.stop().await;
}

/// A request that lacks what it needs is answered, and the connection stays good.
#[tokio::test]
async fn a_request_without_its_fields_is_answered_with_an_error() {
    let mq = Cluster::start().await;
    let mut client = RawClient::connect(&broker_addr(&mq).await).await;
    // Send V1 and V2, pull, send back, offsets, members.
    for code in [10, 310, 11, 36, 14, 15, 30, 38] {
        client.send(&request(code)).await;
        let answer = client.answer().await.unwrap_or_else(|| panic!("code {code} ends the connection"));
        assert_ne!(answer.code(), 0, "code {code} without fields succeeds");
        assert_eq!(answer.opaque(), 77);
    }
    mq.stop().await;
}

/// A body shorter than its batch claims.
#[tokio::test]
async fn a_truncated_batch_is_refused() {
    let mq = Cluster::start().await;
    let topic = unique("truncated");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "creates the topic")).await.unwrap();
    let header = format!(
        r#"{{"code":320,"language":"JAVA","version":401,"opaque":5,"flag":0,"serializeTypeCurrentRPC":"JSON","extFields":{{"a":"p","b":"{topic}","c":"TBW102","d":"4","e":"0","f":"0","g":"0","h":"0","i":"","j":"0","k":"false","l":"0","m":"true"}}}}"#
    );
    let mut client = RawClient::connect(&broker_addr(&mq).await).await;
    for body in [&[0u8, 0, 0, 100, 1, 2, 3][..], &[0xFF; 40][..], &[0; 3][..]] {
        client.send(&frame(&header, body)).await;
        let answer = client.answer().await.expect("an answer");
        assert_ne!(answer.code(), 0, "a truncated batch of {} bytes is stored", body.len());
    }
    let _ = producer.send(Message::new(topic, "still served")).await.unwrap();
    producer.shutdown().await;
    mq.stop().await;
}

/// A connection that says nothing is nobody's harm, and is closed in the end.
#[tokio::test]
async fn a_silent_connection_is_closed() {
    let builder = rocketmq_broker_lite::TestCluster::builder()
        .configure_broker(|config| config.server_channel_max_idle_time = Duration::from_secs(1));
    let mq = Cluster::embedded(builder).await;
    let mut silent = RawClient::connect(&mq.as_embedded().unwrap().broker_addr().to_string()).await;
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new("T", "x")).await.unwrap();
    assert!(silent.answer().await.is_none());
    let _ = producer.send(Message::new("T", "y")).await.unwrap();
    producer.shutdown().await;
    mq.stop().await;
}
