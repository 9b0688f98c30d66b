//! What a send costs: 1, 16 and 1,024 in flight, on several peers, beside the echo floor.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::child::{self, Child, this_program};
use crate::lite::LiteBroker;
use crate::nats::NatsServer;
use crate::real::RealBroker;
use crate::serve::Flush;
use crate::table::number_or_dash;
use crate::{Failure, Json};

/// How much is measured. The defaults end within three minutes.
#[derive(Args, Clone, Debug)]
pub(crate) struct CoreOptions {
    /// How often each run is repeated
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each run counts
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How long is sent before that
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// The release of the real name server and broker
    #[arg(long, default_value = "4.9.7")]
    real_version: String,
    /// The release of the NATS server
    #[arg(long, default_value = "2.15.2")]
    nats_version: String,
    /// Leave the real RocketMQ out
    #[arg(long)]
    without_real: bool,
    /// Leave NATS out
    #[arg(long)]
    without_nats: bool,
    /// The scripts that start the real ones
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/real-rocketmq"))]
    scripts: PathBuf,
    /// Where all files are kept while this runs [default: the temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write every run's figures to that file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const IN_FLIGHT: [usize; 3] = [1, 16, 1024];

/// What is held against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    /// The bare echo: threads and blocking sockets.
    Echo,
    /// The same asked from a task on the runtime that our client has, with as many workers.
    EchoTask,
    /// Our client on a peer that answers and stores nothing.
    Answering,
    /// Our client on broker-lite.
    Lite,
    /// Our client on the real broker.
    Real,
    /// A bare client on NATS JetStream.
    Nats,
}

const CONTENDERS: [Contender; 6] = [
    Contender::Echo,
    Contender::EchoTask,
    Contender::Answering,
    Contender::Lite,
    Contender::Real,
    Contender::Nats,
];

/// One run.
#[derive(Debug)]
struct Run {
    contender: Contender,
    in_flight: usize,
    figures: Json,
}

/// Measures and prints. Everything that was started is stopped when this ends.
pub(crate) async fn run(options: CoreOptions) -> Result<(), Failure> {
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    tokio::select! {
        ended = measure(options) => ended,
        _ = interrupt.recv() => Err("interrupted".into()),
    }
}

async fn measure(options: CoreOptions) -> Result<(), Failure> {
    let began = Instant::now();
    let mut peers = Peers::start(&options).await?;
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for in_flight in IN_FLIGHT {
            for contender in CONTENDERS {
                let Some(mut command) = peers.command(contender, in_flight, &options)? else { continue };
                command.args(["--seconds", &options.seconds.to_string()]);
                let what = format!("round {round}, {in_flight} in flight: {contender:?}");
                match child::figures(command).await {
                    Ok(figures) => {
                        let rate = number_or_dash(figures["msgs_per_s"].as_f64());
                        eprintln!("[{:3} s] {what}: {rate} msgs/s", began.elapsed().as_secs());
                        if figures.get("errors").is_some_and(|errors| *errors != 0) {
                            peers.notes.push(format!("{what} had errors: {:?}", figures.get("error_kinds")));
                        }
                        runs.push(Run { contender, in_flight, figures });
                    }
                    Err(error) => peers.notes.push(format!("{what} failed: {error}")),
                }
            }
        }
    }
    if let Some(file) = &options.json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| json!({"contender": format!("{:?}", run.contender), "in_flight": run.in_flight, "figures": run.figures}))
            .collect();
        std::fs::write(file, format!("{:#}\n", json!({"runs": runs, "notes": peers.notes})))?;
    }
    print!("{}", report::Report { options: &options, notes: &peers.notes, runs: &runs });
    peers.lite.stop().await
}

/// Everybody who is sent to, running side by side; only one is used at a time.
#[derive(Debug)]
struct Peers {
    answering: (Child, String),
    lite: LiteBroker,
    real: Option<RealBroker>,
    nats: Option<NatsServer>,
    /// What was left out, and why.
    notes: Vec<String>,
    _dir: TempDir,
}

impl Peers {
    async fn start(options: &CoreOptions) -> Result<Self, Failure> {
        let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let dir = tempfile::Builder::new().prefix("rocketmq-bench-").tempdir_in(parent)?;
        let mut notes = Vec::new();
        let mut left_out = |what: String, why: Failure| {
            let note = format!("{what} is left out: {why}");
            eprintln!("{note}");
            notes.push(note);
        };
        let real = if options.without_real {
            Err("--without-real".into())
        } else {
            RealBroker::start(&options.scripts, dir.path(), &options.real_version, Flush::Async).await
        };
        let real =
            real.map_err(|why| left_out(format!("the real broker {}", options.real_version), why)).ok();
        let nats = if options.without_nats {
            Err("--without-nats".into())
        } else {
            NatsServer::start(dir.path(), &options.nats_version).await
        };
        let nats = nats.map_err(|why| left_out(format!("NATS {}", options.nats_version), why)).ok();
        let mut answering = Child::spawn(this_program(["answer"])?)?;
        let line = answering.first_line().await?;
        let addr = line.strip_prefix("NAMESRV_ADDR=").ok_or("answer did not say where it listens")?;
        let answering = (answering, addr.to_owned());
        let lite = LiteBroker::start(dir.path(), Flush::Async).await?;
        Ok(Self { answering, lite, real, nats, notes, _dir: dir })
    }

    /// What is to be run for one measurement; `None` where that peer is left out.
    fn command(
        &self,
        contender: Contender,
        in_flight: usize,
        options: &CoreOptions,
    ) -> Result<Option<Command>, Failure> {
        let warmup = options.warmup.to_string();
        let (namesrv, pid) = match contender {
            Contender::Echo | Contender::EchoTask => {
                let mut command = this_program(["floor", "echo", "--inflight", &in_flight.to_string()])?;
                // The frames of a send and of its answer.
                command.args(["--request", &(options.size + 276).to_string(), "--answer", "250"]);
                if contender == Contender::EchoTask {
                    command.arg("--tokio");
                }
                return Ok(Some(command));
            }
            Contender::Nats => {
                let Some(nats) = &self.nats else { return Ok(None) };
                let mut command = this_program(["nats", "--server", &nats.addr, "--warmup", &warmup])?;
                command.args(["--inflight", &in_flight.to_string(), "--watch", &nats.pid.to_string()]);
                command.args(["--size", &options.size.to_string()]);
                return Ok(Some(command));
            }
            Contender::Answering => (&self.answering.1, self.answering.0.pid()),
            Contender::Lite => (&self.lite.namesrv, Some(self.lite.pid)),
            Contender::Real => {
                let Some(real) = &self.real else { return Ok(None) };
                (&real.namesrv, Some(real.pid))
            }
        };
        let pid = pid.ok_or("a peer has ended")?.to_string();
        let mut command = match in_flight {
            1 | 16 => this_program(["client", "sync", "--threads", &in_flight.to_string()])?,
            _ => this_program(["client", "pipelined", "--inflight", &in_flight.to_string()])?,
        };
        command.args(["--namesrv", namesrv, "--topic", "BenchCore", "--warmup", &warmup, "--watch", &pid]);
        command.args(["--size", &options.size.to_string()]);
        Ok(Some(command))
    }
}
