//! The few file operations that the store's data goes through, as a trait so that tests can make them fail or wait.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::buffer::spare_capacity;

/// Opens files.
pub(super) trait Fs: Send + Sync {
    /// Opens a file for reading and writing, and makes it if it is missing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Makes sure that the names in a directory survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file. All reads and writes name their place.
pub(super) trait FsFile: Send + Sync {
    /// Appends to `out` what the file holds from `offset` on, at most `len` bytes; fewer only at the file's end.
    fn read_at(&self, out: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()>;

    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until the disk has the file's data.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with a hole that reads as zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// The operating system's files.
pub(super) struct OsFs;

impl Fs for OsFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(file))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
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

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}
