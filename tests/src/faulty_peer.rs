//! A peer that fails as networks and processes do: it freezes, crawls, swallows, resets at a byte, closes one direction.
//!
//! See `tests/FAULTS.md` for how to use it.

mod pump;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rocketmq_broker_lite::BrokerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wait::within;

/// The receive buffer of accepted connections. Small, so that a peer that stops reading is felt after some hundred KiB:
/// the kernel would else take megabytes for it.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;

/// Where a broker behind [`FaultyPeer::before_broker`] is bound.
const BEHIND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Ports that the kernel gives to no outgoing connection.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// One direction of a connection, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client that connected to the peer.
    Requests,
    /// To that client.
    Answers,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Open,
    /// They are not read: the kernel's buffers fill up, then the sender's writes block. Opened again, nothing is lost.
    Frozen,
    /// They are read and dropped, and the end of the stream with them: the sender notices nothing, the receiver waits.
    Swallowed,
    /// This many of them pass each time that `every` has gone by.
    Slow {
        /// How many.
        bytes: usize,
        /// How often.
        every: Duration,
    },
    /// The receiver reads the end of the stream; what still comes is dropped, and the other direction goes on. For
    /// connections that have seen it, this is final.
    Shut,
    /// After this many of each connection's bytes, counted from its start, both of its ends are reset.
    ResetAt(u64),
}

/// What every connection heeds.
#[derive(Clone, Copy, Debug)]
struct Orders {
    requests: Flow,
    answers: Flow,
    /// Grows by one for each [`FaultyPeer::reset_all`].
    resets: u64,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    accepted: u64,
    open: u64,
    requests: Bytes,
    answers: Bytes,
}

/// What has come of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    passed: u64,
    dropped: u64,
}

/// A listening socket whose connections fail on command. Dropping it resets them all and closes the port.
#[derive(Debug)]
pub struct FaultyPeer {
    addr: SocketAddr,
    orders: watch::Sender<Orders>,
    progress: watch::Sender<Progress>,
    listening: JoinHandle<()>,
}

impl FaultyPeer {
    /// In front of a broker or name server: what passes goes there and back.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn before(server: SocketAddr) -> Self {
        Self::start(listen(0).expect("a free port of 127.0.0.1"), Some(server))
    }

    /// Alone: reads what comes and never answers.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn alone() -> Self {
        Self::start(listen(0).expect("a free port of 127.0.0.1"), None)
    }

    /// In front of a broker that does not run yet. Clients find brokers through the name server, so the broker has to
    /// register the peer's address as its own: let [`configure`](Self::configure) say so.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn before_broker() -> Self {
        let behind_is_free = |port| std::net::TcpListener::bind((BEHIND, port)).is_ok();
        let free = std::iter::repeat_with(|| rand::random_range(PORTS))
            .take(1000)
            .find_map(|port| listen(port).ok().filter(|_| behind_is_free(port)));
        let listener = free.expect("a port that is free of 127.0.0.1 and of 127.0.0.2");
        let port = listener.local_addr().expect("it is bound").port();
        Self::start(listener, Some((BEHIND, port).into()))
    }

    fn start(listener: TcpListener, server: Option<SocketAddr>) -> Self {
        let addr = listener.local_addr().expect("it is bound");
        let open = Orders { requests: Flow::Open, answers: Flow::Open, resets: 0 };
        let (orders, progress) = (watch::Sender::new(open), watch::Sender::new(Progress::default()));
        let listening = tokio::spawn(accept(listener, server, orders.subscribe(), progress.clone()));
        Self { addr, orders, progress, listening }
    }

    /// Lets a broker's clients come through this peer, which was made by [`before_broker`](Self::before_broker).
    pub fn configure(&self, config: &mut BrokerConfig) {
        config.bind_address = BEHIND.into();
        config.listen_port = self.addr.port();
        config.broker_ip1 = Some(self.addr.ip().to_string());
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What happens from now on to one direction of all connections, those that are open and those to come.
    pub fn set(&self, direction: Direction, flow: Flow) {
        self.orders.send_modify(|orders| match direction {
            Direction::Requests => orders.requests = flow,
            Direction::Answers => orders.answers = flow,
        });
    }

    /// The same for both directions.
    pub fn set_both(&self, flow: Flow) {
        self.orders.send_modify(|orders| (orders.requests, orders.answers) = (flow, flow));
    }

    /// Resets every connection that is open, at both ends.
    pub fn reset_all(&self) {
        self.orders.send_modify(|orders| orders.resets += 1);
    }

    /// Waits until this many connections were accepted since the start.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn accepted(&self, count: u64) {
        self.until(&format!("{count} connections"), |progress| progress.accepted >= count).await;
    }

    /// Waits until exactly this many connections are open.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub async fn open(&self, count: u64) {
        self.until(&format!("{count} open connections"), |progress| progress.open == count).await;
    }

    /// Waits until this many bytes in all have passed since the start; of a peer that is alone, were read.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn passed(&self, direction: Direction, bytes: u64) {
        let what = format!("{bytes} bytes of {direction:?}");
        self.until(&what, |progress| progress.of(direction).passed >= bytes).await;
    }

    /// Waits until this many bytes in all were read and dropped, because of [`Flow::Swallowed`] or [`Flow::Shut`].
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn dropped(&self, direction: Direction, bytes: u64) {
        let what = format!("{bytes} dropped bytes of {direction:?}");
        self.until(&what, |progress| progress.of(direction).dropped >= bytes).await;
    }

    /// How many bytes have passed since the start.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.progress.borrow().of(direction).passed
    }

    async fn until(&self, what: &str, holds: impl Fn(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        let ended = within(&format!("{what} at the faulty peer"), progress.wait_for(|now| holds(now))).await;
        ended.expect("the peer holds the sender");
    }
}

impl Drop for FaultyPeer {
    fn drop(&mut self) {
        // Connections end when the sender of their orders goes.
        self.listening.abort();
    }
}

impl Progress {
    fn of(&self, direction: Direction) -> Bytes {
        match direction {
            Direction::Requests => self.requests,
            Direction::Answers => self.answers,
        }
    }

    fn of_mut(&mut self, direction: Direction) -> &mut Bytes {
        match direction {
            Direction::Requests => &mut self.requests,
            Direction::Answers => &mut self.answers,
        }
    }
}

impl Orders {
    fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Requests => self.requests,
            Direction::Answers => self.answers,
        }
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Accepted connections inherit it.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(1024)
}

async fn accept(
    listener: TcpListener,
    server: Option<SocketAddr>,
    orders: watch::Receiver<Orders>,
    progress: watch::Sender<Progress>,
) {
    while let Ok((client, _)) = listener.accept().await {
        progress.send_modify(|progress| {
            progress.accepted += 1;
            progress.open += 1;
        });
        let (orders, progress) = (orders.clone(), progress.clone());
        tokio::spawn(async move {
            serve(client, server, orders, &progress).await;
            progress.send_modify(|progress| progress.open -= 1);
        });
    }
}

/// One connection, up to its end.
async fn serve(
    mut client: TcpStream,
    server: Option<SocketAddr>,
    orders: watch::Receiver<Orders>,
    progress: &watch::Sender<Progress>,
) {
    let mut server = match server {
        Some(addr) => match connect(addr).await {
            Ok(server) => Some(server),
            // Whoever is not there cannot be reached through here either.
            Err(_) => return reset(&client),
        },
        None => None,
    };
    if pump::both(&mut client, server.as_mut(), orders, progress).await == pump::End::Reset {
        reset(&client);
        if let Some(server) = &server {
            reset(server);
        }
    }
}

async fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes the coming drop a reset.
fn reset(stream: &TcpStream) {
    // It fails only for a socket that is gone already.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests;
