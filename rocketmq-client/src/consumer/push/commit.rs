//! Telling the brokers how far the group has come. Java: `RemoteBrokerOffsetStore`.

use std::sync::Arc;

use bytes::Bytes;
use rocketmq_protocol::message::wire::WireMessageQueue;
use rocketmq_protocol::request::UpdateConsumerOffsetRequest;

use super::Inner;
use super::process_queue::ProcessQueue;
use super::start_offset::OFFSET_TIMEOUT;

/// The commit task: by the clock.
pub(super) async fn run(consumer: Arc<Inner>) {
    loop {
        tokio::time::sleep(consumer.config.persist_consumer_offset_interval).await;
        let held: Vec<_> = consumer.queues().values().cloned().collect();
        consumer.commit(&held).await;
    }
}

impl Inner {
    /// Commits what these queues are done with and the brokers do not know yet. A broker that fails is tried again the
    /// next time.
    pub(super) async fn commit(&self, queues: &[Arc<ProcessQueue>]) {
        let commits = queues.iter().filter(|queue| queue.uncommitted().is_some()).map(|queue| async {
            let _committing = queue.committing.lock().await;
            if let Some(offset) = queue.uncommitted() {
                self.tell(queue, offset).await;
            }
        });
        futures_util::future::join_all(commits).await;
    }

    /// Commits this offset, wherever the queue is.
    pub(super) async fn commit_at(&self, queue: &ProcessQueue, offset: i64) {
        let _committing = queue.committing.lock().await;
        self.tell(queue, offset).await;
    }

    async fn tell(&self, held: &ProcessQueue, offset: i64) {
        let queue = &held.queue;
        let Some(addr) = self.instance.routes().master_addr(queue.broker_name()) else { return };
        let request = UpdateConsumerOffsetRequest {
            consumer_group: self.config.consumer_group.clone(),
            topic: queue.topic_shared().clone(),
            queue_id: queue.queue_id(),
            commit_offset: offset,
            broker_name: Some(queue.broker_name_shared().clone()),
        };
        match self.instance.call(&addr, &request, Bytes::new(), OFFSET_TIMEOUT).await {
            Ok(_) => held.set_committed(offset),
            Err(error) => tracing::warn!(%queue, offset, %error, "an offset could not be committed"),
        }
    }
}
