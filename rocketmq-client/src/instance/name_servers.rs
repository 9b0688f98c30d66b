//! Asking the name servers: the one that answered last is asked first, the others follow in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::request::Request;

use super::connections::Connections;
use crate::error::{Error, ErrorKind, Result};

/// The configured name servers.
#[derive(Debug)]
pub(crate) struct NameServers {
    addresses: Vec<String>,
    current: AtomicUsize,
}

impl NameServers {
    /// Starts at a random one, so that many clients spread over all.
    pub(super) fn new(addresses: Vec<String>) -> Self {
        let current = AtomicUsize::new(rand::random_range(0..addresses.len().max(1)));
        Self { addresses, current }
    }

    /// Asks one name server after the other until one answers, whatever the answer's code.
    pub(super) async fn invoke<R: Request>(
        &self,
        connections: &Connections,
        request: &R,
        timeout: Duration,
    ) -> Result<RemotingCommand> {
        let start = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..self.addresses.len() {
            let index = (start + step) % self.addresses.len();
            let addr = &self.addresses[index];
            match connections.invoke(addr, request, Bytes::new(), timeout).await {
                Ok(answer) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(Error::new(
            ErrorKind::NameServerUnreachable,
            format!(
                "no name server of [{}] answered: {}. Check that it runs and that this machine reaches it",
                self.addresses.join(";"),
                failures.join("; ")
            ),
        ))
    }

    /// All addresses, for messages.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }
}
