//! Bodies that are JSON. Every field of a foreign body is optional unless nothing works without it.

pub mod cluster;
pub mod consumer_list;
mod date;
pub mod heartbeat;
pub mod json;
pub mod kv_table;
pub mod register_broker;
pub mod route;
mod set;
pub mod subscription;
pub mod topic_config;
mod wire_enum;

/// `ByteString` in serde.
pub(crate) mod text {
    use bytestring::ByteString;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(text: &ByteString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteString, D::Error> {
        // Java leaves nulls out, other writers may not.
        Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default().into())
    }
}
