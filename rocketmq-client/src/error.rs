//! What can go wrong, and what a caller wants to know then.

use std::fmt;
use std::sync::Arc;
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

/// What became of the message of a failed send, or of whatever else the failed call was to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SendOutcome {
    /// No broker holds the message: sending it again makes no duplicate.
    NotStored,
    /// A broker may hold it: the answer is missing, or does not say.
    Unknown,
    /// A broker holds it: sending it again makes a duplicate.
    Stored,
}

/// Why a call failed: one cheap-to-move value that answers what was tried, where, what came back, whether to try
/// again, and whether it may have taken effect. Java: `MQClientException`, `MQBrokerException`, `RemotingException`.
#[derive(Clone, Debug)]
#[doc(alias = "MQClientException")]
#[doc(alias = "MQBrokerException")]
#[doc(alias = "RemotingException")]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    response_code: Option<i32>,
    broker_addr: Option<String>,
    topic: Option<String>,
    outcome: SendOutcome,
    attempts: Vec<Attempt>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// One try of a send.
#[derive(Clone, Debug)]
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
        let outcome = match kind {
            ErrorKind::Timeout | ErrorKind::Disconnected | ErrorKind::Broker | ErrorKind::BadAnswer => {
                SendOutcome::Unknown
            }
            _ => SendOutcome::NotStored,
        };
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            response_code: None,
            broker_addr: None,
            topic: None,
            outcome,
            attempts: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the client was shut down; start a new one")
    }

    /// A connection's outbound buffer stayed full: nothing was sent.
    pub(crate) fn no_room(addr: &str, timeout: Duration) -> Self {
        let why = format!(
            "no room for the request within {} ms: {addr} takes what it is sent too slowly",
            timeout.as_millis()
        );
        Self::new(ErrorKind::Timeout, why).at(addr).with_outcome(SendOutcome::NotStored)
    }

    /// Code of the program's own panicked; `what` names it.
    pub(crate) fn panicked(what: &str, panic: Panic) -> Self {
        Self::new(ErrorKind::Panicked, format!("{what} panicked: {panic}")).with_source(panic)
    }

    /// A broker's answer other than success.
    pub(crate) fn broker(code: i32, remark: Option<&str>, broker_addr: &str) -> Self {
        let message = format!("CODE: {code}  DESC: {} BROKER: {broker_addr}", remark.unwrap_or_default());
        let error = Self::new(ErrorKind::Broker, message).at(broker_addr).with_code(code);
        if is_refusal(code) { error.with_outcome(SendOutcome::NotStored) } else { error }
    }

    pub(crate) fn bad_answer(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut error = Self::new(ErrorKind::BadAnswer, format!("{what} cannot be read: {source}"));
        error.0.source = Some(Arc::new(source));
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

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: SendOutcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// All tries of a send failed: the last error says how, the others are kept. A single one stands for itself.
    pub(crate) fn after_attempts(topic: &str, elapsed: Duration, attempts: Vec<Attempt>) -> Self {
        let Some(last) = attempts.last() else {
            let why = format!(
                "sendDefaultImpl call timeout: {} ms had passed before the first try",
                elapsed.as_millis()
            );
            return Self::new(ErrorKind::Timeout, why).of_topic(topic).with_outcome(SendOutcome::NotStored);
        };
        let mut error = last.error.clone().of_topic(topic);
        if attempts.len() > 1 {
            let brokers: Vec<_> = attempts.iter().map(|attempt| attempt.broker_name.as_str()).collect();
            error.0.message = format!(
                "Send [{}] times, still failed, cost [{}]ms, Topic: {topic}, BrokersSent: [{}]; the last error: {}",
                attempts.len(),
                elapsed.as_millis(),
                brokers.join(", "),
                last.error
            );
            error.0.source = Some(Arc::new(last.error.clone()));
        }
        let outcomes = attempts.iter().map(|attempt| attempt.error.outcome());
        error.0.outcome = outcomes.max().unwrap_or(SendOutcome::Unknown);
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
    #[doc(alias = "getResponseCode")]
    pub fn response_code(&self) -> Option<i32> {
        self.0.response_code
    }

    /// The broker or name server that the call was about.
    #[must_use]
    #[doc(alias = "getBrokerAddr")]
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

    /// What became of the message: over all tries of a send, the worst that a program which sends it again must expect.
    /// For any other call, whether it took effect.
    #[must_use]
    pub fn outcome(&self) -> SendOutcome {
        self.0.outcome
    }

    /// True if nothing was stored or changed by the failed call: [`outcome`](Self::outcome) is
    /// [`NotStored`](SendOutcome::NotStored).
    #[must_use]
    pub fn has_no_side_effects(&self) -> bool {
        self.0.outcome == SendOutcome::NotStored
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

/// Codes that brokers give only before they store or change anything. `SYSTEM_ERROR` and `SERVICE_NOT_AVAILABLE` are not
/// among them: they also stand for failures half-way.
fn is_refusal(code: i32) -> bool {
    matches!(
        ResponseCode::from_i32(code),
        Some(
            ResponseCode::SystemBusy
                | ResponseCode::RequestCodeNotSupported
                | ResponseCode::MessageIllegal
                | ResponseCode::NoPermission
                | ResponseCode::TopicNotExist
                | ResponseCode::FlowControl
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
        if error.has_no_side_effects() {
            converted.0.outcome = SendOutcome::NotStored;
        }
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
        assert!(error.is_retryable() && error.has_no_side_effects(), "refused twice");
        assert!(error.to_string().contains("BrokersSent: [a, b]"), "{error}");
    }

    #[test]
    fn the_outcome_of_a_send_is_the_worst_of_its_tries() {
        let attempt = |outcome| Attempt {
            broker_name: "a".into(),
            elapsed: Duration::ZERO,
            error: Error::new(ErrorKind::Broker, "e").with_outcome(outcome),
        };
        let of = |outcomes: &[SendOutcome]| {
            let attempts = outcomes.iter().map(|outcome| attempt(*outcome)).collect();
            Error::after_attempts("T", Duration::ZERO, attempts).outcome()
        };
        assert_eq!(of(&[SendOutcome::Unknown, SendOutcome::NotStored]), SendOutcome::Unknown);
        assert_eq!(of(&[SendOutcome::Stored, SendOutcome::Unknown]), SendOutcome::Stored);
        assert_eq!(of(&[SendOutcome::NotStored]), SendOutcome::NotStored);
        assert_eq!(of(&[]), SendOutcome::NotStored, "nothing was tried");
    }

    #[test]
    fn one_try_is_told_of_in_its_own_words() {
        let error = Error::new(ErrorKind::Connect, "refused");
        let attempts = vec![Attempt { broker_name: "a".into(), elapsed: Duration::ZERO, error }];
        let error = Error::after_attempts("T", Duration::ZERO, attempts);
        assert_eq!((error.to_string().as_str(), error.attempts().len()), ("refused", 1));
    }
}
