//! Several clients in one process.

use std::collections::BTreeSet;

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{DefaultMQProducer, ErrorKind, Message};
use tests::{Cluster, Collector, unique};

#[tokio::test]
async fn two_clusters_in_one_process_never_mix() {
    let clusters =
        [Cluster::embedded(TestCluster::builder()).await, Cluster::embedded(TestCluster::builder()).await];
    let (mut inboxes, mut clients) = (Vec::new(), Vec::new());
    for mq in &clusters {
        let inbox = Collector::new();
        // All names are the same on both: groups, instance, topic.
        let producer = DefaultMQProducer::builder("p").namesrv_addr(mq.namesrv_addr()).instance_name("same");
        let producer = producer.start().await.unwrap();
        let consumer = mq.consumer("g").instance_name("same").subscribe("TopicTest", "*");
        let consumer = consumer.consume_concurrently(inbox.listener()).start().await.unwrap();
        assert_eq!(producer.client_id(), consumer.client_id());
        inboxes.push(inbox);
        clients.push((producer, consumer));
    }
    assert_eq!(clients[0].0.client_id(), clients[1].0.client_id());
    for i in 0..20 {
        for (at, (producer, _)) in clients.iter().enumerate() {
            let _ = producer.send(Message::new("TopicTest", format!("{at}-{i}"))).await.unwrap();
        }
    }
    for (at, inbox) in inboxes.iter_mut().enumerate() {
        let bodies: BTreeSet<_> = inbox.next(20).await.iter().map(|message| message.body().clone()).collect();
        let expected: BTreeSet<_> = (0..20).map(|i| bytes::Bytes::from(format!("{at}-{i}"))).collect();
        assert_eq!(bodies, expected);
    }
    for ((producer, consumer), mq) in clients.into_iter().zip(clusters) {
        consumer.shutdown().await;
        producer.shutdown().await;
        mq.stop().await;
    }
    assert!(inboxes.iter().all(|inbox| inbox.count() == 20));
}

#[tokio::test]
async fn clients_of_one_instance_name_share_an_instance_and_end_apart() {
    let mq = Cluster::start().await;
    let (topic, instance) = (unique("instance"), unique("i"));
    let inbox = Collector::new();
    let first = mq.producer().instance_name(&instance).start().await.unwrap();
    let second = mq.producer().instance_name(&instance).start().await.unwrap();
    let consumer = mq.consumer(&unique("g")).instance_name(&instance).subscribe(&topic, "*");
    let consumer = consumer.consume_concurrently(inbox.listener()).start().await.unwrap();
    let apart = mq.producer().start().await.unwrap();
    assert_eq!(first.client_id(), second.client_id());
    assert_eq!(first.client_id(), consumer.client_id());
    assert!(first.client_id().ends_with(&format!("@{instance}")), "{}", first.client_id());
    assert_ne!(first.client_id(), apart.client_id());

    let _ = first.send(Message::new(topic.clone(), "1")).await.unwrap();
    first.shutdown().await;
    assert_eq!(first.send(Message::new(topic.clone(), "x")).await.unwrap_err().kind(), ErrorKind::Closed);
    let _ = second.send(Message::new(topic.clone(), "2")).await.unwrap();
    let mut inbox = inbox;
    inbox.next(2).await;
    consumer.shutdown().await;
    let _ = second.send(Message::new(topic.clone(), "3")).await.unwrap();
    second.shutdown().await;
    apart.shutdown().await;
    mq.stop().await;
}

#[tokio::test]
async fn one_instance_has_each_group_once() {
    let mq = Cluster::start().await;
    let (topic, group, instance) = (unique("t"), unique("g"), unique("i"));
    let inbox = Collector::new();
    let consumer = || {
        mq.consumer(&group)
            .instance_name(&instance)
            .subscribe(&topic, "*")
            .consume_concurrently(inbox.listener())
    };
    let first = consumer().start().await.unwrap();
    let error = consumer().start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(
        error.to_string().contains(&format!("The consumer group[{group}] has been created before")),
        "{error}"
    );
    first.shutdown().await;
    consumer().start().await.unwrap().shutdown().await;
    mq.stop().await;
}
