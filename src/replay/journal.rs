//! The journal: one JSON object a line for each event of an engine.
//!
//! The order of the keys is fixed, and times have three to six decimals, so that journals of the same events are the
//! same text.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::Formatter;

use super::kinship::{ForecastView, KinshipView};
use crate::config::Plan;
use crate::engine::{Cost, Event, InputState, MAX_INPUTS, Setting, What};
use crate::switch::splice::Why;
use crate::units::{ChannelId, InputId, Instant, Span, Ticks27M};

/// The names that an engine's numbers stand for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    channels: Vec<ChannelNames>,
    inputs: Vec<String>,
}

#[derive(Clone, Debug)]
struct ChannelNames {
    name: String,
    /// The place of its first input among those of all channels.
    first: usize,
    inputs: usize,
}

impl Names {
    /// The names of an engine built from [`Plan::setup`].
    pub fn of(plan: &Plan) -> Self {
        let mut names = Self::default();
        for channel in &plan.channels {
            names.push(&channel.name, channel.inputs.iter().map(|input| input.name.as_str()));
        }
        names
    }

    /// Adds a channel with its inputs, in the order of the engine's setup.
    pub fn push<'a>(&mut self, channel: &str, inputs: impl IntoIterator<Item = &'a str>) {
        let first = self.inputs.len();
        self.inputs.extend(inputs.into_iter().map(str::to_owned));
        self.channels.push(ChannelNames { name: channel.to_owned(), first, inputs: self.inputs.len() - first });
    }

    /// The name of a channel; `?` where the engine has none of that number.
    pub fn channel(&self, channel: ChannelId) -> &str {
        self.channels.get(channel.index()).map_or("?", |channel| &channel.name)
    }

    /// The name of an input; `?` where the engine has none of that number.
    pub fn input(&self, input: InputId) -> &str {
        self.inputs.get(input.index()).map_or("?", String::as_str)
    }

    fn inputs_of(&self, channel: ChannelId) -> &[String] {
        let inputs = self.channels.get(channel.index()).and_then(|c| self.inputs.get(c.first..c.first + c.inputs));
        inputs.unwrap_or_default()
    }
}

/// What the engine's times are told as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBase {
    /// As they are: seconds from the start.
    Engine,
    /// As Unix time, and beside it as RFC 3339.
    Unix {
        /// The Unix time of [`Instant::ZERO`], in nanoseconds.
        origin: i64,
    },
}

impl TimeBase {
    /// In seconds, to the microsecond (rounded down).
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn seconds(self, at: Instant) -> f64 {
        // 2^53 µs reach to the year 2255.
        self.nanos(at).div_euclid(1_000) as f64 / 1e6
    }

    fn nanos(self, at: Instant) -> i64 {
        match self {
            Self::Engine => at.nanos(),
            Self::Unix { origin } => origin.saturating_add(at.nanos()),
        }
    }
}

/// One line, in the order of its keys.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    t: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    event: &'static str,
    #[serde(flatten)]
    detail: Option<Detail<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Switch {
        from: Option<&'a str>,
        to: &'a str,
        reason: &'static str,
        kind: &'static str,
        planned: bool,
        lost: Option<u32>,
        repeated: Option<u32>,
        gap_ms: f64,
        #[serde(flatten)]
        cost: Option<CostView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fallback: Option<&'static str>,
        decided: f64,
        states: States<'a>,
    },
    Raised {
        criterion: &'static str,
        value: u64,
    },
    Cleared {
        criterion: &'static str,
    },
    Kinship {
        #[serde(flatten)]
        kinship: Box<KinshipView>,
        forecast: Option<Box<ForecastView>>,
    },
    Replaced {
        by: &'static str,
    },
    ClockStep {
        pid: u16,
        step_ms: f64,
    },
    Priority {
        setting: &'static str,
        priority: i32,
    },
    Set {
        setting: &'static str,
    },
}

/// What a splice cost.
#[derive(Debug, Serialize)]
struct CostView {
    hole_ms: f64,
    audio_hole_ms: f64,
    truncated: u32,
    left_out: u32,
    behind_ms: f64,
}

impl CostView {
    fn of(cost: Cost) -> Self {
        let behind = Span::from_nanos(cost.behind.saturating_abs()).millis();
        Self {
            hole_ms: cost.hole.millis(),
            audio_hole_ms: cost.audio_hole.millis(),
            truncated: cost.truncated,
            left_out: cost.left_out,
            behind_ms: if cost.behind < 0 { -behind } else { behind },
        }
    }
}

/// The state of each input of a channel by its name, in the order of the configuration.
#[derive(Debug)]
struct States<'a> {
    inputs: &'a [String],
    states: [Option<InputState>; MAX_INPUTS],
}

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, state) in self.inputs.iter().zip(self.states) {
            if let Some(state) = state {
                map.serialize_entry(name, state.name())?;
            }
        }
        map.end()
    }
}

impl<'a> Line<'a> {
    /// The line of an event.
    pub fn of(names: &'a Names, base: TimeBase, event: &Event) -> Self {
        let (word, input, detail) = match event.what {
            What::Arrived { input } => ("arrived", Some(input), None),
            What::Raised { input, criterion, value } => {
                ("raised", Some(input), Some(Detail::Raised { criterion: criterion.name(), value }))
            }
            What::Cleared { input, criterion } => {
                ("cleared", Some(input), Some(Detail::Cleared { criterion: criterion.name() }))
            }
            What::Needed { input } => ("needed", Some(input), None),
            What::NotNeeded { input } => ("not_needed", Some(input), None),
            What::NotTaken { input } => ("not_taken", Some(input), None),
            What::Kinship { input, kinship, forecast } => {
                let forecast = forecast.map(|forecast| Box::new(ForecastView::of(forecast)));
                let detail = Detail::Kinship { kinship: Box::new(KinshipView::of(kinship)), forecast };
                ("kinship", Some(input), Some(detail))
            }
            What::Switch(switch) => {
                let detail = Detail::Switch {
                    from: switch.from.map(|input| names.input(input)),
                    to: names.input(switch.to),
                    reason: switch.reason.name(),
                    kind: switch.kind.name(),
                    planned: switch.planned,
                    lost: switch.lost,
                    repeated: switch.repeated,
                    gap_ms: switch.gap.millis(),
                    cost: switch.cost.map(CostView::of),
                    fallback: switch.fallback.map(Why::name),
                    decided: base.seconds(switch.decided),
                    states: States { inputs: names.inputs_of(event.channel), states: switch.states },
                };
                ("switch", None, Some(detail))
            }
            What::ClockStep { input, pid, ticks } => {
                let step = Ticks27M::span(ticks.unsigned_abs()).millis();
                let step_ms = if ticks < 0 { -step } else { step };
                ("clock_step", Some(input), Some(Detail::ClockStep { pid: pid.value(), step_ms }))
            }
            What::Muted => ("muted", None, None),
            What::Unmuted => ("unmuted", None, None),
            What::Replaced { by } => ("replaced", None, Some(Detail::Replaced { by: by.name() })),
            What::Restored => ("restored", None, None),
            What::NoneHealthy => ("none_healthy", None, None),
            What::SomeHealthy => ("some_healthy", None, None),
            What::Set { input, setting } => ("set", Some(input), Some(set(setting))),
        };
        Self {
            t: base.seconds(event.at),
            time: match base {
                TimeBase::Engine => None,
                TimeBase::Unix { .. } => Some(rfc3339(base.nanos(event.at))),
            },
            channel: names.channel(event.channel),
            input: input.map(|input| names.input(input)),
            event: word,
            detail,
        }
    }

    /// Writes it, with the line feed that ends it.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Decimals))?;
        out.write_all(b"\n")
    }
}

fn set(setting: Setting) -> Detail<'static> {
    match setting {
        Setting::Held => Detail::Set { setting: "held" },
        Setting::Released => Detail::Set { setting: "released" },
        Setting::Enabled => Detail::Set { setting: "enabled" },
        Setting::Disabled => Detail::Set { setting: "disabled" },
        Setting::Priority(priority) => Detail::Priority { setting: "priority", priority },
    }
}

/// JSON on one line, every fraction with three to six decimals.
struct Decimals;

impl Formatter for Decimals {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let text = format!("{value:.6}");
        let end = text.trim_end_matches('0').len().max(text.len() - 3);
        out.write_all(text.get(..end).unwrap_or(&text).as_bytes())
    }
}

/// A Unix time in nanoseconds as RFC 3339 writes it, in UTC, to the microsecond (rounded down).
pub fn rfc3339(nanos: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(nanos.div_euclid(1_000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Kind, Reason, Switch};
    use crate::health::Criterion;
    use crate::units::Pid;

    fn names() -> Names {
        let mut names = Names::default();
        names.push("sport", ["one"]);
        names.push("news", ["main", "back\"up"]);
        names
    }

    fn line(base: TimeBase, what: What) -> String {
        let event = Event { at: Instant::from_nanos(12_345_600_999), channel: ChannelId(1), what };
        let mut out = Vec::new();
        Line::of(&names(), base, &event).write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_switch_reads_as_in_the_manual() {
        let mut states = [None; MAX_INPUTS];
        states[0] = Some(InputState::Unhealthy);
        states[1] = Some(InputState::Active);
        let switch = Switch {
            from: Some(InputId(1)),
            to: InputId(2),
            reason: Reason::Unhealthy(Criterion::InputLoss),
            kind: Kind::Cut,
            planned: false,
            decided: Instant::from_nanos(12_300_000_000),
            lost: None,
            repeated: Some(0),
            cost: None,
            fallback: None,
            gap: Span::from_micros(1_250),
            states,
        };
        assert_eq!(
            line(TimeBase::Engine, What::Switch(switch)),
            concat!(
                r#"{"t":12.3456,"channel":"news","event":"switch","from":"main","to":"back\"up","#,
                r#""reason":"input_loss","kind":"cut","planned":false,"lost":null,"repeated":0,"gap_ms":1.250,"#,
                r#""decided":12.300,"states":{"main":"unhealthy","back\"up":"active"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_other_events_have_what_they_are_about() {
        let input = InputId(1);
        for (what, rest) in [
            (What::Arrived { input }, r#","input":"main","event":"arrived"}"#),
            (
                What::Raised { input, criterion: Criterion::InputLoss, value: 200 },
                r#","input":"main","event":"raised","criterion":"input_loss","value":200}"#,
            ),
            (
                What::Cleared { input, criterion: Criterion::InputLoss },
                r#","input":"main","event":"cleared","criterion":"input_loss"}"#,
            ),
            (
                What::ClockStep { input, pid: Pid::new(0x100), ticks: -2_700_000 },
                r#","input":"main","event":"clock_step","pid":256,"step_ms":-100.000}"#,
            ),
            (What::Needed { input }, r#","input":"main","event":"needed"}"#),
            (What::NotNeeded { input }, r#","input":"main","event":"not_needed"}"#),
            (What::NotTaken { input }, r#","input":"main","event":"not_taken"}"#),
            (What::Muted, r#","event":"muted"}"#),
            (What::Unmuted, r#","event":"unmuted"}"#),
            (What::NoneHealthy, r#","event":"none_healthy"}"#),
            (What::SomeHealthy, r#","event":"some_healthy"}"#),
            (What::Set { input, setting: Setting::Held }, r#","input":"main","event":"set","setting":"held"}"#),
            (
                What::Set { input, setting: Setting::Priority(-3) },
                r#","input":"main","event":"set","setting":"priority","priority":-3}"#,
            ),
        ] {
            let head = r#"{"t":12.3456,"channel":"news""#;
            assert_eq!(line(TimeBase::Engine, what), format!("{head}{rest}\n"));
        }
    }

    #[test]
    fn live_lines_have_unix_time_and_the_same_as_rfc_3339() {
        let origin = 1_732_281_600_000_000_000;
        assert_eq!(
            line(TimeBase::Unix { origin }, What::Muted),
            concat!(
                r#"{"t":1732281612.3456,"time":"2024-11-22T13:20:12.345600Z","channel":"news","event":"muted"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn dates_hold_over_leap_years_and_before_the_epoch() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999999Z"),
            (1_709_251_200_000_000_000, "2024-03-01T00:00:00.000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775Z"),
        ] {
            assert_eq!(rfc3339(nanos), text);
        }
    }
}
