//! The broker as a process of its own, which can be killed.

use std::path::Path;
use std::process::Stdio;

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
    /// Starts the program on a store directory and waits for its boot-success line. `program` is the test's
    /// `env!("CARGO_BIN_EXE_test-mqbroker")`; `properties` are further lines of its configuration.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(program: &str, store: &Path, namesrv_addr: &str, properties: &str) -> Self {
        std::fs::create_dir_all(store).expect("the store's directory");
        let config = store.join("broker.conf");
        let lines = format!(
            "brokerName=broker-a\nnamesrvAddr={namesrv_addr}\nbindAddress=127.0.0.1\nlistenPort=0\n\
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
            .strip_prefix("The broker[broker-a, ")
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
}
