//! Pulls that wait for a message: what each pulls, where they wait, and what wakes them. The broker's processors answer
//! them.

pub(crate) mod held;
pub(crate) mod plan;
pub(crate) mod wake;
