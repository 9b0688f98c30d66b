//! What a program takes on with the client.

use std::collections::BTreeSet;
use std::process::Command;

use tests::repository;

/// The most packages that a program with the client alone may lock.
const MOST: usize = 90;

/// The packages that cargo lists for that command, one a line as `name vVersion`.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args(["tree", "--offline", "--locked", "--package", "rocketmq-client", "--prefix", "none"])
        .args(["--format", "{p}"])
        .args(arguments)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

/// A lock file holds the packages of every platform and those that only build: so does this count. The program itself
/// and the tokio features that a `main` needs (macros, multi-threaded runtime) come on top.
#[test]
fn a_hello_world_locks_at_most_90_packages() {
    let all = packages(&["--edges", "normal,build", "--target", "all"]);
    println!(
        "{} packages on all platforms, {} on this one",
        all.len(),
        packages(&["--edges", "normal"]).len()
    );
    assert!(all.len() < MOST, "{} packages: {all:#?}", all.len());
}

/// Needs no C compiler, no OpenSSL, and neither the broker nor a test tool.
#[test]
fn the_client_needs_no_c_and_no_broker() {
    for package in packages(&["--edges", "normal,build", "--target", "all"]) {
        let name = package.split(' ').next().unwrap_or_default();
        let unwanted = ["cc", "cmake", "openssl", "openssl-sys", "native-tls", "bindgen", "pkg-config"];
        assert!(!unwanted.contains(&name) && !name.ends_with("-sys") || name == "windows-sys", "{package}");
        assert_ne!(name, "rocketmq-broker-lite");
    }
}
