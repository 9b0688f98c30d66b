//! The broker's tables on disk: small JSON files in fastjson's pretty form, as Java's broker writes and reads them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rocketmq_protocol::body::json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{StoreDir, config_file};

/// One file below `config/` of the store's directory, and whether the table in memory is newer.
#[derive(Debug)]
pub(crate) struct ConfigTable {
    store: StoreDir,
    path: PathBuf,
    changed: AtomicBool,
    /// One save at a time.
    saving: Mutex<()>,
}

impl ConfigTable {
    /// The file of that name in a store.
    pub(crate) fn new(store: impl Into<StoreDir>, name: &str) -> Self {
        let store = store.into();
        Self {
            path: store.root.join("config").join(name),
            store,
            changed: AtomicBool::new(false),
            saving: Mutex::new(()),
        }
    }

    /// What the file holds, or its `.bak` if the file is broken; `None` if there is neither.
    ///
    /// # Errors
    /// The file is there and cannot be read, and neither can its `.bak`.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let valid = |bytes: &[u8]| json::from_slice::<T>(bytes).is_ok();
        match config_file::load(&*self.store.fs, &self.path, valid)? {
            None => Ok(None),
            Some(bytes) => Ok(Some(json::from_slice(&bytes)?)),
        }
    }

    /// The table in memory has changed.
    pub(crate) fn mark_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Writes the table if it has changed; `None` puts it off until the next save. A failure is logged, and tried again
    /// with the next save: the table in memory serves on. True if the file is as the table was.
    pub(crate) fn save_if_changed<T: Serialize>(&self, table: impl FnOnce() -> Option<T>) -> bool {
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the table is read: a change made while it is read is saved the next time.
        if !self.changed.swap(false, Ordering::AcqRel) {
            return true;
        }
        let Some(table) = table() else {
            self.mark_changed();
            return false;
        };
        let saved = json::to_fastjson_pretty(&table)
            .map_err(io::Error::from)
            .and_then(|bytes| config_file::save(&*self.store.fs, &self.path, &bytes));
        if let Err(error) = saved {
            tracing::error!(path = %self.path.display(), %error, "the table could not be saved");
            self.mark_changed();
            return false;
        }
        true
    }
}
