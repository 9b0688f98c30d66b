//! The record of one message: how it lies in the commit log and in the answer to a pull.
//!
//! ```text
//! total size  4 | magic 4 | body CRC 4 | queue id 4 | flag 4 | queue offset 8 | physical offset 8 | sysFlag 4
//! born timestamp 8 | born host 4 or 16, port 4 | store timestamp 8 | store host 4 or 16, port 4
//! reconsume times 4 | prepared transaction offset 8
//! body length 4, body | topic length 1 (v1) or 2 (v2), topic | properties length 2, properties
//! ```
//!
//! All integers are big-endian. The sysFlag says which hosts are IPv6 addresses. Where a log file has no room for the
//! next record, a *blank* fills it: its remaining size and the blank magic.

use std::net::{IpAddr, SocketAddr};

use bytes::BufMut;

use super::SysFlag;
use super::properties::MAX_PROPERTIES_BYTES;

/// Marks a record whose topic's length is one byte.
pub const MAGIC_V1: i32 = -626_843_481;
/// Marks a record whose topic's length is two bytes (5.1 and later).
pub const MAGIC_V2: i32 = -626_843_477;
/// Marks the unused end of a log file.
pub const MAGIC_BLANK: i32 = -875_286_124;
/// The bytes that a blank needs, and which every log file keeps free at its end.
pub const BLANK_BYTES: usize = 8;

const MAGIC_AT: usize = 4;
const BODY_CRC_AT: usize = 8;
const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = 28;
const SYS_FLAG_AT: usize = 36;
const BORN_HOST_AT: usize = 48;
/// Everything but hosts, body, topic and properties, with v1's topic length.
const FIXED_BYTES: usize = 75;

/// One message as it is stored, borrowed from where its parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The queue's number.
    pub queue_id: i32,
    /// The producer's own number.
    pub flag: i32,
    /// The place in the queue.
    pub queue_offset: i64,
    /// The first byte's place in the log.
    pub physical_offset: i64,
    /// RocketMQ's own flags. The bits for IPv6 hosts are set by the encoder.
    pub sys_flag: SysFlag,
    /// When the producer made it, in milliseconds since 1970.
    pub born_timestamp: i64,
    /// The producer's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, in milliseconds since 1970.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often it was given back.
    pub reconsume_times: i32,
    /// The half message's physical offset.
    pub prepared_transaction_offset: i64,
    /// The body as it was sent.
    pub body: &'a [u8],
    /// The topic; at most 127 bytes in a v1 record, which is written unless the topic is longer.
    pub topic: &'a [u8],
    /// The encoded properties, at most 32,767 bytes.
    pub properties: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("a record of {wanted_bytes} bytes ends after {found_bytes}")]
    Truncated {
        /// The bytes that a record needs, as far as that is known.
        wanted_bytes: usize,
        /// The bytes there are.
        found_bytes: usize,
    },
    /// The file is not used from here on.
    #[error("the log file is not used from here on")]
    Blank,
    /// The magic is none of a record's.
    #[error("{0:#x} is not a record's magic")]
    BadMagic(i32),
    /// The lengths inside the record do not add up to its size, or are negative.
    #[error("the record's {0} does not fit its total size")]
    BadLength(&'static str),
    /// The body is not the one that was stored.
    #[error("the body's checksum is {found:#x}, the record says {stored:#x}")]
    BadCrc {
        /// The checksum in the record.
        stored: i32,
        /// The checksum of the body there is.
        found: i32,
    },
    /// The message cannot be put in a record.
    #[error("the {what} is {found_bytes} bytes long, and a record holds at most {limit_bytes}")]
    TooLong {
        /// The part.
        what: &'static str,
        /// Its length.
        found_bytes: usize,
        /// The most that fits.
        limit_bytes: usize,
    },
}

impl<'a> Record<'a> {
    /// Reads the record that `bytes` starts with. The body's checksum is not verified: see
    /// [`verify_crc`](Self::verify_crc).
    ///
    /// # Errors
    /// Anything but a whole, well-formed record.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let found_bytes = bytes.len();
        let head = bytes.get(..8).ok_or(RecordError::Truncated { wanted_bytes: 8, found_bytes })?;
        let version_two = match i32_at(head, MAGIC_AT) {
            MAGIC_V1 => false,
            MAGIC_V2 => true,
            MAGIC_BLANK => return Err(RecordError::Blank),
            other => return Err(RecordError::BadMagic(other)),
        };
        let wanted_bytes =
            usize::try_from(i32_at(head, 0)).map_err(|_| RecordError::BadLength("total size"))?;
        let mut reader =
            Reader(bytes.get(..wanted_bytes).ok_or(RecordError::Truncated { wanted_bytes, found_bytes })?);
        reader.take(12, "head")?;
        let queue_id = reader.i32("queue id")?;
        let flag = reader.i32("flag")?;
        let queue_offset = reader.i64("queue offset")?;
        let physical_offset = reader.i64("physical offset")?;
        let sys_flag = SysFlag(reader.i32("sysFlag")?);
        let record = Self {
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born_timestamp: reader.i64("born timestamp")?,
            born_host: reader.host(sys_flag.has(SysFlag::BORN_HOST_V6), "born host")?,
            store_timestamp: reader.i64("store timestamp")?,
            store_host: reader.host(sys_flag.has(SysFlag::STORE_HOST_V6), "store host")?,
            reconsume_times: reader.i32("reconsume times")?,
            prepared_transaction_offset: reader.i64("prepared transaction offset")?,
            body: reader.sized(4, "body")?,
            topic: reader.sized(if version_two { 2 } else { 1 }, "topic")?,
            properties: reader.sized(2, "properties")?,
        };
        if reader.0.is_empty() { Ok(record) } else { Err(RecordError::BadLength("total size")) }
    }

    /// Checks that `bytes`, from which this record was parsed, still hold the body that was stored.
    ///
    /// # Errors
    /// [`RecordError::BadCrc`].
    pub fn verify_crc(&self, bytes: &[u8]) -> Result<(), RecordError> {
        let (stored, found) = (stored_crc(bytes), self.body_crc());
        if self.body.is_empty() || stored == found {
            Ok(())
        } else {
            Err(RecordError::BadCrc { stored, found })
        }
    }

    /// The checksum of the body: CRC-32 without its highest bit, 0 for an empty one.
    #[must_use]
    pub fn body_crc(&self) -> i32 {
        (crc32fast::hash(self.body) & 0x7FFF_FFFF).cast_signed()
    }

    /// The size that [`encode`](Self::encode) gives the record: that of a v2 record which was read may be one more.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let wide_topic = usize::from(self.topic.len() > super::MAX_TOPIC_BYTES);
        FIXED_BYTES
            + wide_topic
            + host_bytes(self.born_host)
            + host_bytes(self.store_host)
            + self.body.len()
            + self.topic.len()
            + self.properties.len()
    }

    /// Appends the record to `out`.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] for a part that a record cannot hold; `out` is left as it was.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), RecordError> {
        let limit = |what, found_bytes, limit_bytes| match found_bytes > limit_bytes {
            true => Err(RecordError::TooLong { what, found_bytes, limit_bytes }),
            false => Ok(()),
        };
        limit("topic", self.topic.len(), i16::MAX as usize)?;
        limit("properties", self.properties.len(), MAX_PROPERTIES_BYTES)?;
        limit("body", self.body.len(), i32::MAX as usize / 2)?;
        let version_two = self.topic.len() > super::MAX_TOPIC_BYTES;
        put_length(out, 4, self.encoded_len());
        out.put_i32(if version_two { MAGIC_V2 } else { MAGIC_V1 });
        out.put_i32(self.body_crc());
        out.put_i32(self.queue_id);
        out.put_i32(self.flag);
        out.put_i64(self.queue_offset);
        out.put_i64(self.physical_offset);
        out.put_i32(self.flagged_hosts().0);
        out.put_i64(self.born_timestamp);
        put_host(out, self.born_host);
        out.put_i64(self.store_timestamp);
        put_host(out, self.store_host);
        out.put_i32(self.reconsume_times);
        out.put_i64(self.prepared_transaction_offset);
        put_length(out, 4, self.body.len());
        out.put_slice(self.body);
        put_length(out, if version_two { 2 } else { 1 }, self.topic.len());
        out.put_slice(self.topic);
        put_length(out, 2, self.properties.len());
        out.put_slice(self.properties);
        Ok(())
    }

    fn flagged_hosts(&self) -> SysFlag {
        let mut flag = self.sys_flag.without(SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            flag = flag.with(SysFlag::BORN_HOST_V6);
        }
        if self.store_host.is_ipv6() {
            flag = flag.with(SysFlag::STORE_HOST_V6);
        }
        flag
    }
}

/// The size that a record, whole or not, says it has.
pub(super) fn stored_size(record: &[u8]) -> i32 {
    i32_at(record, 0)
}

/// The body's checksum as a record holds it.
pub(super) fn stored_crc(record: &[u8]) -> i32 {
    i32_at(record, BODY_CRC_AT)
}

/// What the log decides about a record at the moment of its append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The place in the queue.
    pub queue_offset: i64,
    /// The first byte's place in the log.
    pub physical_offset: i64,
    /// The moment, in milliseconds since 1970.
    pub store_timestamp: i64,
}

/// Writes its placement into an encoded record.
///
/// # Panics
/// If `record` is not the output of [`Record::encode`].
pub fn place(record: &mut [u8], placement: Placement) {
    let born_host_bytes =
        if SysFlag(i32_at(record, SYS_FLAG_AT)).has(SysFlag::BORN_HOST_V6) { 20 } else { 8 };
    let store_timestamp_at = BORN_HOST_AT + born_host_bytes;
    record[QUEUE_OFFSET_AT..][..8].copy_from_slice(&placement.queue_offset.to_be_bytes());
    record[PHYSICAL_OFFSET_AT..][..8].copy_from_slice(&placement.physical_offset.to_be_bytes());
    record[store_timestamp_at..][..8].copy_from_slice(&placement.store_timestamp.to_be_bytes());
}

/// Takes fields off the front of a record; every method names the field for the error.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(RecordError::BadLength(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordError> {
        self.take(N, what)?.try_into().map_err(|_| RecordError::BadLength(what))
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, RecordError> {
        self.array(what).map(i32::from_be_bytes)
    }

    fn i64(&mut self, what: &'static str) -> Result<i64, RecordError> {
        self.array(what).map(i64::from_be_bytes)
    }

    fn host(&mut self, v6: bool, what: &'static str) -> Result<SocketAddr, RecordError> {
        let ip: IpAddr = if v6 { self.array::<16>(what)?.into() } else { self.array::<4>(what)?.into() };
        let port = u16::try_from(self.i32(what)?).map_err(|_| RecordError::BadLength(what))?;
        Ok(SocketAddr::new(ip, port))
    }

    fn sized(&mut self, length_bytes: usize, what: &'static str) -> Result<&'a [u8], RecordError> {
        let length =
            self.take(length_bytes, what)?.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        self.take(length, what)
    }
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn host_bytes(host: SocketAddr) -> usize {
    if host.is_ipv6() { 20 } else { 8 }
}

fn put_host(out: &mut impl BufMut, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_u32(u32::from(host.port()));
}

/// Writes a length, whose limit was checked before, in so many bytes.
fn put_length(out: &mut impl BufMut, length_bytes: usize, length: usize) {
    out.put_uint(length as u64, length_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample<'a>(body: &'a [u8], topic: &'a [u8], properties: &'a [u8]) -> Record<'a> {
        Record {
            queue_id: 3,
            flag: 7,
            queue_offset: 11,
            physical_offset: 13,
            sys_flag: SysFlag(0),
            born_timestamp: 17,
            born_host: "10.0.0.1:4000".parse().unwrap(),
            store_timestamp: 19,
            store_host: "127.0.0.1:10911".parse().unwrap(),
            reconsume_times: 2,
            prepared_transaction_offset: 23,
            body,
            topic,
            properties,
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut bytes = Vec::new();
        sample(b"body", b"topic", b"a\x011\x02").encode(&mut bytes).unwrap();
        assert!(Record::parse(&bytes).is_ok());
        for end in 0..bytes.len() {
            assert!(Record::parse(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
        }
    }

    #[test]
    fn a_changed_body_is_found() {
        let mut bytes = Vec::new();
        sample(b"body", b"topic", b"").encode(&mut bytes).unwrap();
        assert_eq!(Record::parse(&bytes).unwrap().verify_crc(&bytes), Ok(()));
        let at = bytes.windows(4).position(|window| window == b"body").unwrap();
        bytes[at] ^= 1;
        assert!(matches!(Record::parse(&bytes).unwrap().verify_crc(&bytes), Err(RecordError::BadCrc { .. })));
    }

    #[test]
    fn placement_reaches_its_fields_in_both_address_families() {
        for host in ["10.0.0.1:4000", "[::1]:4000"] {
            let mut bytes = Vec::new();
            let record = Record { born_host: host.parse().unwrap(), ..sample(b"b", b"t", b"p") };
            record.encode(&mut bytes).unwrap();
            place(&mut bytes, Placement { queue_offset: 101, physical_offset: 103, store_timestamp: 107 });
            let placed = Record::parse(&bytes).unwrap();
            assert_eq!(
                (placed.queue_offset, placed.physical_offset, placed.store_timestamp),
                (101, 103, 107)
            );
            assert_eq!(placed.body, b"b");
        }
    }

    #[test]
    fn too_long_properties_are_refused_by_name() {
        let properties = vec![b'x'; MAX_PROPERTIES_BYTES + 1];
        let error = sample(b"", b"t", &properties).encode(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, RecordError::TooLong { what: "properties", .. }), "{error}");
    }

    proptest! {
        #[test]
        fn records_round_trip(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            topic in proptest::collection::vec(any::<u8>(), 1..200),
            properties in proptest::collection::vec(any::<u8>(), 0..300),
            born_v6: bool, store_v6: bool, numbers: [i64; 5], small: [i32; 3],
        ) {
            let host = |v6: bool| if v6 { "[2001:db8::7]:65535" } else { "1.2.3.4:1" }.parse().unwrap();
            let record = Record {
                queue_id: small[0], flag: small[1], queue_offset: numbers[0], physical_offset: numbers[1],
                sys_flag: SysFlag(0), born_timestamp: numbers[2], born_host: host(born_v6),
                store_timestamp: numbers[3], store_host: host(store_v6), reconsume_times: small[2],
                prepared_transaction_offset: numbers[4], body: &body, topic: &topic, properties: &properties,
            };
            let record = Record { sys_flag: record.flagged_hosts(), ..record };
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            prop_assert_eq!(bytes.len(), record.encoded_len());
            prop_assert_eq!(Record::parse(&bytes), Ok(record));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse(&bytes);
        }
    }
}
