//! What is measured once and against nothing else: start-up and footprint.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::child::{figures, this_program};
use crate::lite::LiteBroker;
use crate::serve::Flush;
use crate::{Failure, Json};

/// How often broker-lite is started.
const COLD_STARTS: usize = 5;

/// How long it idles before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Alone {
    /// Of the embedded cluster and of a consumer's first message.
    pub(super) start_up: Json,
    pub(super) cold_start_ms: Vec<f64>,
    pub(super) idle_rss_kb: u64,
    /// Name and bytes of each program beside this one.
    pub(super) binaries: Vec<(String, Option<u64>)>,
}

impl Alone {
    pub(super) async fn measure(dir: &Path) -> Result<Self, Failure> {
        let (cold_start_ms, idle_rss_kb) = footprint(dir).await?;
        Ok(Self {
            start_up: figures(this_program(["start-up"])?).await?,
            cold_start_ms,
            idle_rss_kb,
            binaries: ["mqbroker", "mqnamesrv", "mqtools", "bench"].map(with_size).to_vec(),
        })
    }
}

async fn footprint(dir: &Path) -> Result<(Vec<f64>, u64), Failure> {
    let mut ready_ms = Vec::new();
    let mut idle_rss_kb = 0;
    for start in 1..=COLD_STARTS {
        let broker = LiteBroker::start(dir, Flush::Async).await?;
        ready_ms.push(broker.ready_after.as_secs_f64() * 1e3);
        if start == COLD_STARTS {
            tokio::time::sleep(IDLE).await;
            idle_rss_kb = broker.rss_kb()?;
        }
        broker.stop().await?;
    }
    Ok((ready_ms, idle_rss_kb))
}

fn with_size(name: &str) -> (String, Option<u64>) {
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(name));
    (name.to_owned(), beside.and_then(|path| Some(path.metadata().ok()?.len())))
}
