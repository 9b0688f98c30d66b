//! Processes that this one starts and that do not outlive it.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};

use crate::{Failure, Json};

/// A child process with its descendants: a process group, killed when this is dropped.
///
/// Its standard input is a pipe that ends with this process, so that a child that heeds it ends even if this process is
/// killed.
#[derive(Debug)]
pub(crate) struct Child(Process);

impl Child {
    /// Starts a program whose standard output is read and whose complaints go where ours go.
    pub(crate) fn spawn(command: Command) -> Result<Self, Failure> {
        Self::spawn_with(command, Stdio::inherit())
    }

    fn spawn_with(mut command: Command, stderr: impl Into<Stdio>) -> Result<Self, Failure> {
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let name = name_of(&command);
        Ok(Self(command.spawn().map_err(|error| format!("{name}: {error}"))?))
    }

    /// The process's id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.0.id()
    }

    /// Waits for the first line that it prints.
    pub(crate) async fn first_line(&mut self) -> Result<String, Failure> {
        let stdout = self.0.stdout.take().ok_or("its output is read already")?;
        let mut lines = BufReader::new(stdout).lines();
        Ok(lines.next_line().await?.ok_or("it ended without a word")?)
    }

    /// Asks it to end in order, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(pid) = self.group() {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        tokio::time::timeout(Duration::from_secs(30), self.0.wait()).await??;
        Ok(())
    }

    /// The group while its leader is not yet waited for: until then nobody else can have its id.
    fn group(&self) -> Option<Pid> {
        self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(group) = self.group() {
            let _ = kill_process_group(group, Signal::KILL);
            // Whoever removes its files next must not race with its last writes. The runtime does the reaping.
            let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        }
    }
}

/// What a child printed, and its exit code unless a signal ended it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Output {
    /// The last line on standard error, which says why it failed.
    pub(crate) fn complaint(&self) -> String {
        let last = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| format!("exit code {:?}", self.code), str::to_owned)
    }
}

/// Runs a program to its end.
pub(crate) async fn output(command: Command) -> Result<Output, Failure> {
    let mut child = Child::spawn_with(command, Stdio::piped())?;
    let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let (stdout, stderr, status) = tokio::join!(read_all(stdout), read_all(stderr), child.0.wait());
    Ok(Output { code: status?.code(), stdout: stdout?, stderr: stderr? })
}

/// Runs a program to its end; it must succeed. Answers what it printed.
pub(crate) async fn run(command: Command) -> Result<String, Failure> {
    let name = name_of(&command);
    let output = output(command).await?;
    if output.code == Some(0) {
        Ok(output.stdout)
    } else {
        Err(format!("{name}: {}", output.complaint()).into())
    }
}

/// Runs a program that prints its figures as one JSON line.
pub(crate) async fn figures(mut command: Command) -> Result<Json, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    command.env("BENCH_STARTED_MS", now.as_millis().to_string());
    let printed = run(command).await?;
    let line = printed.lines().rfind(|line| line.starts_with('{')).ok_or("it printed no figures")?;
    Ok(serde_json::from_str(line)?)
}

/// This program, to be run with these arguments.
pub(crate) fn this_program(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).env_remove("NAMESRV_ADDR");
    Ok(command)
}

async fn read_all(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut text).await?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn name_of(command: &Command) -> String {
    let path = std::path::Path::new(command.as_std().get_program());
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_that_fails_is_an_error_with_its_last_words() {
        let error = run(shell("echo trying; echo no such thing >&2; exit 3")).await.unwrap_err();
        assert_eq!(error.to_string(), "sh: no such thing");
    }

    #[tokio::test]
    async fn figures_are_the_last_json_line() {
        let figures = figures(shell(r#"echo hello; echo '{"msgs": 7}'"#)).await.unwrap();
        assert_eq!(figures["msgs"], 7);
    }

    #[tokio::test]
    async fn dropping_it_kills_its_descendants_too() {
        // The grandchild holds the writing end of the pipe: that it ends shows that it is gone.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut child = Child::spawn_with(shell("sleep 1000 >&2 & echo started; wait"), writer).unwrap();
        assert_eq!(child.first_line().await.unwrap(), "started");
        drop(child);
        assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    }
}
