//! Bodies and headers as other clients write them, and as nobody should: what 4.9.7 and 5.5.0 make of each is in
//! `table.txt` beside this file, and the broker and name server here must make the same of it.
//!
//! On a real cluster the release's own column is compared, and with `ROCKETMQ_DIALECT_RECORD=1` written anew:
//!
//! ```sh
//! for version in 4.9.7 5.5.0; do ROCKETMQ_DIALECT_RECORD=1 tests/run-real $version --test dialect; done
//! ```

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

mod probe;
mod table;

use std::collections::BTreeMap;

use tests::Cluster;

use probe::Probe;
use table::{Release, Table};

/// How many cases are tried at the same time.
const AT_ONCE: usize = 16;
/// How often a real broker is asked again what it answered otherwise than recorded. A few of its answers are chance: it
/// goes through sets in the order of identity hashes, and builds filters in the background.
const REAL_TRIES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_headers_are_taken_as_the_real_ones_take_them() {
    let mq = Cluster::start().await;
    let probe = Probe::new(&mq).await;
    let mut table = Table::read();
    let mut outcomes = BTreeMap::new();
    let cases: Vec<_> = table.cases().collect();
    for wave in cases.chunks(AT_ONCE) {
        let tried = wave.iter().map(|case| {
            let (probe, case) = (probe.clone(), case.clone());
            tokio::spawn(async move { probe.outcome(&case).await })
        });
        for (case, tried) in wave.iter().zip(tried.collect::<Vec<_>>()) {
            outcomes.insert(case.clone(), tested(tried).await);
        }
    }
    let release = if mq.as_embedded().is_some() { Release::Ours } else { probe.release() };
    let recording = std::env::var_os("ROCKETMQ_DIALECT_RECORD").is_some();
    if release != Release::Ours && !recording {
        for (case, outcome) in &mut outcomes {
            let wanted = table.wanted(case, release);
            for _ in 0..REAL_TRIES {
                if *outcome == wanted {
                    break;
                }
                *outcome = tests::within("the end of a case", probe.outcome(case)).await;
            }
        }
    }
    mq.stop().await;
    if recording {
        table.record(release, &outcomes);
        table.write();
        return;
    }
    let wrong: Vec<_> = outcomes
        .iter()
        .filter_map(|(case, outcome)| {
            let wanted = table.wanted(case, release);
            (wanted != *outcome).then(|| format!("{case}\n      wanted {wanted}, found {outcome}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
}

async fn tested(tried: tokio::task::JoinHandle<String>) -> String {
    tests::within("the end of a case", tried).await.unwrap()
}
