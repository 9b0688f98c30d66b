//! A RocketMQ broker.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_broker_lite::cli::mqbroker()
}
