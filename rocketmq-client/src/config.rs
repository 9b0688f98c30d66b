//! What producers and consumers have in common. Java: `ClientConfig`.

use std::time::Duration;

use rocketmq_protocol::address;

use crate::error::{Error, ErrorKind, Result};

/// The longest that a setting can be. Deadlines are moments, and the clock cannot count for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The shortest time between two rounds of a duty: none may spin.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// A timeout as it was set, a year at the most.
pub(crate) fn timeout(set: Duration) -> Duration {
    set.min(LONGEST)
}

/// An interval as it was set, 10 ms at the least and a year at the most.
pub(crate) fn interval(set: Duration) -> Duration {
    set.clamp(SHORTEST_INTERVAL, LONGEST)
}

/// The settings of a client, as its builder collects them.
#[derive(Clone, Debug)]
pub(crate) struct ClientConfig {
    pub(crate) namesrv_addr: Option<String>,
    pub(crate) client_ip: Option<String>,
    pub(crate) instance_name: Option<String>,
    pub(crate) unit_name: Option<String>,
    pub(crate) poll_name_server_interval: Duration,
    pub(crate) heartbeat_broker_interval: Duration,
    pub(crate) mq_client_api_timeout: Duration,
    pub(crate) connect_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            namesrv_addr: None,
            client_ip: None,
            instance_name: None,
            unit_name: None,
            poll_name_server_interval: Duration::from_secs(30),
            heartbeat_broker_interval: Duration::from_secs(30),
            mq_client_api_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
        }
    }
}

impl ClientConfig {
    /// The name servers: those configured, or else those of the environment variable `NAMESRV_ADDR`.
    pub(crate) fn name_servers(&self) -> Result<Vec<String>> {
        let configured = self.namesrv_addr.clone().or_else(|| std::env::var("NAMESRV_ADDR").ok());
        parse_name_servers(configured.as_deref().unwrap_or_default())
    }
}

/// Splits `host:port;host:port` and checks each part.
fn parse_name_servers(list: &str) -> Result<Vec<String>> {
    let mut addresses = Vec::new();
    for part in list.split([';', ',']).map(str::trim).filter(|part| !part.is_empty()) {
        if part.starts_with("http://") || part.starts_with("https://") {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("namesrv_addr {part:?}: discovery over HTTP is not supported yet; give host:port"),
            ));
        }
        address::split(part).map_err(|error| {
            let why = format!("namesrv_addr {part:?} is no address: {error}");
            Error::new(ErrorKind::InvalidConfig, why).with_source(error)
        })?;
        addresses.push(part.to_owned());
    }
    if addresses.is_empty() {
        return Err(Error::new(
            ErrorKind::NoNameServer,
            "No name server address, please set it: namesrv_addr(\"host:9876\") on the builder, or the environment \
             variable NAMESRV_ADDR",
        ));
    }
    Ok(addresses)
}

/// Adds the setters of [`ClientConfig`] to a builder that holds one in its field `client`.
macro_rules! client_config_setters {
    () => {
        /// The name servers as `host:port`, several joined by `;`. Host names are resolved again at every connect, and an
        /// IPv6 address stands in brackets.
        /// Default: the environment variable `NAMESRV_ADDR`. Java: `setNamesrvAddr`.
        #[doc(alias = "setNamesrvAddr")]
        pub fn namesrv_addr(mut self, namesrv_addr: impl Into<String>) -> Self {
            self.client.namesrv_addr = Some(namesrv_addr.into());
            self
        }

        /// The address in the client id. Default: the local address that leads to the name servers.
        #[doc(alias = "setClientIP")]
        pub fn client_ip(mut self, client_ip: impl Into<String>) -> Self {
            self.client.client_ip = Some(client_ip.into());
            self
        }

        /// Sets clients of one address apart. Clients with the same name, name servers and address share connections,
        /// routes and heartbeats. Default: a name of its own for every client.
        #[doc(alias = "setInstanceName")]
        pub fn instance_name(mut self, instance_name: impl Into<String>) -> Self {
            self.client.instance_name = Some(instance_name.into());
            self
        }

        /// Becomes the last part of the client id, for deployments in units. Default: none.
        #[doc(alias = "setUnitName")]
        pub fn unit_name(mut self, unit_name: impl Into<String>) -> Self {
            self.client.unit_name = Some(unit_name.into());
            self
        }

        /// How often the routes of all topics in use are asked for. Default 30 s, at least 10 ms. They are also asked
        /// for at once when a connection fails.
        #[doc(alias = "setPollNameServerInterval")]
        pub fn poll_name_server_interval(mut self, interval: std::time::Duration) -> Self {
            self.client.poll_name_server_interval = crate::config::interval(interval);
            self
        }

        /// How often the brokers are told that this client lives. Default 30 s, at least 10 ms. Brokers forget a
        /// client after 120 s.
        #[doc(alias = "setHeartbeatBrokerInterval")]
        pub fn heartbeat_broker_interval(mut self, interval: std::time::Duration) -> Self {
            self.client.heartbeat_broker_interval = crate::config::interval(interval);
            self
        }

        /// How long name servers and heartbeats may take to answer. Default 3 s.
        #[doc(alias = "setMqClientApiTimeout")]
        pub fn mq_client_api_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.client.mq_client_api_timeout = crate::config::timeout(timeout);
            self
        }

        /// How long connecting to a broker or name server may take, name resolution included. Default 3 s.
        pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.client.connect_timeout = crate::config::timeout(timeout);
            self
        }
    };
}
pub(crate) use client_config_setters;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_name_servers() {
        assert_eq!(parse_name_servers("a:1; b:2;").unwrap(), ["a:1", "b:2"]);
        assert_eq!(parse_name_servers("[::1]:9876").unwrap(), ["[::1]:9876"]);
        assert_eq!(parse_name_servers("").unwrap_err().kind(), ErrorKind::NoNameServer);
        for wrong in ["host", "host:", ":1", "host:99999", "http://host/rocketmq/nsaddr"] {
            assert_eq!(parse_name_servers(wrong).unwrap_err().kind(), ErrorKind::InvalidConfig, "{wrong}");
        }
        let error = parse_name_servers("::1:9876").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("[::1]:9876"), "{error}");
    }
}
