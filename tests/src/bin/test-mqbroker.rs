//! `mqbroker`, as a program of this package so that its tests can start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_broker_lite::cli::mqbroker()
}
