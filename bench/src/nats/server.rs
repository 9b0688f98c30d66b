//! The NATS server, installed through the Go module proxy and started with JetStream.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Command;

use crate::Failure;
use crate::child::{self, Child};

const FETCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/nats/fetch");

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server with its files in a temporary directory. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct NatsServer {
    // Dropped in this order: the directory goes last.
    _child: Child,
    pub(crate) addr: String,
    pub(crate) pid: u32,
    _dir: TempDir,
}

impl NatsServer {
    pub(crate) async fn start(parent_dir: &Path, version: &str) -> Result<Self, Failure> {
        let mut fetch = Command::new(FETCH);
        fetch.arg(version);
        let program = child::run(fetch).await?;
        let dir = tempfile::Builder::new().prefix("nats-").tempdir_in(parent_dir)?;
        let mut command = Command::new(program.trim());
        command.args(["-a", "127.0.0.1", "-p", "-1", "-js", "-l"]).arg(dir.path().join("log"));
        command.arg("-sd").arg(dir.path()).arg("--ports_file_dir").arg(dir.path());
        let child = Child::spawn(command)?;
        let pid = child.pid().ok_or("the NATS server ended at once")?;
        let addr = listening(dir.path()).await?;
        Ok(Self { _child: child, addr, pid, _dir: dir })
    }
}

/// Where the server's ports file says that it listens, once it is there.
async fn listening(dir: &Path) -> Result<String, Failure> {
    let give_up = Instant::now() + START;
    while Instant::now() < give_up {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let ports = path.extension().is_some_and(|extension| extension == "ports");
            let text = if ports { std::fs::read_to_string(&path)? } else { String::new() };
            if let Some(addr) = text.split("nats://").nth(1).and_then(|rest| rest.split('"').next()) {
                return Ok(addr.to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the NATS server does not say where it listens".into())
}
