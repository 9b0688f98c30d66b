//! What the machine allows at best: the work that no client and no broker can do without.

mod echo;
mod fsync;

use clap::Subcommand;
use serde_json::json;

use crate::Failure;

/// A bare loop over what the kernel does.
#[derive(Debug, Subcommand)]
pub(crate) enum Floor {
    /// Requests and answers over a loopback connection: one thread a side, blocking sockets, a window in flight
    Echo(echo::EchoOptions),
    /// Records written to a file, with one fdatasync for every few
    Fsync(fsync::FsyncOptions),
}

/// Measures, and prints one JSON line.
pub(crate) fn run(floor: &Floor) -> Result<(), Failure> {
    let figures = match floor {
        Floor::Echo(options) => echo::measure(options)?,
        Floor::Fsync(options) => fsync::measure(options)?,
    };
    println!("{}", json!(figures));
    Ok(())
}
