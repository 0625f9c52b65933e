//! Every file of the fuzzer's corpus through the same entries, so that what was found once stays found.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

use std::path::{Path, PathBuf};

#[path = "fuzz/src/lib.rs"]
mod fuzz;
#[path = "fuzz/seeds.rs"]
mod seeds;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

fn replay(target: &str, entry: fn(&[u8])) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(target)).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {target}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        // the name stands in what the test prints when the entry panics
        println!("{}", file.display());
        entry(&bytes);
    }
}

#[test]
fn datagrams_of_the_corpus() {
    replay("datagram", fuzz::datagram::run);
}

#[test]
fn packets_of_the_corpus() {
    replay("analyser", fuzz::analyser::run);
}

#[test]
fn configurations_of_the_corpus() {
    replay("config", fuzz::config::run);
}

#[test]
fn captures_of_the_corpus() {
    replay("capture", fuzz::capture::run);
}

/// `CHANGEOVER_CORPUS=write cargo test --test corpus` writes the seeds anew.
#[test]
fn the_seeds_are_what_makes_them() {
    let write = std::env::var("CHANGEOVER_CORPUS").is_ok_and(|value| value == "write");
    for (target, name, bytes) in seeds::all() {
        let file = folder(target).join(name);
        if write {
            std::fs::write(&file, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&file).unwrap() == bytes,
            "{} is another: CHANGEOVER_CORPUS=write makes it anew",
            file.display()
        );
    }
}
