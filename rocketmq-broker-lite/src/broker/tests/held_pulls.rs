//! Pulls that wait for a message.

use rocketmq_protocol::command::Outgoing;
use rocketmq_protocol::header::SerializeType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Starts a pull and returns once the broker holds it.
async fn held<'a>(
    broker: &TestBroker,
    client: &'a Client,
    request: &'a PullMessageRequest,
) -> std::pin::Pin<Box<dyn Future<Output = PullAnswer> + 'a>> {
    let before = broker.broker.context.held.count();
    let mut pulling: std::pin::Pin<Box<dyn Future<Output = PullAnswer> + 'a>> =
        Box::pin(client.pull(request));
    let holds = eventually("the pull is held", async || broker.broker.context.held.count() > before);
    tokio::select! {
        biased;
        answer = &mut pulling => panic!("answered at once: {} {}", answer.code, answer.remark),
        () = holds => {}
    }
    pulling
}

#[tokio::test]
async fn a_message_with_a_wanted_tag_wakes_a_pull_and_another_does_not() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "first", &[]).await;
    let request = waiting_pull("T", 0, 1, "A");
    let pulling = held(&broker, &consumer, &request).await;
    producer.send("T", "other tag", &[("TAGS", "B")]).await;
    assert_eq!(broker.broker.context.held.count(), 1, "still held");
    producer.send("T", "wanted", &[("TAGS", "A")]).await;
    let answer = pulling.await;
    assert_eq!((answer.code, answer.bodies()), (0, vec!["wanted".to_owned()]));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn the_check_wakes_a_pull_for_other_tags_so_that_it_goes_on() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "first", &[]).await;
    let request = waiting_pull("T", 0, 1, "A");
    let pulling = held(&broker, &consumer, &request).await;
    producer.send("T", "other tag", &[("TAGS", "B")]).await;
    broker.clock.advance(Duration::from_secs(6));
    let answer = pulling.await;
    assert_eq!((answer.code, answer.next_offset()), (20, 2));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn when_its_time_is_up_a_pull_is_answered_19() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "first", &[]).await;
    let request = waiting_pull("T", 0, 1, "*");
    let pulling = held(&broker, &consumer, &request).await;
    broker.clock.advance(Duration::from_secs(16));
    let answer = pulling.await;
    assert_eq!((answer.code, &*answer.remark, answer.next_offset()), (19, "OFFSET_OVERFLOW_ONE", 1));
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_queue_that_has_never_had_a_message_can_be_waited_for() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "in queue 0", &[]).await;
    let request = waiting_pull("T", 2, 0, "*");
    let pulling = held(&broker, &consumer, &request).await;
    producer.call(&SendMessageRequest { queue_id: 2, ..send_request("T", &[]) }, "in queue 2").await;
    assert_eq!(pulling.await.bodies(), ["in queue 2"]);
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn a_pull_whose_connection_ends_is_forgotten() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "first", &[]).await;
    let request = waiting_pull("T", 0, 1, "*");
    let pulling = held(&broker, &consumer, &request).await;
    drop(pulling);
    drop(consumer);
    eventually("nothing is held", async || broker.broker.context.held.count() == 0).await;
    broker.broker.shutdown().await;
}

#[tokio::test]
async fn shutdown_answers_the_pulls_that_wait() {
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "first", &[]).await;
    let request = waiting_pull("T", 0, 1, "*");
    let pulling = held(&broker, &consumer, &request).await;
    let (answer, ()) = tokio::join!(pulling, broker.broker.shutdown());
    assert_eq!(answer.code, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_missed_between_the_look_and_the_wait() {
    const MESSAGES: usize = 2_000;
    let broker = TestBroker::start().await;
    let (producer, consumer) = (broker.client().await, broker.client().await);
    producer.send("T", "0", &[]).await;
    let sending = async {
        for number in 1..MESSAGES {
            producer.send("T", &number.to_string(), &[]).await;
        }
    };
    let receiving = async {
        let mut next = 0;
        while next < MESSAGES {
            // A missed wake-up would cost five seconds until the next check, or the whole time.
            let request = PullMessageRequest {
                suspend_timeout_millis: 3_600_000,
                ..waiting_pull("T", 0, i64::try_from(next).unwrap(), "*")
            };
            for body in consumer.pull(&request).await.bodies() {
                assert_eq!(body, next.to_string());
                next += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.unwrap();
    broker.broker.shutdown().await;
}

/// A peer that asks and never reads: the bytes of as many pulls as are wanted.
async fn ask_and_never_read(broker: &TestBroker, pulls: i32) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(broker.broker.addr()).await.unwrap();
    let request = waiting_pull("T", 0, 1, "*");
    for opaque in 0..pulls {
        send_pull(&mut stream, opaque, &request).await;
    }
    stream
}

async fn send_pull(stream: &mut tokio::net::TcpStream, opaque: i32, request: &PullMessageRequest) {
    let mut bytes = bytes::BytesMut::new();
    let code = RequestCode::PullMessage.as_i32();
    let outgoing = Outgoing::request(code, opaque, false, SerializeType::Json);
    outgoing.encode(&mut bytes, request, 0).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_pulls_of_a_peer_that_never_reads_cost_no_more_than_its_limit_and_come_back() {
    const LIMIT: usize = 16 * 1024 * 1024;
    let broker = TestBroker::start().await;
    let context = Arc::clone(&broker.broker.context);
    let producer = broker.client().await;
    producer.send("T", "first", &[]).await;
    eventually("the answer to the send is out", async || context.memory.used_bytes() == 0).await;
    let silent = ask_and_never_read(&broker, 1000).await;
    eventually("the pulls are held", async || context.held.count() == 1000).await;
    assert!(context.memory.used_bytes() > 100_000, "held pulls are counted");
    let body = "x".repeat(200_000);
    producer.send("T", &body, &[]).await;
    eventually("the pulls are answered", async || {
        context.held.count() == 0 && context.memory.used_bytes() > LIMIT
    })
    .await;
    producer.send("T", "others are served", &[]).await;
    assert!(context.memory.used_bytes() < LIMIT + 1_000_000, "{} bytes", context.memory.used_bytes());
    drop(silent);
    eventually("the memory comes back", async || context.memory.used_bytes() == 0).await;
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_clients_read_nothing_stops_in_time() {
    let broker = TestBroker::start().await;
    let context = Arc::clone(&broker.broker.context);
    let producer = broker.client().await;
    producer.send("T", "first", &[]).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(ask_and_never_read(&broker, 40).await);
    }
    eventually("the pulls are held", async || context.held.count() == 800).await;
    producer.send("T", &"x".repeat(200_000), &[]).await;
    eventually("the pulls are answered", async || context.held.count() == 0).await;
    tokio::time::timeout(PATIENCE, broker.broker.shutdown()).await.unwrap();
    assert_eq!(context.memory.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn woken_pulls_are_answered_oldest_first() {
    const PULLS: i32 = 200;
    let broker = TestBroker::start().await;
    let context = Arc::clone(&broker.broker.context);
    let producer = broker.client().await;
    producer.send("T", "first", &[]).await;
    let mut stream = ask_and_never_read(&broker, PULLS).await;
    eventually("the pulls are held", async || context.held.count() == PULLS.unsigned_abs() as usize).await;
    producer.send("T", "second", &[]).await;
    for expected in 0..PULLS {
        let length = stream.read_u32().await.unwrap();
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(RemotingCommand::decode(frame.into()).unwrap().opaque(), expected);
    }
    broker.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_that_would_take_too_much_memory_are_told_to_pause() {
    const LIMIT: usize = 4 << 20;
    const PULLS: i32 = 20;
    let broker = TestBroker::with(|config| config.max_held_bytes_per_connection = LIMIT).await;
    let context = Arc::clone(&broker.broker.context);
    let producer = broker.client().await;
    producer.send("T", "first", &[]).await;
    let tags = (0..50_000).map(|number| format!("tag{number}")).collect::<Vec<_>>().join("||");
    let request = waiting_pull("T", 0, 1, &tags);
    let mut stream = tokio::net::TcpStream::connect(broker.broker.addr()).await.unwrap();
    let mut busy = 0;
    for opaque in 0..PULLS {
        let before = context.held.count();
        send_pull(&mut stream, opaque, &request).await;
        let mut length = [0; 4];
        tokio::select! {
            biased;
            () = eventually("the pull is held", async || context.held.count() > before) => continue,
            read = stream.peek(&mut length) => assert_eq!(read.unwrap(), 4),
        }
        let mut frame = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut frame).await.unwrap();
        let answer = RemotingCommand::decode(frame.into()).unwrap();
        assert_eq!(answer.code(), 2, "{:?}", answer.remark());
        busy += 1;
    }
    assert!(context.held.count() > 0 && busy > 0, "{} held, {busy} busy", context.held.count());
    assert!(context.memory.used_bytes() <= LIMIT, "{} bytes", context.memory.used_bytes());
    producer.send("T", "others are served", &[]).await;
    drop(stream);
    eventually("the memory comes back", async || {
        context.held.count() == 0 && context.memory.used_bytes() == 0
    })
    .await;
    broker.broker.shutdown().await;
}
