//! Why a request is not done, in Java's words.

use std::fmt;

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::header::{HeaderError, HeaderFields, NoFields};
use rocketmq_protocol::remoting::Responder;

use super::answer::Fields;

/// What Java's answers end with where a page explains more.
pub(crate) const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// An answer that says no.
pub(crate) struct Refusal {
    code: ResponseCode,
    remark: ByteString,
    fields: Option<Box<dyn Fields>>,
}

impl Refusal {
    /// An answer with that code and those words.
    pub(crate) fn new(code: ResponseCode, remark: impl Into<ByteString>) -> Self {
        Self { code, remark: remark.into(), fields: None }
    }

    /// The same with code 1, Java's for whatever has no code of its own.
    pub(crate) fn system(remark: impl ToString) -> Self {
        Self::new(ResponseCode::SystemError, remark.to_string())
    }

    /// Too much is asked of this server: clients pause and ask again.
    pub(crate) fn busy(why: &str) -> Self {
        Self::new(ResponseCode::SystemBusy, why)
    }

    /// A group that is not there and is not created.
    pub(crate) fn no_group(group: &str) -> Self {
        let remark = format!("subscription group not exist, {group} {FAQ}");
        Self::new(ResponseCode::SubscriptionGroupNotExist, remark)
    }

    /// A body that cannot be read.
    pub(crate) fn bad_body(error: &impl fmt::Display) -> Self {
        Self::system(format!("the body cannot be read: {error}"))
    }

    /// Says these fields as well.
    pub(crate) fn with_fields(self, fields: impl HeaderFields + Send + 'static) -> Self {
        Self { fields: Some(Box::new(fields)), ..self }
    }

    /// Answers.
    pub(crate) fn answer(self, responder: Responder) {
        tracing::debug!(peer = %responder.connection().peer_addr(), code = self.code.as_i32(), remark = %self.remark, "refused");
        match self.fields {
            Some(fields) => fields.send(responder, self.code, Some(self.remark), Bytes::new()),
            None => responder.send(self.code.as_i32(), Some(self.remark), &NoFields, Bytes::new()),
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("code", &self.code)
            .field("remark", &self.remark)
            .finish_non_exhaustive()
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::system(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::system(error)
    }
}
