//! The tokio driver that client and broker share: a RocketMQ connection is symmetric, both sides send requests.
//!
//! A [`Connection`] is one task. Each turn it reads what is there, hands responses to whoever waits and requests to the
//! [`Handler`], then writes everything that was queued, in one call. Callers encode their frames whole into the queue and
//! wake the task only if it sleeps; a caller that goes away leaves nothing half-written behind. What may be held on behalf
//! of peers is limited by a [`Budget`].

mod apart;
mod budget;
mod config;
mod connect;
mod connection;
mod error;
mod handler;
mod inbound;
mod listener;
mod liveness;
mod requests;
mod responder;
mod shared;
mod socket;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod write_queue;

pub use budget::{Budget, Reserved};
pub use config::ConnectionConfig;
pub use connect::connect;
pub use connection::{Connection, PendingResponse};
pub use error::RemotingError;
pub use handler::Handler;
pub use listener::{Listener, ListenerConfig};
pub use requests::Requests;
pub use responder::Responder;
pub use write_queue::Abandoned;
