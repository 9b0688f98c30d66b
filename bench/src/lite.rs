//! broker-lite as a child process.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Failure;
use crate::child::{Child, this_program};
use crate::proc_stat::Proc;
use crate::serve::Flush;

/// Name server and broker in one process, with its files in a temporary directory.
#[derive(Debug)]
pub(crate) struct LiteBroker {
    // Dropped in this order: the directory goes last.
    child: Child,
    pub(crate) namesrv: String,
    pub(crate) pid: u32,
    pub(crate) ready_after: Duration,
    _store: TempDir,
}

impl LiteBroker {
    pub(crate) async fn start(parent_dir: &Path, flush: Flush) -> Result<Self, Failure> {
        let store = tempfile::Builder::new().prefix("lite-").tempdir_in(parent_dir)?;
        let mut command = this_program(["serve", "--with-parent", "--dir"])?;
        command.arg(store.path());
        command.args(["--flush", if flush == Flush::Sync { "sync" } else { "async" }]);
        let began = Instant::now();
        let mut child = Child::spawn(command)?;
        let line = child.first_line().await?;
        let ready_after = began.elapsed();
        let namesrv = line.strip_prefix("NAMESRV_ADDR=").ok_or("serve did not say where it listens")?;
        let pid = child.pid().ok_or("serve ended at once")?;
        Ok(Self { namesrv: namesrv.to_owned(), pid, child, ready_after, _store: store })
    }

    /// Memory that is resident now.
    pub(crate) fn rss_kb(&self) -> std::io::Result<u64> {
        Proc::of(self.pid).rss_kb()
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.child.stop().await
    }
}
