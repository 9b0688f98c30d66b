//! The name server: brokers tell it which topics they hold, clients ask it where a topic is.

mod kv;
mod limits;
mod liveness;
mod processor;
mod route_table;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_protocol::remoting::{ConnectionConfig, Listener, ListenerConfig};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::processor::{Dispatcher, Processor};
use crate::clock::Clock;
use crate::config::{NamesrvConfig, check};
use crate::error::StartError;

/// A running name server. All that it knows is in memory: brokers tell it again when it starts anew.
///
/// Dropping it closes its connections and stops its tasks without waiting for either; [`shutdown`](Self::shutdown) waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rocketmq_broker_lite::StartError> {
/// use rocketmq_broker_lite::{NameServer, NamesrvConfig};
///
/// let namesrv = NameServer::start(NamesrvConfig::default()).await?;
/// println!("NAMESRV_ADDR={}", namesrv.addr());
/// namesrv.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NameServer {
    listener: Listener,
    processor: Arc<Processor>,
    tasks: TaskTracker,
    /// Ends the tasks, at the latest when the value is dropped.
    ended: DropGuard,
}

impl NameServer {
    /// Starts a name server, which takes connections from the moment this returns.
    ///
    /// # Errors
    /// [`StartError::Config`] for a value out of range, [`StartError::Bind`] if the port is in use.
    ///
    /// # Cancel safety
    /// A start that is dropped leaves nothing behind.
    pub async fn start(config: NamesrvConfig) -> Result<Self, StartError> {
        Self::start_with_clock(config, Clock::default()).await
    }

    pub(crate) async fn start_with_clock(config: NamesrvConfig, clock: Clock) -> Result<Self, StartError> {
        check(&config)?;
        let processor = Arc::new(Processor::new(config.broker_channel_expired_time, clock));
        let tasks = TaskTracker::new();
        let limits = ListenerConfig {
            connection: ConnectionConfig {
                idle_timeout: config.server_channel_max_idle_time,
                ..ListenerConfig::default().connection
            },
            max_connections: config.max_connections,
        };
        let addr = config.listen_addr();
        let handler = Arc::new(Dispatcher::new(Arc::clone(&processor), &tasks));
        let listener = Listener::bind(addr, limits, handler, tasks.clone())
            .await
            .map_err(|source| StartError::Bind { addr, source })?;
        let ended = CancellationToken::new();
        let scan = scan(Arc::clone(&processor), config.scan_not_active_broker_interval, ended.clone());
        tasks.spawn(scan);
        Ok(Self { listener, processor, tasks, ended: ended.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Stops listening, closes all connections and ends all tasks. Further calls do nothing.
    ///
    /// # Cancel safety
    /// A caller that stops waiting leaves a name server that takes no connections; a further call waits for its tasks.
    pub async fn shutdown(&self) {
        self.ended.token().cancel();
        self.listener.shutdown("the name server shuts down").await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// All brokers that are registered, and which belong to which cluster.
    #[cfg(test)]
    pub(crate) fn cluster_info(&self) -> rocketmq_protocol::body::cluster::ClusterInfo {
        self.processor.cluster_info()
    }

    /// Waits until the broker that clients reach at `broker_addr` is registered.
    pub(crate) async fn wait_for_broker(&self, broker_addr: &str) {
        self.processor.wait_for(broker_addr).await;
    }
}

/// Looks for silent brokers until the name server ends.
async fn scan(processor: Arc<Processor>, interval: Duration, ended: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = ticks.tick() => processor.expire(),
        }
    }
}
