//! The writer task of a connection: hands the socket what is queued, and keeps the connection's time.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Connection, RemotingError};

/// How long a closing connection tries to write what is queued.
const LAST_WRITES: Duration = Duration::from_secs(1);

impl Connection {
    /// Writes what is queued, answers requests whose time is up, and closes the connection when nothing moves.
    pub(super) async fn write(self, mut socket: impl AsyncWrite + Unpin) {
        let mut spare = BytesMut::new();
        let mut idle = IdleWatch::new(self.0.config.idle_timeout);
        let mut timer = pin!(tokio::time::sleep_until(idle.next_check.into()));
        let mut ended = pin!(self.0.ended.cancelled());
        loop {
            // Most often nothing has changed, and the timer is left as it is.
            let next = self.next_timer(&idle).into();
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = &mut ended => break,
                () = self.0.outbound.filled.notified() => {
                    let written = self.write_queued(&mut socket, &mut spare).await;
                    if let Err(error) = written {
                        self.close(&format!("write failed: {error}"));
                    }
                }
                () = &mut timer => {
                    self.expire_requests();
                    if idle.is_over(self.0.activity.load(Ordering::Relaxed)) {
                        self.close("idle for too long");
                    }
                }
            }
        }
        // Responses that are due still go out; a peer that does not take them is not waited for.
        let last_writes = self.0.outbound.write_to(&mut socket, &mut spare);
        let _ = tokio::time::timeout(LAST_WRITES, last_writes).await;
        let _ = tokio::time::timeout(LAST_WRITES, socket.shutdown()).await;
    }

    async fn write_queued(
        &self,
        socket: &mut (impl AsyncWrite + Unpin),
        spare: &mut BytesMut,
    ) -> io::Result<()> {
        // Whoever is about to send gets to do so: more frames a write.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            written = self.0.outbound.write_to(socket, spare) => written?,
            // A peer that has stopped reading must not keep the connection's end, nor its timers, waiting.
            () = self.0.ended.cancelled() => {}
            () = self.stuck() => {}
        }
        self.0.activity.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Runs the timers while a write waits for the peer; returns once the peer was silent for too long.
    async fn stuck(&self) {
        let mut idle = IdleWatch::new(self.0.config.idle_timeout);
        while !idle.is_over(self.0.activity.load(Ordering::Relaxed)) {
            tokio::time::sleep_until(self.next_timer(&idle).into()).await;
            self.expire_requests();
        }
        self.close("the peer takes no data");
    }

    fn next_timer(&self, idle: &IdleWatch) -> Instant {
        let deadline = self.session().next_deadline();
        deadline.map_or(idle.next_check, |deadline| deadline.min(idle.next_check))
    }

    fn expire_requests(&self) {
        let expired = self.session().expire(Instant::now());
        for waiter in expired {
            let addr = Arc::clone(&self.0.peer_name);
            // The caller knows its timeout and puts it in.
            let _ = waiter.send(Err(RemotingError::Timeout { addr, timeout: Duration::ZERO }));
        }
    }
}

/// Notices when a counter has not moved for a whole timeout.
struct IdleWatch {
    timeout: Duration,
    next_check: Instant,
    last_seen: u64,
}

impl IdleWatch {
    fn new(timeout: Duration) -> Self {
        Self { timeout, next_check: Instant::now() + timeout, last_seen: 0 }
    }

    fn is_over(&mut self, activity: u64) -> bool {
        if Instant::now() < self.next_check {
            return false;
        }
        let idle = activity == self.last_seen;
        self.last_seen = activity;
        self.next_check = Instant::now() + self.timeout;
        idle
    }
}
