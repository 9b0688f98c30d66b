//! Small configuration files that survive a crash in the middle of being written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Reads the file, or its `.bak` where the file is missing, empty or refused by `valid`. `None` if there is neither.
///
/// # Errors
/// Reading failed for another reason than a missing file, or a file is there and none is valid.
pub(crate) fn load(path: &Path, valid: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut refused = None;
    for candidate in [path.to_owned(), with_suffix(path, ".bak")] {
        match fs::read(&candidate) {
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

/// Replaces the file: at every moment either the old or the new content is there, whole. The old content becomes
/// `.bak`. The directory is made if it is missing.
///
/// # Errors
/// Whatever file operation failed; the old content is still there.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let fresh = with_suffix(path, ".tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    keep_old(path)?;
    fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()
}

/// Makes the present content `.bak` without taking it away: a link, put in place by a rename.
fn keep_old(path: &Path) -> io::Result<()> {
    let link = with_suffix(path, ".bak.tmp");
    match fs::remove_file(&link) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(path, &link) {
        Ok(()) => fs::rename(&link, with_suffix(path, ".bak")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Some file systems know no links.
        Err(_) => fs::copy(path, with_suffix(path, ".bak")).map(|_| ()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(bytes: &[u8]) -> bool {
        serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
    }

    #[test]
    fn a_broken_file_falls_back_to_bak() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/topics.json");
        assert!(load(&path, is_json).unwrap().is_none());
        save(&path, b"{\"a\":1}").unwrap();
        save(&path, b"{\"a\":2}").unwrap();
        assert_eq!(load(&path, is_json).unwrap().unwrap(), b"{\"a\":2}");
        for broken in [&b"{\"a\":"[..], b""] {
            fs::write(&path, broken).unwrap();
            assert_eq!(load(&path, is_json).unwrap().unwrap(), b"{\"a\":1}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(load(&path, is_json).unwrap().unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn two_broken_files_are_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("topics.json");
        fs::write(&path, "x").unwrap();
        let error = load(&path, is_json).unwrap_err();
        assert!(error.to_string().contains("topics.json"), "{error}");
    }

    #[test]
    fn saving_leaves_only_the_file_and_its_bak() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for content in ["1", "2", "3"] {
            save(&path, content.as_bytes()).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.json", "a.json.bak"]);
    }
}
