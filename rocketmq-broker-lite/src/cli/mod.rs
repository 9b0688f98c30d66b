//! What the binaries `mqnamesrv` and `mqbroker` call: the options, the lines and the exit codes of Java's.

mod broker;
mod namesrv;
mod options;

use std::process::ExitCode;

pub use broker::mqbroker;
pub use namesrv::mqnamesrv;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a program early: one line for its user.
type Failure = Box<dyn std::error::Error>;

/// Runs a program to its end. An error becomes one line on stderr and exit code 1.
fn run<F: Future<Output = Result<(), Failure>>>(name: &str, program: impl FnOnce() -> F) -> ExitCode {
    log_to_stderr();
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(program()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to stdout. That nobody reads it is no reason for a server to stop.
fn say(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Logs go to stderr; the environment's `RUST_LOG` says which, by default warnings and errors.
fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

/// Raises the number of open files to what the system allows, as the JVM does: each connection holds one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A server with fewer files is still a server.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The signals that ask a server to stop. They are caught from the moment this is made.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first of them.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
