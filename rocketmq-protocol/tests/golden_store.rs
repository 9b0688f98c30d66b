//! What real brokers left on their disks, as far as this crate has code for it.

mod golden_file;

use std::collections::BTreeMap;

use golden_file::{Line, content_of, lines_of};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::topic_config::TopicConfigTable;
use rocketmq_protocol::message::record::{Record, RecordError};
use rocketmq_protocol::message::wire::WireMessageExt;
use rocketmq_protocol::message::{MessageExt, SCHEDULE_TOPIC, SysFlag, string_hash};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const STORES: [&str; 2] = ["store-4.9.7", "store-5.5.0"];

fn lines(file: &str) -> impl Iterator<Item = Line> {
    STORES.iter().flat_map(move |store| lines_of(&format!("{store}/{file}")))
}

#[test]
fn records_of_real_brokers_are_read_and_written_to_the_byte() {
    for line in lines("commitlog.txt") {
        let bytes = line.bytes("recordHex");
        if line.name.starts_with("blank") {
            assert_eq!(Record::parse(&bytes), Err(RecordError::Blank), "{line}");
            continue;
        }
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.verify_crc(&bytes), Ok(()), "{line}");
        assert_eq!(record.physical_offset, line.number::<i64>("offset"), "{line}");
        assert_eq!(record.topic, line.text("topic").as_bytes(), "{line}");
        assert_eq!(record.queue_id, line.number::<i32>("queueId"), "{line}");
        assert_eq!(record.queue_offset, line.number::<i64>("queueOffset"), "{line}");
        assert_eq!(record.sys_flag.0, line.number::<i32>("sysFlag"), "{line}");
        assert_eq!(record.body.len(), line.number::<usize>("bodySize"), "{line}");
        assert_eq!(record.encoded_len(), line.number::<usize>("size"), "{line}");
        let mut written = Vec::new();
        record.encode(&mut written).unwrap();
        assert_eq!(written, bytes, "{line}");
    }
}

#[test]
fn compressed_messages_of_real_brokers_become_plain() {
    let mut plain = Vec::new();
    for line in lines("commitlog.txt").filter(|line| line.get("topic") == Some("Large")) {
        let (mut message, _) = MessageExt::decode(&line.bytes("recordHex")).unwrap();
        assert!(message.sys_flag().has(SysFlag::COMPRESSED), "{line}");
        message.decompress(1 << 20).unwrap();
        plain.push(message.body().clone());
    }
    // Every compressor was given the same text.
    assert!(plain.len() >= 4 && plain.iter().all(|body| *body == plain[0]), "{}", plain.len());
    assert!(plain[0].starts_with(b"abcdefghijklmnopqrstuvwxyz"));
}

#[test]
fn consume_queues_hold_the_hash_codes_of_tags() {
    for store in STORES {
        let record = |line: &Line| {
            Some((line.number::<i64>("offset"), line.get("topic").map(|_| line.bytes("recordHex"))?))
        };
        let records: BTreeMap<_, _> =
            lines_of(&format!("{store}/commitlog.txt")).iter().filter_map(record).collect();
        let mut checked = 0;
        for line in lines_of(&format!("{store}/consumequeue.txt")) {
            if line.text("topic") == SCHEDULE_TOPIC {
                continue;
            }
            for number in 0..line.number::<usize>("shown") {
                let Some(bytes) = records.get(&line.number(&format!("{number}.offset"))) else { continue };
                let (message, _) = MessageExt::decode(bytes).unwrap();
                let code = message.get_tags().map_or(0, |tag| i64::from(string_hash(tag)));
                assert_eq!(code, line.number::<i64>(&format!("{number}.tagCode")), "{line}, entry {number}");
                assert_eq!(message.store_size(), line.number::<i32>(&format!("{number}.size")), "{line}");
                checked += 1;
            }
        }
        assert!(checked > 20, "{store}: only {checked} entries have their record here");
    }
}

#[test]
fn topics_files_are_read_and_written() {
    for store in STORES {
        let java = content_of(&format!("{store}/topics.json"));
        let table: TopicConfigTable = json::from_slice(java.as_bytes()).unwrap();
        assert_eq!(table.topic_config_table[SCHEDULE_TOPIC].read_queue_nums, 18, "{store}");
        for (name, topic) in &table.topic_config_table {
            assert_eq!(*name, topic.topic_name, "{store}");
        }
        let pretty = json::to_fastjson_pretty(&table).unwrap();
        assert_eq!(json::from_slice::<TopicConfigTable>(&pretty).unwrap(), table, "{store}");
        if store == "store-4.9.7" {
            let ours: Value = serde_json::from_slice(&pretty).unwrap();
            assert_eq!(ours, serde_json::from_str::<Value>(&java).unwrap());
        }
    }
}

/// `consumerOffset.json`.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Offsets {
    offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

#[test]
fn offset_files_with_bare_keys_are_read_and_written() {
    for store in STORES {
        let java = content_of(&format!("{store}/consumerOffset.json"));
        let offsets: Offsets = json::from_slice(java.as_bytes()).unwrap();
        let group = &offsets.offset_table["TopicTest@please_rename_unique_group_name_4"];
        assert!(group.keys().copied().eq(0..4), "{store}: {group:?}");
        let written = String::from_utf8(json::to_fastjson_pretty(&offsets).unwrap()).unwrap();
        assert!(written.contains("\n\t\t\t0:"), "{written}");
        assert_eq!(json::from_slice::<Offsets>(written.as_bytes()).unwrap(), offsets, "{store}");
    }
}
