//! Why a request is not done, in the words of Java's broker.

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::header::{HeaderError, HeaderFields, NoFields};
use rocketmq_protocol::remoting::Responder;

/// What Java's answers end with where a page explains more.
pub(crate) const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// An answer that says no.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: ResponseCode,
    remark: ByteString,
}

impl Refusal {
    /// An answer with that code and those words.
    pub(crate) fn new(code: ResponseCode, remark: impl Into<ByteString>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// A group that is not there and is not created.
    pub(crate) fn no_group(group: &str) -> Self {
        let remark = format!("subscription group not exist, {group} {FAQ}");
        Self::new(ResponseCode::SubscriptionGroupNotExist, remark)
    }

    /// A body that cannot be read.
    pub(crate) fn bad_body(error: &impl std::fmt::Display) -> Self {
        Self::new(ResponseCode::SystemError, format!("the body cannot be read: {error}"))
    }

    /// Answers.
    pub(crate) fn answer(self, responder: Responder) {
        self.answer_with(&NoFields, responder);
    }

    /// Answers, with fields.
    pub(crate) fn answer_with(self, fields: &impl HeaderFields, responder: Responder) {
        tracing::debug!(peer = %responder.connection().peer_addr(), code = self.code.as_i32(), remark = %self.remark, "refused");
        responder.send(self.code.as_i32(), Some(self.remark), fields, Bytes::new());
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::new(ResponseCode::SystemError, error.to_string())
    }
}
