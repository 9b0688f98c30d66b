//! Asking the name servers: the one that answered last is asked first, the others follow in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::Request;

use super::door::{Answer, Door};
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

    /// Asks one name server after the other until one answers with one of the accepted codes or any other.
    pub(super) async fn call<R: Request>(
        &self,
        door: &Door,
        request: &R,
        timeout: Duration,
        accepted: &[ResponseCode],
    ) -> Result<Answer<R::Response>> {
        let start = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..self.addresses.len() {
            let index = (start + step) % self.addresses.len();
            let addr = &self.addresses[index];
            match door.call_accepting(addr, request, Bytes::new(), timeout, accepted).await {
                Err(error) if error.kind() != ErrorKind::Broker => failures.push(error.to_string()),
                answered => {
                    self.current.store(index, Ordering::Relaxed);
                    return answered;
                }
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
