//! LZ4's frame format. A frame says how large its blocks may be, 4 MiB where Java writes it; here a block gets no more
//! memory than its bytes can become and the limit allows.
//!
//! ```text
//! magic 4 | flags 1 | block size 1 | content size 8, if flagged | header checksum 1
//! block: size 4 (highest bit: it is not compressed), bytes, checksum 4, if flagged; a size of 0 ends the blocks
//! content checksum 4, if flagged
//! ```

use std::io;

use bytes::Buf;
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184D_2204;
const VERSION: u8 = 0b0100_0000;
const VERSION_MASK: u8 = 0b1100_0000;
const INDEPENDENT_BLOCKS: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
const NOT_COMPRESSED: u32 = 1 << 31;
/// How far back a block may refer.
const WINDOW_BYTES: usize = 64 * 1024;
/// One byte becomes at most so many.
const MOST_PER_BYTE: usize = 255;

/// Appends the plain body to `out`, and stops at the first block that goes beyond the limit.
pub(super) fn decompress(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = body;
    let frame = Frame::read(&mut rest)?;
    let mut plain = Vec::new();
    while let Some(block) = frame.next_block(&mut rest)? {
        match block {
            Block::Plain(bytes) => out.extend_from_slice(bytes),
            Block::Compressed(bytes) => {
                let room = (limit_bytes + 1).saturating_sub(out.len());
                let most = bytes.len().saturating_mul(MOST_PER_BYTE).min(frame.block_bytes).min(room);
                plain.resize(most, 0);
                let window = if frame.has(INDEPENDENT_BLOCKS) { 0 } else { out.len().min(WINDOW_BYTES) };
                let window = &out[out.len() - window..];
                match lz4_flex::block::decompress_into_with_dict(bytes, &mut plain, window) {
                    Ok(length) => out.extend_from_slice(&plain[..length]),
                    // What it would have become does not fit: the caller sees that the limit is passed.
                    Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if most == room => {
                        out.resize(limit_bytes + 1, 0);
                    }
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
        }
        if out.len() > limit_bytes {
            return Ok(());
        }
    }
    frame.check_content(rest, out)
}

struct Frame {
    flags: u8,
    /// The most that a block becomes.
    block_bytes: usize,
    content_bytes: Option<u64>,
}

enum Block<'a> {
    Plain(&'a [u8]),
    Compressed(&'a [u8]),
}

impl Frame {
    fn read(rest: &mut &[u8]) -> io::Result<Self> {
        if rest.try_get_u32_le()? != MAGIC {
            return Err(wrong("magic"));
        }
        let descriptor = *rest;
        let (flags, size) = (rest.try_get_u8()?, rest.try_get_u8()?);
        let mut frame = Self { flags, block_bytes: block_bytes(size)?, content_bytes: None };
        if flags & VERSION_MASK != VERSION || frame.has(DICTIONARY) {
            return Err(wrong("version"));
        }
        if frame.has(CONTENT_SIZE) {
            frame.content_bytes = Some(rest.try_get_u64_le()?);
        }
        let checksum = XxHash32::oneshot(0, &descriptor[..descriptor.len() - rest.len()]).to_le_bytes()[1];
        if rest.try_get_u8()? == checksum { Ok(frame) } else { Err(wrong("header checksum")) }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// `None` at the end of the blocks, also where the end mark is missing.
    fn next_block<'a>(&self, rest: &mut &'a [u8]) -> io::Result<Option<Block<'a>>> {
        if rest.is_empty() {
            return Ok(None);
        }
        let size = rest.try_get_u32_le()?;
        if size == 0 {
            return Ok(None);
        }
        let length = usize::try_from(size & !NOT_COMPRESSED).unwrap_or(usize::MAX);
        if length > self.block_bytes {
            return Err(wrong("block size"));
        }
        let (bytes, after) = rest.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        *rest = after;
        if self.has(BLOCK_CHECKSUMS) && rest.try_get_u32_le()? != XxHash32::oneshot(0, bytes) {
            return Err(wrong("block checksum"));
        }
        let plain = size & NOT_COMPRESSED != 0;
        Ok(Some(if plain { Block::Plain(bytes) } else { Block::Compressed(bytes) }))
    }

    fn check_content(&self, mut rest: &[u8], plain: &[u8]) -> io::Result<()> {
        if self.content_bytes.is_some_and(|said| said != plain.len() as u64) {
            return Err(wrong("content size"));
        }
        if self.has(CONTENT_CHECKSUM) && rest.try_get_u32_le()? != XxHash32::oneshot(0, plain) {
            return Err(wrong("content checksum"));
        }
        Ok(())
    }
}

fn block_bytes(size: u8) -> io::Result<usize> {
    match size >> 4 & 7 {
        code @ 4..=7 => Ok(1 << (8 + 2 * code)),
        _ => Err(wrong("block size")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the frame's {what} is wrong"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flags: u8, blocks: &[&[u8]], content: &[u8]) -> Vec<u8> {
        let flags = flags | VERSION;
        let mut descriptor = vec![flags, 7 << 4];
        if flags & CONTENT_SIZE != 0 {
            descriptor.extend_from_slice(&(content.len() as u64).to_le_bytes());
        }
        let mut frame = MAGIC.to_le_bytes().to_vec();
        frame.extend_from_slice(&descriptor);
        frame.push(XxHash32::oneshot(0, &descriptor).to_le_bytes()[1]);
        for block in blocks {
            frame.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
            frame.extend_from_slice(block);
            if flags & BLOCK_CHECKSUMS != 0 {
                frame.extend_from_slice(&XxHash32::oneshot(0, block).to_le_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        if flags & CONTENT_CHECKSUM != 0 {
            frame.extend_from_slice(&XxHash32::oneshot(0, content).to_le_bytes());
        }
        frame
    }

    fn read(frame: &[u8], limit_bytes: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decompress(frame, limit_bytes, &mut plain).map(|()| plain)
    }

    #[test]
    fn frames_of_every_kind_are_read() {
        let halves = [b"hello hello hello ".repeat(300), b"hello world ".repeat(300)];
        let content = halves.concat();
        let alone: Vec<_> = halves.iter().map(|half| lz4_flex::block::compress(half)).collect();
        let second = lz4_flex::block::compress_with_dict(&halves[1], &halves[0]);
        for flags in [
            0,
            BLOCK_CHECKSUMS,
            CONTENT_SIZE,
            CONTENT_CHECKSUM,
            BLOCK_CHECKSUMS | CONTENT_CHECKSUM | CONTENT_SIZE,
        ] {
            let independent = frame(flags | INDEPENDENT_BLOCKS, &[&alone[0], &alone[1]], &content);
            assert_eq!(read(&independent, content.len()).unwrap(), content, "{flags:#b}");
            let linked = frame(flags, &[&alone[0], &second], &content);
            assert_eq!(read(&linked, content.len()).unwrap(), content, "{flags:#b}, linked");
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let block = lz4_flex::block::compress(b"hello hello hello hello");
        let whole = frame(INDEPENDENT_BLOCKS | CONTENT_CHECKSUM, &[&block], b"hello hello hello hello");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(read(&changed, 1000).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_block_takes_no_more_than_its_bytes_can_become_and_the_limit_allows() {
        let bomb = vec![0; 4 << 20];
        let block = lz4_flex::block::compress(&bomb);
        let frame = frame(INDEPENDENT_BLOCKS, &[&block], &bomb);
        let mut plain = Vec::new();
        decompress(&frame, 1000, &mut plain).unwrap();
        assert!(plain.len() == 1001 && plain.capacity() < 4096, "{} bytes reserved", plain.capacity());
        assert_eq!(read(&frame, bomb.len()).unwrap(), bomb);
    }
}
