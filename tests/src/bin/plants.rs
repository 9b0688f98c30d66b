//! Plants defects one by one in a copy of the repository, and reports which the tests do not catch.
//!
//! `cargo run -p tests --bin plants [NAME ...]`: all, or those whose names contain one of these. The copy and what is built of
//! it are in `target/plants`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use tests::{Plant, repository};

/// Longer than building and testing takes.
const TOO_LONG_SECONDS: &str = "900";

/// How a plant fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Caught,
    NotCaught,
    DoesNotBuild,
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let (copy, built) = (target.join("plants/copy"), target.join("plants/built"));
    let mut bad = Vec::new();
    let plants = Plant::all();
    let is_wanted = |plant: &&Plant| wanted.is_empty() || wanted.iter().any(|part| plant.name.contains(part));
    for plant in plants.iter().filter(is_wanted) {
        let outcome =
            copy_repository(&copy).and_then(|()| plant.apply(&copy)).map(|()| run(plant, &copy, &built));
        println!("{:40} {outcome:?}", plant.name);
        if outcome != Ok(Outcome::Caught) {
            bad.push(&plant.name);
        }
    }
    println!("not caught: {bad:?}");
    if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Copies what is under version control, as it is now. Files that are the same stay as they are, so that little is built.
fn copy_repository(copy: &Path) -> Result<(), String> {
    let listed = Command::new("git").arg("-C").arg(repository()).args(["ls-files", "-z"]).output();
    let listed = listed.map_err(|error| format!("git: {error}"))?;
    let names = String::from_utf8_lossy(&listed.stdout);
    for name in names.split_terminator('\0') {
        let (from, to) = (repository().join(name), copy.join(name));
        let Ok(bytes) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let directory = to.parent().unwrap_or(copy);
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        std::fs::write(&to, bytes).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(())
}

fn run(plant: &Plant, copy: &Path, built: &Path) -> Outcome {
    let cargo = |more: &[&str]| {
        let mut command = Command::new("timeout");
        // A test that hangs has caught its plant, too.
        command.args([TOO_LONG_SECONDS, "cargo", "test", "--quiet"]).args(&plant.bed);
        command.current_dir(copy).env("CARGO_TARGET_DIR", built);
        command.args(more).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !cargo(&["--no-run"]) {
        return Outcome::DoesNotBuild;
    }
    if cargo(&[]) { Outcome::NotCaught } else { Outcome::Caught }
}
