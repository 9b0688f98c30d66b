//! Every file operation of the store and of the broker's tables, as a trait, so that a test can make each fail or wait,
//! and can take the power away.
//!
//! A file's bytes are safe after [`FsFile::sync_data`]; its *name* is safe only after [`Fs::sync_dir`] on its directory,
//! and so on up to the root. [`make_dirs`] and [`sync_names`] see to that.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
#[cfg(target_os = "linux")]
use std::io::IoSliceMut;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
#[cfg(target_os = "linux")]
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;

use super::StoreError;
use super::lock::DirectoryLock;

/// The most parts of one write (the system's limit is 1,024).
const MAX_PARTS: usize = 1024;

/// A file system.
pub(crate) trait Fs: fmt::Debug + Send + Sync {
    /// Keeps every other store out of a directory until the lock is dropped.
    fn lock(&self, root_dir: &Path) -> Result<Box<dyn FsLock>, StoreError>;

    /// Opens a file for reading and writing, and makes it if it is missing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Opens a file that is there, but fails with [`ErrorKind::WouldBlock`] where the disk would have to be waited for.
    fn open_now(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.open(path)
    }

    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What a directory holds, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a directory in one that is there.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file or directory another name, and takes that name from whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// How much of the disk below a directory is used, in per cent, as Java counts: what only root may use is used.
    fn used_percent(&self, dir: &Path) -> io::Result<u32>;

    /// Makes sure that the names in a directory survive a loss of power.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Holds a store's directory.
pub(crate) trait FsLock: fmt::Debug + Send + Sync {
    /// Waits until the disk has everything below a directory of the locked one, files and names. Fails if any of it could
    /// not be written since the lock was taken; with [`ErrorKind::Unsupported`] if the system cannot tell.
    fn sync_all(&self, _dir: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name in the directory.
    pub(crate) name: OsString,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
    /// A file's bytes.
    pub(crate) len: u64,
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// It fails where it would have to: see [`StoreError::would_wait`].
    Now,
    /// It may.
    Wait,
}

/// An open file. All reads and writes name their place.
pub(crate) trait FsFile: Send + Sync {
    /// Appends to `out` what the file holds from `offset` on, at most `len` bytes; fewer only at the file's end.
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()>;

    /// [`read_at`](Self::read_at), but fails with [`ErrorKind::WouldBlock`] where the disk would have to be waited for. What
    /// was read until then stays in `out`.
    fn read_now_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.read_at(out, len, offset)
    }

    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of `parts`, one behind the other, in one call if the system takes that many.
    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Waits until the disk has the file's data and its length.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with a hole that reads as zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Makes a directory and those above it that are missing, and makes their names safe.
pub(crate) fn make_dirs(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    match fs.make_dir(dir) {
        Ok(()) => fs.sync_dir(parent(dir)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_dirs(fs, parent(dir))?;
            make_dirs(fs, dir)
        }
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory safe, and those of the directories above it up to `root`.
pub(crate) fn sync_names(fs: &dyn Fs, dir: &Path, root: &Path) -> io::Result<()> {
    let mut dir = dir;
    while dir.starts_with(root) && dir != root {
        fs.sync_dir(dir)?;
        dir = parent(dir);
    }
    fs.sync_dir(root)
}

/// The directory that holds a file or directory.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The operating system's files.
#[derive(Debug)]
pub(crate) struct OsFs;

impl Fs for OsFs {
    fn lock(&self, root_dir: &Path) -> Result<Box<dyn FsLock>, StoreError> {
        Ok(Box::new(DirectoryLock::acquire(root_dir)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(file))
    }

    #[cfg(target_os = "linux")]
    fn open_now(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        // Whatever keeps it from being opened at once is for whoever may wait to find out.
        let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)
            .map_err(|_| io::Error::from(ErrorKind::WouldBlock))?;
        Ok(Box::new(File::from(file)))
    }

    /// Nothing tells here what is in memory.
    #[cfg(not(target_os = "linux"))]
    fn open_now(&self, _: &Path) -> io::Result<Box<dyn FsFile>> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            // The kind comes with the name; only files are looked at once more, for their length.
            let is_dir = entry.file_type()?.is_dir();
            let metadata = if is_dir { None } else { Some(fs::metadata(entry.path())?) };
            Ok(Entry {
                name: entry.file_name(),
                is_dir: is_dir || metadata.as_ref().is_some_and(fs::Metadata::is_dir),
                len: metadata.map_or(0, |it| it.len()),
            })
        };
        fs::read_dir(dir)?.map(entry).collect()
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn used_percent(&self, dir: &Path) -> io::Result<u32> {
        let disk = rustix::fs::statvfs(dir)?;
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        let all = used.saturating_add(disk.f_bavail).max(1);
        Ok(u32::try_from(used.saturating_mul(100).div_ceil(all)).unwrap_or(100))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl FsLock for DirectoryLock {
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        sync_file_system(self.directory(), dir)
    }
}

/// Syncs the file system of a directory that was opened before anything was written, so that the system tells of every
/// failure since then: Linux does so from 5.8 on, for the file systems of a machine's own disks.
#[cfg(target_os = "linux")]
fn sync_file_system(opened: &File, dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    // ext2 to ext4, XFS, Btrfs, F2FS. Others may return before the disk has it, as FUSE does.
    const LOCAL: [u32; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];
    let kind = u32::try_from(rustix::fs::fstatfs(opened)?.f_type);
    let is_local = kind.is_ok_and(|kind| LOCAL.contains(&kind));
    let is_there = opened.metadata()?.dev() == fs::metadata(dir)?.dev();
    if !is_local || !is_there || linux_version() < Some((5, 8)) {
        return Err(ErrorKind::Unsupported.into());
    }
    Ok(rustix::fs::syncfs(opened)?)
}

#[cfg(target_os = "linux")]
fn linux_version() -> Option<(u32, u32)> {
    let name = rustix::system::uname();
    let mut parts = name.release().to_str().ok()?.split(|it: char| !it.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &File, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

impl FsFile for File {
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        let end = out.len() + len;
        let mut offset = offset;
        while out.len() < end {
            // Reading into spare capacity saves zeroing it first. It may be more than was asked for.
            out.reserve_exact(end - out.len());
            match rustix::io::pread(self, spare_capacity(out), offset) {
                Ok(0) => break,
                Ok(count) => offset += count as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        out.truncate(end);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn read_now_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        let start = out.len();
        let (mut at, mut offset) = (start, offset);
        out.resize(start + len, 0);
        let read = loop {
            let rest = &mut out[at..];
            if rest.is_empty() {
                break Ok(());
            }
            let parts = &mut [IoSliceMut::new(rest)];
            match rustix::io::preadv2(self, parts, offset, ReadWriteFlags::NOWAIT) {
                Ok(0) => break Ok(()),
                Ok(count) => (at, offset) = (at + count, offset + count as u64),
                Err(rustix::io::Errno::INTR) => {}
                // Some file systems cannot tell.
                Err(rustix::io::Errno::OPNOTSUPP) => break Err(ErrorKind::WouldBlock.into()),
                Err(error) => break Err(error.into()),
            }
        };
        out.truncate(at);
        read
    }

    /// Nothing tells here what is in memory.
    #[cfg(not(target_os = "linux"))]
    fn read_now_at(&self, _: &mut Vec<u8>, _: usize, _: u64) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for parts in parts.chunks(MAX_PARTS) {
            offset = write_some_parts(self, parts, offset)?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// Writes at most [`MAX_PARTS`] parts. Returns the place behind them.
fn write_some_parts(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<u64> {
    let end = offset + parts.iter().map(|part| part.len() as u64).sum::<u64>();
    let mut owned;
    let (mut parts, mut offset) = (parts, offset);
    if let [only] = parts {
        file.write_all_at(only, offset)?;
        return Ok(end);
    }
    while offset < end {
        match rustix::io::pwritev(file, parts, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                owned = behind(parts, written);
                parts = &owned;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(end)
}

/// What is left of parts of which some bytes were written.
fn behind<'a>(parts: &[IoSlice<'a>], written: usize) -> Vec<IoSlice<'a>> {
    let mut left = parts.to_vec();
    let mut rest = &mut left[..];
    IoSlice::advance_slices(&mut rest, written);
    rest.to_vec()
}
