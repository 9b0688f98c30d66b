//! Reads the public items out of a crate's source, as far as rustfmt's layout tells them: enough to check what they name
//! and what their docs say.

use std::collections::BTreeSet;
use std::path::Path;

use tests::repository;

/// A public item: a function, a type, a field, or a method of a public trait.
#[derive(Debug)]
pub(crate) struct Item {
    /// The file and the line.
    pub(crate) place: String,
    /// The type whose `impl` it lies in, or the macro.
    pub(crate) owner: String,
    /// Its name.
    pub(crate) name: String,
    /// Its docs and attributes.
    pub(crate) docs: String,
    /// Its declaration; an enum's or trait's with all that is in it.
    pub(crate) declaration: String,
}

impl Item {
    /// True for functions that await.
    pub(crate) fn waits(&self) -> bool {
        self.declaration.contains("async fn ")
    }

    /// True for functions.
    pub(crate) fn is_function(&self) -> bool {
        self.declaration.contains("fn ") && !self.declaration.starts_with("pub trait")
    }

    /// True for fields.
    pub(crate) fn is_field(&self) -> bool {
        self.declaration.starts_with(&format!("pub {}:", self.name))
    }

    /// The names of types in the declaration.
    pub(crate) fn types(&self) -> BTreeSet<&str> {
        let words = self.declaration.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        // A single letter or nothing but capitals is a type parameter or a constant.
        words
            .filter(|word| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase))
            .collect()
    }
}

/// The public items of a crate, its tests apart.
pub(crate) fn items(package: &str) -> Vec<Item> {
    let mut found = Vec::new();
    for_each_file(&repository().join(package).join("src"), &mut |path, text| {
        let file = path.strip_prefix(repository()).unwrap_or(path).display().to_string();
        if !file.contains("/tests") {
            read(&file, text, &mut found);
        }
    });
    assert!(found.len() > 20, "{package} has only {} public items: has its layout changed?", found.len());
    found
}

/// The names that a crate's root exports.
pub(crate) fn exports(package: &str) -> BTreeSet<String> {
    let root = std::fs::read_to_string(repository().join(package).join("src/lib.rs")).unwrap();
    let uses = root.split("\npub use ").skip(1).filter_map(|text| text.split(';').next());
    let words = uses.flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

/// Every `#[doc(alias = "...")]` in those folders.
pub(crate) fn aliases(folders: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in folders {
        for_each_file(&repository().join(folder), &mut |_, text| {
            let starts = text.split("doc(alias = \"").skip(1);
            found.extend(starts.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        });
    }
    found
}

fn for_each_file(folder: &Path, each: &mut impl FnMut(&Path, &str)) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            for_each_file(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn read(file: &str, text: &str, found: &mut Vec<Item>) {
    // A file's tests are its end.
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    let (mut owner, mut in_trait) = (String::new(), false);
    for (at, line) in lines.iter().enumerate() {
        if !line.is_empty() && !line.starts_with(' ') {
            in_trait = line.starts_with("pub trait ");
            let opens = ["impl", "macro_rules! ", "pub trait ", "pub struct "]
                .iter()
                .any(|start| line.starts_with(start));
            owner = if opens { owner_of(line) } else { String::new() };
        }
        let code = line.trim_start();
        let is_method = in_trait && (code.starts_with("fn ") || code.starts_with("async fn "));
        let is_public =
            code.starts_with("pub ") && !["pub use ", "pub mod "].iter().any(|it| code.starts_with(it));
        if is_public || is_method {
            let declaration = declaration(&lines[at..]);
            let name = name_of(&declaration);
            let docs = docs(&lines[..at]);
            found.push(Item {
                place: format!("{file}:{}", at + 1),
                owner: owner.clone(),
                name,
                docs,
                declaration,
            });
        }
    }
}

/// The type of `impl Type {`; nothing for `impl Trait for Type {`, whose items are the trait's.
fn owner_of(line: &str) -> String {
    if line.starts_with("impl") && line.contains(" for ") {
        return String::new();
    }
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words
        .filter(|word| !["", "impl", "macro_rules", "pub", "trait", "struct"].contains(word))
        .find(|word| word.len() > 1)
        .unwrap_or("")
        .to_owned()
}

/// From the item's first line to its body, its `;` or its `,`. Enums and traits are taken whole.
fn declaration(lines: &[&str]) -> String {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let whole = ["pub enum ", "pub trait "].iter().any(|start| lines[0].trim_start().starts_with(start));
    let mut declaration = String::new();
    for line in lines {
        let code = line.split("//").next().unwrap_or("").trim();
        let closes = line.trim() == "}" && line.len() == indent + 1;
        if !code.starts_with("#[") {
            declaration.push_str(code);
            declaration.push(' ');
        }
        if closes || (!whole && (code.ends_with(['{', ';']) || code.ends_with('}'))) {
            break;
        }
        // A field ends with a comma, a parameter of a function does so too, but further in.
        if !whole && code.ends_with(',') && !declaration.contains("fn ") {
            break;
        }
    }
    // What a tuple struct holds is private unless it says otherwise.
    match declaration.split_once('(') {
        Some((head, fields)) if head.starts_with("pub struct ") && !fields.contains("pub ") => {
            head.to_owned()
        }
        _ => declaration,
    }
}

fn name_of(declaration: &str) -> String {
    let keywords = ["pub", "async", "const", "fn", "struct", "enum", "trait", "type", "static"];
    let words = declaration.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty()).find(|word| !keywords.contains(word)).unwrap_or("").to_owned()
}

/// The docs and attributes right above an item.
fn docs(above: &[&str]) -> String {
    let is_doc =
        |line: &&&str| ["///", "#[", "$(#["].iter().any(|start| line.trim_start().starts_with(start));
    let mut lines: Vec<&str> = above.iter().rev().take_while(is_doc).map(|line| line.trim()).collect();
    lines.reverse();
    lines.join("\n")
}
