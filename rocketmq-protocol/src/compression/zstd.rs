//! Zstandard. How much of what it has written a frame may refer back to, its *window*, is said in its header and kept in
//! memory. Nothing beyond the limit is ever written, so no more than that is kept, whatever the header says.
//!
//! ```text
//! magic 4 | descriptor 1 | window 1, unless the descriptor's bit 5 is set | ...
//! ```

use std::io::{self, Read};

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const DESCRIPTOR_AT: usize = 4;
const WINDOW_AT: usize = 5;
const SINGLE_SEGMENT: u8 = 1 << 5;
/// What a window byte's exponent adds to.
const SMALLEST_WINDOW_LOG: u32 = 10;

/// Appends the plain body to `out`, and at most one byte beyond the limit.
pub(super) fn decompress(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let mut head = [0; WINDOW_AT + 1];
    let rest = body.split_at_checked(head.len()).map(|(found, rest)| {
        head.copy_from_slice(found);
        rest
    });
    let rest = rest.ok_or(io::ErrorKind::UnexpectedEof)?;
    if head[..MAGIC.len()] == MAGIC && head[DESCRIPTOR_AT] & SINGLE_SEGMENT == 0 {
        head[WINDOW_AT] = bounded_window(head[WINDOW_AT], limit_bytes);
    }
    // A frame of a single segment names its whole length, which the decoder then takes for its window.
    let most = (limit_bytes as u64 + 1).next_power_of_two().max(1 << SMALLEST_WINDOW_LOG);
    ruzstd::decoding::StreamingDecoder::new_with_max_window_size(head.chain(rest), most)
        .map_err(|error| io::Error::other(error.to_string()))?
        .take(limit_bytes as u64 + 1)
        .read_to_end(out)?;
    Ok(())
}

/// The window byte of a frame of which no more than the limit and one byte is read.
fn bounded_window(window: u8, limit_bytes: usize) -> u8 {
    let enough_log = (limit_bytes as u64 + 1).next_power_of_two().trailing_zeros().max(SMALLEST_WINDOW_LOG);
    let exponent = u8::try_from(enough_log - SMALLEST_WINDOW_LOG).unwrap_or(u8::MAX);
    // Exponent in the five upper bits, eighths of it in the lower ones.
    if window >> 3 >= exponent { exponent.saturating_mul(8) } else { window }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame that asks for that window and holds so many bytes of 7, in blocks that repeat one byte.
    fn frame(window: u8, mut plain_bytes: usize) -> Vec<u8> {
        let mut frame = [&MAGIC[..], &[0, window]].concat();
        while plain_bytes > 0 {
            let block = plain_bytes.min(1 << 17);
            plain_bytes -= block;
            let head = u32::try_from(block << 3 | 1 << 1 | usize::from(plain_bytes == 0)).unwrap();
            frame.extend_from_slice(&head.to_le_bytes()[..3]);
            frame.push(7);
        }
        frame
    }

    #[test]
    fn a_window_is_never_more_than_twice_the_limit() {
        for limit in [1, 1023, 1024, 4_194_304, 67_108_863, 67_108_864] {
            for window in 0..=u8::MAX {
                let bounded = bounded_window(window, limit);
                let base = 1u64 << (SMALLEST_WINDOW_LOG + u32::from(bounded >> 3));
                let bytes = base + base / 8 * u64::from(bounded & 7);
                assert!(bytes <= (2 * limit as u64 + 2).max(1024), "{bytes} bytes for a limit of {limit}");
                assert!(bounded == window || bytes > limit as u64, "{window:#x} was cut too short");
            }
        }
    }

    #[test]
    fn a_small_body_that_asks_for_a_large_window_is_read() {
        // 128 MiB, the window of zstd's highest level, and the largest there is.
        for window in [17 << 3, u8::MAX] {
            let mut plain = Vec::new();
            decompress(&frame(window, 300_000), 400_000, &mut plain).unwrap();
            assert_eq!(plain, vec![7; 300_000]);
        }
    }

    #[test]
    fn a_frame_that_says_it_is_longer_than_the_limit_is_refused_unread() {
        // A single segment of 2 GiB.
        let frame = [&MAGIC[..], &[2 << 6 | SINGLE_SEGMENT], &0x8000_0000_u32.to_le_bytes()].concat();
        let mut plain = Vec::new();
        assert!(decompress(&frame, 1000, &mut plain).is_err());
        assert_eq!(plain.capacity(), 0);
    }
}
