//! Small configuration files that survive a crash in the middle of being written.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::fs::{Fs, make_dirs, parent};

/// Reads the file, or its `.bak` where the file is missing, empty or refused by `valid`. `None` if there is neither.
///
/// # Errors
/// Reading failed for another reason than a missing file, or a file is there and none is valid.
pub(crate) fn load(fs: &dyn Fs, path: &Path, valid: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut refused = None;
    for candidate in [path.to_owned(), with_suffix(path, ".bak")] {
        match fs.read(&candidate) {
            Ok(bytes) if !bytes.is_empty() && valid(&bytes) => return Ok(Some(bytes)),
            Ok(_) => refused = refused.or(Some(candidate)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match refused {
        None => Ok(None),
        Some(file) => Err(io::Error::new(ErrorKind::InvalidData, format!("{} is not valid", file.display()))),
    }
}

/// Replaces the file: at every moment either the old or the new content is there, whole, also after a loss of power. The
/// old content becomes `.bak`. The directory is made if it is missing.
///
/// # Errors
/// Whatever file operation failed; the old content is still there.
pub(crate) fn save(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = parent(path);
    make_dirs(fs, directory)?;
    let fresh = with_suffix(path, ".tmp");
    write_whole(fs, &fresh, bytes)?;
    keep_old(fs, path)?;
    fs.rename(&fresh, path)?;
    fs.sync_dir(directory)
}

fn write_whole(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = fs.open(path)?;
    // What an earlier save left behind may be longer.
    file.set_len(0)?;
    file.write_at(bytes, 0)?;
    file.sync_data()
}

/// Makes the present content `.bak` without taking it away: a link, put in place by a rename.
fn keep_old(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let (link, bak) = (with_suffix(path, ".bak.tmp"), with_suffix(path, ".bak"));
    match fs.remove_file(&link) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs.link(path, &link) {
        Ok(()) => fs.rename(&link, &bak),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Some file systems know no links.
        Err(_) => write_whole(fs, &bak, &fs.read(path)?),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fs::OsFs;
    use super::*;

    fn is_json(bytes: &[u8]) -> bool {
        serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
    }

    #[test]
    fn a_broken_file_falls_back_to_bak() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/topics.json");
        assert!(load(&OsFs, &path, is_json).unwrap().is_none());
        save(&OsFs, &path, b"{\"a\":1}").unwrap();
        save(&OsFs, &path, b"{\"a\":2}").unwrap();
        assert_eq!(load(&OsFs, &path, is_json).unwrap().unwrap(), b"{\"a\":2}");
        for broken in [&b"{\"a\":"[..], b""] {
            fs::write(&path, broken).unwrap();
            assert_eq!(load(&OsFs, &path, is_json).unwrap().unwrap(), b"{\"a\":1}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(load(&OsFs, &path, is_json).unwrap().unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn two_broken_files_are_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("topics.json");
        fs::write(&path, "x").unwrap();
        let error = load(&OsFs, &path, is_json).unwrap_err();
        assert!(error.to_string().contains("topics.json"), "{error}");
    }

    #[test]
    fn saving_leaves_only_the_file_and_its_bak() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for content in ["1", "2", "3"] {
            save(&OsFs, &path, content.as_bytes()).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.json", "a.json.bak"]);
    }
}
