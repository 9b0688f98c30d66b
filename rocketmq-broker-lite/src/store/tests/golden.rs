//! Against what real brokers stored: the captures are with the protocol crate's golden vectors.

use std::collections::HashMap;
use std::fs;

use rocketmq_protocol::message::{names, string_hash};

use super::*;

const RELEASES: [&str; 2] = ["4.9.7", "5.5.0"];

/// The lines of a capture: their fields by name.
fn capture(release: &str, file: &str) -> Vec<HashMap<String, String>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rocketmq-protocol/tests/golden");
    let path = golden.join(format!("store-{release}/{file}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let fields = |line: &str| {
        let fields = line.split('\t').skip(1).filter_map(|field| field.split_once('='));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    lines.map(fields).collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The beginning of a broker's log, as far as the capture has it without a gap.
fn log_prefix(release: &str) -> Vec<Vec<u8>> {
    let mut end = 0;
    let mut records = Vec::new();
    for line in capture(release, "commitlog") {
        if line["offset"].parse() != Ok(end) || line.contains_key("rest") {
            break;
        }
        let record = hex(&line["recordHex"]);
        end += record.len();
        records.push(record);
    }
    assert!(records.len() > 20, "{release}: only {} records", records.len());
    records
}

fn config(root: &Path) -> StoreConfig {
    StoreConfig { root_dir: root.to_owned(), mapped_file_size_commit_log: 1 << 20, ..StoreConfig::default() }
}

fn write_log(root: &Path, records: &[Vec<u8>]) {
    let mut log = records.concat();
    log.resize(1 << 20, 0);
    fs::create_dir_all(root.join("commitlog")).unwrap();
    fs::write(root.join("commitlog/00000000000000000000"), log).unwrap();
}

#[test]
fn queues_built_from_a_java_brokers_log_are_that_brokers_queues() {
    for release in RELEASES {
        let directory = temp();
        let records = log_prefix(release);
        write_log(directory.path(), &records);
        let store = open(config(directory.path()));
        let end = records.concat().len() as i64;
        assert_eq!(store.inner.log.max_offset(), end, "{release}");
        let mut compared = 0;
        for line in capture(release, "consumequeue") {
            let units = hex(&line["hex"]);
            let expected: Vec<_> =
                QueueEntry::decode_all(0, &units).filter(|unit| unit.physical_offset < end).collect();
            let built =
                store.queue_entries(&line["topic"], line["queueId"].parse().unwrap(), 0, expected.len());
            assert_eq!(built, expected, "{release}: {}", line["topic"]);
            compared += expected.len();
        }
        assert!(compared > 20, "{release}: only {compared} units compared");
        for record in records {
            let place = Record::parse(&record).unwrap().physical_offset;
            assert_eq!(store.message_at(place).unwrap(), record);
        }
    }
}

#[test]
fn the_same_messages_make_the_same_log_and_the_same_queues() {
    for release in RELEASES {
        let directory = temp();
        let store = open(config(directory.path()));
        let records = log_prefix(release);
        let mut expected = Vec::new();
        for bytes in &records {
            let record = Record::parse(bytes).unwrap();
            let appended = append_like(&store, &record);
            assert_eq!(appended.physical_offset, record.physical_offset);
            assert_eq!(appended.queue_offset, record.queue_offset);
            // The moment is the only thing that may differ.
            let place = Record { store_timestamp: appended.store_timestamp, ..record };
            place.encode(&mut expected).unwrap();
        }
        store.close().unwrap();
        let log = fs::read(directory.path().join("commitlog/00000000000000000000")).unwrap();
        assert_eq!(log[..expected.len()], expected, "{release}");
        for queue in store.inner.queues.all() {
            let path = format!("consumequeue/{}/{}/00000000000000000000", queue.topic, queue.queue_id);
            let units = fs::read(directory.path().join(path)).unwrap();
            assert_eq!(units.len(), 6_000_000);
            let entries = store.queue_entries(&queue.topic, queue.queue_id, 0, usize::MAX);
            let encoded: Vec<u8> = entries.iter().flat_map(QueueEntry::encode).collect();
            assert_eq!(units[..encoded.len()], encoded);
            assert!(units[encoded.len()..].iter().all(|byte| *byte == 0));
        }
    }
}

fn append_like(store: &MessageStore, record: &Record<'_>) -> Appended {
    let topic = ByteString::from(std::str::from_utf8(record.topic).unwrap());
    let properties = std::str::from_utf8(record.properties).unwrap();
    let tags = properties.split('\u{2}').find_map(|it| it.strip_prefix(names::TAGS)?.strip_prefix('\u{1}'));
    let tags_code = tags.map_or(0, |tags| i64::from(string_hash(tags)));
    let message = NewMessage {
        prepared_transaction_offset: record.prepared_transaction_offset,
        ..NewMessage::again(record, &topic, record.queue_id, properties, tags_code)
    };
    store.append(message).unwrap()
}

#[test]
fn a_java_brokers_file_end_and_checkpoint_are_read() {
    for release in RELEASES {
        let lines = capture(release, "commitlog");
        let blank = lines.iter().find(|line| line.contains_key("rest")).expect("a file end in the capture");
        let (offset, size): (i64, i64) = (blank["offset"].parse().unwrap(), blank["size"].parse().unwrap());
        let file_size: i64 = blank["fileSize"].parse().unwrap();
        assert_eq!(offset + size, file_size);
        assert_eq!(commit_log::blank(size)[..], hex(&blank["recordHex"])[..], "{release}");

        let directory = temp();
        let checkpoint = &capture(release, "checkpoint")[0];
        let mut bytes = hex(&checkpoint["hex"]);
        bytes.resize(4096, 0);
        fs::write(directory.path().join("checkpoint"), bytes).unwrap();
        let times: Vec<i64> = checkpoint["longs"].split(',').map(|it| it.parse().unwrap()).collect();
        let expected = Checkpoint { log_timestamp: times[0], queues_timestamp: times[1], safe_offset: None };
        assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap(), expected);
    }
}
