//! What is answered or saved waits for the disk, and what the disk refuses is said without the server's paths.

use std::pin::pin;

use super::super::context::Context;
use super::*;
use crate::config::FlushDiskType;
use crate::store::faulty_fs::{Faults, FaultyFs};

async fn broker_with_faults(flush: FlushDiskType) -> (TestBroker, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let fs = Arc::new(FaultyFs(Arc::clone(&faults)));
    let broker = TestBroker::on(fs, |config| config.flush_disk_type = flush).await;
    (broker, faults)
}

/// What the file of that name in `config` says, if it is there.
fn table(broker: &TestBroker, name: &str) -> Option<String> {
    std::fs::read_to_string(broker.config.store_path_root_dir.join("config").join(name)).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_sync_flush_a_message_given_back_is_answered_once_the_disk_has_it() {
    let (broker, faults) = broker_with_faults(FlushDiskType::SyncFlush).await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    let message = client.pull(&pull_request("T", 0, 0, "*")).await.messages.remove(0);
    faults.hold_syncs(true);
    let request = send_back_request("g", message.commit_log_offset());
    let mut answer = pin!(client.connection.begin(&request, Bytes::new(), PATIENCE).unwrap());
    eventually("the sync runs", async || faults.held() == 1).await;
    assert_eq!(broker.broker.context.store.max_offset("SCHEDULE_TOPIC_XXXX", 2), 1, "it is in the log");
    tokio::select! {
        biased;
        _ = &mut answer => panic!("answered before the disk has it"),
        () = std::future::ready(()) => {}
    }
    faults.hold_syncs(false);
    assert!(answer.await.unwrap().is_success());
    broker.broker.shutdown().await;
}

/// Whichever way messages are flushed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_and_delay_progress_are_saved_once_the_disk_has_what_they_pass_over() {
    let (broker, faults) = broker_with_faults(FlushDiskType::AsyncFlush).await;
    let client = broker.client().await;
    faults.hold_syncs(true);
    client.send("D", "later", &[("DELAY", "1")]).await;
    client.send("T", "x", &[]).await;
    let commit = PullMessageRequest {
        sys_flag: pull_sys_flag::SUBSCRIPTION | pull_sys_flag::COMMIT_OFFSET,
        commit_offset: 1,
        ..pull_request("T", 0, 1, "*")
    };
    client.pull(&commit).await;
    broker.clock.advance(Duration::from_secs(2));
    let context = Arc::clone(&broker.broker.context);
    eventually("the delayed message is delivered", async || context.store.max_offset("D", 0) == 1).await;
    let saving: Vec<_> = [Context::persist_schedule, Context::persist_offsets]
        .into_iter()
        .map(|persist| {
            let context = Arc::clone(&context);
            tokio::task::spawn_blocking(move || persist(&context))
        })
        .collect();
    eventually("a sync is asked for", async || faults.held() == 1).await;
    assert_eq!((table(&broker, "delayOffset.json"), table(&broker, "consumerOffset.json")), (None, None));
    faults.hold_syncs(false);
    for save in saving {
        save.await.unwrap();
    }
    // Those may have waited too long already.
    let again = tokio::task::spawn_blocking(move || context.persist_all());
    again.await.unwrap();
    assert!(table(&broker, "delayOffset.json").unwrap().contains("1:1"));
    assert!(table(&broker, "consumerOffset.json").unwrap().contains("0:1"));
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_shows_no_paths_and_a_close_that_fails_says_so() {
    let (broker, faults) = broker_with_faults(FlushDiskType::AsyncFlush).await;
    let client = broker.client().await;
    client.send("T", "x", &[]).await;
    faults.fail_writes.store(true, Ordering::SeqCst);
    let root = broker.config.store_path_root_dir.display().to_string();
    let (code, remark) = client.code_of(&send_request("T", &[]), "y").await;
    assert!(code != 0 && !remark.is_empty() && !remark.contains(&root), "{code} {remark}");
    let (code, remark) = client.code_of(&send_back_request("g", 0), Bytes::new()).await;
    assert!(code != 0 && !remark.is_empty() && !remark.contains(&root), "{code} {remark}");
    faults.fail_writes.store(false, Ordering::SeqCst);
    client.send("T", "y", &[]).await;
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(broker.broker.close().await.is_err());
}
