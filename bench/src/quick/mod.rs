//! The comparison: both clients on both brokers, by turns, beside the floor.

mod alone;
mod contest;
mod report;
mod workload;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::java::JavaClient;
use crate::serve::Flush;
use alone::Alone;
use contest::{FloorRun, Pair, Run};
use workload::Workload;

/// How much is measured. The defaults end within five minutes.
#[derive(Args, Clone, Debug)]
pub(crate) struct QuickOptions {
    /// How often each run is repeated
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each run counts
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long our client sends before that
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// How long the Java client sends before that: it compiles itself meanwhile
    #[arg(long, default_value_t = 3.0)]
    java_warmup: f64,
    /// How many messages are consumed
    #[arg(long, default_value_t = 200_000)]
    count: u64,
    /// Only workloads whose name holds this text, e.g. "batch" (may be repeated) [default: all]
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Leave out what is marked optional (128-byte messages) unless it fits into this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 290)]
    budget: u64,
    /// The release of the real name server and broker
    #[arg(long, default_value = "4.9.7")]
    real_version: String,
    /// The release of the Java client
    #[arg(long, default_value = "4.9.8")]
    java_version: String,
    /// The scripts that start the real ones
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/real-rocketmq"))]
    scripts: PathBuf,
    /// Where all files are kept while this runs: decides which disk is measured [default: the temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write every run's figures to that file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Compares and prints. Everything that was started is stopped, and every file removed, however this ends.
pub(crate) async fn run(options: QuickOptions) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // The comparison that is not waited for any longer is dropped, and all that it holds.
    tokio::select! {
        ended = compare(options) => ended,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
        _ = hang_up.recv() => Err("hung up".into()),
    }
}

async fn compare(options: QuickOptions) -> Result<(), Failure> {
    let mut session = Session::begin(options).await?;
    let machine = report::machine();
    session.say("start-up and footprint");
    let alone = Alone::measure(session.dir()).await?;
    session.stage(Flush::Sync).await?;
    session.stage(Flush::Async).await?;
    if let Some(file) = &session.options.json {
        let all = json!({
            "machine": machine, "options": format!("{:?}", session.options), "notes": session.notes,
            "alone": alone, "brokers": session.brokers, "runs": session.runs, "floors": session.floors,
        });
        std::fs::write(file, format!("{all:#}\n"))?;
        session.say(&format!("all figures are in {}", file.display()));
    }
    print!("{}", report::Report { machine: &machine, alone: &alone, session: &session });
    session.say("done");
    Ok(())
}

/// One comparison under way.
#[derive(Debug)]
struct Session {
    options: QuickOptions,
    began: Instant,
    dir: TempDir,
    java: Option<JavaClient>,
    /// What was left out, and why.
    notes: Vec<String>,
    runs: Vec<Run>,
    floors: Vec<FloorRun>,
    brokers: Vec<serde_json::Value>,
}

impl Session {
    async fn begin(options: QuickOptions) -> Result<Self, Failure> {
        let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let dir = tempfile::Builder::new().prefix("rocketmq-bench-").tempdir_in(parent)?;
        let mut session = Self {
            dir,
            began: Instant::now(),
            java: None,
            notes: Vec::new(),
            runs: Vec::new(),
            floors: Vec::new(),
            brokers: Vec::new(),
            options,
        };
        let version = session.options.java_version.clone();
        session.say(&format!("the Java client {version}"));
        match JavaClient::prepare(&session.options.scripts, &version).await {
            Ok(java) => session.java = Some(java),
            Err(error) => session.note(format!("the Java client {version} is left out: {error}")),
        }
        Ok(session)
    }

    /// Starts the brokers, runs what is to be run on them, and stops them.
    async fn stage(&mut self, flush: Flush) -> Result<(), Failure> {
        let workloads: Vec<Workload> = workload::all()
            .into_iter()
            .filter(|workload| workload.flush == flush && self.wants(workload))
            .collect();
        if workloads.is_empty() {
            return Ok(());
        }
        let pair = Pair::start(self, flush).await?;
        for workload in &workloads {
            let needed = pair.estimate(self, workload);
            if workload.optional && self.began.elapsed() + needed > Duration::from_secs(self.options.budget) {
                let seconds = needed.as_secs();
                self.note(format!(
                    "{} is left out: it needs {seconds} s more than --budget leaves",
                    workload.name
                ));
                continue;
            }
            pair.run(self, workload).await?;
        }
        self.brokers.extend(pair.memory());
        pair.stop().await
    }

    fn wants(&self, workload: &Workload) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|text| workload.name.contains(text))
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn note(&mut self, note: String) {
        self.say(&note);
        self.notes.push(note);
    }

    fn say(&self, text: &str) {
        eprintln!("[{:3} s] {text}", self.began.elapsed().as_secs());
    }
}
