//! Reads the golden files; `tests/golden/README.md` explains them.

#![allow(dead_code, reason = "each test file uses the part it needs")]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;

/// The releases whose classes wrote the files. The first is the reference for what is printed and written.
pub(crate) const RELEASES: [&str; 2] = ["4.9.8", "5.5.0"];

/// One line: a name and its fields.
pub(crate) struct Line {
    file: String,
    pub(crate) name: String,
    fields: Vec<(String, String)>,
}

/// The lines of `SUBJECT-RELEASE.txt`.
pub(crate) fn lines(subject: &str, release: &str) -> Vec<Line> {
    lines_of(&format!("{subject}-{release}.txt"))
}

/// The lines of a file in `tests/golden`.
pub(crate) fn lines_of(file: &str) -> Vec<Line> {
    let content = content_of(file);
    let lines: Vec<_> = content.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!lines.is_empty(), "{file} holds nothing");
    lines.into_iter().map(|line| Line::parse(file, line)).collect()
}

/// The whole text of a file in `tests/golden`.
pub(crate) fn content_of(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Line {
    fn parse(file: &str, line: &str) -> Self {
        let mut parts = line.split('\t');
        let name = parts.next().unwrap_or_default().to_owned();
        let field = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or_else(|| panic!("{file}: no '=' in {part:?}"));
            (unescape(key), unescape(value))
        };
        Self { file: file.to_owned(), fields: parts.map(field).collect(), name }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| panic!("{self} has no {key}"))
    }

    pub(crate) fn number<T: FromStr<Err: fmt::Debug>>(&self, key: &str) -> T {
        self.text(key).parse().unwrap_or_else(|error| panic!("{self}, {key}: {error:?}"))
    }

    pub(crate) fn bytes(&self, key: &str) -> Bytes {
        from_hex(self.text(key))
    }

    /// Bytes that are left out where they are empty.
    pub(crate) fn bytes_or_empty(&self, key: &str) -> Bytes {
        self.get(key).map(from_hex).unwrap_or_default()
    }

    /// The fields whose keys start so, without that start, in the order of the line.
    pub(crate) fn starting(&self, prefix: &str) -> Vec<(&str, &str)> {
        self.fields.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, &**value))).collect()
    }

    /// `put.N.k` and `put.N.v` behind `prefix`; a null value is `None`.
    pub(crate) fn puts(&self, prefix: &str) -> Vec<(&str, Option<&str>)> {
        (0..)
            .map_while(|number| {
                let name = self.get(&format!("{prefix}put.{number}.k"))?;
                Some((name, self.get(&format!("{prefix}put.{number}.v"))))
            })
            .collect()
    }
}

/// Where to look when a test fails.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.name)
    }
}

fn unescape(text: &str) -> String {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
            continue;
        }
        match rest.next() {
            Some('\\') => units.push(u16::from(b'\\')),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                units.push(
                    u16::from_str_radix(&digits, 16).unwrap_or_else(|error| panic!("{digits:?}: {error}")),
                );
            }
            other => panic!("the escape {other:?} in {text:?}"),
        }
    }
    String::from_utf16_lossy(&units)
}

/// Bytes from their hexadecimal digits.
pub(crate) fn from_hex(digits: &str) -> Bytes {
    assert!(digits.len().is_multiple_of(2), "half a byte in {digits}");
    let byte =
        |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|error| panic!("{digits}: {error}"));
    (0..digits.len()).step_by(2).map(byte).collect()
}
