//! Two sources side by side: what is told of how the second stands to the first, to programs and to people.
#![allow(clippy::unwrap_used)]

mod process;
mod schema;

use std::collections::VecDeque;
use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use changeover::replay::pcapng::{Header, Writer};
use changeover::replay::report::{SCHEMA, WIDTH, pair_schema};
use changeover::synth::{self, Feed, Settings};
use changeover::units::Ticks27M;
use process::{changeover, udp_port};
use schema::Schema;
use serde_json::{Value, json};
use tempfile::TempDir;

const SECOND: u64 = 27_000_000;

fn output(arguments: &[&str]) -> Output {
    changeover().arg("analyse").args(arguments).output().unwrap()
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What the JSON says of two sources, with this exit status; and that it is what its schema says.
fn analysed(arguments: &[&str], status: i32) -> Value {
    let output = output(&[arguments, &["--json"]].concat());
    let (out, err) = told(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {err}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(Schema::new(SCHEMA).problems(&value["a"]), [""; 0]);
    assert_eq!(Schema::new(SCHEMA).problems(&value["b"]), [""; 0]);
    assert_eq!(kinship_schema().problems(&value["kinship"]), [""; 0]);
    assert_eq!(value.as_object().unwrap().len(), 3);
    value
}

/// That of the kinship alone, of which all references stand in the document itself.
fn kinship_schema() -> Schema {
    let mut whole: Value = serde_json::from_str(&pair_schema()).unwrap();
    let definitions = whole["$defs"].as_object_mut().unwrap();
    assert_eq!(definitions.remove("one_source").unwrap()["$id"], "urn:changeover:analyse");
    let mut kinship = definitions.remove("kinship").unwrap();
    kinship["$defs"] = whole["$defs"].take();
    Schema::new(&kinship.to_string())
}

/// A feed, its port, by how many milliseconds it comes later, and which datagrams of it are lost.
type Flow<'a> = (Settings, u16, i64, &'a dyn Fn(usize) -> bool);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A capture of eight seconds of flows.
    fn capture(&self, name: &str, flows: &[Flow<'_>]) -> String {
        let mut datagrams = Vec::new();
        for (settings, port, later, is_lost) in flows {
            let mut feed = Feed::new(settings.clone());
            for number in 0.. {
                let packets = [(); 7].map(|()| feed.next_packet());
                let at = Ticks27M::span(packets[6].at.0).nanos();
                if packets[6].at.0 > 8 * SECOND {
                    break;
                }
                if !is_lost(number) {
                    datagrams.push((at + later * 1_000_000, *port, packets.map(|packet| packet.bytes).concat()));
                }
            }
        }
        datagrams.sort();
        let mut writer = Writer::new(File::create(self.path(name)).unwrap()).unwrap();
        for (at, port, payload) in datagrams {
            let address = |host, port| format!("{host}:{port}").parse().unwrap();
            let header =
                Header { source: address("10.0.0.5", 9), destination: address("239.1.1.1", port), ttl: 4, dscp: 0 };
            writer.write(1_700_000_000_000_000_000 + at, header, &payload).unwrap();
        }
        writer.finish().unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn settings(seed: u64) -> Settings {
    Settings { bit_rate: 2_000_000, seed, ..Settings::default() }
}

fn recording(seed: u64, start: u64) -> Vec<u8> {
    synth::recording(Settings { start: Ticks27M(start), ..settings(seed) }, Ticks27M(8 * SECOND))
}

/// The first packet of the video from packet `from` on.
fn video_behind(bytes: &[u8], from: usize) -> usize {
    (from..).find(|i| bytes[188 * i + 1..188 * i + 3] == [0x01, 0x00]).unwrap()
}

const NONE: &dyn Fn(usize) -> bool = &|_| false;

#[test]
fn a_file_and_itself_are_identical_with_no_skew() {
    let folder = Folder::new();
    let bytes = recording(1, 0);
    let file = folder.file("a.ts", &bytes);
    let value = analysed(&[&file, &file], 0);
    let kinship = &value["kinship"];
    for (name, expected) in [
        ("time", json!("file")),
        ("relation", json!("identical")),
        ("skew_ms", json!(0.0)),
        ("skew_packets", json!(0)),
        ("ahead_ms", json!(null)),
        (
            "forecast",
            json!({"kind": "identical", "lost": 0, "repeated": 0, "wait_ms": 0.0, "hole_ms": 0.0, "fallback": null, "recoded": 0, "missing": 0}),
        ),
        ("changes_left_out", json!(0)),
    ] {
        assert_eq!(kinship[name], expected, "{name} of {kinship}");
    }
    assert!(kinship["sureness"].as_u64() >= Some(99) && kinship["known_s"].as_f64().unwrap() < 1.0, "{kinship}");
    assert_eq!(value["a"], value["b"]);
    assert_eq!(value["a"], serde_json::from_slice::<Value>(&output(&[&file, "--json"]).stdout).unwrap());

    // what one of them lacks is told
    // from three seconds on, when nothing from before the two were joined waits any more
    let missing: Vec<usize> = [4_000, 4_500, 6_000].iter().map(|from| video_behind(&bytes, *from)).collect();
    let numbered = bytes.chunks(188).enumerate().filter(|(i, _)| !missing.contains(i));
    let less = folder.file("less.ts", &numbered.map(|(_, packet)| packet).collect::<Vec<_>>().concat());
    let value = analysed(&[&file, &less], 1);
    let kinship = &value["kinship"];
    assert_eq!(kinship["relation"], "identical", "{kinship}");
    assert_eq!((&kinship["feeds"]["a"]["alone"], &kinship["feeds"]["b"]["alone"]), (&json!(3), &json!(0)), "{kinship}");
    assert!(kinship["skew_ms"].as_f64().unwrap().abs() < 10.0, "{kinship}");
    assert_eq!(value["b"]["packets"].as_u64().unwrap() + 3, value["a"]["packets"].as_u64().unwrap());
}

#[test]
fn a_skew_between_captures_is_what_it_was() {
    let folder = Folder::new();
    for (first, second) in [(0, 32), (32, 0), (0, 1_200)] {
        let a = folder.capture("a.pcapng", &[(settings(1), 5000, first, NONE)]);
        let b = folder.capture("b.pcapng", &[(settings(1), 5000, second, NONE)]);
        let kinship = &analysed(&[&a, &b], 0)["kinship"];
        assert_eq!((&kinship["time"], &kinship["relation"]), (&json!("capture"), &json!("identical")), "{kinship}");
        let expected = f64::from(i32::try_from(second - first).unwrap());
        let skew = kinship["skew_ms"].as_f64().unwrap();
        assert!((skew - expected).abs() < 0.01, "{skew} for {expected}");
        // 1,330 packets a second
        let packets = kinship["skew_packets"].as_i64().unwrap();
        assert!((packets - (second - first) * 1_330 / 1_000).abs() <= 8, "{packets} for {expected}");
    }
    // too far apart to be merged, and what changes is told with its time
    let a = folder.capture("a.pcapng", &[(settings(1), 5000, 0, NONE)]);
    let far = folder.capture("far.pcapng", &[(settings(1), 5000, 2_700, NONE)]);
    let kinship = &analysed(&[&a, &far], 0)["kinship"];
    assert_eq!(kinship["relation"], "out_of_window", "{kinship}");
    assert_eq!((&kinship["skew_packets"], &kinship["forecast"]["lost"]), (&json!(null), &json!(null)));
    assert!(
        kinship["known_s"].as_f64() > Some(2.7) && kinship["changes"][0]["relation"] == "out_of_window",
        "{kinship}"
    );
}

#[test]
#[allow(clippy::disallowed_methods, reason = "somebody has to send")]
fn two_that_come_now_are_compared_by_when_they_come() {
    let ports = [0; 2].map(|_| udp_port());
    let (stop, stopped) = mpsc::channel::<()>();
    let sending = thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut feed, start, mut late) = (Feed::new(settings(1)), Instant::now(), VecDeque::new());
        while stopped.try_recv() != Err(TryRecvError::Disconnected) {
            let packets: [_; 7] = std::array::from_fn(|_| feed.next_packet());
            let due = Duration::from_nanos(packets[6].at.0 * 1000 / 27);
            thread::sleep(due.saturating_sub(start.elapsed()));
            late.push_back(packets.map(|packet| packet.bytes).concat());
            // nobody may be there yet to take it; of the second each comes ten datagrams later
            let _ = socket.send_to(&late[late.len() - 1], ("127.0.0.1", ports[0]));
            if late.len() > 10 {
                let _ = socket.send_to(&late.pop_front().unwrap(), ("127.0.0.1", ports[1]));
            }
        }
    });
    let [a, b] = ports.map(|port| format!("udp://127.0.0.1:{port}"));
    let value = analysed(&[&a, &b, "--seconds", "3"], 0);
    drop(stop);
    sending.join().unwrap();
    let kinship = &value["kinship"];
    assert_eq!((&kinship["time"], &kinship["relation"]), (&json!("arrival"), &json!("identical")), "{kinship}");
    assert!((35..=105).contains(&kinship["skew_packets"].as_i64().unwrap()), "{kinship}");
    assert!(kinship["skew_ms"].as_f64() > Some(0.0), "{kinship}");
    assert!(value["a"]["arrival"].is_object() && value["b"]["arrival"].is_object(), "{value}");
    // of what does not come it is said, and nothing is known
    let [a, b] = [0; 2].map(|_| format!("rtp://127.0.0.1:{}", udp_port()));
    let output = output(&[&a, &b, "--seconds", "1"]);
    let (out, err) = told(&output);
    assert!(err.contains(&format!("nothing came from {a} in")) && err.contains(&b), "{err}");
    assert!(out.contains("How B stands to A: not known"), "{out}");
}

#[test]
fn two_flows_of_one_capture_are_chosen_by_their_destinations() {
    let folder = Folder::new();
    let lost = &|number| number % 50 == 40;
    let both = folder.capture("both.pcapng", &[(settings(1), 5000, 0, NONE), (settings(1), 5002, 20, lost)]);
    let (main, backup) = ("239.1.1.1:5000", "239.1.1.1:5002");
    let kinship = &analysed(&[&both, &both, "--flow", main, "--flow", backup], 1)["kinship"];
    assert_eq!(kinship["relation"], "identical", "{kinship}");
    assert!((kinship["skew_ms"].as_f64().unwrap() - 20.0).abs() < 0.01, "{kinship}");
    // 22 datagrams of seven: one in fifty of those that left in the eight seconds, but for the window
    assert_eq!(kinship["feeds"]["a"]["alone"], 22 * 7, "{kinship}");
    assert!(kinship["feeds"]["b"]["alone"] == 0, "{kinship}");
    // one for both
    assert_eq!(analysed(&[&both, &both, "--flow", main], 0)["kinship"]["skew_ms"], 0.0);
    let failed = output(&[&both, &both]);
    let (out, err) = told(&failed);
    assert_eq!((failed.status.code(), out.as_str()), (Some(2), ""));
    assert!(err.contains("--flow") && err.contains(main) && err.contains(backup), "{err}");
}

#[test]
fn what_has_nothing_in_common_is_independent_and_costs_what_nobody_knows() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a.ts", &recording(1, 0)), folder.file("b.ts", &recording(2, 3_600 * SECOND)));
    let kinship = &analysed(&[&a, &b], 0)["kinship"];
    assert_eq!(
        (&kinship["relation"], &kinship["evidence"]["matched"]),
        (&json!("independent"), &json!(0)),
        "{kinship}"
    );
    let forecast = &kinship["forecast"];
    let expected = json!({"kind": "independent", "lost": null, "repeated": null, "wait_ms": forecast["wait_ms"],
        "hole_ms": 0.0, "fallback": null, "recoded": 0, "missing": 0});
    assert_eq!(forecast, &expected);
    let locked = folder.file("c.ts", &recording(2, 0));
    let kinship = &analysed(&[&a, &locked], 0)["kinship"];
    assert_eq!(kinship["relation"], "locked", "{kinship}");
    assert!(kinship["ahead_ms"].as_f64().unwrap().abs() < 1.0, "{kinship}");
    let short = folder.file("d.ts", &recording(1, 0)[..188 * 20]);
    let kinship = &analysed(&[&a, &short], 0)["kinship"];
    assert_eq!((&kinship["relation"], &kinship["known_s"]), (&json!("unknown"), &json!(null)), "{kinship}");
}

#[test]
fn people_are_told_side_by_side() {
    let folder = Folder::new();
    let other = folder.file("b.ts", &recording(2, 3_600 * SECOND));
    let a = folder.capture("a.pcapng", &[(settings(1), 5000, 0, NONE)]);
    let b = folder.capture("b.pcapng", &[(settings(1), 5000, 32, NONE)]);
    let output_of = |arguments: &[&str]| {
        let output = output(arguments);
        let (out, err) = told(&output);
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
        for line in out.lines() {
            assert!(line.chars().count() <= WIDTH && !line.contains(char::is_control), "{line:?}");
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = output_of(&[&a, &b]);
    for part in [
        "a.pcapng",
        "seconds 7.99",
        "first priority none raised none raised",
        "program 1 \"Changeover\"",
        "stream PID 0x100 video MPEG-2 PID 0x100 video MPEG-2",
        "How B stands to A: the same packets, 32.000 ms after A (4",
        "Times are those of the captures",
        "a switch from A to B would lose no packet and repeat none",
        "once both were merged A alone had 0 packets, B alone 0 packets",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    for part in [
        "How B stands to A: independent",
        "by the place in the file and the capture",
        "a switch from A to B would be independent",
    ] {
        assert!(output_of(&[&a, &other]).contains(part), "{part:?}");
    }
    assert!(output_of(&[&other, &other]).contains("so that a skew is by the place in the file."));
}

#[test]
fn wrong_use_is_told_and_ends_with_2() {
    let folder = Folder::new();
    let file = folder.file("a.ts", &recording(1, 0)[..188 * 2_000]);
    for (arguments, status, part) in [
        (&[&file[..], &file, &file][..], 2, "one source, or two to compare; 3 were given"),
        (&[&file, "udp://239.1.1.1:5000"], 2, "have no time in common"),
        (&["udp://239.1.1.1:5000", "udp://239.1.1.1"], 2, "port"),
        (&["udp://239.1.1.1:1", "rtp://239.1.1.1:3", "--passphrase-env", "A"], 2, "a passphrase is for SRT"),
        (&[&file, "--flow", "239.1.1.1:1", "--flow", "239.1.1.1:2"], 2, "--flow is said 2 times"),
        (&[&file, &file, "--schema"], 2, "--schema"),
        (&["--schema=three"], 2, "pair"),
        (&[&file, "/nowhere/b.ts"], 69, "/nowhere/b.ts"),
    ] {
        let output = output(arguments);
        let (out, err) = told(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(status), ""), "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
}

#[test]
fn every_name_of_the_kinship_is_described_and_the_schema_of_one_source_is_as_it_was() {
    let mut schema = kinship_schema();
    let folder = Folder::new();
    let a = folder.file("a.ts", &recording(1, 0));
    assert_eq!(schema.problems(&analysed(&[&a, &a], 0)["kinship"]), [""; 0]);
    assert_eq!((schema.not_met(), schema.left_open()), (vec![], vec![]));
    for (name, value) in [("relation", json!("cousins")), ("sureness", json!(101)), ("novelty", json!(1))] {
        let mut wrong = analysed(&[&a, &a], 0)["kinship"].clone();
        wrong[name] = value;
        assert!(!schema.problems(&wrong).is_empty(), "{name}");
    }
    assert_eq!(told(&output(&["--schema"])).0, SCHEMA);
    assert_eq!(told(&output(&["--schema=pair"])).0, pair_schema());
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/replay/report/pair.schema.json").is_file());
}
