//! Which brokers can be reached. One that refuses, hangs or closes is passed over while another of its name will do, and
//! asked in the background until it answers again: no queue waits for it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::request::ConsumerListRequest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, ErrorKind};
use crate::instance::ClientInstance;

/// How often an unreachable broker is asked whether it is back.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What one consumer knows of its brokers.
#[derive(Clone)]
pub(crate) struct Reach(Arc<Inner>);

struct Inner {
    instance: Arc<ClientInstance>,
    group: ByteString,
    /// The addresses of brokers that did not answer, until they do.
    unreachable: Mutex<BTreeSet<String>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Reach {
    /// Probes run among `tasks` until `stop`.
    pub(crate) fn new(
        instance: Arc<ClientInstance>,
        group: ByteString,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner { instance, group, unreachable: Mutex::default(), stop, tasks }))
    }

    /// False if the last that was heard of a broker is that it cannot be reached.
    pub(crate) fn is_reachable(&self, addr: &str) -> bool {
        !self.0.unreachable().contains(addr)
    }

    /// The brokers of one name, by id; those that cannot be reached come last.
    pub(crate) fn in_order(&self, brokers: &BTreeMap<i64, String>) -> Vec<(i64, String)> {
        let mut brokers: Vec<_> = brokers.iter().map(|(id, addr)| (*id, addr.clone())).collect();
        brokers.sort_by_key(|(_, addr)| !self.is_reachable(addr));
        brokers
    }

    /// Learns from the outcome of a request. True if the broker could not be reached: another one may do better.
    pub(crate) fn note<T>(&self, addr: &str, outcome: &Result<T, Error>) -> bool {
        let failed = outcome.as_ref().is_err_and(is_unreachable);
        if failed && self.0.unreachable().insert(addr.to_owned()) {
            tracing::warn!(addr, group = %self.0.group, "a broker cannot be reached: others of its name are asked until it can");
            self.0.instance.doubt_routes();
            let (inner, addr) = (Arc::clone(&self.0), addr.to_owned());
            self.0.tasks.spawn(async move {
                tokio::select! {
                    biased;
                    () = inner.stop.cancelled() => {}
                    () = inner.probe(&addr) => {}
                }
            });
        }
        failed
    }
}

impl Inner {
    /// Asks until the broker answers, whatever it says, or no route names it any more.
    async fn probe(&self, addr: &str) {
        let request = ConsumerListRequest { consumer_group: self.group.clone() };
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            if !self.instance.routes().live_brokers().iter().any(|(_, _, named)| named == addr) {
                break;
            }
            let answer = self.instance.call(addr, &request, Bytes::new(), self.instance.api_timeout()).await;
            if !answer.is_err_and(|error| is_unreachable(&error)) {
                break;
            }
        }
        tracing::info!(addr, group = %self.group, "a broker can be reached again, or is no longer in use");
        self.unreachable().remove(addr);
    }

    fn unreachable(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout)
}
