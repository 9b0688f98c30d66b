//! Command-line tools for RocketMQ: what `mqtools` runs.

pub mod quickstart;
