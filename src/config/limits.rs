//! `health` and `analysis`: what an input is judged by.

use super::problem::{Place, Report, quoted};
use super::quantity;
use super::table::{Table, choice, scalar};
use super::yaml::{Data, Node};
use crate::health::{Criterion, Limit, Limits, Measure, PidScope, Profile, Raise};
use crate::tr101290::{self, Indicator};
use crate::units::Span;

/// How long a limit can last.
const LASTING: (Span, Span) = (Span::ZERO, Span::from_secs(3600));
/// The window in which events are counted.
const WITHIN: (Span, Span) = (Span::from_millis(1), Span::from_secs(3600));
/// The limits of the absences.
const ABSENCE: (Span, Span) = (Span::from_millis(10), Span::from_secs(600));
/// How long all must be well before a criterion is cleared that the profile has no limit for.
const CLEAR: Span = Span::from_secs(5);

const PROFILES: [(&str, Profile); 3] = [
    (Profile::Strict.name(), Profile::Strict),
    (Profile::Standard.name(), Profile::Standard),
    (Profile::Lenient.name(), Profile::Lenient),
];

/// The limits that the `health` of `owner` gives, which starts from `start` where it names no profile.
pub(super) fn health(owner: &Table<'_>, start: Limits, report: &mut Report) -> Limits {
    let Some(node) = owner.node("health") else { return start };
    if let Data::Scalar(name) = &node.data {
        return choice(name, node.place, "health", &PROFILES, report).map_or(start, Limits::of);
    }
    let mut keys = vec!["profile"];
    keys.extend(Criterion::ALL.map(Criterion::name));
    let accuracy = Indicator::PcrAccuracyError.name();
    let Some(table) = Table::open_with(node, "`health`", &keys, &[accuracy], report) else { return start };
    if let Some(node) = table.node(accuracy) {
        report.error(node.place, format!("`{accuracy}` is measured, but is no health criterion in this version"));
    }
    let profile = table.choice("profile", &PROFILES, report);
    let mut limits = profile.map_or(start, |(profile, _)| Limits::of(profile));
    for criterion in Criterion::ALL {
        if let Some(node) = table.node(criterion.name()) {
            let old = limits.limit(criterion).copied();
            limits.set(criterion, limit(node, criterion, old, report));
        }
    }
    limits
}

/// The limit of one criterion, which was `old`.
fn limit(node: &Node, criterion: Criterion, old: Option<Limit>, report: &mut Report) -> Option<Limit> {
    let name = criterion.name();
    if let Data::Scalar(text) = &node.data {
        if text != "off" {
            report.error(
                node.place,
                format!("{}: a limit is `off` or a mapping (raise, clear, pids), not {}", quoted(name), quoted(text)),
            );
        }
        return None;
    }
    let keys: &[&str] = if criterion.takes_pids() { &["raise", "clear", "pids"] } else { &["raise", "clear"] };
    let table = Table::open_with(node, &quoted(name), keys, &["pids"], report)?;
    if let (Some(node), false) = (table.node("pids"), criterion.takes_pids()) {
        let takers: Vec<&str> = Criterion::ALL.into_iter().filter(|c| c.takes_pids()).map(Criterion::name).collect();
        report.error(
            node.place,
            format!("{} is not counted by PID: only {} take `pids`", quoted(name), takers.join(", ")),
        );
    }
    let raise = match table.node("raise") {
        Some(node) => raise(node, criterion, report)?,
        None => match old {
            Some(old) => old.raise,
            None => {
                let form = form(criterion);
                report.error(
                    table.place(),
                    format!("{} has no limit in the profile, so it needs one here: raise: {form}", quoted(name)),
                );
                return None;
            }
        },
    };
    let clear = match table.node("clear") {
        Some(node) => {
            let clear = Table::open(node, "`clear`", &["for"], report)?;
            if clear.node("for").is_none() {
                report.error(node.place, "`clear` needs `for`, as in clear: {for: 5s}");
            }
            clear.span("for", LASTING, report)?
        }
        None => old.map_or(CLEAR, |old| old.clear),
    };
    let pids = match table.node("pids") {
        Some(node) => pids(node, report)?,
        None => old.map_or(PidScope::ALL, |old| old.pids),
    };
    Some(Limit { raise, clear, pids })
}

/// The forms of `raise` that a criterion takes.
const fn form(criterion: Criterion) -> &'static str {
    match criterion.measure() {
        Measure::Lasting => "{for: 1s}",
        Measure::Counted => "{above: 10, within: 1s}",
        Measure::Both => "{for: 1s} or {above: 10, within: 1s}",
    }
}

fn raise(node: &Node, criterion: Criterion, report: &mut Report) -> Option<Raise> {
    let table = Table::open(node, "`raise`", &["for", "above", "within"], report)?;
    let (lasting, counted) = (table.node("for"), table.node("above").or_else(|| table.node("within")));
    let wrong = |report: &mut Report, place: Place, why: &str| {
        report.error(place, format!("{} {why}: write raise: {}", quoted(criterion.name()), form(criterion)));
    };
    match (lasting, counted, criterion.measure()) {
        (Some(_), Some(_), _) => wrong(report, node.place, "can have `for`, or `above` and `within`, not both"),
        (Some(node), None, Measure::Counted) => wrong(report, node.place, "counts events, and they do not last"),
        (None, Some(node), Measure::Lasting) => wrong(report, node.place, "lasts, and is not counted"),
        (None, None, _) => wrong(report, node.place, "needs a limit"),
        (Some(_), None, Measure::Lasting | Measure::Both) => {
            return table.span("for", LASTING, report).map(Raise::Lasting);
        }
        (None, Some(_), Measure::Counted | Measure::Both) => {
            if table.node("above").is_none() || table.node("within").is_none() {
                wrong(report, node.place, "needs both `above` and `within`");
                return None;
            }
            let above = table.whole("above", (0, Raise::MOST), report);
            let within = table.span("within", WITHIN, report);
            return above.zip(within).map(|(above, within)| Raise::Counted { above, within });
        }
    }
    None
}

fn pids(node: &Node, report: &mut Report) -> Option<PidScope> {
    let items = match &node.data {
        Data::List(items) => items.as_slice(),
        Data::Scalar(_) => std::slice::from_ref(node),
        Data::Null | Data::Map(_) => {
            report.error(
                node.place,
                format!("`pids` is a list of PIDs, as in [0x100, 257], and this is {}", node.data.kind()),
            );
            return None;
        }
    };
    let mut pids = Vec::with_capacity(items.len());
    for item in items {
        let pid = quantity::pid(scalar(item, "pids", report)?);
        match pid {
            Ok(pid) if pids.contains(&pid) => {}
            Ok(pid) => pids.push(pid),
            Err(message) => report.error(item.place, format!("`pids`: {message}")),
        }
    }
    let scope = PidScope::of(&pids);
    if scope.is_none() {
        report.error(node.place, format!("{} PIDs are too many: at most {}", pids.len(), PidScope::MOST));
    }
    scope
}

/// The limits of the absences that the `analysis` of `owner` gives, which starts from `start`.
pub(super) fn analysis(owner: &Table<'_>, start: tr101290::Settings, report: &mut Report) -> tr101290::Settings {
    const KEYS: [&str; 7] = ["pat", "pmt", "pid_media", "pid_data", "pcr", "pts", "cat"];
    let table = owner.table("analysis", &KEYS, report);
    let mut limit = |key: &str, old: Span| table.span(key, ABSENCE, report).unwrap_or(old);
    tr101290::Settings {
        pat: limit("pat", start.pat),
        pmt: limit("pmt", start.pmt),
        pid_media: limit("pid_media", start.pid_media),
        pid_data: limit("pid_data", start.pid_data),
        pcr: limit("pcr", start.pcr),
        pts: limit("pts", start.pts),
        cat: limit("cat", start.cat),
        ..start
    }
}
