//! The cluster that a test runs on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_broker_lite::{TestCluster, TestClusterBuilder};
use rocketmq_client::{
    ConsumeFromWhere, DefaultMQProducer, DefaultMQProducerBuilder, DefaultMQPushConsumer,
    DefaultMQPushConsumerBuilder,
};

use crate::real;

/// A name server and a broker: embedded and this test's own, or the real one that all tests share.
#[derive(Debug)]
pub struct Cluster {
    namesrv_addr: String,
    embedded: Option<TestCluster>,
}

impl Cluster {
    /// The cluster that the environment asks for: see the README. An embedded one is new.
    ///
    /// # Panics
    /// If there is none to be had.
    pub async fn start() -> Self {
        match real::namesrv_addr() {
            Some(namesrv_addr) => Self { namesrv_addr, embedded: None },
            None => Self::embedded(TestCluster::builder()).await,
        }
    }

    /// An embedded cluster whatever the environment says: for tests that take part of it away.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn embedded(builder: TestClusterBuilder) -> Self {
        let embedded = builder.start().await.expect("the embedded cluster starts");
        Self { namesrv_addr: embedded.namesrv_addr().to_owned(), embedded: Some(embedded) }
    }

    /// The name server's address.
    #[must_use]
    pub fn namesrv_addr(&self) -> &str {
        &self.namesrv_addr
    }

    /// The embedded cluster, if it is one.
    #[must_use]
    pub fn as_embedded(&self) -> Option<&TestCluster> {
        self.embedded.as_ref()
    }

    /// A producer to be started, of a group of its own.
    pub fn producer(&self) -> DefaultMQProducerBuilder {
        // A real broker on a busy machine may take its time.
        DefaultMQProducer::builder(unique("producer"))
            .namesrv_addr(&self.namesrv_addr)
            .send_msg_timeout(Duration::from_secs(20))
    }

    /// A consumer to be started. It begins at each queue's first message, and learns of new topics within a second.
    pub fn consumer(&self, group: &str) -> DefaultMQPushConsumerBuilder {
        DefaultMQPushConsumer::builder(group.to_owned())
            .namesrv_addr(&self.namesrv_addr)
            .consume_from_where(ConsumeFromWhere::FirstOffset)
            .poll_name_server_interval(Duration::from_secs(1))
    }

    /// Ends an embedded cluster in order. A real one stays for the other tests.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.shutdown().await;
        }
    }
}

/// A name that no other test has, nor any earlier run.
#[must_use]
pub fn unique(hint: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{hint}-{}-{}-{count}", std::process::id(), since.as_millis())
}
