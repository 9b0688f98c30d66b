//! The reader task of a connection: cuts what arrives into frames and hands them on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Connection, Handler, Requests};
use crate::command::RemotingCommand;
use crate::frame::split_frame;

/// How much one read asks for: it adapts to the traffic between these bounds.
const MIN_READ_BYTES: usize = 4 * 1024;
const MAX_READ_BYTES: usize = 256 * 1024;
/// Peers that answer with this `MQVersion` ordinal (V4_1_0_SNAPSHOT) or a later one read the binary header.
const BINARY_HEADER_SINCE: i32 = 232;

impl Connection {
    pub(super) async fn read(self, mut socket: impl AsyncRead + Unpin, handler: Arc<dyn Handler>) {
        // Also when a handler panics: the connection must not be left half alive.
        let _end = CloseOnDrop { connection: &self, handler: &handler };
        let mut buffer = BytesMut::new();
        let mut read_bytes = MIN_READ_BYTES;
        loop {
            if let Err(cause) = self.dispatch_frames(&mut buffer, &handler) {
                return self.close(&cause);
            }
            tokio::select! {
                biased;
                () = self.0.ended.cancelled() => return,
                got = self.read_more(&mut socket, &mut buffer, &mut read_bytes) => match got {
                    Ok(0) => return self.close("the peer closed the connection"),
                    Ok(_) => { self.0.activity.fetch_add(1, Ordering::Relaxed); }
                    Err(error) => return self.close(&format!("read failed: {error}")),
                }
            }
        }
    }

    /// Reads once. A peer that does not take its responses is not read from.
    async fn read_more(
        &self,
        socket: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
        read_bytes: &mut usize,
    ) -> io::Result<usize> {
        self.0.outbound.room().await;
        buffer.reserve(*read_bytes);
        let free = buffer.capacity() - buffer.len();
        let got = socket.read_buf(buffer).await?;
        if got == free {
            *read_bytes = (*read_bytes * 2).min(MAX_READ_BYTES);
        } else if got < *read_bytes / 4 {
            *read_bytes = (*read_bytes / 2).max(MIN_READ_BYTES);
        }
        Ok(got)
    }

    fn dispatch_frames(&self, buffer: &mut BytesMut, handler: &Arc<dyn Handler>) -> Result<(), String> {
        let mut requests = Requests::new(self);
        while let Some(frame) =
            split_frame(buffer, self.0.config.max_frame_bytes).map_err(|e| e.to_string())?
        {
            let command = RemotingCommand::decode(frame).map_err(|error| error.to_string())?;
            if command.is_response() {
                self.complete(command);
            } else {
                requests.push(command);
            }
        }
        if requests.len() > 0 {
            handler.handle_all(&mut requests);
        }
        Ok(())
    }

    fn complete(&self, response: RemotingCommand) {
        if response.version() >= BINARY_HEADER_SINCE {
            self.0.peer_reads_binary.store(true, Ordering::Relaxed);
        }
        let waiter = self.session().complete(response.opaque());
        match waiter {
            // The caller may have gone away meanwhile.
            Some(waiter) => drop(waiter.send(Ok(response))),
            None => {
                tracing::debug!(peer = %self.0.peer_name, opaque = response.opaque(), "a response nobody waits for")
            }
        }
    }
}

/// Ends the connection with its reader.
struct CloseOnDrop<'a> {
    connection: &'a Connection,
    handler: &'a Arc<dyn Handler>,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.connection.close("shut down");
        self.handler.disconnected(self.connection, &self.connection.cause());
    }
}
