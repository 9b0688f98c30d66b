//! broker-lite with a name server, as one process.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rocketmq_broker_lite::{Broker, BrokerConfig, FlushDiskType, NameServer, NamesrvConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

/// How broker-lite is run.
#[derive(Args, Debug)]
pub(crate) struct ServeOptions {
    /// Where the store is kept [default: a temporary directory, removed at the end]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// When a message counts as stored
    #[arg(long, value_enum, default_value_t = Flush::Async)]
    flush: Flush,
    /// End when standard input ends, and so with the process that holds its other side
    #[arg(long)]
    with_parent: bool,
}

/// `flushDiskType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flush {
    /// ASYNC_FLUSH
    Async,
    /// SYNC_FLUSH
    Sync,
}

/// Runs both on free ports until told to stop.
pub(crate) async fn run(options: ServeOptions) -> Result<(), Failure> {
    let temporary = match options.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("rocketmq-bench-").tempdir()?),
    };
    let dir = options.dir.or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned())).unwrap_or_default();
    let namesrv = NameServer::start(NamesrvConfig::default()).await?;
    let config = BrokerConfig {
        broker_name: "broker-a".to_owned(),
        namesrv_addr: namesrv.addr().to_string(),
        store_path_root_dir: dir,
        flush_disk_type: match options.flush {
            Flush::Async => FlushDiskType::AsyncFlush,
            Flush::Sync => FlushDiskType::SyncFlush,
        },
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).await?;
    println!("NAMESRV_ADDR={}", namesrv.addr());
    told_to_stop(options.with_parent).await?;
    broker.shutdown().await;
    namesrv.shutdown().await;
    Ok(())
}

async fn told_to_stop(with_parent: bool) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = input_ended(), if with_parent => {}
    }
    Ok(())
}

/// Reads standard input to its end, on a thread that nobody waits for: such a read cannot be given up.
async fn input_ended() {
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(alive);
    });
    let _ = ended.await;
}
