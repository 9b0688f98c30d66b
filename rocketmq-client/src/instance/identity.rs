//! Who a client is: its address, its id, and the ids it gives to messages.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rocketmq_protocol::message::id::MessageIdGenerator;

use crate::config::ClientConfig;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `ip@instance` or `ip@instance@unit`. Without a configured name every client gets one of its own.
pub(super) fn client_id(config: &ClientConfig, ip: IpAddr) -> String {
    let ip = config.client_ip.clone().unwrap_or_else(|| ip.to_string());
    let instance = config
        .instance_name
        .clone()
        .unwrap_or_else(|| format!("{}#{}", std::process::id(), rand::random::<u64>() >> 1));
    match config.unit_name.as_deref().map(str::trim) {
        Some(unit) if !unit.is_empty() => format!("{ip}@{instance}@{unit}"),
        _ => format!("{ip}@{instance}"),
    }
}

/// The local address from which `name_server` is reached; nothing is sent. The loopback address if there is none.
pub(super) async fn local_ip(name_server: &str) -> IpAddr {
    let fallback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(mut addresses) = tokio::net::lookup_host(name_server).await else { return fallback };
    let Some(target) = addresses.next() else { return fallback };
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(target)?;
        socket.local_addr()
    });
    local.map_or(fallback, |addr| addr.ip())
}

/// Gives ids to messages.
#[derive(Debug)]
pub(crate) struct MessageIds {
    generator: MessageIdGenerator,
    /// When the current month began in the local time zone, and when the next one does.
    month_start_ms: AtomicI64,
    next_month_ms: AtomicI64,
}

impl MessageIds {
    pub(super) fn new(ip: IpAddr) -> Self {
        let generator = MessageIdGenerator::new(ip, std::process::id(), rand::random());
        Self { generator, month_start_ms: AtomicI64::new(0), next_month_ms: AtomicI64::new(0) }
    }

    /// The id of a message made at `now_ms`.
    pub(crate) fn next_id(&self, now_ms: i64) -> String {
        if now_ms >= self.next_month_ms.load(Ordering::Acquire) {
            let (start, next) = month_bounds(now_ms);
            self.month_start_ms.store(start, Ordering::Release);
            self.next_month_ms.store(next, Ordering::Release);
        }
        let since = now_ms - self.month_start_ms.load(Ordering::Acquire);
        // A clock that was set back across the month's start counts as the start.
        self.generator.next_id(u32::try_from(since).unwrap_or(0))
    }
}

/// The month around `now_ms` in the local time zone.
fn month_bounds(now_ms: i64) -> (i64, i64) {
    let bounds = || -> Result<(i64, i64), jiff::Error> {
        let now = jiff::Timestamp::from_millisecond(now_ms)?.to_zoned(jiff::tz::TimeZone::system());
        let start = now.first_of_month()?.start_of_day()?;
        let next = start.checked_add(jiff::Span::new().months(1))?;
        Ok((start.timestamp().as_millisecond(), next.timestamp().as_millisecond()))
    };
    // Only times outside of jiff's thousands of years get here.
    bounds().unwrap_or((now_ms, i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_holds_its_moment() {
        let now = now_ms();
        let (start, next) = month_bounds(now);
        assert!(start <= now && now < next, "{start} {now} {next}");
        assert!((27..=32).contains(&((next - start) / 86_400_000)));
    }

    #[test]
    fn client_ids_differ_unless_named() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let unnamed = ClientConfig::default();
        assert_ne!(client_id(&unnamed, ip), client_id(&unnamed, ip));
        let named = ClientConfig {
            instance_name: Some("a".into()),
            unit_name: Some("u".into()),
            ..ClientConfig::default()
        };
        assert_eq!(client_id(&named, ip), "127.0.0.1@a@u");
    }
}
