//! Why a name server or a broker does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a [`NameServer`](crate::NameServer) or a broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can listen on the address: its port is in use, or it is no address of this machine.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The store cannot be opened: its lock is held by another broker, its files cannot be read, the disk is full.
    #[error("cannot open the store in {}: {source}", path.display())]
    Store {
        /// The store's directory.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A name server does not take the broker.
    #[error("cannot register at the name server {namesrv_addr}: {source}")]
    Register {
        /// The name server.
        namesrv_addr: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
