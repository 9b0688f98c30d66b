//! A whole cluster in a test.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{BrokerConfig, FlushDiskType, NamesrvConfig};
use crate::error::StartError;
use crate::nameserver::NameServer;

/// How long a broker may take to be registered.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of a commit log file here: room for the largest message many times over, and quick to make.
const COMMIT_LOG_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A name server and its brokers, each on a free port of the loopback address, with files in a temporary directory.
/// Tests that run side by side each have their own.
///
/// When [`start`](Self::start) returns, the brokers are registered: a message can be sent at once. Dropping the value
/// ends its tasks without waiting for them and removes the directory; [`shutdown`](Self::shutdown) waits.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rocketmq_broker_lite::StartError> {
/// use rocketmq_broker_lite::TestCluster;
///
/// let mq = TestCluster::start().await?;
/// println!("NAMESRV_ADDR={}", mq.namesrv_addr());
/// // ... connect clients to mq.namesrv_addr() ...
/// mq.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestCluster {
    // Dropped in this order: the directory goes last.
    brokers: Vec<Broker>,
    namesrv: NameServer,
    namesrv_addr: String,
    clock: Clock,
    store_dirs: Vec<PathBuf>,
    directory: Mutex<Option<TempDir>>,
}

impl TestCluster {
    /// Starts a name server and one broker.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind.
    ///
    /// # Cancel safety
    /// A start that is dropped stops what it had begun and removes the directory.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// A cluster to be described before it is started.
    pub fn builder() -> TestClusterBuilder {
        TestClusterBuilder::default()
    }

    /// The name server, as clients want to be told of it: `127.0.0.1:port`.
    #[must_use]
    pub fn namesrv_addr(&self) -> &str {
        &self.namesrv_addr
    }

    /// Where the first broker listens.
    #[must_use]
    pub fn broker_addr(&self) -> SocketAddr {
        self.brokers[0].addr()
    }

    /// The brokers: `broker-a`, `broker-b` and so on.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The name server.
    #[must_use]
    pub fn namesrv(&self) -> &NameServer {
        &self.namesrv
    }

    /// The directory of the first broker's files.
    #[must_use]
    pub fn store_dir(&self) -> &Path {
        &self.store_dirs[0]
    }

    /// The directories of all brokers' files.
    #[must_use]
    pub fn store_dirs(&self) -> &[PathBuf] {
        &self.store_dirs
    }

    /// Moves the time of the name server and the brokers ahead: delayed messages and retries come due at once. Clients do
    /// not notice; silence of more than 120 s on this clock counts as their end, until their next heartbeat.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Stops the brokers, then the name server, and removes the directory. Further calls do nothing.
    ///
    /// # Cancel safety
    /// A caller that stops waiting leaves it half stopped; a further call goes on from there.
    pub async fn shutdown(&self) {
        for broker in &self.brokers {
            broker.shutdown().await;
        }
        self.namesrv.shutdown().await;
        let directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = directory.map(TempDir::close) {
            tracing::warn!(%error, "the test cluster's directory cannot be removed");
        }
    }
}

/// A cluster to be started.
#[must_use = "nothing starts before start() is called"]
pub struct TestClusterBuilder {
    brokers: usize,
    flush_disk_type: FlushDiskType,
    configure: Box<dyn Fn(&mut BrokerConfig) + Send + Sync>,
}

impl Default for TestClusterBuilder {
    fn default() -> Self {
        Self { brokers: 1, flush_disk_type: FlushDiskType::default(), configure: Box::new(|_| {}) }
    }
}

impl TestClusterBuilder {
    /// How many brokers there are, all masters. Default 1; 1 to 26.
    pub fn brokers(mut self, count: usize) -> Self {
        self.brokers = count;
        self
    }

    /// When a message counts as stored. Default [`FlushDiskType::AsyncFlush`].
    pub fn flush_disk_type(mut self, flush_disk_type: FlushDiskType) -> Self {
        self.flush_disk_type = flush_disk_type;
        self
    }

    /// Changes each broker's configuration just before it starts; `broker_name` tells which one it is.
    ///
    /// ```
    /// # use rocketmq_broker_lite::TestCluster;
    /// let builder = TestCluster::builder().brokers(2).configure_broker(|config| {
    ///     config.auto_create_topic_enable = config.broker_name == "broker-a";
    /// });
    /// ```
    pub fn configure_broker(mut self, configure: impl Fn(&mut BrokerConfig) + Send + Sync + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Starts the cluster.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind.
    ///
    /// # Cancel safety
    /// A start that is dropped stops what it had begun and removes the directory.
    pub async fn start(self) -> Result<TestCluster, StartError> {
        let directory = tempfile::Builder::new().prefix("rocketmq-test-").tempdir().map_err(no_directory)?;
        let clock = Clock::default();
        let namesrv = NameServer::start_with_clock(NamesrvConfig::default(), clock.clone()).await?;
        let namesrv_addr = namesrv.addr().to_string();
        let mut cluster = TestCluster {
            brokers: Vec::new(),
            namesrv,
            namesrv_addr,
            clock,
            store_dirs: Vec::new(),
            directory: Mutex::new(None),
        };
        for letter in ('a'..='z').take(self.brokers.max(1)) {
            let config =
                self.broker_config(&format!("broker-{letter}"), &cluster.namesrv_addr, directory.path());
            cluster.store_dirs.push(config.store_path_root_dir.clone());
            cluster.brokers.push(start_broker(config, cluster.clock.clone(), &cluster.namesrv).await?);
        }
        cluster.directory = Mutex::new(Some(directory));
        Ok(cluster)
    }

    fn broker_config(&self, name: &str, namesrv_addr: &str, directory: &Path) -> BrokerConfig {
        let mut config = BrokerConfig {
            broker_name: name.to_owned(),
            namesrv_addr: namesrv_addr.to_owned(),
            store_path_root_dir: directory.join(name),
            flush_disk_type: self.flush_disk_type,
            mapped_file_size_commit_log: COMMIT_LOG_FILE_BYTES,
            // A developer's disk may well be nearly full.
            disk_space_warning_level_ratio: 100,
            ..BrokerConfig::default()
        };
        (self.configure)(&mut config);
        config
    }
}

impl fmt::Debug for TestClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, flush_disk_type, .. } = self;
        f.debug_struct("TestClusterBuilder")
            .field("brokers", brokers)
            .field("flush_disk_type", flush_disk_type)
            .finish_non_exhaustive()
    }
}

/// Starts a broker and waits until the name server knows it.
async fn start_broker(
    config: BrokerConfig,
    clock: Clock,
    namesrv: &NameServer,
) -> Result<Broker, StartError> {
    let broker = Broker::start_with_clock(config.clone(), clock).await?;
    let advertised = config.advertised_addr(broker.addr());
    let registered = tokio::time::timeout(REGISTRATION_TIMEOUT, namesrv.wait_for_broker(&advertised));
    registered.await.map_err(|late| StartError::Register {
        namesrv_addr: namesrv.addr().to_string(),
        source: format!("{advertised} is not registered: {late}").into(),
    })?;
    Ok(broker)
}

fn no_directory(source: io::Error) -> StartError {
    StartError::Store { path: std::env::temp_dir(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_started_cluster_is_registered_and_leaves_nothing_behind() {
        let mq = TestCluster::start().await.unwrap();
        assert_eq!(mq.namesrv_addr(), mq.namesrv().addr().to_string());
        let addr = mq.broker_addr().to_string();
        let known = mq.namesrv().wait_for_broker(&addr);
        tokio::time::timeout(Duration::ZERO, known)
            .await
            .expect("the broker is registered when start() returns");
        let directory = mq.store_dir().parent().unwrap();
        assert!(directory.exists());
        mq.shutdown().await;
        mq.shutdown().await;
        assert!(!directory.exists(), "{} is left behind", directory.display());
    }

    #[tokio::test]
    async fn dropping_it_removes_its_directory() {
        let mq = TestCluster::start().await.unwrap();
        let directory = mq.store_dir().parent().unwrap().to_owned();
        drop(mq);
        assert!(!directory.exists(), "{} is left behind", directory.display());
    }

    #[tokio::test]
    async fn brokers_are_told_apart_and_configured() {
        let builder = TestCluster::builder().brokers(2).flush_disk_type(FlushDiskType::SyncFlush);
        let builder = builder.configure_broker(|config| {
            assert_eq!(config.flush_disk_type, FlushDiskType::SyncFlush);
            config.broker_cluster_name = format!("cluster-of-{}", config.broker_name);
        });
        let mq = builder.start().await.unwrap();
        let clusters = mq.namesrv().cluster_info().cluster_addr_table;
        let members: Vec<_> = clusters.into_iter().collect();
        let alone = |name: &str| (format!("cluster-of-{name}"), [name.to_owned()].into());
        assert_eq!(members, [alone("broker-a"), alone("broker-b")]);
        assert_ne!(mq.store_dirs()[0], mq.store_dirs()[1]);
        mq.shutdown().await;
    }

    #[tokio::test]
    async fn a_cluster_that_cannot_start_says_why_and_leaves_nothing_behind() {
        let root = std::sync::Arc::new(Mutex::new(PathBuf::new()));
        let seen = std::sync::Arc::clone(&root);
        let builder = TestCluster::builder().configure_broker(move |config| {
            *seen.lock().unwrap() = config.store_path_root_dir.parent().unwrap().to_owned();
            config.default_topic_queue_nums = 0;
        });
        let error = builder.start().await.unwrap_err().to_string();
        assert!(error.starts_with("defaultTopicQueueNums=0 is not valid"), "{error}");
        let root = root.lock().unwrap().clone();
        assert!(!root.exists(), "{} is left behind", root.display());
    }
}
