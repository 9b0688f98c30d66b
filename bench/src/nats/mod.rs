//! NATS JetStream, measured beside: another broker that acknowledges what it has stored.

mod publish;
mod server;

use clap::Args;
use serde_json::json;

use crate::Failure;

pub(crate) use server::NatsServer;

/// What is published, and how much of it is on the way at once.
#[derive(Args, Debug)]
pub(crate) struct NatsOptions {
    /// The server
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// Bytes of a message
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Messages that are not acknowledged yet
    #[arg(long, default_value_t = 1024)]
    inflight: usize,
    /// How long is counted
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long is published before that
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Report the processor time of that process (the server) as well
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
}

/// Publishes to a stream with file storage and one replica, and prints one JSON line.
pub(crate) fn run(options: &NatsOptions) -> Result<(), Failure> {
    println!("{}", json!(publish::measure(options)?));
    Ok(())
}
