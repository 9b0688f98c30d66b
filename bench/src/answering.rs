//! A peer that answers and stores nothing: name server and broker for one route, as quick as blocking sockets are.
//!
//! Held against it, a client shows what it costs itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use bytes::{Bytes, BytesMut};
use rocketmq_protocol::command::{Outgoing, RemotingCommand};
use rocketmq_protocol::header::{NoFields, SerializeType};
use rocketmq_protocol::request::SendMessageResponse;

use crate::Failure;

const BUFFER_BYTES: usize = 256 * 1024;
const ROUTE: i32 = 105;
const SEND: i16 = 310;

/// Where a binary header's code and opaque number lie, counted from the frame's length field.
const CODE: usize = 8;
const OPAQUE: usize = 13;

/// Answers on a free port until standard input ends; prints NAMESRV_ADDR=host:port.
pub(crate) fn run() -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?.to_string();
    println!("NAMESRV_ADDR={addr}");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let addr = addr.clone();
            thread::spawn(move || match answer_all(stream, &addr) {
                Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                    eprintln!("bench answer: {error}")
                }
                _ => {}
            });
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Answers whatever has come in whole, in one write, until the other side leaves.
fn answer_all(mut stream: TcpStream, addr: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let sent = sent_answer();
    let (mut buffer, mut filled) = (vec![0; BUFFER_BYTES], 0);
    let mut answers = BytesMut::new();
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut at = 0;
        while let Some(frame) = whole_frame(&buffer[at..filled]) {
            answer(frame, addr, &sent, &mut answers)?;
            at += frame.len();
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        stream.write_all(&answers)?;
        answers.clear();
    }
}

/// The first frame, its length field included, if it has come in whole.
fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    bytes.get(..4 + length as usize)
}

fn answer(frame: &[u8], addr: &str, sent: &[u8], answers: &mut BytesMut) -> io::Result<()> {
    let binary = frame.get(4) == Some(&(SerializeType::RocketMq as u8));
    if binary && frame.get(CODE..CODE + 2) == Some(&SEND.to_be_bytes()) {
        let at = answers.len();
        answers.extend_from_slice(sent);
        answers[at + OPAQUE..][..4].copy_from_slice(&frame[OPAQUE..][..4]);
        return Ok(());
    }
    let request = RemotingCommand::decode(Bytes::copy_from_slice(&frame[4..])).map_err(io::Error::other)?;
    let body = if request.code() == ROUTE { route(addr) } else { String::new() };
    if !request.is_oneway() {
        let outgoing = Outgoing::response(0, request.opaque(), None, request.serialize_type());
        outgoing.encode(answers, &NoFields, body.len()).map_err(io::Error::other)?;
        answers.extend_from_slice(body.as_bytes());
    }
    Ok(())
}

/// The answer to a send, but for its opaque number.
fn sent_answer() -> BytesMut {
    let fields = SendMessageResponse {
        msg_id: "7F00000100002A9F0000000000000000".into(),
        queue_id: 0,
        queue_offset: 0,
        transaction_id: None,
        region_id: None,
        trace_on: None,
        recall_handle: None,
    };
    let mut answer = BytesMut::new();
    let outgoing = Outgoing::response(0, 0, None, SerializeType::RocketMq);
    outgoing.encode(&mut answer, &fields, 0).expect("a short header");
    answer
}

fn route(addr: &str) -> String {
    format!(
        r#"{{"brokerDatas":[{{"brokerAddrs":{{"0":"{addr}"}},"brokerName":"answering","cluster":"bench"}}],"filterServerTable":{{}},"queueDatas":[{{"brokerName":"answering","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}}]}}"#
    )
}
