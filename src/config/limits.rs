//! `health` and `analysis`: what an input is judged by.

use super::problem::{Place, Report, quoted};
use super::quantity;
use super::table::{Table, choice, scalar};
use super::yaml::{Data, Node};
use crate::health::{Criterion, Limit, Limits, Measure, Profile, Raise, Scope};
use crate::tr101290;
use crate::units::Span;

/// How long a limit can last.
const LASTING: (Span, Span) = (Span::ZERO, Span::from_secs(3600));
/// The window in which events are counted.
const WITHIN: (Span, Span) = (Span::from_millis(1), Span::from_secs(3600));
/// The window over which a share is taken.
const SHARES: (Span, Span) = (Span::from_secs(1), Span::from_secs(3600));
/// The round trips that can be a limit.
const RTTS: (Span, Span) = (Span::from_millis(1), Span::from_secs(60));
/// The limits of the absences.
const ABSENCE: (Span, Span) = (Span::from_millis(10), Span::from_secs(600));
/// How close sections of the service information may come.
const GAP: (Span, Span) = (Span::ZERO, Span::from_secs(1));
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
    let Some(table) = Table::open(node, "`health`", &keys, report) else { return start };
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
    const SCOPE: [&str; 2] = ["pids", "programs"];
    let all = ["raise", "clear", SCOPE[0], SCOPE[1]];
    let keys = if criterion.takes_scope() { &all[..] } else { &all[..2] };
    let table = Table::open_with(node, &quoted(name), keys, &SCOPE, report)?;
    for key in SCOPE {
        if let (Some(node), false) = (table.node(key), criterion.takes_scope()) {
            let takers: Vec<&str> =
                Criterion::ALL.into_iter().filter(|c| c.takes_scope()).map(Criterion::name).collect();
            report.error(
                node.place,
                format!("{} is of the whole stream: only {} take {}", quoted(name), takers.join(", "), quoted(key)),
            );
        }
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
    let scope = match (table.node("pids"), table.node("programs")) {
        (None, None) => old.map_or(Scope::ALL, |old| old.scope),
        (pids, programs) => scope(pids, programs, report)?,
    };
    Some(Limit { raise, clear, scope })
}

/// The forms of `raise` that a criterion takes.
const fn form(criterion: Criterion) -> &'static str {
    match criterion.measure() {
        Measure::Lasting => "{for: 1s}",
        Measure::Counted => "{above: 10, within: 1s}",
        Measure::Both => "{for: 1s} or {above: 10, within: 1s}",
        Measure::Below => "{below: 5Mb/s, for: 1s}",
        Measure::Slower => "{above: 500ms, for: 5s}",
        Measure::Share => "{above: 0.1%, within: 10s}",
    }
}

fn raise(node: &Node, criterion: Criterion, report: &mut Report) -> Option<Raise> {
    let table = Table::open(node, "`raise`", &["for", "above", "within", "below"], report)?;
    let (lasting, counted) = (table.node("for"), table.node("above").or_else(|| table.node("within")));
    let wrong = |report: &mut Report, place: Place, why: &str| {
        report.error(place, format!("{} {why}: write raise: {}", quoted(criterion.name()), form(criterion)));
    };
    let measure = criterion.measure();
    if matches!(measure, Measure::Slower | Measure::Share) {
        return above(&table, criterion, report);
    }
    if let (Some(node), false) = (table.node("below"), measure == Measure::Below) {
        wrong(report, node.place, "is no rate");
        return None;
    }
    match (lasting, counted, measure) {
        (Some(_), Some(_), Measure::Lasting | Measure::Counted | Measure::Both | Measure::Slower | Measure::Share) => {
            wrong(report, node.place, "can have `for`, or `above` and `within`, not both");
        }
        (_, Some(node), Measure::Below) => wrong(report, node.place, "is a rate, and not counted"),
        (_, None, Measure::Below) if table.node("below").is_none() || lasting.is_none() => {
            wrong(report, node.place, "needs both `below` and `for`");
        }
        (_, None, Measure::Below) => {
            let rate = table.value("below", quantity::rate, report);
            let lasting = table.span("for", LASTING, report);
            return rate.zip(lasting).map(|(rate, lasting)| Raise::Below { rate, lasting });
        }
        (Some(node), None, Measure::Counted) => wrong(report, node.place, "counts events, and they do not last"),
        (None, Some(node), Measure::Lasting) => wrong(report, node.place, "lasts, and is not counted"),
        (_, _, Measure::Slower | Measure::Share)
        | (None, None, Measure::Lasting | Measure::Counted | Measure::Both) => {
            wrong(report, node.place, "needs a limit");
        }
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

/// The limit of a round trip or of a share, both of which have `above`.
fn above(table: &Table<'_>, criterion: Criterion, report: &mut Report) -> Option<Raise> {
    let (is_share, other) = match criterion.measure() {
        Measure::Share => (true, "within"),
        Measure::Slower | Measure::Lasting | Measure::Counted | Measure::Both | Measure::Below => (false, "for"),
    };
    let foreign = ["for", "within", "below"].into_iter().find(|key| *key != other && table.node(key).is_some());
    if let Some(node) = foreign.and_then(|key| table.node(key)) {
        let what = if is_share { "is a share within a time" } else { "is a time, and lasts" };
        let message = format!("{} {what}: write raise: {}", quoted(criterion.name()), form(criterion));
        report.error(node.place, message);
        return None;
    }
    if table.node("above").is_none() || table.node(other).is_none() {
        let name = quoted(criterion.name());
        let message = format!("{name} needs both `above` and `{other}`: write raise: {}", form(criterion));
        report.error(table.place(), message);
        return None;
    }
    if is_share {
        let above = table.value("above", quantity::share, report);
        let within = table.span("within", SHARES, report);
        return above.zip(within).map(|(above, within)| Raise::Share { above, within });
    }
    let than = table.span("above", RTTS, report);
    let lasting = table.span("for", LASTING, report);
    than.zip(lasting).map(|(than, lasting)| Raise::Slower { than, lasting })
}

/// Takes the limits of a connection by SRT out of those of an input that comes by none, and says so where they stand there.
pub(super) fn without_srt(owner: &Table<'_>, limits: Limits, report: &mut Report) -> Limits {
    if let Some(Node { data: Data::Map(entries), .. }) = owner.node("health") {
        let is_of_srt = |key: &str| Criterion::from_name(key).is_some_and(Criterion::is_of_srt);
        for entry in entries.iter().filter(|entry| is_of_srt(&entry.key)) {
            let message =
                format!("{} is for an input by SRT, and the URL of this one is not srt://", quoted(&entry.key));
            report.error(entry.place, message);
        }
    }
    limits.without_srt()
}

fn scope(pids: Option<&Node>, programs: Option<&Node>, report: &mut Report) -> Option<Scope> {
    let number = |text: &str| {
        quantity::whole(text, 1, u16::MAX).map_err(|_| format!("{} is no program_number, 1…65535", quoted(text)))
    };
    let place = pids.or(programs)?.place;
    let pids = numbers(pids, "pids", "PIDs, as in [0x100, 257]", quantity::pid, report)?;
    let programs = numbers(programs, "programs", "program_numbers, as in [1, 2]", number, report)?;
    let scope = Scope::of(&pids, &programs);
    if scope.is_none() {
        let most = Scope::MOST;
        report.error(
            place,
            format!("{} PIDs and {} programs are too many: at most {most} each", pids.len(), programs.len()),
        );
    }
    scope
}

/// The list of `key`; empty where there is none.
fn numbers<T: PartialEq>(
    node: Option<&Node>,
    key: &str,
    what: &str,
    read: impl Fn(&str) -> Result<T, String>,
    report: &mut Report,
) -> Option<Vec<T>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let items = match &node.data {
        Data::List(items) => items.as_slice(),
        Data::Scalar(_) => std::slice::from_ref(node),
        Data::Null | Data::Map(_) => {
            report.error(node.place, format!("`{key}` is a list of {what}, and this is {}", node.data.kind()));
            return None;
        }
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        match read(scalar(item, key, report)?) {
            Ok(value) if found.contains(&value) => {}
            Ok(value) => found.push(value),
            Err(message) => report.error(item.place, format!("`{key}`: {message}")),
        }
    }
    Some(found)
}

/// The limits of the absences that the `analysis` of `owner` gives, which starts from `start`.
pub(super) fn analysis(owner: &Table<'_>, start: tr101290::Settings, report: &mut Report) -> tr101290::Settings {
    const KEYS: [&str; 14] = [
        "pat",
        "pmt",
        "pid_media",
        "pid_data",
        "pcr",
        "pts",
        "cat",
        "nit",
        "sdt",
        "eit",
        "tdt",
        "si_other",
        "si_gap",
        "unreferenced",
    ];
    let table = owner.table("analysis", &KEYS, report);
    let si_gap = table.span("si_gap", GAP, report).unwrap_or(start.si_gap);
    let mut limit = |key: &str, old: Span| table.span(key, ABSENCE, report).unwrap_or(old);
    tr101290::Settings {
        pat: limit("pat", start.pat),
        pmt: limit("pmt", start.pmt),
        pid_media: limit("pid_media", start.pid_media),
        pid_data: limit("pid_data", start.pid_data),
        pcr: limit("pcr", start.pcr),
        pts: limit("pts", start.pts),
        cat: limit("cat", start.cat),
        nit: limit("nit", start.nit),
        sdt: limit("sdt", start.sdt),
        eit: limit("eit", start.eit),
        tdt: limit("tdt", start.tdt),
        si_other: limit("si_other", start.si_other),
        unreferenced: limit("unreferenced", start.unreferenced),
        si_gap,
        ..start
    }
}
