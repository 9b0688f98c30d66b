//! Frames: what Java's `RemotingCommand` writes and reads.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod golden_file;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use golden_file::{Line, RELEASES, lines};
use rocketmq_protocol::code::{CURRENT_VERSION, LanguageCode};
use rocketmq_protocol::command::{Outgoing, RemotingCommand};
use rocketmq_protocol::frame::split_frame;
use rocketmq_protocol::header::{FieldSink, FromFields, HeaderError, HeaderFields, NoFields, SerializeType};
use rocketmq_protocol::request::{
    PullMessageRequest, PullMessageResponse, RouteInfoRequest, SendMessageRequest, SendMessageResponse,
    UpdateConsumerOffsetRequest,
};

fn decode(line: &Line) -> Result<RemotingCommand, HeaderError> {
    let mut stream = BytesMut::from(&line.bytes("frameHex")[..]);
    let frame = split_frame(&mut stream, 1 << 20).unwrap().unwrap();
    assert!(stream.is_empty(), "{line}");
    RemotingCommand::decode(frame)
}

/// A map, as Java keeps the fields: of a name that stands twice the last value counts.
fn field_map(command: &RemotingCommand) -> BTreeMap<String, String> {
    command.fields().into_iter().collect()
}

fn assert_head(line: &Line, command: &RemotingCommand) {
    let kind = match line.text("headerType") {
        "JSON" => SerializeType::Json,
        "ROCKETMQ" => SerializeType::RocketMq,
        other => panic!("{line}: {other}"),
    };
    assert_eq!(command.serialize_type(), kind, "{line}");
    assert_eq!(command.code(), line.number::<i32>("code"), "{line}");
    // A language that Java does not know is null there.
    assert_eq!(command.language().name(), line.get("language").unwrap_or("OTHER"), "{line}");
    assert_eq!(command.version(), line.number::<i32>("version"), "{line}");
    assert_eq!(command.opaque(), line.number::<i32>("opaque"), "{line}");
    let flag: i32 = line.number("flag");
    assert_eq!((command.is_response(), command.is_oneway()), (flag & 1 != 0, flag & 2 != 0), "{line}");
    assert_eq!(command.remark(), line.get("remark"), "{line}");
    assert_eq!(*command.body(), line.bytes_or_empty("bodyHex"), "{line}");
}

/// The fields as Java reads them, but that a null value is an empty one here: the binary header cannot tell them apart.
fn java_fields(line: &Line) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut fields: BTreeMap<_, _> = line.starting("ext.").into_iter().map(owned).collect();
    if line.text("headerType") == "ROCKETMQ" {
        fields.extend(line.get("extNullValues").map(|name| owned((name, ""))));
        fields.extend(line.get("extNullKey").map(|value| owned(("", value))));
    }
    fields
}

#[test]
fn every_command_is_read_as_java_reads_it() {
    for line in RELEASES.iter().flat_map(|release| lines("command", release)) {
        let command = decode(&line).unwrap();
        assert_head(&line, &command);
        assert_eq!(field_map(&command), java_fields(&line), "{line}");
    }
}

/// What 4.9.8 takes and 5.5.0 refuses: where they differ, this reader does as the former.
const TAKEN: [&str; 1] = ["bare-keys"];

#[test]
fn odd_commands_are_read_as_java_reads_them_or_refused() {
    for line in RELEASES.iter().flat_map(|release| lines("command-odd", release)) {
        let decoded = decode(&line);
        if line.get("error").is_some() {
            if TAKEN.contains(&&*line.name) {
                continue;
            }
            assert!(decoded.is_err(), "{line}: {decoded:?}");
            continue;
        }
        let command = decoded.unwrap();
        assert_head(&line, &command);
        let mut fields = java_fields(&line);
        // Java reads past the end of the fields into what follows them.
        if &*line.name == "binary-ext-cut-inside-value" {
            assert!(matches!(command.header::<RouteInfoRequest>(), Err(HeaderError::Malformed { .. })));
            fields.clear();
        }
        assert_eq!(field_map(&command), fields, "{line}");
    }
}

/// Fields that were read, to be written again in the same order.
struct Replay(Vec<(String, String)>);

impl HeaderFields for Replay {
    fn write_fields(&self, sink: &mut impl FieldSink) {
        for (key, value) in &self.0 {
            sink.text(key, value);
        }
    }
}

fn encode(command: &RemotingCommand, fields: &impl HeaderFields) -> Bytes {
    let (code, opaque, kind) = (command.code(), command.opaque(), command.serialize_type());
    let out = if command.is_response() {
        Outgoing::response(code, opaque, command.remark().map(Into::into), kind)
    } else {
        Outgoing::request(code, opaque, command.is_oneway(), kind)
    };
    let mut frame = BytesMut::new();
    out.encode(&mut frame, fields, command.body().len()).unwrap();
    frame.extend_from_slice(command.body());
    frame.freeze()
}

/// Java's frame as a sender of our language and version would write it: nothing else may differ.
fn java_frame(line: &Line, command: &RemotingCommand) -> Bytes {
    let frame = line.bytes("frameHex");
    let header_end = frame.len() - command.body().len();
    let language = if command.is_response() { LanguageCode::Java } else { LanguageCode::Rust };
    let mut header = frame[8..header_end].to_vec();
    match command.serialize_type() {
        SerializeType::Json => {
            let text = String::from_utf8(header).unwrap();
            let name = |language: LanguageCode| format!(r#""language":"{}""#, language.name());
            let version = |version: i32| format!(r#""version":{version}}}"#);
            header = text
                .replacen(&name(command.language()), &name(language), 1)
                .replacen(&version(command.version()), &version(CURRENT_VERSION), 1)
                .into_bytes();
        }
        SerializeType::RocketMq => {
            header[2] = u8::try_from(language.as_i32()).unwrap();
            header[3..5].copy_from_slice(&i16::try_from(CURRENT_VERSION).unwrap().to_be_bytes());
        }
    }
    let mark = u32::try_from(header.len()).unwrap() | u32::from(frame[4]) << 24;
    let length = u32::try_from(4 + header.len() + command.body().len()).unwrap();
    [&length.to_be_bytes(), &mark.to_be_bytes(), &header[..], command.body()].concat().into()
}

#[test]
fn commands_are_written_as_java_writes_them_to_the_byte() {
    for line in RELEASES.iter().flat_map(|release| lines("command", release)) {
        let command = decode(&line).unwrap();
        let written = encode(&command, &Replay(command.fields()));
        match &*line.name {
            // Nobody sends a response that wants no response, and there is no way to.
            "response-and-oneway-json" | "response-and-oneway-rocketmq" => {}
            // Other escapes for the same text.
            "strange-ext-json" => {
                let header = |frame: &[u8]| {
                    serde_json::from_slice::<serde_json::Value>(&frame[8..frame.len() - command.body().len()])
                        .unwrap()
                };
                assert_eq!(header(&written), header(&java_frame(&line, &command)), "{line}");
            }
            // An empty value is left out: Java would read it as null anyway.
            "strange-ext-rocketmq" => {
                let mut fields = java_fields(&line);
                fields.remove("empty");
                let again = RemotingCommand::decode(written.slice(4..)).unwrap();
                assert_eq!(field_map(&again), fields, "{line}");
            }
            // A map without fields is left out, as Java does with no map.
            "empty-ext-json" => {
                let again = RemotingCommand::decode(written.slice(4..)).unwrap();
                assert_eq!(field_map(&again), BTreeMap::new(), "{line}");
            }
            _ => assert_eq!(written, java_frame(&line, &command), "{line}"),
        }
    }
}

/// Reads a header into its type and writes it again.
fn retype<H: FromFields + HeaderFields>(command: &RemotingCommand) -> Bytes {
    encode(command, &command.header::<H>().unwrap())
}

#[test]
fn typed_headers_carry_every_field() {
    for line in RELEASES.iter().flat_map(|release| lines("command", release)) {
        let command = decode(&line).unwrap();
        let (subject, kind) = line.name.rsplit_once('-').unwrap();
        let written = match subject {
            "get-route" | "get-route-body" => retype::<RouteInfoRequest>(&command),
            "send-v2-all" | "send-v2-required" | "send-v2-empty-body" => {
                retype::<SendMessageRequest>(&command)
            }
            "pull-all" | "pull-required" => retype::<PullMessageRequest>(&command),
            "oneway-update-offset" => retype::<UpdateConsumerOffsetRequest>(&command),
            "send-response" => retype::<SendMessageResponse>(&command),
            "pull-response-found" | "pull-response-not-found" => retype::<PullMessageResponse>(&command),
            "heartbeat" | "no-header" | "error-response" => encode(&command, &NoFields),
            _ => continue,
        };
        let again = RemotingCommand::decode(written.slice(4..)).unwrap();
        assert_eq!(field_map(&again), java_fields(&line), "{line}");
        // Java writes fields in the order of a HashMap, but those of these headers in the order of their class.
        let ordered = kind == "rocketmq" && subject != "oneway-update-offset";
        if ordered || subject.starts_with("send-v2") {
            assert_eq!(written, java_frame(&line, &command), "{line}");
        }
    }
}

#[test]
fn typed_headers_hold_what_java_put_in() {
    for line in RELEASES.iter().flat_map(|release| lines("command", release)) {
        let command = decode(&line).unwrap();
        match &*line.name {
            "send-v2-all-json" | "send-v2-all-rocketmq" => {
                let header: SendMessageRequest = command.header().unwrap();
                assert_eq!(header.default_topic, "TBW102");
                assert_eq!((header.default_topic_queue_nums, header.queue_id), (4, 3));
                assert_eq!((header.reconsume_times, header.max_reconsume_times), (Some(2), Some(16)));
                assert_eq!((header.unit_mode, header.batch), (Some(false), Some(true)));
                assert_eq!(header.broker_name.as_deref(), Some("broker-a"));
                assert_eq!(header.message_properties().get("TAGS"), Some("TagA"));
            }
            "oneway-update-offset-json" | "oneway-update-offset-rocketmq" => {
                let header: UpdateConsumerOffsetRequest = command.header().unwrap();
                assert_eq!((&*header.consumer_group, &*header.topic), ("g", "T"));
                assert_eq!((header.queue_id, header.commit_offset), (0, i64::MAX));
            }
            "pull-response-found-json" | "pull-response-found-rocketmq" => {
                let header: PullMessageResponse = command.header().unwrap();
                assert_eq!((header.suggest_which_broker_id, header.next_begin_offset), (0, 43));
                assert_eq!((header.min_offset, header.max_offset), (0, 43));
            }
            _ => {}
        }
    }
}
