//! What was read and is not dispatched yet.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::budget::{Budget, Reserved};
use crate::command::RemotingCommand;
use crate::frame::split_frame;

/// How much one read asks for: it adapts to the traffic between these bounds.
const MIN_READ_BYTES: usize = 4 * 1024;
const MAX_READ_BYTES: usize = 256 * 1024;
/// Frames and buffers up to this size are not counted: every peer may have as much.
const SMALL_BYTES: usize = 64 * 1024;
/// How many requests a connection may have handled before others get their turn.
const REQUESTS_A_TURN: usize = 256;
/// How many bytes a connection may have dispatched before others get their turn.
const BYTES_A_TURN: usize = 1024 * 1024;

/// Bytes on their way from the socket to waiters and handler.
#[derive(Debug)]
pub(super) struct Inbound {
    buffer: BytesMut,
    max_frame_bytes: usize,
    read_bytes: usize,
    /// What the buffer takes, less what everyone may have.
    held: Reserved,
    requests_left: usize,
    bytes_left: usize,
}

impl Inbound {
    pub(super) fn new(max_frame_bytes: usize, budget: &Budget) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_frame_bytes,
            read_bytes: MIN_READ_BYTES,
            held: Reserved::none_of(budget),
            requests_left: REQUESTS_A_TURN,
            bytes_left: BYTES_A_TURN,
        }
    }

    pub(super) fn begin_turn(&mut self) {
        self.requests_left = REQUESTS_A_TURN;
        self.bytes_left = BYTES_A_TURN;
    }

    /// True once others are to have their turn.
    pub(super) fn turn_is_over(&self) -> bool {
        self.requests_left == 0 || self.bytes_left == 0
    }

    /// The next whole command, if there is one and this turn is not over.
    pub(super) fn next_command(&mut self) -> Result<Option<RemotingCommand>, String> {
        if self.turn_is_over() {
            return Ok(None);
        }
        let frame = split_frame(&mut self.buffer, self.max_frame_bytes).map_err(|error| error.to_string())?;
        let Some(frame) = frame else { return Ok(None) };
        self.bytes_left = self.bytes_left.saturating_sub(frame.len());
        let command = RemotingCommand::decode(frame).map_err(|error| error.to_string())?;
        if !command.is_response() {
            self.requests_left -= 1;
        }
        Ok(Some(command))
    }

    /// What memory the frame needs of which the first part is here, if that is more than everyone may have.
    pub(super) fn large_frame_bytes(&self) -> Option<usize> {
        let length = u32::from_be_bytes(*self.buffer.first_chunk::<4>()?);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(4);
        (bytes > SMALL_BYTES).then_some(bytes)
    }

    /// Whether memory was taken for that frame.
    pub(super) fn has_room_for(&self, frame_bytes: usize) -> bool {
        self.buffer.capacity() >= frame_bytes
    }

    /// Reads once.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let free = self.buffer.capacity() - self.buffer.len();
        let read = pin!(stream.read_buf(&mut self.buffer)).poll(cx);
        match &read {
            Poll::Ready(Ok(got)) => self.adapt(*got, free),
            // A peer that is silent keeps no large buffer.
            _ if self.buffer.is_empty() && self.buffer.capacity() > SMALL_BYTES => {
                self.buffer = BytesMut::new();
                self.read_bytes = SMALL_BYTES;
            }
            _ => {}
        }
        self.count_held();
        read
    }

    /// A peer whose connection closes may send what it likes.
    pub(super) fn discard(&mut self) {
        self.buffer.clear();
    }

    /// A large frame gets exactly its size, so that it is read into place; it was checked against the limit. What is left
    /// of a buffer is read into as long as it is worth a read: few frames need a buffer of their own.
    fn make_room(&mut self) {
        let missing = self.large_frame_bytes().map(|bytes| bytes.saturating_sub(self.buffer.len()));
        let missing = missing.filter(|bytes| *bytes <= self.max_frame_bytes + 4);
        let free = self.buffer.capacity() - self.buffer.len();
        if missing.is_some() || free < self.read_bytes / 4 {
            self.buffer.reserve(missing.unwrap_or(self.read_bytes).max(1));
        }
    }

    fn adapt(&mut self, got: usize, free: usize) {
        if got == free && free >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
        } else if got < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(MIN_READ_BYTES);
        }
    }

    /// In steps, so that it costs nothing as long as little is held.
    fn count_held(&mut self) {
        let bytes = self.buffer.capacity().saturating_sub(1) / SMALL_BYTES * SMALL_BYTES;
        if bytes != self.held.bytes() {
            self.held.resize(bytes);
        }
    }
}
