//! Finding out whether brokers that failed are back, without a send having to try it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::request::MaxOffsetRequest;
use tokio::time::Instant;

use super::Inner;
use crate::error::ErrorKind;

/// The rest between two probes of a broker that is left out, and how long each may take.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the detector looks for brokers to ask. Java's period.
const DETECTOR_PERIOD: Duration = Duration::from_secs(3);

impl Inner {
    /// Asks a broker that is left out until it is used again, or the topic's route no longer names it.
    pub(super) async fn probe(self: Arc<Self>, broker: ByteString, topic: ByteString) {
        tracing::warn!(%broker, "the broker does not answer: sends go to others until it does");
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            let route = self.instance.routes().get(&topic);
            if !route.is_some_and(|route| route.publish_brokers.contains(&broker)) {
                return self.memory.forget(&broker);
            }
            if self.answers(&broker, &topic, PROBE_TIMEOUT).await
                && self.memory.note_answer(&broker, Instant::now())
            {
                return tracing::info!(%broker, "the broker answers: sends go to it again");
            }
        }
    }

    /// The detector of the latency fault tolerance.
    pub(super) async fn detect(self: Arc<Self>) {
        loop {
            tokio::time::sleep(DETECTOR_PERIOD).await;
            let Some(latency) = &self.latency else { return };
            for broker in latency.to_check(Instant::now(), self.config.detect_interval) {
                let Some(topic) = self.instance.routes().topics().into_iter().next() else { break };
                if self.instance.routes().master_addr(&broker).is_none() {
                    latency.forget(&broker);
                } else if self.answers(&broker, &topic, self.config.detect_timeout).await {
                    latency.note_reachable(&broker);
                }
            }
        }
    }

    /// Java's question: the end of a queue. An error is an answer too.
    async fn answers(&self, broker: &ByteString, topic: &ByteString, timeout: Duration) -> bool {
        let Some(addr) = self.instance.routes().master_addr(broker) else { return false };
        let request =
            MaxOffsetRequest { topic: topic.clone(), queue_id: 0, broker_name: Some(broker.clone()) };
        match self.instance.call(&addr, &request, Bytes::new(), timeout).await {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::Broker,
        }
    }
}
