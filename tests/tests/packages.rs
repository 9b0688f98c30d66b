//! What a program takes on with the client: the lock file of a hello-world that has nothing else.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::path::Path;
use std::process::Command;

use tests::repository;

/// The most packages that a hello-world may lock, itself and our own crates included.
const MOST: usize = 90;

/// The names of all packages in the lock file of a program that depends on the client and on tokio. A lock file names
/// the packages of every platform, not only of this one.
fn locked_packages() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        r#"
        [package]
        name = "hello-world"
        version = "0.0.0"
        edition = "2024"
        [dependencies]
        rocketmq-client = {{ path = '{}' }}
        tokio = {{ version = "1", features = ["macros", "rt-multi-thread"] }}
        [workspace]
        "#,
        repository().join("rocketmq-client").display()
    );
    write(folder.path(), "Cargo.toml", &manifest);
    std::fs::create_dir(folder.path().join("src")).unwrap();
    write(folder.path(), "src/main.rs", "fn main() {}\n");
    // The workspace's own versions: then there is nothing to be asked of a registry.
    std::fs::copy(repository().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .current_dir(folder.path())
        .args(["update", "--workspace", "--offline"])
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lock = std::fs::read_to_string(folder.path().join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \""));
    names.map(|name| name.trim_end_matches('"').to_owned()).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn a_hello_world_locks_at_most_90_packages() {
    let packages = locked_packages();
    println!("{} packages", packages.len());
    assert!(packages.iter().any(|name| name == "rocketmq-client"), "{packages:?}");
    assert!(packages.len() <= MOST, "{} packages: {packages:?}", packages.len());
}

/// No C compiler, no OpenSSL, no broker.
#[test]
fn the_client_is_rust_alone() {
    for name in locked_packages() {
        let builds_c = ["cc", "cmake", "bindgen", "pkg-config", "native-tls", "openssl"].contains(&&*name);
        assert!(!builds_c && (!name.ends_with("-sys") || name == "windows-sys"), "{name} is not Rust alone");
        assert_ne!(name, "rocketmq-broker-lite");
    }
}
