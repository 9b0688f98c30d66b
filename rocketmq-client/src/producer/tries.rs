//! How often a send is tried, for how long, and what comes out of it. Decisions only: no clock, no I/O.

use std::time::Duration;

use rocketmq_protocol::message::{SendResult, SendStatus};
use tokio::time::Instant;

use crate::error::{Attempt, Error, ErrorKind, Result, SendOutcome, is_retryable_code};

/// A broker that is silent for this part of the send's time is given up, if there is another one.
const SILENT_PART: u32 = 3;
/// The pause before a broker is tried again that has failed in the same send: this part of the send's time, three times
/// that before the next such try, and never more than half of what is left.
const FIRST_PAUSE_PART: u32 = 16;
const PAUSE_GROWTH: u32 = 3;

/// The tries of one send.
#[derive(Debug)]
pub(super) struct Tries {
    most: usize,
    begun: usize,
    pauses: u32,
    started: Instant,
    timeout: Duration,
    per_try: Option<Duration>,
    failed: Vec<Attempt>,
    /// The results of brokers that stored the message less safely than wanted.
    stored: Vec<SendResult>,
}

/// What follows from a try.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is looked at once; a box would cost every send an allocation"
)]
pub(super) enum Verdict {
    Done(SendResult),
    /// Try again, if there is a try and time left.
    Again,
    /// Another try would come to the same.
    GiveUp,
}

impl Tries {
    /// `per_try` bounds every try but the last.
    pub(super) fn new(most: usize, started: Instant, timeout: Duration, per_try: Option<Duration>) -> Self {
        Self { most, begun: 0, pauses: 0, started, timeout, per_try, failed: Vec::new(), stored: Vec::new() }
    }

    /// When the send's time is up.
    pub(super) fn deadline(&self) -> Instant {
        self.started + self.timeout
    }

    /// Begins another try at `now`, if there is one left and time for it: how long it may take. `elsewhere` says that there
    /// is another broker to go to.
    pub(super) fn begin(&mut self, now: Instant, elsewhere: bool) -> Option<Duration> {
        let left = self.deadline().saturating_duration_since(now);
        if self.begun == self.most || left.is_zero() {
            return None;
        }
        self.begun += 1;
        if self.begun == self.most {
            return Some(left);
        }
        let limit = self.per_try.unwrap_or(if elsewhere { self.timeout / SILENT_PART } else { left });
        Some(left.min(limit))
    }

    /// How long to wait before a try on that broker.
    pub(super) fn pause_before(&mut self, broker: &str, now: Instant) -> Duration {
        if !self.has_failed(broker) {
            return Duration::ZERO;
        }
        let left = self.deadline().saturating_duration_since(now);
        let pause = self.timeout / FIRST_PAUSE_PART * PAUSE_GROWTH.pow(self.pauses.min(8));
        self.pauses += 1;
        pause.min(left / 2)
    }

    /// True if a try on that broker has failed, or was not stored as wanted.
    pub(super) fn has_failed(&self, broker: &str) -> bool {
        self.failed.iter().any(|attempt| attempt.broker_name == broker) || self.has_stored_at(broker)
    }

    fn has_stored_at(&self, broker: &str) -> bool {
        self.stored.iter().any(|stored| stored.message_queue.broker_name() == broker)
    }

    /// True if a broker holds the message already: then only another broker is worth a try.
    pub(super) fn has_stored(&self) -> bool {
        !self.stored.is_empty()
    }

    /// A try succeeded. With `wants_ok` a result other than SEND_OK is kept, and another broker tried.
    pub(super) fn succeed(&mut self, result: SendResult, wants_ok: bool) -> Verdict {
        if result.send_status == SendStatus::SendOk || !wants_ok {
            return Verdict::Done(result);
        }
        self.stored.push(result);
        Verdict::Again
    }

    /// A try failed.
    pub(super) fn fail(&mut self, broker_name: &str, elapsed: Duration, error: Error) -> Verdict {
        let verdict = if may_try_again(&error) { Verdict::Again } else { Verdict::GiveUp };
        self.failed.push(Attempt { broker_name: broker_name.to_owned(), elapsed, error });
        verdict
    }

    /// What the caller gets when no try is left: the message as it was stored, if it was; else what went wrong.
    pub(super) fn finish(mut self, topic: &str, now: Instant) -> Result<SendResult> {
        match self.stored.pop() {
            Some(stored) => Ok(stored),
            None => Err(Error::after_attempts(topic, now.duration_since(self.started), self.failed)),
        }
    }

    /// The client was shut down meanwhile.
    pub(super) fn cut_off(mut self, topic: &str) -> Result<SendResult> {
        match self.stored.pop() {
            Some(stored) => Ok(stored),
            None if self.begun == 0 => Err(Error::closed().of_topic(topic)),
            None => Err(Error::closed().of_topic(topic).with_outcome(SendOutcome::Unknown)),
        }
    }
}

/// Java's rule for synchronous sends: transport errors, and the broker's codes that another broker may not give.
fn may_try_again(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Broker => error.response_code().is_some_and(is_retryable_code),
        ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocketmq_protocol::message::MessageQueue;

    const TIMEOUT: Duration = Duration::from_millis(3_000);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn tries(most: usize, per_try: Option<Duration>) -> (Tries, Instant) {
        let now = Instant::now();
        (Tries::new(most, now, TIMEOUT, per_try), now)
    }

    fn result(send_status: SendStatus, broker: &str) -> SendResult {
        SendResult::new(send_status, "id", MessageQueue::new("T", broker, 0), 0)
    }

    #[test]
    fn a_silent_broker_gets_a_third_where_there_is_another_and_else_all() {
        let (mut split, now) = tries(3, None);
        assert_eq!(split.begin(now, true), Some(ms(1_000)));
        assert_eq!(split.begin(now + ms(1_000), true), Some(ms(1_000)));
        assert_eq!(split.begin(now + ms(1_500), true), Some(ms(1_500)), "the last one has what is left");
        assert_eq!(split.begin(now + ms(1_500), true), None);
        let (mut alone, now) = tries(3, None);
        assert_eq!(alone.begin(now, false), Some(TIMEOUT));
        assert_eq!(alone.begin(now + TIMEOUT, false), None);
        let (mut limited, now) = tries(2, Some(ms(200)));
        assert_eq!(limited.begin(now, false), Some(ms(200)));
        let (mut once, now) = tries(1, None);
        assert_eq!(once.begin(now, true), Some(TIMEOUT));
    }

    #[test]
    fn only_a_broker_that_has_failed_is_waited_for_and_never_beyond_the_sends_time() {
        let (mut tries, now) = tries(9, None);
        assert_eq!(tries.pause_before("a", now), Duration::ZERO);
        tries.fail("a", Duration::ZERO, Error::new(ErrorKind::Connect, "refused"));
        assert_eq!(tries.pause_before("b", now), Duration::ZERO);
        assert_eq!(tries.pause_before("a", now), TIMEOUT / 16);
        assert_eq!(tries.pause_before("a", now), TIMEOUT / 16 * 3);
        assert_eq!(tries.pause_before("a", now), TIMEOUT / 2);
        assert_eq!(tries.pause_before("a", now + ms(2_900)), ms(50));
    }

    #[test]
    fn a_result_that_is_not_ok_is_kept_and_beats_every_error() {
        let (mut tries, now) = tries(3, None);
        let verdict = tries.succeed(result(SendStatus::FlushDiskTimeout, "a"), true);
        assert!(matches!(verdict, Verdict::Again), "{verdict:?}");
        assert!(tries.has_failed("a") && !tries.has_failed("b"));
        tries.fail("b", Duration::ZERO, Error::broker(16, Some("no"), "b:1"));
        assert_eq!(tries.finish("T", now).unwrap().send_status, SendStatus::FlushDiskTimeout);
    }

    #[test]
    fn without_the_setting_every_stored_message_is_a_success() {
        let (mut tries, _) = tries(3, None);
        let verdict = tries.succeed(result(SendStatus::SlaveNotAvailable, "a"), false);
        assert!(matches!(verdict, Verdict::Done(_)), "{verdict:?}");
    }

    #[test]
    fn errors_that_every_broker_would_give_end_the_send() {
        let (mut tries, _) = tries(3, None);
        let illegal = tries.fail("a", Duration::ZERO, Error::broker(13, None, "a:1"));
        assert!(matches!(illegal, Verdict::GiveUp), "{illegal:?}");
        let busy = tries.fail("a", Duration::ZERO, Error::broker(2, None, "a:1"));
        assert!(matches!(busy, Verdict::Again), "{busy:?}");
    }
}
