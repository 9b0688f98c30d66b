//! Appending is a pipeline: encode, queue up, place, write, publish, tell.
//!
//! Whoever has messages encodes them outside of any lock, into a [`Submission`]: a connection does so with all that one
//! read has brought. Submissions queue up under a small lock. One thread at a time, the *leader*, takes all that wait,
//! assigns their offsets, and writes them at once; nobody else waits meanwhile. Then it tells the others by callback.
//!
//! | file | what it does |
//! |---|---|
//! | [`submission`] | encodes; knows what became of each part |
//! | [`pipeline`] | the queue, and who leads |
//! | [`lead`] | offsets, the write, the queues' units |
//! | [`next_offsets`] | the next offset of each queue |

mod lead;
mod next_offsets;
mod pipeline;
mod submission;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use next_offsets::NextOffsets;
pub(crate) use pipeline::Leader;
pub(super) use pipeline::{Pipeline, start};
pub(crate) use submission::Submission;

use super::{Appended, Inner, NewMessage, StoreError};

/// Called once, outside the store's locks, on the leader's thread: it must not wait.
pub(crate) type AppendDone = Box<dyn FnOnce(&Submission) + Send>;

/// Stores what was submitted, on the thread for that: this one does not wait for the write.
pub(super) fn submit(inner: &Inner, submission: Submission, done: AppendDone) {
    if submission.is_empty() {
        return done(&submission);
    }
    if let Err((submission, done)) = inner.pipeline.push(submission, done) {
        return refuse(submission, done);
    }
    if !inner.pipeline.call_leader() {
        lead(inner);
    }
}

/// Stores messages of one queue under consecutive offsets, in one piece of the log, and waits for the write.
///
/// # Errors
/// A message breaks a limit, or the store is closed or failed; then none counts as stored.
pub(super) fn append(inner: &Inner, messages: &[NewMessage<'_>]) -> Result<Vec<Appended>, StoreError> {
    let mut submission = Submission::default();
    submission.encode(inner, messages)?;
    if submission.is_empty() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let is_done = Arc::new(AtomicBool::new(false));
    let done = {
        let is_done = Arc::clone(&is_done);
        move |submission: &Submission| {
            let outcome = submission.outcomes().next().map(|it| it.map(<[_]>::to_vec).map_err(Clone::clone));
            // There is room for one, and the receiver lives.
            let _ = sender.send(outcome.unwrap_or(Err(StoreError::ShutDown)));
            is_done.store(true, Ordering::Release);
        }
    };
    if let Err((submission, done)) = inner.pipeline.push(submission, Box::new(done)) {
        refuse(submission, done);
    }
    while !is_done.load(Ordering::Acquire) {
        if inner.pipeline.wait_unless(&is_done) {
            lead(inner);
        }
    }
    receiver.recv().unwrap_or(Err(StoreError::ShutDown))
}

/// See [`MessageStore::lead`](super::MessageStore::lead).
pub(super) fn lead_once(inner: &Inner) {
    if let Some(batch) = inner.pipeline.take() {
        lead::store(inner, batch);
    }
}

/// Writes all that waits, unless another thread does.
fn lead(inner: &Inner) {
    while let Some(batch) = inner.pipeline.take() {
        lead::store(inner, batch);
    }
}

/// Too much waits already.
fn refuse(mut submission: Submission, done: AppendDone) {
    submission.fail(&StoreError::Busy);
    done(&submission);
}
