//! Measures our client and broker beside the official Java ones and beside the machine's own floor.
//!
//! `quick` compares them all; it starts everything else as child processes of this same program, so that each part can
//! also be run alone, under a profiler.

mod answering;
mod child;
mod client;
mod core;
mod count;
mod floor;
mod java;
mod lite;
mod nats;
mod proc_stat;
mod quick;
mod real;
mod serve;
mod start_up;
mod table;

use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What ends a program early: one line for its user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is measured in a child process comes back as one JSON object on one line.
type Json = serde_json::Map<String, serde_json::Value>;

/// Measures rocketmq-client and broker-lite beside the Java client, the real Apache RocketMQ, and the machine's floor.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares everything in one interleaved run of about five minutes and prints tables
    ///
    /// Starts the real RocketMQ (needs Java; Maven and the package registry on first use) and broker-lite, and sends and
    /// consumes with the Java client and with ours on both, by turns. What is not there is skipped, and said so.
    /// Tables go to standard output, progress to standard error.
    Quick(quick::QuickOptions),
    /// Measures what a send costs with 1, 16 and 1,024 in flight, beside the floor, and NATS JetStream
    ///
    /// One interleaved run; medians of its rounds are held against what is wanted:
    ///
    /// - client CPU of a send with 16 in flight: at most 1.8 times the echo floor's client side (threads and blocking
    ///   sockets; shown too: of the same echo from a task on the runtime and workers that our client has)
    ///
    /// - 1 in flight: at least 0.4 of the echo floor's rate with 1 in flight
    ///
    /// - 1,024 in flight, against a peer that answers and stores nothing: at least 1.43 times the echo floor's rate with
    ///   16 in flight (500,000/s where it makes 350,000/s)
    ///
    /// - allocations are counted by a test instead: see tests/README.md
    ///
    /// The real RocketMQ needs Java, NATS needs Go; what is not there is skipped, and said so.
    #[command(verbatim_doc_comment)]
    Core(core::CoreOptions),
    /// Measures a broker through our client and prints one JSON line, with the keys of Bench.java
    Client(client::ClientOptions),
    /// Measures what the machine allows at best: a bare loopback echo, a bare write and fdatasync
    Floor {
        #[command(subcommand)]
        floor: floor::Floor,
    },
    /// Publishes to a NATS JetStream server and prints one JSON line
    Nats(nats::NatsOptions),
    /// Answers every request and stores nothing, until standard input ends; prints NAMESRV_ADDR=host:port
    Answer,
    /// Repeats a piece of work, to be counted in instructions: see bench/instructions
    Count(count::CountOptions),
    /// Runs broker-lite with a name server in this process until SIGINT or SIGTERM; prints NAMESRV_ADDR=host:port
    Serve(serve::ServeOptions),
    /// Measures starting, in this process: an embedded cluster, and a consumer up to its first message
    StartUp(start_up::StartUpOptions),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Quick(options) => block_on(quick::run(options)),
        Command::Core(options) => block_on(core::run(options)),
        Command::Nats(options) => nats::run(&options),
        Command::Answer => answering::run(),
        Command::Client(options) => block_on(client::run(options)),
        Command::Floor { floor } => floor::run(&floor),
        Command::Count(options) => count::run(&options),
        Command::Serve(options) => block_on(serve::run(options)),
        Command::StartUp(options) => block_on(start_up::run(options)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on the runtime that programs get from `#[tokio::main]`.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
