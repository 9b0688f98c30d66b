//! Promises of the store.
#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

mod append;
mod faults;
mod golden;
mod many;
mod power;
mod pull;
mod recovery;
mod tail;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::message::SysFlag;
use rocketmq_protocol::message::record::Record;
use tempfile::TempDir;

use super::fs::{Fs, OsFs};
use super::log_reader::LogReader;
use super::*;

/// Files so small that a few messages fill them.
fn small(root: &Path) -> StoreConfig {
    StoreConfig {
        root_dir: root.to_owned(),
        mapped_file_size_commit_log: 1000,
        mapped_file_size_consume_queue: 200,
        ..StoreConfig::default()
    }
}

fn open(config: StoreConfig) -> Arc<MessageStore> {
    open_on(config, Arc::new(OsFs))
}

fn open_on(config: StoreConfig, fs: Arc<dyn Fs>) -> Arc<MessageStore> {
    MessageStore::open_with(config, Clock::default(), Box::new(|_| {}), fs).expect("the store opens")
}

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn message<'a>(topic: &'a ByteString, queue_id: i32, body: &'a [u8]) -> NewMessage<'a> {
    NewMessage {
        topic,
        queue_id,
        flag: 7,
        sys_flag: SysFlag(0),
        born_timestamp: 17,
        born_host: "10.0.0.1:4000".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: "KEYS\u{1}k\u{2}",
        tags_code: 0,
    }
}

/// Appends `count` messages of 100 bytes' body to one queue.
fn fill(store: &MessageStore, topic: &str, queue_id: i32, count: usize) -> Vec<Appended> {
    let topic = ByteString::from(topic);
    let append = |number: usize| store.append(message(&topic, queue_id, &[b'a' + (number % 26) as u8; 100]));
    (0..count).map(|number| append(number).expect("the append")).collect()
}

/// Parts one behind the other.
fn concat(parts: &[IoSlice<'_>]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.iter().copied()).collect()
}

fn all(_: i64) -> bool {
    true
}

/// Pulls a queue to its end.
fn drain(store: &MessageStore, topic: &str, queue_id: i32) -> Vec<Bytes> {
    let mut next = store.min_offset(topic, queue_id);
    let mut records = Vec::new();
    while next < store.max_offset(topic, queue_id) {
        let pulled = store.pull(topic, queue_id, next, 32, 1 << 20, &all);
        assert_eq!(pulled.status, PullStatus::Found, "at {next}");
        records.extend(split(&pulled.body));
        next = pulled.next_begin_offset;
    }
    records
}

fn split(body: &Bytes) -> Vec<Bytes> {
    let mut at = 0;
    let mut records = Vec::new();
    while at < body.len() {
        let size = Record::parse(&body[at..]).expect("a record").encoded_len();
        records.push(body.slice(at..at + size));
        at += size;
    }
    records
}

/// What each queue must hold by a scan of the log, and what it does hold.
type Queues = BTreeMap<(String, i32), Vec<(i64, i64, i32, i64)>>;

fn scan_log(store: &MessageStore) -> Queues {
    let mut reader = LogReader::new(&store.inner.log, store.inner.log.min_offset());
    let mut queues = Queues::new();
    while let Some(record) = reader.next_record().expect("the log") {
        if dispatch::is_queued(record.sys_flag) {
            let code = dispatch::tags_code(&record, &store.inner.config.delay_levels);
            let size = record.encoded_len() as i32;
            let key = (String::from_utf8_lossy(record.topic).into_owned(), record.queue_id);
            let unit = (record.queue_offset, record.physical_offset, size, code);
            queues.entry(key).or_default().push(unit);
        }
    }
    queues
}

fn read_queues(store: &MessageStore) -> Queues {
    let mut queues = Queues::new();
    for queue in store.inner.queues.all() {
        let entries = store.queue_entries(&queue.topic, queue.queue_id, queue.min(), usize::MAX);
        let units: Vec<_> =
            entries.iter().map(|it| (it.queue_offset, it.physical_offset, it.size, it.tags_code)).collect();
        assert_eq!(units.len() as i64, queue.max() - queue.min());
        if !units.is_empty() {
            queues.insert((queue.topic.to_string(), queue.queue_id), units);
        }
    }
    queues
}
