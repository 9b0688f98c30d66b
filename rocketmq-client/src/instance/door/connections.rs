//! One connection to each address, made when it is first wanted and again after it ended.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use rocketmq_protocol::remoting::{Connection, ConnectionConfig, Handler, RemotingError, connect};
use tokio_util::task::TaskTracker;

/// The connections of one client.
pub(super) struct Connections {
    slots: DashMap<String, Arc<Slot>>,
    connect_timeout: Duration,
    tasks: TaskTracker,
    handler: OnceLock<Arc<dyn Handler>>,
}

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Connection>,
    /// The connection before, if its peer asked for another one.
    left: ArcSwapOption<Connection>,
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
    pub(super) async fn get(&self, addr: &str) -> Result<Arc<Connection>, RemotingError> {
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

    /// The connection to `addr`, if there is one.
    pub(super) fn ready(&self, addr: &str) -> Option<Arc<Connection>> {
        self.slots.get(addr)?.live()
    }

    /// Makes the next request to `addr` connect again. What is in flight on this connection may still be answered: it ends
    /// when its peer ends it, or when the connection after it is left too.
    pub(super) fn leave(&self, addr: &str, connection: &Arc<Connection>) {
        let slot = self.slot(addr);
        let present = slot.current.compare_and_swap(connection, None);
        if !present.as_ref().is_some_and(|present| Arc::ptr_eq(present, connection)) {
            // Another request was told the same and has left it already.
            return;
        }
        if let Some(before) = slot.left.swap(Some(Arc::clone(connection))) {
            before.close("the peer asked for a new connection");
        }
        if self.tasks.is_closed() {
            slot.close("the client was shut down");
        }
    }

    /// Ends every connection, now and for good.
    pub(super) fn close(&self, cause: &str) {
        self.tasks.close();
        for slot in &self.slots {
            slot.close(cause);
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

    fn close(&self, cause: &str) {
        for connection in [self.current.swap(None), self.left.swap(None)].into_iter().flatten() {
            connection.close(cause);
        }
    }
}
