//! What a connection's handles and its task share: the requests in flight and the frames to be written, under one lock
//! that is held for a few instructions or the encoding of one frame.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::SetOnce;

use super::config::{ConnectionConfig, Side};
use super::write_queue::{Abandoned, WriteQueue};
use super::{Budget, RemotingError};
use crate::command::{Outgoing, RemotingCommand, TooLarge};
use crate::header::{HeaderFields, SerializeType};
use crate::request::Request;
use crate::session::{Lost, News, Session, Waiting};

pub(super) struct Shared {
    pub(super) peer_addr: SocketAddr,
    pub(super) local_addr: SocketAddr,
    pub(super) peer_name: Arc<str>,
    pub(super) config: ConnectionConfig,
    pub(super) side: Side,
    pub(super) budget: Budget,
    core: Mutex<Core>,
    pub(super) peer_reads_binary: AtomicBool,
    /// Why the connection has ended.
    pub(super) closed: SetOnce<Arc<str>>,
    /// The task is over, and this is what it left.
    pub(super) over: SetOnce<Abandoned>,
}

/// What the lock protects.
#[derive(Default)]
pub(super) struct Core {
    pub(super) session: Session<RemotingCommand>,
    /// What the task has not yet begun to write.
    pub(super) queue: WriteQueue,
    /// The task, while it sleeps. Whoever gives it something to do wakes it.
    pub(super) parked: Option<Waker>,
    /// How long the last writes may take.
    pub(super) close_within: Option<Duration>,
}

impl Shared {
    pub(super) fn new(
        (local_addr, peer_addr): (SocketAddr, SocketAddr),
        config: ConnectionConfig,
        side: Side,
    ) -> Self {
        Self {
            peer_addr,
            local_addr,
            peer_name: peer_addr.to_string().into(),
            budget: config.budget.child(config.outbound_limit_bytes),
            config,
            side,
            core: Mutex::default(),
            peer_reads_binary: AtomicBool::new(false),
            closed: SetOnce::new(),
            over: SetOnce::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request in and queues it, or does neither.
    pub(super) fn begin<R: Request>(
        &self,
        request: &R,
        body: Bytes,
        deadline: Instant,
        waiting: Waiting<RemotingCommand>,
    ) -> Result<i32, RemotingError> {
        let mut core = self.lock();
        let opaque = core.session.next_opaque().map_err(|cause| self.not_sent(cause))?;
        self.push_request(&mut core, request, body, opaque, false)?;
        core.session.begin(opaque, deadline, waiting);
        wake(core);
        Ok(opaque)
    }

    /// Queues a request that wants no response.
    pub(super) fn oneway<R: Request>(&self, request: &R, body: Bytes) -> Result<(), RemotingError> {
        let mut core = self.lock();
        let opaque = core.session.next_opaque().map_err(|cause| self.not_sent(cause))?;
        self.push_request(&mut core, request, body, opaque, true)?;
        wake(core);
        Ok(())
    }

    /// Queues a response; one whose connection has ended is forgotten.
    pub(super) fn respond(
        &self,
        response: &Outgoing,
        fields: &impl HeaderFields,
        body: Bytes,
    ) -> Result<(), TooLarge> {
        let mut core = self.lock();
        if core.session.closed().is_some() {
            return Ok(());
        }
        let body_bytes = body.len();
        let encode = |out: &mut BytesMut| response.encode(out, fields, body_bytes);
        core.queue.apart = self.config.budget.is_crowded();
        // What the peer takes is not known; the length field is the limit.
        let limit_bytes = usize::MAX;
        let bytes =
            core.queue.push(body, false, limit_bytes, encode, |frame_bytes| TooLarge { frame_bytes })?;
        self.budget.charge(bytes);
        wake(core);
        Ok(())
    }

    /// Whether a request is over.
    pub(super) fn poll_response(&self, opaque: i32, cx: &Context<'_>) -> Poll<Result<RemotingCommand, Lost>> {
        self.lock().session.poll(opaque, cx.waker())
    }

    /// Ends the connection: everyone who waits gets the cause. Only the first call counts.
    pub(super) fn close(&self, cause: &str, within: Option<Duration>) {
        let cause: Arc<str> = cause.into();
        let mut news = Vec::new();
        let mut core = self.lock();
        if !core.session.close(&cause, &mut news) {
            return;
        }
        core.close_within = within;
        // Nobody else sets it: the session was closed once. Under the lock, so that whoever sees the session closed sees
        // this too.
        let _ = self.closed.set(cause);
        wake(core);
        news.into_iter().for_each(News::tell);
    }

    /// Ends the requests whose receivers have given up.
    pub(super) fn give_up(&self) {
        let mut news = Vec::new();
        self.lock().session.give_up(&mut news);
        news.into_iter().for_each(News::tell);
    }

    pub(super) fn cause(&self) -> Arc<str> {
        self.closed.get().map_or_else(|| "shut down".into(), Arc::clone)
    }

    fn push_request<R: Request>(
        &self,
        core: &mut Core,
        request: &R,
        body: Bytes,
        opaque: i32,
        oneway: bool,
    ) -> Result<(), RemotingError> {
        let binary = self.config.prefer_binary_header && self.peer_reads_binary.load(Ordering::Relaxed);
        let serialize_type = if binary { SerializeType::RocketMq } else { SerializeType::Json };
        let outgoing = Outgoing::request(request.code().as_i32(), opaque, oneway, serialize_type);
        let (body_bytes, limit_bytes) = (body.len(), self.config.max_frame_bytes);
        let too_large = |frame_bytes| RemotingError::TooLarge { frame_bytes, limit_bytes };
        let encode = |out: &mut BytesMut| {
            let encoded = outgoing.encode(out, request, body_bytes);
            encoded.map_err(|error| too_large(error.frame_bytes))
        };
        let bytes = core.queue.push(body, oneway, limit_bytes.saturating_add(4), encode, too_large)?;
        self.budget.charge(bytes);
        Ok(())
    }

    fn not_sent(&self, cause: Arc<str>) -> RemotingError {
        RemotingError::NotSent { addr: Arc::clone(&self.peer_name), cause }
    }
}

/// Wakes the task if it sleeps, after the lock is given back.
fn wake(mut core: MutexGuard<'_, Core>) {
    let parked = core.parked.take();
    drop(core);
    if let Some(task) = parked {
        task.wake();
    }
}
