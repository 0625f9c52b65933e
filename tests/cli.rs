//! The program from outside: exit status, what it says where, and a life under a service manager.
#![allow(clippy::unwrap_used)]

mod process;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Output, Stdio};

use changeover::replay::pcapng::{Header, Writer};
use changeover::synth;
use changeover::units::Ticks27M;
use process::{Running, changeover, configuration, get, tcp_port, udp_port, write};
use serde_json::Value;

fn output(arguments: &[&str]) -> Output {
    changeover().args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn help_teaches_and_version_tells() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    for word in ["run", "check", "replay", "Exit status", "78"] {
        assert!(stdout(&help).contains(word), "{word}: {}", stdout(&help));
    }
    for command in ["run", "check", "replay", "analyse"] {
        let help = output(&["help", command]);
        assert!(help.status.success() && stdout(&help).contains("Examples:"), "{}", stdout(&help));
    }
    assert_eq!(stdout(&output(&["--version"])).trim(), concat!("changeover ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() {
    for arguments in [&[][..], &["fly"], &["run"], &["check", "a", "b"], &["check", "--explane", "a"], &["replay", "a"]]
    {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("changeover"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    let output = output(&["run", "--log", "changeover=loud", "nothing.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("changeover=loud"), "{}", stderr(&output));
}

#[test]
fn a_wrong_configuration_ends_with_78_and_all_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let text = configuration(8080, 5000, 5001, 5002);
    let text = text.replace("priority: 100", "prioritie: 100").replace("udp://127.0.0.1:5002", "udp://127.0.0.1:99999");
    let path = write(&directory, &text);
    let path = path.to_str().unwrap();
    for arguments in [&["check", path][..], &["run", path], &["replay", path, "x.pcap"]] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        for part in [&format!("{path}:7:"), "priority", &format!("{path}:10:"), "99999"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
    }
    let output = output(&["check", "/nowhere/changeover.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("/nowhere/changeover.yaml"), "{}", stderr(&output));
}

#[test]
fn a_right_configuration_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(8080, 5000, 5001, 5002));
    let path = path.to_str().unwrap();
    let checked = output(&["check", path]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert!(stderr(&checked).contains("1 channel with 2 inputs and 1 output"), "{}", stderr(&checked));
    let explained = output(&["check", path, "--explain"]);
    assert_eq!(explained.status.code(), Some(0));
    for part in ["news", "main", "backup", "continuity_count_error"] {
        assert!(stdout(&explained).contains(part), "{part}: {}", stdout(&explained));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(8080, 5000, 5001, 5002));
    for arguments in [vec!["--help"], vec!["check", path.to_str().unwrap(), "--explain"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = changeover().args(&arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
    }
}

#[test]
fn what_cannot_be_had_ends_with_69_and_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let path = write(&directory, &configuration(port, udp_port(), udp_port(), udp_port()));
    let output = output(&["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("127.0.0.1:{port}")), "{}", stderr(&output));
    assert!(stderr(&output).contains("api.listen"), "{}", stderr(&output));

    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let path = write(&directory, &configuration(tcp_port(), udp_port(), port, udp_port()));
    let output = changeover().arg("run").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("udp://127.0.0.1:{port}")), "{}", stderr(&output));
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(tcp_port(), udp_port(), udp_port(), udp_port()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (running, manager) = Running::start_logging(&directory, &path, Stdio::from(writer));
    running.told(&manager, "WATCHDOG=1");
    assert_eq!(running.end("TERM").0, Some(0));
}

/// A capture of a second of a feed to `port`.
fn capture(path: &Path, port: u16) {
    let address = |port| (Ipv4Addr::LOCALHOST, port).into();
    let header = Header { source: address(9), destination: address(port), ttl: 1, dscp: 0 };
    let mut writer = Writer::new(File::create(path).unwrap()).unwrap();
    for datagram in synth::recording(synth::Settings::default(), Ticks27M(27_000_000)).chunks(7 * 188).enumerate() {
        let (number, bytes) = datagram;
        writer.write(i64::try_from(number).unwrap() * 1_316_000, header, bytes).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_capture_is_replayed_into_a_journal_and_a_capture() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(8080, 5000, 5001, 5002));
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (config, input, journal, out) =
        (path.to_str().unwrap(), file("in.pcapng"), file("journal"), file("out.pcapng"));
    capture(input.as_ref(), 5000);
    let replayed = output(&["replay", config, &input, "--journal", &journal, "--out", &out]);
    assert_eq!(replayed.status.code(), Some(0), "{}", stderr(&replayed));
    assert!(
        replayed.stdout.is_empty() && stderr(&replayed).contains("news/backup got nothing"),
        "{}",
        stderr(&replayed)
    );
    let lines = std::fs::read_to_string(&journal).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["input"], &first["t"]), (&"arrived".into(), &"main".into(), &0.0.into()));
    assert!(lines.contains(r#""event":"switch""#), "{lines}");
    assert!(std::fs::metadata(&out).unwrap().len() > 900_000);

    let replayed = output(&["replay", config, &input]);
    assert_eq!((replayed.status.code(), stdout(&replayed)), (Some(0), lines), "the journal, and nothing else");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let replayed = changeover().args(["replay", config, &input]).stdout(writer).output().unwrap();
    assert_eq!(replayed.status.code(), Some(0), "{}", stderr(&replayed));
    assert!(!stderr(&replayed).contains("panic"), "{}", stderr(&replayed));

    for arguments in [
        vec!["replay", config, "/nowhere/in.pcapng"],
        vec!["replay", config, &input, "--out", "/nowhere/out.pcapng"],
        vec!["replay", config, &input, "--journal", "/nowhere/journal"],
    ] {
        let failed = output(&arguments);
        assert_eq!(failed.status.code(), Some(69), "{}", stderr(&failed));
        assert!(stderr(&failed).contains("/nowhere/"), "{}", stderr(&failed));
    }
    let whole = std::fs::read(&input).unwrap();
    std::fs::write(&input, &whole[..whole.len() - 100]).unwrap();
    let damaged = output(&["replay", config, &input]);
    assert_eq!(damaged.status.code(), Some(1), "{}", stderr(&damaged));
    assert!(stderr(&damaged).contains("damaged"), "{}", stderr(&damaged));
}

#[test]
fn a_stream_is_analysed_and_the_exit_status_says_whether_it_is_clean() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (good, bad, pcap) = (file("good.ts"), file("bad.ts"), file("good.pcapng"));
    let bytes = synth::recording(synth::Settings::default(), Ticks27M(27_000_000));
    std::fs::write(&good, &bytes).unwrap();
    let middle = bytes.len() / 188 / 2 * 188;
    std::fs::write(&bad, [&bytes[..middle], &bytes[middle + 10 * 188..]].concat()).unwrap();
    capture(pcap.as_ref(), 5000);
    for (source, code) in [(&good, 0), (&bad, 1), (&pcap, 0)] {
        let told = output(&["analyse", source]);
        assert_eq!(told.status.code(), Some(code), "{}", stderr(&told));
        assert!(stdout(&told).contains("\nProgram 1 \"Changeover\" of changeover\n"), "{}", stdout(&told));
        assert!(!stdout(&told).contains('\x1b') && told.stderr.is_empty(), "no terminal, no colours");
        let json = output(&["analyse", source, "--json"]);
        assert_eq!(json.status.code(), Some(code), "{}", stderr(&json));
        let report: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(report["indicators"]["continuity_count_error"]["count"].as_u64() > Some(0), code == 1);
        assert_eq!(report["programs"][0]["streams"][0]["codec"], "MPEG-2 video");
        assert_eq!(report["pids"]["256"]["kind"], "video");
        assert_eq!(report["indicators"]["pcr_accuracy_error"]["measurable"], true);
        let is_file = source != &pcap;
        assert_eq!((report["file"].is_object(), report["arrival"].is_object()), (is_file, !is_file));
        assert_eq!(report["programs"][0]["pcr"]["jitter_ns"].is_null(), is_file);
    }
    let schema = output(&["analyse", "--schema"]);
    assert_eq!(schema.status.code(), Some(0), "{}", stderr(&schema));
    assert_eq!(stdout(&schema), changeover::replay::report::SCHEMA);
    assert!(stdout(&output(&["analyse", "--help"])).contains("  changeover analyse --schema"));
    for (arguments, code) in [
        (&["analyse"][..], 2),
        (&["analyse", "--schema", &good], 2),
        (&["analyse", &pcap, "--flow", "10.0.0.1:1"], 2),
        (&["analyse", "rtp://239.1.1.1"], 2),
        (&["analyse", "/nowhere/stream.ts"], 69),
    ] {
        let failed = output(arguments);
        assert_eq!(failed.status.code(), Some(code), "{arguments:?}: {}", stderr(&failed));
        assert!(failed.stdout.is_empty() && !failed.stderr.is_empty());
    }
}

#[test]
fn a_service_says_when_it_is_ready_answers_and_ends_with_0() {
    let example = include_str!("../config/changeover.yaml");
    let own = |api| configuration(api, udp_port(), udp_port(), udp_port());
    let shipped = |api| format!("{example}\napi: {{listen: 127.0.0.1:{api}}}\n");
    for (signal, text) in [("TERM", &own as &dyn Fn(u16) -> String), ("INT", &shipped)] {
        let directory = tempfile::tempdir().unwrap();
        let api = tcp_port();
        let path = write(&directory, &text(api));
        let (running, manager) = Running::start(&directory, &path);
        let (status, metrics) = get(api, "/metrics");
        assert_eq!(status, 200);
        assert!(metrics.contains("changeover_build_info{") && metrics.ends_with("# EOF\n"), "{metrics}");
        let (status, channel) = get(api, "/api/v1/channels/news");
        assert_eq!(status, 200);
        let channel: Value = serde_json::from_str(&channel).unwrap();
        assert_eq!(channel["inputs"][1]["name"], "backup");
        running.told(&manager, "WATCHDOG=1");
        let (status, log) = running.end(signal);
        assert_eq!(status, Some(0), "{log}");
        assert!(log.contains(&format!("SIG{signal}")), "{log}");
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
        }
        let mut rest = String::new();
        let mut buffer = [0; 4096];
        manager.set_nonblocking(true).unwrap();
        while let Ok(count) = manager.recv(&mut buffer) {
            rest.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(rest.contains("STOPPING=1"), "{rest}");
    }
}
