//! Finding this consumer's share of the queues: who is in the group, what is mine, what is new and what is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::body::consumer_list::ConsumerList;
use rocketmq_protocol::body::heartbeat::MessageModel;
use rocketmq_protocol::body::json;
use rocketmq_protocol::message::MessageQueue;
use rocketmq_protocol::request::ConsumerListRequest;

use super::process_queue::ProcessQueue;
use super::{Inner, pull, start_offset};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::guarded;

/// How often the share is looked at without a reason.
const INTERVAL: Duration = Duration::from_secs(20);
/// While something is missing (a route, the group's members, a start offset) it is looked at more often: the first time
/// after this pause, which doubles up to the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The rebalance task: at start, when the group or a route changes, and by the clock.
pub(super) async fn run(consumer: Arc<Inner>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let complete = consumer.rebalance().await;
        pause = if complete { FIRST_PAUSE } else { (pause * 2).min(INTERVAL) };
        let wait = if complete { INTERVAL } else { pause };
        tokio::select! {
            () = consumer.rebalance_wanted.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Inner {
    /// Looks at every topic; true if nothing was missing.
    async fn rebalance(self: &Arc<Self>) -> bool {
        let topics = self.topics();
        self.drop_queues_of_other_topics(&topics).await;
        let mut complete = true;
        for topic in topics {
            if let Err(error) = self.rebalance_topic(&topic).await {
                complete = false;
                tracing::debug!(%topic, group = %self.config.consumer_group, %error, "rebalance is incomplete");
            }
        }
        complete
    }

    async fn rebalance_topic(self: &Arc<Self>, topic: &ByteString) -> Result<()> {
        let route = self.instance.route(topic, None).await?;
        let share = match self.config.message_model {
            MessageModel::Broadcasting => route.subscribe.clone(),
            MessageModel::Clustering => {
                let mut members = self.group_members(topic).await?;
                let mut queues = route.subscribe.clone();
                members.sort_unstable();
                queues.sort_unstable();
                if queues.is_empty() {
                    return Ok(());
                }
                if !members.iter().any(|member| *member == **self.instance.client_id()) {
                    // A broker that was restarted, or that has not heard of this consumer yet.
                    self.instance.heartbeat().await;
                    let why = "the broker does not count this consumer among its group yet";
                    return Err(Error::new(ErrorKind::NoRoute, why).of_topic(&**topic));
                }
                let strategy = &self.config.allocate_message_queue_strategy;
                let (group, client_id) = (&self.config.consumer_group, self.instance.client_id());
                guarded("the allocation strategy", || strategy.allocate(group, client_id, &queues, &members))
                    .map_err(|panic| Error::panicked("the allocation strategy", panic).of_topic(&**topic))?
            }
        };
        self.take_share(topic, share.into_iter().collect()).await
    }

    /// Revokes first, then assigns.
    async fn take_share(self: &Arc<Self>, topic: &str, share: BTreeSet<MessageQueue>) -> Result<()> {
        self.drop_queues(|queue| queue.topic() == topic && !share.contains(queue)).await;
        let held: BTreeSet<MessageQueue> = self.queues().keys().cloned().collect();
        for queue in share.difference(&held) {
            let from = &self.config.consume_from_where;
            let start = start_offset::find(&self.instance, &self.config.consumer_group, queue, from).await?;
            let dropped = self.pulls_stop.child_token();
            let process_queue =
                Arc::new(ProcessQueue::new(queue.clone(), start.offset, start.committed, dropped));
            self.queues().insert(queue.clone(), Arc::clone(&process_queue));
            self.tasks.spawn(pull::run(Arc::clone(self), process_queue, start.offset));
        }
        Ok(())
    }

    /// The client ids of the group, from any broker of the topic.
    async fn group_members(&self, topic: &str) -> Result<Vec<String>> {
        let request = ConsumerListRequest { consumer_group: self.config.consumer_group.clone() };
        let route = self.instance.routes().get(topic);
        let brokers = route.iter().flat_map(|route| &route.data.broker_datas);
        let mut last = None;
        for broker in brokers {
            let Some(addr) = self.instance.routes().consume_addr(&broker.broker_name, 0) else { continue };
            match self.instance.call(&addr, &request, Bytes::new(), self.instance.api_timeout()).await {
                Ok(answer) => {
                    let list: ConsumerList = json::from_slice(&answer.body)
                        .map_err(|error| Error::bad_answer("the group's members", error).at(addr))?;
                    return Ok(list.consumer_id_list);
                }
                Err(error) => last = Some(error),
            }
        }
        // A broker that does not know the group answers with an error too.
        match last {
            Some(error) if error.kind() != ErrorKind::Broker => Err(error),
            _ => Ok(Vec::new()),
        }
    }

    async fn drop_queues_of_other_topics(&self, topics: &[ByteString]) {
        self.drop_queues(|queue| !topics.iter().any(|topic| **topic == *queue.topic())).await;
    }

    /// Gives queues away: pulling stops, what is done with is committed, the rest goes to the new owner.
    async fn drop_queues(&self, gone: impl Fn(&MessageQueue) -> bool) {
        let dropped: Vec<_> =
            self.queues().extract_if(|queue, _| gone(queue)).map(|(_, held)| held).collect();
        for queue in &dropped {
            queue.drop_now();
            tracing::info!(queue = %queue.queue, group = %self.config.consumer_group, "a queue was given away");
        }
        self.commit(&dropped).await;
    }
}
