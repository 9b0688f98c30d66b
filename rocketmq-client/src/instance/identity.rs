//! Who a client is: its address, its id, and the ids it gives to messages.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_protocol::message::id::MessageIdGenerator;

use crate::config::ClientConfig;

/// An address for documentation (RFC 5737): it is routed as any other, and nobody is there.
const ANYWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

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

/// The local address from which the first name server that can be resolved within `timeout` is reached; nothing is sent.
/// Without one, the address of the default route; the loopback address if there is none.
pub(super) async fn local_ip(name_servers: &[String], timeout: Duration) -> IpAddr {
    let resolve = |addr: String| async move { tokio::net::lookup_host(addr).await.ok()?.next() };
    let target = first_resolved(name_servers, timeout, resolve).await;
    let target = target.unwrap_or(SocketAddr::from((ANYWHERE, 9)));
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(target)?;
        socket.local_addr()
    });
    local.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |addr| addr.ip())
}

/// A resolver that hangs costs its share of the time, and none longer than all of it.
async fn first_resolved<F>(
    name_servers: &[String],
    timeout: Duration,
    resolve: impl Fn(String) -> F,
) -> Option<SocketAddr>
where
    F: Future<Output = Option<SocketAddr>>,
{
    let share = timeout / u32::try_from(name_servers.len().max(1)).unwrap_or(u32::MAX);
    for addr in name_servers {
        match tokio::time::timeout(share, resolve(addr.clone())).await {
            Ok(Some(target)) => return Some(target),
            Ok(None) => tracing::warn!(%addr, "a name server's host name cannot be resolved"),
            Err(_) => tracing::warn!(%addr, "a name server's host name is not resolved in time"),
        }
    }
    None
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

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_holds_up_the_start_only_for_its_share() {
        let servers = ["hangs:1".to_owned(), "works:1".to_owned()];
        let resolve = |addr: String| async move {
            if addr == "hangs:1" {
                std::future::pending::<()>().await;
            }
            "127.0.0.1:1".parse().ok()
        };
        let started = tokio::time::Instant::now();
        let timeout = Duration::from_secs(4);
        assert!(first_resolved(&servers, timeout, resolve).await.is_some());
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        assert_eq!(first_resolved(&servers[..1], timeout, resolve).await, None);
        assert_eq!(started.elapsed(), Duration::from_secs(6));
    }

    #[tokio::test]
    async fn the_address_is_that_which_leads_to_the_name_server() {
        let ip = local_ip(&["127.0.0.1:9876".to_owned()], Duration::from_secs(3)).await;
        assert_eq!(ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
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
