//! The unit file is one that systemd takes, and stays as closed as it is.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The exposure that `systemd-analyze security` may find, in tenths: 0 is closed, 100 open.
const EXPOSURE: &str = "20";

/// The unit with its program where this build put it, in a directory of its own.
fn unit(directory: &Path) -> PathBuf {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/changeover.service")).unwrap();
    let installed = "/usr/local/bin/changeover";
    assert_eq!(text.matches(&format!("={installed} ")).count(), 2, "ExecStartPre and ExecStart name {installed}");
    let path = directory.join("changeover.service");
    std::fs::write(&path, text.replace(installed, env!("CARGO_BIN_EXE_changeover"))).unwrap();
    path
}

fn analyse(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze is needed: install the package `systemd`")
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let directory = tempfile::tempdir().unwrap();
    let output = analyse(&["verify"], &unit(directory.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_unit_stays_closed() {
    let directory = tempfile::tempdir().unwrap();
    let threshold = format!("--threshold={EXPOSURE}");
    let output = analyse(&["security", "--offline=true", "--no-pager", &threshold], &unit(directory.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
