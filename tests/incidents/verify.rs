//! Replays a committed incident and holds what comes out to what was committed, and to what any output obeys.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use changeover::config::Plan;
use changeover::replay::capture::Capture;
use changeover::replay::{Summary, replay};
use changeover::tr101290::{Analyser, Indicator, Settings};
use changeover::ts;
use changeover::units::{Instant, Pid, Ticks27M};
use serde_json::Value;

use super::{Datagram, Incident, Stream, Ts};

/// How the captures and journals are made anew.
const ACCEPT: &str = "CHANGEOVER_FIXTURES=write cargo test --test fixtures";
/// How many lines of a difference are shown.
const SHOWN: usize = 12;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pcap-fixtures")
}

fn writing() -> bool {
    std::env::var_os("CHANGEOVER_FIXTURES").is_some_and(|value| value == "write")
}

/// What an incident came to.
pub struct Outcome {
    pub incident: Incident,
    pub summary: Summary,
    pub journal: Vec<Value>,
    /// The output's datagrams behind their RTP headers, timed from the first datagram that went in.
    pub out: Vec<Datagram>,
}

/// Replays an incident from its files, and checks all that goes for every one.
pub fn run(incident: Incident) -> Outcome {
    let name = incident.name;
    let capture = folder().join(format!("{name}.pcapng"));
    let made = incident.capture();
    if writing() {
        std::fs::write(&capture, &made).unwrap();
    }
    let committed = std::fs::read(&capture).unwrap_or_default();
    if let Some(byte) = (0..made.len().max(committed.len())).find(|&i| made.get(i) != committed.get(i)) {
        panic!("{name}.pcapng is not what the generator makes, from byte {byte} on. To accept the new one: {ACCEPT}");
    }

    let (plan, warnings) = Plan::load(&folder().join(format!("{name}.yaml"))).unwrap();
    assert!(warnings.is_empty(), "{name}: {warnings:?}");
    let (summary, journal, written) = once(&plan, &capture);
    let (_, again, written_again) = once(&plan, &capture);
    assert_eq!(journal, again, "{name}: the second replay tells something else");
    assert!(written == written_again, "{name}: the second replay sends something else");
    assert_eq!(summary.warnings(), [""; 0], "{name}");
    assert_eq!(summary.unwanted, [], "{name}");

    let path = folder().join(format!("{name}.journal"));
    if writing() {
        std::fs::write(&path, &journal).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(difference) = difference(&expected, &journal) {
        panic!("the replay of {name} tells something else than {name}.journal:\n{difference}To accept it: {ACCEPT}");
    }

    let journal = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let out = read_output(written, summary.origin.unwrap(), plan.channels[0].outputs[0].rtp);
    let outcome = Outcome { incident, summary, journal, out };
    outcome.check();
    outcome
}

fn once(plan: &Plan, capture: &Path) -> (Summary, String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcapng");
    let mut journal = Vec::new();
    let summary = replay(plan, &[capture.to_owned()], Some(&out), Some(&mut journal)).unwrap();
    (summary, String::from_utf8(journal).unwrap(), std::fs::read(&out).unwrap())
}

/// The lines in which two texts differ, those that only the middle has; none where they are the same.
pub fn difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same..], &new[same..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut text = format!("from line {} on\n", same + 1);
    for (word, lines) in [("expected", &old[..old.len() - tail]), ("got     ", &new[..new.len() - tail])] {
        for line in lines.iter().take(SHOWN) {
            writeln!(text, "  {word} {line}").unwrap();
        }
        match lines.len() {
            0 => writeln!(text, "  {word} nothing").unwrap(),
            more if more > SHOWN => writeln!(text, "  {word} … and {} lines more", more - SHOWN).unwrap(),
            _ => {}
        }
    }
    Some(text)
}

/// The output's datagrams; RTP's sequence numbers must run on.
fn read_output(bytes: Vec<u8>, origin: i64, rtp: bool) -> Vec<Datagram> {
    let mut capture = Capture::read_from(Path::new("output"), std::io::Cursor::new(bytes)).unwrap();
    let mut datagrams = Vec::new();
    let mut sequence = None;
    while let Some(datagram) = capture.read().unwrap() {
        let mut payload = datagram.payload;
        if rtp {
            let (header, rest) = payload.split_first_chunk::<12>().unwrap();
            let number = u16::from_be_bytes([header[2], header[3]]);
            assert!(sequence.is_none_or(|last: u16| number == last.wrapping_add(1)), "{sequence:?}, then {number}");
            (sequence, payload) = (Some(number), rest);
        }
        assert!(payload.len().is_multiple_of(188) && (188..=7 * 188).contains(&payload.len()), "{}", payload.len());
        datagrams.push(Datagram { at: datagram.at - origin, bytes: payload.to_vec() });
    }
    datagrams
}

/// A packet without what a cut may rewrite: the continuity counter and discontinuity_indicator.
fn essence(packet: &Ts) -> Ts {
    let mut packet = *packet;
    let has_flags = packet[3] & 0x20 != 0 && packet[4] > 0;
    packet[3] &= 0xF0;
    if has_flags {
        packet[5] &= 0x7F;
    }
    packet
}

/// The packets of the streams that went in, however they were packed.
pub fn packets_of(stream: &Stream) -> impl Iterator<Item = Ts> + '_ {
    stream.0.iter().flat_map(|datagram| {
        let bytes = match datagram.bytes.len() {
            len if len % 188 == 12 && datagram.bytes[0] == 0x80 => &datagram.bytes[12..],
            _ => &datagram.bytes,
        };
        let size = if bytes.len() % 188 != 0 && bytes.len() % 204 == 0 { 204 } else { 188 };
        bytes.chunks(size).filter_map(|packet| packet.first_chunk().copied()).filter(|packet: &Ts| packet[0] == 0x47)
    })
}

impl Outcome {
    /// The packets that came out.
    pub fn packets(&self) -> impl Iterator<Item = &Ts> {
        self.out.iter().flat_map(|datagram| datagram.bytes.as_chunks::<188>().0)
    }

    /// The events of a kind, in their order.
    pub fn events(&self, event: &str) -> Vec<&Value> {
        self.journal.iter().filter(|line| line["event"] == event).collect()
    }

    /// When a criterion of an input was raised, each time; what the end of the capture brings about left aside.
    pub fn raised(&self, input: &str, criterion: &str) -> Vec<f64> {
        let lines = self.events("raised").into_iter();
        let lines = lines.filter(|line| line["input"] == input && line["criterion"] == criterion);
        lines.map(|line| line["t"].as_f64().unwrap()).filter(|t| *t <= self.summary.seconds).collect()
    }

    /// Where each switch went and why, after the start.
    pub fn switches(&self) -> Vec<(&str, &str)> {
        let text = |value: &'_ Value| value.as_str().map(str::to_owned);
        let switches = self.events("switch");
        let first = (text(&switches[0]["to"]), text(&switches[0]["reason"]));
        assert_eq!(first, (Some("main".into()), Some("start".into())), "{}", self.incident.name);
        switches.iter().skip(1).map(|s| (s["to"].as_str().unwrap(), s["reason"].as_str().unwrap())).collect()
    }

    /// The only input that has a packet, for each packet of the output that only one has.
    pub fn owners(&self) -> Vec<Option<usize>> {
        let mut known: HashMap<Ts, Option<usize>> = HashMap::new();
        for (input, flow) in self.incident.flows.iter().enumerate() {
            for packet in packets_of(&flow.stream) {
                let owner = known.entry(essence(&packet)).or_insert(Some(input));
                *owner = owner.filter(|&owner| owner == input);
            }
        }
        let name = self.incident.name;
        let owner = |packet: &Ts| *known.get(&essence(packet)).unwrap_or_else(|| panic!("{name}: an invented packet"));
        self.packets().map(owner).collect()
    }

    /// How many datagrams of the output have packets of both inputs.
    pub fn mixed(&self) -> usize {
        let owners = self.owners();
        let mut rest = owners.as_slice();
        let mut mixed = 0;
        for datagram in &self.out {
            let (now, later) = rest.split_at(datagram.bytes.len() / 188);
            mixed += usize::from(now.iter().flatten().collect::<HashSet<_>>().len() > 1);
            rest = later;
        }
        mixed
    }

    fn check(&self) {
        let name = self.incident.name;
        let times: Vec<f64> = self.journal.iter().map(|line| line["t"].as_f64().unwrap()).collect();
        assert!(times.is_sorted(), "{name}: the journal goes back in time");
        assert!(self.out.is_sorted_by_key(|datagram| datagram.at), "{name}: the output goes back in time");

        // every packet came in, and from the input that the journal says was on air
        let mut turns: Vec<usize> = self.owners().into_iter().flatten().collect();
        turns.dedup();
        let told: Vec<usize> = self.events("switch").iter().map(|switch| usize::from(switch["to"] != "main")).collect();
        assert_eq!(turns, told, "{name}: whose packets came out, in turn, and whose should have");

        let mut analyser = Analyser::new(&Settings::default());
        let mut errors = Vec::new();
        for datagram in &self.out {
            for packet in datagram.bytes.as_chunks().0 {
                let before = analyser.count(Indicator::ContinuityCountError).events();
                analyser.packet(Instant::from_nanos(datagram.at), packet, &mut ());
                if analyser.count(Indicator::ContinuityCountError).events() > before {
                    errors.push(datagram.at as f64 / 1e9);
                }
            }
        }
        let passed_on = usize::try_from(self.incident.passed_on).unwrap();
        assert_eq!(errors.len(), passed_on, "{name}: continuity count errors in the output at {errors:?}");
        for indicator in
            [Indicator::SyncByteError, Indicator::TransportError, Indicator::PcrDiscontinuityIndicatorError]
        {
            assert_eq!(analyser.count(indicator).events(), 0, "{name}: {} in the output", indicator.name());
        }
        self.check_clock();
    }

    /// PCRs step by 0…100 ms, or the step is signalled and in the journal, and nothing else is.
    fn check_clock(&self) {
        let name = self.incident.name;
        let mut last: HashMap<Pid, Ticks27M> = HashMap::new();
        let mut signalled = Vec::new();
        for bytes in self.packets() {
            let packet = ts::Packet::new(bytes);
            let Some(pcr) = packet.pcr() else { continue };
            let step = last.insert(packet.pid(), pcr).map(|before| pcr.step_from(before) as f64 / 27_000.0);
            if packet.discontinuity_indicator() {
                signalled.push(step.unwrap());
            } else if let Some(step) = step {
                assert!((0.0..=100.0).contains(&step), "{name}: a PCR steps by {step} ms unsignalled");
            }
        }
        let told: Vec<f64> = self.events("clock_step").iter().map(|line| line["step_ms"].as_f64().unwrap()).collect();
        assert_eq!(signalled.len(), told.len(), "{name}: steps in the output {signalled:?}, in the journal {told:?}");
        for (step, told) in signalled.iter().zip(&told) {
            assert!((step - told).abs() < 0.001, "{name}: a step of {step} ms is told as {told} ms");
        }
    }
}
