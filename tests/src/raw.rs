//! A peer that speaks as it pleases: for what no client would send.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::command::RemotingCommand;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::wait::{PATIENCE, within};

/// A connection without a client.
#[derive(Debug)]
pub struct RawClient(TcpStream);

impl RawClient {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens there.
    pub async fn connect(addr: &str) -> Self {
        Self(TcpStream::connect(addr).await.unwrap_or_else(|error| panic!("connect to {addr}: {error}")))
    }

    /// Connects with a receive buffer of 4 KiB, so that little of an answer that is not read fits into the kernel.
    ///
    /// # Panics
    /// If nobody listens there.
    pub async fn connect_slow(addr: &str) -> Self {
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            socket.connect(addr.parse().map_err(std::io::Error::other)?).await
        };
        Self(connecting.await.unwrap_or_else(|error| panic!("connect to {addr}: {error}")))
    }

    /// Resets the connection.
    pub fn reset(self) {
        // It fails only for a connection that is gone already.
        let _ = self.0.set_zero_linger();
    }

    /// Waits until an answer has begun to come, and leaves it where it is.
    ///
    /// # Panics
    /// If none comes in time, or the peer closes the connection.
    pub async fn answered(&mut self) {
        let mut byte = [0];
        let peeked = within("an answer", self.0.peek(&mut byte)).await;
        assert_eq!(peeked.ok(), Some(1), "the peer has closed the connection");
    }

    /// Sends bytes. A peer that has closed the connection is no failure here: it shows in the answer.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Says that nothing more comes.
    pub async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// The next answer; `None` if the peer closed the connection.
    ///
    /// # Panics
    /// If neither happens in time, or the answer is no command.
    pub async fn answer(&mut self) -> Option<RemotingCommand> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("the peer neither answers nor closes")
    }

    /// The next answer within `time`; an error if the peer just keeps the connection open.
    ///
    /// # Errors
    /// If the time is up.
    pub async fn answer_within(
        &mut self,
        time: Duration,
    ) -> Result<Option<RemotingCommand>, tokio::time::error::Elapsed> {
        tokio::time::timeout(time, self.read()).await
    }

    async fn read(&mut self) -> Option<RemotingCommand> {
        let length = self.0.read_u32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("a 64-bit machine")];
        self.0.read_exact(&mut frame).await.ok()?;
        Some(RemotingCommand::decode(Bytes::from(frame)).expect("the peer's answer is a command"))
    }
}

/// A frame with that JSON header and body.
#[must_use]
pub fn frame(header: &str, body: &[u8]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).expect("a short frame").to_be_bytes();
    let mut frame = number(4 + header.len() + body.len()).to_vec();
    // The top byte of the header's length names its encoding: 0 is JSON.
    frame.extend(number(header.len()));
    frame.extend(header.as_bytes());
    frame.extend(body);
    frame
}

/// A request with those `extFields`, given as JSON, and that body.
#[must_use]
pub fn request(code: i32, opaque: i32, fields: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"code":{code},"extFields":{fields},"flag":0,"language":"JAVA","opaque":{opaque},"version":409}}"#
    );
    frame(&header, body)
}

/// The memory that this process has in use, as the kernel counts it (VmRSS).
///
/// # Panics
/// If the kernel does not say.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line VmRSS");
    let kibibytes = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    kibibytes.expect("a number of kB") * 1024
}
