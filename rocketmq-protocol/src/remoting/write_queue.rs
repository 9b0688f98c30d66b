//! Frames that are to be written, and how far writing has come. Pure: it knows no socket.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::AddAssign;

use bytes::{Buf, Bytes, BytesMut};

use super::apart::set_apart;

/// Bodies up to this size are copied behind their header: cheaper than a slice of their own in a vectored write.
const COPY_BODY_BYTES: usize = 16 * 1024;
/// A buffer that has reached this size becomes a chunk, and the next one begins: a buffer that grew on would be copied each
/// time it does, and the allocator would ask the system for its pages each time anew.
const CHUNK_BYTES: usize = 64 * 1024;
/// A buffer that grew beyond this is given back once it is written.
const KEEP_BUFFER_BYTES: usize = 2 * CHUNK_BYTES;
/// At most this many slices go into one vectored write (the system's limit is 1,024).
pub(super) const MAX_SLICES: usize = 64;

/// What a connection that ended had not written. A frame that was written in part counts as a whole one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// Bytes.
    pub bytes: usize,
    /// Frames: requests and responses.
    pub frames: usize,
    /// Those of them whose senders do not learn of it: requests that want no response.
    pub oneway_requests: usize,
}

impl Abandoned {
    /// True if everything was written.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.bytes == 0
    }
}

impl AddAssign for Abandoned {
    fn add_assign(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.frames += more.frames;
        self.oneway_requests += more.oneway_requests;
    }
}

/// Whole frames in order, the first of them perhaps written in part.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    /// All bytes but those in `tail`.
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    /// How much of `tail` is written; then there are no chunks.
    tail_written: usize,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// What is queued from now on may wait long: it is kept apart from the allocator's memory.
    pub(super) apart: bool,
}

#[derive(Debug)]
struct Frame {
    /// What of it is still to be written.
    bytes: usize,
    oneway: bool,
}

impl WriteQueue {
    /// Appends one frame: what `encode` appends, and the body after it. Returns its length; `limit_bytes` or less.
    ///
    /// # Errors
    /// That of `encode`, or `too_long` of the frame's length. Nothing is appended then.
    pub(super) fn push<E>(
        &mut self,
        body: Bytes,
        oneway: bool,
        limit_bytes: usize,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
        too_long: impl FnOnce(usize) -> E,
    ) -> Result<usize, E> {
        let before = self.tail.len();
        encode(&mut self.tail)?;
        let bytes = self.tail.len() - before + body.len();
        if bytes > limit_bytes {
            self.tail.truncate(before);
            return Err(too_long(bytes));
        }
        if body.len() <= COPY_BODY_BYTES {
            self.tail.extend_from_slice(&body);
            if self.tail.len() >= CHUNK_BYTES {
                self.cut_tail();
                self.tail.reserve(CHUNK_BYTES + COPY_BODY_BYTES);
            }
        } else {
            self.cut_tail();
            self.push_chunk(body);
        }
        self.frames.push_back(Frame { bytes, oneway });
        self.bytes += bytes;
        Ok(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What is to be written next; returns how many slices are used.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let tail = &self.tail[self.tail_written..];
        let all = self.chunks.iter().map(|chunk| &**chunk).chain([tail]).filter(|chunk| !chunk.is_empty());
        let mut used = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            used += 1;
        }
        used
    }

    /// So many bytes were written.
    pub(super) fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.advance_frames(written);
        let mut left = written;
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.len() > left {
                return chunk.advance(left);
            }
            left -= chunk.len();
            self.chunks.pop_front();
        }
        self.tail_written += left;
        if self.bytes == 0 {
            self.recycle();
        }
    }

    /// What would be lost now.
    pub(super) fn abandoned(&self) -> Abandoned {
        Abandoned {
            bytes: self.bytes,
            frames: self.frames.len(),
            oneway_requests: self.frames.iter().filter(|frame| frame.oneway).count(),
        }
    }

    fn cut_tail(&mut self) {
        let mut head = self.tail.split().freeze();
        head.advance(std::mem::take(&mut self.tail_written));
        self.push_chunk(head);
    }

    fn push_chunk(&mut self, chunk: Bytes) {
        self.chunks.push_back(if self.apart && chunk.len() > COPY_BODY_BYTES {
            set_apart(chunk)
        } else {
            chunk
        });
    }

    fn advance_frames(&mut self, mut written: usize) {
        while let Some(frame) = self.frames.front_mut() {
            if frame.bytes > written {
                frame.bytes -= written;
                return;
            }
            written -= frame.bytes;
            self.frames.pop_front();
        }
    }

    /// Everything is written: keeps what memory is worth keeping.
    fn recycle(&mut self) {
        self.tail_written = 0;
        self.tail.clear();
        if self.tail.capacity() > KEEP_BUFFER_BYTES {
            self.tail = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push(queue: &mut WriteQueue, head: &[u8], body: Vec<u8>, oneway: bool) {
        let encode = |out: &mut BytesMut| {
            out.extend_from_slice(head);
            Ok(())
        };
        queue.push(body.into(), oneway, usize::MAX, encode, |bytes| bytes).unwrap();
    }

    /// Writes some bytes, at most as many as asked for.
    fn write(queue: &mut WriteQueue, at_most: usize, written: &mut Vec<u8>) {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let used = queue.slices(&mut slices);
        let mut some = 0;
        for slice in &slices[..used] {
            let taken = slice.len().min(at_most - some);
            written.extend_from_slice(&slice[..taken]);
            some += taken;
        }
        queue.advance(some);
    }

    #[test]
    fn a_frame_over_the_limit_leaves_the_queue_as_it_was() {
        let mut queue = WriteQueue::default();
        push(&mut queue, b"a", vec![1], false);
        let encode = |out: &mut BytesMut| {
            out.extend_from_slice(b"long");
            Ok(())
        };
        let refused = queue.push(Bytes::from_static(b"body"), false, 7, encode, |bytes| bytes);
        assert_eq!(refused, Err(8));
        let mut written = Vec::new();
        write(&mut queue, 100, &mut written);
        assert_eq!(written, [b'a', 1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_abandoned_is_counted_by_the_frame() {
        let mut queue = WriteQueue::default();
        push(&mut queue, b"four", vec![], true);
        push(&mut queue, b"four", vec![7; COPY_BODY_BYTES + 1], true);
        push(&mut queue, b"four", vec![], false);
        let mut written = Vec::new();
        write(&mut queue, 5, &mut written);
        let bytes = 3 + COPY_BODY_BYTES + 1 + 4;
        assert_eq!(queue.abandoned(), Abandoned { bytes, frames: 2, oneway_requests: 1 });
        write(&mut queue, usize::MAX, &mut written);
        assert!(queue.abandoned().is_nothing());
        assert_eq!(queue.abandoned(), Abandoned::default());
    }

    proptest! {
        #[test]
        fn writes_of_any_size_write_the_same_bytes(
            bodies in proptest::collection::vec((1usize..20, prop_oneof![0usize..50, COPY_BODY_BYTES..COPY_BODY_BYTES + 40]), 1..90),
            sizes in proptest::collection::vec(prop_oneof![1usize..100, 1000usize..40_000], 4..20),
        ) {
            let (mut queue, mut wanted, mut written) = (WriteQueue::default(), Vec::new(), Vec::new());
            let mut sizes = sizes.into_iter().cycle();
            for (index, (head, body)) in bodies.into_iter().enumerate() {
                let fill = u8::try_from(index % 251).unwrap();
                queue.apart = index % 4 > 1;
                push(&mut queue, &vec![fill; head], vec![fill; body], false);
                wanted.extend(vec![fill; head + body]);
                if index % 3 == 0 {
                    write(&mut queue, sizes.next().unwrap(), &mut written);
                }
                prop_assert_eq!(queue.abandoned().bytes, wanted.len() - written.len());
            }
            while !queue.is_empty() {
                write(&mut queue, sizes.next().unwrap(), &mut written);
            }
            prop_assert!(wanted == written);
        }
    }
}
