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
    static OWN: OnceLock<RealCluster> = OnceLock::new();
    let own = OWN
        .get_or_init(|| RealCluster::start(&version, &[]).unwrap_or_else(|why| panic!("up failed: {why}")));
    Some(own.namesrv_addr())
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name server and a broker, `broker-a`, of Apache RocketMQ. They end with this value, and also if this process ends
/// in some way in which nothing is dropped.
#[derive(Debug)]
pub struct RealCluster {
    dir: PathBuf,
    base: u16,
    /// The end of its input tells it that this value is gone: the kernel sees to that.
    watchdog: Child,
}

impl RealCluster {
    /// Starts one; `options` are further ones of `interop/real-rocketmq/up`. `None`, and a line that says why, if it
    /// cannot be run here.
    ///
    /// # Panics
    /// If it cannot be run, but the environment's `REQUIRE_JAVA=1` says that it must.
    #[must_use]
    pub fn start_or_skip(version: &str, options: &[&str]) -> Option<Self> {
        let why = match Self::start(version, options) {
            Ok(cluster) => return Some(cluster),
            Err(why) => why,
        };
        assert!(!is_java_required(), "REQUIRE_JAVA=1, but RocketMQ {version} cannot be run: {why}");
        say_skipped(&format!(
            "RocketMQ {version} cannot be run: {}",
            why.lines().last().unwrap_or("no reason given")
        ));
        None
    }

    fn start(version: &str, options: &[&str]) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("rocketmq-real-").tempdir();
        let dir = dir.map_err(|error| format!("a temporary directory: {error}"))?.keep();
        let cluster = Self { watchdog: watch(&dir), base: free_ports(), dir };
        let base = cluster.base.to_string();
        cluster.script("up", &[&["--version", version, "--port-base", &base][..], options].concat())?;
        Ok(cluster)
    }

    /// Its name server.
    #[must_use]
    pub fn namesrv_addr(&self) -> String {
        format!("127.0.0.1:{}", self.base)
    }

    /// The directory of its broker's store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.join("broker-a/store")
    }

    /// SIGTERM for its broker, and its end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop_broker(&self) {
        self.script("down", &["--only", "broker-a"]).expect("the broker stops");
    }

    /// SIGKILL for its broker, as a crash of the process.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill_broker(&self) {
        self.script("down", &["--only", "broker-a", "--kill"]).expect("the broker can be killed");
    }

    /// Starts its broker again, on the same store.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart_broker(&self) {
        self.script("up", &["--restart", "broker-a"]).expect("the broker starts again");
    }

    /// What it printed to the standard error if it failed.
    fn script(&self, name: &str, options: &[&str]) -> Result<(), String> {
        let mut command = Command::new(repository().join("interop/real-rocketmq").join(name));
        // The brokers must not hold this process's output open.
        let output = command.arg("--dir").arg(&self.dir).args(options).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{name}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // It says what it could not stop.
        let _ = self.watchdog.wait();
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

/// Whether what needs Java must run; else it is left out, aloud, where it cannot.
pub(crate) fn is_java_required() -> bool {
    setting("REQUIRE_JAVA").as_deref() == Some("1")
}

/// Says so where it is seen also when the test passes: the test runner keeps what `println!` prints to itself.
pub(crate) fn say_skipped(why: &str) {
    use std::io::Write;
    // Nobody reads it: then nobody misses it.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {why}");
}
