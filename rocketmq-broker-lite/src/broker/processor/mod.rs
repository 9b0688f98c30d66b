//! The processors, one file a family of requests: they parse, call and answer, and hold no state.

mod client;
mod consumer;
mod offset_moved;
pub(crate) mod pull;
mod queue_offset;
pub(crate) mod send;
mod send_back;
mod store_answer;

use super::context::Context;
use crate::server::dispatch::Family;

/// What a broker answers from memory, but for sends, which are taken together: see [`send::Sends`].
pub(crate) const FAMILIES: &[Family<Context>] =
    &[client::FAMILY, consumer::FAMILY, pull::FAMILY, queue_offset::FAMILY];

/// What a broker may have to read from the disk for.
pub(crate) const READING_FAMILIES: &[Family<Context>] = &[queue_offset::READING_FAMILY, send_back::FAMILY];
