//! A store's directory, for those who keep files beside the messages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fs::{Fs, OsFs};

/// A directory, and the file system in which it lies.
#[derive(Clone, Debug)]
pub(crate) struct StoreDir {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) root: PathBuf,
}

impl From<&Path> for StoreDir {
    /// A directory of the operating system's.
    fn from(root: &Path) -> Self {
        Self { fs: Arc::new(OsFs), root: root.to_owned() }
    }
}
