//! Sending.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use rocketmq_client::{
    DefaultMQProducer, Message, Result as SendOutcome, SendRequest, SendResult, SendStatus,
};
use tokio::task::JoinSet;

use super::outcome::{Errors, Latencies, Outcome, rounded};
use super::window::Window;
use super::{ClientOptions, producer};
use crate::Failure;
use crate::proc_stat::Proc;

/// Tasks that each send a message or a batch and wait for the answer, again and again.
pub(super) async fn and_wait(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    let (threads, batch) = (options.threads(), options.batch());
    outcome.put("threads", threads);
    outcome.put("batch", batch);
    let producer = producer::ready(options).await?;
    let payload = Payload::new(options);
    let window = Window::new(options.warmup, options.seconds);
    let meter = window.meter_cpu(options.watch);
    let mut workers = JoinSet::new();
    for _ in 0..threads {
        workers.spawn(send_until_over(producer.clone(), payload.clone(), window));
    }
    let mut latencies = Latencies::new();
    for (part, errors) in workers.join_all().await {
        latencies.add(&part);
        outcome.errors_mut().absorb(&errors);
    }
    outcome.put_cpu(meter.join().map_err(|_| "the CPU meter panicked")??);
    let messages = latencies.count() * batch as u64;
    outcome.put_rate(messages, messages * options.size as u64, window.seconds());
    outcome.put_latencies(&latencies);
    producer.shutdown().await;
    Ok(())
}

/// The end of one send is the beginning of the next: the clock is read once a send.
async fn send_until_over(
    producer: DefaultMQProducer,
    payload: Payload,
    window: Window,
) -> (Latencies, Errors) {
    let mut latencies = Latencies::new();
    let errors = Errors::default();
    let mut now = Instant::now();
    while !window.is_over(now) {
        let began = now;
        let sent = producer.send(payload.request()).await;
        now = Instant::now();
        if !took(sent, &errors) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            now = Instant::now();
        } else if window.counts(now) {
            latencies.record(now - began);
        }
    }
    (latencies, errors)
}

/// Sends whose answers come to a callback; `send_async` itself waits when too many are in flight.
pub(super) async fn without_waiting(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    outcome.put("threads", options.threads());
    outcome.put("inflight", options.inflight);
    let producer = producer::ready(options).await?;
    let payload = Payload::new(options);
    let window = Window::new(options.warmup, options.seconds);
    let meter = window.meter_cpu(options.watch);
    let answers = Arc::new((Mutex::new(Latencies::new()), Errors::default()));
    let mut workers = JoinSet::new();
    for _ in 0..options.threads() {
        let (producer, payload, answers) = (producer.clone(), payload.clone(), Arc::clone(&answers));
        workers.spawn(async move {
            let mut began = Instant::now();
            while !window.is_over(began) {
                let answers = Arc::clone(&answers);
                match producer.send_async(payload.request()).await {
                    Ok(ticket) => ticket.on_complete(move |sent| {
                        let now = Instant::now();
                        if took(sent, &answers.1) && window.counts(now) {
                            answers.0.lock().unwrap_or_else(PoisonError::into_inner).record(now - began);
                        }
                    }),
                    Err(error) => return answers.1.note(error),
                }
                began = Instant::now();
            }
        });
    }
    workers.join_all().await;
    // Waits for what is in flight.
    producer.shutdown().await;
    outcome.put_cpu(meter.join().map_err(|_| "the CPU meter panicked")??);
    outcome.errors_mut().absorb(&answers.1);
    let latencies = answers.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    outcome.put_rate(latencies.count(), latencies.count() * options.size as u64, window.seconds());
    outcome.put_latencies(&latencies);
    Ok(())
}

/// One task that sends without waiting until the window is full, then waits for the oldest send.
pub(super) async fn pipelined(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    outcome.put("inflight", options.inflight);
    let producer = producer::ready(options).await?;
    let payload = Payload::new(options);
    let window = Window::new(options.warmup, options.seconds);
    let meter = window.meter_cpu(options.watch);
    // A task of its own: the main thread is no worker of the runtime.
    let (sender, inflight) = (producer.clone(), options.inflight.max(1));
    let sending = tokio::spawn(async move {
        let (mut latencies, errors) = (Latencies::new(), Errors::default());
        let mut tickets = VecDeque::with_capacity(inflight);
        let mut now = Instant::now();
        while !window.is_over(now) {
            match sender.send_async(payload.request()).await {
                Ok(ticket) => tickets.push_back((now, ticket)),
                Err(error) => errors.note(error),
            }
            if tickets.len() < inflight {
                continue;
            }
            let Some((began, ticket)) = tickets.pop_front() else { continue };
            let sent = ticket.await;
            now = Instant::now();
            if took(sent, &errors) && window.counts(now) {
                latencies.record(now - began);
            }
        }
        (latencies, errors)
    });
    let (latencies, errors) = sending.await?;
    outcome.put_cpu(meter.join().map_err(|_| "the CPU meter panicked")??);
    outcome.errors_mut().absorb(&errors);
    outcome.put_rate(latencies.count(), latencies.count() * options.size as u64, window.seconds());
    outcome.put_latencies(&latencies);
    producer.shutdown().await;
    Ok(())
}

/// One send, and how long it took since the process was started.
pub(super) async fn first(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    let producer = producer::builder(options).start().await?;
    outcome.put("start_to_producer_ready_ms", rounded(process_age_ms()?));
    let payload = Payload::new(options);
    let failed = producer::insist(&producer, || payload.message(), options.timeout()).await?;
    outcome.put("start_to_first_ack_ms", rounded(process_age_ms()?));
    outcome.put("failed_tries", failed);
    producer.shutdown().await;
    Ok(())
}

/// Sends a number of messages and no more, to be consumed later.
pub(super) async fn fill(options: &ClientOptions, outcome: &mut Outcome) -> Result<(), Failure> {
    let producer = producer::ready(options).await?;
    let payload = Payload::new(options);
    let batches = options.count.div_ceil(options.batch() as u64);
    let taken = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..options.threads() {
        let (producer, payload, taken) = (producer.clone(), payload.clone(), Arc::clone(&taken));
        workers.spawn(async move {
            while taken.fetch_add(1, Ordering::Relaxed) < batches {
                let _ = producer.send(payload.request()).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    for ended in workers.join_all().await {
        ended?;
    }
    let messages = batches * options.batch() as u64;
    outcome.put_rate(messages, messages * options.size as u64, began.elapsed().as_secs_f64());
    producer.shutdown().await;
    Ok(())
}

/// What is sent again and again: topic and body are made once and shared.
#[derive(Clone, Debug)]
struct Payload {
    topic: ByteString,
    body: Bytes,
    batch: usize,
}

impl Payload {
    fn new(options: &ClientOptions) -> Self {
        Self {
            topic: options.topic.as_str().into(),
            body: vec![b'x'; options.size].into(),
            batch: options.batch(),
        }
    }

    fn request(&self) -> SendRequest {
        match self.batch {
            1 => self.message().into(),
            batch => (0..batch).map(|_| self.message()).collect::<Vec<_>>().into(),
        }
    }

    fn message(&self) -> Message {
        Message::new(self.topic.clone(), self.body.clone())
    }
}

/// Whether a send was acknowledged as it should be; if not it is noted.
fn took(sent: SendOutcome<SendResult>, errors: &Errors) -> bool {
    match sent {
        Ok(result) if result.send_status == SendStatus::SendOk => return true,
        Ok(result) => errors.note(result.send_status),
        Err(error) => errors.note(error),
    }
    false
}

/// Since when the process exists; whoever starts it may tell it to the millisecond, as the script `bench` tells Java.
fn process_age_ms() -> Result<f64, Failure> {
    let Ok(started_ms) = std::env::var("BENCH_STARTED_MS") else { return Ok(Proc::own().age_ms()?) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.as_secs_f64() * 1e3 - started_ms.parse::<f64>()?)
}
