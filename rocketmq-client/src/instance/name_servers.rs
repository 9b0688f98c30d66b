//! Asking the name servers: the one that answered last is asked first, the others follow in turn. One that hangs costs a
//! head start once, not every question.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::request::Request;
use tokio::time::Instant;

use super::door::{Answer, Door};
use crate::error::{Error, ErrorKind, Result};

/// How long a name server may take before the next one is asked too.
const HEAD_START: Duration = Duration::from_millis(250);

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

    /// Asks one name server, and the next one as soon as it fails or its head start is over, until one answers, whatever
    /// the answer's code; any code but those accepted is an error. Each has what is left of `timeout`.
    pub(super) async fn call<R: Request>(
        &self,
        door: &Door,
        request: &R,
        timeout: Duration,
        accepted: &[ResponseCode],
    ) -> Result<Answer<R::Response>> {
        let deadline = Instant::now() + timeout;
        let mut to_ask = self.in_turn();
        let (mut asked, mut failures) = (FuturesUnordered::new(), Vec::new());
        loop {
            if let Some(index) = to_ask.next() {
                // Before it is asked: should it hang, then whoever asks meanwhile, or after this caller has gone away,
                // begins with the next one.
                self.move_on(index);
                let left = deadline.saturating_duration_since(Instant::now());
                let answer =
                    door.call_accepting(&self.addresses[index], request, Bytes::new(), left, accepted);
                asked.push(answer.map(move |answered| (index, answered)));
            }
            let head_start = tokio::time::sleep(HEAD_START);
            tokio::select! {
                biased;
                answered = asked.next() => match answered {
                    Some((_, Err(error))) if error.kind() != ErrorKind::Broker => failures.push(error),
                    Some((index, answered)) => {
                        self.current.store(index, Ordering::Relaxed);
                        return answered;
                    }
                    None => return Err(self.unreachable(failures)),
                },
                () = head_start, if to_ask.len() > 0 => {}
            }
        }
    }

    /// Each once, beginning with the one that answered last.
    fn in_turn(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let (start, count) = (self.current.load(Ordering::Relaxed), self.addresses.len());
        (0..count).map(move |step| start.wrapping_add(step) % count)
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
