//! Moves the bytes of a connection, as ordered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::{Direction, Flow, Orders, Progress};

/// How much is moved at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How a direction, or a connection, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end of the stream was passed on.
    Finished,
    /// Both ends of the connection are to be reset.
    Reset,
}

/// Moves both directions until the connection ends. Without a server, requests are dropped and there are no answers.
pub(super) async fn both(
    client: &mut TcpStream,
    server: Option<&mut TcpStream>,
    orders: watch::Receiver<Orders>,
    progress: &watch::Sender<Progress>,
) -> End {
    // Small writes are passed on as they come.
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.map(TcpStream::split).unzip();
    let alone = from_server.is_none();
    let pump = |direction, from, to| Pump {
        direction,
        from,
        to,
        orders: orders.clone(),
        progress,
        passed: 0,
        shut: false,
    };
    let requests = pump(Direction::Requests, Some(from_client), to_server).run();
    let answers = pump(Direction::Answers, from_server, Some(to_client)).run();
    tokio::pin!(requests, answers);
    let first = tokio::select! {
        biased;
        () = ordered_reset(orders.clone()) => return End::Reset,
        end = &mut requests => (end, true),
        end = &mut answers => (end, false),
    };
    match first {
        (End::Finished, true) if !alone => tokio::select! {
            () = ordered_reset(orders.clone()) => End::Reset,
            end = answers => end,
        },
        (End::Finished, false) => tokio::select! {
            () = ordered_reset(orders.clone()) => End::Reset,
            end = requests => end,
        },
        (end, _) => end,
    }
}

/// Returns when all connections are to be reset, or the peer is gone.
async fn ordered_reset(mut orders: watch::Receiver<Orders>) {
    let before = orders.borrow().resets;
    let _ = orders.wait_for(|now| now.resets != before).await;
}

/// One direction of one connection.
struct Pump<'a> {
    direction: Direction,
    /// None where nothing comes from.
    from: Option<ReadHalf<'a>>,
    /// None where bytes are dropped.
    to: Option<WriteHalf<'a>>,
    orders: watch::Receiver<Orders>,
    progress: &'a watch::Sender<Progress>,
    /// How many of this connection's bytes have passed.
    passed: u64,
    /// The receiver has been told that nothing more comes.
    shut: bool,
}

impl Pump<'_> {
    async fn run(mut self) -> End {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let flow = self.orders.borrow_and_update().flow(self.direction);
            let most = match flow {
                Flow::Frozen => 0,
                Flow::Slow { bytes, every } => {
                    tokio::select! {
                        () = tokio::time::sleep(every) => bytes.min(CHUNK_BYTES),
                        // What is ordered now is looked at.
                        _ = self.orders.changed() => continue,
                    }
                }
                Flow::ResetAt(byte) => match byte.saturating_sub(self.passed) {
                    0 => return End::Reset,
                    left => usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES)),
                },
                Flow::Shut => {
                    self.shut().await;
                    CHUNK_BYTES
                }
                Flow::Open | Flow::Swallowed => CHUNK_BYTES,
            };
            let Some(read) = self.read(&mut buffer[..most]).await else { continue };
            let swallowed = flow == Flow::Swallowed;
            match read {
                Ok(0) | Err(_) if swallowed => {
                    // The end is swallowed as well: it passes when something else is ordered.
                    if self.orders.changed().await.is_err() {
                        return End::Reset;
                    }
                }
                Ok(0) => {
                    self.shut().await;
                    return End::Finished;
                }
                Ok(length) if swallowed || self.shut => {
                    self.progress.send_modify(|now| now.of_mut(self.direction).dropped += length as u64);
                }
                Ok(length) => {
                    if self.pass(&buffer[..length]).await.is_err() {
                        return End::Reset;
                    }
                }
                Err(_) => return End::Reset,
            }
        }
    }

    /// Reads something; `None` if other orders came first. An empty buffer waits for them alone.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<std::io::Result<usize>> {
        let Self { from: Some(from), orders, .. } = self else {
            let _ = self.orders.changed().await;
            return None;
        };
        if buffer.is_empty() {
            let _ = orders.changed().await;
            return None;
        }
        tokio::select! {
            biased;
            _ = orders.changed() => None,
            read = from.read(buffer) => Some(read),
        }
    }

    async fn pass(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(to) = &mut self.to {
            to.write_all(bytes).await?;
        }
        let length = bytes.len() as u64;
        self.passed += length;
        self.progress.send_modify(|now| now.of_mut(self.direction).passed += length);
        Ok(())
    }

    async fn shut(&mut self) {
        if let (false, Some(to)) = (self.shut, &mut self.to) {
            // A receiver that is gone already needs no telling.
            let _ = to.shutdown().await;
        }
        self.shut = true;
    }
}
