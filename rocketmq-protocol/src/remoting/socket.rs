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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::{connect, listener};

    #[tokio::test]
    async fn both_sides_probe_silent_peers_and_give_up_those_that_acknowledge_nothing() {
        let config = ConnectionConfig { tcp_user_timeout: Duration::from_secs(7), ..Default::default() };
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap().to_string();
        let (connecting, accepting) =
            tokio::join!(connect::open_stream(&addr, &config), listener::accept_stream(&socket, &config));
        for stream in [connecting.unwrap(), accepting.unwrap().0] {
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE_TIME);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEP_ALIVE_INTERVAL);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(config.tcp_user_timeout));
        }
    }
}
