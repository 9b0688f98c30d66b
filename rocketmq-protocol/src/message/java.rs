//! Habits of the Java platform that show on the wire and in print.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Java's `String.hashCode`: what a consume queue holds of a tag.
#[must_use]
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The order in which a Java `HashMap` of default capacity, filled in the order of `entries`, lists its entries.
/// The names must be distinct, and no more than eight of them share a bucket, as none do that were not chosen to.
#[must_use]
pub fn hash_map_order<'a>(entries: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut capacity = 16usize;
    while entries.len() > capacity / 4 * 3 {
        capacity *= 2;
    }
    let bucket = |name: &str| {
        let hash = string_hash(name).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (capacity - 1)
    };
    let mut ordered = entries.to_vec();
    // Stable: entries of one bucket stay in the order in which they were put.
    ordered.sort_by_key(|(name, _)| bucket(name));
    ordered
}

/// An address as `InetSocketAddress` prints it: no part of an IPv6 address is left out.
pub(super) struct JavaHost(pub(super) SocketAddr);

impl fmt::Display for JavaHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port();
        match self.0.ip() {
            IpAddr::V4(ip) => write!(f, "/{ip}:{port}"),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, g, h, i] = ip.segments();
                write!(f, "/[{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{g:x}:{h:x}:{i:x}]:{port}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(string_hash("TagA"), 2_598_919);
        assert_eq!(string_hash("中文"), 646_394);
        assert_eq!(string_hash(""), 0);
    }
}
