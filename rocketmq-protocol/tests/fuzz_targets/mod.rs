//! What is fuzzed: one function a decoder of foreign bytes. None may panic, whatever the bytes; what is read is held
//! against what must hold of it. `fuzz/` feeds them by libFuzzer, `fuzz_corpus.rs` from the corpus.

use bytes::{Bytes, BytesMut};
use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::body::heartbeat::HeartbeatData;
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::register_broker::RegisterBrokerBody;
use rocketmq_protocol::body::route::TopicRouteData;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::compression::decompress;
use rocketmq_protocol::frame::{MAX_FRAME_BYTES, split_frame};
use rocketmq_protocol::message::record::Record;
use rocketmq_protocol::message::wire::{WireMessageExt, WireProperties};
use rocketmq_protocol::message::{MessageExt, Properties, SysFlag, batch};
use rocketmq_protocol::request::{
    PullMessageRequest, RegisterBrokerRequest, SendMessageRequest, SendMessageRequestV1, SendMessageResponse,
};

/// A decoder under test.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("frame", frame),
    ("header_json", header_json),
    ("header_binary", header_binary),
    ("record", record),
    ("batch", batch_body),
    ("properties", properties),
    ("dialect", dialect),
    ("registration", registration),
    ("decompression", decompression),
];

/// A stream: all of its frames, and their commands.
pub fn frame(bytes: &[u8]) {
    let mut stream = BytesMut::from(bytes);
    while let Ok(Some(frame)) = split_frame(&mut stream, MAX_FRAME_BYTES) {
        if let Ok(command) = RemotingCommand::decode(frame) {
            read_fields(&command);
        }
    }
}

/// A header in JSON.
pub fn header_json(bytes: &[u8]) {
    header(0, bytes);
}

/// A header in the ROCKETMQ encoding.
pub fn header_binary(bytes: &[u8]) {
    header(1, bytes);
}

fn header(kind: u8, bytes: &[u8]) {
    let Some(length) = u32::try_from(bytes.len()).ok().filter(|length| *length < 1 << 24) else { return };
    let mut frame = length.to_be_bytes().to_vec();
    frame[0] = kind;
    frame.extend_from_slice(bytes);
    if let Ok(command) = RemotingCommand::decode(frame.into()) {
        assert!(command.body().is_empty(), "a header has no body");
        read_fields(&command);
    }
}

fn read_fields(command: &RemotingCommand) {
    let _ = command.fields();
    let _ = command.field("topic");
    let _ = command.header::<SendMessageRequest>();
    let _ = command.header::<SendMessageRequestV1>();
    let _ = command.header::<SendMessageResponse>();
    let _ = command.header::<PullMessageRequest>();
    let _ = command.header::<RegisterBrokerRequest>();
}

/// What lies in a log or in the answer to a pull: records one behind the other.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = Record::parse(bytes) {
        let _ = record.verify_crc(bytes);
        let mut again = Vec::new();
        if record.encode(&mut again).is_ok() {
            let parsed = Record::parse(&again).expect("what was encoded is a record");
            assert_eq!(
                (parsed.body, parsed.topic, parsed.properties),
                (record.body, record.topic, record.properties)
            );
        }
    }
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Ok((mut message, after)) = MessageExt::decode(&rest) {
        assert!(after.len() < rest.len(), "a record has a length");
        let _ = message.decompress(1 << 16);
        let _ = (message.msg_id(), message.to_string());
        rest = after;
    }
}

/// The body of a batch.
pub fn batch_body(bytes: &[u8]) {
    if let Ok(entries) = batch::decode(Bytes::copy_from_slice(bytes)) {
        let content: usize = entries.iter().map(|entry| entry.body.len()).sum();
        assert!(content <= bytes.len(), "more than was there");
    }
}

/// A message's properties.
pub fn properties(bytes: &[u8]) {
    let mut properties = Properties::from_bytes(Bytes::copy_from_slice(bytes));
    let distinct: Vec<(String, String)> =
        properties.distinct().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in distinct.iter().take(50) {
        assert_eq!(properties.get(name), Some(value.as_str()));
    }
    properties.set("added", "value");
    assert_eq!(properties.get("added"), Some("value"));
    if let Some((name, _)) = distinct.first() {
        properties.remove(name);
        assert_eq!(properties.get(name), None);
    }
}

/// A body in fastjson's JSON. What is read is read again from what is written.
pub fn dialect(bytes: &[u8]) {
    again::<HeartbeatData>(bytes);
    again::<TopicRouteData>(bytes);
    again::<ClusterInfo>(bytes);
    let _ = json::from_slice::<std::collections::BTreeMap<String, i64>>(bytes);
    let _ = json::from_slice::<std::collections::BTreeMap<i32, Option<bool>>>(bytes);
}

fn again<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = json::from_slice::<T>(bytes) else { return };
    for text in [json::to_vec(&value), json::to_fastjson(&value)] {
        let read: T = json::from_slice(&text.expect("it came from JSON")).expect("what was written is read");
        assert_eq!(read, value);
    }
}

/// A broker's registration: the first byte says whether the rest is compressed.
pub fn registration(bytes: &[u8]) {
    if let Some((compressed, body)) = bytes.split_first() {
        let _ = RegisterBrokerBody::decode(&Bytes::copy_from_slice(body), compressed & 1 == 1);
    }
}

/// A compressed message: the first byte names the compression, the rest is the body.
pub fn decompression(bytes: &[u8]) {
    const LIMIT_BYTES: usize = 1 << 16;
    if let Some((kind, body)) = bytes.split_first() {
        let flag = SysFlag(SysFlag::COMPRESSED | i32::from(kind & 7) << 8);
        if let Ok(plain) = decompress(&Bytes::copy_from_slice(body), flag, LIMIT_BYTES) {
            assert!(plain.len() <= LIMIT_BYTES, "{} bytes", plain.len());
        }
    }
}
