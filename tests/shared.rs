//! Real streams of broadcasters, and a judge that shares no code with this project: for where both are at hand.
//!
//! `CHANGEOVER_SHARED` names a folder with `streams/` and `tools/tscheck`. Neither can be given away with the source,
//! so without the variable nothing is tested here.
#![allow(clippy::unwrap_used)]

mod align_net;
mod netns;
#[path = "srt/proxy.rs"]
mod proxy;
mod scene;
#[path = "srt/watch.rs"]
mod watch;
#[path = "shared/ways.rs"]
mod ways;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use changeover::replay::pcapng::{Header, Writer};
use changeover::replay::source::Source;
use changeover::switch::align::{Aligner, Relation, Settings};
use changeover::units::{BitRate, Span};
use netns::in_netns;
use scene::{changeover, play, twins};
use serde_json::Value;

/// The indicators of the first priority of ETSI TR 101 290.
const FIRST_PRIORITY: [&str; 6] =
    ["ts_sync_loss", "sync_byte_error", "pat_error_2", "continuity_count_error", "pmt_error_2", "pid_error"];

/// Indicators with their counts.
type Counts = &'static [(&'static str, u64)];

/// Files of packets, and what is wrong with them; of the first priority, nothing else is.
const STREAMS: [(&str, Counts); 20] = [
    ("cinegy-TsAnalysis/SD-H264-1mbps-Bars.ts", &[]),
    ("cinegy-TsAnalysis/cut-2ts-mpts-61M.ts", &[]),
    // The PAT, the PMT and the SDT are there once.
    ("gstreamer/test_pcr_rollover.ts", &[("pat_error_2", 1), ("pmt_error_2", 1), ("sdt_actual_error", 1)]),
    ("libltntstools/demo-30M-scte35-2038.ts", &[]),
    // Its PAT and PMT are up to 6.2 s apart.
    (
        "membrane_mpeg_ts/bundestag-example_all.ts",
        &[
            ("pat_error_2", 5),
            ("pmt_error_2", 5),
            ("pid_error", 5),
            ("pcr_repetition_error", 70),
            ("pcr_discontinuity_indicator_error", 65),
            ("pts_error", 15),
        ],
    ),
    // It begins 0.8 s before its first PAT, so that for so long nothing refers to its PIDs.
    ("moq/kyrion_mpeg2av_ac3.ts", &[("pat_error_2", 3), ("pmt_error_2", 3), ("unreferenced_pid", 6)]),
    // The counter of the PMT stands still; its first repetition is a legal duplicate.
    (
        "mp2ts-tools/80s_with_ad.ts",
        &[
            ("continuity_count_error", 332),
            ("pcr_repetition_error", 80),
            ("pcr_discontinuity_indicator_error", 79),
            ("pts_error", 1),
        ],
    ),
    ("mpeg-ts-analyzer/sample_192byte.m2ts", &[("pcr_repetition_error", 1)]),
    // Its first two SDTs are 19 ms apart by the rate of its first PCRs, before which they come.
    ("shaka-player/muxed-ac3-h264_concat6.ts", &[("sdt_actual_error", 1)]),
    ("shaka-player/opus-h264_file1.ts", &[]),
    // Its SDT announces events of which none comes.
    ("tsduck-test/arte-dvbt-cc-errors_test-089_concat.ts", &[("continuity_count_error", 167), ("eit_actual_error", 2)]),
    ("tsduck-test/canalcapital-cbr6.8M_test-138.1.ts", &[]),
    ("tsduck-test/cc-cases_test-041.ts", &[("continuity_count_error", 3)]),
    ("tsduck-test/cc-duplicate-rules_test-049.in.ts", &[("continuity_count_error", 2)]),
    // The same in clear and scrambled; neither has a CAT.
    ("tsduck-test/france2-clear_test-026.ts", &[]),
    ("tsduck-test/france2-csa-scrambled_test-026.csa.ts", &[("cat_error", 1)]),
    // Four of the five PMTs that the PAT names, and one audio of the fifth, never come.
    ("tsduck-test/hevc-scte35_test-137.ts", &[("pmt_error_2", 4), ("pid_error", 1), ("pts_error", 1)]),
    ("tsduck-test/isdbt-204byte_test-171.11.ts", &[]),
    // None of its nine PMTs names PID 0x243.
    ("tsduck-test/rai-dvbt-mux-22M_test-108.ts", &[("unreferenced_pid", 1)]),
    (
        "tsduck-test/syncloss_test-142.ts",
        &[("ts_sync_loss", 1), ("sync_byte_error", 5), ("continuity_count_error", 16)],
    ),
];

/// Streams of constant rate that have PCRs enough to tell. The multiplex of 61 Mb/s is one too, and lasts 0.12 s.
const CONSTANT_RATE: [&str; 5] = [
    "cinegy-TsAnalysis/SD-H264-1mbps-Bars.ts",
    "libltntstools/demo-30M-scte35-2038.ts",
    "moq/kyrion_mpeg2av_ac3.ts",
    "tsduck-test/canalcapital-cbr6.8M_test-138.1.ts",
    "tsduck-test/rai-dvbt-mux-22M_test-108.ts",
];

/// Captures: which flow, how many TS packets; none where there is no flow of them.
const CAPTURES: [(&str, Option<&str>, Option<u64>); 7] = [
    ("ebu-pi-list/ST2022-7-Audio.pcap", None, None),
    ("ebu-pi-list/srt_stream.pcap", None, None),
    ("ebu-pi-list/srt_stream_loss_of_5.pcap", None, None),
    ("suricata-verify/wireshark-wiki-IGMP-dataset.pcap", None, None),
    ("tsduck-test/rtp-ts-vlan123_test-162.pcap", None, Some(112)),
    ("tsduck-test/udp-ts-ipv4-ipv6_test-176.pcapng", Some("192.168.233.11:7777"), Some(84)),
    ("tsduck-test/udp-ts-ipv4-ipv6_test-176.pcapng", Some("[fdb2:2c26:f4e4:1:21c:42ff:fe38:46a8]:8888"), Some(70)),
];

/// The folder; these tests run one after the other, so that the one on live packets has the machine to itself.
fn shared() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    static SAID: Once = Once::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let Some(folder) = std::env::var_os("CHANGEOVER_SHARED") else {
        // Past the test harness, which shows what a test prints only where it fails.
        SAID.call_once(|| {
            let _ = writeln!(io::stderr(), "not run: CHANGEOVER_SHARED names no folder of real streams and a judge");
        });
        return None;
    };
    Some((PathBuf::from(folder), ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// What the judge says of a file of packets or a capture; none where it finds none.
fn tscheck(shared: &Path, file: &Path) -> Option<Value> {
    tscheck_with(shared, file, &[])
}

fn tscheck_with(shared: &Path, file: &Path, more: &[&OsStr]) -> Option<Value> {
    let output = Command::new(shared.join("tools/tscheck")).arg(file).args(more).output();
    let output = output.unwrap_or_else(|error| panic!("tools/tscheck does not run, install `python3`: {error}"));
    let found: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    assert_eq!(found.is_some(), output.status.success(), "{output:?}");
    found
}

fn analyse(file: &Path, flow: Option<&str>) -> Output {
    let mut command = changeover();
    command.args(["analyse", "--json"]).arg(file);
    if let Some(flow) = flow {
        command.args(["--flow", flow]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panic") && output.status.code().is_some(), "{}: {said}", file.display());
    output
}

fn counts(report: &Value) -> BTreeMap<String, u64> {
    let indicators = report["indicators"].as_object().unwrap();
    indicators.iter().map(|(name, indicator)| (name.clone(), indicator["count"].as_u64().unwrap())).collect()
}

#[test]
fn the_faults_of_every_stream_are_found_and_no_others() {
    let Some((shared, _turn)) = shared() else { return };
    for (name, expected) in STREAMS {
        let file = shared.join("streams").join(name);
        let output = analyse(&file, None);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = counts(&report);
        let expected: BTreeMap<_, _> = expected.iter().copied().collect();
        for (indicator, count) in &expected {
            assert_eq!(found[*indicator], *count, "{name}: {indicator} in {found:?}");
        }
        for (indicator, count) in &found {
            let wanted = expected.get(indicator.as_str()).copied().unwrap_or_default();
            assert_eq!(*count, wanted, "{name}: {indicator} in {found:?}");
        }
        let is_clean = FIRST_PRIORITY.iter().all(|indicator| found[*indicator] == 0);
        let measurable = report["indicators"]["pcr_accuracy_error"]["measurable"] == true;
        assert_eq!(measurable, CONSTANT_RATE.contains(&name), "{name}: whether PCR accuracy can be measured");
        assert_eq!(output.status.code(), Some(i32::from(!is_clean)), "{name}");
        // It does not know packets of 192 bytes.
        if report["file"]["packet_size"] != 192 {
            let judged = tscheck(&shared, &file).unwrap();
            assert_eq!(report["packets"], judged["packets"], "{name}");
            assert_eq!(found["continuity_count_error"], judged["cc"], "{name}");
            assert_eq!(found["sync_byte_error"], judged["sync"], "{name}");
            assert_eq!(found["crc_error"], judged["crc"], "{name}");
        }
        println!("{name}: {found:?}");
        match name {
            "cinegy-TsAnalysis/cut-2ts-mpts-61M.ts" => assert_eq!(report["file"]["trailing_bytes"], 100),
            // Its steps are signalled, and so no errors.
            "membrane_mpeg_ts/bundestag-example_all.ts" => assert_eq!(report["file"]["discontinuities"], 4),
            "mpeg-ts-analyzer/sample_192byte.m2ts" => assert_eq!(report["file"]["packet_size"], 192),
            "tsduck-test/isdbt-204byte_test-171.11.ts" => assert_eq!(report["file"]["packet_size"], 204),
            "tsduck-test/syncloss_test-142.ts" => {
                assert_eq!(report["indicators"]["ts_sync_loss"]["latest"][0]["packet"], 186);
            }
            _ => {}
        }
    }
}

#[test]
fn the_flows_of_every_capture_are_found() {
    let Some((shared, _turn)) = shared() else { return };
    for (name, flow, packets) in CAPTURES {
        let output = analyse(&shared.join("streams").join(name), flow);
        let Some(packets) = packets else {
            assert_eq!(output.status.code(), Some(2), "{name}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("no flow of the capture carries TS packets"));
            continue;
        };
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["packets"], packets, "{name}");
        let found = counts(&report);
        assert!(FIRST_PRIORITY.iter().all(|indicator| found[*indicator] == 0), "{name}: {found:?}");
    }
}

/// Every stream of the folder is in one of the tables.
#[test]
fn no_stream_is_left_out() {
    let Some((shared, _turn)) = shared() else { return };
    let streams = shared.join("streams");
    for folder in std::fs::read_dir(&streams).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(&streams).unwrap().to_str().unwrap().to_owned();
            let known = STREAMS.iter().any(|(it, _)| *it == name) || CAPTURES.iter().any(|(it, ..)| *it == name);
            assert!(known || name.ends_with(".txt"), "{name}");
        }
    }
}

const MAIN: &str = "239.1.1.1:5000";
const BACKUP: &str = "239.1.1.2:5000";
const CONFIGURATION: &str = "
node: {name: test}
api: off
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, priority: 100}
      - {name: backup, url: udp://239.1.1.2:5000, priority: 50}
    outputs:
      - {url: rtp://239.1.1.3:6000}
";

/// A capture of a file that is sent twice, seven packets a datagram, at the times that its PCRs tell: as the main until
/// the middle, and whole as the backup, 40 ms later. How long the file is, in seconds.
fn incident(file: &Path, capture: &Path) -> f64 {
    const LATER: i64 = 40_000_000;
    let mut source = Source::open(file, BitRate(10_000_000)).unwrap();
    let (mut datagrams, mut payload) = (Vec::new(), Vec::new());
    let mut last = 0;
    while let Some(timed) = source.read().unwrap() {
        payload.extend_from_slice(timed.packet);
        last = timed.at.nanos();
        if payload.len() == 7 * 188 {
            datagrams.push((last, std::mem::take(&mut payload)));
        }
    }
    let middle = last / 2;
    let mut sent: Vec<_> = datagrams.iter().map(|(at, payload)| (at + LATER, BACKUP, payload)).collect();
    sent.extend(datagrams.iter().filter(|(at, _)| *at < middle).map(|(at, payload)| (*at, MAIN, payload)));
    sent.sort_by_key(|(at, ..)| *at);
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (at, to, payload) in sent {
        let source: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        let header = Header { source, destination: to.parse().unwrap(), ttl: 8, dscp: 0 };
        writer.write(1_700_000_000_000_000_000 + at, header, payload).unwrap();
    }
    std::fs::write(capture, writer.finish().unwrap()).unwrap();
    std::time::Duration::from_nanos(last.unsigned_abs()).as_secs_f64()
}

#[test]
fn a_switch_adds_no_fault_to_a_real_stream() {
    let Some((shared, _turn)) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [configuration, capture, out, journal] =
        ["changeover.yaml", "in.pcapng", "out.pcapng", "journal"].map(|name| folder.path().join(name));
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    for name in [
        "cinegy-TsAnalysis/SD-H264-1mbps-Bars.ts",
        "moq/kyrion_mpeg2av_ac3.ts",
        "gstreamer/test_pcr_rollover.ts",
        "mp2ts-tools/80s_with_ad.ts",
        "shaka-player/muxed-ac3-h264_concat6.ts",
        "shaka-player/opus-h264_file1.ts",
        "tsduck-test/arte-dvbt-cc-errors_test-089_concat.ts",
        "tsduck-test/canalcapital-cbr6.8M_test-138.1.ts",
        "tsduck-test/france2-clear_test-026.ts",
        "tsduck-test/france2-csa-scrambled_test-026.csa.ts",
        "tsduck-test/hevc-scte35_test-137.ts",
        "tsduck-test/rai-dvbt-mux-22M_test-108.ts",
    ] {
        let file = shared.join("streams").join(name);
        let seconds = incident(&file, &capture);
        let mut command = changeover();
        command.arg("replay").arg(&configuration).arg(&capture).arg("--out").arg(&out).arg("--journal").arg(&journal);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let source = tscheck(&shared, &file).unwrap();
        let judged = tscheck(&shared, &out).unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        println!(
            "{name}: {} packets of {}, cc {} of {}",
            judged["packets"], source["packets"], judged["cc"], source["cc"]
        );
        assert_eq!(judged["sync"], 0, "{name}: {judged:#}");
        assert_eq!(judged["container"]["rtp_sequence_errors"], 0, "{name}: {judged:#}");
        assert!(number(&judged["cc"]) <= number(&source["cc"]), "{name}: {judged:#}");
        assert!(number(&judged["crc"]) <= number(&source["crc"]), "{name}: {judged:#}");
        let events = std::fs::read_to_string(&journal).unwrap();
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let switch = events.iter().rfind(|event| event["event"] == "switch").unwrap();
        assert_eq!(switch["to"], "backup", "{name}: {switch}");
        // Until the loss is certain, 200 ms, nothing comes; the delay line gives back what it holds.
        #[allow(clippy::cast_precision_loss)]
        let (packets, all) = (number(&judged["packets"]) as f64, number(&source["packets"]) as f64);
        assert!(packets >= all * (1.0 - 0.4 / seconds), "{name}: {packets} packets of {all}");
    }
}

#[test]
fn no_stream_is_taken_for_another_and_each_is_found_when_it_comes_later() {
    let Some((shared, _turn)) = shared() else { return };
    let read =
        |name: &str| align_net::Source::file(&std::fs::read(shared.join("streams").join(name)).unwrap()).unwrap();
    let sources: Vec<_> = STREAMS.iter().map(|(name, _)| (*name, read(name))).collect();
    let network =
        |source: &align_net::Source, skew| align_net::Network::new(source.packets.len(), skew).datagrams(&source.times);
    let window = 100 * align_net::MS;
    let aligner = || {
        let span = Span::from_nanos(window);
        Aligner::new(&Settings {
            feeds: 2,
            window: span,
            capacity: Settings::capacity(span, 100_000_000),
            merge: true,
            pace: false,
        })
    };
    for (name, first) in &sources {
        let good = first.packets.iter().filter(|packet| packet[0] == 0x47).count();
        for (other, second) in &sources {
            for skew in if name == other { vec![40, -40, 1000] } else { vec![0] } {
                let skew = skew * align_net::MS;
                let feeds = [
                    (first.packets.as_slice(), network(first, skew.min(0).abs())),
                    (second.packets.as_slice(), network(second, skew.max(0))),
                ];
                let output = align_net::run(&mut aligner(), &feeds, i64::MAX / 2);
                assert_eq!(output.left.len(), good, "{name} and {other}");
                let relation = output.kinships[1].relation;
                let case = format!("{name} and {other} at {skew}: {relation:?}");
                // what is too short, or has no PCR, is not known
                let is_long = first.times.last().unwrap() - first.times[0] > 1100 * align_net::MS;
                match relation {
                    Relation::Identical { skew: found, .. } => {
                        assert!(name == other && (found - skew).abs() < 30 * align_net::MS, "{case}");
                    }
                    Relation::OutOfWindow { skew: found } => assert!(name == other && found > window, "{case}"),
                    Relation::Locked { .. } => panic!("{case}"),
                    Relation::Unknown | Relation::Independent => {
                        assert!(name != other || !is_long || skew > window, "{case}")
                    }
                }
                let is_foreign = |feed: &usize| *feed == 1 && name != other;
                assert!(!output.left.iter().any(|(feed, ..)| is_foreign(feed)), "{case}");
            }
        }
    }
}

#[test]
fn the_judge_finds_no_fault_in_a_live_output() {
    let Some((shared, _turn)) = shared() else { return };
    if !in_netns("the_judge_finds_no_fault_in_a_live_output", play::NETWORK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("output.ts");
    let recorded = play::play(folder.path(), &file);
    play::judge(&file, &recorded);
    let judged = tscheck(&shared, &file).unwrap();
    for what in ["cc", "sync", "tei", "crc", "pcr_jumps"] {
        assert_eq!(judged[what], 0, "{what}: {judged:#}");
    }
}

/// The output is its source, packet for packet.
fn assert_whole(shared: &Path, source: &Path, file: &Path) {
    let judged = tscheck_with(shared, file, &["--lineage".as_ref(), source.as_os_str()]).unwrap();
    for what in ["cc", "sync", "tei", "crc", "pcr_jumps"] {
        assert_eq!(judged[what], 0, "{what}: {judged:#}");
    }
    for what in ["lost", "repeated", "foreign"] {
        assert_eq!(judged["lineage"][what], 0, "{what}: {judged:#}");
    }
}

#[test]
fn one_encoder_over_two_lossy_lines_comes_out_whole() {
    let Some((shared, _turn)) = shared() else { return };
    if !in_netns("one_encoder_over_two_lossy_lines_comes_out_whole", play::NETWORK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [source, file] = ["source.ts", "output.ts"].map(|name| folder.path().join(name));
    let recorded = twins::play(folder.path(), &source, &file);
    assert_eq!(recorded.rtp_errors, 0, "{recorded:?}");
    assert_whole(&shared, &source, &file);
}

#[test]
fn one_encoder_over_two_lossy_ways_by_srt_comes_out_whole() {
    let Some((shared, _turn)) = shared() else { return };
    if !in_netns("one_encoder_over_two_lossy_ways_by_srt_comes_out_whole", play::NETWORK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [source, file] = ["source.ts", "output.ts"].map(|name| folder.path().join(name));
    let recorded = ways::play(folder.path(), &source, &file);
    assert_eq!(recorded.rtp_errors, 0, "{recorded:?}");
    assert_whole(&shared, &source, &file);
}
