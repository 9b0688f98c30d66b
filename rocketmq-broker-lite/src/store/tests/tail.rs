//! Pulls at the log's end and far from it, by the reads they cost.

use std::sync::atomic::Ordering;

use super::super::faulty_fs::{Faults, FaultyFs};
use super::*;

fn counted(root: &Path) -> (Arc<MessageStore>, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let config = StoreConfig { mapped_file_size_commit_log: 1 << 20, ..small(root) };
    (open_on(config, Arc::new(FaultyFs(Arc::clone(&faults)))), faults)
}

/// Sixteen messages of each of four queues, in turn.
fn interleave(store: &MessageStore) -> Vec<Vec<u8>> {
    for number in 0..64 {
        fill(store, "T", number % 4, 1);
    }
    let queue: Vec<_> = scan_log(store)[&("T".to_owned(), 1)].clone();
    queue.iter().map(|(_, offset, ..)| store.message_at(*offset).unwrap().to_vec()).collect()
}

#[test]
fn a_pull_at_the_logs_end_reads_nothing() {
    let directory = temp();
    let (store, faults) = counted(directory.path());
    let expected = interleave(&store);
    let before = faults.reads.load(Ordering::SeqCst);
    let pulled = store.pull("T", 1, 0, 32, 1 << 20, &all);
    assert_eq!(split(&pulled.body), expected);
    assert_eq!(faults.reads.load(Ordering::SeqCst), before);
}

#[test]
fn what_was_submitted_together_is_pulled_without_a_copy() {
    let directory = temp();
    let (store, _) = counted(directory.path());
    let topic = ByteString::from("T");
    store.append_batch(&[message(&topic, 0, &[7; 20_000]); 3]).unwrap();
    let [first, second] = [0, 1].map(|offset| store.pull("T", 0, offset, 32, 1 << 20, &all).body);
    let size = split(&first)[0].len();
    assert_eq!(first[size..].as_ptr(), second.as_ptr());
    assert_eq!((split(&first).len(), split(&second).len()), (3, 2));
}

#[test]
fn a_cold_pull_of_neighbouring_messages_is_one_read() {
    let directory = temp();
    let (store, faults) = counted(directory.path());
    let expected = interleave(&store);
    store.close().unwrap();
    drop(store);
    let store = open_on(
        StoreConfig { mapped_file_size_commit_log: 1 << 20, ..small(directory.path()) },
        Arc::new(FaultyFs(Arc::clone(&faults))),
    );
    let before = faults.reads.load(Ordering::SeqCst);
    let pulled = store.pull("T", 1, 0, 32, 1 << 20, &all);
    assert_eq!(split(&pulled.body), expected);
    assert_eq!(faults.reads.load(Ordering::SeqCst), before + 1);
    assert_eq!(store.pull("T", 1, 0, 32, 1 << 20, &all).body, pulled.body);
}

#[test]
fn half_in_memory_and_half_on_disk_is_pulled_in_order() {
    let directory = temp();
    let (store, faults) = counted(directory.path());
    for _ in 0..5 {
        fill(&store, "T", 0, 1);
        fill(&store, "T", 1, 1);
    }
    store.inner.log.tail().rest();
    store.inner.log.tail().rest();
    for _ in 0..5 {
        fill(&store, "T", 0, 1);
        fill(&store, "T", 1, 1);
    }
    let before = faults.reads.load(Ordering::SeqCst);
    let records = split(&store.pull("T", 0, 0, 32, 1 << 20, &all).body);
    assert_eq!(faults.reads.load(Ordering::SeqCst), before + 1);
    let offsets: Vec<_> = records.iter().map(|record| Record::parse(record).unwrap().queue_offset).collect();
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
}
