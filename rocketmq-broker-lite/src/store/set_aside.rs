//! Where files go that cannot be used: kept, beside the store, with their names.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fs::{make_dirs, parent};
use super::{StoreDir, StoreError};

/// The directory for them, below the store's.
const DAMAGED: &str = "damaged";

/// A free name for what lies at `path` in the store: the same below `damaged`, with a number behind it.
pub(super) fn free_name(store: &StoreDir, path: &Path) -> Result<PathBuf, StoreError> {
    let kept = store.root.join(DAMAGED).join(path.strip_prefix(&store.root).unwrap_or(path));
    let dir = parent(&kept);
    make_dirs(&*store.fs, dir).map_err(StoreError::io("make", dir))?;
    let taken = match store.fs.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        other => other.map_err(StoreError::io("list", dir))?,
    };
    let mut number = 1_u64;
    loop {
        let mut name = OsString::from(kept.file_name().unwrap_or_default());
        name.push(format!(".{number}"));
        if taken.iter().all(|entry| entry.name != name) {
            return Ok(dir.join(name));
        }
        number += 1;
    }
}

/// Moves a file or directory of the store there, and returns its new place.
pub(super) fn set_aside(store: &StoreDir, path: &Path) -> Result<PathBuf, StoreError> {
    let kept = free_name(store, path)?;
    store.fs.rename(path, &kept).map_err(StoreError::io("set aside", path))?;
    for dir in [parent(path), parent(&kept)] {
        store.fs.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    }
    Ok(kept)
}
