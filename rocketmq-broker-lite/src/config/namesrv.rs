//! What a name server can be told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::rule::{Ip, Millis, Seconds, Whole};
use super::setting::settings;

/// What a name server can be told. `Default` suits embedding: it listens on a free port of the loopback address.
#[derive(Clone, Debug)]
pub struct NamesrvConfig {
    /// The address to listen on. Default 127.0.0.1; `mqnamesrv`: 0.0.0.0. Java: `bindAddress`.
    pub bind_address: IpAddr,
    /// The port to listen on; 0 takes a free one. Default 0; `mqnamesrv`: 9876. Java: `listenPort`.
    pub listen_port: u16,
    /// How often silent brokers are looked for. Default 5 s, at least 10 ms. Java: `scanNotActiveBrokerInterval`.
    pub scan_not_active_broker_interval: Duration,
    /// How long a broker may be silent that does not say itself how long it may be. Default 120 s, at least 100 ms.
    /// A constant in Java, so there is no property of that name: `brokerChannelExpiredTime` is ours.
    pub broker_channel_expired_time: Duration,
    /// How long a connection may be idle. Default 120 s, at least 1 s. Java: `serverChannelMaxIdleTimeSeconds`.
    pub server_channel_max_idle_time: Duration,
    /// How many connections there may be. Default 10,000. Java has no limit: `maxConnections` is ours.
    pub max_connections: usize,
}

settings! { NamesrvConfig {
    "bindAddress" => bind_address: Ip,
    "listenPort" => listen_port: Whole(0..=65_535),
    "scanNotActiveBrokerInterval" => scan_not_active_broker_interval: Millis(10..=3_600_000),
    "brokerChannelExpiredTime" => broker_channel_expired_time: Millis(100..=86_400_000),
    "serverChannelMaxIdleTimeSeconds" => server_channel_max_idle_time: Seconds(1..=86_400),
    "maxConnections" => max_connections: Whole(1..=1_000_000),
} }

impl Default for NamesrvConfig {
    fn default() -> Self {
        Self {
            bind_address: Ipv4Addr::LOCALHOST.into(),
            listen_port: 0,
            scan_not_active_broker_interval: Duration::from_secs(5),
            broker_channel_expired_time: Duration::from_secs(120),
            server_channel_max_idle_time: Duration::from_secs(120),
            max_connections: 10_000,
        }
    }
}

impl NamesrvConfig {
    /// The configuration that `mqnamesrv` starts from: every address, port 9876.
    #[must_use]
    pub fn standalone() -> Self {
        Self { bind_address: Ipv4Addr::UNSPECIFIED.into(), listen_port: 9876, ..Self::default() }
    }

    /// Where to listen.
    pub(crate) fn listen_addr(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.listen_port)
    }
}
