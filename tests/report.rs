//! The report of an analysis: that its JSON is what its schema says, that its figures are those of what was analysed, and
//! that its table says them to people.
#![allow(clippy::unwrap_used)]

mod schema;

use std::path::{Path, PathBuf};

use changeover::replay::analyse::{AnalyseError, Monitor, capture, file};
use changeover::replay::report::{ContentsReport, Report, SCHEMA, SrtReport, WIDTH, coloured, table};
use changeover::synth;
use changeover::tr101290::Indicator;
use changeover::transport::Framing;
use changeover::units::{BitRate, Instant, Ticks27M};
use mpeg2ts_reader::mpegts_crc::sum32;
use schema::Schema;
use serde_json::{Value, json};

const RATE: BitRate = BitRate(10_000_000);

fn json(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

/// The report on a file of these packets.
fn of_packets(bytes: &[u8]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.ts");
    std::fs::write(&path, bytes).unwrap();
    file(&path, RATE, |_, _| {}).unwrap()
}

fn seconds_of_synth(seconds: u64) -> Vec<u8> {
    synth::recording(synth::Settings::default(), Ticks27M(seconds * 27_000_000))
}

/// The report on each flow of a capture.
fn of_capture(path: &Path) -> Vec<Report> {
    match capture(path, None, |_| {}) {
        Ok(report) => vec![report],
        Err(AnalyseError::Flow(flows)) => {
            flows.iter().map(|(flow, _)| capture(path, Some(*flow), |_| {}).unwrap()).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcap-fixtures");
    let mut found: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcapng"));
    found.sort();
    found
}

fn fixture(name: &str) -> Report {
    let path = captures().into_iter().find(|path| path.file_stem().unwrap() == name).unwrap();
    of_capture(&path).remove(0)
}

/// A packet with one section from its pointer_field on; the section's length and CRC_32 are put in.
fn section(pid: u16, counter: u8, section: &[u8]) -> Vec<u8> {
    let mut section = section.to_vec();
    let length = u16::try_from(section.len() + 1).unwrap();
    section[1] |= length.to_be_bytes()[0];
    section[2] = length.to_be_bytes()[1];
    section.extend(sum32(&section).to_be_bytes());
    let [high, low] = pid.to_be_bytes();
    let mut packet = vec![0x47, 0x40 | high, low, 0x10 | counter, 0];
    packet.extend(section);
    packet.resize(188, 0xFF);
    packet
}

/// A program with splice information, teletext and an ECM, a CAT with an EMM, and a PID of nobody; no PCR.
fn spliced() -> Vec<u8> {
    let pat = [0, 0xB0, 0, 0, 1, 0xC1, 0, 0, 0, 7, 0xE1, 0x00];
    let pmt = [
        &[2, 0xB0, 0, 0, 7, 0xC1, 0, 0, 0xFF, 0xFF, 0xF0, 6, 9, 4, 0, 5, 0xE1, 0x50][..],
        &[0x86, 0xE2, 0x00, 0xF0, 0],
        &[0x06, 0xE2, 0x01, 0xF0, 7, 0x56, 5, b'd', b'e', b'u', 9, 0],
        &[0x04, 0xE2, 0x02, 0xF0, 6, 0x0A, 4, b'e', b'n', b'g', 3],
        &[0x8B, 0xE2, 0x03, 0xF0, 0],
    ]
    .concat();
    let cat = [1, 0xB0, 0, 0xFF, 0xFF, 0xC1, 0, 0, 9, 4, 0, 5, 0xE1, 0x51];
    let null = [0xFC, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 0, 0, 0, 0];
    // out of network at 2^33 - 1 for 30 s, event 258, with provider placement opportunity start
    let insert = [
        &[0xFC, 0x30, 0, 0, 0, 0, 0, 0, 101, 0, 0xFF, 0xF0, 20, 5][..],
        &[0, 0, 1, 2, 0x7F, 0xEF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0x29, 0x32, 0xE0, 0x12, 0x34, 3, 4],
        &[0, 26, 2, 24, b'C', b'U', b'E', b'I', 0x48, 0, 0, 8, 0x7F, 0xFF, 0, 0, 0x52, 0x65, 0xC0],
        &[3, 4, b'A', b'B', b'C', b'D', 0x34, 1, 2],
    ]
    .concat();
    let mut broken = section(0x200, 2, &null);
    broken[10] ^= 1;
    let stray = [&[0x47, 0x05, 0x55, 0x10][..], &[0; 184]].concat();
    let filler = [&[0x47, 0x1F, 0xFF, 0x10][..], &[0; 184]].concat();
    [
        section(0, 0, &pat),
        section(0x100, 0, &pmt),
        section(1, 0, &cat),
        section(0x200, 0, &insert),
        section(0x200, 1, &null),
        broken,
        stray,
        [&[0x47, 0x01, 0x50, 0x10][..], &[0; 184]].concat(),
        [&[0x47, 0x01, 0x51, 0x10][..], &[0; 184]].concat(),
        filler.repeat(11),
    ]
    .concat()
}

/// A connection of which everything is known.
fn connected() -> SrtReport {
    SrtReport {
        backend: "libsrt",
        up: true,
        connected: 1,
        peer: Some("10.0.0.5:9000".into()),
        encryption: Some("AES-128"),
        latency_ms: Some(120.0),
        rtt_ms: Some(40.25),
        packets: Some(9_990),
        lost: Some(250),
        retransmitted: Some(240),
        unrecovered: Some(10),
        undecrypted: Some(0),
        ..SrtReport::default()
    }
}

#[test]
fn a_connection_by_srt_is_told_in_the_table() {
    let of = |srt| table(&Report { srt: Some(srt), ..Report::default() });
    let text = of(connected());
    for part in [
        "SRT by libsrt with 10.0.0.5:9000, AES-128, latency 120 ms, round trip 40.2 ms\n",
        "9,990 packets by SRT: 250 (2.5 %) lost, 240 (2.4 %) sent again, 10 (0.1 %) not recovered\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("turned away") && !text.contains("no more"), "{text}");
    let text = of(SrtReport { up: false, refused: 2, unrecovered: Some(0), ..connected() });
    assert!(text.contains(" none not recovered\n2 callers turned away\nthe connection is no more\n"), "{text}");
    let text = of(SrtReport { backend: "rsrt", ..SrtReport::default() });
    assert!(text.contains("SRT by rsrt: nobody is connected\n"), "{text}");
}

#[test]
fn every_name_of_the_json_is_described_and_every_name_described_is_there() {
    let mut schema = Schema::new(SCHEMA);
    let nulls = [&[0x47, 0x1F, 0xFF, 0x10][..], &[0; 184]].concat().repeat(20);
    let by_srt = |srt| Report { srt: Some(srt), ..Report::default() };
    let mut reports = vec![
        ("nothing", Report::default()),
        ("nobody", by_srt(SrtReport { backend: "rsrt", ..SrtReport::default() })),
        ("by SRT", by_srt(connected())),
        ("nothing yet", Monitor::new(Framing::Auto).report()),
        ("a clean file", of_packets(&seconds_of_synth(2))),
        ("null packets", of_packets(&nulls)),
        ("splice information", of_packets(&spliced())),
    ];
    for path in captures() {
        reports.extend(of_capture(&path).into_iter().map(|report| ("a capture", report)));
    }
    assert!(reports.len() > 25);
    for (what, report) in &reports {
        assert_eq!(schema.problems(&json(report)), [""; 0], "{what}");
    }
    assert_eq!(schema.not_met(), [""; 0]);
    assert_eq!(
        schema.left_open(),
        ["#/arrival", "#/file", "#/srt", "#/transport", "#/$defs/indicator/measurable"]
            .map(|it| it.to_owned() + ": may be left out")
    );
    assert_eq!(json(&reports[0].1).as_object().unwrap().len(), 11);
}

#[test]
fn the_checker_finds_what_does_not_fit() {
    let mut schema = Schema::new(SCHEMA);
    let good = json(&of_packets(&spliced()));
    for (path, value, problem) in [
        ("", json!([]), "is not"),
        ("/packets", json!(-1), "limits"),
        ("/packets", json!("1"), "is not"),
        ("/null_share", json!(1.5), "limits"),
        ("/novelty", json!(1), "not in the schema"),
        ("/indicators/pid_error/novelty", json!(1), "not in the schema"),
        ("/pids/x1", json!({}), "no number"),
        ("/pids/0/kind", json!("tabel"), "none of"),
        ("/programs/0/streams/0/pid", json!(8192), "limits"),
        ("/splice/command/segmentation", json!({}), "missing"),
        ("/splice/command", json!(5), "is not"),
    ] {
        let mut value_of = good.clone();
        match path.rsplit_once('/') {
            None => value_of = value,
            Some((parent, name)) => match value_of.pointer_mut(parent).unwrap() {
                Value::Object(object) => drop(object.insert(name.to_owned(), value)),
                Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    panic!("{path}")
                }
            },
        }
        let problems = schema.problems(&value_of);
        assert!(problems.iter().any(|it| it.contains(problem)), "{path}: {problems:?}");
    }
    let mut less = good;
    less["indicators"]["pcr_accuracy_error"].as_object_mut().unwrap().remove("measurable");
    assert_eq!(schema.problems(&less), ["$.indicators.pcr_accuracy_error: \"measurable\" is missing"]);
}

#[test]
fn a_clean_file_is_measured_as_it_was_made() {
    let bytes = seconds_of_synth(4);
    let report = of_packets(&bytes);
    assert!(report.is_clean());
    assert_eq!(report.packets, u64::try_from(bytes.len() / 188).unwrap());
    assert_eq!((report.missing_packets, report.left_out), (0, 0));
    assert_eq!(report.null_packets, report.pids[&0x1FFF].packets);
    assert_eq!(report.indicators.report(Indicator::PcrAccuracyError).measurable, Some(true));
    let [program] = &report.programs[..] else { panic!("{:?}", report.programs) };
    let (service, provider) = (program.service.as_deref(), program.provider.as_deref());
    assert_eq!((program.pmt_pid, service, provider), (0x1000, Some("Changeover"), Some("changeover")));
    assert_eq!(program.service_type, Some(1));
    let pcr = program.pcr.as_ref().unwrap();
    assert_eq!((pcr.jitter_ns, pcr.drift_ppm, pcr.jumps), (None, None, 0), "a file has no other clock than its own");
    let interval = pcr.interval.unwrap();
    assert!(interval.min_ms > 10.0 && interval.mean_ms < interval.max_ms && interval.max_ms <= 30.0, "{interval:?}");
    let accuracy = pcr.accuracy;
    assert_eq!((accuracy.measurable, accuracy.bit_rate, accuracy.errors), (Some(true), Some(8_000_000), 0));
    assert!(accuracy.judged > 130 && accuracy.worst_ns.unwrap() < 20.0, "{accuracy:?}");
    let [video, audio] = &program.streams[..] else { panic!("{:?}", program.streams) };
    let of_video = video.contents.unwrap();
    // 25 a second, the first of each intra coded
    assert_eq!((of_video.access_units, of_video.random_access), (100, Some(4)));
    assert_eq!((of_video.missing, of_video.uneven), (0, 0));
    let of_audio = audio.contents.unwrap();
    assert_eq!((audio.language.as_deref(), of_audio.missing, of_audio.random_access), (Some("eng"), 0, None));
    assert_eq!(of_audio.access_units, 168, "frames of 24 ms, three in a PES packet");
    let shares: f64 = report.pids.values().map(|pid| pid.share).sum();
    assert!((shares - 1.0).abs() < 1e-5, "{shares}");
    let own: u64 = report.pids.values().filter(|pid| pid.programs == [1]).map(|pid| pid.bit_rate).sum();
    assert!(program.bit_rate.abs_diff(own) <= 3, "{} and {own}", program.bit_rate);
    let kinds: Vec<_> = report.pids.values().map(|pid| (pid.kind, pid.what.as_str())).collect();
    let expected = [
        ("table", "PAT"),
        ("table", "SDT and BAT"),
        ("video", "video MPEG-2 of program 1"),
        ("audio", "audio MPEG-1 of program 1"),
        ("pmt", "PMT of program 1"),
        ("null", "null packets"),
    ];
    assert_eq!(kinds, expected);

    let text = table(&report);
    for part in [
        "null packets\ntime from the PCRs of PID 0x100\n",
        "\nThird priority: none raised\n",
        "\nProgram 1 \"Changeover\" of changeover\n",
        ", PMT on PID 0x1000, PCR on PID 0x100\n",
        " at 8.000000 Mb/s\n",
        "  0x101  audio MPEG-1 eng ",
        "100 pictures, 0 missing, 4 random access points\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    for absent in ["jitter", "drift", "datagram", "SCTE-35", "measurable"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
}

#[test]
fn splice_information_and_access_control_are_told() {
    let report = of_packets(&spliced());
    assert_eq!((report.packets, report.file.as_ref().unwrap().assumed_packets), (20, 20));
    assert_eq!(report.indicators.report(Indicator::PcrAccuracyError).measurable, Some(false));
    let splice = json(&report)["splice"].clone();
    assert_eq!((&splice["sections"], &splice["encrypted"], &splice["broken"]), (&2.into(), &0.into(), &1.into()));
    let command = &splice["command"];
    assert!(splice["last_s"].as_f64() > command["at"].as_f64(), "{splice}");
    for (name, expected) in [
        ("pid", json!(512)),
        ("name", json!("splice_insert")),
        ("event_id", json!(258)),
        ("cancel", json!(false)),
        ("out_of_network", json!(true)),
        ("pts_90k", json!(100)),
        ("break_duration_ms", json!(30_000.0)),
    ] {
        assert_eq!(command[name], expected, "{name}");
    }
    let segmentation = json!({"event_id": 0x4800_0008, "cancel": false, "type_id": 0x34,
                              "type_name": "provider placement opportunity start", "duration_ms": 60_000.0});
    assert_eq!(command["segmentation"], segmentation);
    let what = |pid: u16| (report.pids[&pid].kind, report.pids[&pid].what.as_str());
    assert_eq!(what(0x150), ("ca", "ECM of program 7"));
    assert_eq!(what(0x151), ("ca", "EMM"));
    assert_eq!(what(0x200), ("splice", "splice SCTE-35 of program 7"));
    assert_eq!(what(0x555), ("unreferenced", "not in PAT, PMT or CAT"));

    let text = table(&report);
    for part in [
        "20 packets in 0.003 s, 10.53 Mb/s, 55.0 % null packets",
        "no PCRs to tell the time by: all times are at 10.00 Mb/s, as assumed (--bit-rate sets another)",
        "not measurable: too few PCRs in a row",
        "PMT on PID 0x100, no PCR",
        "  0x201   subtitles teletext deu no packet",
        "  0x202   audio MPEG-2 eng       no packet",
        "  0x203   data of stream_type 0x no packet",
        "SCTE-35: 2 sections, last at 0.001 s, 1 that could not be read",
        "on PID 0x200: splice_insert, event 258: break begins at PTS 100 (0:00:00.001), for 30.000 s, returns",
        "provider placement opportunity start, event 1207959560, for 60.000 s, Ad-ID",
        "EMM",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(&words(part)), "{part:?} in\n{text}");
    }
}

#[test]
fn a_capture_is_told_with_its_arrival() {
    let report = fixture("rtp-loss");
    let transport = report.transport.unwrap();
    assert_eq!((transport.rtp, transport.rtp_lost), (transport.datagrams, 7));
    let arrival = report.arrival.unwrap();
    let between = arrival.inter_arrival.unwrap();
    // 3 packets of 1 Mb/s; once, two datagrams are missing
    assert!((4.51..4.55).contains(&between.p50_ms) && between.p99_ms < 4.6, "{between:?}");
    assert!((13.53..13.55).contains(&between.max_ms) && between.p99_9_ms == between.max_ms, "{between:?}");
    assert!(arrival.delay_factor_ms.unwrap() > 4.5, "{arrival:?}");
    assert_eq!(arrival.media_loss_worst_packets_per_s, 15, "five datagrams of three packets");
    assert!(report.file.is_none());
    let pcr = report.programs[0].pcr.as_ref().unwrap();
    assert!(pcr.jitter_ns.unwrap() > 1e6 && pcr.drift_ppm.is_none(), "no drift before ten seconds: {pcr:?}");

    let text = table(&report);
    for part in [
        " datagrams of RTP\n7 RTP datagrams lost\n",
        "between datagrams: median 4.52 ms, 99 % within 4.52 ms, 99.9 % within 13.54 ms, longest 13.54 ms\n",
        "delay factor ",
        "media loss rate 15 packets/s, worst 15\n",
        "       latest on PID 0x1000 (PMT of program 1) at packet 978\n",
        "       and on PID 0x100 (video MPEG-2 of program 1) at packets 891, 915 and 943\n",
        ", jitter ",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let path = captures().into_iter().find(|path| path.ends_with("rtp-loss.pcapng")).unwrap();
    let backup = table(&of_capture(&path)[1]);
    assert!(
        backup.contains(" datagrams of RTP, none lost\n")
            && backup.contains("; media loss rate 0 packets/s, worst 0\n"),
        "{backup}"
    );
}

#[test]
fn what_never_came_is_named_by_what_it_would_have_been() {
    let mut bytes = seconds_of_synth(3);
    for packet in bytes.chunks_exact_mut(188) {
        if u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF == 0x101 {
            (packet[1], packet[2]) = (0x1F, 0xFF);
        }
    }
    let report = of_packets(&bytes);
    assert!(!report.pids.contains_key(&0x101) && !report.is_clean());
    let text = table(&report);
    assert!(text.contains("  0x101  audio MPEG-1 eng        no packet\n"), "{text}");
    assert!(text.contains("       latest on PID 0x101 (audio MPEG-1 of program 1) at packet "), "{text}");

    let without = |pid: u16| {
        let kept = |packet: &&[u8]| u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF != pid;
        seconds_of_synth(1).chunks_exact(188).filter(kept).collect::<Vec<_>>().concat()
    };
    let text = table(&of_packets(&without(0x1000)));
    assert!(text.contains("\n  PMT on PID 0x1000 never came\n"), "{text}");
    let report = of_packets(&without(0));
    assert_eq!((report.pids[&0x100].kind, report.pids[&0x11].kind), ("unknown", "table"));
    let text = table(&report);
    assert!(text.contains("\nNo program: no PAT came\n"), "{text}");
}

#[test]
fn the_table_fits_a_terminal_whatever_the_stream_calls_itself() {
    let mut report = fixture("rtp-loss");
    report.left_out = 3;
    for indicator in Indicator::ALL {
        let mut worst = report.indicators.report(Indicator::ContinuityCountError).clone();
        (worst.count, worst.state, worst.priority) = (u64::MAX, true, indicator.priority());
        *report.indicators.report_mut(indicator) = worst;
    }
    let program = &mut report.programs[0];
    program.service = Some("\x1b[31mNews ".repeat(40));
    program.provider = Some("x".repeat(400));
    let stream = &mut program.streams[0];
    (stream.announces_captions, stream.language) = (true, Some("\x07\x08\x1b".into()));
    stream.contents =
        Some(ContentsReport { access_units: u64::MAX, missing: u64::MAX, uneven: 1, ..Default::default() });
    let plain = table(&report);
    for line in plain.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert!(
        plain.contains("captions announced and not seen") && plain.contains("and 3 programs and streams more"),
        "{plain}"
    );
    let painted = coloured(&report);
    assert!(painted.contains("\x1b[31m1.4 ") && painted.contains("\x1b[33m2.1 "), "{painted}");
    assert_eq!(painted.lines().count(), plain.lines().count());
    let bare: String = painted
        .split('\x1b')
        .map(|it| it.split_once('m').filter(|(code, _)| code.starts_with('[')).map_or(it, |(_, rest)| rest))
        .collect();
    assert_eq!(bare, plain, "the same words");
}

#[test]
fn a_stream_that_stands_still_in_a_monitor_is_raised_at_its_time() {
    let mut monitor = Monitor::new(Framing::Auto);
    let at = |ms: i64| Instant::from_nanos(5_000_000_000 + ms * 1_000_000);
    let mut ms = 0;
    for datagram in seconds_of_synth(1).chunks(7 * 188) {
        ms = ms.max(0) + 1;
        monitor.datagram(at(ms), datagram);
    }
    monitor.advance(at(3_000));
    let report = monitor.report();
    let pid_error = report.indicators.report(Indicator::PidError);
    assert!(pid_error.state && pid_error.count == 2, "{pid_error:?}");
    let last = f64::from(i32::try_from(ms).unwrap() - 1) / 1e3;
    assert!(pid_error.first.unwrap() > last + 0.9 && pid_error.last.unwrap() <= last + 1.001, "{pid_error:?}");
    assert!((report.seconds - 2.999).abs() < 1e-9, "{}", report.seconds);
}
