//! The demonstration as somebody sees it who starts the program for the first time.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_changeover")).arg("demo").args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The numbers of the summary's line that begins with `name`, in order.
fn numbers(text: &str, name: &str) -> Vec<u64> {
    let found = text.lines().rev().find_map(|line| line.strip_prefix(name));
    let line = found.unwrap_or_else(|| panic!("no line of {name:?} in\n{text}")).replace(',', "");
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn the_output_stays_clean_through_all_that_is_done_to_the_main() {
    let output = demo(&["--seconds", "12"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Clean: "), "{text}");
    assert!(!text.contains('\x1b'), "no terminal, no colours: {text}");

    let [made, left, returned] = numbers(&text, "faults ")[..] else { panic!("{text}") };
    assert!(made >= 2, "{text}");
    assert_eq!((left, returned), (made, made), "{text}");
    assert!(numbers(&text, "switches  ")[0] >= 2 * made, "{text}");
    assert!(numbers(&text, "packets checked")[0] > 20_000, "{text}");
    for name in [
        "continuity errors",
        "sync errors",
        "unsignalled clock steps",
        "transport and CRC errors",
        "missing PAT, PMT or PID",
        "packets from nowhere",
        "datagrams without TS",
    ] {
        assert_eq!(numbers(&text, name), [0], "{name}: {text}");
    }
    let [lost, repeated] = numbers(&text, "picture and sound packets")[..] else { panic!("{text}") };
    assert_eq!((lost, repeated), (0, 0), "{text}");

    // Each is planted in its turn, and told when it is.
    for fault in ["silence", "lost packets"] {
        assert!(text.contains(&format!("fault     {fault}: ")), "{text}");
        assert!(text.contains(&format!("mended    {fault}")), "{text}");
    }
    assert!(text.contains("main → backup") && text.contains("backup → main"), "{text}");
}

#[test]
fn a_backup_by_srt_over_a_lossy_path_keeps_the_output_clean() {
    let output = demo(&["--srt", "--seconds", "12"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Clean: ") && text.contains("the backup srt://127.0.0.1:"), "{text}");
    let [made, left, returned] = numbers(&text, "faults ")[..] else { panic!("{text}") };
    assert!(made >= 2, "{text}");
    assert_eq!((left, returned), (made, made), "{text}");
    let [lost, again, never] = numbers(&text, "way by SRT")[..] else { panic!("{text}") };
    assert!(lost > 100 && again > 50, "{text}");
    assert_eq!(never, 0, "{text}");
    assert_eq!(numbers(&text, "continuity errors"), [0], "{text}");
    assert_eq!(numbers(&text, "picture and sound packets"), [0, 0], "{text}");
}

#[test]
fn two_at_once_do_not_meet() {
    let others: Vec<_> = (0..2).map(|_| std::thread::spawn(|| demo(&["--seconds", "2"]))).collect();
    for other in others {
        let output = other.join().unwrap();
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_eq!(numbers(&text, "faults "), [0, 0, 0], "{text}");
        assert_eq!(numbers(&text, "packets from nowhere"), [0], "{text}");
    }
}

#[test]
fn its_configuration_is_one_that_the_program_takes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("demo.yaml");
    for arguments in [&["--print-config"][..], &["--print-config", "--srt"]] {
        let output = demo(arguments);
        assert_eq!(output.status.code(), Some(0));
        std::fs::write(&path, output.stdout).unwrap();
        let check = Command::new(env!("CARGO_BIN_EXE_changeover")).arg("check").arg(&path).output().unwrap();
        assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn where_there_is_no_multicast_it_says_so() {
    // A network namespace of its own has a loopback interface that is down.
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", env!("CARGO_BIN_EXE_changeover"), "demo", "--seconds", "3"])
        .output();
    let Some(output) = output.ok().filter(|output| !String::from_utf8_lossy(&output.stderr).contains("unshare")) else {
        println!("not tested: this system does not let its users make network namespaces");
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("loopback"), "{stderr}");
}
