//! What is wrong with a configuration.

use std::path::PathBuf;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The properties file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value is out of range, or not of its type.
    #[error("{key}={value} is not valid: allowed is {allowed}")]
    BadValue {
        /// The property, as Java names it.
        key: String,
        /// Its value.
        value: String,
        /// What would be valid.
        allowed: String,
    },
    /// The value asks for what this release cannot do, and going on without it would break a promise.
    #[error("{key}={value} is not supported: {why}")]
    NotSupported {
        /// The property, as Java names it.
        key: String,
        /// Its value.
        value: String,
        /// What to do instead.
        why: String,
    },
}
