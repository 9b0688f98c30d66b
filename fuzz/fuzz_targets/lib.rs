//! The bodies of the targets, which `cargo test -p rocketmq-protocol --test fuzz_corpus` runs, too.

#[path = "../../rocketmq-protocol/tests/fuzz_targets/mod.rs"]
pub mod targets;
