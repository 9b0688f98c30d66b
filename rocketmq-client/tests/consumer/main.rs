//! What a push consumer does when the cluster around it behaves badly: each test plays name server and brokers itself.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod broker;
mod dead_master;
mod ending;
mod failures;
mod hand_over;
mod log;
mod offsets;
#[path = "../peers/mod.rs"]
mod peers;
