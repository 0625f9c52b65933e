//! Captures through a whole configuration: which input gets what, and what is told of the rest.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use changeover::config::{ChannelPlan, InputPlan, NodePlan, OutputPlan, Plan};
use changeover::engine::{ChannelSetup, FRAME_SIZE, InputSetup};
use changeover::replay::capture::Capture;
use changeover::replay::pcapng::{Header, Writer};
use changeover::replay::{ReplayError, Summary, replay};
use changeover::switch::policy;
use changeover::synth;
use changeover::units::{Span, Ticks27M};

const START: i64 = 1_700_000_000_000_000_000;
const MILLISECOND: i64 = 1_000_000;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An input's name, address and sources.
type Input<'a> = (&'a str, &'a str, &'a [&'a str]);
/// A channel's name, inputs and outputs.
type Channel<'a> = (&'a str, &'a [Input<'a>], &'a [&'a str]);

fn plan(channels: &[Channel<'_>]) -> Plan {
    let channel = |&(name, inputs, outputs): &Channel<'_>| ChannelPlan {
        name: name.into(),
        inputs: inputs
            .iter()
            .map(|(name, to, sources)| InputPlan {
                name: (*name).into(),
                url: format!("udp://{to}"),
                address: address(to),
                interface: None,
                sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
                receive_buffer: 1 << 20,
                domain: None,
                srt: None,
            })
            .collect(),
        outputs: outputs
            .iter()
            .map(|to| OutputPlan {
                url: format!("rtp://{to}"),
                rtp: true,
                address: address(to),
                interface: None,
                ttl: 16,
                dscp: 34,
                srt: None,
            })
            .collect(),
        setup: ChannelSetup {
            inputs: inputs.iter().map(|_| InputSetup::default()).collect(),
            policy: policy::Settings::default(),
            delay: Span::from_millis(100),
            ..ChannelSetup::default()
        },
    };
    Plan { node: NodePlan::default(), api: None, channels: channels.iter().map(channel).collect() }
}

/// A capture of datagrams, each with its time, source and destination.
fn capture(path: &Path, datagrams: &[(i64, &str, &str, &[u8])]) -> PathBuf {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for &(at, source, destination, payload) in datagrams {
        let header = Header { source: address(source), destination: address(destination), ttl: 8, dscp: 0 };
        writer.write(at, header, payload).unwrap();
    }
    std::fs::write(path, writer.finish().unwrap()).unwrap();
    path.to_owned()
}

/// Replays with all outputs: the summary, the journal, the output capture.
fn run(plan: &Plan, captures: &[PathBuf]) -> (Summary, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcapng");
    let mut journal = Vec::new();
    let summary = replay(plan, captures, Some(&out), Some(&mut journal)).unwrap();
    (summary, journal, std::fs::read(&out).unwrap())
}

#[test]
fn flows_find_their_inputs_and_the_rest_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&[
        ("one", &[("exact", "239.1.1.1:5004", &[]), ("any", "0.0.0.0:5004", &[])], &["239.9.9.9:5004"]),
        ("two", &[("chosen", "239.1.1.2:5004", &["10.0.0.2"]), ("silent", "239.1.1.3:5004", &[])], &["[ff15::9]:5004"]),
    ]);
    let ts = [0x47; 188];
    let long = [0x47; FRAME_SIZE + 1];
    let file = capture(
        &folder.path().join("a"),
        &[
            (START, "10.0.0.1:1", "239.1.1.1:5004", &ts),
            (START + MILLISECOND, "10.0.0.1:1", "239.1.1.2:5004", &ts),
            (START + 2 * MILLISECOND, "10.0.0.2:1", "239.1.1.2:5004", &ts),
            (START + 3 * MILLISECOND, "10.0.0.2:2", "239.1.1.2:5004", &long),
            (START + 4 * MILLISECOND, "10.0.0.7:1", "239.1.1.1:5006", &ts),
            (START + 5 * MILLISECOND, "10.0.0.7:2", "239.1.1.1:5006", &ts),
        ],
    );
    let (summary, ..) = run(&plan, &[file]);
    let counts: Vec<_> = summary.inputs.iter().map(|input| (input.input.as_str(), input.datagrams)).collect();
    assert_eq!(counts, [("exact", 1), ("any", 4), ("chosen", 2), ("silent", 0)]);
    assert_eq!(summary.inputs.iter().map(|input| input.oversized).sum::<u64>(), 2);
    assert_eq!((summary.datagrams, summary.capture.frames, summary.origin), (6, 6, Some(START)));
    let [flow] = summary.unwanted.as_slice() else { panic!("{:?}", summary.unwanted) };
    assert_eq!((flow.destination, flow.datagrams, flow.bytes), (address("239.1.1.1:5006"), 2, 376));
    let text = summary.to_string();
    for expected in [
        "6 datagrams in 0.005 s",
        "no input wants 10.0.0.7 to 239.1.1.1:5006: 2 datagrams, 376 bytes",
        "warning: two/silent got nothing: no datagram of the capture goes to udp://239.1.1.3:5004",
        "warning: two/chosen: 1 datagrams too long for a frame left out",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn a_damaged_capture_is_replayed_up_to_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&[("one", &[("main", "239.1.1.1:5004", &[])], &["239.9.9.9:5004"])]);
    let datagram = |at| (START + at, "10.0.0.1:1", "239.1.1.1:5004", &[0x47; 188][..]);
    let file = capture(&folder.path().join("cut"), &[datagram(0), datagram(1), datagram(2)]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let (summary, ..) = run(&plan, &[file]);
    assert_eq!(summary.datagrams, 2);
    assert!(summary.warnings()[0].contains("cut: damaged at byte"), "{:?}", summary.warnings());
}

#[test]
fn an_output_that_is_one_of_the_captures_is_refused_before_it_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&[("one", &[("main", "239.1.1.1:5004", &[])], &["239.9.9.9:5004"])]);
    let file = capture(&folder.path().join("a"), &[(START, "10.0.0.1:1", "239.1.1.1:5004", &[0x47; 188])]);
    let before = std::fs::read(&file).unwrap();
    let out = folder.path().join(".").join("a");
    let error = replay(&plan, std::slice::from_ref(&file), Some(&out), None).unwrap_err();
    assert!(error.to_string().contains("one of the captures"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn captures_of_two_days_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&[("one", &[("main", "239.1.1.1:5004", &[])], &["239.9.9.9:5004"])]);
    let datagram = |at| (at, "10.0.0.1:1", "239.1.1.1:5004", &[0x47; 188][..]);
    let first = capture(&folder.path().join("a"), &[datagram(START)]);
    let second = capture(&folder.path().join("b"), &[datagram(START + 100 * 3_600_000 * MILLISECOND)]);
    let error = replay(&plan, &[first, second], None, None).unwrap_err();
    assert!(matches!(error, ReplayError::Gap { datagram: 2, hours: 100 }), "{error}");
    assert!(error.to_string().contains("editcap"));
}

/// Two senders of the same stream in two captures, the first of which stops half way: the journal tells the switch, and
/// what comes out is a capture that can be read, in the time of those that went in, and the same every time.
#[test]
fn an_incident_is_replayed_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&[(
        "one",
        &[("main", "239.1.1.1:5004", &[]), ("backup", "239.1.1.2:5004", &[])],
        &["239.9.9.9:5004", "[ff15::9]:5004"],
    )]);
    let stream = synth::recording(synth::Settings::default(), Ticks27M(2 * 27_000_000));
    let datagrams: Vec<_> = stream.chunks(7 * 188).collect();
    let step = 2_000 * MILLISECOND / i64::try_from(datagrams.len()).unwrap();
    let feed = |name: &str, to: &'static str, datagrams: &[&[u8]]| {
        let times = (0_i64..).map(|index| START + index * step);
        let datagrams: Vec<_> = times.zip(datagrams).map(|(at, datagram)| (at, "10.0.0.1:1", to, *datagram)).collect();
        capture(&folder.path().join(name), &datagrams)
    };
    let captures = [
        feed("main", "239.1.1.1:5004", &datagrams[..datagrams.len() / 2]),
        feed("backup", "239.1.1.2:5004", &datagrams),
    ];
    let (summary, journal, out) = run(&plan, &captures);
    let (_, again, out_again) = run(&plan, &captures);
    assert_eq!((&journal, &out), (&again, &out_again));
    assert_eq!(summary.warnings(), [""; 0]);

    let lines = String::from_utf8(journal).unwrap();
    assert_eq!(u64::try_from(lines.lines().count()).unwrap(), summary.events);
    let mut last = 0.0;
    let mut switches = Vec::new();
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let t = value["t"].as_f64().unwrap();
        assert!(t >= last, "{line} after {last}");
        assert_eq!(value["channel"], "one");
        last = t;
        if value["event"] == "switch" {
            switches.push([value["from"].clone(), value["to"].clone(), value["reason"].clone()]);
        }
    }
    let expected = [[None, Some("main"), Some("start")], [Some("main"), Some("backup"), Some("input_loss")]];
    assert_eq!(serde_json::json!(switches), serde_json::json!(expected));
    assert_eq!(summary.switches, 2);

    let mut written = Capture::read_from(Path::new("out"), std::io::Cursor::new(out)).unwrap();
    let mut latest = START;
    let mut times = BTreeSet::new();
    while let Some(datagram) = written.read().unwrap() {
        assert!(datagram.at >= latest, "the output is in the order of time");
        latest = datagram.at;
        times.insert(datagram.at);
        assert_eq!(datagram.payload.first_chunk(), Some(&[0x80, 33]), "RTP, payload type 33");
    }
    assert_eq!(written.figures().frames, 2 * summary.output_datagrams);
    assert_eq!(written.figures().datagrams, written.figures().frames);
    // Each leaves at its own time, to the half millisecond, and not all of them when the next one comes in.
    let distinct = u64::try_from(times.len()).unwrap();
    assert!(distinct * 4 > summary.output_datagrams, "{distinct} times for {}", summary.output_datagrams);
}
