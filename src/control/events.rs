//! What the engines tell, in the log: in words, and with the line of the journal beside them.

use crate::engine::{Event, Forecast, Kind, Reason, Setting, Switch, What};
use crate::health::{Criterion, Measure};
use crate::replay::journal::{Line, Names, TimeBase};
use crate::switch::align::Relation;
use crate::units::{Span, Ticks27M};

/// The field of the log that has the event as a line of the journal; `CHANGEOVER_EVENT` in systemd's.
pub const FIELD: &str = "event";

/// How much an event matters to somebody who watches the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Good,
    /// Something is wrong.
    Bad,
    /// The output is down.
    Worst,
}

/// Puts `event` into the log.
pub fn log(names: &Names, base: TimeBase, event: &Event) {
    let text = words(names, event);
    let json = json(names, base, event);
    match weight(event) {
        Weight::Good => tracing::info!(event = json, "{text}"),
        Weight::Bad => tracing::warn!(event = json, "{text}"),
        Weight::Worst => tracing::error!(event = json, "{text}"),
    }
}

/// The line of the journal, without its line feed.
fn json(names: &Names, base: TimeBase, event: &Event) -> String {
    let mut line = Vec::new();
    // Writing to memory cannot fail.
    let _ = Line::of(names, base, event).write(&mut line);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// How much `event` matters.
pub fn weight(event: &Event) -> Weight {
    match event.what {
        What::Muted | What::Replaced { .. } | What::NoneHealthy => Weight::Worst,
        What::Raised { .. } | What::NotTaken { .. } => Weight::Bad,
        What::Switch(Switch { reason, .. }) => match reason {
            Reason::Unhealthy(_) | Reason::LeastBad => Weight::Bad,
            Reason::Start | Reason::Failback | Reason::Recovery | Reason::Take | Reason::Disabled => Weight::Good,
        },
        What::Kinship { .. }
        | What::Arrived { .. }
        | What::Cleared { .. }
        | What::Needed { .. }
        | What::NotNeeded { .. }
        | What::ClockStep { .. }
        | What::Unmuted
        | What::Restored
        | What::SomeHealthy
        | What::Set { .. } => Weight::Good,
    }
}

/// `event` in words.
pub fn words(names: &Names, event: &Event) -> String {
    let channel = names.channel(event.channel);
    let of = |input| format!("{channel}/{}", names.input(input));
    match event.what {
        What::Arrived { input } => format!("{}: datagrams arrive", of(input)),
        What::Raised { input, criterion, value } => {
            format!("{}: unhealthy, {} {}", of(input), criterion.name(), amount(criterion, value))
        }
        What::Cleared { input, criterion } => format!("{}: {} is over", of(input), criterion.name()),
        What::Needed { input } => format!("{}: needed, it is joined or connected", of(input)),
        What::NotNeeded { input } => format!("{}: no longer needed, it is let go", of(input)),
        What::NotTaken { input } => {
            format!("{}: nothing came from it after it was taken, so it is not put on air", of(input))
        }
        What::Kinship { input, kinship, forecast } => {
            let cost = forecast.map_or_else(String::new, |forecast| format!("; {}", foreseen(&forecast)));
            format!("{}: {}{cost}", of(input), stands(kinship.relation))
        }
        What::Switch(switch) => format!("{channel}: {}", switched(names, &switch)),
        What::ClockStep { input, pid, ticks } => {
            let step = Ticks27M::span(ticks.unsigned_abs()).millis();
            let sign = if ticks < 0 { "-" } else { "" };
            format!("{}: the PCR of PID {pid} stepped by {sign}{step:.1} ms, which was signalled", of(input))
        }
        What::Muted => format!("{channel}: the output is stopped, no input is healthy"),
        What::Unmuted | What::Restored => format!("{channel}: the output goes on"),
        What::Replaced { by } => format!("{channel}: no input is healthy, the output is {}", by.name()),
        What::NoneHealthy => format!("{channel}: no input is healthy, and the output stays on the one it has"),
        What::SomeHealthy => format!("{channel}: an input is healthy again"),
        What::Set { input, setting } => {
            let setting = match setting {
                Setting::Held => "held: the channel stays on it".to_owned(),
                Setting::Released => "released: the channel chooses by its rules again".to_owned(),
                Setting::Enabled => "enabled".to_owned(),
                Setting::Disabled => "disabled: it is analysed, and not chosen".to_owned(),
                Setting::Priority(priority) => format!("priority {priority}"),
            };
            format!("{}: {setting}", of(input))
        }
    }
}

/// What a criterion's value counts.
fn amount(criterion: Criterion, value: u64) -> String {
    match criterion.measure() {
        Measure::Lasting | Measure::Below => format!("for {value} ms"),
        Measure::Counted => format!("{value} times in its window"),
        Measure::Slower => format!("{value} ms"),
        Measure::Share => format!("{} in its window", share_text(value)),
        // The limit that was passed is the user's choice, and the event does not say which it was.
        Measure::Both => format!("({value})"),
    }
}

/// A share of so many millionths.
fn share_text(millionths: u64) -> String {
    format!("{}.{:04} %", millionths / 10_000, millionths % 10_000)
}

/// What a switch to an input would cost.
fn foreseen(forecast: &Forecast) -> String {
    let hole = forecast.hole.map_or(0.0, Span::millis);
    match (forecast.kind, forecast.fallback, forecast.wait) {
        (Kind::Identical, ..) => "a switch to it costs nothing".to_owned(),
        (Kind::Cut, Some(why), _) => format!("a switch to it is a hard cut: {}", why.name()),
        (Kind::Cut, None, _) => "a switch to it is a hard cut".to_owned(),
        (kind, _, None) => format!("a switch to it is {}, at its next random access point", kind.name()),
        (kind, _, Some(_)) => format!("a switch to it is {}, with no picture for {hole:.1} ms", kind.name()),
    }
}

/// How an input stands to the one on air.
fn stands(relation: Relation) -> String {
    let ms = |ns: i64| Span::from_nanos(ns.saturating_abs()).millis();
    let later = |ns: i64| if ns < 0 { "earlier" } else { "later" };
    match relation {
        Relation::Unknown => "how it stands to the input on air is not known".to_owned(),
        Relation::Identical { skew, .. } => {
            format!("has the packets of the input on air, {:.1} ms {}", ms(skew), later(skew))
        }
        Relation::OutOfWindow { skew } => {
            let (ms, later) = (ms(skew), later(skew));
            format!("has the packets of the input on air {ms:.1} ms {later}, more than `delay` allows to merge")
        }
        Relation::Locked { .. } => "is on the clock of the input on air, with other packets".to_owned(),
        Relation::Independent => "has nothing in common with the input on air".to_owned(),
    }
}

fn switched(names: &Names, switch: &Switch) -> String {
    let to = names.input(switch.to);
    let way = match switch.from {
        Some(from) => format!("from {} to {to}", names.input(from)),
        None => format!("to {to}"),
    };
    let why = match switch.reason {
        Reason::Start => "the first input that could be had".to_owned(),
        Reason::Unhealthy(criterion) => format!("because of {}", criterion.name()),
        Reason::Failback => "which has a higher priority and has been healthy for long enough".to_owned(),
        Reason::LeastBad => "the least bad, since none is healthy".to_owned(),
        Reason::Recovery => "which is healthy again, as none was".to_owned(),
        Reason::Take => "which was taken".to_owned(),
        Reason::Disabled => "because the other was disabled".to_owned(),
    };
    let kind = switch.kind.name();
    let count = |count: Option<u32>| count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    format!(
        "on air {way}, {why} ({kind}, packets lost {}, repeated {}, gap {:.1} ms)",
        count(switch.lost),
        count(switch.repeated),
        switch.gap.millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Kind, MAX_INPUTS};
    use crate::units::{ChannelId, InputId, Instant};

    fn names() -> Names {
        let mut names = Names::default();
        names.push("news", ["main", "backup"]);
        names
    }

    fn event(what: What) -> Event {
        Event { at: Instant::from_nanos(1_500_000_000), channel: ChannelId(0), what }
    }

    #[test]
    fn a_switch_says_from_where_to_where_why_and_at_what_cost() {
        let switch = Switch {
            from: Some(InputId(0)),
            to: InputId(1),
            reason: Reason::Unhealthy(Criterion::InputLoss),
            kind: Kind::Cut,
            planned: false,
            decided: Instant::ZERO,
            lost: None,
            repeated: Some(0),
            cost: None,
            fallback: None,
            gap: Span::from_millis(212),
            states: [None; MAX_INPUTS],
        };
        let event = event(What::Switch(switch));
        assert_eq!(weight(&event), Weight::Bad);
        assert_eq!(
            words(&names(), &event),
            "news: on air from main to backup, because of input_loss (cut, packets lost unknown, repeated 0, gap 212.0 ms)"
        );
        let first = Switch { from: None, reason: Reason::Start, ..switch };
        let event = Event { what: What::Switch(first), ..event };
        assert_eq!(weight(&event), Weight::Good);
        assert!(words(&names(), &event).starts_with("news: on air to backup, the first input"));
    }

    #[test]
    fn the_line_of_the_journal_is_one_object_with_unix_time() {
        let event = event(What::Raised { input: InputId(0), criterion: Criterion::InputLoss, value: 200 });
        assert_eq!(words(&names(), &event), "news/main: unhealthy, input_loss for 200 ms");
        let line = json(&names(), TimeBase::Unix { origin: 1_000_000_000 }, &event);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["t"], 2.5);
        assert_eq!(line["time"], "1970-01-01T00:00:02.500000Z");
        assert_eq!((&line["event"], &line["input"], &line["value"]), (&"raised".into(), &"main".into(), &200.into()));
    }
}
