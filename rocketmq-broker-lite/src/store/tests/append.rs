use std::fs;
use std::sync::Mutex;

use rocketmq_protocol::message::SCHEDULE_TOPIC;

use super::super::faulty_fs::{Faults, FaultyFs};
use super::*;

#[test]
fn what_was_appended_is_pulled() {
    let directory = temp();
    let store = open(StoreConfig { root_dir: directory.path().to_owned(), ..StoreConfig::default() });
    let topic = ByteString::from("T");
    let sent = NewMessage { properties: "TAGS\u{1}a\u{2}", tags_code: 97, ..message(&topic, 3, b"hello") };
    let first = store.append(sent).unwrap();
    let second = store.append(message(&topic, 3, b"")).unwrap();
    assert_eq!((first.physical_offset, first.queue_offset), (0, 0));
    assert_eq!((second.physical_offset, second.queue_offset), (first.end_offset(), 1));

    let pulled = store.pull("T", 3, 0, 32, 1 << 20, &all);
    assert_eq!(
        (pulled.status, split(&pulled.body).len(), pulled.next_begin_offset),
        (PullStatus::Found, 2, 2)
    );
    let record = Record::parse(&pulled.body).unwrap();
    assert_eq!(
        (record.body, record.topic, record.properties),
        (&b"hello"[..], &b"T"[..], &b"TAGS\x01a\x02"[..])
    );
    assert_eq!((record.queue_id, record.flag, record.born_timestamp), (3, 7, 17));
    assert_eq!((record.queue_offset, record.physical_offset), (0, 0));
    assert_eq!((record.born_host, record.store_host), (sent.born_host, sent.store_host));
    assert_eq!(record.store_timestamp, first.store_timestamp);
    assert_eq!(record.verify_crc(&pulled.body), Ok(()));
    assert_eq!(store.queue_entries("T", 3, 0, 1)[0].tags_code, 97);
    assert_eq!(store.message_at(second.physical_offset).unwrap(), split(&pulled.body)[1]);
}

#[test]
fn a_full_file_ends_with_a_blank_and_the_next_one_goes_on() {
    let directory = temp();
    let store = open(small(directory.path()));
    let appended = fill(&store, "T", 0, 12);
    let size = i64::from(appended[0].size);
    let per_file = (1000 - 8) / size;
    for (number, place) in (0i64..).zip(&appended) {
        assert_eq!(place.physical_offset, number / per_file * 1000 + number % per_file * size);
        assert_eq!(place.queue_offset, number);
    }
    let file = fs::read(directory.path().join("commitlog/00000000000000000000")).unwrap();
    let blank_at = (per_file * size) as usize;
    assert_eq!(file.len(), 1000);
    assert_eq!(file[blank_at..blank_at + 4], (1000 - blank_at as i32).to_be_bytes());
    assert_eq!(file[blank_at + 4..blank_at + 8], (-875_286_124i32).to_be_bytes());
    assert!(directory.path().join("commitlog/00000000000000001000").exists());
    assert_eq!(drain(&store, "T", 0).len(), 12);
}

#[test]
fn a_record_that_leaves_exactly_room_for_a_blank_still_fits() {
    let overhead = {
        let directory = temp();
        i64::from(fill(&open(small(directory.path())), "T", 0, 1)[0].size) - 100
    };
    let topic = ByteString::from("T");
    let body = vec![0; (1000 - 8 - overhead) as usize];
    let directory = temp();
    let store = open(small(directory.path()));
    assert_eq!(store.append(message(&topic, 0, &body)).unwrap().size, 992);
    assert_eq!(store.append(message(&topic, 0, &body)).unwrap().physical_offset, 1000);
    let too_long = vec![0; body.len() + 1];
    let error = store.append(message(&topic, 0, &too_long)).unwrap_err();
    assert!(
        matches!(error, StoreError::MessageIllegal { what: "record", found: 993, limit: 992 }),
        "{error}"
    );
    assert!(store.poisoned().is_none());
    assert_eq!(drain(&store, "T", 0).len(), 2);
}

#[test]
fn a_batch_lies_together_under_consecutive_offsets() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 4);
    let topic = ByteString::from("T");
    let batch = [message(&topic, 0, b"one"), message(&topic, 0, b"two"), message(&topic, 0, b"three")];
    let appended = store.append_batch(&batch).unwrap();
    assert_eq!(appended.iter().map(|it| it.queue_offset).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(appended[0].physical_offset, 1000, "it did not fit the first file as a whole");
    assert_eq!(appended[1].physical_offset, appended[0].end_offset());
    assert_eq!(appended[2].physical_offset, appended[1].end_offset());
    assert_eq!(drain(&store, "T", 0).len(), 7);
    assert!(store.append_batch(&[]).unwrap().is_empty());
    let other = ByteString::from("U");
    let mixed = store.append_batch(&[message(&topic, 0, b""), message(&other, 0, b"")]);
    assert!(matches!(mixed, Err(StoreError::MixedBatch)));
    assert_eq!(store.max_offset("T", 0), 7);
}

#[test]
fn limits_refuse_and_store_nothing() {
    let directory = temp();
    let config =
        StoreConfig { mapped_file_size_commit_log: 1 << 20, max_message_size: 10, ..small(directory.path()) };
    let store = open(config);
    let topic = ByteString::from("T");
    let refused = |message| store.append(message).unwrap_err();
    assert!(matches!(refused(message(&topic, 0, &[0; 11])), StoreError::MessageIllegal { what: "body", .. }));
    let long = ByteString::from("t".repeat(128));
    assert!(matches!(refused(message(&long, 0, b"")), StoreError::MessageIllegal { what: "topic", .. }));
    let properties = "x".repeat(32_768);
    let with_properties = NewMessage { properties: &properties, ..message(&topic, 0, b"") };
    assert!(matches!(refused(with_properties), StoreError::PropertiesTooLong { found: 32_768, .. }));
    let outside = ByteString::from("../outside");
    assert!(matches!(refused(message(&outside, 0, b"")), StoreError::BadTopic(_)));
    assert_eq!(store.inner.log.max_offset(), 0);
    store.append(message(&topic, 0, &[0; 10])).unwrap();
}

#[test]
fn delayed_messages_get_their_deliver_time_and_half_messages_no_unit() {
    let directory = temp();
    let store = open(small(directory.path()));
    let topic = ByteString::from(SCHEDULE_TOPIC);
    let delayed = NewMessage { properties: "DELAY\u{1}3\u{2}", tags_code: 5, ..message(&topic, 2, b"x") };
    let appended = store.append(delayed).unwrap();
    assert_eq!(store.queue_entries(&topic, 2, 0, 1)[0].tags_code, appended.store_timestamp + 10_000);

    let topic = ByteString::from("T");
    fill(&store, "T", 0, 1);
    for bits in [SysFlag::TRANSACTION_PREPARED, SysFlag::TRANSACTION_ROLLBACK] {
        let half = NewMessage { sys_flag: SysFlag(bits), ..message(&topic, 0, b"x") };
        assert_eq!(store.append(half).unwrap().queue_offset, 0);
    }
    assert_eq!(store.max_offset("T", 0), 1);
    assert_eq!(fill(&store, "T", 0, 1)[0].queue_offset, 1);
}

#[test]
fn an_arrival_is_told_once_the_message_can_be_read() {
    let directory = temp();
    let store: Arc<OnceLock<std::sync::Weak<MessageStore>>> = Arc::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let arrivals = {
        let (store, seen) = (Arc::clone(&store), Arc::clone(&seen));
        Box::new(move |arrival: &Arrival<'_>| {
            let store = store.get().unwrap().upgrade().unwrap();
            let pulled = store.pull(arrival.topic, arrival.queue_id, arrival.queue_offset, 1, 1, &all);
            // It may append, too: no lock is held.
            if arrival.queue_id == 0 {
                fill(&store, "Other", 1, 1);
            }
            seen.lock().unwrap().push((arrival.topic.to_string(), arrival.queue_offset, pulled.status));
        })
    };
    let opened = MessageStore::open(small(directory.path()), Clock::default(), arrivals).unwrap();
    store.set(Arc::downgrade(&opened)).unwrap();
    let topic = ByteString::from("T");
    opened.append_batch(&[message(&topic, 0, b"a"), message(&topic, 0, b"b")]).unwrap();
    let found = |topic: &str, offset| (topic.to_owned(), offset, PullStatus::Found);
    let expected = [found("Other", 0), found("T", 0), found("Other", 1), found("T", 1)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn appends_of_many_threads_get_offsets_without_gaps() {
    let directory = temp();
    let config = StoreConfig { mapped_file_size_commit_log: 10_000, ..small(directory.path()) };
    let store = open(config);
    std::thread::scope(|scope| {
        for queue_id in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..50 {
                    assert_eq!(fill(store, "T", queue_id, 1)[0].queue_offset, round);
                    fill(store, "Shared", 0, 1);
                }
            });
        }
    });
    assert_eq!(store.max_offset("Shared", 0), 200);
    assert_eq!(read_queues(&store), scan_log(&store));
    assert_eq!(drain(&store, "Shared", 0).len(), 200);
}

#[test]
fn a_closed_store_takes_nothing_and_still_reads() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 3);
    store.close().unwrap();
    store.close().unwrap();
    let topic = ByteString::from("T");
    assert!(matches!(store.append(message(&topic, 0, b"")), Err(StoreError::ShutDown)));
    assert_eq!(drain(&store, "T", 0).len(), 3);
    assert!(!directory.path().join("abort").exists());
    // The lock is free though the value is still there.
    assert_eq!(drain(&open(small(directory.path())), "T", 0).len(), 3);
}

#[test]
fn a_directory_is_used_by_one_store_at_a_time() {
    let directory = temp();
    let store = open(small(directory.path()));
    let second = MessageStore::open(small(directory.path()), Clock::default(), Box::new(|_| {}));
    let error = second.err().expect("a second store must not open");
    assert!(error.to_string().starts_with("Lock failed,MQ already started"), "{error}");
    fill(&store, "T", 0, 1);
    drop(store);
    open(small(directory.path()));
}

#[test]
fn an_open_and_empty_store_has_few_files() {
    let directory = temp();
    let _store = open(small(directory.path()));
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["abort", "checkpoint", "lock"]);
    assert_eq!(fs::read(directory.path().join("lock")).unwrap(), b"lock");
}

#[test]
fn a_roll_finds_the_next_file_made_and_costs_the_sender_no_more_than_a_write() {
    for flush_disk_type in [FlushDiskType::AsyncFlush, FlushDiskType::SyncFlush] {
        let directory = temp();
        let faults = Arc::new(Faults::default());
        let config = StoreConfig {
            mapped_file_size_commit_log: 10_000,
            flush_disk_type,
            // Nothing is synced that nobody waits for.
            flush_interval_commit_log: Duration::from_secs(60),
            ..small(directory.path())
        };
        let store = open_on(config, Arc::new(FaultyFs(Arc::clone(&faults))));
        let mut opened = 1;
        while store.inner.log.max_offset() < 50_000 {
            fill(&store, "T", 0, 1);
            if store.inner.log.max_offset() % 10_000 >= 5_000 {
                opened = opened.max(store.inner.log.max_offset() as usize / 10_000 + 2);
            }
            faults.wait_for_opens(opened);
        }
        let opened_by = faults.opened_by.lock().unwrap().clone();
        let sender = std::thread::current().id();
        assert_eq!(opened_by.iter().filter(|thread| **thread == sender).count(), 1, "{opened_by:?}");
        assert_eq!(read_queues(&store), scan_log(&store));
    }
}
