use std::time::Duration;

use super::*;

#[test]
fn an_offset_outside_the_queue_is_corrected() {
    let directory = temp();
    let store = open(small(directory.path()));
    let pull = |offset| store.pull("T", 0, offset, 32, 1 << 20, &all);
    assert_eq!((pull(5).status, pull(5).next_begin_offset), (PullStatus::NoMatchedLogicQueue, 0));
    let topic = ByteString::from("T");
    let half = NewMessage { sys_flag: SysFlag(SysFlag::TRANSACTION_PREPARED), ..message(&topic, 0, b"x") };
    store.append(half).unwrap();
    assert_eq!((pull(5).status, pull(5).next_begin_offset), (PullStatus::NoMessageInQueue, 0));
    fill(&store, "T", 0, 3);
    let expected = [
        (-1, PullStatus::OffsetTooSmall, 0),
        (0, PullStatus::Found, 3),
        (2, PullStatus::Found, 3),
        (3, PullStatus::OffsetOverflowOne, 3),
        (4, PullStatus::OffsetOverflowBadly, 3),
        (i64::MAX, PullStatus::OffsetOverflowBadly, 3),
    ];
    for (offset, status, next) in expected {
        let pulled = pull(offset);
        assert_eq!((pulled.status, pulled.next_begin_offset), (status, next), "at {offset}");
        assert_eq!((pulled.min_offset, pulled.max_offset), (0, 3));
    }
}

#[test]
fn a_pull_is_bounded_by_count_and_bytes_but_never_by_the_first_message() {
    let directory = temp();
    let config = StoreConfig { mapped_file_size_commit_log: 4 << 20, ..small(directory.path()) };
    let store = open(config);
    let size = fill(&store, "T", 0, 40)[0].size as usize;
    let count =
        |max_messages, max_bytes| split(&store.pull("T", 0, 0, max_messages, max_bytes, &all).body).len();
    assert_eq!(count(10, 1 << 20), 10);
    assert_eq!(count(1000, 1 << 20), 32);
    assert_eq!(count(32, 3 * size), 3);
    assert_eq!(count(32, 3 * size - 1), 2);
    assert_eq!(count(32, 1), 1);
    let topic = ByteString::from("Big");
    let body = vec![1; 300 << 10];
    for _ in 0..2 {
        store.append(message(&topic, 0, &body)).unwrap();
    }
    let pulled = store.pull("Big", 0, 0, 32, 1 << 20, &all);
    assert_eq!((split(&pulled.body).len(), pulled.next_begin_offset), (1, 1));
    assert_eq!(Record::parse(&pulled.body).unwrap().body, body);
}

#[test]
fn a_pull_from_the_disk_brings_less() {
    let directory = temp();
    let store = open(small(directory.path()));
    let appended = fill(&store, "T", 0, 20);
    let end = appended[19].end_offset();
    store.inner.cached_log_bytes.set(end - appended[10].physical_offset).unwrap();
    assert!(!store.is_in_memory("T", 0, 9));
    assert!(store.is_in_memory("T", 0, 10));
    assert!(store.is_in_memory("T", 0, 99) && store.is_in_memory("None", 0, 0));
    assert_eq!(split(&store.pull("T", 0, 0, 32, 1 << 20, &all).body).len(), 8);
    assert_eq!(split(&store.pull("T", 0, 10, 32, 1 << 20, &all).body).len(), 10);
}

#[test]
fn only_wanted_messages_come_and_the_scan_is_bounded() {
    let directory = temp();
    let config = StoreConfig { mapped_file_size_commit_log: 4 << 20, ..small(directory.path()) };
    let store = open(config);
    let topic = ByteString::from("T");
    for number in 0..2000 {
        let body = [number as u8; 10];
        store.append(NewMessage { tags_code: number % 10, ..message(&topic, 0, &body) }).unwrap();
    }
    let pulled = store.pull("T", 0, 0, 32, 1 << 20, &|code| code == 3);
    assert_eq!((pulled.status, split(&pulled.body).len()), (PullStatus::Found, 32));
    // The scan goes on to the next message that would not fit, as in Java: behind the last one taken.
    assert_eq!(pulled.next_begin_offset, 314);
    let bodies: Vec<u8> = split(&pulled.body).iter().map(|it| Record::parse(it).unwrap().body[0]).collect();
    assert!(bodies.iter().zip((3u32..).step_by(10)).all(|(body, number)| *body == number as u8));

    let pulled = store.pull("T", 0, 0, 32, 1 << 20, &|code| code == 99);
    assert_eq!((pulled.status, pulled.next_begin_offset), (PullStatus::NoMatchedMessage, 800));
    let pulled = store.pull("T", 0, 1990, 32, 1 << 20, &|code| code == 99);
    assert_eq!((pulled.status, pulled.next_begin_offset), (PullStatus::NoMatchedMessage, 2000));
    assert_eq!(store.pull("T", 0, 0, 1000, 1 << 20, &|code| code == 99).next_begin_offset, 1000);
}

#[test]
fn messages_of_many_queues_come_apart() {
    let directory = temp();
    let store = open(small(directory.path()));
    for _ in 0..30 {
        for queue_id in 0..3 {
            fill(&store, "T", queue_id, 1 + queue_id as usize);
        }
    }
    for queue_id in 0..3 {
        let records = drain(&store, "T", queue_id);
        assert_eq!(records.len(), 30 * (1 + queue_id as usize));
        for (number, record) in records.iter().enumerate() {
            let record = Record::parse(record).unwrap();
            assert_eq!((record.queue_id, record.queue_offset), (queue_id, number as i64));
        }
    }
}

#[test]
fn a_damaged_unit_is_passed_over_and_never_cuts_an_answer() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 3);
    store.close().unwrap();
    let store = open(small(directory.path()));
    // The start would have mended it.
    let file = directory.path().join("consumequeue/T/0/00000000000000000000");
    let mut units = std::fs::read(&file).unwrap();
    units[20 + 7] ^= 1;
    std::fs::write(&file, units).unwrap();
    let pulled = store.pull("T", 0, 0, 32, 1 << 20, &all);
    assert_eq!(
        (pulled.status, split(&pulled.body).len(), pulled.next_begin_offset),
        (PullStatus::Found, 2, 3)
    );
    let offsets: Vec<_> =
        split(&pulled.body).iter().map(|it| Record::parse(it).unwrap().queue_offset).collect();
    assert_eq!(offsets, [0, 2]);
    let pulled = store.pull("T", 0, 1, 1, 1 << 20, &all);
    assert_eq!((pulled.status, pulled.next_begin_offset), (PullStatus::MessageWasRemoving, 2));
}

#[test]
fn the_offset_of_a_moment_is_that_of_the_nearest_message() {
    let directory = temp();
    let clock = Clock::default();
    let store = MessageStore::open(small(directory.path()), clock.clone(), Box::new(|_| {})).unwrap();
    assert_eq!((store.offset_by_time("T", 0, 0), store.earliest_store_time("T", 0)), (0, None));
    let mut times = Vec::new();
    for _ in 0..15 {
        times.push(fill(&store, "T", 0, 1)[0].store_timestamp);
        clock.advance(Duration::from_secs(10));
    }
    let at = |timestamp| store.offset_by_time("T", 0, timestamp);
    assert_eq!((at(0), at(times[0]), at(times[14]), at(i64::MAX)), (0, 0, 14, 14));
    for (offset, time) in (0i64..).zip(&times) {
        assert_eq!(at(*time), offset);
        assert_eq!(at(*time + 4_000), offset, "nearer to the earlier one");
        assert_eq!(at(*time - 4_000), offset, "nearer to the later one");
    }
    assert_eq!(store.earliest_store_time("T", 0), Some(times[0]));
}

#[test]
fn no_message_is_found_where_none_begins() {
    let directory = temp();
    let store = open(small(directory.path()));
    let appended = fill(&store, "T", 0, 8);
    let starts: Vec<_> = appended.iter().map(|it| it.physical_offset).collect();
    for offset in (-3..2100).chain([i64::MIN, i64::MAX]) {
        assert_eq!(store.message_at(offset).is_ok(), starts.contains(&offset), "at {offset}");
    }
}

#[test]
fn a_unit_that_claims_a_huge_record_takes_no_memory_for_it() {
    let directory = temp();
    let config = StoreConfig { mapped_file_size_commit_log: 8 << 20, ..small(directory.path()) };
    let store = open(config);
    let topic = ByteString::from("T");
    let body = vec![1; 2 << 20];
    for _ in 0..2 {
        store.append(message(&topic, 0, &body)).unwrap();
    }
    let huge = QueueEntry { queue_offset: 2, physical_offset: 0, size: 3 << 20, tags_code: 0 };
    store.inner.queues.find("T", 0).unwrap().put(&huge);
    assert_eq!(store.pull("T", 0, 2, 32, 1 << 20, &all).status, PullStatus::MessageWasRemoving);
    let pulled = store.pull("T", 0, 0, 32, 8 << 20, &all);
    assert_eq!((split(&pulled.body).len(), Record::parse(&pulled.body).unwrap().body.len()), (1, 2 << 20));
}
