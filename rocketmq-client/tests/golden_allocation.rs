//! The shares of a group's members are those that the Java class gives.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::HashMap;

use rocketmq_client::{AllocateMessageQueueAveragely, AllocateMessageQueueStrategy, MessageQueue};

/// The fields of each line about the strategy AVG; those with empty lists, which are an error in Java, never come here.
fn lines() -> Vec<HashMap<String, String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../rocketmq-protocol/tests/golden/allocation-4.9.8.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let fields = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields = line.split('\t').filter_map(|field| field.split_once('='));
        fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<HashMap<_, _>>()
    });
    let is_share = |fields: &HashMap<String, String>| {
        fields.get("strategy").is_some_and(|strategy| strategy == "AVG")
            && fields.get("stranger").is_some_and(String::is_empty)
    };
    fields.filter(is_share).collect()
}

/// As the golden file makes them: alternating over two brokers, then sorted.
fn queues(count: i32) -> Vec<MessageQueue> {
    let broker = |index: i32| if index % 2 == 0 { "broker-a" } else { "broker-b" };
    let mut queues: Vec<_> =
        (0..count).map(|index| MessageQueue::new("T", broker(index), index / 2)).collect();
    queues.sort_unstable();
    queues
}

fn share(id: &str, queues: &[MessageQueue], ids: &[String]) -> String {
    let share = AllocateMessageQueueAveragely.allocate("g", id, queues, ids);
    let names: Vec<_> =
        share.iter().map(|queue| format!("{}-{}", queue.broker_name(), queue.queue_id())).collect();
    names.join(",")
}

#[test]
fn shares_are_javas() {
    let lines = lines();
    assert!(lines.len() > 3, "the golden file has only {} lines", lines.len());
    for line in lines {
        let queues = queues(line["queues"].parse().unwrap());
        let consumers: usize = line["consumers"].parse().unwrap();
        let mut ids: Vec<_> = (0..consumers).map(|id| format!("c{id}")).collect();
        ids.sort_unstable();
        for id in &ids {
            assert_eq!(share(id, &queues, &ids), line[id], "{line:?}");
        }
        assert_eq!(share("stranger", &queues, &ids), line["stranger"], "{line:?}");
    }
}
