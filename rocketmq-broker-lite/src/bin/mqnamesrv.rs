//! A RocketMQ name server.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_broker_lite::cli::mqnamesrv()
}
