//! Work that is counted in instructions rather than in time: `bench/instructions` runs it under valgrind, twice with
//! different numbers of repeats, so that starting and ending fall out of the difference.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::{Args, ValueEnum};
use rocketmq_client::{DefaultMQProducer, Message};
use rocketmq_protocol::command::{Outgoing, RemotingCommand};
use rocketmq_protocol::header::SerializeType;
use rocketmq_protocol::remoting::{Handler, Listener, ListenerConfig, Responder, connect};
use rocketmq_protocol::request::{Request, SendMessageRequest, SendMessageResponse};
use tokio_util::task::TaskTracker;

use crate::Failure;
use crate::child::{Child, this_program};

/// Longer than anything takes, even under valgrind.
const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES: usize = 1024;

/// What is repeated, and how often.
#[derive(Args, Debug)]
pub(crate) struct CountOptions {
    #[arg(value_enum)]
    what: What,
    #[arg(long, default_value_t = 1000)]
    repeats: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The header of a send is written
    Encode,
    /// The answer to a send is read
    Decode,
    /// A connection takes a request to a handler and its answer back
    Dispatch,
    /// `send`, one at a time, to a peer in another process
    Send,
    /// `send_async`, 64 at a time
    SendAsync,
}

/// Does it, on one thread.
pub(crate) fn run(options: &CountOptions) -> Result<(), Failure> {
    let repeats = options.repeats;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match options.what {
        What::Encode => encode(repeats),
        What::Decode => decode(repeats),
        What::Dispatch => runtime.block_on(dispatch(repeats)),
        What::Send => runtime.block_on(send(repeats, 1)),
        What::SendAsync => runtime.block_on(send(repeats, 64)),
    }
}

fn encode(repeats: usize) -> Result<(), Failure> {
    let request = request();
    let outgoing = Outgoing::request(request.code().as_i32(), 7, false, SerializeType::RocketMq);
    let mut out = BytesMut::with_capacity(4096);
    for _ in 0..repeats {
        out.clear();
        outgoing.encode(&mut out, black_box(&request), BODY_BYTES)?;
        black_box(&out);
    }
    Ok(())
}

fn decode(repeats: usize) -> Result<(), Failure> {
    let mut frame = BytesMut::new();
    Outgoing::response(0, 7, None, SerializeType::RocketMq).encode(&mut frame, &response(), 0)?;
    let frame = frame.freeze().slice(4..);
    for _ in 0..repeats {
        let command = RemotingCommand::decode(black_box(frame.clone()))?;
        black_box(command.header::<SendMessageResponse>()?);
    }
    Ok(())
}

struct Answers;

impl Handler for Answers {
    fn handle(&self, _: RemotingCommand, responder: Responder) {
        responder.success(&response(), Bytes::new());
    }
}

async fn dispatch(repeats: usize) -> Result<(), Failure> {
    let tasks = TaskTracker::new();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind(any, ListenerConfig::default(), Arc::new(Answers), tasks.clone()).await?;
    let addr = listener.local_addr().to_string();
    let connection = connect(&addr, PATIENCE, Default::default(), Arc::new(Answers), &tasks).await?;
    let (request, body) = (request(), Bytes::from_static(&[b'x'; BODY_BYTES]));
    for _ in 0..repeats {
        black_box(connection.invoke(&request, body.clone(), PATIENCE).await?);
    }
    connection.close("done");
    Ok(())
}

async fn send(repeats: usize, at_once: usize) -> Result<(), Failure> {
    let mut peer = Child::spawn(this_program(["answer"])?)?;
    let line = peer.first_line().await?;
    let addr = line.strip_prefix("NAMESRV_ADDR=").ok_or("answer did not say where it listens")?;
    let producer = DefaultMQProducer::builder("count").namesrv_addr(addr).send_msg_timeout(PATIENCE);
    let producer = producer.start().await?;
    let message = Message::new("T", Bytes::from_static(&[b'x'; BODY_BYTES]));
    producer.send(message.clone()).await?;
    let mut tickets = Vec::with_capacity(at_once);
    for _ in 0..repeats / at_once {
        if at_once == 1 {
            black_box(producer.send(message.clone()).await?);
        } else {
            for _ in 0..at_once {
                tickets.push(producer.send_async(message.clone()).await?);
            }
            for ticket in tickets.drain(..) {
                black_box(ticket.await?);
            }
        }
    }
    Ok(())
}

fn request() -> SendMessageRequest {
    SendMessageRequest {
        producer_group: "count".into(),
        topic: "T".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 1,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some("UNIQ_KEY\u{1}7F00000100002A9F0000000000000000\u{2}WAIT\u{1}true\u{2}".into()),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: Some(false),
        broker_name: Some("broker-a".into()),
    }
}

fn response() -> SendMessageResponse {
    SendMessageResponse {
        msg_id: "7F00000100002A9F0000000000000000".into(),
        queue_id: 1,
        queue_offset: 42,
        transaction_id: None,
        region_id: Some("DefaultRegion".into()),
        trace_on: Some("true".into()),
        recall_handle: None,
    }
}
