//! What a producer does when the cluster around it behaves badly: each test plays the name servers and brokers itself.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod cluster;
mod name_servers;
mod panics;
mod requests;
