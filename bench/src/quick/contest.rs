//! The clients and brokers that are held against each other.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::workload::{Floor, Kind, Workload};
use super::{QuickOptions, Session};
use crate::child::{self, this_program};
use crate::lite::LiteBroker;
use crate::proc_stat::Proc;
use crate::real::RealBroker;
use crate::serve::Flush;
use crate::table::number_or_dash;
use crate::{Failure, Json};

/// How long each measurement of a floor takes.
const FLOOR_SECONDS: &str = "0.8";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Client {
    Java,
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Broker {
    Real,
    Lite,
}

/// The order of one round.
pub(super) const CONTENDERS: [(Client, Broker); 4] = [
    (Client::Java, Broker::Real),
    (Client::Ours, Broker::Real),
    (Client::Java, Broker::Lite),
    (Client::Ours, Broker::Lite),
];

impl Client {
    pub(super) fn warmup(self, options: &QuickOptions) -> f64 {
        match self {
            Self::Java => options.java_warmup,
            Self::Ours => options.warmup,
        }
    }

    /// How long a run takes beside what it counts and its warm-up, roughly.
    fn overhead_s(self) -> f64 {
        match self {
            Self::Java => 1.5,
            Self::Ours => 0.2,
        }
    }
}

/// One run of one client on one broker.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) workload: &'static str,
    pub(super) round: usize,
    pub(super) client: Client,
    pub(super) broker: Broker,
    #[serde(flatten)]
    pub(super) figures: Json,
}

/// One measurement of a floor.
#[derive(Debug, Serialize)]
pub(super) struct FloorRun {
    pub(super) name: &'static str,
    pub(super) round: usize,
    #[serde(flatten)]
    pub(super) figures: Json,
}

/// The brokers, running side by side; only one is used at a time.
#[derive(Debug)]
pub(super) struct Pair {
    lite: LiteBroker,
    real: Option<RealBroker>,
    flush: Flush,
}

impl Pair {
    pub(super) async fn start(session: &mut Session, flush: Flush) -> Result<Self, Failure> {
        let version = session.options.real_version.clone();
        let name = flush_name(flush);
        session.say(&format!("starting the real broker {version} and broker-lite, {name}"));
        let real = RealBroker::start(&session.options.scripts, session.dir(), &version, flush).await;
        let real = real
            .inspect_err(|error| {
                session.note(format!("the real broker {version} ({name}) is left out: {error}"))
            })
            .ok();
        Ok(Self { lite: LiteBroker::start(session.dir(), flush).await?, real, flush })
    }

    /// Runs a workload by turns: A B C D, A B C D, ...
    pub(super) async fn run(&self, session: &mut Session, workload: &Workload) -> Result<(), Failure> {
        if workload.kind == Kind::Consume {
            session.say(&format!("{}: sending what is to be consumed", workload.name));
            for (namesrv, _) in
                [Broker::Real, Broker::Lite].into_iter().filter_map(|broker| self.address(broker))
            {
                fill(namesrv, workload, &session.options).await?;
            }
        }
        for round in 1..=session.options.rounds {
            for (client, broker) in CONTENDERS {
                self.run_once(session, workload, round, client, broker).await?;
            }
            for floor in workload.floors() {
                measure_floor(session, floor, round).await?;
            }
        }
        Ok(())
    }

    /// A run that fails is told of and missing in the tables; the others go on.
    async fn run_once(
        &self,
        session: &mut Session,
        workload: &Workload,
        round: usize,
        client: Client,
        broker: Broker,
    ) -> Result<(), Failure> {
        let Some((namesrv, pid)) = self.address(broker) else { return Ok(()) };
        let arguments = workload.arguments(client, namesrv, pid, &session.options);
        let measured = match (client, &session.java) {
            (Client::Java, None) => return Ok(()),
            (Client::Java, Some(java)) => java.measure(workload.mode(), &arguments).await,
            (Client::Ours, _) => {
                let mut command = this_program(["client", workload.mode()])?;
                command.args(arguments);
                child::figures(command).await
            }
        };
        let what = format!("{}, round {round}: {client:?} on {broker:?}", workload.name);
        match measured {
            Ok(figures) => {
                session.say(&format!("{what}: {} msgs/s", rate(&figures)));
                if figures.get("errors").is_some_and(|errors| *errors != 0) {
                    session.note(format!(
                        "{what} had errors: {}",
                        figures.get("error_kinds").unwrap_or(&Value::Null)
                    ));
                }
                session.runs.push(Run { workload: workload.name, round, client, broker, figures });
            }
            Err(error) => session.note(format!("{what} failed: {error}")),
        }
        Ok(())
    }

    /// How long a workload will take, roughly.
    pub(super) fn estimate(&self, session: &Session, workload: &Workload) -> Duration {
        let contenders = CONTENDERS.into_iter().filter(|(client, broker)| {
            self.address(*broker).is_some() && (*client == Client::Ours || session.java.is_some())
        });
        let counted = if workload.kind == Kind::Consume { 5.0 } else { session.options.seconds };
        let round: f64 = contenders
            .map(|(client, _)| client.overhead_s() + client.warmup(&session.options) + counted)
            .sum();
        Duration::from_secs_f64(round * session.options.rounds as f64)
    }

    /// What the brokers' processes took of memory so far.
    pub(super) fn memory(&self) -> Vec<Value> {
        let flush = flush_name(self.flush);
        let brokers = [Broker::Real, Broker::Lite];
        let known = brokers.into_iter().filter_map(|broker| Some((broker, self.address(broker)?.1)));
        known
            .filter_map(|(broker, pid)| Some((broker, Proc::of(pid).rss_peak_kb().ok()?)))
            .map(|(broker, peak_kb)| json!({"broker": broker, "flush": flush, "rss_peak_kb": peak_kb}))
            .collect()
    }

    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.lite.stop().await
    }

    /// Name server and broker process.
    fn address(&self, broker: Broker) -> Option<(&str, u32)> {
        match broker {
            Broker::Lite => Some((&self.lite.namesrv, self.lite.pid)),
            Broker::Real => self.real.as_ref().map(|real| (real.namesrv.as_str(), real.pid)),
        }
    }
}

async fn measure_floor(session: &mut Session, floor: &Floor, round: usize) -> Result<(), Failure> {
    let mut command = this_program(["floor"])?;
    command.args(floor.arguments.split(' ')).args(["--seconds", FLOOR_SECONDS]);
    if floor.arguments.starts_with("fsync") {
        command.arg("--dir").arg(session.dir());
    }
    let figures = child::figures(command).await?;
    session.say(&format!("{}, round {round}: {} msgs/s", floor.name, rate(&figures)));
    session.floors.push(FloorRun { name: floor.name, round, figures });
    Ok(())
}

fn flush_name(flush: Flush) -> &'static str {
    match flush {
        Flush::Sync => "SYNC_FLUSH",
        Flush::Async => "ASYNC_FLUSH",
    }
}

fn rate(figures: &Json) -> String {
    number_or_dash(figures.get("msgs_per_s").and_then(Value::as_f64))
}

async fn fill(namesrv: &str, workload: &Workload, options: &QuickOptions) -> Result<(), Failure> {
    let mut command = this_program(["client", "fill", "--namesrv", namesrv, "--topic", &workload.topic()])?;
    command.args(["--size", &workload.size.to_string(), "--count", &options.count.to_string()]);
    child::figures(command).await.map(drop)
}
