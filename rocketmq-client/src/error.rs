//! What can go wrong, and what a caller wants to know then.

use std::fmt;
use std::time::Duration;

use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::remoting::RemotingError;

use crate::instance::Panic;

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A builder was given a value out of its range.
    InvalidConfig,
    /// A call was given an argument that makes no sense.
    InvalidArgument,
    /// No name server address is configured.
    NoNameServer,
    /// No name server answered.
    NameServerUnreachable,
    /// The name servers answer, but know no queue that could be used for the topic.
    NoRoute,
    /// The topic's name is blank, too long or holds illegal characters.
    InvalidTopic,
    /// The message's body is empty.
    EmptyBody,
    /// The message is larger than allowed.
    MessageTooLarge,
    /// A property cannot be sent, or the messages cannot be one batch.
    InvalidMessage,
    /// No connection to the broker could be made.
    Connect,
    /// The connection ended before the answer came.
    Disconnected,
    /// No answer in time.
    Timeout,
    /// The broker answered with an error: see [`Error::response_code`].
    Broker,
    /// The broker's or name server's answer cannot be read.
    BadAnswer,
    /// The client was shut down.
    Closed,
    /// Code of the program's own, such as a selector or a strategy, panicked: [`std::error::Error::source`] says with
    /// what words.
    Panicked,
}

/// Why a call failed: one cheap-to-move value that answers what was tried, where, what came back, whether to try
/// again, and whether it may have taken effect.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    response_code: Option<i32>,
    broker_addr: Option<String>,
    topic: Option<String>,
    no_side_effects: bool,
    attempts: Vec<Attempt>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One try of a send.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The broker's name.
    pub broker_name: String,
    /// How long the try took.
    pub elapsed: Duration,
    /// Why it failed.
    pub error: Error,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let no_side_effects = !matches!(
            kind,
            ErrorKind::Timeout | ErrorKind::Disconnected | ErrorKind::Broker | ErrorKind::BadAnswer
        );
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            response_code: None,
            broker_addr: None,
            topic: None,
            no_side_effects,
            attempts: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the client was shut down; start a new one")
    }

    /// Code of the program's own panicked; `what` names it.
    pub(crate) fn panicked(what: &str, panic: Panic) -> Self {
        Self::new(ErrorKind::Panicked, format!("{what} panicked: {panic}")).with_source(panic)
    }

    /// A broker's answer other than success.
    pub(crate) fn broker(code: i32, remark: Option<&str>, broker_addr: &str) -> Self {
        let message = format!("CODE: {code}  DESC: {} BROKER: {broker_addr}", remark.unwrap_or_default());
        Self::new(ErrorKind::Broker, message).at(broker_addr).with_code(code)
    }

    pub(crate) fn bad_answer(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut error = Self::new(ErrorKind::BadAnswer, format!("{what} cannot be read: {source}"));
        error.0.source = Some(Box::new(source));
        error
    }

    pub(crate) fn at(mut self, broker_addr: impl Into<String>) -> Self {
        self.0.broker_addr = Some(broker_addr.into());
        self
    }

    pub(crate) fn of_topic(mut self, topic: impl Into<String>) -> Self {
        self.0.topic = Some(topic.into());
        self
    }

    pub(crate) fn with_code(mut self, response_code: i32) -> Self {
        self.0.response_code = Some(response_code);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// All tries of a send failed: the last error says how, the others are kept.
    pub(crate) fn after_attempts(topic: &str, elapsed: Duration, attempts: Vec<Attempt>) -> Self {
        let Some(last) = attempts.last() else {
            return Self::new(ErrorKind::Timeout, "the time for the send was up before it began")
                .of_topic(topic);
        };
        let brokers: Vec<_> = attempts.iter().map(|attempt| attempt.broker_name.as_str()).collect();
        let message = format!(
            "Send [{}] times, still failed, cost [{}]ms, Topic: {topic}, BrokersSent: [{}]; the last error: {}",
            attempts.len(),
            elapsed.as_millis(),
            brokers.join(", "),
            last.error
        );
        let mut error = Self::new(last.error.kind(), message).of_topic(topic);
        error.0.response_code = last.error.response_code();
        error.0.broker_addr = last.error.broker_addr().map(str::to_owned);
        error.0.no_side_effects = attempts.iter().all(|attempt| attempt.error.has_no_side_effects());
        error.0.attempts = attempts;
        error
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The code of the broker's or name server's answer, if there was one. See `ResponseCode` for those known.
    #[must_use]
    pub fn response_code(&self) -> Option<i32> {
        self.0.response_code
    }

    /// The broker or name server that the call was about.
    #[must_use]
    pub fn broker_addr(&self) -> Option<&str> {
        self.0.broker_addr.as_deref()
    }

    /// The topic that the call was about.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.0.topic.as_deref()
    }

    /// The tries of a send, in order; empty for any other call.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// True if the same call may succeed later or on another broker without any change by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect
            | ErrorKind::Disconnected
            | ErrorKind::Timeout
            | ErrorKind::NameServerUnreachable
            | ErrorKind::NoRoute => true,
            ErrorKind::Broker => self.0.response_code.is_some_and(is_retryable_code),
            _ => false,
        }
    }

    /// True if nothing was stored or changed by the failed call. False means that it may have been.
    #[must_use]
    pub fn has_no_side_effects(&self) -> bool {
        self.0.no_side_effects
    }
}

/// Codes after which Java's producer tries another broker.
pub(crate) fn is_retryable_code(code: i32) -> bool {
    matches!(
        ResponseCode::from_i32(code),
        Some(
            ResponseCode::TopicNotExist
                | ResponseCode::ServiceNotAvailable
                | ResponseCode::SystemError
                | ResponseCode::SystemBusy
                | ResponseCode::NoPermission
                | ResponseCode::NoBuyerId
                | ResponseCode::NotInCurrentUnit
                | ResponseCode::GoAway
        )
    )
}

impl From<RemotingError> for Error {
    fn from(error: RemotingError) -> Self {
        let (kind, addr) = match &error {
            RemotingError::Connect { addr, .. } => (ErrorKind::Connect, Some(addr)),
            RemotingError::Closed { addr, .. } | RemotingError::NotSent { addr, .. } => {
                (ErrorKind::Disconnected, Some(addr))
            }
            RemotingError::Timeout { addr, .. } | RemotingError::OutboundFull { addr, .. } => {
                (ErrorKind::Timeout, Some(addr))
            }
            RemotingError::TooLarge { .. } => (ErrorKind::MessageTooLarge, None),
            _ => (ErrorKind::Disconnected, None),
        };
        let mut message = error.to_string();
        if kind == ErrorKind::Connect {
            message.push_str(
                "; if a client can never reach this address, let the broker advertise another one (brokerIP1)",
            );
        }
        let mut converted = Self::new(kind, message);
        converted.0.broker_addr = addr.map(|addr| addr.to_string());
        converted.0.no_side_effects = error.has_no_side_effects();
        converted.with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_send_tells_of_every_try() {
        let attempt =
            |name: &str, error| Attempt { broker_name: name.into(), elapsed: Duration::ZERO, error };
        let attempts = vec![
            attempt("a", Error::new(ErrorKind::Connect, "refused")),
            attempt("b", Error::broker(2, Some("busy"), "127.0.0.1:1")),
        ];
        let error = Error::after_attempts("T", Duration::from_millis(5), attempts);
        assert_eq!((error.kind(), error.response_code()), (ErrorKind::Broker, Some(2)));
        assert_eq!((error.topic(), error.broker_addr()), (Some("T"), Some("127.0.0.1:1")));
        assert!(error.is_retryable() && !error.has_no_side_effects());
        assert!(error.to_string().contains("BrokersSent: [a, b]"), "{error}");
    }
}
