//! What a processor answers.

use bytes::Bytes;
use rocketmq_protocol::ByteString;
use rocketmq_protocol::code::ResponseCode;
use rocketmq_protocol::header::{HeaderFields, NoFields};
use rocketmq_protocol::remoting::Responder;

/// What takes over the way back of a request that is answered later.
type Later = Box<dyn FnOnce(Responder) + Send>;

/// The answer to a request.
pub(crate) enum Answer {
    /// It is here.
    Ready(Ready),
    /// It comes later: whatever this is given to answers by itself.
    Later(Later),
}

/// An answer that is here.
pub(crate) struct Ready {
    code: ResponseCode,
    remark: Option<ByteString>,
    fields: Box<dyn Fields>,
    body: Bytes,
}

impl Answer {
    /// Success, and nothing more to say.
    pub(crate) fn ok() -> Self {
        Self::with(NoFields, Bytes::new())
    }

    /// Success, with fields.
    pub(crate) fn fields(fields: impl HeaderFields + Send + 'static) -> Self {
        Self::with(fields, Bytes::new())
    }

    /// Success, with a body.
    pub(crate) fn body(body: impl Into<Bytes>) -> Self {
        Self::with(NoFields, body)
    }

    /// Success, with fields and a body.
    pub(crate) fn with(fields: impl HeaderFields + Send + 'static, body: impl Into<Bytes>) -> Self {
        Self::Ready(Ready {
            code: ResponseCode::Success,
            remark: None,
            fields: Box::new(fields),
            body: body.into(),
        })
    }

    /// Another code, with everything there is to an answer.
    pub(crate) fn coded(
        code: ResponseCode,
        remark: ByteString,
        fields: impl HeaderFields + Send + 'static,
        body: Bytes,
    ) -> Self {
        Self::Ready(Ready { code, remark: Some(remark), fields: Box::new(fields), body })
    }

    /// Answered later: `take_over` gets the way back.
    pub(crate) fn later(take_over: impl FnOnce(Responder) + Send + 'static) -> Self {
        Self::Later(Box::new(take_over))
    }

    /// Answers.
    pub(crate) fn send(self, responder: Responder) {
        match self {
            Self::Ready(Ready { code, remark, fields, body }) => fields.send(responder, code, remark, body),
            Self::Later(take_over) => take_over(responder),
        }
    }
}

/// Header fields of any type.
pub(super) trait Fields: Send {
    fn send(&self, responder: Responder, code: ResponseCode, remark: Option<ByteString>, body: Bytes);
}

impl<F: HeaderFields + Send> Fields for F {
    fn send(&self, responder: Responder, code: ResponseCode, remark: Option<ByteString>, body: Bytes) {
        responder.send(code.as_i32(), remark, self, body);
    }
}
