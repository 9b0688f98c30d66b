//! The dialect of JSON in which bodies travel and configuration files are kept.

pub use crate::dialect::{from_slice, to_fastjson, to_fastjson_pretty, to_vec};
