//! The official Java client, measured by Bench.java.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::child;
use crate::{Failure, Json};

/// What Bench.java answers to a mode that it does not know: proof that it was compiled and runs.
const USAGE_ERROR: i32 = 2;

/// The script that runs Bench.java with one release's client.
#[derive(Debug)]
pub(crate) struct JavaClient {
    script: PathBuf,
    pub(crate) version: String,
}

impl JavaClient {
    /// Makes sure that it can run: fetches its jars and compiles it where that has not been done.
    pub(crate) async fn prepare(scripts: &Path, version: &str) -> Result<Self, Failure> {
        let mut java = Command::new("java");
        java.arg("-version");
        child::run(java).await?;
        let client = Self { script: scripts.join("bench"), version: version.to_owned() };
        let tried = child::output(client.command("none", &[])).await?;
        if tried.code == Some(USAGE_ERROR) { Ok(client) } else { Err(tried.complaint().into()) }
    }

    pub(crate) async fn measure(&self, mode: &str, options: &[String]) -> Result<Json, Failure> {
        child::figures(self.command(mode, options)).await
    }

    fn command(&self, mode: &str, options: &[String]) -> Command {
        let mut command = Command::new(&self.script);
        command.args(["--version", &self.version, mode]).args(options).env_remove("NAMESRV_ADDR");
        command
    }
}
