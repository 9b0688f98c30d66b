use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The store of `root` as a killed process leaves it, plus what was in memory only being lost.
fn crash(store: Arc<MessageStore>) {
    drop(store);
}

/// The log is cut where it is damaged.
fn after_damage(root: &Path) -> StoreConfig {
    StoreConfig { truncate_damaged_log: true, ..small(root) }
}

fn log_file(root: &Path, start: i64) -> PathBuf {
    root.join(format!("commitlog/{start:020}"))
}

#[test]
fn a_closed_store_opens_with_everything_in_it() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 30);
    fill(&store, "T", 5, 3);
    let (queues, records) = (read_queues(&store), drain(&store, "T", 0));
    store.close().unwrap();
    for _ in 0..2 {
        let store = open(small(directory.path()));
        assert_eq!(read_queues(&store), queues);
        assert_eq!(drain(&store, "T", 0), records);
        store.close().unwrap();
    }
    let store = open(small(directory.path()));
    assert_eq!(fill(&store, "T", 0, 1)[0].queue_offset, 30);
    assert_eq!(fill(&store, "T", 5, 1)[0].queue_offset, 3);
    assert_eq!(read_queues(&store), scan_log(&store));
}

#[test]
fn a_killed_process_loses_nothing_that_was_appended() {
    let directory = temp();
    let mut expected = 0;
    for round in 0..5 {
        let store = open(small(directory.path()));
        assert_eq!(drain(&store, "T", 0).len(), expected, "round {round}");
        assert_eq!(read_queues(&store), scan_log(&store));
        let next = fill(&store, "T", 0, 7)[0].queue_offset;
        assert_eq!(next, expected as i64);
        expected += 7;
        crash(store);
        assert!(directory.path().join("abort").exists());
    }
}

/// Whatever of the last record is missing, the records before it stay and the log goes on behind them.
#[test]
fn a_torn_tail_of_every_length_is_cut_behind_the_last_whole_record() {
    let (origin, config) = (temp(), |root: &Path| small(root));
    let store = open(config(origin.path()));
    let appended = fill(&store, "T", 0, 3);
    crash(store);
    let whole = fs::read(log_file(origin.path(), 0)).unwrap();
    let size = i64::from(appended[0].size);
    for kept in 0..=appended[2].end_offset() {
        let directory = temp();
        fs::create_dir_all(directory.path().join("commitlog")).unwrap();
        fs::write(directory.path().join("abort"), "").unwrap();
        let mut torn = whole.clone();
        torn[kept as usize..].fill(0);
        fs::write(log_file(directory.path(), 0), &torn).unwrap();
        let store = open(config(directory.path()));
        // A last record that only lacks zeros is whole.
        let expected = match torn == whole {
            true => 3,
            false => kept / size,
        };
        assert_eq!(store.inner.log.max_offset(), expected * size, "{kept} bytes kept");
        assert_eq!(store.max_offset("T", 0), expected);
        assert_eq!(fill(&store, "T", 0, 1)[0].physical_offset, expected * size);
        assert_eq!(drain(&store, "T", 0).len() as i64, expected + 1);
        crash(store);
        let bytes = fs::read(log_file(directory.path(), 0)).unwrap();
        let end = ((expected + 1) * size) as usize;
        assert!(bytes[end..].iter().all(|byte| *byte == 0), "nothing of the torn record is left");
    }
}

/// A header whose last bytes are missing names a time long ago. It must not make recovery pass over the file before.
#[test]
fn a_torn_first_record_of_a_file_makes_nothing_look_safe() {
    let origin = temp();
    let store = open(small(origin.path()));
    fill(&store, "T", 0, 1);
    store.close().unwrap();
    let store = open(small(origin.path()));
    let first = fill(&store, "T", 0, 4).pop().unwrap();
    assert_eq!(first.physical_offset, 1000);
    crash(store);
    let whole = fs::read(log_file(origin.path(), 1000)).unwrap();
    for kept in 0..first.size as usize {
        fs::write(origin.path().join("abort"), "").unwrap();
        fs::remove_dir_all(origin.path().join("consumequeue")).unwrap();
        let mut torn = whole.clone();
        torn[kept..].fill(0);
        fs::write(log_file(origin.path(), 1000), torn).unwrap();
        let store = open(small(origin.path()));
        assert_eq!(store.max_offset("T", 0), 4, "{kept} bytes kept");
        assert_eq!(read_queues(&store), scan_log(&store));
        crash(store);
    }
}

#[test]
fn a_log_file_cut_short_is_cut_behind_the_last_whole_record() {
    let origin = temp();
    let store = open(small(origin.path()));
    let size = i64::from(fill(&store, "T", 0, 4)[0].size);
    crash(store);
    for length in (0..1000).step_by(37) {
        let file = fs::File::options().write(true).open(log_file(origin.path(), 0)).unwrap();
        let whole = fs::read(log_file(origin.path(), 0)).unwrap();
        file.set_len(length).unwrap();
        let store = open(after_damage(origin.path()));
        assert_eq!(store.max_offset("T", 0), (length as i64 / size).min(4));
        assert_eq!(fs::metadata(log_file(origin.path(), 0)).unwrap().len(), 1000);
        crash(store);
        fs::write(log_file(origin.path(), 0), whole).unwrap();
    }
}

#[test]
fn a_flipped_bit_before_the_end_refuses_the_start_unless_that_is_allowed() {
    let directory = temp();
    let store = open(small(directory.path()));
    let appended = fill(&store, "T", 0, 9);
    store.close().unwrap();
    let path = log_file(directory.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[appended[1].physical_offset as usize + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    // Seven good records would be lost.
    let refused =
        MessageStore::open(small(directory.path()), Clock::default(), Box::new(|_| {})).err().unwrap();
    let damaged = StoreError::LogDamaged { at: 199, until: appended[8].end_offset(), records: 7 };
    assert_eq!(refused.to_string(), damaged.to_string());
    assert!(refused.to_string().contains("truncateDamagedLog=true"));
    let before = fs::read(log_file(directory.path(), 1000)).unwrap();
    let store = open(after_damage(directory.path()));
    let kept = fs::read(directory.path().join("damaged/commitlog/00000000000000000199.1")).unwrap();
    assert_eq!(kept.len() as i64, appended[8].end_offset() - 199);
    assert_eq!(kept[801..1801], before);
    assert_eq!(store.max_offset("T", 0), 1);
    assert!(!log_file(directory.path(), 1000).exists(), "files behind the end are removed");
    assert_eq!(read_queues(&store), scan_log(&store));
}

#[test]
fn lost_consume_queues_are_built_again_from_the_log() {
    let directory = temp();
    let store = open(small(directory.path()));
    for _ in 0..10 {
        fill(&store, "T", 0, 2);
        fill(&store, "U", 3, 1);
    }
    let queues = read_queues(&store);
    store.close().unwrap();
    for lost in ["consumequeue", "consumequeue/T", "consumequeue/U/3"] {
        for abort in [false, true] {
            fs::remove_dir_all(directory.path().join(lost)).unwrap();
            if abort {
                fs::write(directory.path().join("abort"), "").unwrap();
            }
            let store = open(small(directory.path()));
            assert_eq!(read_queues(&store), queues, "without {lost}, abort: {abort}");
            store.close().unwrap();
        }
    }
}

#[test]
fn without_a_log_there_are_no_queues() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 20);
    store.close().unwrap();
    fs::remove_dir_all(directory.path().join("commitlog")).unwrap();
    let refused =
        MessageStore::open(small(directory.path()), Clock::default(), Box::new(|_| {})).err().unwrap();
    assert!(matches!(refused, StoreError::LogDamaged { at: 0, records: 0, .. }), "{refused}");
    let store = open(after_damage(directory.path()));
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (0, 0));
    assert_eq!(fill(&store, "T", 0, 1)[0].queue_offset, 0);
}

#[test]
fn a_log_whose_first_files_were_deleted_begins_where_it_begins() {
    let directory = temp();
    let store = open(small(directory.path()));
    let appended = fill(&store, "T", 0, 30);
    store.close().unwrap();
    fs::remove_file(log_file(directory.path(), 0)).unwrap();
    fs::remove_file(log_file(directory.path(), 1000)).unwrap();
    let first = appended.iter().find(|it| it.physical_offset >= 2000).unwrap().queue_offset;
    for lose_queues in [false, true] {
        if lose_queues {
            fs::remove_dir_all(directory.path().join("consumequeue")).unwrap();
        }
        let store = open(small(directory.path()));
        assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (first, 30));
        assert_eq!(read_queues(&store), scan_log(&store));
        let early = store.pull("T", 0, 0, 32, 1 << 20, &all);
        assert_eq!((early.status, early.next_begin_offset), (PullStatus::OffsetTooSmall, first));
        assert_eq!(drain(&store, "T", 0).len() as i64, 30 - first);
        store.close().unwrap();
    }
}

/// The first file of such a queue is not there yet while its beginning is looked for.
#[test]
fn a_queue_built_again_from_the_first_unit_of_a_later_file_begins_there() {
    let directory = temp();
    let config = || StoreConfig { mapped_file_size_consume_queue: 20, ..small(directory.path()) };
    let store = open(config());
    let appended = fill(&store, "T", 0, 10);
    store.close().unwrap();
    fs::remove_file(log_file(directory.path(), 0)).unwrap();
    fs::remove_dir_all(directory.path().join("consumequeue")).unwrap();
    let first = appended.iter().find(|it| it.physical_offset >= 1000).unwrap().queue_offset;
    let store = open(config());
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (first, 10));
    assert_eq!(drain(&store, "T", 0).len() as i64, 10 - first);
}

#[test]
fn the_checkpoint_says_where_to_begin_and_later_units_are_not_trusted() {
    let directory = temp();
    let clock = Clock::default();
    let store = MessageStore::open(small(directory.path()), clock.clone(), Box::new(|_| {})).unwrap();
    fill(&store, "T", 0, 20);
    clock.advance(Duration::from_secs(60));
    let late = fill(&store, "T", 0, 20);
    let queues = read_queues(&store);
    store.close().unwrap();
    // As if the machine had lost its power: later units may be anything.
    fs::write(directory.path().join("abort"), "").unwrap();
    let at = |queue_offset: i64| format!("consumequeue/T/0/{:020}", queue_offset / 10 * 200);
    let lost = directory.path().join(at(late[4].queue_offset));
    fs::write(&lost, vec![0; 200]).unwrap();
    let checkpoint = Checkpoint {
        log_timestamp: late[0].store_timestamp + 3000,
        queues_timestamp: late[0].store_timestamp + 3000,
        safe_offset: Some(late[0].physical_offset),
    };
    checkpoint.write(&OsFs, directory.path()).unwrap();
    let store = MessageStore::open(small(directory.path()), clock, Box::new(|_| {})).unwrap();
    assert_eq!(read_queues(&store), queues);
    assert_eq!(drain(&store, "T", 0).len(), 40);
}

#[test]
fn damaged_files_are_named_and_nothing_panics() {
    let refused = |root: &Path| {
        MessageStore::open(small(root), Clock::default(), Box::new(|_| {}))
            .err()
            .expect("refused")
            .to_string()
    };
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 30);
    store.close().unwrap();
    let second = log_file(directory.path(), 1000);
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[1..]).unwrap();
    assert!(refused(directory.path()).contains("commitlog/00000000000000001000"));
    fs::write(&second, [&bytes[..], &[0]].concat()).unwrap();
    assert!(refused(directory.path()).contains("commitlog/00000000000000001000"));
    fs::remove_file(&second).unwrap();
    assert!(refused(directory.path()).contains("commitlog/00000000000000002000"));
    fs::write(&second, bytes).unwrap();
    fs::write(directory.path().join("commitlog/notes.txt"), "left alone").unwrap();
    fs::create_dir_all(directory.path().join("consumequeue/T/x")).unwrap();
    fs::write(directory.path().join("consumequeue/stray"), "").unwrap();
    assert_eq!(drain(&open(small(directory.path())), "T", 0).len(), 30);
}

/// Its records are still in the last files of the log.
#[test]
fn a_deleted_topic_stays_deleted_and_one_with_settings_gets_its_queues_back() {
    let directory = temp();
    let store = open(small(directory.path()));
    for topic in ["Deleted", "Lost", "Kept"].repeat(4) {
        fill(&store, topic, 0, 1);
    }
    store.close().unwrap();
    let settings = r#"{"topicConfigTable":{"Lost":{"topicName":"Lost"},"Kept":{"topicName":"Kept"}}}"#;
    fs::create_dir(directory.path().join("config")).unwrap();
    fs::write(directory.path().join("config/topics.json"), settings).unwrap();
    for abort in [false, true] {
        for topic in ["Deleted", "Lost"] {
            let _ = fs::remove_dir_all(directory.path().join("consumequeue").join(topic));
        }
        if abort {
            fs::write(directory.path().join("abort"), "").unwrap();
        }
        let store = open(small(directory.path()));
        let ends = ["Deleted", "Lost", "Kept"].map(|topic| store.max_offset(topic, 0));
        assert_eq!(ends, [0, 4, 4], "abort: {abort}");
        assert_eq!(store.topics(), [("Kept".into(), 1), ("Lost".into(), 1)]);
        store.close().unwrap();
    }
}

#[test]
fn a_consume_queue_file_of_a_wrong_size_is_set_aside_and_built_again() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 25);
    fill(&store, "U", 0, 5);
    let queues = read_queues(&store);
    store.close().unwrap();
    let file = |start: i64| directory.path().join(format!("consumequeue/T/0/{start:020}"));
    let (first, second) = (fs::read(file(0)).unwrap(), fs::read(file(200)).unwrap());
    let faults: [(&str, &dyn Fn()); 4] = [
        ("empty", &|| fs::write(file(0), "").unwrap()),
        ("short", &|| fs::write(file(200), &second[..199]).unwrap()),
        ("long", &|| fs::write(file(0), [&first[..], &[0]].concat()).unwrap()),
        ("missing", &|| fs::remove_file(file(200)).unwrap()),
    ];
    for (number, (what, fault)) in (1..).zip(faults) {
        fault();
        let store = open(small(directory.path()));
        assert_eq!(read_queues(&store), queues, "{what}");
        assert!(directory.path().join(format!("damaged/consumequeue/T/0.{number}")).exists(), "{what}");
        store.close().unwrap();
    }
}

/// As 4.9 writes the units of delayed messages while it recovers from a crash.
#[test]
fn a_unit_that_says_something_wrong_of_the_right_record_is_written_anew() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 5);
    let queues = read_queues(&store);
    store.close().unwrap();
    let file = directory.path().join("consumequeue/T/0").join(format!("{:020}", 0));
    let mut units = fs::read(&file).unwrap();
    units[3 * 20 + 12..4 * 20].copy_from_slice(&99_i64.to_be_bytes());
    fs::write(&file, units).unwrap();
    Checkpoint::default().write(&OsFs, directory.path()).unwrap();
    assert_eq!(read_queues(&open(small(directory.path()))), queues);
}

#[test]
fn a_topic_deleted_and_made_again_has_its_newer_messages() {
    let directory = temp();
    let store = open(small(directory.path()));
    fill(&store, "T", 0, 8);
    fill(&store, "Other", 0, 1);
    store.close().unwrap();
    let store = open(small(directory.path()));
    // What deleting the topic does, whose records stay in the log.
    let queue = store.inner.queues.find("T", 0).unwrap();
    queue.move_to(0).unwrap();
    let again = fill(&store, "T", 0, 3);
    assert_eq!(again[0].queue_offset, 0);
    crash(store);
    let store = open(small(directory.path()));
    let physical: Vec<_> = store.queue_entries("T", 0, 0, 99).iter().map(|it| it.physical_offset).collect();
    assert_eq!(physical, again.iter().map(|it| it.physical_offset).collect::<Vec<_>>());
}

/// One step of a store's life.
#[derive(Clone, Debug)]
enum Step {
    Append { topic: u8, queue_id: u8, size: u16, half: bool },
    Batch { topic: u8, count: u8 },
    WriteQueues,
    Close,
    Crash { torn_bytes: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3u8, 0..3u8, 0..700u16, any::<bool>(), any::<bool>()).prop_map(|(topic, queue_id, size, a, b)| {
            Step::Append { topic, queue_id, size, half: a && b }
        }),
        3 => (0..3u8, 1..5u8).prop_map(|(topic, count)| Step::Batch { topic, count }),
        2 => Just(Step::WriteQueues),
        1 => Just(Step::Close),
        2 => (0..400u16).prop_map(|torn_bytes| Step::Crash { torn_bytes }),
    ]
}

/// Overwrites the last bytes of the log, as a crash in the middle of a write. What is on disk stays.
fn tear(root: &Path, end: i64, bytes: i64) {
    let safe = Checkpoint::read(&OsFs, root).unwrap().safe_offset.unwrap_or(0);
    let start = (end - bytes).max(end - end % 1000).max(safe);
    let path = log_file(root, end - end % 1000);
    if start < end
        && let Ok(mut content) = fs::read(&path)
    {
        content[(start % 1000) as usize..].fill(0);
        fs::write(path, content).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn queues_are_what_the_log_says_through_any_life(steps in proptest::collection::vec(step(), 1..60)) {
        let directory = temp();
        let topics = ["A", "B", "SCHEDULE_TOPIC_XXXX"].map(ByteString::from);
        let mut store = open(small(directory.path()));
        for step in steps {
            match step {
                Step::Append { topic, queue_id, size, half } => {
                    let body = vec![1; usize::from(size)];
                    let bits = if half { SysFlag::TRANSACTION_PREPARED } else { 0 };
                    let properties = "DELAY\u{1}2\u{2}TAGS\u{1}x\u{2}";
                    let tags_code = i64::from(rocketmq_protocol::message::string_hash("x"));
                    let message = message(&topics[usize::from(topic)], i32::from(queue_id), &body);
                    store.append(NewMessage { sys_flag: SysFlag(bits), properties, tags_code, ..message }).unwrap();
                }
                Step::Batch { topic, count } => {
                    let message = message(&topics[usize::from(topic)], 1, b"batch");
                    store.append_batch(&vec![message; usize::from(count)]).unwrap();
                }
                Step::WriteQueues => flush::flush_queues(&store.inner, false).unwrap(),
                Step::Close => {
                    let before = read_queues(&store);
                    store.close().unwrap();
                    store = open(small(directory.path()));
                    prop_assert_eq!(read_queues(&store), before);
                }
                Step::Crash { torn_bytes } => {
                    let end = store.inner.log.max_offset();
                    crash(store);
                    tear(directory.path(), end, i64::from(torn_bytes));
                    store = open(small(directory.path()));
                }
            }
            prop_assert_eq!(read_queues(&store), scan_log(&store));
        }
    }
}
