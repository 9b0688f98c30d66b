//! A bare echo.
//!
//! Its cost is in its system calls and in waking the other side. On two otherwise idle cores each wake-up ends an idle
//! core's sleep; where both sides share a core (`taskset -c 0`, or because the others are busy) it is a plain switch, and
//! a message costs half as much. Runs of one machine differ by that much.
//!
//! With `--tokio` the asking side is a task of the runtime that a measured client has, with as many workers: what such a
//! client cannot do without. Its processor time is that of all threads but the answering one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::proc_stat::Proc;
use crate::{Failure, Json};

/// The frames, and how many are under way.
#[derive(Args, Debug)]
pub(crate) struct EchoOptions {
    /// Bytes of a request
    #[arg(long, default_value_t = 1300)]
    request: usize,
    /// Bytes of an answer
    #[arg(long, default_value_t = 250)]
    answer: usize,
    /// Requests on the way at once: those that are answered together are followed by as many in one write
    #[arg(long, default_value_t = 16)]
    inflight: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Ask from a task on the runtime that our client is measured on, with as many workers
    #[arg(long)]
    tokio: bool,
}

pub(super) fn measure(options: &EchoOptions) -> Result<Json, Failure> {
    if options.request == 0 || options.answer == 0 || options.inflight == 0 {
        return Err("sizes and --inflight must be at least 1".into());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (request, answer) = (options.request, options.answer);
    let answering = thread::spawn(move || answer_all(server, request, answer));
    let began = Instant::now();
    let cpu_before = Proc::own().cpu_seconds()?;
    let mut asked = if options.tokio { ask_from_a_task(client, options)? } else { ask(client, options)? };
    let seconds = began.elapsed().as_secs_f64();
    let answered = answering.join().map_err(|_| "the answering side panicked")??;
    if options.tokio {
        asked.cpu_seconds = Proc::own().cpu_seconds()? - cpu_before - answered.cpu_seconds;
    }
    let us_per_message = |side: &Side| side.cpu_seconds * 1e6 / side.messages as f64;
    let figures = json!({
        "mode": if options.tokio { "echo, tokio" } else { "echo" }, "request": request, "answer": answer, "inflight": options.inflight,
        "msgs": asked.messages, "seconds": seconds, "msgs_per_s": asked.messages as f64 / seconds,
        "msgs_per_write": asked.messages as f64 / asked.writes as f64,
        "client_us_per_msg": us_per_message(&asked), "broker_us_per_msg": us_per_message(&answered),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

struct Side {
    messages: u64,
    /// Each carries what came in since the last one.
    writes: u64,
    cpu_seconds: f64,
}

/// Keeps the window full until time is up.
fn ask(mut stream: TcpStream, options: &EchoOptions) -> io::Result<Side> {
    let requests = vec![b'x'; options.request * options.inflight];
    let mut answers = vec![0; options.answer * options.inflight];
    let cpu_before = Proc::own_thread().cpu_seconds()?;
    let closes = Instant::now() + Duration::from_secs_f64(options.seconds);
    let (mut free, mut pending, mut messages, mut writes) = (options.inflight, 0, 0, 0);
    while Instant::now() < closes {
        if free > 0 {
            stream.write_all(&requests[..free * options.request])?;
            writes += 1;
        }
        pending += stream.read(&mut answers)?;
        free = pending / options.answer;
        pending %= options.answer;
        messages += free as u64;
    }
    Ok(Side { messages, writes, cpu_seconds: Proc::own_thread().cpu_seconds()? - cpu_before })
}

/// The same from a task, which its runtime wakes when answers have come. The processor time is the caller's to read.
fn ask_from_a_task(stream: TcpStream, options: &EchoOptions) -> Result<Side, Failure> {
    stream.set_nonblocking(true)?;
    let (request, answer, inflight) = (options.request, options.answer, options.inflight);
    let closes = Instant::now() + Duration::from_secs_f64(options.seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let asking = runtime.spawn(async move {
        let mut stream = tokio::net::TcpStream::from_std(stream)?;
        let requests = vec![b'x'; request * inflight];
        let mut answers = vec![0; answer * inflight];
        let (mut free, mut pending, mut messages, mut writes) = (inflight, 0, 0, 0);
        while Instant::now() < closes {
            if free > 0 {
                stream.write_all(&requests[..free * request]).await?;
                writes += 1;
            }
            pending += stream.read(&mut answers).await?;
            free = pending / answer;
            pending %= answer;
            messages += free as u64;
        }
        Ok::<_, io::Error>(Side { messages, writes, cpu_seconds: 0.0 })
    });
    Ok(runtime.block_on(asking)??)
}

/// Answers whatever has come in whole, in one write, until the other side leaves.
fn answer_all(mut stream: TcpStream, request: usize, answer: usize) -> io::Result<Side> {
    const MOST_AT_ONCE: usize = 64;
    let mut requests = vec![0; request * MOST_AT_ONCE];
    let answers = vec![b'y'; answer * (MOST_AT_ONCE + 1)];
    let cpu_before = Proc::own_thread().cpu_seconds()?;
    let (mut pending, mut messages, mut writes) = (0, 0, 0);
    loop {
        match stream.read(&mut requests) {
            Ok(0) => break,
            Ok(read) => pending += read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
        let whole = pending / request;
        pending %= request;
        messages += whole as u64;
        writes += u64::from(whole > 0);
        match stream.write_all(&answers[..whole * answer]) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
            written => written?,
        }
    }
    Ok(Side { messages, writes, cpu_seconds: Proc::own_thread().cpu_seconds()? - cpu_before })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_that_counts_was_answered() {
        for tokio in [false, true] {
            let options = EchoOptions { request: 1300, answer: 250, inflight: 16, seconds: 0.05, tokio };
            let figures = measure(&options).unwrap();
            assert!(figures["msgs"].as_u64().unwrap() > 0);
        }
    }
}
