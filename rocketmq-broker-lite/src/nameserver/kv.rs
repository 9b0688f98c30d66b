//! A table of texts by namespace and key, which admin tools fill. It is in memory only.

use std::collections::{BTreeMap, HashMap};

use rocketmq_protocol::body::kv_table::KvTable;

use super::limits::{LimitError, check_count};

/// The namespace of order topics, which brokers are told with their registration.
pub(super) const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";
/// The most bytes of namespaces, keys and values together.
const LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Texts by namespace and key. Java: `KVConfigManager`.
#[derive(Debug, Default)]
pub(super) struct KvConfig {
    namespaces: HashMap<String, BTreeMap<String, String>>,
    /// What namespaces, keys and values take.
    bytes: usize,
}

impl KvConfig {
    /// Puts a value, in place of the one before.
    ///
    /// # Errors
    /// The table is full; nothing has changed.
    pub(super) fn put(&mut self, namespace: &str, key: &str, value: &str) -> Result<(), LimitError> {
        let before = self.get(namespace, key).map_or(0, |before| key.len() + before.len());
        let namespace_bytes = if self.namespaces.contains_key(namespace) { 0 } else { namespace.len() };
        let bytes = self.bytes + namespace_bytes + key.len() + value.len() - before;
        check_count("value", "bytes in the table", bytes, LIMIT_BYTES)?;
        self.bytes = bytes;
        self.namespaces.entry(namespace.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    pub(super) fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.get(key).map(String::as_str)
    }

    /// Takes a value out. Its namespace stays, as in Java.
    pub(super) fn delete(&mut self, namespace: &str, key: &str) {
        let removed = self.namespaces.get_mut(namespace).and_then(|table| table.remove(key));
        self.bytes -= removed.map_or(0, |value| key.len() + value.len());
    }

    /// Everything in a namespace, if anything was ever put there.
    pub(super) fn list(&self, namespace: &str) -> Option<KvTable> {
        self.namespaces.get(namespace).map(|table| KvTable { table: table.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_refuses_and_takes_again_what_was_made_room_for() {
        let mut kv = KvConfig::default();
        let large = "x".repeat(LIMIT_BYTES / 2);
        kv.put("n", "a", &large).unwrap();
        kv.put("n", "a", &large).unwrap();
        let error = kv.put("n", "b", &large).unwrap_err().to_string();
        assert!(
            error.starts_with("value: there would be ") && error.ends_with(" the limit is 4194304"),
            "{error}"
        );
        kv.delete("n", "a");
        kv.delete("n", "a");
        kv.put("n", "b", &large).unwrap();
        assert_eq!(kv.bytes, 2 + large.len());
        assert_eq!(kv.list("n").unwrap().table.len(), 1);
    }
}
