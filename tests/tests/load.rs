//! 100,000 messages of 1 KiB from 16 tasks, consumed by two members of one group of which one is stopped and started
//! again midway: each one that was acknowledged is consumed at least once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::{DefaultMQProducer, DefaultMQPushConsumer, Message, SendStatus};
use tests::{Cluster, PATIENCE, unique, within};
use tokio::sync::mpsc;

const TASKS: usize = 16;
const MESSAGES: usize = 100_000;
const BODY_BYTES: usize = 1024;

/// Sends one task's share; returns the numbers of the messages that were acknowledged.
async fn send_share(producer: DefaultMQProducer, topic: String, task: usize) -> Vec<u32> {
    let mut acknowledged = Vec::new();
    for number in (task..MESSAGES).step_by(TASKS) {
        let number = u32::try_from(number).unwrap();
        let mut body = vec![b'x'; BODY_BYTES];
        body[..4].copy_from_slice(&number.to_be_bytes());
        match producer.send(Message::new(topic.clone(), body)).await {
            Ok(sent) if sent.send_status == SendStatus::SendOk => acknowledged.push(number),
            Ok(sent) => panic!("{sent}"),
            // A real broker under load may be busy: what was not acknowledged is not owed.
            Err(error) => println!("not acknowledged: {error}"),
        }
    }
    acknowledged
}

/// A member of the group that reports the number of each message to the test.
async fn member(
    mq: &Cluster,
    group: &str,
    topic: &str,
    seen: &mpsc::UnboundedSender<u32>,
) -> DefaultMQPushConsumer {
    let seen = seen.clone();
    let consumer = mq.consumer(group).subscribe(topic, "*").consume_concurrently(move |messages, _| {
        for message in messages {
            let _ = seen.send(u32::from_be_bytes(message.body()[..4].try_into().unwrap()));
        }
        async { ConsumeSuccess }
    });
    consumer.start().await.unwrap()
}

/// Counts what is consumed, how often.
async fn count(mut seen: mpsc::UnboundedReceiver<u32>, consumed: Arc<AtomicUsize>) -> HashMap<u32, u32> {
    let mut times = HashMap::new();
    while let Some(number) = seen.recv().await {
        let count: &mut u32 = times.entry(number).or_default();
        *count += 1;
        if *count == 1 {
            consumed.fetch_add(1, Ordering::SeqCst);
        }
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_is_consumed_while_a_member_comes_and_goes() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("load"), unique("g"));
    let producer = mq.producer().start().await.unwrap();
    let started = Instant::now();
    let (seen, numbers) = mpsc::unbounded_channel();
    let consumed = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn(count(numbers, Arc::clone(&consumed)));
    let steady = member(&mq, &group, &topic, &seen).await;
    let first = member(&mq, &group, &topic, &seen).await;
    let sending: Vec<_> =
        (0..TASKS).map(|task| tokio::spawn(send_share(producer.clone(), topic.clone(), task))).collect();

    until_consumed(&consumed, MESSAGES / 3).await;
    let report = first.shutdown().await;
    println!("stopped one member after {} messages: {report:?}", consumed.load(Ordering::SeqCst));
    until_consumed(&consumed, MESSAGES / 2).await;
    let again = member(&mq, &group, &topic, &seen).await;
    println!("started it again after {} messages", consumed.load(Ordering::SeqCst));

    let mut acknowledged = Vec::new();
    for task in sending {
        acknowledged.extend(within("a task's sends", task).await.unwrap());
    }
    let sent_in = started.elapsed();
    until_consumed(&consumed, acknowledged.len()).await;
    let consumed_in = started.elapsed();
    steady.shutdown().await;
    again.shutdown().await;
    drop(seen);
    let times = counting.await.unwrap();
    let missing: Vec<_> = acknowledged.iter().filter(|number| !times.contains_key(number)).take(10).collect();
    let received: u32 = times.values().sum();
    println!(
        "sent {} of {MESSAGES} in {sent_in:.1?}, consumed {} different ones by {consumed_in:.1?}, {} came again",
        acknowledged.len(),
        times.len(),
        usize::try_from(received).unwrap() - times.len(),
    );
    assert!(missing.is_empty(), "acknowledged but not consumed, the first of them: {missing:?}");
    assert!(acknowledged.len() >= MESSAGES * 99 / 100, "only {} were acknowledged", acknowledged.len());
    producer.shutdown().await;
    mq.stop().await;
}

/// Waits until so many different messages were consumed; ends early only where nothing has come for long.
async fn until_consumed(consumed: &AtomicUsize, count: usize) {
    let (mut last, mut since) = (0, Instant::now());
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        let now = consumed.load(Ordering::SeqCst);
        if now >= count {
            return;
        }
        if now > last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{now} of {count} were consumed, and then nothing came");
        look.tick().await;
    }
}
