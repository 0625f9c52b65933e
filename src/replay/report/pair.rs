//! Two streams side by side, and how they stand to each other.

use serde::Serialize;

use super::super::kinship::ForecastView;
use super::page::{Page, Style};
use super::words::{clipped, count, grouped, pid_name, rate, stream_words};
use super::{Report, SCHEMA};

/// The schema of a pair, but for that of each of the two.
const PAIR: &str = include_str!("pair.schema.json");
/// What stands in its place.
const REPORT: &str = "\"the schema of one source\"";
/// Where the columns of the two begin.
const COLUMN: usize = 18;
/// How wide each is.
const COLUMN_WIDTH: usize = 40;
/// Where lines of words go on.
const INDENT: usize = 2;

/// What the JSON of two sources is, as JSON Schema (draft 2020-12); that of each of the two is in it.
pub fn pair_schema() -> String {
    PAIR.replace(REPORT, SCHEMA.trim_end())
}

/// Two analyses, and how the second stream stands to the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PairReport {
    /// The first.
    pub a: Report,
    /// The second.
    pub b: Report,
    /// How it stands.
    pub kinship: KinshipReport,
}

impl PairReport {
    /// Whether in neither an indicator of the first priority was raised.
    pub fn is_clean(&self) -> bool {
        self.a.is_clean() && self.b.is_clean()
    }
}

/// How the second of two streams stands to the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KinshipReport {
    /// Whose time skews are in: `capture`, `file`, `mixed` or `arrival`.
    pub time: &'static str,
    /// How far apart two streams may be and still be merged.
    pub window_ms: f64,
    /// How much of them was compared.
    pub seconds: f64,
    /// `unknown`, `identical`, `out_of_window`, `locked` or `independent`.
    pub relation: &'static str,
    /// How sure that is, 0…100.
    pub sureness: u8,
    /// How much later the second comes, where it has the same packets.
    pub skew_ms: Option<f64>,
    /// The same in packets.
    pub skew_packets: Option<i64>,
    /// How much the clock of the second is ahead, where they are locked.
    pub ahead_ms: Option<f64>,
    /// How much more that becomes.
    pub drift_ppm: Option<f64>,
    /// When it was first known how they stand.
    pub known_s: Option<f64>,
    /// Since when they stand as they do.
    pub since_s: Option<f64>,
    /// What it rests on.
    pub evidence: EvidenceReport,
    /// What became of the packets of each.
    pub feeds: FeedsReport,
    /// What a switch from the first to the second would have cost at the end.
    pub forecast: Option<ForecastView>,
    /// How it changed, at most 20 times.
    pub changes: Vec<ChangeReport>,
    /// Changes beyond those.
    pub changes_left_out: u64,
}

/// What a kinship rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EvidenceReport {
    /// Packets with a PCR in the second.
    pub anchors: u32,
    /// Those that the first has too, with the same packets before them.
    pub matched: u32,
    /// Packets before them that were the same.
    pub neighbours: u32,
    /// Those found twice, or with other packets before them.
    pub refused: u32,
    /// When one last matched.
    pub last_match_s: Option<f64>,
}

/// What became of the packets of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FeedsReport {
    /// Whether they were the same for long enough that it could be told.
    pub counted: bool,
    /// The first.
    pub a: FeedReport,
    /// The second.
    pub b: FeedReport,
}

/// What became of the packets of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FeedReport {
    /// All that came while the two were compared.
    pub packets: u64,
    /// Those that the other has too.
    pub matched: u64,
    /// Those that it has not.
    pub alone: u64,
    /// Those of the other that this one has not.
    pub missing: u64,
    /// Those that came after their place had passed.
    pub late: u64,
    /// Those that have no place among the other's.
    pub stray: u64,
    /// Those of which the other has a better copy.
    pub damaged: u64,
}

/// A change of how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ChangeReport {
    /// When it was seen.
    pub at: f64,
    /// How they stand from then on.
    pub relation: &'static str,
    /// As in [`KinshipReport`].
    pub skew_ms: Option<f64>,
    /// As in [`KinshipReport`].
    pub skew_packets: Option<i64>,
    /// As in [`KinshipReport`].
    pub ahead_ms: Option<f64>,
}

/// The two side by side and how they stand, in lines of at most [`WIDTH`](super::WIDTH) characters of plain text.
/// `names` are those of the sources.
pub fn pair_table(report: &PairReport, names: [&str; 2]) -> String {
    render(report, names, Page::new(false))
}

/// The same lines with the colours of a terminal (ECMA-48 SGR).
pub fn coloured_pair(report: &PairReport, names: [&str; 2]) -> String {
    render(report, names, Page::new(true))
}

fn render(report: &PairReport, names: [&str; 2], mut page: Page) -> String {
    let both = [&report.a, &report.b];
    row(&mut page, Style::Strong, "", ["A", "B"].map(str::to_owned));
    row(&mut page, Style::Plain, "source", names.map(|name| ending(name, COLUMN_WIDTH)));
    row(&mut page, Style::Plain, "packets", both.map(|it| grouped(it.packets)));
    row(&mut page, Style::Plain, "seconds", both.map(|it| format!("{:.3}", it.seconds)));
    row(&mut page, Style::Plain, "rate", both.map(|it| rate(it.bit_rate)));
    let lost = both.iter().any(|it| it.missing_packets > 0);
    let style = if lost { Style::Warning } else { Style::Plain };
    row(&mut page, style, "missing packets", both.map(|it| grouped(it.missing_packets)));
    let style = if report.is_clean() { Style::Good } else { Style::Bad };
    row(&mut page, style, "first priority", both.map(first_priority));
    let [a, b] = both.map(contents);
    for i in 0..a.len().max(b.len()) {
        let cell = |cells: &[(String, String)]| cells.get(i).map(|(_, words)| words.clone()).unwrap_or_default();
        let label = a.get(i).or_else(|| b.get(i)).map_or("", |(label, _)| label);
        row(&mut page, Style::Plain, label, [cell(&a), cell(&b)]);
    }
    kinship(&mut page, &report.kinship);
    page.into_text()
}

fn row(page: &mut Page, style: Style, label: &str, cells: [String; 2]) {
    let [a, b] = cells.map(|cell| clipped(&cell, COLUMN_WIDTH));
    page.line(style, format!("{label:<COLUMN$}{a:<width$}{b}", width = COLUMN_WIDTH + 1).trim_end());
}

/// The end of a name is what tells it from others.
fn ending(name: &str, most: usize) -> String {
    let len = name.chars().count();
    name.chars().skip(len.saturating_sub(most)).collect()
}

fn first_priority(report: &Report) -> String {
    let raised = report.indicators.iter().filter(|(_, it)| it.priority == 1 && it.is_raised()).count();
    match raised {
        0 => "none raised".to_owned(),
        raised => format!("{raised} raised"),
    }
}

/// Programs and streams, a line each.
fn contents(report: &Report) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for program in &report.programs {
        let service = program.service.as_deref().map(|name| format!(" \"{}\"", clipped(name, 20))).unwrap_or_default();
        lines.push(("program".to_owned(), format!("{}{service}, {}", program.number, rate(program.bit_rate))));
        for stream in &program.streams {
            let language = stream.language.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
            let words = stream_words(stream.kind, stream.codec, stream.stream_type);
            lines.push(("  stream".to_owned(), format!("{} {words}{language}", pid_name(stream.pid))));
        }
    }
    lines
}

fn kinship(page: &mut Page, it: &KinshipReport) {
    page.head(&format!("How B stands to A: {}", standing(it.relation, it.skew_ms, it.skew_packets, it.ahead_ms)));
    let mut say = |style, words: &str| page.wrapped(style, "", INDENT, words);
    say(
        Style::Quiet,
        match it.time {
            "capture" => "Times are those of the captures, so that a skew is what it was.",
            "arrival" => "Times are those at which both came here.",
            "file" => "Each file is in the time of its own PCRs from 0 on, so that a skew is by the place in the file.",
            _ => {
                "A file has no time but its own, from 0 on, so that a skew is by the place in the file and the capture."
            }
        },
    );
    if let Some(drift) = it.drift_ppm {
        say(Style::Plain, &format!("the clock of B gains {drift:.3} ppm on that of A"));
    }
    if let (Some(known), Some(since)) = (it.known_s, it.since_s) {
        let sureness = it.sureness;
        say(Style::Plain, &format!("first known after {known:.3} s, so since {since:.3} s, sure to {sureness} %"));
    }
    let EvidenceReport { anchors, matched, neighbours, refused, .. } = it.evidence;
    let anchors = count(u64::from(anchors), "packet", "packets");
    let words = format!("of {anchors} of B with a PCR A has {}", grouped(u64::from(matched)));
    let neighbours = grouped(u64::from(neighbours));
    say(Style::Plain, &format!("{words}, and {neighbours} of those before them; {refused} were refused"));
    if it.feeds.counted {
        let [a, b] = [it.feeds.a.alone, it.feeds.b.alone].map(|alone| count(alone, "packet", "packets"));
        say(Style::Plain, &format!("once both were merged A alone had {a}, B alone {b}"));
    }
    let (style, forecast) = match &it.forecast {
        None => (Style::Warning, "what a switch from A to B would cost cannot be known".to_owned()),
        Some(it) if it.lost == Some(0) => {
            (Style::Good, "a switch from A to B would lose no packet and repeat none".to_owned())
        }
        Some(it) => {
            let place = match (it.wait_ms, it.hole_ms, it.fallback) {
                (Some(wait), Some(hole), _) => format!(", {wait:.0} ms later, with no picture for {hole:.1} ms"),
                (None, _, Some(why)) => format!(" at the next place that fits; none at the end: {why}"),
                (_, _, Some(why)) => format!(": {why}"),
                _ => String::new(),
            };
            (Style::Warning, format!("a switch from A to B would be {}{place}", it.kind))
        }
    };
    say(style, &forecast);
    for change in &it.changes {
        let standing = standing(change.relation, change.skew_ms, change.skew_packets, change.ahead_ms);
        page.line(Style::Plain, &format!("{:>12.3} s  {standing}", change.at));
    }
    if it.changes_left_out > 0 {
        page.line(Style::Quiet, &format!("  and {}", count(it.changes_left_out, "change more", "changes more")));
    }
}

/// How they stand in words.
fn standing(relation: &str, skew_ms: Option<f64>, skew_packets: Option<i64>, ahead_ms: Option<f64>) -> String {
    let apart =
        skew_ms.map(|ms| if ms < 0.0 { format!("{:.3} ms before A", -ms) } else { format!("{ms:.3} ms after A") });
    let apart = apart.unwrap_or_default();
    let packets = skew_packets.map(|n| format!(" ({n} packets)")).unwrap_or_default();
    match relation {
        "identical" => format!("the same packets, {apart}{packets}"),
        "out_of_window" => format!("the same packets, {apart}: too far apart to be merged"),
        "locked" => format!("other packets on the same time line, {:.3} ms ahead", ahead_ms.unwrap_or(0.0)),
        "independent" => "independent".to_owned(),
        _ => "not known: there is too little to go by".to_owned(),
    }
}
