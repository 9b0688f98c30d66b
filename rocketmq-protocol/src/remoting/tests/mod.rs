//! The connection's task on a stream that is cut, blocked, resumed, closed and reset at every byte. The clock stands still
//! while anything can go on: a task that spins would never end a test.

mod closing;
mod cuts;
mod memory;
mod time;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio_util::task::TaskTracker;

use super::testing::{FaultyStream, Peer, accepting, connecting, faulty_stream};
use super::{Connection, ConnectionConfig, Handler, RemotingError, Requests, Responder};
use crate::command::{Outgoing, RemotingCommand};
use crate::frame::{MAX_FRAME_BYTES, split_frame};
use crate::header::SerializeType;
use crate::request::{MaxOffsetRequest, OffsetResponse};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Answers each request with its body.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        responder.success(&OffsetResponse { offset: 7 }, request.body().clone());
    }
}

fn client(config: ConnectionConfig) -> (Connection, Peer) {
    let (stream, peer): (FaultyStream, Peer) = faulty_stream();
    (connecting(stream, config, Arc::new(Echo), &TaskTracker::new()), peer)
}

fn server(config: ConnectionConfig) -> (Connection, Peer) {
    let (stream, peer) = faulty_stream();
    (accepting(stream, config, Arc::new(Echo), &TaskTracker::new()), peer)
}

fn ask() -> MaxOffsetRequest {
    MaxOffsetRequest { topic: "T".into(), queue_id: 1, broker_name: None }
}

fn request(opaque: i32, body: &[u8]) -> Vec<u8> {
    encoded(&Outgoing::request(30, opaque, false, SerializeType::Json), body)
}

fn response(opaque: i32, body: &[u8]) -> Vec<u8> {
    encoded(&Outgoing::response(0, opaque, None, SerializeType::Json), body)
}

fn encoded(outgoing: &Outgoing, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    outgoing.encode(&mut bytes, &ask(), body.len()).unwrap();
    bytes.extend_from_slice(body);
    bytes.to_vec()
}

/// The bodies of the frames, which must be whole.
fn bodies(bytes: &[u8]) -> Vec<Bytes> {
    let mut bytes = BytesMut::from(bytes);
    let mut bodies = Vec::new();
    while let Some(frame) = split_frame(&mut bytes, MAX_FRAME_BYTES).unwrap() {
        bodies.push(RemotingCommand::decode(frame).unwrap().body().clone());
    }
    assert!(bytes.is_empty(), "{} bytes of a frame are left", bytes.len());
    bodies
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
