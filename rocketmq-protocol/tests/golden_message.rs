//! Messages: properties, batches, ids, records, what is printed, compression.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod golden_file;

use std::net::IpAddr;

use bytes::Bytes;
use golden_file::{Line, RELEASES, from_hex, lines};
use rocketmq_protocol::compression::{compress_zlib, decompress};
use rocketmq_protocol::message::id::{MessageIdGenerator, OffsetMessageId};
use rocketmq_protocol::message::record::{MAGIC_V1, Record};
use rocketmq_protocol::message::wire::{WireMessage, WireMessageExt, WireProperties};
use rocketmq_protocol::message::{
    Message, MessageExt, MessageQueue, Properties, SendResult, SendStatus, SysFlag, batch, hash_map_order,
};

const LIMIT_BYTES: usize = 4 << 20;

/// The pairs that were put in a Java map, in the order in which the map lists them. An empty value cannot be read back,
/// by Java neither, and is never written.
fn in_map_order<'a>(puts: &[(&'a str, Option<&'a str>)]) -> Properties {
    let entries: Vec<_> = puts.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    hash_map_order(&entries).into_iter().collect()
}

#[test]
fn properties_are_written_in_the_form_of_5() {
    for line in lines("properties", "5.5.0").into_iter().filter(|line| line.name.starts_with("encode")) {
        let without_empty_values = line.text("string").replace("a\u{1}\u{2}", "");
        assert_eq!(in_map_order(&line.puts("")).as_str(), without_empty_values, "{line}");
    }
}

#[test]
fn properties_are_read_as_java_reads_them() {
    for line in RELEASES.iter().flat_map(|release| lines("properties", release)) {
        let properties = Properties::from_wire(line.text("string"));
        let mut read = properties.distinct();
        read.sort_unstable();
        if line.name.starts_with("encode") {
            let separators_inside = line.name == "encode-separators-inside";
            assert!(separators_inside || properties == in_map_order(&line.puts("")), "{line}: {read:?}");
        } else {
            assert_eq!(read, line.starting("got."), "{line}");
            assert_eq!(read.len(), line.number::<usize>("count"), "{line}");
        }
    }
}

/// The messages of a batch as its line lists them.
fn batch_messages(line: &Line) -> Vec<(i32, Bytes, Properties)> {
    (0..)
        .map_while(|number| {
            let flag = line.get(&format!("{number}.flag"))?.parse().unwrap();
            let body = line.bytes(&format!("{number}.bodyHex"));
            Some((flag, body, Properties::from_wire(line.text(&format!("{number}.properties")))))
        })
        .collect()
}

#[test]
fn batches_are_read_as_java_reads_them() {
    for line in RELEASES.iter().flat_map(|release| lines("batch", release)) {
        let entries = batch::decode(line.bytes("hex")).unwrap();
        assert_eq!(entries.len(), line.number::<usize>("count"), "{line}");
        for (entry, expected) in entries.iter().zip(batch_messages(&line)) {
            assert_eq!(
                (entry.flag, &entry.body, &entry.properties),
                (expected.0, &expected.1, &expected.2),
                "{line}"
            );
        }
    }
}

#[test]
fn batches_are_written_in_the_form_of_5_to_the_byte() {
    for line in lines("batch", "5.5.0") {
        // The one made by MessageBatch does not list its messages.
        let messages: Vec<_> = batch::decode(line.bytes("hex")).unwrap().iter().map(message_of).collect();
        assert_eq!(batch::encode(&messages).unwrap(), line.bytes("hex"), "{line}");
    }
}

fn message_of(entry: &batch::BatchEntry) -> Message {
    let mut message = bare_message("T", entry.body.clone()).flag(entry.flag);
    for (name, value) in entry.properties.iter() {
        message.set_reserved_property(name, value);
    }
    message
}

/// A message without even the property that every new message has.
fn bare_message(topic: &str, body: Bytes) -> Message {
    let mut message = Message::new(topic.to_owned(), body);
    message.set_reserved_property("WAIT", "");
    message
}

#[test]
fn offset_ids_are_javas() {
    for line in RELEASES.iter().flat_map(|release| lines("id", release)) {
        if !line.name.starts_with("offset") {
            continue;
        }
        let id = OffsetMessageId::parse(line.text("id")).unwrap();
        assert_eq!(id.physical_offset, line.number::<i64>("offset"), "{line}");
        let host = line.text("host");
        match line.get("port") {
            Some(port) => {
                assert_eq!(id.store_host.ip(), host.parse::<IpAddr>().unwrap(), "{line}");
                assert_eq!(id.store_host.port().to_string(), port, "{line}");
            }
            None => assert_eq!(id.store_host, host.parse().unwrap(), "{line}"),
        }
        assert_eq!(id.to_string(), line.text("id").to_ascii_uppercase(), "{line}");
    }
}

#[test]
fn unique_ids_hold_ip_and_process_where_java_looks_for_them() {
    for line in RELEASES.iter().flat_map(|release| lines("id", release)) {
        let Some(ip) = line.get("ipHex") else { continue };
        let ip = from_hex(ip);
        let ip: IpAddr = match ip.len() {
            4 => <[u8; 4]>::try_from(&ip[..]).unwrap().into(),
            _ => <[u8; 16]>::try_from(&ip[..]).unwrap().into(),
        };
        let id = line.text("id");
        let part = |from_end: usize, digits: usize| {
            let from = id.len() - from_end;
            u32::from_str_radix(&id[from..from + digits], 16).unwrap()
        };
        let generator = MessageIdGenerator::new(ip, line.number("pid"), part(20, 8));
        let made = (0..=part(4, 4)).map(|_| generator.next_id(part(12, 8))).last();
        assert_eq!(made.as_deref(), Some(id), "{line}");
    }
}

/// Every field of a record but its body and what is derived.
fn assert_fields(line: &Line, record: &Record<'_>) {
    assert_eq!(record.queue_id, line.number::<i32>("queueId"), "{line}");
    assert_eq!(record.flag, line.number::<i32>("flag"), "{line}");
    assert_eq!(record.queue_offset, line.number::<i64>("queueOffset"), "{line}");
    assert_eq!(record.physical_offset, line.number::<i64>("commitLogOffset"), "{line}");
    assert_eq!(record.sys_flag.0, line.number::<i32>("sysFlagStored"), "{line}");
    assert_eq!(record.born_timestamp, line.number::<i64>("bornTimestamp"), "{line}");
    assert_eq!(host_text(record.born_host), line.text("bornHost"), "{line}");
    assert_eq!(record.store_timestamp, line.number::<i64>("storeTimestamp"), "{line}");
    assert_eq!(host_text(record.store_host), line.text("storeHost"), "{line}");
    assert_eq!(record.reconsume_times, line.number::<i32>("reconsumeTimes"), "{line}");
    assert_eq!(record.prepared_transaction_offset, line.number::<i64>("preparedTransactionOffset"), "{line}");
    assert_eq!(record.topic, line.text("topic").as_bytes(), "{line}");
    assert_eq!(record.properties, line.text("propertiesText").as_bytes(), "{line}");
}

/// As the golden files write a host.
fn host_text(host: std::net::SocketAddr) -> String {
    match host.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", host.port()),
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}")).join(":");
            format!("{groups}:{}", host.port())
        }
    }
}

fn records(release: &str) -> Vec<Line> {
    lines("record", release).into_iter().filter(|line| line.get("recordHex").is_some()).collect()
}

#[test]
fn records_are_read_as_java_reads_them() {
    for line in RELEASES.iter().flat_map(|release| records(release)) {
        let bytes = line.bytes("recordHex");
        assert_fields(&line, &Record::parse(&bytes).unwrap());

        let (mut message, rest) = MessageExt::decode(&bytes).unwrap();
        assert!(rest.is_empty(), "{line}");
        message.decompress(LIMIT_BYTES).unwrap();
        assert_eq!(message.store_size(), line.number::<i32>("storeSize"), "{line}");
        assert_eq!(message.body_crc(), line.number::<i32>("bodyCRC"), "{line}");
        assert_eq!(*message.body(), line.bytes_or_empty("bodyHex"), "{line}");
        assert_eq!(message.topic(), line.text("topic"), "{line}");
        assert_eq!(message.msg_id(), line.text("msgId"), "{line}");
        assert_eq!(message.offset_msg_id(), line.text("offsetMsgId"), "{line}");
        let mut properties = message.properties().distinct();
        properties.sort_unstable();
        assert_eq!(properties, line.starting("prop."), "{line}");
        assert_eq!(message.transaction_id(), None, "{line}");
        // A body that was decompressed loses its mark here as in 5.5.0; 4.9.8 leaves it.
        let mark = SysFlag(line.number("sysFlag")).without(SysFlag::COMPRESSED);
        assert_eq!(message.sys_flag(), mark, "{line}");
    }
}

#[test]
fn records_are_written_as_java_writes_them_to_the_byte() {
    for line in RELEASES.iter().flat_map(|release| records(release)) {
        let mut java = line.bytes("recordHex").to_vec();
        let record = Record::parse(&java.clone()).map(|record| {
            let mut written = Vec::new();
            record.encode(&mut written).unwrap();
            (record.body_crc(), written)
        });
        let (body_crc, written) = record.unwrap();
        if line.number::<i32>("magic") == MAGIC_V1 {
            // Java's classes put in the checksum of the plain body, brokers that of the body as it is stored.
            java[8..12].copy_from_slice(&body_crc.to_be_bytes());
            assert_eq!(written, java, "{line}");
        } else {
            // A short topic is written as v1, which every release reads.
            assert_eq!(written.len(), java.len() - 1, "{line}");
            assert_fields(&line, &Record::parse(&written).unwrap());
        }
    }
}

#[test]
fn lists_of_records_end_where_java_ends_them() {
    let lists = RELEASES
        .into_iter()
        .flat_map(|release| lines("record", release).into_iter().map(move |line| (release, line)));
    for (release, line) in lists {
        let Some(mut rest) = line.get("hex").map(from_hex) else { continue };
        let mut offsets = Vec::new();
        while let Ok((message, behind)) = MessageExt::decode(&rest) {
            offsets.push(message.queue_offset().to_string());
            rest = behind;
        }
        // 4.9.8 looks at no magic; what is no record ends the list in 5.5.0.
        let looked_past = release == "4.9.8" && line.name == "list-unknown-magic-second";
        let java = if looked_past { "42" } else { line.text("offsets") };
        assert_eq!(offsets.join(","), java, "{line}");
    }
}

#[test]
fn received_messages_print_as_in_4() {
    for line in records("4.9.8") {
        let (mut message, _) = MessageExt::decode(&line.bytes("recordHex")).unwrap();
        let compressed = message.sys_flag();
        message.decompress(LIMIT_BYTES).unwrap();
        let ours = format!("sysFlag={},", message.sys_flag().0);
        let java = line.text("toString").replace(&format!("sysFlag={},", compressed.0), &ours);
        assert_eq!(message.to_string(), java, "{line}");
    }
}

fn line_of(name: &str) -> Line {
    lines("to-string", "4.9.8").into_iter().find(|line| line.name == name).unwrap()
}

#[test]
fn queues_and_send_results_print_as_in_4() {
    let queue = MessageQueue::new("TopicTest", "broker-a", 3);
    assert_eq!(queue.to_string(), line_of("message-queue").text("toString"));
    let unique = "7F0000010001279A5F8D0000ABCD0001";
    let mut result = SendResult::new(SendStatus::SendOk, unique, queue, 42);
    result.offset_msg_id = Some("7F00000100002A9F0000000000000000".into());
    result.recall_handle = Some("handle".into());
    assert_eq!(result.to_string(), line_of("send-result").text("toString"));
    assert_eq!(result.to_string(), line_of("send-result-recall").text("toString"));
    let mut late = result;
    late.send_status = SendStatus::FlushDiskTimeout;
    late.offset_msg_id = None;
    late.queue_offset = 0;
    assert_eq!(late.to_string(), line_of("send-result-flush-disk").text("toString"));
    let mut transaction = late;
    transaction.send_status = SendStatus::SendOk;
    assert_eq!(transaction.to_string(), line_of("transaction-send-result").text("toString"));
}

#[test]
fn messages_print_as_in_4() {
    let message = Message::new("TopicTest", "Hi");
    assert_eq!(message.to_string(), line_of("message-bare").text("toString"));
    let message = message.tags("TagA").keys(["k1"]);
    assert_eq!(message.to_string(), line_of("message-tag-key").text("toString"));
    let mut message = Message::new("TopicTest", vec![0x80, 0, 0x7F]).tags("TagA").keys(["k1"]);
    message = message.flag(5).wait_store_msg_ok(false);
    message.set_transaction_id("7F0000010001279A5F8D0000ABCD0001");
    assert_eq!(message.to_string(), line_of("message-flag-no-wait").text("toString"));
}

#[test]
fn properties_print_in_the_order_of_javas_map() {
    let numbered = |line: &Line| line.get("put.0.k").is_some();
    for line in RELEASES.iter().flat_map(|release| lines("to-string", release)).filter(numbered) {
        let puts = line.puts("");
        let mut message = bare_message("TopicTest", Bytes::new());
        for (name, value) in &puts {
            message.set_reserved_property(name, value.unwrap());
        }
        // A message has a topic and a body here, if an empty one.
        let java = line
            .text("toString")
            .replace("body=null", "body=[]")
            .replace("'null', flag", "'TopicTest', flag");
        assert_eq!(message.to_string(), java, "{line}");
        let written = in_map_order(&puts);
        assert_eq!(
            written.as_str().trim_end_matches('\u{2}'),
            line.text("propertiesString").trim_end_matches('\u{2}')
        );
    }
}

#[test]
fn bodies_are_decompressed() {
    for line in RELEASES.iter().flat_map(|release| lines("compression", release)) {
        let (plain, sys_flag) = (line.bytes("plainHex"), SysFlag(line.number("sysFlag")));
        assert_eq!(decompress(&line.bytes("compressedHex"), sys_flag, LIMIT_BYTES).unwrap(), plain, "{line}");
        assert!(decompress(&line.bytes("compressedHex"), sys_flag, plain.len() - 1).is_err(), "{line}");
        if line.text("type") == "ZLIB" {
            let ours = Bytes::from(compress_zlib(&plain, line.number("level")));
            assert_eq!(ours[..2], line.bytes("compressedHex")[..2], "{line}");
            assert_eq!(decompress(&ours, sys_flag, LIMIT_BYTES).unwrap(), plain, "{line}");
        }
    }
}
