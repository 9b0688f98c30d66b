//! Programs on the official Java client, from interop/java.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::real::{is_java_required, repository, say_skipped};

/// How long one program may take, its JVM's start included.
const PATIENCE: Duration = Duration::from_secs(180);

/// The official client of one release.
#[derive(Clone, Debug)]
pub struct Java {
    version: String,
    namesrv_addr: String,
}

impl Java {
    /// The client of that release against that name server; `None`, and a line that says why, if it cannot be run here.
    ///
    /// # Panics
    /// If it cannot be run, but the environment's `REQUIRE_JAVA=1` says that it must.
    pub async fn client(version: &str, namesrv_addr: &str) -> Option<Self> {
        let java = Self { version: version.to_owned(), namesrv_addr: namesrv_addr.to_owned() };
        // Without a subcommand Mixed says how to use it and exits with 2: jars are fetched and compiled by then.
        let why = match java.run_for_status(&["Mixed"]).await {
            Ok((Some(2), _)) => return Some(java),
            Ok((_, output)) => output,
            Err(error) => error.to_string(),
        };
        let why = why.trim().lines().last().unwrap_or("no reason given").to_owned();
        assert!(!is_java_required(), "REQUIRE_JAVA=1, but the Java client {version} cannot be run: {why}");
        say_skipped(&format!("the Java client {version} cannot be run: {why}"));
        None
    }

    /// Runs a program to its successful end and returns the lines it printed.
    ///
    /// # Panics
    /// If it fails; shows what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Vec<String> {
        self.run_with("", arguments).await
    }

    /// The same with options for the JVM.
    ///
    /// # Panics
    /// If it fails; shows what it printed.
    pub async fn run_with(&self, jvm_options: &str, arguments: &[&str]) -> Vec<String> {
        let started = std::time::Instant::now();
        let command = self.command(jvm_options, arguments).output();
        let output = tokio::time::timeout(PATIENCE, command)
            .await
            .unwrap_or_else(|_| panic!("{arguments:?} of {} takes over {PATIENCE:?}", self.version))
            .expect("interop/java/run can be run");
        println!("Java {} {}: {:.1?}", self.version, arguments.join(" "), started.elapsed());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{arguments:?} of {} failed ({}):\n{}\n{}",
            self.version,
            output.status,
            text.lines().rev().take(20).collect::<Vec<_>>().join("\n"),
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines().map(str::to_owned).collect()
    }

    async fn run_for_status(&self, arguments: &[&str]) -> std::io::Result<(Option<i32>, String)> {
        let output = self.command("", arguments).output().await?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn command(&self, jvm_options: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository().join("interop/java/run"));
        command
            .args(["--version", &self.version])
            .args(arguments)
            .env("NAMESRV_ADDR", &self.namesrv_addr)
            .env("INTEROP_JAVA_OPTS", jvm_options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// The MD5 of a body in lower case hexadecimal, as the property `md5` of Mixed's messages.
#[must_use]
pub fn md5_of(body: &[u8]) -> String {
    format!("{:x}", md5::compute(body))
}
