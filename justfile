# The daily commands. `just verify` writes nothing, `just fix` may.

default: verify

# Everything that does not need the real RocketMQ.
verify:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo test --workspace

fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

# The end-to-end suite against the real Apache RocketMQ (needs Java and Maven).
real version="4.9.7":
    tests/run-real {{version}}

quickstart:
    cargo run --release --example quickstart

# Side by side with the Java client and broker (needs Java and Maven).
bench:
    cargo run --release -p bench -- quick

# What a send costs, beside the echo floor and NATS JetStream (Java and Go for their columns).
bench-core:
    cargo run --release -p bench -- core

# Licences, advisories, sources (needs cargo-deny).
deny:
    cargo deny check

ci:
    .ci/run
