//! What a user's own tests embed.

mod cluster;

pub use cluster::{TestCluster, TestClusterBuilder};
