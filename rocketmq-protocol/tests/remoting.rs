//! The driver over real loopback connections.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{
    Connection, ConnectionConfig, Handler, Listener, ListenerConfig, RemotingError, Responder, connect,
};
use rocketmq_protocol::request::{MaxOffsetRequest, OffsetResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

const LONG: Duration = Duration::from_secs(10);

/// Answers each request as its topic says.
struct Server {
    events: mpsc::UnboundedSender<String>,
}

impl Handler for Server {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        let header: MaxOffsetRequest = request.header().unwrap();
        match &*header.topic {
            "echo" => {
                let fields = OffsetResponse { offset: i64::from(header.queue_id) };
                responder.success(&fields, request.body().clone());
            }
            "silent" => responder.forget(),
            "note" => drop(self.events.send(header.queue_id.to_string())),
            "drop" => drop(responder),
            "panic" => panic!("a handler's own panic"),
            "close" => responder.connection().close("as asked"),
            other => responder.error(17, format!("no topic {other}")),
        }
    }

    fn disconnected(&self, _: &Connection, cause: &str) {
        let _ = self.events.send(cause.to_owned());
    }
}

struct Nobody;

impl Handler for Nobody {
    fn handle(&self, _: RemotingCommand, responder: Responder) {
        responder.error(3, "no requests here");
    }
}

struct Pair {
    client: Connection,
    listener: Listener,
    tasks: TaskTracker,
    events: mpsc::UnboundedReceiver<String>,
}

async fn pair(config: ListenerConfig) -> Pair {
    let tasks = TaskTracker::new();
    let (sender, events) = mpsc::unbounded_channel();
    let handler = Arc::new(Server { events: sender });
    let listener =
        Listener::bind("127.0.0.1:0".parse().unwrap(), config, handler, tasks.clone()).await.unwrap();
    let addr = listener.local_addr().to_string();
    let client = connect(&addr, LONG, ConnectionConfig::default(), Arc::new(Nobody), &tasks).await.unwrap();
    Pair { client, listener, tasks, events }
}

fn ask(topic: &str, queue_id: i32) -> MaxOffsetRequest {
    MaxOffsetRequest { topic: topic.into(), queue_id, broker_name: None }
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let pair = pair(ListenerConfig::default()).await;
    let asks = (0..200).map(|queue_id| {
        let client = pair.client.clone();
        tokio::spawn(async move {
            let body = Bytes::from(vec![1; usize::try_from(queue_id).unwrap() * 400]);
            let answer = client.invoke(&ask("echo", queue_id), body.clone(), LONG).await.unwrap();
            assert_eq!(answer.header::<OffsetResponse>().unwrap().offset, i64::from(queue_id));
            assert_eq!(answer.body(), &body);
        })
    });
    for task in asks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let answer = pair.client.invoke(&ask("other", 0), Bytes::new(), LONG).await.unwrap();
    assert_eq!((answer.code(), answer.remark()), (17, Some("no topic other")));
}

#[tokio::test]
async fn a_request_without_an_answer_times_out_and_the_connection_lives_on() {
    let pair = pair(ListenerConfig::default()).await;
    let timeout = Duration::from_millis(30);
    let error = pair.client.invoke(&ask("silent", 0), Bytes::new(), timeout).await.unwrap_err();
    assert!(matches!(error, RemotingError::Timeout { timeout: waited, .. } if waited == timeout), "{error}");
    assert!(!error.has_no_side_effects());
    assert!(pair.client.invoke(&ask("echo", 1), Bytes::new(), LONG).await.unwrap().is_success());
}

#[tokio::test]
async fn a_dropped_responder_answers() {
    let pair = pair(ListenerConfig::default()).await;
    let answer = pair.client.invoke(&ask("drop", 0), Bytes::new(), LONG).await.unwrap();
    assert_eq!(answer.code(), 1);
}

#[tokio::test]
async fn the_end_of_a_connection_reaches_everyone_who_waits() {
    let mut pair = pair(ListenerConfig::default()).await;
    let (silent, closing) = (ask("silent", 0), ask("close", 0));
    let waiting = pair.client.invoke(&silent, Bytes::new(), LONG);
    let ending = pair.client.invoke(&closing, Bytes::new(), LONG);
    let (first, second) = tokio::join!(waiting, ending);
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(matches!(error, RemotingError::Closed { .. }), "{error}");
    }
    assert_eq!(pair.events.recv().await.as_deref(), Some("as asked"));
    let error = pair.client.invoke(&ask("echo", 0), Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(error, RemotingError::NotSent { .. }) && error.has_no_side_effects(), "{error}");
}

#[tokio::test]
async fn a_panicking_handler_costs_only_its_request() {
    let pair = pair(ListenerConfig::default()).await;
    let answer = pair.client.invoke(&ask("panic", 0), Bytes::new(), LONG).await.unwrap();
    assert_eq!(answer.code(), 1, "the request must not be left without an answer");
    assert!(pair.client.invoke(&ask("echo", 1), Bytes::new(), LONG).await.unwrap().is_success());
}

#[tokio::test]
async fn bad_bytes_end_a_connection_and_the_next_is_served() {
    let bad: [&[u8]; 4] = [
        b"\x7F\xFF\xFF\xFF",             // a frame of 2 GiB
        b"\0\0\0\x08\0\xFF\xFF\xFFjunk", // a header longer than its frame
        b"\0\0\0\x08\0\0\0\x04junk",     // a header that is not JSON
        b"\0\0\0\x08\x07\0\0\x04junk",   // an unknown serialize type
    ];
    let mut pair = pair(ListenerConfig::default()).await;
    for bytes in bad {
        let mut stream = TcpStream::connect(pair.listener.local_addr()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "the server answered {bytes:?}");
        pair.events.recv().await.unwrap();
        assert!(pair.client.invoke(&ask("echo", 1), Bytes::new(), LONG).await.unwrap().is_success());
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let connection =
        ConnectionConfig { idle_timeout: Duration::from_millis(50), ..ConnectionConfig::default() };
    let mut pair = pair(ListenerConfig { connection, ..ListenerConfig::default() }).await;
    assert_eq!(pair.events.recv().await.as_deref(), Some("idle for too long"));
    pair.client.closed().await;
}

#[tokio::test]
async fn shutdown_leaves_no_task() {
    let pair = pair(ListenerConfig::default()).await;
    pair.client.invoke(&ask("echo", 1), Bytes::new(), LONG).await.unwrap();
    pair.listener.shutdown("test").await;
    pair.client.closed().await;
    pair.tasks.close();
    tokio::time::timeout(LONG, pair.tasks.wait()).await.expect("tasks are left");
}

#[tokio::test]
async fn a_oneway_request_gets_no_answer() {
    let pair = pair(ListenerConfig::default()).await;
    pair.client.invoke_oneway(&ask("echo", 1), Bytes::new()).await.unwrap();
    assert!(pair.client.invoke(&ask("echo", 2), Bytes::new(), LONG).await.unwrap().is_success());
}

#[tokio::test]
async fn six_thousand_oneway_requests_followed_by_shutdown_all_arrive() {
    let mut pair = pair(ListenerConfig::default()).await;
    for queue_id in 0..6000 {
        pair.client.invoke_oneway(&ask("note", queue_id), Bytes::from(vec![1; 1000])).await.unwrap();
    }
    // Something that is answered meanwhile: what arrives unread must not cut off what is on its way.
    let _asked = pair.client.begin(&ask("echo", 1), Bytes::from(vec![1; 10_000]), LONG).unwrap();
    let abandoned = pair.client.shutdown("the test is over", LONG).await;
    assert!(abandoned.is_nothing(), "{abandoned:?}");
    for queue_id in 0..6000 {
        assert_eq!(pair.events.recv().await, Some(queue_id.to_string()));
    }
}
