//! A group in a hand-over storm: ten members, of which every second one leaves and another joins, under 2,000 messages a
//! second on eight queues. Nothing is lost, and at most 1 % comes again.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rocketmq_client::ConsumeConcurrentlyStatus::ConsumeSuccess;
use rocketmq_client::{DefaultMQProducer, DefaultMQPushConsumer, Message, SendStatus};
use tests::{Cluster, eventually, unique, within};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

const MEMBERS: usize = 10;
const MESSAGES_PER_SECOND: u32 = 2000;
const QUEUES: u16 = 8;
/// How often one member leaves and another one joins.
const TURN: Duration = Duration::from_secs(1);

/// How much may come again.
const MOST_REPEATS: f64 = 0.01;

/// How long the storm lasts. `STORM_SECONDS=60` is the long form.
fn duration() -> Duration {
    let seconds = std::env::var("STORM_SECONDS").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(15))
}

/// Sends at the rate, as a clock would; returns the numbers of what was acknowledged.
async fn send_steadily(producer: DefaultMQProducer, topic: String, until: Instant) -> Vec<u32> {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut next, mut tickets) = (0_u32, Vec::new());
    while Instant::now() < until {
        ticks.tick().await;
        for _ in 0..MESSAGES_PER_SECOND / 100 {
            let message = Message::new(topic.clone(), next.to_be_bytes().to_vec());
            tickets.push((next, producer.send_async(message).await.unwrap()));
            next += 1;
        }
    }
    let mut acknowledged = Vec::new();
    for (number, ticket) in tickets {
        match within("a ticket's outcome", ticket).await {
            Ok(sent) if sent.send_status == SendStatus::SendOk => acknowledged.push(number),
            Ok(sent) => println!("not acknowledged: {sent}"),
            Err(error) => println!("not acknowledged: {error}"),
        }
    }
    acknowledged
}

async fn member(
    mq: &Cluster,
    group: &str,
    topic: &str,
    seen: &mpsc::UnboundedSender<u32>,
) -> DefaultMQPushConsumer {
    let seen = seen.clone();
    let consumer = mq.consumer(group).subscribe(topic, "*").consume_concurrently(move |messages, _| {
        for message in messages {
            let _ = seen.send(u32::from_be_bytes(message.body()[..].try_into().unwrap()));
        }
        async { ConsumeSuccess }
    });
    consumer.start().await.unwrap()
}

/// How often each message was consumed. `distinct` counts along.
async fn count(mut seen: mpsc::UnboundedReceiver<u32>, distinct: Arc<AtomicUsize>) -> HashMap<u32, u32> {
    let mut times: HashMap<u32, u32> = HashMap::new();
    while let Some(number) = seen.recv().await {
        *times.entry(number).or_default() += 1;
        distinct.store(times.len(), Ordering::SeqCst);
    }
    times
}

/// Replaces one member after the other until the end; returns those that are there then, and how often it was done.
async fn storm(
    mq: &Cluster,
    group: &str,
    topic: &str,
    seen: &mpsc::UnboundedSender<u32>,
    until: Instant,
) -> (Vec<DefaultMQPushConsumer>, usize) {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        members.push(member(mq, group, topic, seen).await);
    }
    let mut turns = tokio::time::interval(TURN);
    let mut count = 0;
    while Instant::now() < until {
        turns.tick().await;
        let leaving = std::mem::replace(&mut members[count % MEMBERS], member(mq, group, topic, seen).await);
        within("a member's shutdown", leaving.shutdown()).await;
        count += 1;
    }
    (members, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_lose_nothing_and_repeat_at_most_one_percent() {
    let mq = Cluster::start().await;
    let (topic, group) = (unique("storm"), unique("g"));
    let producer = mq.producer().default_topic_queue_nums(QUEUES).start().await.unwrap();
    // Makes the topic; the storm's own numbers begin at 0.
    let _ = producer.send(Message::new(topic.clone(), u32::MAX.to_be_bytes().to_vec())).await.unwrap();
    let queues = producer.fetch_publish_message_queues(&topic).await.unwrap();
    assert_eq!(queues.len(), usize::from(QUEUES), "{queues:?}");

    let began = Instant::now();
    let until = began + duration();
    let (seen, numbers) = mpsc::unbounded_channel();
    let distinct = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn(count(numbers, Arc::clone(&distinct)));
    let sending = tokio::spawn(send_steadily(producer.clone(), topic.clone(), until));
    let (members, turns) = storm(&mq, &group, &topic, &seen, until).await;
    let mut acknowledged = within("the last send", sending).await.unwrap();
    acknowledged.push(u32::MAX);
    println!("the storm ended after {:.1?}", began.elapsed());
    eventually("everything is consumed", || distinct.load(Ordering::SeqCst) >= acknowledged.len()).await;
    println!("all is consumed after {:.1?}", began.elapsed());
    for member in &members {
        within("a member's shutdown", member.shutdown()).await;
    }
    // The listeners hold senders.
    drop((seen, members));
    let times = within("the last listener's end", counting).await.unwrap();

    let lost = acknowledged.iter().filter(|number| !times.contains_key(number)).count();
    let repeats = times.values().map(|times| times - 1).sum::<u32>();
    let share = f64::from(repeats) / acknowledged.len() as f64;
    println!(
        "{turns} turns, {} messages acknowledged, {lost} lost, {repeats} came again ({:.2} %)",
        acknowledged.len(),
        100.0 * share
    );
    assert_eq!(lost, 0, "of {} acknowledged messages", acknowledged.len());
    assert!(share <= MOST_REPEATS, "{repeats} of {} came again", acknowledged.len());
    producer.shutdown().await;
    mq.stop().await;
}
