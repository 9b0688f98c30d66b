//! The name server's table of texts: codes 100, 101, 102 and 219.

use bytestring::ByteString;

use super::request;
use crate::header::{NoFields, header};

header! {
    /// Put a value. Java: `PutKVConfigRequestHeader`.
    PutKvConfigRequest {
        /// The namespace.
        namespace: ByteString = "namespace",
        /// The value's name in it.
        key: ByteString = "key",
        /// The value.
        value: ByteString = "value",
    }
}

header! {
    /// A value, please. Java: `GetKVConfigRequestHeader`.
    GetKvConfigRequest {
        /// The namespace.
        namespace: ByteString = "namespace",
        /// The value's name in it.
        key: ByteString = "key",
    }
}

header! {
    /// The value. Java: `GetKVConfigResponseHeader`.
    GetKvConfigResponse {
        /// It.
        value: Option<ByteString> = "value",
    }
}

header! {
    /// Take a value out. Java: `DeleteKVConfigRequestHeader`.
    DeleteKvConfigRequest {
        /// The namespace.
        namespace: ByteString = "namespace",
        /// The value's name in it.
        key: ByteString = "key",
    }
}

header! {
    /// All values of a namespace, please; the answer's body is a [`KvTable`](crate::body::kv_table::KvTable).
    /// Java: `GetKVListByNamespaceRequestHeader`.
    KvListByNamespaceRequest {
        /// The namespace.
        namespace: ByteString = "namespace",
    }
}

request!(PutKvConfigRequest => PutKvConfig, NoFields);
request!(GetKvConfigRequest => GetKvConfig, GetKvConfigResponse);
request!(DeleteKvConfigRequest => DeleteKvConfig, NoFields);
request!(KvListByNamespaceRequest => GetKvListByNamespace, NoFields);
