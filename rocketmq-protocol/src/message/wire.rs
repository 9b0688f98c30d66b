//! What messages have for code that speaks the protocol, and programs that send and receive need not see.
//!
//! These are traits so that a client can re-export the types without them.

use bytes::Bytes;
use bytestring::ByteString;

use super::Properties;
use super::record::RecordError;
use crate::compression::DecompressError;

/// The wire's side of a [`Message`](super::Message).
pub trait WireMessage {
    /// The topic as a string that clones cheaply.
    fn topic_shared(&self) -> &ByteString;

    /// What a setter was given that cannot be sent, if anything.
    fn defect(&self) -> Option<&str>;

    /// All properties, without a copy.
    fn into_properties(self) -> Properties;

    /// Sets one of the properties that [`Message::property`](super::Message::property) refuses.
    fn set_reserved_property(&mut self, name: &str, value: &str);

    /// Says which transaction the message is part of.
    fn set_transaction_id(&mut self, transaction_id: impl Into<ByteString>);

    /// Puts another body in place of the present one.
    fn set_body(&mut self, body: Bytes);
}

/// The wire's side of a [`MessageExt`](super::MessageExt).
pub trait WireMessageExt: Sized {
    /// Reads the record that `bytes` starts with, and returns what follows it. The body is left as it was stored:
    /// see [`decompress`](Self::decompress).
    ///
    /// # Errors
    /// Bytes that are not a whole, well-formed record.
    fn decode(bytes: &Bytes) -> Result<(Self, Bytes), RecordError>;

    /// Puts the plain body in place of a compressed one, as `sys_flag` says, and clears its bit as 5.x does.
    ///
    /// # Errors
    /// See [`decompress`](crate::compression::decompress); the message is left as it was.
    fn decompress(&mut self, limit_bytes: usize) -> Result<(), DecompressError>;

    /// The topic as a string that clones cheaply.
    fn topic_shared(&self) -> &ByteString;

    /// Shows another topic: a consumer shows a retried message under the topic it was sent to.
    fn set_topic(&mut self, topic: impl Into<ByteString>);

    /// Says which broker the message came from.
    fn set_broker_name(&mut self, broker_name: ByteString);

    /// Sets how often the message was given back.
    fn set_reconsume_times(&mut self, reconsume_times: i32);

    /// Says which transaction the message is part of. Java's consumer does so for messages whose property `TRAN_MSG` is
    /// true, and takes the id that the producer gave.
    fn set_transaction_id(&mut self, transaction_id: impl Into<ByteString>);

    /// The properties, to be changed.
    fn properties_mut(&mut self) -> &mut Properties;
}

/// The wire's side of a [`MessageQueue`](super::MessageQueue).
pub trait WireMessageQueue {
    /// A queue that shares its strings with others.
    fn shared(topic: ByteString, broker_name: ByteString, queue_id: i32) -> Self;

    /// The topic as a string that clones cheaply.
    fn topic_shared(&self) -> &ByteString;

    /// The broker's name as a string that clones cheaply.
    fn broker_name_shared(&self) -> &ByteString;
}

/// The wire's side of [`Properties`].
pub trait WireProperties: Sized {
    /// Takes properties in their encoded form. Entries without a name or a value are passed over when read, as in Java.
    fn from_wire(encoded: impl Into<ByteString>) -> Self;

    /// Takes encoded properties off the wire; bytes that are not UTF-8 become U+FFFD, as Java reads them.
    fn from_bytes(encoded: Bytes) -> Self;

    /// The encoded form.
    fn as_str(&self) -> &str;

    /// The encoded form as a string that clones cheaply.
    fn to_wire(&self) -> ByteString;

    /// The encoded form, without a copy.
    fn into_wire(self) -> ByteString;

    /// Sets several properties to numbers, as [`set`](Properties::set) does, with one allocation for all of them.
    fn set_numbers(&mut self, numbers: &[(&str, i64)]);
}
