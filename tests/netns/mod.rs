//! A network namespace for a test of its own, where its groups, ports and links meet nobody else's.
#![allow(dead_code)]

use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// Says to the test that it is inside.
const INSIDE: &str = "CHANGEOVER_TEST_NETNS";

/// Runs the rest of the test `name` in a network namespace that `setup` (a shell script) has prepared. True inside it.
///
/// Root makes one at once; anybody else does by a user namespace, where the machine allows that.
pub(crate) fn in_netns(name: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let script = format!("set -e; ip link set lo up; {setup}\nexec \"$0\" --exact {name} --nocapture");
    let status = Command::new("unshare")
        .args(user)
        .args(["--net", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .expect("unshare is needed: install the package `util-linux`");
    assert!(
        status.success(),
        "{name} failed in its network namespace; if it could not be made: that needs root or user namespaces, and the \
         package `iproute2`"
    );
    false
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status();
    let status = status.expect("ip is needed: install the package `iproute2`");
    assert!(status.success(), "ip {arguments}");
}
