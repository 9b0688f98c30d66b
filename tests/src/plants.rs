//! Planted defects: small changes that the tests must catch, each in a file of `tests/plants`.
//!
//! ```text
//! file: the file that is changed
//! bed: what `cargo test` is given to catch it
//! --- find
//! text that stands there exactly once
//! --- plant
//! text that takes its place
//! ```

use std::path::Path;

use crate::repository;

/// One planted defect.
#[derive(Clone, Debug)]
pub struct Plant {
    /// What it is called.
    pub name: String,
    /// The file it changes, from the repository's root.
    pub file: String,
    /// The arguments of the `cargo test` that must fail.
    pub bed: Vec<String>,
    find: String,
    plant: String,
}

impl Plant {
    /// All that there are, by name.
    ///
    /// # Panics
    /// If one cannot be read.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let directory = repository().join("tests/plants");
        let mut plants: Vec<_> = std::fs::read_dir(directory)
            .expect("the directory of plants")
            .map(|entry| Self::read(&entry.expect("a plant").path()))
            .collect();
        plants.sort_by(|a, b| a.name.cmp(&b.name));
        plants
    }

    fn read(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parts = || {
            let (head, rest) = text.split_once("\n--- find\n")?;
            let (find, plant) = rest.split_once("\n--- plant\n")?;
            let (file, bed) = head.strip_prefix("file: ")?.split_once("\nbed: ")?;
            Some(Self {
                name: path.file_stem()?.to_str()?.to_owned(),
                file: file.to_owned(),
                bed: bed.split_whitespace().map(str::to_owned).collect(),
                find: find.to_owned(),
                plant: plant.strip_suffix('\n')?.to_owned(),
            })
        };
        parts().unwrap_or_else(|| panic!("{} is no plant", path.display()))
    }

    /// Makes the change in a copy of the repository.
    ///
    /// # Errors
    /// Why it cannot be made there.
    pub fn apply(&self, root: &Path) -> Result<(), String> {
        std::fs::write(root.join(&self.file), self.planted(root)?).map_err(|error| error.to_string())
    }

    /// The file with the change.
    ///
    /// # Errors
    /// Why it cannot be made there.
    pub fn planted(&self, root: &Path) -> Result<String, String> {
        let path = root.join(&self.file);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", self.file))?;
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.plant, 1)),
            count => Err(format!("{}: what it changes stands there {count} times", self.file)),
        }
    }
}
