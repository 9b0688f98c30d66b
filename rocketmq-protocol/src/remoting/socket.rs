//! What every TCP socket is set to, on both sides.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::ConnectionConfig;

/// A silent connection is probed after this, so that one whose peer has vanished ends also when nobody writes.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(30);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) fn prepare(stream: &TcpStream, config: &ConnectionConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_TIME).with_interval(KEEP_ALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.tcp_user_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = config;
    Ok(())
}
