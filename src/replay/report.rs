//! What an analysis found: one JSON object, or a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::source;
use crate::tr101290::Indicator;
use crate::transport;
use crate::ts::PACKET_SIZE;
use crate::units::{BitRate, Pid};

/// How wide the table is, in characters.
pub const WIDTH: usize = 100;

/// What an analysis found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// TS packets analysed.
    pub packets: u64,
    /// How long they take, from the first to the last.
    pub seconds: f64,
    /// Bits a second of the whole stream.
    pub bit_rate: u64,
    /// Every indicator.
    pub indicators: Indicators,
    /// The programs of the last PAT, by number.
    pub programs: Vec<ProgramReport>,
    /// Every PID that was seen.
    pub pids: BTreeMap<u16, PidReport>,
    /// How the file was read, where the source is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<source::Figures>,
    /// What was wrong with datagrams before they were TS packets, where the source is a network or a capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<transport::Figures>,
}

/// One figure for each indicator, in the order of the tables of ETSI TR 101 290.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicators([IndicatorReport; Indicator::COUNT]);

impl Default for Indicators {
    fn default() -> Self {
        let mut all = Self(
            Indicator::ALL
                .map(|indicator| IndicatorReport { priority: indicator.priority(), ..IndicatorReport::default() }),
        );
        // Until somebody has measured it.
        all.report_mut(Indicator::PcrAccuracyError).measurable = Some(false);
        all
    }
}

impl Indicators {
    /// That of one indicator.
    pub fn report(&self, indicator: Indicator) -> &IndicatorReport {
        &self.0[indicator.index()]
    }

    /// That of one indicator, to fill in.
    pub fn report_mut(&mut self, indicator: Indicator) -> &mut IndicatorReport {
        &mut self.0[indicator.index()]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Indicator, &IndicatorReport)> {
        Indicator::ALL.into_iter().zip(&self.0)
    }
}

impl Serialize for Indicators {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Indicator::COUNT))?;
        for (indicator, report) in self.iter() {
            map.serialize_entry(indicator.name(), report)?;
        }
        map.end()
    }
}

/// One indicator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IndicatorReport {
    /// 1 or 2.
    pub priority: u8,
    /// How many events there were.
    pub count: u64,
    /// When the first one was, in seconds from the start.
    pub first: Option<f64>,
    /// When the last one was.
    pub last: Option<f64>,
    /// Whether the thing is missing at the end.
    pub state: bool,
    /// Whether it can be told at all, for the indicator of which that depends on the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurable: Option<bool>,
    /// The latest events, the oldest first.
    pub latest: Vec<Occurrence>,
}

/// One event of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Occurrence {
    /// When, in seconds from the start.
    pub at: f64,
    /// How many packets came before it.
    pub packet: u64,
    /// On which PID; none where it is the whole stream's.
    pub pid: Option<u16>,
    /// Of which program; none where it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<u16>,
}

/// One program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProgramReport {
    /// program_number.
    pub number: u16,
    /// PCR_PID; none until the PMT came, or where the program has no PCR.
    pub pcr_pid: Option<u16>,
    /// The name of the service, where an SDT gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its elementary streams, in the order of the PMT.
    pub streams: Vec<StreamReport>,
}

/// One elementary stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// elementary_PID.
    pub pid: u16,
    /// `video`, `audio`, `subtitles`, `data` and the like.
    pub kind: &'static str,
    /// `H.264`, `AC-3` and the like.
    pub codec: &'static str,
    /// ISO 639-2 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// One PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PidReport {
    /// Its packets.
    pub packets: u64,
    /// Bits a second over the whole time.
    pub bit_rate: u64,
}

impl Report {
    /// Whether no indicator of the first priority was raised.
    pub fn is_clean(&self) -> bool {
        self.indicators.iter().all(|(_, report)| report.priority != 1 || report.count == 0 && !report.state)
    }
}

/// The report as a table of at most [`WIDTH`] characters a line, in plain text.
pub fn table(report: &Report) -> String {
    render(report, Palette::PLAIN)
}

/// The same with the colours of a terminal (ECMA-48 SGR).
pub fn coloured(report: &Report) -> String {
    render(report, Palette::COLOURED)
}

#[derive(Clone, Copy)]
struct Palette {
    good: &'static str,
    warning: &'static str,
    bad: &'static str,
    quiet: &'static str,
    strong: &'static str,
    end: &'static str,
}

impl Palette {
    const PLAIN: Self = Self { good: "", warning: "", bad: "", quiet: "", strong: "", end: "" };
    const COLOURED: Self = Self {
        good: "\x1b[32m",
        warning: "\x1b[33m",
        bad: "\x1b[31m",
        quiet: "\x1b[2m",
        strong: "\x1b[1m",
        end: "\x1b[0m",
    };
}

/// Writing to a `String` cannot fail, so its results are let go throughout.
fn render(report: &Report, palette: Palette) -> String {
    let mut out = String::new();
    let rate = BitRate(report.bit_rate);
    let _ = writeln!(out, "{} packets in {:.3} s, {rate}", grouped(report.packets), report.seconds);
    if let Some(file) = &report.file {
        file_lines(&mut out, file);
    }
    if let Some(transport) = &report.transport {
        transport_lines(&mut out, transport);
    }
    for priority in [1, 2] {
        let name = if priority == 1 { "First priority" } else { "Second priority" };
        let Palette { strong, end, .. } = palette;
        let head = format!("{:<41}{:>10}  {:>11}  {:>11}  now", name, "events", "first", "last");
        let _ = writeln!(out, "\n{strong}{head}{end}");
        for (indicator, figures) in report.indicators.iter().filter(|(_, figures)| figures.priority == priority) {
            indicator_line(&mut out, indicator, figures, palette);
        }
    }
    programs(&mut out, report, palette);
    pids(&mut out, report, palette);
    out
}

fn file_lines(out: &mut String, file: &source::Figures) {
    match (file.pcr_pid, file.assumed_bit_rate) {
        (Some(pid), None) => {
            let _ = writeln!(out, "time from the PCRs of PID {}", pid_name(pid));
        }
        (Some(pid), Some(rate)) => {
            let packets = grouped(file.assumed_packets);
            let _ = writeln!(
                out,
                "time from the PCRs of PID {}; {packets} packets without one at {}, as assumed",
                pid_name(pid),
                BitRate(rate)
            );
        }
        (None, Some(rate)) => {
            let _ = writeln!(out, "no PCR: all times are at {}, as assumed (--bit-rate sets another)", BitRate(rate));
        }
        (None, None) => {}
    }
    if file.packet_size != PACKET_SIZE {
        let _ = writeln!(out, "packets of {} bytes", file.packet_size);
    }
    for (count, what) in [
        (file.leading_bytes, "bytes before the first packet"),
        (file.trailing_bytes, "bytes of a part of a packet at the end"),
        (file.resynchronisations, "times packets were found again in another grid"),
        (file.discontinuities, "times the PCRs did not go on from the one before"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{} {what}", grouped(count));
        }
    }
}

fn transport_lines(out: &mut String, transport: &transport::Figures) {
    let _ = writeln!(out, "{} datagrams, {} of them RTP", grouped(transport.datagrams), grouped(transport.rtp));
    for (count, what) in [
        (transport.foreign, "datagrams without any TS packet"),
        (transport.odd, "datagrams of a length that no number of packets makes"),
        (transport.rtp_lost, "RTP datagrams lost"),
        (transport.rtp_reordered, "RTP datagrams put back in order"),
        (transport.rtp_late, "RTP datagrams twice or too late"),
        (transport.rtp_restarts, "times the RTP sequence began anew"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{} {what}", grouped(count));
        }
    }
}

fn indicator_line(out: &mut String, indicator: Indicator, figures: &IndicatorReport, palette: Palette) {
    let Palette { good, warning, bad, quiet, end, .. } = palette;
    let name = format!("{:<6} {}", indicator.number(), indicator.name());
    if figures.measurable == Some(false) {
        let _ = writeln!(out, "{quiet}{name:<41}{:>10}{end}", "cannot be told");
        return;
    }
    let colour = match (figures.count, figures.priority) {
        (0, _) if !figures.state => good,
        (_, 1) => bad,
        _ => warning,
    };
    let time = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.3} s"));
    let (first, last) = (time(figures.first), time(figures.last));
    let state = if figures.state { "raised" } else { "-" };
    let count = grouped(figures.count);
    let _ = writeln!(out, "{colour}{name:<41}{count:>10}  {first:>11}  {last:>11}  {state}{end}");
}

fn programs(out: &mut String, report: &Report, palette: Palette) {
    let Palette { strong, end, .. } = palette;
    for program in &report.programs {
        let mut head = format!("Program {}", program.number);
        if let Some(service) = &program.service {
            let _ = write!(head, " {:?}", clipped(service, 40));
        }
        match program.pcr_pid {
            Some(pid) => {
                let _ = write!(head, ", PCR on PID {}", pid_name(pid));
            }
            None => head.push_str(", no PCR"),
        }
        let _ = writeln!(out, "\n{strong}{head}{end}");
        for stream in &program.streams {
            let rate = report
                .pids
                .get(&stream.pid)
                .map_or_else(|| "no packet".to_owned(), |pid| BitRate(pid.bit_rate).to_string());
            let language = stream.language.as_deref().unwrap_or_default();
            let _ = writeln!(
                out,
                "  {:<14}{:<12}{:<26}{:<5}{rate:>14}",
                pid_name(stream.pid),
                clipped(stream.kind, 11),
                clipped(stream.codec, 25),
                clipped(language, 4),
            );
        }
    }
}

fn pids(out: &mut String, report: &Report, palette: Palette) {
    let Palette { strong, end, .. } = palette;
    if report.pids.is_empty() {
        return;
    }
    let head = format!("{:<16}{:<38}{:>14}{:>16}", "PID", "", "packets", "rate");
    let _ = writeln!(out, "\n{strong}{head}{end}");
    for (&pid, figures) in &report.pids {
        let use_of = clipped(&use_of(report, pid), 37);
        let rate = BitRate(figures.bit_rate).to_string();
        let _ = writeln!(out, "{:<16}{use_of:<38}{:>14}{rate:>16}", pid_name(pid), grouped(figures.packets));
    }
}

/// What a PID is for, as far as the report knows.
fn use_of(report: &Report, pid: u16) -> String {
    match Pid::new(pid) {
        Pid::PAT => return "PAT".to_owned(),
        Pid::CAT => return "CAT".to_owned(),
        Pid::NULL => return "null packets".to_owned(),
        _ => {}
    }
    let mut uses = Vec::new();
    for program in &report.programs {
        for stream in program.streams.iter().filter(|stream| stream.pid == pid) {
            uses.push(format!("{} of {}", stream.kind, program.number));
        }
        if program.pcr_pid == Some(pid) && program.streams.iter().all(|stream| stream.pid != pid) {
            uses.push(format!("PCR of {}", program.number));
        }
    }
    uses.join(", ")
}

/// As people look for it: `256 (0x100)`.
fn pid_name(pid: u16) -> String {
    format!("{pid} ({pid:#x})")
}

/// At most `most` characters, and none that would move a terminal's cursor.
fn clipped(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// With a comma every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let mut report = Report { packets: 1_234_567, seconds: 12.3, bit_rate: 10_000_000, ..Report::default() };
        let continuity = report.indicators.report_mut(Indicator::ContinuityCountError);
        continuity.count = 3;
        continuity.first = Some(1.25);
        continuity.last = Some(9.1);
        continuity.latest.push(Occurrence { at: 9.1, packet: 812, pid: Some(256), program: None });
        report.indicators.report_mut(Indicator::PatError2).state = true;
        let stream = |pid, kind, codec, language: Option<&str>| StreamReport {
            pid,
            kind,
            codec,
            language: language.map(str::to_owned),
        };
        report.programs.push(ProgramReport {
            number: 1,
            pcr_pid: Some(256),
            service: Some("News \x1b[31m HD".into()),
            streams: vec![stream(256, "video", "H.264", None), stream(257, "audio", "AC-3", Some("deu"))],
        });
        report.pids.insert(0, PidReport { packets: 25, bit_rate: 15_040 });
        report.pids.insert(256, PidReport { packets: 900, bit_rate: 9_000_000 });
        report.pids.insert(8191, PidReport { packets: 1, bit_rate: 1_000 });
        report
    }

    #[test]
    fn the_json_has_every_indicator_in_the_order_of_the_tables() {
        let json = serde_json::to_string(&sample()).unwrap();
        let mut rest = json.as_str();
        for indicator in Indicator::ALL {
            let key = format!("\"{}\":{{\"priority\":{},\"count\":", indicator.name(), indicator.priority());
            let at = rest.find(&key).unwrap_or_else(|| panic!("{key} in {rest}"));
            rest = &rest[at..];
        }
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["packets"], 1_234_567);
        assert_eq!(value["seconds"], 12.3);
        let continuity = &value["indicators"]["continuity_count_error"];
        assert_eq!(
            *continuity,
            serde_json::json!({"priority": 1, "count": 3, "first": 1.25, "last": 9.1, "state": false,
                               "latest": [{"at": 9.1, "packet": 812, "pid": 256}]})
        );
        assert_eq!(value["indicators"]["pcr_accuracy_error"]["measurable"], false);
        assert_eq!(
            value["programs"],
            serde_json::json!([{"number": 1, "pcr_pid": 256, "service": "News \u{1b}[31m HD", "streams": [
                {"pid": 256, "kind": "video", "codec": "H.264"},
                {"pid": 257, "kind": "audio", "codec": "AC-3", "language": "deu"}]}])
        );
        assert_eq!(value["pids"]["256"], serde_json::json!({"packets": 900, "bit_rate": 9_000_000}));
    }

    #[test]
    fn the_table_fits_a_terminal_and_has_no_control_character_unless_asked() {
        let mut report = sample();
        report.file = Some(source::Figures { packet_size: 204, leading_bytes: 3, ..source::Figures::default() });
        report.transport = Some(transport::Figures { datagrams: 7, rtp_lost: 2, ..transport::Figures::default() });
        let plain = table(&report);
        for line in plain.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        for text in [
            "1,234,567 packets in 12.300 s, 10.00 Mb/s",
            "packets of 204 bytes",
            "3 bytes before the first packet",
            "2 RTP datagrams lost",
            "1.4    continuity_count_error                     3      1.250 s      9.100 s  -",
            "1.3.a  pat_error_2                                0            -            -  raised",
            "cannot be told",
            "Program 1 \"News [31m HD\", PCR on PID 256 (0x100)",
            "no packet",
            "null packets",
        ] {
            assert!(plain.contains(text), "{text} in\n{plain}");
        }
        assert!(coloured(&report).contains("\x1b[31m1.4"));
    }

    #[test]
    fn a_report_is_clean_while_nothing_was_raised() {
        assert!(Report::default().is_clean());
        assert!(!sample().is_clean());
    }
}
