//! Files of one fixed size that together are one endless file: the shape of the commit log and of consume queues.
//!
//! Each file's name is the place of its first byte, as 20 digits. A file has its full size from the start; what was
//! not written yet is a hole.

use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::StoreError;
use super::dir::StoreDir;
use super::fs::{Fs, FsFile, Reads, parent, sync_names};
use super::set_aside::set_aside;

const NAME_DIGITS: usize = 20;

/// One file of a queue of files. It is opened when it is first used.
pub(super) struct Segment {
    /// The place of its first byte.
    pub(super) start: i64,
    path: PathBuf,
    fs: Arc<dyn Fs>,
    handle: RwLock<Option<Arc<dyn FsFile>>>,
}

impl Segment {
    /// The open file.
    pub(super) fn file(&self) -> Result<Arc<dyn FsFile>, StoreError> {
        if let Some(file) = &*self.handle.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(file));
        }
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        let opened = match handle.take() {
            Some(file) => file,
            None => self.fs.open(&self.path).map_err(StoreError::io("open", &self.path))?.into(),
        };
        Ok(Arc::clone(handle.insert(opened)))
    }

    /// [`file`](Self::file), but does not wait for the disk.
    fn file_now(&self) -> io::Result<Arc<dyn FsFile>> {
        let busy = |_| io::Error::from(ErrorKind::WouldBlock);
        if let Some(file) = &*self.handle.try_read().map_err(busy)? {
            return Ok(Arc::clone(file));
        }
        let mut handle = self.handle.try_write().map_err(|_| io::Error::from(ErrorKind::WouldBlock))?;
        let opened = match handle.take() {
            Some(file) => file,
            None => self.fs.open_now(&self.path)?.into(),
        };
        Ok(Arc::clone(handle.insert(opened)))
    }

    /// Writes at a place counted from the file's first byte.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        self.file()?.write_at(bytes, at).map_err(StoreError::io("write", &self.path))
    }

    /// Writes parts one behind the other, at once.
    pub(super) fn write_parts(&self, parts: &[IoSlice<'_>], at: u64) -> Result<(), StoreError> {
        self.file()?.write_parts_at(parts, at).map_err(StoreError::io("write", &self.path))
    }

    /// Makes a hole of everything from a place on, and waits until the disk has it so.
    pub(super) fn empty_from(&self, at: u64, file_size: u64) -> Result<(), StoreError> {
        let file = self.file()?;
        file.set_len(at).map_err(StoreError::io("cut", &self.path))?;
        file.set_len(file_size).map_err(StoreError::io("extend", &self.path))?;
        file.sync_data().map_err(StoreError::io("sync", &self.path))
    }

    fn close_handle(&self) {
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The files of one directory.
pub(super) struct FileQueue {
    /// The store's directory, up to which names are made safe.
    root: PathBuf,
    dir: PathBuf,
    file_size: u64,
    fs: Arc<dyn Fs>,
    /// Ascending, without gaps.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The next file, once it is made; held while one is being made.
    next: Mutex<Option<Arc<Segment>>>,
    /// A loss of power may take the names of files or directories: they were made since the last sync, or before the
    /// last start.
    names_at_risk: AtomicBool,
}

impl FileQueue {
    /// Files yet to be made; the directory comes with the first.
    pub(super) fn new(store: &StoreDir, dir: PathBuf, file_size: u64) -> Self {
        let (fs, root) = (Arc::clone(&store.fs), store.root.clone());
        let (segments, next, names_at_risk) = (RwLock::default(), Mutex::default(), AtomicBool::new(true));
        Self { root, dir, file_size, fs, segments, next, names_at_risk }
    }

    /// The files that are there. A last file that is too short gets its full size, unless it `must_be_full`: a crash came
    /// between its making and its first use. From `torn_from` on a crash may have left more: short files, which are extended too, and missing
    /// ones; files behind a gap are set aside.
    ///
    /// # Errors
    /// A file has another size than configured, or one is missing between others.
    pub(super) fn load(
        store: &StoreDir,
        dir: PathBuf,
        file_size: u64,
        torn_from: Option<i64>,
        must_be_full: bool,
    ) -> Result<Self, StoreError> {
        let queue = Self::new(store, dir, file_size);
        let mut found = queue.list()?;
        found.sort_unstable();
        let last = found.len().saturating_sub(1);
        let may_be_torn = |end: i64| torn_from.is_some_and(|from| from <= end);
        let mut next = torn_from.map(|from| from - from % queue.size());
        for (index, (start, length)) in found.into_iter().enumerate() {
            let segment = queue.segment(start);
            let damaged = |what| StoreError::Damaged { path: segment.path.clone(), what };
            if next.is_some_and(|next| next < start) && may_be_torn(next.unwrap_or(start)) {
                let kept = set_aside(store, &segment.path)?;
                tracing::warn!(kept = %kept.display(), "a crash left a gap before a file, which was set aside");
                continue;
            }
            let end = start.saturating_add(length.cast_signed());
            let may_be_short = (index == last && !must_be_full) || may_be_torn(end);
            if length > file_size || (length < file_size && !may_be_short) {
                return Err(damaged(format!(
                    "it has {length} bytes, and the configured file size is {file_size}"
                )));
            }
            if queue.range().is_some_and(|(_, end)| end != start) || start % queue.size() != 0 {
                return Err(damaged("it does not follow the file before it".to_owned()));
            }
            if length < file_size {
                tracing::warn!(path = %segment.path.display(), length, "a file was too short and is extended");
                segment.file()?.set_len(file_size).map_err(StoreError::io("extend", &segment.path))?;
            }
            next = Some(start + queue.size());
            queue.segments.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(segment));
        }
        Ok(queue)
    }

    /// The bytes of one file.
    pub(super) fn size(&self) -> i64 {
        self.file_size.cast_signed()
    }

    /// The places of the first file's first byte and of the byte behind the last file; `None` without files.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        Some((segments.first()?.start, segments.last()?.start + self.size()))
    }

    /// The file in which a place lies.
    pub(super) fn find(&self, offset: i64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let index = (offset.checked_sub(segments.first()?.start)?).div_euclid(self.size());
        segments.get(usize::try_from(index).ok()?).map(Arc::clone)
    }

    /// The file in which a place lies, made if it is the next one. The first file may be any.
    ///
    /// # Errors
    /// The file cannot be made, or it would leave a gap.
    pub(super) fn find_or_create(&self, offset: i64) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = self.find(offset) {
            return Ok(segment);
        }
        let start = offset - offset.rem_euclid(self.size());
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = match next.take().filter(|next| next.start == start) {
            Some(ready) => ready,
            None => Arc::new(self.make(start)?),
        };
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&segment));
        // A sync of what will lie in it must see this, or have synced its name already.
        drop(next);
        Ok(segment)
    }

    /// Makes the file that begins at a place, if it is the next one, before it is needed.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn prepare(&self, start: i64) -> Result<(), StoreError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none() && self.range().is_some_and(|(_, end)| end == start) {
            *next = Some(Arc::new(self.make(start)?));
        }
        Ok(())
    }

    /// Makes a file. Its name becomes safe with the next sync.
    fn make(&self, start: i64) -> Result<Segment, StoreError> {
        let segment = self.segment(start);
        if self.range().is_some_and(|(_, end)| end != segment.start) {
            let what = "it does not follow the file before it".to_owned();
            return Err(StoreError::Damaged { path: segment.path, what });
        }
        let file = match segment.file() {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.make_dirs(&self.dir).map_err(StoreError::io("make", &self.dir))?;
                segment.file()?
            }
            other => other?,
        };
        file.set_len(self.file_size).map_err(StoreError::io("extend", &segment.path))?;
        self.names_at_risk.store(true, Ordering::Release);
        Ok(segment)
    }

    /// Writes at a place, in as many files as it takes, and makes those that are missing.
    ///
    /// # Errors
    /// A file cannot be made or written.
    pub(super) fn write(&self, bytes: &[u8], offset: i64) -> Result<(), StoreError> {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            let segment = self.find_or_create(offset)?;
            let room = self.room(&segment, offset);
            let (here, rest) = bytes.split_at(bytes.len().min(room));
            segment.write(here, (offset - segment.start).cast_unsigned())?;
            offset += len_i64(here);
            bytes = rest;
        }
        Ok(())
    }

    /// Appends to `out` what lies from `offset` on in the file there: at most `len` bytes, nothing if there is no file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, out: &mut Vec<u8>, len: usize, offset: i64) -> Result<(), StoreError> {
        self.read_as(Reads::Wait, out, len, offset)
    }

    /// [`read`](Self::read), waiting for the disk or not.
    ///
    /// # Errors
    /// As for `read`; and [`StoreError::would_wait`] if it may not wait but had to.
    pub(super) fn read_as(
        &self,
        reads: Reads,
        out: &mut Vec<u8>,
        len: usize,
        offset: i64,
    ) -> Result<(), StoreError> {
        let Some(segment) = self.find(offset) else { return Ok(()) };
        let len = len.min(self.room(&segment, offset));
        let at = (offset - segment.start).cast_unsigned();
        let read = match reads {
            Reads::Wait => segment.file()?.read_at(out, len, at),
            Reads::Now => segment.file_now().and_then(|file| file.read_now_at(out, len, at)),
        };
        read.map_err(StoreError::io("read", &segment.path))
    }

    /// Waits until the disk has what lies between two places.
    ///
    /// # Errors
    /// The sync failed; what the disk has is then unknown.
    pub(super) fn sync(&self, from: i64, to: i64) -> Result<(), StoreError> {
        for segment in self.segments_between(from, to) {
            segment.file()?.sync_data().map_err(StoreError::io("sync", &segment.path))?;
        }
        if self.names_at_risk.swap(false, Ordering::AcqRel) {
            sync_names(&*self.fs, &self.dir, &self.root).map_err(StoreError::io("sync", &self.dir))?;
        }
        Ok(())
    }

    /// Says that all names made so far are on disk, or that they may not be.
    pub(super) fn names_are_safe(&self, safe: bool) {
        self.names_at_risk.store(!safe, Ordering::Release);
    }

    /// Makes everything from `offset` on a hole: later files go, the one there is emptied from there on. Waits until the
    /// disk has it so: what was cut off must not come back behind what is written next.
    ///
    /// # Errors
    /// A file cannot be removed or cut.
    pub(super) fn truncate(&self, offset: i64) -> Result<(), StoreError> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(segment) = segments.pop_if(|segment| segment.start > offset) {
            self.fs.remove_file(&segment.path).map_err(StoreError::io("remove", &segment.path))?;
            self.fs.sync_dir(&self.dir).map_err(StoreError::io("sync", &self.dir))?;
        }
        let Some(segment) = segments.last().filter(|segment| offset < segment.start + self.size()) else {
            return Ok(());
        };
        segment.empty_from((offset - segment.start).cast_unsigned(), self.file_size)
    }

    /// Removes all files.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(segment) = segments.pop() {
            self.fs.remove_file(&segment.path).map_err(StoreError::io("remove", &segment.path))?;
        }
        Ok(())
    }

    /// Closes the files; each is opened again when it is used. Keeps a store with many queues below the limit of open
    /// files.
    pub(super) fn close_handles(&self) {
        for segment in &*self.segments.read().unwrap_or_else(PoisonError::into_inner) {
            segment.close_handle();
        }
    }

    fn segment(&self, start: i64) -> Segment {
        let path = self.dir.join(format!("{start:0NAME_DIGITS$}"));
        Segment { start, path, fs: Arc::clone(&self.fs), handle: RwLock::new(None) }
    }

    fn segments_between(&self, from: i64, to: i64) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let touched = segments.iter().filter(|it| it.start < to && from < it.start + self.size());
        touched.map(Arc::clone).collect()
    }

    /// The bytes from a place to the end of its file.
    fn room(&self, segment: &Segment, offset: i64) -> usize {
        usize::try_from(segment.start + self.size() - offset).unwrap_or_default()
    }

    /// Makes the directory and those above it. Their names become safe with the next sync.
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        match self.fs.make_dir(dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && dir != self.root => {
                self.make_dirs(parent(dir))?;
                self.make_dirs(dir)
            }
            made => made,
        }
    }

    /// First place and length of each file there is.
    fn list(&self) -> Result<Vec<(i64, u64)>, StoreError> {
        let entries = match self.fs.list(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::io("list", &self.dir))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.name.to_str().filter(|name| name.len() == NAME_DIGITS && !entry.is_dir);
            match name.map(str::parse::<i64>) {
                Some(Ok(start)) if (0..i64::MAX - self.size()).contains(&start) => {
                    found.push((start, entry.len));
                }
                _ => {
                    let path = self.dir.join(&entry.name);
                    tracing::warn!(path = %path.display(), "not a file of the store, left alone");
                }
            }
        }
        Ok(found)
    }
}

/// A length as a distance between places.
pub(super) fn len_i64(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
