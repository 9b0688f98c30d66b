//! The dialect of fastjson, which Java writes and, in far more shapes, reads: integer keys without quotes
//! (`{0:"a"}`), objects as keys (`{{"queueId":0}:5}`), `Set[...]`, numbers and truth values as strings and the other way
//! round, trailing commas, null for anything. What is taken is what both RocketMQ 4.9.7 and 5.5.0 take: `docs/dialect.md`.
//!
//! Reading costs time in proportion to the text, whatever the text, and no memory beside the value itself: the text is
//! walked over once to check it, and once more for each level of the *type* that is read.

pub(crate) mod convert;
mod read;
mod scan;
mod write;

pub use read::from_slice;
pub(crate) use scan::{Fault, Scanner};
pub use write::{to_fastjson, to_fastjson_pretty, to_vec};

#[cfg(test)]
mod tests;
