//! Measures a broker through our client, as Bench.java does through the Java client.

mod consume;
mod outcome;
mod producer;
mod send;
mod window;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::Failure;
use outcome::Outcome;

/// What is measured, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientOptions {
    /// What to do
    #[arg(value_enum)]
    mode: Mode,
    /// The name servers [default: the environment's NAMESRV_ADDR]
    #[arg(long, value_name = "HOST:PORT")]
    namesrv: Option<String>,
    #[arg(long, default_value = "Bench")]
    topic: String,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Tasks that send, or calls of the listener at once [default: 16; batch, async: 1; consume: 20]
    #[arg(long)]
    threads: Option<usize>,
    /// How long is counted
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long is sent before that
    #[arg(long, default_value_t = 5.0)]
    warmup: f64,
    /// Messages of a send, or of a call of the listener [default: 32; consume: 1]
    #[arg(long)]
    batch: Option<usize>,
    /// async, pipelined: how many may be in flight
    #[arg(long, default_value_t = 1024)]
    inflight: usize,
    /// fill, consume: how many messages
    #[arg(long, default_value_t = 200_000)]
    count: u64,
    /// consume: how many messages a pull asks for
    #[arg(long, default_value_t = 32)]
    pull: u16,
    /// Queues of a topic that is made by this
    #[arg(long, default_value_t = 4)]
    queues: u16,
    /// Seconds after which to give up
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Report the processor time of that process (the broker) as well
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Tasks that send and wait
    Sync,
    /// Sends whose answers come later, up to a number in flight
    Async,
    /// One task that keeps a number of sends in flight and waits for the oldest of them
    Pipelined,
    /// Batches, sent and waited for
    Batch,
    /// One send; process start to first acknowledgement
    First,
    /// A push consumer drains what lies in the topic
    Consume,
    /// Sends a number of messages, in batches; measures nothing
    Fill,
}

/// Measures, and prints one JSON line.
pub(crate) async fn run(options: ClientOptions) -> Result<(), Failure> {
    let mut outcome = Outcome::default();
    outcome.put("mode", options.mode.to_possible_value().map(|mode| mode.get_name().to_owned()));
    outcome.put("client", concat!("rocketmq-client ", env!("CARGO_PKG_VERSION")));
    outcome.put("size", options.size);
    match options.mode {
        Mode::Sync | Mode::Batch => send::and_wait(&options, &mut outcome).await?,
        Mode::Pipelined => send::pipelined(&options, &mut outcome).await?,
        Mode::Async => send::without_waiting(&options, &mut outcome).await?,
        Mode::First => send::first(&options, &mut outcome).await?,
        Mode::Consume => consume::drain(&options, &mut outcome).await?,
        Mode::Fill => send::fill(&options, &mut outcome).await?,
    }
    println!("{}", json!(outcome.finish()?));
    Ok(())
}

impl ClientOptions {
    fn threads(&self) -> usize {
        self.threads.unwrap_or(match self.mode {
            Mode::Sync => 16,
            Mode::Consume => 20,
            Mode::Fill => 2,
            Mode::Async | Mode::Pipelined | Mode::Batch | Mode::First => 1,
        })
    }

    fn batch(&self) -> usize {
        match self.mode {
            Mode::Batch | Mode::Fill => self.batch.unwrap_or(32).max(1),
            Mode::Consume => self.batch.unwrap_or(1),
            Mode::Sync | Mode::Async | Mode::Pipelined | Mode::First => 1,
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
