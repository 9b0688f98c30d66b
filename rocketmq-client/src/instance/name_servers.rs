//! Asking the name servers: the one that answered last is asked first, the others follow in turn. One that hangs costs its
//! share of the time once, not every question.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::Request;
use tokio::time::Instant;

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

    /// Asks one name server after the other until one answers, whatever the answer's code; any code but those accepted is
    /// an error. What is left of `timeout` is divided over those that are still to be asked.
    pub(super) async fn call<R: Request>(
        &self,
        door: &Door,
        request: &R,
        timeout: Duration,
        accepted: &[ResponseCode],
    ) -> Result<Answer<R::Response>> {
        let count = self.addresses.len();
        let deadline = Instant::now() + timeout;
        let start = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..count {
            let index = start.wrapping_add(step) % count;
            // Before it is asked: should it hang, then whoever asks meanwhile, or after this caller has gone away, begins
            // with the next one.
            self.move_on(index);
            let share = deadline.saturating_duration_since(Instant::now()) / share_count(count - step);
            match door.call_accepting(&self.addresses[index], request, Bytes::new(), share, accepted).await {
                Err(error) if error.kind() != ErrorKind::Broker => failures.push(error),
                answered => {
                    self.current.store(index, Ordering::Relaxed);
                    return answered;
                }
            }
        }
        Err(self.unreachable(failures))
    }

    /// All addresses, for messages.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Away from this one, unless somebody has moved already.
    fn move_on(&self, index: usize) {
        let next = (index + 1) % self.addresses.len();
        let _ = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn unreachable(&self, mut failures: Vec<Error>) -> Error {
        let causes: Vec<_> = failures.iter().map(ToString::to_string).collect();
        let message = format!(
            "no name server of [{}] answered: {}. Check that it runs and that this machine reaches it",
            self.addresses.join(";"),
            causes.join("; ")
        );
        let error = Error::new(ErrorKind::NameServerUnreachable, message);
        match failures.pop() {
            Some(last) => error.at(last.broker_addr().unwrap_or_default()).with_source(last),
            None => error,
        }
    }
}

fn share_count(servers: usize) -> u32 {
    u32::try_from(servers).unwrap_or(u32::MAX)
}
