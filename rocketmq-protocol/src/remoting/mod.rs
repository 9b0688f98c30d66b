//! The tokio driver that client and broker share: a RocketMQ connection is symmetric, both sides send requests.
//!
//! A [`Connection`] is two tasks. The reader cuts what arrives into frames, hands responses to whoever waits and
//! requests to the [`Handler`]. The writer hands the socket everything that was queued while it last wrote, in one
//! call. Frames are encoded into the outbound buffer at once and whole, so a caller that goes away leaves nothing
//! half-written behind.

mod connect;
mod connection;
mod error;
mod listener;
mod outbound;
mod reader;
mod requests;
mod responder;
mod writer;

pub use connect::connect;
pub use connection::{Connection, ConnectionConfig, Handler, PendingResponse};
pub use error::RemotingError;
pub use listener::{Listener, ListenerConfig};
pub use requests::Requests;
pub use responder::Responder;
