//! The bits of a message's `sysFlag`.

use crate::compression::CompressionType;

/// What RocketMQ itself says about a stored message, beside its properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "MessageSysFlag")]
pub struct SysFlag(pub i32);

impl SysFlag {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The topic filters by several tags.
    pub const MULTI_TAGS: i32 = 0x2;
    /// A half message of a transaction.
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    /// A committed message of a transaction.
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    /// A rolled-back message of a transaction; also the mask of the transaction bits.
    pub const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// The born host is an IPv6 address.
    pub const BORN_HOST_V6: i32 = 0x10;
    /// The store host is an IPv6 address.
    pub const STORE_HOST_V6: i32 = 0x20;

    const COMPRESSION_MASK: i32 = 0x700;

    /// True if every bit of `bits` is set.
    #[must_use]
    pub fn has(self, bits: i32) -> bool {
        self.0 & bits == bits
    }

    /// The flag with `bits` set.
    #[must_use]
    pub fn with(self, bits: i32) -> Self {
        Self(self.0 | bits)
    }

    /// The flag without `bits`.
    #[must_use]
    pub fn without(self, bits: i32) -> Self {
        Self(self.0 & !bits)
    }

    /// The transaction bits: none, prepared, commit or rollback.
    #[must_use]
    pub fn transaction(self) -> i32 {
        self.0 & Self::TRANSACTION_ROLLBACK
    }

    /// The flag of a body compressed with `kind`.
    #[must_use]
    pub fn with_compression(self, kind: CompressionType) -> Self {
        let bits = match kind {
            CompressionType::Lz4 => 1 << 8,
            CompressionType::Zstd => 2 << 8,
            CompressionType::Zlib => 3 << 8,
        };
        Self(self.0 & !Self::COMPRESSION_MASK | bits | Self::COMPRESSED)
    }

    /// What says how the body is compressed, and nothing else: for a message whose body is sent on as it is.
    #[must_use]
    pub fn compression_only(self) -> Self {
        Self(self.0 & (Self::COMPRESSION_MASK | Self::COMPRESSED))
    }

    /// How the body is compressed; `None` when it is not. Releases before 4.9.4 name no type and mean zlib.
    ///
    /// # Errors
    /// The type's number when it is none of those known.
    pub fn compression(self) -> Result<Option<CompressionType>, i32> {
        if !self.has(Self::COMPRESSED) {
            return Ok(None);
        }
        match (self.0 & Self::COMPRESSION_MASK) >> 8 {
            0 | 3 => Ok(Some(CompressionType::Zlib)),
            1 => Ok(Some(CompressionType::Lz4)),
            2 => Ok(Some(CompressionType::Zstd)),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_of_a_java_producer_is_769() {
        assert_eq!(SysFlag::default().with_compression(CompressionType::Zlib).0, 769);
        assert_eq!(SysFlag(769).compression(), Ok(Some(CompressionType::Zlib)));
        assert_eq!(SysFlag(1).compression(), Ok(Some(CompressionType::Zlib)));
        assert_eq!(SysFlag(768).compression(), Ok(None));
        assert_eq!(SysFlag(0x701).compression(), Err(7));
    }
}
