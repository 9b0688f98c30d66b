//! The processors, one file a family of requests: they parse, call and answer, and hold no state.

pub(crate) mod client;
pub(crate) mod consumer;
mod offset_moved;
pub(crate) mod pull;
pub(crate) mod queue_offset;
pub(crate) mod send;
pub(crate) mod send_back;
mod store_answer;
