//! The accepting side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Side;
use super::{Budget, Connection, ConnectionConfig, Handler, socket};

/// How long accepting rests after it failed, e.g. for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a listener may hold together, if nothing else is said: 256 MiB.
const LISTENER_BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// What one of them may hold, if nothing else is said: 16 MiB. A peer that asks for more has to take some first.
const ACCEPTED_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// The limits of each connection. By default each may hold 16 MiB (`outbound_limit_bytes`), and all of
    /// them together 256 MiB.
    pub connection: ConnectionConfig,
    /// How many connections there may be at once. Default 10,000. Further ones wait in the system's queue.
    pub max_connections: usize,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        let budget = Budget::new(LISTENER_BUDGET_BYTES);
        let outbound_limit_bytes = ACCEPTED_LIMIT_BYTES;
        let connection = ConnectionConfig { budget, outbound_limit_bytes, ..ConnectionConfig::default() };
        Self { connection, max_connections: 10_000 }
    }
}

/// Accepts connections until it is shut down or dropped.
#[derive(Debug)]
pub struct Listener {
    local_addr: SocketAddr,
    ended: CancellationToken,
    connections: TaskTracker,
}

impl Listener {
    /// Listens at `addr` (port 0: any free one) and runs on `tasks`.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub async fn bind(
        addr: SocketAddr,
        config: ListenerConfig,
        handler: Arc<dyn Handler>,
        tasks: TaskTracker,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        let listener = Self {
            local_addr: socket.local_addr()?,
            ended: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let accepting = accept(socket, config, handler, listener.connections.clone(), listener.ended.clone());
        tasks.spawn(accepting);
        Ok(listener)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting and ends every connection once its queued responses are written.
    pub async fn shutdown(&self, cause: &str) {
        tracing::debug!(addr = %self.local_addr, cause, "the listener shuts down");
        self.ended.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

async fn accept(
    socket: TcpListener,
    config: ListenerConfig,
    handler: Arc<dyn Handler>,
    connections: TaskTracker,
    ended: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept_stream(&socket, &config.connection).await)
        };
        let (place, accepted) = tokio::select! {
            () = ended.cancelled() => return,
            next = next => next,
        };
        let started = accepted.and_then(|(stream, peer_addr)| {
            start(stream, peer_addr, config.connection.clone(), Arc::clone(&handler), &connections)
        });
        match started {
            Ok(connection) => {
                let ended = ended.clone();
                connections.spawn(async move {
                    tokio::select! {
                        _ = connection.closed() => {}
                        () = ended.cancelled() => connection.close("this side shuts down"),
                    }
                    connection.ended().await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A stream that is set to what each must be. One that cannot be set is closed already.
pub(super) async fn accept_stream(
    socket: &TcpListener,
    config: &ConnectionConfig,
) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer_addr) = socket.accept().await?;
    socket::prepare(&stream, config)?;
    Ok((stream, peer_addr))
}

fn start(
    stream: TcpStream,
    peer_addr: SocketAddr,
    config: ConnectionConfig,
    handler: Arc<dyn Handler>,
    tasks: &TaskTracker,
) -> io::Result<Connection> {
    let addresses = (stream.local_addr()?, peer_addr);
    Ok(Connection::start(stream, addresses, config, Side::Accepting, handler, tasks))
}
