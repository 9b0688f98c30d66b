//! The connecting side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio_util::task::TaskTracker;

use super::config::Side;
use super::{Connection, ConnectionConfig, Handler, RemotingError, socket};

/// Connects to `addr` (`host:port`): a host name is resolved again each time, and each of its addresses is tried within
/// the timeout. The connection's task runs on `tasks`.
///
/// # Errors
/// [`RemotingError::Connect`] with the last address's error.
///
/// # Cancel safety
/// Dropping the call leaves no connection behind.
pub async fn connect(
    addr: &str,
    timeout: Duration,
    config: ConnectionConfig,
    handler: Arc<dyn Handler>,
    tasks: &TaskTracker,
) -> Result<Connection, RemotingError> {
    let connecting = tokio::time::timeout(timeout, open_stream(addr, &config));
    let stream = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let connected = stream.and_then(|stream| {
        let addresses = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Connection::start(stream, addresses, config, Side::Connecting, handler, tasks))
    });
    connected.map_err(|error| RemotingError::Connect { addr: addr.into(), source: Arc::new(error) })
}

/// A stream that is set to what each must be.
pub(super) async fn open_stream(addr: &str, config: &ConnectionConfig) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in lookup_host(addr).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return socket::prepare(&stream, config).map(|()| stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
