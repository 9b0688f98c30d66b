//! A stream whose other side is the test: it is cut, blocked, resumed, closed and reset at the byte that the test names.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::config::Side;
use super::{Connection, ConnectionConfig, Handler};

/// One side of a connection in memory, with no buffer but the test's.
#[derive(Debug)]
pub struct FaultyStream(Arc<Wire>);

/// The test's side of a [`FaultyStream`]. At first the stream may write as much as it likes.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Wire>);

#[derive(Debug, Default)]
struct Wire {
    state: Mutex<State>,
    /// Told of everything that the stream does.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    to_read: Vec<u8>,
    closed: bool,
    reset: bool,
    written: Vec<u8>,
    /// How many bytes the stream may write altogether.
    may_write: Option<usize>,
    /// A write was refused since the last byte was taken.
    blocked: bool,
    shut: bool,
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A stream and its other side.
#[must_use]
pub fn faulty_stream() -> (FaultyStream, Peer) {
    let wire = Arc::new(Wire::default());
    (FaultyStream(Arc::clone(&wire)), Peer(wire))
}

/// A connection on a stream, as [`connect`](super::connect) would make it.
pub fn connecting(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    config: ConnectionConfig,
    handler: Arc<dyn Handler>,
    tasks: &TaskTracker,
) -> Connection {
    Connection::start(stream, nowhere(), config, Side::Connecting, handler, tasks)
}

/// A connection on a stream, as a [`Listener`](super::Listener) would make it.
pub fn accepting(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    config: ConnectionConfig,
    handler: Arc<dyn Handler>,
    tasks: &TaskTracker,
) -> Connection {
    Connection::start(stream, nowhere(), config, Side::Accepting, handler, tasks)
}

fn nowhere() -> (SocketAddr, SocketAddr) {
    (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
}

impl Peer {
    /// Gives the stream bytes to read.
    pub fn feed(&self, bytes: &[u8]) {
        self.change(|state| state.to_read.extend_from_slice(bytes));
    }

    /// From now on the stream may have written that many bytes altogether and no more.
    pub fn take_until(&self, bytes: usize) {
        self.change(|state| state.may_write = Some(bytes));
    }

    /// From now on the stream may write as much as it likes.
    pub fn take_all(&self) {
        self.change(|state| state.may_write = None);
    }

    /// Sends no more; what was fed can still be read.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Fails every read and write from now on.
    pub fn reset(&self) {
        self.change(|state| state.reset = true);
    }

    /// What the stream has written.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.0.lock().written.clone()
    }

    /// Waits until the stream has written that many bytes.
    pub async fn has_written(&self, bytes: usize) {
        self.until(|state| state.written.len() >= bytes).await;
    }

    /// Waits until the stream wanted to write more than it may.
    pub async fn has_blocked(&self) {
        self.until(|state| state.blocked).await;
    }

    /// Waits until everything that was fed was read.
    pub async fn was_read(&self) {
        self.until(|state| state.to_read.is_empty()).await;
    }

    /// Waits until the stream has written its end.
    pub async fn was_shut(&self) {
        self.until(|state| state.shut).await;
    }

    /// Waits until the stream is dropped.
    pub async fn is_gone(&self) {
        self.until(|state| state.gone).await;
    }

    /// How many of the bytes that were fed are not read.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.0.lock().to_read.len()
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look: a change between the two is not missed.
            changed.as_mut().enable();
            if is_so(&self.0.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.0.lock();
            change(&mut state);
            state.blocked = false;
            [state.reader.take(), state.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.to_read.is_empty() && !state.closed {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = state.to_read.len().min(buf.remaining());
        buf.put_slice(&state.to_read[..bytes]);
        state.to_read.drain(..bytes);
        drop(state);
        self.0.changed.notify_waiters();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let before = state.written.len();
        let mut room = state.may_write.map_or(usize::MAX, |most| most.saturating_sub(before));
        for slice in slices {
            let bytes = slice.len().min(room);
            state.written.extend_from_slice(&slice[..bytes]);
            room -= bytes;
        }
        let taken = state.written.len() - before;
        let wanted = slices.iter().any(|slice| !slice.is_empty());
        state.blocked = wanted && room == 0;
        let answer = if wanted && taken == 0 {
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(Ok(taken))
        };
        drop(state);
        self.0.changed.notify_waiters();
        answer
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().shut = true;
        self.0.changed.notify_waiters();
        Poll::Ready(Ok(()))
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        self.0.lock().gone = true;
        self.0.changed.notify_waiters();
    }
}
