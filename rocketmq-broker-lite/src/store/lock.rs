//! The locks that keep a second broker out of a store's directory.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock, flock};

use super::StoreError;
use super::fs::{OsFs, make_dirs};

/// Holds a directory until it is dropped.
///
/// Two locks are taken. The one on the directory tells stores of one process apart. The one on the file `lock` is what
/// Java's broker takes. The order matters: closing any handle of `lock` ends that lock for the whole process, so the
/// file must not even be opened by a loser.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    directory: File,
    _file: File,
}

impl DirectoryLock {
    /// Takes the locks; makes the directory if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another store holds one; otherwise the operation that failed.
    pub(super) fn acquire(root_dir: &Path) -> Result<Self, StoreError> {
        make_dirs(&OsFs, root_dir).map_err(StoreError::io("make", root_dir))?;
        let path = root_dir.join("lock");
        let refused = |_| StoreError::Locked { path: path.clone() };
        let directory = File::open(root_dir).map_err(StoreError::io("open", root_dir))?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive).map_err(refused)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(StoreError::io("open", &path))?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(refused)?;
        // The content is Java's; nobody reads it.
        file.write_all(b"lock").map_err(StoreError::io("write", &path))?;
        Ok(Self { directory, _file: file })
    }

    /// The directory, opened before anything was written to it.
    pub(super) fn directory(&self) -> &File {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_store_in_the_same_process_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(directory.path()).unwrap();
        let error = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert!(error.to_string().starts_with("Lock failed,MQ already started"), "{error}");
        drop(first);
        DirectoryLock::acquire(directory.path()).unwrap();
    }
}
