//! The corpus of `fuzz/`, replayed: what once made a decoder stumble, and samples of everything that is read.

#[expect(unreachable_pub, reason = "shared with the fuzz workspace")]
mod fuzz_targets;

use std::path::PathBuf;

use fuzz_targets::TARGETS;

#[test]
fn no_decoder_stumbles_over_the_corpus() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let mut files = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            println!("{}", path.display());
            target(&bytes);
            files += 1;
        }
        assert!(files > 0, "{name} has no corpus");
    }
}

/// Every cut of a sample is a sample, and so is every sample with a byte changed.
#[test]
fn no_decoder_stumbles_over_what_is_left_of_the_corpus() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        for entry in std::fs::read_dir(corpus.join(name)).unwrap() {
            let mut bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.truncate(400);
            for end in 0..bytes.len() {
                target(&bytes[..end]);
                bytes[end] = !bytes[end];
                target(&bytes);
                bytes[end] = !bytes[end];
            }
        }
    }
}
