//! What a producer does when the cluster around it behaves badly: each test plays the name servers and brokers itself.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod closing;
mod cluster;
mod failing_brokers;
mod name_servers;
mod order;
mod panics;
#[path = "../peers/mod.rs"]
mod peers;
mod requests;
