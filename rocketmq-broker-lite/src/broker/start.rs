//! How a broker comes up: tables and store first, then the listener, the name servers last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rocketmq_protocol::ByteString;
use rocketmq_protocol::remoting::{Budget, ConnectionConfig, Listener, ListenerConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::append_task;
use super::context::{Context, Place};
use super::dispatch::Dispatcher;
use super::{Broker, jobs};
use crate::clients::consumers::ConsumerManager;
use crate::clients::producers::ProducerManager;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::delay::levels::DelayLevels;
use crate::delay::schedule::Schedule;
use crate::error::StartError;
use crate::pull_wait::wake::PullHold;
use crate::registration::{Identity, Registration};
use crate::server::pool::Pool;
use crate::store::fs::Fs;
use crate::store::{MessageStore, PullLimits, StoreConfig, StoreError};
use crate::tables::consumer_offset::ConsumerOffsets;
use crate::tables::subscription_group::SubscriptionGroupTable;
use crate::tables::topic::{TopicRules, TopicTable};

/// How many requests may wait for the disk at a time.
pub(super) const READERS: usize = 8;

/// What is read from disk.
struct Files {
    store: Arc<MessageStore>,
    held: Arc<PullHold>,
    topics: Arc<TopicTable>,
    groups: SubscriptionGroupTable,
    offsets: ConsumerOffsets,
    schedule: Schedule,
}

pub(super) async fn start(config: BrokerConfig, clock: Clock, fs: Arc<dyn Fs>) -> Result<Broker, StartError> {
    let files = open_files(&config, &clock, fs).await?;
    let dispatcher = Arc::new(Dispatcher::default());
    let task_tracker = TaskTracker::new();
    let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
    let limits = limits(&config);
    let memory = limits.connection.budget.clone();
    let listener = listen(&config, limits, Arc::clone(&dispatcher), &task_tracker).await;
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            // Nothing was stored: leave the directory as after a shutdown.
            let closed = tokio::task::spawn_blocking(move || files.store.close()).await;
            tracing::debug!(?closed, "the store is closed again");
            return Err(error);
        }
    };
    let place = place(&config, listener.local_addr()).await;
    let registration = registration(&config, &place, listener.local_addr(), &files);
    let Files { store, held, topics, groups, offsets, schedule } = files;
    let context = Arc::new(Context {
        place,
        clock,
        memory,
        store,
        topics,
        groups,
        offsets,
        consumers: ConsumerManager::default(),
        producers: ProducerManager::default(),
        readers: Pool::new(READERS, &task_tracker),
        held,
        schedule,
        config,
    });
    append_task::start(&context, &task_tracker, &stop);
    dispatcher.serve(Arc::clone(&context));
    jobs::start(&context, &task_tracker, &stop);
    let stop = stop.drop_guard();
    let registrations = TaskTracker::new();
    let first_attempts =
        registration.start(context.config.namesrv_addrs(), &registrations, &leave, stop.token());
    for attempt in first_attempts {
        // A task that ended without an attempt has nothing to wait for either.
        let _ = attempt.await;
    }
    Ok(Broker { context, listener, tasks: task_tracker, registrations, leave, stop })
}

/// Opens everything on disk, on a thread that may wait for it: recovery takes its time.
async fn open_files(config: &BrokerConfig, clock: &Clock, fs: Arc<dyn Fs>) -> Result<Files, StartError> {
    let path = config.store_path_root_dir.clone();
    let (config, clock) = (config.clone(), clock.clone());
    let opened = tokio::task::spawn_blocking(move || open_files_now(&config, &clock, fs));
    let opened = opened.await.unwrap_or_else(|panic| Err(Box::new(panic)));
    opened.map_err(|source| StartError::Store { path, source })
}

fn open_files_now(
    config: &BrokerConfig,
    clock: &Clock,
    fs: Arc<dyn Fs>,
) -> Result<Files, Box<dyn std::error::Error + Send + Sync>> {
    let levels = DelayLevels::parse(&config.message_delay_level)?;
    let held = Arc::new(PullHold::default());
    let wakes = Arc::clone(&held);
    // First of all: it locks the directory.
    let store = MessageStore::open_with(
        store_config(config, levels.clone()),
        clock.clone(),
        Box::new(move |arrival| wakes.arrived(arrival)),
        fs,
    )?;
    let tables = open_tables(config, clock, levels, &store);
    match tables {
        Ok((topics, groups, offsets, schedule)) => {
            Ok(Files { store, held, topics, groups, offsets, schedule })
        }
        Err(error) => {
            close_quietly(&store);
            Err(error.into())
        }
    }
}

type Tables = (Arc<TopicTable>, SubscriptionGroupTable, ConsumerOffsets, Schedule);

fn open_tables(
    config: &BrokerConfig,
    clock: &Clock,
    levels: DelayLevels,
    store: &MessageStore,
) -> io::Result<Tables> {
    let dir = store.dir().clone();
    let topics = TopicTable::open(topic_rules(config), dir.clone(), clock.clone())?;
    topics.adopt(store.topics());
    Ok((
        Arc::new(topics),
        SubscriptionGroupTable::open(config.auto_create_subscription_group, dir.clone(), clock.clone())?,
        ConsumerOffsets::open(dir, |topic, queue_id| store.max_offset(topic, queue_id))?,
        Schedule::open(levels, store)?,
    ))
}

fn close_quietly(store: &MessageStore) {
    if let Err(error) = store.close() {
        let error: StoreError = error;
        tracing::warn!(%error, "the store could not be closed in order");
    }
}

fn store_config(config: &BrokerConfig, delay_levels: DelayLevels) -> StoreConfig {
    StoreConfig {
        root_dir: config.store_path_root_dir.clone(),
        mapped_file_size_commit_log: config.mapped_file_size_commit_log,
        mapped_file_size_consume_queue: config.mapped_file_size_consume_queue,
        flush_disk_type: config.flush_disk_type,
        flush_interval_commit_log: config.flush_interval_commit_log,
        flush_commit_log_least_pages: config.flush_commit_log_least_pages,
        flush_commit_log_thorough_interval: config.flush_commit_log_thorough_interval,
        flush_interval_consume_queue: config.flush_interval_consume_queue,
        max_message_size: config.max_message_size,
        truncate_damaged_log: config.truncate_damaged_log,
        disk_space_warning_level_ratio: config.disk_space_warning_level_ratio,
        delay_levels,
        pull_limits: PullLimits {
            in_memory_count: config.max_transfer_count_on_message_in_memory,
            in_memory_bytes: config.max_transfer_bytes_on_message_in_memory,
            on_disk_count: config.max_transfer_count_on_message_in_disk,
            on_disk_bytes: config.max_transfer_bytes_on_message_in_disk,
        },
    }
}

fn topic_rules(config: &BrokerConfig) -> TopicRules {
    TopicRules {
        cluster_name: config.broker_cluster_name.clone(),
        broker_name: config.broker_name.clone(),
        auto_create: config.auto_create_topic_enable,
        default_queue_nums: config.default_topic_queue_nums,
        cluster_topic_enable: config.cluster_topic_enable,
        broker_topic_enable: config.broker_topic_enable,
        trace_topic: None,
    }
}

fn limits(config: &BrokerConfig) -> ListenerConfig {
    ListenerConfig {
        connection: ConnectionConfig {
            max_frame_bytes: config.max_frame_bytes,
            outbound_limit_bytes: config.max_held_bytes_per_connection,
            budget: Budget::new(config.max_held_bytes),
            idle_timeout: config.server_channel_max_idle_time,
            ..ListenerConfig::default().connection
        },
        max_connections: config.max_connections,
    }
}

async fn listen(
    config: &BrokerConfig,
    limits: ListenerConfig,
    dispatcher: Arc<Dispatcher>,
    tasks: &TaskTracker,
) -> Result<Listener, StartError> {
    let addr = config.listen_addr();
    let bound = Listener::bind(addr, limits, dispatcher, tasks.clone()).await;
    bound.map_err(|source| StartError::Bind { addr, source })
}

/// What follows from where the broker listens. A host name is resolved for the address that stored messages carry.
async fn place(config: &BrokerConfig, bound: SocketAddr) -> Place {
    let addr = config.advertised_addr(bound);
    let resolved = tokio::net::lookup_host(&addr).await.ok().and_then(|mut addresses| addresses.next());
    if resolved.is_none() {
        tracing::warn!(addr, "the address that clients are told does not resolve here");
    }
    Place {
        host: addr.rsplit_once(':').map_or(addr.as_str(), |(host, _)| host).to_owned(),
        store_host: resolved.unwrap_or(bound),
        region_id: config.region_id.as_str().into(),
        trace_on: ByteString::from_static(if config.trace_on { "true" } else { "false" }),
        addr: addr.into(),
    }
}

fn registration(config: &BrokerConfig, place: &Place, bound: SocketAddr, files: &Files) -> Registration {
    let store = Arc::clone(&files.store);
    Registration {
        identity: Identity {
            cluster_name: config.broker_cluster_name.as_str().into(),
            broker_name: config.broker_name.as_str().into(),
            broker_id: config.broker_id,
            broker_addr: place.addr.clone(),
            ha_server_addr: config.ha_server_addr(bound).into(),
        },
        permission: config.broker_permission,
        has_failed: Box::new(move || store.poisoned().is_some()),
        period: config.register_name_server_period,
        timeout: config.register_broker_timeout_mills,
        topics: Arc::clone(&files.topics),
    }
}
