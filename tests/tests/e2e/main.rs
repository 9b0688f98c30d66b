//! Client and broker from end to end: on the embedded broker, and the same tests on Apache RocketMQ (see ../../README.md).

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

mod bad_input;
mod closing;
mod concurrency;
mod delay;
mod errors;
mod filter;
mod group;
mod instance;
mod large;
mod offsets;
mod parts;
mod promises;
mod retry;
mod routes;
mod runtimes;
mod sending;
mod settings;
