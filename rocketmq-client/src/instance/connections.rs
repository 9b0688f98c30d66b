//! One connection to each address, made when it is first wanted and again after it ended.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use dashmap::DashMap;
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::remoting::{Connection, ConnectionConfig, Handler, RemotingError, connect};
use rocketmq_protocol::request::Request;
use tokio_util::task::TaskTracker;

/// The connections of one client.
pub(crate) struct Connections {
    slots: DashMap<String, Arc<Slot>>,
    connect_timeout: Duration,
    tasks: TaskTracker,
    handler: OnceLock<Arc<dyn Handler>>,
}

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Connection>,
    /// Held while connecting, so that a crowd makes one connection.
    connecting: tokio::sync::Mutex<()>,
}

impl Connections {
    pub(super) fn new(connect_timeout: Duration, tasks: TaskTracker) -> Self {
        Self { slots: DashMap::new(), connect_timeout, tasks, handler: OnceLock::new() }
    }

    /// Says who answers the requests that brokers send. Called once, before the first connection.
    pub(super) fn set_handler(&self, handler: Arc<dyn Handler>) {
        // A second call would change nothing, and there is none.
        let _ = self.handler.set(handler);
    }

    /// The connection to `addr`.
    pub(crate) async fn get(&self, addr: &str) -> Result<Arc<Connection>, RemotingError> {
        let slot = self.slot(addr);
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let _connecting = slot.connecting.lock().await;
        if let Some(connection) = slot.live() {
            return Ok(connection);
        }
        let shut_down =
            || RemotingError::NotSent { addr: addr.into(), cause: "the client was shut down".into() };
        let Some(handler) = self.handler.get().map(Arc::clone) else { return Err(shut_down()) };
        let config = ConnectionConfig::default();
        let connection = Arc::new(connect(addr, self.connect_timeout, config, handler, &self.tasks).await?);
        slot.current.store(Some(Arc::clone(&connection)));
        // Looked at last: close() ends the tracker first and looks at the slots then, so that no connection is left.
        if self.tasks.is_closed() {
            connection.close("the client was shut down");
            return Err(shut_down());
        }
        Ok(connection)
    }

    /// Sends a request to `addr` and waits for its answer, connecting first if need be; `timeout` covers both.
    pub(crate) async fn invoke<R: Request>(
        &self,
        addr: &str,
        request: &R,
        body: Bytes,
        timeout: Duration,
    ) -> Result<RemotingCommand, RemotingError> {
        let started = tokio::time::Instant::now();
        let connection =
            tokio::time::timeout(timeout, self.get(addr)).await.map_err(|_| RemotingError::Connect {
                addr: addr.into(),
                source: Arc::new(std::io::ErrorKind::TimedOut.into()),
            })??;
        let answer = connection.invoke(request, body, timeout.saturating_sub(started.elapsed())).await;
        answer.map_err(|error| match error {
            // As the caller knows it, not less the time for connecting.
            RemotingError::Timeout { addr, .. } => RemotingError::Timeout { addr, timeout },
            other => other,
        })
    }

    /// Ends every connection, now and for good.
    pub(super) fn close(&self, cause: &str) {
        self.tasks.close();
        for slot in &self.slots {
            if let Some(connection) = slot.current.swap(None) {
                connection.close(cause);
            }
        }
    }

    fn slot(&self, addr: &str) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(addr) {
            return Arc::clone(&slot);
        }
        Arc::clone(&self.slots.entry(addr.to_owned()).or_default())
    }
}

impl Slot {
    fn live(&self) -> Option<Arc<Connection>> {
        self.current.load_full().filter(|connection| !connection.is_closed())
    }
}
