//! What a broker does by itself, now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Context;
use super::processor::pull;

/// How often the delayed messages and the pulls whose time is up are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How many woken pulls are answered before others get their turn.
const ANSWERS_AT_A_TIME: usize = 32;
/// How often every held pull is looked at, in milliseconds.
const CHECK_HELD_MS: i64 = 5_000;
/// How often silent clients are looked for.
const EXPIRE_CLIENTS: Duration = Duration::from_secs(10);

/// Starts the tasks; they end with `stop`.
pub(crate) fn start(context: &Arc<Context>, tasks: &TaskTracker, stop: &CancellationToken) {
    let config = &context.config;
    let (offsets, delays) = (config.flush_consumer_offset_interval, config.flush_delay_offset_interval);
    spawn(context, tasks, stop, |context| async move { answer_woken(&context).await });
    spawn(context, tasks, stop, time_out_held);
    let (own_tasks, own_stop) = (tasks.clone(), stop.clone());
    spawn(context, tasks, stop, move |context| deliver(context, own_tasks, own_stop));
    spawn(context, tasks, stop, expire_clients);
    spawn(context, tasks, stop, save_topics);
    spawn(context, tasks, stop, save_groups);
    spawn(context, tasks, stop, move |context| persist(context, offsets, Context::persist_offsets));
    spawn(context, tasks, stop, move |context| persist(context, delays, Context::persist_schedule));
}

fn spawn<F: Future<Output = ()> + Send + 'static>(
    context: &Arc<Context>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    work: impl FnOnce(Arc<Context>) -> F,
) {
    let work = work(Arc::clone(context));
    let stop = stop.clone();
    tasks.spawn(async move { stop.run_until_cancelled(work).await });
}

/// Answers woken pulls, for ever.
async fn answer_woken(context: &Arc<Context>) {
    loop {
        context.held.woken().await;
        while answer_some(context) {
            tokio::task::yield_now().await;
        }
    }
}

/// Answers what is held when the broker shuts down.
pub(crate) fn answer_all_held(context: &Arc<Context>) {
    context.held.close();
    while answer_some(context) {}
}

/// Answers some woken pulls, oldest first; false if there are none.
fn answer_some(context: &Arc<Context>) -> bool {
    let woken = context.held.take_woken(ANSWERS_AT_A_TIME);
    let any = !woken.is_empty();
    woken.into_iter().for_each(|held| pull::answer_held(context, held));
    any
}

/// Answers held pulls whose time is up, and looks at all held pulls now and then. All by the broker's own clock, which a
/// test can move.
async fn time_out_held(context: Arc<Context>) {
    let mut ticks = interval(TICK);
    let mut next_check_ms = context.clock.now_ms() + CHECK_HELD_MS;
    loop {
        ticks.tick().await;
        let now_ms = context.clock.now_ms();
        context.held.wake_expired(now_ms);
        if now_ms >= next_check_ms {
            next_check_ms = now_ms + CHECK_HELD_MS;
            context.held.check_all(&context.store);
        }
    }
}

/// Delivers delayed messages, on a thread that may wait for the disk.
async fn deliver(context: Arc<Context>, tasks: TaskTracker, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        if !context.schedule.has_waiting(&context.store) {
            continue;
        }
        let (context, stop) = (Arc::clone(&context), stop.clone());
        let delivered = tasks.spawn_blocking(move || {
            let Context { schedule, store, topics, clock, .. } = &*context;
            while !stop.is_cancelled() && schedule.deliver_due(store, topics, clock.now_ms()) {}
        });
        if let Err(error) = delivered.await {
            tracing::error!(%error, "delayed messages could not be delivered");
        }
    }
}

async fn expire_clients(context: Arc<Context>) {
    let mut ticks = interval(EXPIRE_CLIENTS);
    loop {
        ticks.tick().await;
        expire_clients_once(&context);
    }
}

/// Drops the clients that have been silent for too long, and their connections.
pub(crate) fn expire_clients_once(context: &Context) {
    let now_ms = context.clock.now_ms();
    for (group, connection) in context.consumers.expire(now_ms) {
        tracing::warn!(%group, peer = %connection.peer_addr(), "a silent consumer is dropped");
        connection.close("no heartbeat for too long");
        context.notify_consumers(&group);
    }
    for connection in context.producers.expire(now_ms) {
        tracing::warn!(peer = %connection.peer_addr(), "a silent producer is dropped");
        connection.close("no heartbeat for too long");
    }
}

async fn save_topics(context: Arc<Context>) {
    context.topics.saves().run(|| save(&context, |context| context.topics.persist())).await;
}

async fn save_groups(context: Arc<Context>) {
    context.groups.saves().run(|| save(&context, |context| context.groups.persist())).await;
}

/// Saves a table on a thread that may wait for the disk. False if that failed.
fn save(context: &Arc<Context>, save: fn(&Context) -> bool) -> impl Future<Output = bool> + use<> {
    let context = Arc::clone(context);
    let saving = tokio::task::spawn_blocking(move || save(&context));
    async { saving.await.unwrap_or(false) }
}

/// Writes a table to disk every so often, on a thread that may wait for the disk.
async fn persist(context: Arc<Context>, period: Duration, write: fn(&Context)) {
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        let context = Arc::clone(&context);
        let written = tokio::task::spawn_blocking(move || write(&context)).await;
        if let Err(error) = written {
            tracing::error!(%error, "a table could not be written");
        }
    }
}

fn interval(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
