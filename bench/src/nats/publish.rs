//! A client that only publishes and counts acknowledgements: one thread and a blocking socket, as the echo floor has. A
//! real client costs more than this, so that the server is what is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::NatsOptions;
use crate::proc_stat::Proc;
use crate::{Failure, Json};

const SUBJECT: &str = "bench.core";
const INBOX: &str = "_INBOX.bench";
const CREATE: &str = "$JS.API.STREAM.CREATE.BENCH";
const PURGE: &str = "$JS.API.STREAM.PURGE.BENCH";
const STREAM: &str = r#"{"name":"BENCH","subjects":["bench.>"],"storage":"file","num_replicas":1,"retention":"limits","discard":"old"}"#;

/// The code of the API's error for a stream that is there.
const EXISTS: &str = "\"err_code\":10058";

pub(super) fn measure(options: &NatsOptions) -> Result<Json, Failure> {
    let mut connection = Connection::open(&options.server)?;
    connection.ask(CREATE, STREAM)?;
    // What earlier runs left would be one more difference between them.
    connection.ask(PURGE, "")?;
    connection.publish_until(options, Instant::now() + Duration::from_secs_f64(options.warmup))?;
    let (own, watched) = (Proc::own_thread(), options.watch.map(Proc::of));
    let cpu = || -> Result<(f64, Option<f64>), Failure> {
        Ok((own.cpu_seconds()?, watched.as_ref().map(Proc::cpu_seconds).transpose()?))
    };
    let (began, before) = (Instant::now(), cpu()?);
    let messages = connection.publish_until(options, began + Duration::from_secs_f64(options.seconds))?;
    let (seconds, after) = (began.elapsed().as_secs_f64(), cpu()?);
    let mut figures = json!({
        "mode": "nats", "size": options.size, "inflight": options.inflight, "msgs": messages, "seconds": seconds,
        "msgs_per_s": messages as f64 / seconds, "cpu_window_s": after.0 - before.0, "errors": 0,
    });
    if let Some((after, before)) = after.1.zip(before.1) {
        figures["watched_cpu_window_s"] = json!(after - before);
    }
    Ok(figures.as_object().cloned().unwrap_or_default())
}

struct Connection {
    stream: TcpStream,
    /// What has come in; up to `read` it has been looked at.
    pending: Vec<u8>,
    read: usize,
}

impl Connection {
    fn open(server: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        // A server that says nothing any more ends the run.
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut connection = Self { stream, pending: Vec::new(), read: 0 };
        connection.line()?.strip_prefix("INFO ").ok_or("this is no NATS server")?;
        let connect = r#"CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"rust","name":"bench","protocol":1}"#;
        connection.stream.write_all(format!("{connect}\r\nSUB {INBOX} 1\r\n").as_bytes())?;
        Ok(connection)
    }

    /// A request of the JetStream API.
    fn ask(&mut self, subject: &str, body: &str) -> Result<(), Failure> {
        let request = format!("PUB {subject} {INBOX} {}\r\n{body}\r\n", body.len());
        self.stream.write_all(request.as_bytes())?;
        let answer = loop {
            if let Some(answer) = self.message()? {
                break answer;
            }
            self.fill()?;
        };
        let failed = answer.contains("\"error\"") && !answer.contains(EXISTS);
        if failed { Err(format!("{subject}: {answer}").into()) } else { Ok(()) }
    }

    /// Keeps the window full until then, and waits for the last acknowledgement. Answers how many came.
    fn publish_until(&mut self, options: &NatsOptions, closes: Instant) -> Result<u64, Failure> {
        let head = format!("PUB {SUBJECT} {INBOX} {}\r\n", options.size);
        let one = [head.as_bytes(), &vec![b'x'; options.size], b"\r\n"].concat();
        let requests = one.repeat(options.inflight);
        let (mut free, mut acknowledged) = (options.inflight, 0);
        loop {
            if Instant::now() < closes {
                self.stream.write_all(&requests[..free * one.len()])?;
                free = 0;
            } else if free == options.inflight {
                return Ok(acknowledged);
            }
            self.fill()?;
            while let Some(answer) = self.message()? {
                if answer.contains("\"error\"") {
                    return Err(format!("not acknowledged: {answer}").into());
                }
                free += 1;
                acknowledged += 1;
            }
        }
    }

    fn fill(&mut self) -> Result<(), Failure> {
        self.pending.drain(..self.read);
        self.read = 0;
        let mut buffer = [0; 64 * 1024];
        let length = self.stream.read(&mut buffer)?;
        if length == 0 {
            return Err("the server closed the connection".into());
        }
        self.pending.extend_from_slice(&buffer[..length]);
        Ok(())
    }

    /// The next line; waits for it.
    fn line(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = line_end(&self.pending[self.read..]) {
                let line = &self.pending[self.read..self.read + end];
                self.read += end + 2;
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            self.fill()?;
        }
    }

    /// The next message that has come in whole. The server's pings are answered on the way.
    fn message(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let unread = &self.pending[self.read..];
            let Some(end) = line_end(unread) else { return Ok(None) };
            let line = std::str::from_utf8(&unread[..end])?;
            if line.starts_with("MSG ") {
                let length: usize = line.rsplit(' ').next().unwrap_or_default().parse()?;
                let Some(body) = unread.get(end + 2..end + 2 + length + 2) else { return Ok(None) };
                self.read += end + 2 + length + 2;
                return Ok(Some(String::from_utf8_lossy(&body[..length]).into_owned()));
            }
            if line.starts_with("-ERR") {
                return Err(line.to_owned().into());
            }
            if line == "PING" {
                self.stream.write_all(b"PONG\r\n")?;
            }
            self.read += end + 2;
        }
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}
