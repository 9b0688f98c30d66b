//! What an instance does by the clock: refresh routes and send heartbeats. Each duty is a task of its own, so that none
//! waits for another; all end with the instance.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::MASTER_ID;
use rocketmq_protocol::request::{HeartbeatRequest, UnregisterClientRequest};

use super::supervise::guarded_async;
use super::{ClientInstance, supervised};

/// After an early refresh the next one waits at least this long: a broker that is down must not be asked after in a
/// loop.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);
/// How long a start, or an end, waits for the answers of brokers that it can do without.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Java's clients name this group of their own in every heartbeat.
const INNER_PRODUCER: &str = "CLIENT_INNER_PRODUCER";

pub(super) fn spawn(instance: &Arc<ClientInstance>) {
    let this = Arc::clone(instance);
    let refreshing =
        async move { supervised("the route refresh", || this.refresh_routes_by_the_clock()).await };
    instance.tasks.spawn(refreshing);
    let this = Arc::clone(instance);
    let beating = async move { supervised("the heartbeats", || this.send_heartbeats_by_the_clock()).await };
    instance.tasks.spawn(beating);
}

impl ClientInstance {
    async fn refresh_routes_by_the_clock(self: &Arc<Self>) {
        let interval = self.config.poll_name_server_interval;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
                () = self.routes_doubted.notified() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.refresh_all_routes() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(REFRESH_PAUSE.min(interval)) => {}
            }
        }
    }

    async fn send_heartbeats_by_the_clock(&self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(self.config.heartbeat_broker_interval) => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.heartbeat_to_all() => {}
            }
        }
    }

    /// Tells every broker in use what this client produces and consumes; slaves only if it consumes. Returns once all have
    /// answered, or have had a moment for it: those that take longer hold up nobody.
    pub(crate) async fn heartbeat(self: &Arc<Self>) {
        let (this, stop) = (Arc::clone(self), self.stop.clone());
        let beating = self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                // A panic is logged there.
                _ = guarded_async("a heartbeat", this.heartbeat_to_all()) => {}
            }
        });
        let _ = tokio::time::timeout(HEARD_WITHIN, beating).await;
    }

    async fn heartbeat_to_all(&self) {
        let data = self.heartbeat_data();
        let Ok(body) = json::to_vec(&data).map(Bytes::from) else { return };
        let consumes = !data.consumer_data_set.is_empty();
        let brokers =
            self.routes.live_brokers().into_iter().filter(|(_, id, _)| consumes || *id == MASTER_ID);
        let beats = brokers.map(|(name, _, addr)| {
            let body = body.clone();
            async move {
                let beat = self.call(&addr, &HeartbeatRequest, body, self.api_timeout()).await;
                if let Err(error) = beat {
                    tracing::warn!(broker = %name, %addr, %error, "heartbeat failed");
                    self.doubt_routes();
                }
            }
        });
        futures_util::future::join_all(beats).await;
    }

    fn heartbeat_data(&self) -> HeartbeatData {
        let (producers, consumers) = (self.groups.producers(), self.groups.consumers());
        let groups = producers.iter().map(|producer| &**producer.producer_group()).chain([INNER_PRODUCER]);
        HeartbeatData {
            client_id: self.client_id.to_string(),
            producer_data_set: groups.map(|group| ProducerData { group_name: group.to_owned() }).collect(),
            consumer_data_set: consumers.iter().map(|consumer| consumer.consumer_data()).collect(),
        }
    }

    /// Tells every broker in use that a group of this client is gone. Each has a moment to answer, or `patience` if that is
    /// longer; the connection's end tells it too.
    pub(crate) async fn unregister(
        &self,
        producer_group: Option<&str>,
        consumer_group: Option<&str>,
        patience: Duration,
    ) {
        let timeout = self.api_timeout().min(HEARD_WITHIN).max(patience);
        let request = UnregisterClientRequest {
            client_id: self.client_id.clone(),
            producer_group: producer_group.map(Into::into),
            consumer_group: consumer_group.map(Into::into),
            broker_name: None,
        };
        let calls = self.routes.live_brokers().into_iter().map(|(name, _, addr)| {
            let request = &request;
            async move {
                let left = self.call(&addr, request, Bytes::new(), timeout).await;
                if let Err(error) = left {
                    tracing::debug!(broker = %name, %addr, %error, "unregistering failed");
                }
            }
        });
        futures_util::future::join_all(calls).await;
    }
}
