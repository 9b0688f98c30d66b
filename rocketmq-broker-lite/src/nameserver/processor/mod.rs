//! What the name server answers: parse, ask the tables, answer.

mod kv;
mod registration;
mod route;
mod topic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rocketmq_protocol::body::cluster::ClusterInfo;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, Handler, Responder};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::kv::KvConfig;
use super::limits::{LimitError, Limits};
use super::route_table::RouteTable;
use crate::clock::Clock;
use crate::server::dispatch::Table;
use crate::server::pool::Pool;
use crate::server::refusal::Refusal;

/// How many requests for the whole table are served at a time.
const POOL_THREADS: usize = 2;

/// The route table, and the answers to what is asked of it.
#[derive(Debug)]
pub(super) struct Processor {
    table: RwLock<RouteTable<Connection>>,
    kv: Mutex<KvConfig>,
    clock: Clock,
    /// Told of each registration.
    registered: Notify,
}

impl Processor {
    pub(super) fn new(silence_limit: Duration, clock: Clock) -> Self {
        Self {
            table: RwLock::new(RouteTable::new(silence_limit, Limits::default())),
            kv: Mutex::new(KvConfig::default()),
            clock,
            registered: Notify::new(),
        }
    }

    /// Removes the brokers that were silent for too long, and closes their connections.
    pub(super) fn expire(&self) {
        let expired = self.write().expire(self.clock.now_ms());
        for (addr, connection) in expired {
            tracing::warn!(%addr, "the broker was silent for too long");
            connection.close("the broker was silent for too long");
        }
    }

    /// Waits until the broker of that address is registered.
    pub(super) async fn wait_for(&self, broker_addr: &str) {
        loop {
            let registered = self.registered.notified();
            tokio::pin!(registered);
            // Enabled before the look: a registration between the two is not missed.
            registered.as_mut().enable();
            if self.read().knows(broker_addr) {
                return;
            }
            registered.await;
        }
    }

    /// All brokers, and which belong to which cluster.
    pub(super) fn cluster_info(&self) -> ClusterInfo {
        self.read().cluster_info()
    }

    // The table is whole after a panic too: each of its changes is a few insertions and removals that cannot panic.
    fn read(&self) -> RwLockReadGuard<'_, RouteTable<Connection>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kv(&self) -> MutexGuard<'_, KvConfig> {
        self.kv.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RouteTable<Connection>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where requests and the ends of connections reach the name server.
pub(super) struct Dispatcher {
    processor: Arc<Processor>,
    table: Table<Processor>,
    /// For what goes through the whole table.
    pool: Pool<Connection>,
}

impl Dispatcher {
    pub(super) fn new(processor: Arc<Processor>, tasks: &TaskTracker) -> Self {
        let families = &[registration::FAMILY, route::FAMILY, topic::FAMILY, kv::FAMILY];
        let whole_table = &[route::WHOLE_TABLE_FAMILY, topic::WHOLE_TABLE_FAMILY];
        let table = Table::new(families).and_in_pool(whole_table);
        Self { processor, table, pool: Pool::new(POOL_THREADS, tasks) }
    }
}

impl Handler for Dispatcher {
    fn handle(&self, request: RemotingCommand, responder: Responder) {
        self.table.serve(&self.processor, &self.pool, request, responder);
    }

    /// A broker whose connection ends is gone at once.
    fn disconnected(&self, connection: &Connection, cause: &str) {
        for addr in self.processor.write().connection_closed(connection) {
            tracing::info!(%addr, cause, "the broker's connection ended: it is forgotten");
        }
    }
}

impl From<LimitError> for Refusal {
    fn from(error: LimitError) -> Self {
        Self::system(error)
    }
}
