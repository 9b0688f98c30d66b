//! What the leader does: offsets, the write, the units, and telling.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::MutexGuard;

use bytes::Bytes;
use rocketmq_protocol::message::record::{BLANK_BYTES, Placement};

use super::super::commit_log::Writer;
use super::super::{Inner, StoreError};
use super::pipeline::Submitted;

/// Stores a batch that was [taken](super::Pipeline::take), and tells those who submitted it.
pub(super) fn store(inner: &Inner, mut batch: Vec<Submitted>) {
    {
        let _leading = Leading(inner);
        write_batch(inner, &mut batch);
    }
    inner.flusher.appended();
    for (submission, done) in batch {
        submission.announce(inner);
        done(&submission);
    }
    inner.pipeline.told();
}

/// Somebody else may lead when this is dropped.
struct Leading<'a>(&'a Inner);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.pipeline.release();
    }
}

fn write_batch(inner: &Inner, batch: &mut [Submitted]) {
    let mut writer = inner.log.lock();
    if writer.closed {
        let error = inner.refuse_if_failed().err().unwrap_or(StoreError::ShutDown);
        return batch.iter_mut().for_each(|(submission, _)| submission.fail(&error));
    }
    let store_timestamp = inner.clock.now_ms();
    let plan = Plan::make(inner, &mut writer, batch, store_timestamp);
    for (index, run) in plan.runs.iter().enumerate() {
        if let Err(error) = write_run(inner, &mut writer, run, &plan.entries, batch, store_timestamp) {
            let error = take_back(inner, writer, error);
            let from = plan.runs[index].entries.start;
            for at in &plan.entries[from..] {
                batch[at.submission].0.fail_entry(at.entry, &error);
            }
            return;
        }
    }
    keep(inner, &plan, batch);
    if !plan.entries.is_empty() {
        inner.room.written();
    }
}

/// Where everything goes.
struct Plan {
    runs: Vec<Run>,
    /// The entries that are stored, in the order of the log.
    entries: Vec<At>,
}

/// An entry of a batch.
struct At {
    submission: usize,
    entry: usize,
}

/// What lies together in one file.
struct Run {
    entries: Range<usize>,
    /// Their bytes, as parts of their submissions, as few as possible.
    parts: Vec<(usize, Range<usize>)>,
    start: i64,
    end: i64,
    file_end: i64,
    /// The file is over behind it.
    ends_file: bool,
}

impl Run {
    fn new(start: i64, file_size: i64, first_entry: usize) -> Self {
        let file_end = start - start % file_size + file_size;
        let entries = first_entry..first_entry;
        Self { entries, parts: Vec::new(), start, end: start, file_end, ends_file: false }
    }

    fn has_room(&self, bytes: usize) -> bool {
        let needed = i64::try_from(bytes.saturating_add(BLANK_BYTES)).unwrap_or(i64::MAX);
        needed <= self.file_end - self.end
    }

    /// Adds an entry, which has those bytes of its submission.
    fn add(&mut self, submission: usize, bytes: Range<usize>) {
        self.entries.end += 1;
        self.end += i64::try_from(bytes.len()).unwrap_or_default();
        match self.parts.last_mut() {
            Some((last, range)) if *last == submission && range.end == bytes.start => range.end = bytes.end,
            _ => self.parts.push((submission, bytes)),
        }
    }
}

impl Plan {
    /// Places each entry behind the one before. Entries for which there is no room fail.
    fn make(inner: &Inner, writer: &mut Writer, batch: &mut [Submitted], store_timestamp: i64) -> Self {
        let file_size = inner.log.file_size();
        let mut plan = Self { runs: Vec::new(), entries: Vec::new() };
        let mut run = Run::new(writer.end(), file_size, 0);
        for (number, (submission, _)) in batch.iter_mut().enumerate() {
            for index in 0..submission.entries.len() {
                let queue = &submission.entries[index].queue;
                if let Err(error) = inner.room.check(inner, queue) {
                    submission.fail_entry(index, &error);
                    continue;
                }
                let size = submission.entries[index].bytes.len();
                if !run.has_room(size) {
                    let next = Run::new(run.file_end, file_size, run.entries.end);
                    plan.runs.push(Run { ends_file: true, ..std::mem::replace(&mut run, next) });
                }
                let queue_offset = writer.next_offsets.take(queue, submission.queued_count(index));
                let physical_offset = run.end;
                submission.place(index, Placement { queue_offset, physical_offset, store_timestamp });
                plan.entries.push(At { submission: number, entry: index });
                run.add(number, submission.entries[index].bytes.clone());
            }
        }
        plan.runs.push(run);
        plan
    }
}

/// Writes a run at once, and publishes it.
fn write_run(
    inner: &Inner,
    writer: &mut Writer,
    run: &Run,
    entries: &[At],
    batch: &[Submitted],
    store_timestamp: i64,
) -> Result<(), StoreError> {
    let entries = &entries[run.entries.clone()];
    debug_assert_eq!(run.start, writer.end(), "runs lie one behind the other");
    if !entries.is_empty() || run.ends_file {
        let bytes = |(submission, range): &(usize, Range<usize>)| &batch[*submission].0.bytes[range.clone()];
        let parts: Vec<_> = run.parts.iter().map(|part| IoSlice::new(bytes(part))).collect();
        inner.log.write(writer, &parts, run.ends_file, store_timestamp)?;
    }
    for at in entries {
        batch[at.submission].0.put_units(at.entry, inner);
    }
    Ok(())
}

/// Keeps what was written for those who pull at the log's end.
fn keep(inner: &Inner, plan: &Plan, batch: &mut [Submitted]) {
    let frozen: Vec<Bytes> =
        batch.iter_mut().map(|(submission, _)| std::mem::take(&mut submission.bytes).freeze()).collect();
    for run in &plan.runs {
        let mut physical_offset = run.start;
        for (submission, range) in &run.parts {
            let bytes = frozen[*submission].slice(range.clone());
            let len = i64::try_from(bytes.len()).unwrap_or_default();
            inner.log.tail().push(physical_offset, bytes);
            physical_offset += len;
        }
    }
}

/// Nothing was published: the messages are refused, and once there is room others are taken again. What the senders are
/// to be told.
fn take_back(inner: &Inner, mut writer: MutexGuard<'_, Writer>, error: StoreError) -> StoreError {
    writer.next_offsets.take_back();
    match inner.log.take_back(&mut writer) {
        Ok(()) => inner.room.refuse(error),
        Err(error) => {
            // Before the lock is given back: nobody may write behind nonsense.
            writer.closed = true;
            drop(writer);
            inner.poison(error)
        }
    }
}
