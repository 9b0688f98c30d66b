//! The way back for one request.

use bytes::Bytes;
use bytestring::ByteString;

use super::Connection;
use crate::code::ResponseCode;
use crate::command::{Outgoing, RemotingCommand, TooLarge};
use crate::header::{HeaderFields, NoFields, SerializeType};

/// Answers one request, at once or later, from any thread. A request that wants no answer gets none, whatever is
/// called. A responder that is dropped without an answer sends one that says so, so that nobody waits in vain.
#[derive(Debug)]
#[must_use = "dropped without an answer it sends an error"]
pub struct Responder {
    connection: Connection,
    opaque: i32,
    serialize_type: SerializeType,
    oneway: bool,
    answered: bool,
}

impl Responder {
    pub(super) fn new(connection: Connection, request: &RemotingCommand) -> Self {
        Self {
            connection,
            opaque: request.opaque(),
            serialize_type: request.serialize_type(),
            oneway: request.is_oneway(),
            answered: false,
        }
    }

    /// The connection that the request came on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// True if the request wants no answer.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// Answers with code 0.
    pub fn success(self, fields: &impl HeaderFields, body: Bytes) {
        self.send(ResponseCode::Success.as_i32(), None, fields, body);
    }

    /// Answers with another code and what went wrong in words.
    pub fn error(self, code: impl Into<i32>, remark: impl Into<ByteString>) {
        self.send(code.into(), Some(remark.into()), &NoFields, Bytes::new());
    }

    /// Answers with everything there is to an answer.
    pub fn send(mut self, code: i32, remark: Option<ByteString>, fields: &impl HeaderFields, body: Bytes) {
        self.answer(code, remark, fields, body);
    }

    /// Leaves the request without an answer, for those few to which the real server gives none.
    pub fn forget(mut self) {
        self.answered = true;
    }

    fn answer(&mut self, code: i32, remark: Option<ByteString>, fields: &impl HeaderFields, body: Bytes) {
        self.answered = true;
        if !self.oneway {
            let response = Outgoing::response(code, self.opaque, remark, self.serialize_type);
            if let Err(error) = self.connection.0.respond(&response, fields, body) {
                self.too_large(error);
            }
        }
    }

    fn too_large(&self, error: TooLarge) {
        let (code, remark) = (ResponseCode::SystemError.as_i32(), error.to_string().into());
        let response = Outgoing::response(code, self.opaque, Some(remark), self.serialize_type);
        // It is small.
        let _ = self.connection.0.respond(&response, &NoFields, Bytes::new());
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            let remark = ByteString::from_static("the server dropped the request without an answer");
            self.answer(ResponseCode::SystemError.as_i32(), Some(remark), &NoFields, Bytes::new());
        }
    }
}
