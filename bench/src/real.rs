//! The real Apache RocketMQ, started by interop/real-rocketmq.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::Failure;
use crate::child;
use crate::serve::Flush;

/// A real name server and broker, with their files in a temporary directory. Dropping it stops both.
#[derive(Debug)]
pub(crate) struct RealBroker {
    scripts: PathBuf,
    dir: TempDir,
    pub(crate) namesrv: String,
    pub(crate) pid: u32,
}

impl RealBroker {
    pub(crate) async fn start(
        scripts: &Path,
        parent_dir: &Path,
        version: &str,
        flush: Flush,
    ) -> Result<Self, Failure> {
        // Made before anything runs, so that whatever `up` has started by then is stopped if this goes no further.
        let mut broker = Self {
            scripts: scripts.to_owned(),
            dir: tempfile::Builder::new().prefix("real-").tempdir_in(parent_dir)?,
            namesrv: String::new(),
            pid: 0,
        };
        let mut up = Command::new(scripts.join("up"));
        up.args(["--version", version, "--port-base", &free_port_base()?.to_string(), "--dir"])
            .arg(broker.dir.path());
        if flush == Flush::Sync {
            up.args(["--set", "flushDiskType=SYNC_FLUSH"]);
        }
        let printed = child::run(up).await?;
        let namesrv = printed.lines().find_map(|line| line.strip_prefix("NAMESRV_ADDR="));
        broker.namesrv = namesrv.ok_or("`up` did not say where the name server is")?.to_owned();
        broker.pid = broker_pid(&printed).ok_or("`up` did not name the broker's process")?;
        Ok(broker)
    }
}

impl Drop for RealBroker {
    fn drop(&mut self) {
        let mut down = std::process::Command::new(self.scripts.join("down"));
        down.arg("--dir").arg(self.dir.path()).args(["--kill", "--wipe"]);
        let _ = down.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Reads it from a line such as `broker-a pid=17 port=20012 brokerName=broker-a role=ASYNC_MASTER`.
fn broker_pid(printed: &str) -> Option<u32> {
    let line = printed.lines().find_map(|line| line.strip_prefix("broker-a pid="))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A first port such that those that `up` wants of a single broker are free.
fn free_port_base() -> Result<u16, Failure> {
    const APART: u16 = 50;
    const PLACES: u16 = 150;
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // Runs side by side begin their search at different places.
    let begin = u16::try_from(std::process::id() % u32::from(PLACES))?;
    (0..PLACES)
        .map(|step| 22_000 + (begin + step) % PLACES * APART)
        .find(|base| [0, 10, 12, 13].iter().all(|offset| free(base + offset)))
        .ok_or_else(|| "no free ports between 22000 and 29500".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_process_is_found() {
        let printed =
            "NAMESRV_ADDR=127.0.0.1:1\nnamesrv pid=3 port=1 version=4.9.7\nbroker-a pid=17 port=12 role=X\n";
        assert_eq!(broker_pid(printed), Some(17));
        assert_eq!(broker_pid("nothing"), None);
    }
}
