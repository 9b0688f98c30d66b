//! A check of the crate's layering: each room imports only from rooms below it, so there are no circles.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the bottom to the top. A room is a file or a folder of `src`; the broker's own are told apart.
const LAYERS: &[&str] = &[
    "clock",
    "cost",
    "delay/levels",
    "config",
    "error",
    "store",
    "tables",
    "stored_properties",
    "retry",
    "clients",
    "delay",
    "server",
    "pull_wait",
    "registration",
    "nameserver",
    "broker/context",
    "broker/processor",
    "broker/append_task",
    "broker/jobs",
    "broker/dispatch",
    "broker/start",
    "broker",
    "testkit",
    "cli",
];

#[test]
fn no_room_imports_from_one_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    list(&src, &mut files);
    let mut faults = BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap().with_extension("").to_string_lossy().into_owned();
        let path = path.trim_end_matches("/mod").to_owned();
        let is_test = path.ends_with("tests") || path.contains("/tests/");
        if is_test || ["lib", "layers"].contains(&&*path) || path.starts_with("bin/") {
            continue;
        }
        let own =
            room(&path).unwrap_or_else(|| panic!("src/{path} is in no room: give it a place in LAYERS"));
        let text = fs::read_to_string(&file).unwrap();
        for (line, import) in imports(&path, &text) {
            let Some(other) = room(&import) else { continue };
            // A folder's face gathers what is in it.
            let is_below = other < own || LAYERS[own] == LAYERS[other];
            let is_own_face =
                LAYERS[own].strip_prefix(LAYERS[other]).is_some_and(|rest| rest.starts_with('/'));
            if !is_below && !is_own_face {
                faults.insert(format!("src/{path}:{line} imports from {}", LAYERS[other]));
            }
        }
    }
    assert!(faults.is_empty(), "imports from above:\n{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The room with the longest name that the path begins with.
fn room(path: &str) -> Option<usize> {
    let begins =
        |layer: &&str| path.strip_prefix(*layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let rooms = LAYERS.iter().enumerate().filter(|(_, layer)| begins(layer));
    rooms.max_by_key(|(_, layer)| layer.len()).map(|(index, _)| index)
}

/// The paths of a file's imports, from the crate's root, with their lines. Unit tests at its end may import anything.
fn imports(path: &str, text: &str) -> Vec<(usize, String)> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let line = line.split("//").next().unwrap_or_default();
        for (at, _) in line.match_indices("crate::") {
            found.push((number, names(&line[at + "crate::".len()..])));
        }
        if let Some(rest) = line.trim_start().strip_prefix("use super::") {
            found.push((number, from_super(path, rest)));
        }
    }
    found
}

fn from_super(path: &str, mut rest: &str) -> String {
    let mut base = path.rsplit_once('/').map_or("", |(base, _)| base);
    while let Some(further) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once('/').map_or("", |(base, _)| base), further);
    }
    format!("{base}/{}", names(rest)).trim_start_matches('/').to_owned()
}

/// `a::b::{c, d}` as `a/b`.
fn names(path: &str) -> String {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len());
    path[..end].trim_end_matches(':').replace("::", "/")
}
