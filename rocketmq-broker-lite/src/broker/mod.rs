//! The broker: takes messages, keeps them, and gives them out.

mod append_task;
mod context;
mod dispatch;
mod jobs;
mod processor;
mod start;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rocketmq_protocol::remoting::Listener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::context::Context;
use crate::clock::Clock;
use crate::config::{BrokerConfig, check};
use crate::error::StartError;
use crate::store::fs::{Fs, OsFs};

/// A running broker.
///
/// Dropping it ends its tasks and connections without waiting for anything, as a crash would: what was acknowledged is in
/// the kernel's hands, but the next start has to recover the store, and consumers may see some messages again.
/// [`shutdown`](Self::shutdown) leaves everything in order.
///
/// ```no_run
/// # async fn example() -> Result<(), rocketmq_broker_lite::StartError> {
/// use rocketmq_broker_lite::{Broker, BrokerConfig};
///
/// let config = BrokerConfig {
///     namesrv_addr: "127.0.0.1:9876".into(),
///     store_path_root_dir: "/var/lib/rocketmq".into(),
///     ..BrokerConfig::default()
/// };
/// let broker = Broker::start(config).await?;
/// println!("listening at {}", broker.addr());
/// broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Broker {
    context: Arc<Context>,
    listener: Listener,
    tasks: TaskTracker,
    registrations: TaskTracker,
    /// Ends the registrations, which then unregister.
    leave: CancellationToken,
    /// Ends all tasks; at the latest when this value is dropped.
    stop: DropGuard,
}

impl Broker {
    /// Starts a broker. When this returns it takes connections, and every name server that answers knows it. One that
    /// does not answer is tried again in the background, and a warning is logged.
    ///
    /// # Errors
    /// [`StartError::Config`] for a value out of range, [`StartError::Store`] if the store cannot be opened,
    /// [`StartError::Bind`] if the port is in use.
    ///
    /// # Cancel safety
    /// A start that is dropped stops what it had begun and closes the store.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        Self::start_with_clock(config, Clock::default()).await
    }

    pub(crate) async fn start_with_clock(config: BrokerConfig, clock: Clock) -> Result<Self, StartError> {
        Self::start_on(config, clock, Arc::new(OsFs)).await
    }

    async fn start_on(config: BrokerConfig, clock: Clock, fs: Arc<dyn Fs>) -> Result<Self, StartError> {
        check(&config)?;
        start::start(config, clock, fs).await
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// How many bytes it holds on behalf of its clients: answers that wait to be written, held pulls, and large requests
    /// that are being read. [`BrokerConfig::max_held_bytes`] is the limit.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.context.memory.used_bytes()
    }

    /// Leaves the name servers, answers the pulls that wait, closes the connections, and writes everything to disk.
    /// Further calls do nothing.
    ///
    /// # Cancel safety
    /// A caller that stops waiting leaves the broker half stopped; a further call goes on from there. Without one, the next
    /// start finds the store as after a crash.
    pub async fn shutdown(&self) {
        if let Err(error) = self.close().await {
            tracing::error!(%error, "the store could not be closed in order");
        }
    }

    /// [`shutdown`](Self::shutdown), and says what has failed.
    pub(crate) async fn close(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.leave.cancel();
        self.registrations.close();
        self.registrations.wait().await;
        jobs::answer_all_held(&self.context);
        self.listener.shutdown("the broker shuts down").await;
        self.stop.token().cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let context = Arc::clone(&self.context);
        let closed = tokio::task::spawn_blocking(move || {
            context.persist_all();
            context.store.close()
        });
        Ok(closed.await??)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("addr", &self.addr()).finish_non_exhaustive()
    }
}
