//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Bodies up to this size are copied behind their header: cheaper than a slice of their own in a vectored write.
const COPY_BODY_BYTES: usize = 16 * 1024;
/// A buffer that grew beyond this is given back once it is written.
const KEEP_BUFFER_BYTES: usize = 1024 * 1024;
/// At most this many slices go into one vectored write (the system's limit is 1,024).
const MAX_SLICES: usize = 64;

/// A queue of whole frames. Putting never waits; whoever must not fill it up waits for room first.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    /// Bytes that were put and not yet written.
    queued_bytes: AtomicUsize,
    limit_bytes: usize,
    /// Wakes the writer.
    pub(super) filled: Notify,
    /// Wakes those who wait for room.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Frames that are whole but for what is still in `tail`.
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
}

impl Outbound {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            limit_bytes,
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Queues one frame: what `encode` appends, and the body behind it.
    pub(super) fn put<E>(
        &self,
        body: Bytes,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut queue = self.lock();
        let before = queue.tail.len();
        encode(&mut queue.tail)?;
        let added = queue.tail.len() - before + body.len();
        if body.len() <= COPY_BODY_BYTES {
            queue.tail.extend_from_slice(&body);
        } else {
            let head = queue.tail.split().freeze();
            queue.chunks.push_back(head);
            queue.chunks.push_back(body);
        }
        let was_empty = self.queued_bytes.fetch_add(added, Ordering::AcqRel) == 0;
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Acquire)
    }

    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes() >= self.limit_bytes
    }

    /// Waits until less than the limit is queued.
    pub(super) async fn room(&self) {
        while self.is_full() {
            let emptied = self.emptied.notified();
            if !self.is_full() {
                return;
            }
            emptied.await;
        }
    }

    /// Writes everything that is queued, including what is put meanwhile. `spare` keeps its capacity between calls.
    pub(super) async fn write_to(
        &self,
        socket: &mut (impl AsyncWrite + Unpin),
        spare: &mut BytesMut,
    ) -> io::Result<()> {
        while self.queued_bytes() > 0 {
            let mut chunks = {
                let mut queue = self.lock();
                std::mem::swap(&mut queue.tail, spare);
                std::mem::take(&mut queue.chunks)
            };
            let mut written = spare.len();
            if chunks.is_empty() {
                socket.write_all(spare).await?;
            } else {
                written += chunks.iter().map(Bytes::len).sum::<usize>();
                write_chunks(socket, &mut chunks, spare).await?;
            }
            spare.clear();
            if spare.capacity() > KEEP_BUFFER_BYTES {
                *spare = BytesMut::new();
            }
            self.queued_bytes.fetch_sub(written, Ordering::AcqRel);
            self.emptied.notify_waiters();
        }
        socket.flush().await
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_chunks(
    socket: &mut (impl AsyncWrite + Unpin),
    chunks: &mut VecDeque<Bytes>,
    tail: &mut BytesMut,
) -> io::Result<()> {
    chunks.push_back(tail.split().freeze());
    while !chunks.is_empty() {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks.iter()) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        let mut written = socket.write_vectored(&slices[..count]).await?;
        if written == 0 && chunks.iter().any(|chunk| !chunk.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = chunks.front_mut() {
            if first.len() > written {
                first.advance(written);
                break;
            }
            written -= first.len();
            chunks.pop_front();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn put(outbound: &Outbound, head: &[u8], body: Vec<u8>) {
        let encode = |out: &mut BytesMut| {
            out.extend_from_slice(head);
            Ok::<(), Infallible>(())
        };
        outbound.put(body.into(), encode).unwrap();
    }

    #[tokio::test]
    async fn small_and_large_bodies_keep_their_order() {
        let outbound = Outbound::new(1 << 20);
        let large = vec![7; COPY_BODY_BYTES + 1];
        put(&outbound, b"a", b"1".to_vec());
        put(&outbound, b"b", large.clone());
        put(&outbound, b"c", b"3".to_vec());
        let mut written = Vec::new();
        outbound.write_to(&mut written, &mut BytesMut::new()).await.unwrap();
        assert_eq!(written, [b"a1b".to_vec(), large, b"c3".to_vec()].concat());
        assert_eq!(outbound.queued_bytes(), 0);
    }

    #[tokio::test]
    async fn room_comes_with_writing() {
        let outbound = Outbound::new(4);
        put(&outbound, b"head", vec![]);
        assert!(outbound.is_full());
        let mut sink = tokio::io::sink();
        let mut spare = BytesMut::new();
        let (_, written) = tokio::join!(outbound.room(), outbound.write_to(&mut sink, &mut spare));
        written.unwrap();
        assert!(!outbound.is_full());
    }
}
