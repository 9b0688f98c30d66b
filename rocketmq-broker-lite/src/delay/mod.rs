//! Delayed messages: what the levels mean, and the delivery of what is due.

pub(crate) mod levels;
pub(crate) mod schedule;
