//! The broker as a process of its own, which can be killed.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::wait::within;

/// A running `mqbroker`. Dropping it kills it.
#[derive(Debug)]
pub struct BrokerProcess {
    child: Child,
    addr: String,
}

impl BrokerProcess {
    /// Starts `broker-a`: see [`start_named`](Self::start_named).
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(program: &str, store: &Path, namesrv_addr: &str, properties: &str) -> Self {
        Self::start_named("broker-a", program, store, namesrv_addr, properties).await
    }

    /// Starts the program on a store directory and waits for its boot-success line. `program` is the test's
    /// `env!("CARGO_BIN_EXE_test-mqbroker")`; `properties` are further lines of its configuration.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_named(
        name: &str,
        program: &str,
        store: &Path,
        namesrv_addr: &str,
        properties: &str,
    ) -> Self {
        std::fs::create_dir_all(store).expect("the store's directory");
        let config = store.join("broker.conf");
        let lines = format!(
            "brokerName={name}\nnamesrvAddr={namesrv_addr}\nbindAddress=127.0.0.1\nlistenPort=0\n\
             storePathRootDir={}\nmappedFileSizeCommitLog=67108864\n{properties}\n",
            store.display()
        );
        std::fs::write(&config, lines).expect("the broker's configuration");
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .env_remove("NAMESRV_ADDR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let line = within("the broker's first line", lines.next_line()).await.ok().flatten();
        let line = line.unwrap_or_else(|| panic!("{program} ended without a word"));
        let addr = line
            .strip_prefix(&format!("The broker[{name}, "))
            .and_then(|rest| rest.split_once("] boot success"))
            .unwrap_or_else(|| panic!("not a boot-success line: {line}"))
            .0
            .to_owned();
        Self { child, addr }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// SIGKILL, as a crash of the process.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the broker can be killed");
    }

    /// The memory that it has in use, as the kernel counts it.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid().as_raw_pid()));
        let statm = statm.expect("the broker runs");
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.expect("a number of pages") * rustix::param::page_size() as u64
    }

    /// SIGSTOP: it keeps its connections and does nothing, until [`resume`](Self::resume).
    ///
    /// # Panics
    /// If it does not run.
    pub fn suspend(&self) {
        kill_process(self.pid(), Signal::STOP).expect("the broker can be suspended");
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("the broker can be resumed");
    }

    /// SIGTERM, and its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn terminate(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).expect("the broker can be terminated");
        within("the broker's end after SIGTERM", self.child.wait()).await.expect("it is waited for once")
    }

    fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        pid.expect("the broker has not been waited for")
    }
}
