//! Any tokio runtime will do, and no ceremony is needed.

use rocketmq_client::{ConsumeConcurrentlyStatus, DefaultMQProducer, DefaultMQPushConsumer, Message};
use tests::{Cluster, Collector, unique};

async fn there_and_back() {
    let mq = Cluster::start().await;
    let topic = unique("runtime");
    let producer = mq.producer().start().await.unwrap();
    let _ = producer.send(Message::new(topic.clone(), "x")).await.unwrap();
    let mut inbox = Collector::new();
    let consumer = mq.consumer(&unique("g")).subscribe(&topic, "*").consume_concurrently(inbox.listener());
    let consumer = consumer.start().await.unwrap();
    inbox.one().await;
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
}

/// The attribute with nothing in it: what a user's first program has.
#[test]
fn on_plain_tokio_main() {
    #[tokio::main]
    async fn main() {
        there_and_back().await;
    }
    main();
}

#[test]
fn on_a_current_thread_runtime() {
    #[tokio::main(flavor = "current_thread")]
    async fn main() {
        there_and_back().await;
    }
    main();
}

/// A second runtime of the same process finds nothing left of the first.
#[test]
fn on_one_runtime_after_another() {
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mq = Cluster::start().await;
            let producer = mq.producer().instance_name("same").start().await.unwrap();
            let _ = producer.send(Message::new(unique("t"), "x")).await.unwrap();
            // Neither is shut down: the runtime's end takes them along.
        });
    }
}

/// The whole program of the quickstart, in the lines a user would write.
#[tokio::test]
async fn a_first_program_is_short() -> Result<(), Box<dyn std::error::Error>> {
    let mq = Cluster::start().await;
    let (namesrv_addr, topic) = (mq.namesrv_addr(), unique("hello"));
    let (group, (done, seen)) = (unique("g"), tokio::sync::watch::channel(false));

    let producer = DefaultMQProducer::builder("hello").namesrv_addr(namesrv_addr).start().await?;
    println!("{}", producer.send(Message::new(topic.clone(), "Hello")).await?);
    let consumer = DefaultMQPushConsumer::builder(group)
        .namesrv_addr(namesrv_addr)
        .subscribe(topic, "*")
        .consume_concurrently(move |msgs, _context| {
            println!("Receive New Messages: {msgs:?}");
            done.send_replace(true);
            async { ConsumeConcurrentlyStatus::ConsumeSuccess }
        })
        .start()
        .await?;
    tests::within("the message", seen.clone().wait_for(|seen| *seen)).await?;
    consumer.shutdown().await;
    producer.shutdown().await;
    mq.stop().await;
    Ok(())
}
