//! The two ids of a message.
//!
//! The *message id* (property `UNIQ_KEY`) is made by the producer before it sends:
//!
//! ```text
//! ip (4 or 16 bytes) | process id (2) | discriminator (4) | ms since the month began (4) | counter (2)
//! ```
//!
//! The *offset message id* says where the broker stored the message:
//!
//! ```text
//! ip of the store (4 or 16 bytes) | port (4) | physical offset in the commit log (8)
//! ```
//!
//! Both are written as upper-case hexadecimal digits.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use bytestring::ByteString;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Makes message ids that no other generator makes.
#[derive(Debug)]
pub struct MessageIdGenerator {
    /// The hexadecimal digits that never change: ip, process id, discriminator.
    prefix: String,
    counter: AtomicU16,
}

impl MessageIdGenerator {
    /// A generator for this process. `discriminator` sets apart the generators of one process: make it random.
    /// Java puts its class loader's hash code there.
    #[must_use]
    pub fn new(ip: IpAddr, process_id: u32, discriminator: u32) -> Self {
        let mut prefix = String::with_capacity(44);
        push_ip(&mut prefix, ip);
        push_hex(&mut prefix, &process_id.to_be_bytes()[2..]);
        push_hex(&mut prefix, &discriminator.to_be_bytes());
        Self { prefix, counter: AtomicU16::new(0) }
    }

    /// The next id: 32 digits (56 with an IPv6 address). `millis_of_month` is the time since the current month began
    /// in the local time zone; the counter wraps, so ids repeat only if 65,536 are made within one millisecond.
    pub fn next_id(&self, millis_of_month: u32) -> String {
        let mut id = String::with_capacity(self.prefix.len() + 12);
        id.push_str(&self.prefix);
        push_hex(&mut id, &millis_of_month.to_be_bytes());
        push_hex(&mut id, &self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        id
    }
}

/// Where a broker stored a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetMessageId {
    /// The broker's address.
    pub store_host: SocketAddr,
    /// The message's first byte in the commit log.
    pub physical_offset: i64,
}

impl OffsetMessageId {
    /// Reads the 32 (IPv4) or 56 (IPv6) hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = parse_hex(text)?;
        let (ip, rest): (IpAddr, &[u8]) = match bytes.len() {
            16 => (<[u8; 4]>::try_from(&bytes[..4]).ok()?.into(), &bytes[4..]),
            28 => (<[u8; 16]>::try_from(&bytes[..16]).ok()?.into(), &bytes[16..]),
            _ => return None,
        };
        let port = u16::try_from(u32::from_be_bytes(rest[..4].try_into().ok()?)).ok()?;
        let physical_offset = i64::from_be_bytes(rest[4..].try_into().ok()?);
        Some(Self { store_host: SocketAddr::new(ip, port), physical_offset })
    }

    /// Appends the digits to `text`.
    pub fn push_to(&self, text: &mut String) {
        push_ip(text, self.store_host.ip());
        push_hex(text, &u32::from(self.store_host.port()).to_be_bytes());
        push_hex(text, &self.physical_offset.to_be_bytes());
    }

    /// The digits as a string that clones cheaply.
    #[must_use]
    pub fn to_shared(&self) -> ByteString {
        let mut text = String::with_capacity(56);
        self.push_to(&mut text);
        text.into()
    }
}

impl std::fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_shared())
    }
}

fn push_ip(text: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => push_hex(text, &ip.octets()),
        IpAddr::V6(ip) => push_hex(text, &ip.octets()),
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 0xF)]));
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_generator_differ_and_hold_their_parts() {
        let generator = MessageIdGenerator::new([10, 0, 0, 1].into(), 0x12345, 0xAABBCCDD);
        assert_eq!(generator.next_id(0x01020304), "0A0000012345AABBCCDD010203040000");
        assert_eq!(generator.next_id(0x01020304), "0A0000012345AABBCCDD010203040001");
    }

    #[test]
    fn offset_ids_round_trip_in_both_address_families() {
        for host in ["127.0.0.1:10911", "[2001:db8::1]:10911"] {
            let id = OffsetMessageId { store_host: host.parse().unwrap(), physical_offset: 1234 };
            assert_eq!(OffsetMessageId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(
            OffsetMessageId::parse("7F00000100002A9F00000000000004D2").unwrap().store_host.to_string(),
            "127.0.0.1:10911"
        );
    }

    #[test]
    fn anything_else_is_no_offset_id() {
        for text in [
            "",
            "7F",
            "ZZ00000100002A9F00000000000004D2",
            "7F00000100002A9F00000000000004D",
            "7F0000010FFF2A9F00000000000004D2",
        ] {
            assert_eq!(OffsetMessageId::parse(text), None, "{text}");
        }
    }
}
