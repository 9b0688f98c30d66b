//! Message bodies: zlib, lz4 (frame format) and zstd.

mod lz4;
mod zstd;

use std::io::{self, Read};

use bytes::Bytes;

use crate::message::SysFlag;

/// How a message body is compressed. Java: `CompressionType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionType {
    /// The frame format of LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
    /// zlib (RFC 1950), what every release reads.
    Zlib,
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// The sysFlag names a compression type that RocketMQ does not have.
    #[error("sysFlag names the unknown compression type {0}")]
    UnknownType(i32),
    /// The bytes are not what the sysFlag says.
    #[error("the body is not valid {kind:?} data: {source}")]
    Corrupt {
        /// What the bytes were taken for.
        kind: CompressionType,
        /// What the decoder said.
        source: io::Error,
    },
    /// The plain body would be larger than the limit.
    #[error("the decompressed body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

/// Compresses a body with zlib. Levels run from 0 to 9; Java's default is 5.
#[must_use]
pub fn compress_zlib(body: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 2 + 64);
    let mut encoder = flate2::read::ZlibEncoder::new(body, flate2::Compression::new(level.min(9)));
    encoder.read_to_end(&mut out).expect("reading from and writing to memory cannot fail");
    out
}

/// The plain body of a message as its `sys_flag` says; a body that is not compressed is returned as it is. What a body
/// says about itself reserves nothing beyond a small multiple of the limit.
///
/// # Errors
/// An unknown type, bytes that are not of that type, or a plain body above `limit_bytes`.
pub fn decompress(body: &Bytes, sys_flag: SysFlag, limit_bytes: usize) -> Result<Bytes, DecompressError> {
    let Some(kind) = sys_flag.compression().map_err(DecompressError::UnknownType)? else {
        return Ok(body.clone());
    };
    let corrupt = |source| DecompressError::Corrupt { kind, source };
    let mut plain = Vec::with_capacity(body.len().saturating_mul(4).min(limit_bytes));
    // One byte beyond the limit tells a body that is too large from one that just fits.
    let take = limit_bytes as u64 + 1;
    match kind {
        CompressionType::Zlib => {
            let mut decoder = flate2::read::ZlibDecoder::new(&body[..]).take(take);
            decoder.read_to_end(&mut plain).map_err(corrupt)?;
        }
        CompressionType::Lz4 => lz4::decompress(body, limit_bytes, &mut plain).map_err(corrupt)?,
        CompressionType::Zstd => zstd::decompress(body, limit_bytes, &mut plain).map_err(corrupt)?,
    }
    if plain.len() > limit_bytes {
        return Err(DecompressError::TooLarge { limit_bytes });
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_round_trips_and_starts_as_javas() {
        let body = Bytes::from(b"hello ".repeat(1000));
        let packed = compress_zlib(&body, 5);
        assert_eq!(packed[..2], [0x78, 0x5e]);
        let plain = decompress(&packed.into(), SysFlag(769), 1 << 20).unwrap();
        assert_eq!(plain, body);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let packed = Bytes::from(compress_zlib(&vec![0; 1 << 20], 9));
        let error = decompress(&packed, SysFlag(769), 1000).unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { limit_bytes: 1000 }), "{error}");
    }

    #[test]
    fn garbage_is_an_error_in_every_type() {
        for flag in [0x101, 0x201, 0x301, 0x501] {
            assert!(decompress(&Bytes::from_static(b"garbage"), SysFlag(flag), 1000).is_err(), "{flag:#x}");
        }
    }
}
