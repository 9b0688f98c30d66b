//! A bare write and fdatasync.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::proc_stat::Proc;
use crate::{Failure, Json};

/// `mappedFileSizeCommitLog`.
const COMMIT_LOG_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// What is written, and where.
#[derive(Args, Debug)]
pub(crate) struct FsyncOptions {
    /// A directory on the disk that is meant [default: a temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Bytes of a record; by default a commit log record with a body of 1 KiB
    #[arg(long, default_value_t = 1124)]
    record: usize,
    /// Records for each fdatasync
    #[arg(long, default_value_t = 16)]
    per_sync: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

pub(super) fn measure(options: &FsyncOptions) -> Result<Json, Failure> {
    let mut file: File = match &options.dir {
        Some(dir) => tempfile::tempfile_in(dir)?,
        None => tempfile::tempfile()?,
    };
    // As a commit log file is: of its full length from the beginning, so that writing does not lengthen it.
    file.set_len(COMMIT_LOG_FILE_BYTES)?;
    let records = vec![b'x'; options.record * options.per_sync];
    let cpu_before = Proc::own_thread().cpu_seconds()?;
    let began = Instant::now();
    let closes = began + Duration::from_secs_f64(options.seconds);
    let mut syncs = 0_u64;
    while Instant::now() < closes {
        file.write_all(&records)?;
        file.sync_data()?;
        syncs += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_seconds = Proc::own_thread().cpu_seconds()? - cpu_before;
    let messages = syncs * options.per_sync as u64;
    let figures = json!({
        "mode": "fsync", "record": options.record, "per_sync": options.per_sync, "msgs": messages,
        "seconds": seconds, "syncs_per_s": syncs as f64 / seconds, "msgs_per_s": messages as f64 / seconds,
        "us_per_msg": cpu_seconds * 1e6 / messages as f64,
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
