//! The RocketMQ remoting protocol: what goes over the wire and into the commit log.
//!
//! Everything here is bytes in, values out: no clock, no I/O, no global state. The exception is [`remoting`], the tokio
//! driver that client and broker share, behind the feature of that name.
//!
//! | to find | look in |
//! |---|---|
//! | how a stream is cut into frames | [`frame`] |
//! | a command and its two header encodings | [`command`], [`header`] |
//! | request, response and language codes | [`code`] |
//! | the fields of a request | [`request`] |
//! | messages, properties, ids, the stored record | [`message`] |
//! | JSON bodies | [`body`] |
//! | requests in flight, without I/O | [`session`] |

pub mod address;
pub mod body;
pub mod code;
pub mod command;
pub mod compression;
mod dialect;
pub mod frame;
pub mod header;
pub mod message;
#[cfg(feature = "remoting")]
pub mod remoting;
pub mod request;
pub mod session;

pub use bytestring::ByteString;
