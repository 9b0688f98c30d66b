//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The message breaks a limit; nothing was stored.
    #[error("the message's {what} is {found} long, and at most {limit} are stored")]
    MessageIllegal {
        /// The part.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The longest allowed, in bytes.
        limit: usize,
    },
    /// The encoded properties are longer than 32,767 bytes; nothing was stored.
    #[error("the message's properties are {found} bytes long, and at most {limit} are stored")]
    PropertiesTooLong {
        /// Their length in bytes.
        found: usize,
        /// The longest allowed, in bytes.
        limit: usize,
    },
    /// The messages of one batch are not all for one queue; nothing was stored.
    #[error("the messages of a batch go to different queues")]
    MixedBatch,
    /// The topic cannot be a directory's name; nothing was stored.
    #[error("the topic {0:?} cannot be stored")]
    BadTopic(String),
    /// A write hangs, or too much waits to be written; nothing was stored.
    #[error("too much waits to be written")]
    Busy,
    /// The store was closed.
    #[error("the store is shut down")]
    ShutDown,
    /// A write or flush failed earlier. The store takes nothing more: what it holds in memory and what lies on disk
    /// may differ.
    #[error("the store failed earlier and takes no more messages: {0}")]
    Poisoned(Arc<StoreError>),
    /// The disk has no room, or too little; nothing was stored. Messages are taken again once it has.
    #[error("the disk is full ({used_percent} % used){}", cause.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    DiskFull {
        /// How much of it is used.
        used_percent: u32,
        /// The operation that failed, if the disk is not only nearly full.
        cause: Option<Arc<StoreError>>,
    },
    /// A file operation failed.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as a verb.
        op: &'static str,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// Another store uses the directory. The wording is Java's.
    #[error("Lock failed,MQ already started ({})", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file is not what it should be, and no recovery is possible.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The log cannot be read at a place before its end. To go on would give up what lies behind; nothing was changed.
    #[error(
        "the log is damaged at {at}: what lies behind up to {until} would be lost, {records} good records among it. With \
         truncateDamagedLog=true the broker goes on without it, and keeps it in the directory `damaged` of the store"
    )]
    LogDamaged {
        /// The place.
        at: i64,
        /// Up to where the log was safe, or good records were found.
        until: i64,
        /// How many good records lie in between.
        records: u64,
    },
    /// No message begins at that place in the log.
    #[error("no message at physical offset {0}")]
    NotFound(i64),
}

impl StoreError {
    /// A read that may not wait for the disk would have had to.
    pub(super) fn would_wait(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// For `map_err` on file operations: `op` is a verb.
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), op, source: Arc::new(source) }
    }
}
