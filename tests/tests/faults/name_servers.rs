//! Name servers that hang.

use std::time::{Duration, Instant};

use rocketmq_broker_lite::TestCluster;
use rocketmq_client::{DefaultMQProducer, Message};
use tests::{Cluster, FaultyPeer, unique};

/// Where a client begins among its name servers is chance, so several begin; every one sends, at default settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_of_two_name_servers_hanging_every_producer_sends_at_once() {
    let mq = Cluster::embedded(TestCluster::builder()).await;
    let hanging = FaultyPeer::alone().await;
    let both = format!("{};{}", hanging.addr(), mq.namesrv_addr());
    for number in 0..8 {
        let began = Instant::now();
        let producer = DefaultMQProducer::builder(unique("p")).namesrv_addr(&both).start().await.unwrap();
        let sent = producer.send(Message::new(unique("hanging"), "x")).await;
        let took = began.elapsed();
        println!("producer {number}: first send after {took:.1?}");
        assert!(sent.is_ok(), "producer {number}: {}", sent.unwrap_err());
        // A send may take 3 s, and so may one question to a name server.
        assert!(took < Duration::from_secs(3), "producer {number}: {took:.1?}");
        producer.shutdown().await;
    }
    assert!(hanging.bytes(tests::Direction::Requests) > 0, "nobody began with the one that hangs");
    mq.stop().await;
}
