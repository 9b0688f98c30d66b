//! Apache RocketMQ for the tests: an address given from outside, or a cluster of this process's own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What a real cluster's ports lie in: `up` takes 50 from its base on.
const PORTS: std::ops::Range<u16> = 22_000..32_000;
const PORTS_PER_CLUSTER: u16 = 50;

/// The workspace's folder.
///
/// # Panics
/// Never, as long as this crate lies in the workspace.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace's folder")
}

/// The real cluster that the environment asks for; `None` for the embedded one.
///
/// `ROCKETMQ_TEST_NAMESRV=host:port` names a running one. `ROCKETMQ_TEST_CLUSTER=4.9.7` starts one for this process.
pub(crate) fn namesrv_addr() -> Option<String> {
    if let Some(given) = setting("ROCKETMQ_TEST_NAMESRV") {
        return Some(given);
    }
    let version = setting("ROCKETMQ_TEST_CLUSTER")?;
    static OWN: OnceLock<OwnCluster> = OnceLock::new();
    Some(OWN.get_or_init(|| OwnCluster::start(&version)).namesrv_addr.clone())
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A cluster that lives as long as this process.
struct OwnCluster {
    namesrv_addr: String,
    /// Holds the pipe whose end tells the watchdog that this process is gone. Statics are never dropped, and a process
    /// may end in many ways; the kernel closes the pipe in all of them.
    _watchdog: Child,
}

impl OwnCluster {
    fn start(version: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("rocketmq-real-")
            .tempdir()
            .expect("a temporary directory")
            .keep();
        let watchdog = watch(&dir);
        let base = free_ports();
        let up = Command::new(repository().join("interop/real-rocketmq/up"))
            .args(["--version", version, "--port-base", &base.to_string(), "--dir"])
            .arg(&dir)
            // The brokers must not hold this process's output open.
            .stdin(Stdio::null())
            .output()
            .expect("interop/real-rocketmq/up can be run");
        assert!(up.status.success(), "up failed: {}", String::from_utf8_lossy(&up.stderr));
        Self { namesrv_addr: format!("127.0.0.1:{base}"), _watchdog: watchdog }
    }
}

/// Stops what `up` started in `dir`, and removes the files, when this process ends.
fn watch(dir: &Path) -> Child {
    let down: PathBuf = repository().join("interop/real-rocketmq/down");
    Command::new("bash")
        // Not ended by the interrupt that ends this process.
        .args(["-c", "trap '' INT TERM HUP; cat >/dev/null; \"$1\" --dir \"$2\" --kill --wipe", "watchdog"])
        .arg(down)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash can be run")
}

/// A base from which on the ports of a cluster are free.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let bases = PORTS.step_by(usize::from(PORTS_PER_CLUSTER)).count();
    let start = rand::random_range(0..bases);
    PORTS
        .step_by(usize::from(PORTS_PER_CLUSTER))
        .cycle()
        .skip(start)
        .take(bases)
        .find(|base| (*base..base + PORTS_PER_CLUSTER).all(free))
        .expect("fifty free ports in a row")
}
