//! Frames on a connection:
//!
//! ```text
//! length of what follows 4 | serialize type 1, header length 3 | header | body
//! ```

use bytes::{Buf, Bytes, BytesMut};

/// The largest frame that RocketMQ takes, in bytes after the length field: 16 MiB.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// Why a stream cannot be split into frames any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than the limit.
    #[error("a frame of {length_bytes} bytes is over the limit of {limit_bytes}")]
    TooLong {
        /// The length that the frame claims.
        length_bytes: u32,
        /// The limit.
        limit_bytes: usize,
    },
    /// The frame is too short to hold even the header's length.
    #[error("a frame of {0} bytes cannot hold a header")]
    TooShort(u32),
}

/// Takes the first whole frame, without its length field, off the front of `buffer`; `None` while it is not complete.
/// The length is checked before anything is reserved for it.
///
/// # Errors
/// A length out of range: the stream cannot be read on.
pub fn split_frame(buffer: &mut BytesMut, limit_bytes: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length_bytes = u32::from_be_bytes(*length);
    if length_bytes < 4 {
        return Err(FrameError::TooShort(length_bytes));
    }
    let length = usize::try_from(length_bytes).unwrap_or(usize::MAX);
    if length > limit_bytes {
        return Err(FrameError::TooLong { length_bytes, limit_bytes });
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x05hello\0\0\0\x04four\0\0\0\x09par"[..]);
        assert_eq!(split_frame(&mut buffer, 100).unwrap().unwrap(), "hello");
        assert_eq!(split_frame(&mut buffer, 100).unwrap().unwrap(), "four");
        assert_eq!(split_frame(&mut buffer, 100), Ok(None));
        buffer.extend_from_slice(b"tially");
        assert_eq!(split_frame(&mut buffer, 100).unwrap().unwrap(), "partially");
        assert_eq!(split_frame(&mut buffer, 100), Ok(None));
    }

    #[test]
    fn lengths_out_of_range_are_refused_before_the_frame_is_there() {
        let mut buffer = BytesMut::from(&b"\xFF\xFF\xFF\xFF"[..]);
        let error = split_frame(&mut buffer, MAX_FRAME_BYTES).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { length_bytes: u32::MAX, .. }), "{error}");
        let mut buffer = BytesMut::from(&b"\0\0\0\x03abc"[..]);
        assert_eq!(split_frame(&mut buffer, 100), Err(FrameError::TooShort(3)));
    }
}
