//! One connection to each address, made when it is first wanted and again after it ended.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use rocketmq_protocol::remoting::{Abandoned, Connection, ConnectionConfig, Handler, RemotingError, connect};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::instance::single_flight::SingleFlight;

/// Why connections end with their client.
const SHUT_DOWN: &str = "the client was shut down";

/// The connections of one client.
pub(super) struct Connections {
    slots: DashMap<Arc<str>, Arc<Slot>, RandomState>,
    /// A crowd makes one connection, and the impatience of one does not keep the others from getting it.
    connecting: SingleFlight<Arc<str>, Result<Arc<Connection>, RemotingError>>,
    connect_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
    handler: OnceLock<Arc<dyn Handler>>,
    /// Those that ended with the client.
    closed: Mutex<Vec<Arc<Connection>>>,
}

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Connection>,
    /// The connection before, if its peer asked for another one.
    left: ArcSwapOption<Connection>,
}

impl Connections {
    pub(super) fn new(connect_timeout: Duration, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            slots: DashMap::default(),
            connecting: SingleFlight::default(),
            connect_timeout,
            tasks,
            stop,
            handler: OnceLock::new(),
            closed: Mutex::default(),
        }
    }

    /// Says who answers the requests that brokers send. Called once, before the first connection.
    pub(super) fn set_handler(&self, handler: Arc<dyn Handler>) {
        // A second call would change nothing, and there is none.
        let _ = self.handler.set(handler);
    }

    /// The connection to `addr`, if there is one.
    pub(super) fn ready(&self, addr: &str) -> Option<Arc<Connection>> {
        self.slots.get(addr)?.live()
    }

    /// The connection to `addr`.
    ///
    /// # Cancel safety
    /// Connecting goes on, for whoever asks next.
    pub(super) async fn get(&self, addr: &str) -> Result<Arc<Connection>, RemotingError> {
        if let Some(connection) = self.ready(addr) {
            return Ok(connection);
        }
        let addr: Arc<str> = addr.into();
        let slot = Arc::clone(&self.slots.entry(Arc::clone(&addr)).or_default());
        let connected =
            self.connecting.join(&addr, &self.tasks, || self.connect(Arc::clone(&addr), slot)).await;
        connected.unwrap_or_else(|| Err(shut_down(addr)))
    }

    /// Makes the next request to `addr` connect again. What is in flight on this connection may still be answered: it ends
    /// when its peer ends it, or when the connection after it is left too.
    pub(super) fn leave(&self, addr: &str, connection: &Arc<Connection>) {
        let Some(slot) = self.slots.get(addr).map(|slot| Arc::clone(&slot)) else { return };
        let present = slot.current.compare_and_swap(connection, None);
        if !present.as_ref().is_some_and(|present| Arc::ptr_eq(present, connection)) {
            // Another request was told the same and has left it already.
            return;
        }
        if let Some(before) = slot.left.swap(Some(Arc::clone(connection))) {
            before.close("the peer asked for a new connection");
        }
        if self.tasks.is_closed() {
            self.closed().extend(slot.close());
        }
    }

    /// Ends the requests whose receivers have given up.
    pub(super) fn give_up(&self) {
        // Collected first: who is told may come back here.
        let slots: Vec<_> = self.slots.iter().map(|slot| Arc::clone(&slot)).collect();
        for slot in slots {
            [slot.current.load_full(), slot.left.load_full()].iter().flatten().for_each(|one| one.give_up());
        }
    }

    /// Ends every connection, now and for good.
    pub(super) fn close(&self) {
        self.tasks.close();
        for slot in &self.slots {
            self.closed().extend(slot.close());
        }
    }

    /// What those had not written that were closed with the others.
    pub(super) async fn abandoned(&self) -> Abandoned {
        let closed = std::mem::take(&mut *self.closed());
        let mut all = Abandoned::default();
        for connection in closed {
            all += connection.shutdown(SHUT_DOWN, Duration::ZERO).await;
        }
        all
    }

    fn closed(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(
        &self,
        addr: Arc<str>,
        slot: Arc<Slot>,
    ) -> impl Future<Output = Result<Arc<Connection>, RemotingError>> + Send + 'static {
        let (handler, timeout) = (self.handler.get().cloned(), self.connect_timeout);
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        async move {
            // The work that this waited for may have made the connection.
            if let Some(connection) = slot.live() {
                return Ok(connection);
            }
            let Some(handler) = handler else { return Err(shut_down(addr)) };
            let connected = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(shut_down(addr)),
                connected = connect(&addr, timeout, ConnectionConfig::default(), handler, &tasks) => connected,
            };
            let connection = Arc::new(connected?);
            slot.current.store(Some(Arc::clone(&connection)));
            // Looked at last: close() ends the tracker first and looks at the slots then, so that no connection is left.
            if tasks.is_closed() {
                connection.close(SHUT_DOWN);
                return Err(shut_down(addr));
            }
            Ok(connection)
        }
    }
}

fn shut_down(addr: Arc<str>) -> RemotingError {
    RemotingError::NotSent { addr, cause: SHUT_DOWN.into() }
}

impl Slot {
    fn live(&self) -> Option<Arc<Connection>> {
        self.current.load_full().filter(|connection| !connection.is_closed())
    }

    /// Ends its connections; returns them.
    fn close(&self) -> impl Iterator<Item = Arc<Connection>> + use<> {
        let connections = [self.current.swap(None), self.left.swap(None)];
        connections.iter().flatten().for_each(|connection| connection.close(SHUT_DOWN));
        connections.into_iter().flatten()
    }
}
