//! A table of texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names and values. Java: `KVTable`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// The values by name.
    pub table: BTreeMap<String, String>,
}
