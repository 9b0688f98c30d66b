//! What a group has committed, asked of the brokers.

use std::time::Duration;

use rocketmq_protocol::body::json;
use rocketmq_protocol::body::route::{MASTER_ID, TopicRouteData};
use rocketmq_protocol::command::RemotingCommand;
use rocketmq_protocol::request::OffsetResponse;

use crate::cluster::Cluster;
use crate::raw::{RawClient, request};
use crate::wait::PATIENCE;

/// How often the brokers are asked.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the offsets that a group has committed for a topic's queues add up to `total`.
///
/// # Panics
/// If they do not in time; says what is committed.
pub async fn until_committed(cluster: &Cluster, group: &str, topic: &str, total: i64) {
    let mut seen = Vec::new();
    let looking = async {
        while seen.iter().sum::<i64>() < total {
            seen = committed(cluster, group, topic).await;
            tokio::time::sleep(LOOK).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, looking).await;
    assert!(ended.is_ok(), "{group} has committed {seen:?} of {topic}, not {total} in all");
}

/// The committed offset of each queue.
async fn committed(cluster: &Cluster, group: &str, topic: &str) -> Vec<i64> {
    let asked = format!(r#"{{"topic":"{topic}","acceptStandardJsonOnly":"true"}}"#);
    let route = ask(cluster.namesrv_addr(), 105, &asked).await;
    let route: TopicRouteData = json::from_slice(route.body()).expect("a route");
    let mut offsets = Vec::new();
    for queues in &route.queue_datas {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == queues.broker_name);
        let addr = &broker.expect("the route names the queues' broker").broker_addrs[&MASTER_ID];
        for queue_id in 0..queues.read_queue_nums {
            let asked = format!(r#"{{"consumerGroup":"{group}","topic":"{topic}","queueId":"{queue_id}"}}"#);
            let answer = ask(addr, 14, &asked).await;
            // Without a committed offset there is no such field.
            offsets.push(answer.header::<OffsetResponse>().map_or(0, |header| header.offset));
        }
    }
    offsets
}

async fn ask(addr: &str, code: i32, fields: &str) -> RemotingCommand {
    let mut client = RawClient::connect(addr).await;
    client.send(&request(code, 1, fields, b"")).await;
    client.answer().await.expect("an answer")
}
