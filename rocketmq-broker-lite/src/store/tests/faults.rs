use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::super::faulty_fs::{Faults, FaultyFs};
use super::*;

const LONG: Duration = Duration::from_secs(60);

fn faulty(root: &Path) -> (Arc<MessageStore>, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    // Nothing is flushed that nobody waits for.
    let config = StoreConfig {
        flush_disk_type: FlushDiskType::SyncFlush,
        mapped_file_size_commit_log: 100_000,
        flush_interval_commit_log: LONG,
        flush_commit_log_thorough_interval: LONG,
        flush_interval_consume_queue: LONG,
        ..small(root)
    };
    (open_on(config, Arc::new(FaultyFs(Arc::clone(&faults)))), faults)
}

fn outcome(store: &MessageStore, end_offset: i64, timeout: Duration) -> mpsc::Receiver<FlushOutcome> {
    let (sender, receiver) = mpsc::channel();
    store.when_flushed(end_offset, timeout, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver
}

/// The only answer there is: a second one would be an error of the sender.
fn only(receiver: &mpsc::Receiver<FlushOutcome>) -> FlushOutcome {
    let first = receiver.recv().unwrap();
    assert!(receiver.recv().is_err(), "answered twice");
    first
}

#[test]
fn one_sync_answers_everyone_who_waited_and_none_before_it() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    faults.hold_syncs(true);
    let first = outcome(&store, fill(&store, "T", 0, 1)[0].end_offset(), LONG);
    faults.wait_for_one_held();
    // The next group forms while the first one's sync runs.
    let group: Vec<_> = fill(&store, "T", 0, 50)
        .iter()
        .map(|appended| outcome(&store, appended.end_offset(), LONG))
        .collect();
    assert!(first.try_recv().is_err() && group.iter().all(|it| it.try_recv().is_err()));
    assert_eq!(store.inner.log.flushed_offset(), 0);
    faults.hold_syncs(false);
    assert_eq!(only(&first), FlushOutcome::Flushed);
    for waiter in &group {
        assert_eq!(only(waiter), FlushOutcome::Flushed);
    }
    assert_eq!(faults.syncs.load(Ordering::SeqCst), 2);
    let late = outcome(&store, fill(&store, "T", 0, 0).len() as i64, LONG);
    assert_eq!(only(&late), FlushOutcome::Flushed, "what is on disk already is answered at once");
}

#[test]
fn a_wait_ends_in_time_though_the_sync_hangs() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    faults.hold_syncs(true);
    let end = fill(&store, "T", 0, 1)[0].end_offset();
    let patient = outcome(&store, end, LONG);
    faults.wait_for_one_held();
    assert_eq!(only(&outcome(&store, end, Duration::from_millis(1))), FlushOutcome::TimedOut);
    faults.hold_syncs(false);
    assert_eq!(only(&patient), FlushOutcome::Flushed);
}

#[test]
fn a_wait_ends_in_time_though_the_sync_of_a_consume_queue_hangs() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    let appended = fill(&store, "T", 0, 1);
    faults.hold_queue_syncs(true);
    std::thread::scope(|scope| {
        scope.spawn(|| flush::flush_queues(&store.inner, true));
        faults.wait_for_one_held();
        faults.hold_syncs(true);
        let expired = outcome(&store, appended[0].end_offset(), Duration::from_millis(1));
        assert_eq!(only(&expired), FlushOutcome::TimedOut);
        faults.hold_syncs(false);
        faults.hold_queue_syncs(false);
    });
}

#[test]
fn whoever_is_told_of_a_sync_holds_up_no_other() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    let (go_on, wait) = mpsc::channel::<()>();
    let first = fill(&store, "T", 0, 1)[0].end_offset();
    let (told, is_told) = mpsc::channel();
    let hangs = move |_| {
        told.send(()).unwrap();
        // Ends with the sender.
        let _ = wait.recv();
    };
    store.when_flushed(first, LONG, Box::new(hangs));
    is_told.recv().unwrap();
    let second = fill(&store, "T", 0, 1)[0].end_offset();
    faults.hold_syncs(true);
    let waits = outcome(&store, second, LONG);
    faults.wait_for_one_held();
    faults.hold_syncs(false);
    drop(go_on);
    assert_eq!(only(&waits), FlushOutcome::Flushed);
}

#[test]
fn a_failed_sync_poisons_the_store() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    faults.hold_syncs(true);
    let end = fill(&store, "T", 0, 1)[0].end_offset();
    let first = outcome(&store, end, LONG);
    faults.wait_for_one_held();
    faults.fail_syncs.store(true, Ordering::SeqCst);
    let second = outcome(&store, fill(&store, "T", 0, 1)[0].end_offset(), LONG);
    faults.hold_syncs(false);
    assert_eq!((only(&first), only(&second)), (FlushOutcome::Failed, FlushOutcome::Failed));
    // A later sync that succeeds tells nothing.
    faults.fail_syncs.store(false, Ordering::SeqCst);
    assert_eq!(only(&outcome(&store, end, LONG)), FlushOutcome::Failed);
    let topic = ByteString::from("T");
    assert!(matches!(store.append(message(&topic, 0, b"")), Err(StoreError::Poisoned(_))));
    let cause = store.poisoned().unwrap().to_string();
    assert!(cause.contains("sync") && cause.contains("commitlog/0"), "{cause}");
    assert!(matches!(store.close(), Err(StoreError::Poisoned(_))));
    assert!(directory.path().join("abort").exists(), "the next start must recover");
    assert_eq!(drain(&open(small_like(directory.path())), "T", 0).len(), 2);
}

#[test]
fn a_full_disk_refuses_messages_serves_reads_and_takes_messages_again() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    fill(&store, "T", 0, 3);
    let topic = ByteString::from("T");
    for _ in 0..3 {
        faults.fail_writes.store(true, Ordering::SeqCst);
        let error = store.append(message(&topic, 0, b"half of me is written")).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { cause: Some(_), .. }), "{error}");
        let number = store.max_offset("T", 0);
        assert_eq!(drain(&store, "T", 0).len() as i64, number);
        faults.fail_writes.store(false, Ordering::SeqCst);
        let again = fill(&store, "T", 0, 1)[0];
        assert_eq!(again.queue_offset, number);
        assert_eq!(only(&outcome(&store, again.end_offset(), LONG)), FlushOutcome::Flushed);
    }
    // What was half written is gone, also behind the end.
    drop(store);
    let store = open(small_like(directory.path()));
    assert_eq!(drain(&store, "T", 0).len(), 6);
    assert_eq!(read_queues(&store), scan_log(&store));
    let bytes = std::fs::read(directory.path().join("commitlog/00000000000000000000")).unwrap();
    let end = store.inner.log.max_offset() as usize;
    assert!(bytes[end..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_nearly_full_disk_refuses_messages_unless_it_is_told_not_to() {
    for (ratio, refuses) in [(90, true), (100, false)] {
        let directory = temp();
        let faults = Arc::new(Faults::default());
        let clock = Clock::default();
        let config = StoreConfig { disk_space_warning_level_ratio: ratio, ..small(directory.path()) };
        let fs = Arc::new(FaultyFs(Arc::clone(&faults)));
        let store = MessageStore::open_with(config, clock.clone(), Box::new(|_| {}), fs).unwrap();
        let topic = ByteString::from("T");
        for (used, full) in [(90, false), (91, true), (100, true), (50, false)] {
            faults.used_percent.store(used, Ordering::SeqCst);
            clock.advance(Duration::from_secs(2));
            let stored = store.append(message(&topic, 0, b"x"));
            let is_refused = matches!(stored, Err(StoreError::DiskFull { cause: None, .. }));
            assert_eq!(is_refused, full && refuses, "{used} % of {ratio}: {stored:?}");
        }
    }
}

#[test]
fn consume_queues_that_cannot_be_written_hold_up_neither_the_log_nor_readers() {
    let directory = temp();
    let faults = Arc::new(Faults::default());
    let config = StoreConfig {
        flush_interval_consume_queue: Duration::from_millis(1),
        ..small_like(directory.path())
    };
    let store = open_on(config, Arc::new(FaultyFs(Arc::clone(&faults))));
    faults.fail_queues.store(true, Ordering::SeqCst);
    // More than a queue keeps in memory if it can be written.
    let topic = ByteString::from("T");
    for _ in 0..100 {
        store.append_batch(&[message(&topic, 0, b"x"); 30]).unwrap();
    }
    assert!(flush::flush_queues(&store.inner, false).is_err());
    assert!(store.poisoned().is_none());
    assert_eq!(drain(&store, "T", 0).len(), 3_000);
    faults.fail_queues.store(false, Ordering::SeqCst);
    store.close().unwrap();
    let store = open(small_like(directory.path()));
    assert_eq!(drain(&store, "T", 0).len(), 3_000);
}

#[test]
fn a_failed_sync_of_a_consume_queue_costs_the_next_start_a_rebuild_and_nothing_else() {
    let directory = temp();
    let faults = Arc::new(Faults::default());
    let config = StoreConfig { flush_interval_consume_queue: LONG, ..small_like(directory.path()) };
    let store = open_on(config, Arc::new(FaultyFs(Arc::clone(&faults))));
    fill(&store, "T", 0, 10);
    faults.fail_queue_syncs.store(true, Ordering::SeqCst);
    assert!(flush::flush_queues(&store.inner, true).is_err());
    faults.fail_queue_syncs.store(false, Ordering::SeqCst);
    fill(&store, "T", 0, 10);
    assert!(store.close().is_err(), "the disk may lack units though the last sync went well");
    assert_eq!(Checkpoint::read(&OsFs, directory.path()).unwrap().safe_offset, Some(0));
    let store = open(small_like(directory.path()));
    assert_eq!(drain(&store, "T", 0).len(), 20);
}

#[test]
fn those_who_wait_are_answered_at_the_end() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    faults.hold_syncs(true);
    let end = fill(&store, "T", 0, 1)[0].end_offset();
    let waiter = outcome(&store, end, LONG);
    faults.wait_for_one_held();
    let later = outcome(&store, fill(&store, "T", 0, 1)[0].end_offset(), LONG);
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        faults.hold_syncs(false);
        closing.join().unwrap().unwrap();
    });
    assert_eq!((only(&waiter), only(&later)), (FlushOutcome::Flushed, FlushOutcome::Flushed));
}

#[test]
fn a_callback_may_drop_the_last_handle_of_the_store() {
    let directory = temp();
    let (store, faults) = faulty(directory.path());
    faults.hold_syncs(true);
    let end = fill(&store, "T", 0, 1)[0].end_offset();
    let (sender, receiver) = mpsc::channel();
    let last = Arc::clone(&store);
    let done = move |outcome| {
        drop(last);
        sender.send(outcome).unwrap();
    };
    store.when_flushed(end, LONG, Box::new(done));
    drop(store);
    faults.hold_syncs(false);
    assert_eq!(only(&receiver), FlushOutcome::Flushed);
}

#[test]
fn the_background_flush_reaches_the_disk_without_anyone_waiting() {
    let directory = temp();
    let faults = Arc::new(Faults::default());
    let config = StoreConfig {
        flush_interval_commit_log: Duration::from_millis(1),
        flush_commit_log_least_pages: 0,
        ..small(directory.path())
    };
    let store = open_on(config, Arc::new(FaultyFs(Arc::clone(&faults))));
    faults.hold_syncs(true);
    fill(&store, "T", 0, 1);
    faults.wait_for_one_held();
    faults.hold_syncs(false);
}

/// The configuration of [`faulty`] in what the files depend on.
fn small_like(root: &Path) -> StoreConfig {
    StoreConfig { mapped_file_size_commit_log: 100_000, ..small(root) }
}
