//! A compact RocketMQ broker and name server.
//!
//! It speaks the remoting protocol of RocketMQ 4.9 and 5.x and keeps its data in RocketMQ's own files. It embeds in
//! tests as a value, and runs as `mqnamesrv` and `mqbroker` on small nodes.

pub(crate) mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod config;
#[cfg(test)]
pub(crate) mod cost;
pub(crate) mod delay;
pub(crate) mod error;
#[cfg(test)]
mod layers;
pub(crate) mod nameserver;
pub(crate) mod pull_wait;
pub(crate) mod registration;
pub(crate) mod retry;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod stored_properties;
pub(crate) mod tables;
pub(crate) mod testkit;

pub use broker::Broker;
pub use config::{BrokerConfig, ConfigError, FlushDiskType, NamesrvConfig};
pub use error::StartError;
pub use nameserver::NameServer;
pub use testkit::{TestCluster, TestClusterBuilder};
