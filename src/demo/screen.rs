//! What a person sees: the screen of a terminal that is drawn again in place, or one line for each thing that happens.
//!
//! Everything here is text made of what it is given; no line is longer than [`WIDTH`] characters.

use std::fmt::Write as _;

use super::fault::{Fault, Tally};
use super::judge::{Cut, Findings};
use crate::engine::InputState;
use crate::health::CriterionSet;
use crate::tr101290::Indicator;
use crate::units::{BitRate, Span};

/// How wide the screen is, in characters.
pub const WIDTH: usize = 80;
/// The name of one of the [`errors`].
pub(super) const SEQUENCE_ERRORS: &str = "RTP sequence errors";
/// The lines of the screen that are there without any switch.
pub const LINES: usize = 19;

/// One input.
#[derive(Clone, Debug)]
pub(super) struct InputView {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is to the channel.
    pub(super) state: InputState,
    /// What is wrong with it.
    pub(super) raised: CriterionSet,
    /// What it brings.
    pub(super) bit_rate: BitRate,
}

/// One switch, and what it cost as seen at the output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// When, from the start.
    pub(super) at: Span,
    /// From which input.
    pub(super) from: &'static str,
    /// To which.
    pub(super) to: &'static str,
    /// Why.
    pub(super) reason: &'static str,
    /// How the cut was made.
    pub(super) kind: &'static str,
    /// What the judge saw.
    pub(super) cost: Cost,
}

/// What a switch cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// The packets around it have yet to come.
    Awaited,
    /// The source goes on across it as if there were none.
    Nothing,
    /// This.
    Seen(Cut),
}

/// All that the screen shows.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    /// The time since the start.
    pub(super) elapsed: Span,
    /// How long it is to last.
    pub(super) lasts: Option<Span>,
    /// The inputs.
    pub(super) inputs: &'a [InputView],
    /// What is being done to the main.
    pub(super) fault: Option<Fault>,
    /// Faults up to now.
    pub(super) tally: Tally,
    /// The rate of the output.
    pub(super) bit_rate: BitRate,
    /// What is known of the output.
    pub(super) findings: &'a Findings,
    /// The last switches, the oldest first.
    pub(super) rows: &'a [Row],
    /// The command that shows the output.
    pub(super) viewer: &'a str,
}

/// The colours of a terminal (ECMA-48 SGR), or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    good: &'static str,
    bad: &'static str,
    quiet: &'static str,
    strong: &'static str,
    end: &'static str,
}

impl Palette {
    /// None.
    pub(super) const PLAIN: Self = Self { good: "", bad: "", quiet: "", strong: "", end: "" };
    /// Few, and those of the terminal's own.
    pub(super) const COLOURED: Self =
        Self { good: "\x1b[32m", bad: "\x1b[31m", quiet: "\x1b[2m", strong: "\x1b[1m", end: "\x1b[0m" };
}

/// The screen. Writing to a `String` cannot fail, so its results are let go throughout.
pub(super) fn screen(view: &View<'_>, palette: Palette) -> String {
    let Palette { good, bad, quiet, strong, end } = palette;
    let mut out = String::new();
    let lasts = view.lasts.map_or_else(String::new, |lasts| format!(" of {:.0} s", lasts.seconds()));
    let time = format!("{:.1} s{lasts}", view.elapsed.seconds());
    let _ = writeln!(out, "{strong}changeover demo{end}   {time}   {quiet}Ctrl-C ends it{end}\n");

    let _ = writeln!(out, "{quiet}{:<9}{:<11}{:<44}{:>13}{end}", "input", "state", "health", "rate");
    for input in view.inputs {
        let colour = match input.state {
            InputState::Active => good,
            InputState::Unhealthy => bad,
            InputState::Hot | InputState::Warm | InputState::Disabled => "",
        };
        let state = if input.state == InputState::Active { "ON AIR" } else { input.state.name() };
        let rate = input.bit_rate.to_string();
        let health = clipped(&health(input.raised), 43);
        let _ = writeln!(out, "{:<9}{colour}{state:<11}{end}{health:<44}{rate:>13}", clipped(input.name, 8));
    }
    let doing = match view.fault {
        Some(fault) => format!("{bad}{}{end}: {}", fault.name(), fault.description()),
        None => "nothing".to_owned(),
    };
    let Tally { made, left, returned } = view.tally;
    let _ = writeln!(out, "\n{quiet}{:<20}{end}{doing}", "done to the main");
    let _ = writeln!(out, "{quiet}{:<20}{end}{made} made, {left} left, {returned} returned from\n", "faults");

    let findings = view.findings;
    let rate = view.bit_rate.to_string();
    let _ = writeln!(out, "{quiet}{:<20}{end}{rate}, {} packets judged", "output", grouped(findings.packets));
    for pair in errors(findings).chunks(2) {
        for (place, &(name, count)) in pair.iter().enumerate() {
            let colour = if count == 0 { good } else { bad };
            let before = if place == 0 { "  " } else { "    " };
            let _ = write!(out, "{before}{name:<26}{colour}{:>9}{end}", grouped(count));
        }
        let _ = writeln!(out);
    }

    let columns = heading();
    let _ = writeln!(out, "\n{quiet}{columns}{end}");
    for row in view.rows {
        let _ = writeln!(out, "{}", line(row));
    }
    if view.rows.is_empty() {
        let _ = writeln!(out, "{quiet}none yet{end}");
    }
    let _ = writeln!(out, "\n{quiet}watch it:{end} {}", clipped(view.viewer, WIDTH - 10));
    out
}

/// The same screen drawn over one of `lines` lines.
pub(super) fn over(lines: usize, screen: &str) -> String {
    let up = if lines == 0 { String::new() } else { format!("\x1b[{lines}A") };
    format!("{up}\r{}\x1b[J", screen.replace('\n', "\x1b[K\n"))
}

/// The names of the columns of [`line`].
pub(super) fn heading() -> String {
    format!("{:>8}  {:<15}{:<23}{:<9}{:>5}{:>9}{:>8}", "switches", "", "reason", "kind", "lost", "repeated", "gap")
}

/// A switch and its cost.
pub(super) fn line(row: &Row) -> String {
    let way = format!("{} → {}", row.from, row.to);
    let cost = match row.cost {
        Cost::Awaited => format!("{:>5}{:>9}{:>8}", "…", "…", "…"),
        Cost::Nothing => format!("{:>5}{:>9}{:>8}", 0, 0, "-"),
        Cost::Seen(cut) => {
            format!("{:>5}{:>9}{:>8}", cut.lost, cut.repeated, format!("{:.1} ms", cut.gap.millis()))
        }
    };
    let reason = clipped(row.reason, 22);
    format!("{:>6.1} s  {:<15}{reason:<23}{:<9}{cost}", row.at.seconds(), clipped(&way, 14), clipped(row.kind, 9))
}

/// Something that happened at `at`, in a line of its own.
pub(super) fn happening(at: Span, text: &str) -> String {
    clipped(&format!("{:>6.1} s  {text}", at.seconds()), WIDTH)
}

/// How the output is, in a line of its own.
pub(super) fn status(view: &View<'_>) -> String {
    let bad: u64 = errors(view.findings).iter().map(|&(_, count)| count).sum();
    let packets = grouped(view.findings.packets);
    happening(view.elapsed, &format!("output    {}, {packets} packets judged, {} errors", view.bit_rate, grouped(bad)))
}

/// The counts that must all be 0.
pub(super) fn errors(findings: &Findings) -> [(&'static str, u64); 8] {
    let count = |indicators: &[Indicator]| indicators.iter().map(|&indicator| findings.count(indicator)).sum();
    [
        ("continuity errors", count(&[Indicator::ContinuityCountError])),
        ("sync errors", count(&[Indicator::TsSyncLoss, Indicator::SyncByteError])),
        ("unsignalled clock steps", count(&[Indicator::PcrDiscontinuityIndicatorError])),
        ("transport and CRC errors", count(&[Indicator::TransportError, Indicator::CrcError])),
        ("missing PAT, PMT or PID", count(&[Indicator::PatError2, Indicator::PmtError2, Indicator::PidError])),
        (SEQUENCE_ERRORS, findings.sequence_errors),
        ("packets from nowhere", findings.unknown),
        ("datagrams without TS", findings.foreign),
    ]
}

/// What is wrong with an input, in words.
fn health(raised: CriterionSet) -> String {
    if raised.is_empty() {
        return "healthy".to_owned();
    }
    raised.iter().map(|criterion| criterion.name()).collect::<Vec<_>>().join(", ")
}

/// `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// At most `most` characters of it.
fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Criterion;
    use crate::units::Instant;

    fn row(reason: &'static str, cost: Cost) -> Row {
        Row { at: Span::from_millis(3_260), from: "main", to: "backup", reason, kind: "identical", cost }
    }

    fn seen(lost: u64, repeated: u64) -> Cost {
        Cost::Seen(Cut { at: Instant::ZERO, lost, repeated, gap: Span::from_micros(1_320) })
    }

    fn inputs(raised: &[Criterion]) -> [InputView; 2] {
        let mut set = CriterionSet::EMPTY;
        raised.iter().for_each(|&criterion| set.insert(criterion));
        [
            InputView { name: "main", state: InputState::Unhealthy, raised: set, bit_rate: BitRate(0) },
            InputView {
                name: "backup",
                state: InputState::Active,
                raised: CriterionSet::EMPTY,
                bit_rate: BitRate(8_000_000),
            },
        ]
    }

    fn view<'a>(inputs: &'a [InputView], findings: &'a Findings, rows: &'a [Row]) -> View<'a> {
        View {
            elapsed: Span::from_millis(12_340),
            lasts: Some(Span::from_secs(60)),
            inputs,
            fault: Some(Fault::Silence),
            tally: Tally { made: 3, left: 3, returned: 2 },
            bit_rate: BitRate(8_000_000),
            findings,
            rows,
            viewer: "ffplay 'rtp://239.255.250.250:65534?localaddr=127.0.0.1'",
        }
    }

    #[test]
    fn the_screen_shows_what_is_on_air_and_what_each_switch_cost() {
        let findings = Findings { packets: 61_234, ..Findings::default() };
        let rows = [row("input_loss", seen(0, 198)), row("failback", Cost::Awaited), row("failback", Cost::Nothing)];
        let inputs = inputs(&[Criterion::InputLoss, Criterion::RtpLoss]);
        let text = screen(&view(&inputs, &findings, &rows), Palette::PLAIN);
        for want in [
            "changeover demo   12.3 s of 60 s",
            "main     unhealthy  input_loss, rtp_loss                               0 kb/s",
            "backup   ON AIR     healthy                                         8.00 Mb/s",
            "silence: it sends nothing at all",
            "3 made, 3 left, 2 returned from",
            "8.00 Mb/s, 61,234 packets judged",
            "switches                 reason                 kind      lost repeated     gap",
            "   3.3 s  main → backup  input_loss             identical    0      198  1.3 ms",
            "   3.3 s  main → backup  failback               identical    …        …       …",
            "   3.3 s  main → backup  failback               identical    0        0       -",
            "watch it: ffplay 'rtp://239.255.250.250:65534?localaddr=127.0.0.1'",
        ] {
            assert!(text.contains(want), "{want}\n{text}");
        }
        assert!(!text.contains('\x1b') && text.lines().all(|line| line.trim_end() == line), "{text}");
        assert_eq!(text.lines().count(), LINES - 1 + rows.len());
        assert_eq!(screen(&view(&inputs, &findings, &[]), Palette::PLAIN).lines().count(), LINES);
    }

    #[test]
    fn nothing_is_wider_than_the_screen() {
        let findings = Findings {
            packets: u64::MAX,
            counts: [1_234_567; Indicator::COUNT],
            unknown: 9_999_999,
            ..Findings::default()
        };
        let rows = [row("pcr_discontinuity_indicator_error", seen(99_999, 9_999_999))];
        let inputs = inputs(&Criterion::ALL);
        for fault in Fault::ALL.map(Some) {
            let view = View { fault, ..view(&inputs, &findings, &rows) };
            for line in screen(&view, Palette::PLAIN).lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
        assert_eq!(happening(Span::ZERO, &"x".repeat(100)).chars().count(), WIDTH);
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let findings = Findings::default();
        let inputs = inputs(&[Criterion::PidError]);
        let view = view(&inputs, &findings, &[]);
        let mut coloured = screen(&view, Palette::COLOURED);
        for code in ["32", "31", "2", "1", "0"] {
            let sequence = format!("\x1b[{code}m");
            assert!(coloured.contains(&sequence));
            coloured = coloured.replace(&sequence, "");
        }
        assert_eq!(coloured, screen(&view, Palette::PLAIN));
    }

    #[test]
    fn a_screen_is_drawn_over_the_one_before() {
        assert_eq!(over(0, "a\nb\n"), "\ra\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(over(2, "a\n"), "\x1b[2A\ra\x1b[K\n\x1b[J");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
