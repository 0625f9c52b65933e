//! One channel, and its rules for switching.

use std::fs;
use std::path::Path;

use super::ends::{self, Inherited, Input, Output};
use super::limits;
use super::plan::{ChannelPlan, InputPlan, OutputPlan};
use super::problem::{Place, Report};
use super::table::{Table, choice, plain_name};
use super::yaml::{Data, Node};
use crate::engine::{ChannelSetup, ClockPolicy, Entry, GatherSetup, Hole, InputSetup, MAX_INPUTS, Pace, Standby};
use crate::health::Limits;
use crate::switch::policy::{Failback, LossAction, Mode, Order, Settings};
use crate::switch::slate::{self, Clip};
use crate::tr101290;
use crate::ts::PACKET_SIZE;
use crate::units::Span;

const KEYS: [&str; 7] = ["name", "inputs", "outputs", "switch", "health", "analysis", "datagram"];
const SWITCH_KEYS: [&str; 11] =
    ["mode", "order", "failback", "dwell", "max_per_minute", "delay", "clock", "pace", "hole", "entry", "on_loss"];

/// How long the policy can be told to wait.
const WAITS: (Span, Span) = (Span::ZERO, Span::from_secs(3600));
/// The delay line.
const DELAYS: (Span, Span) = (Span::ZERO, Span::from_secs(2));
/// How long a part-filled datagram can wait.
const HOLDS: (Span, Span) = (Span::from_millis(1), Span::from_secs(1));
const DEFAULT_DELAY: Span = Span::from_millis(100);

/// A channel as far as it could be read, with the places that later checks point at.
pub(super) struct Channel {
    pub(super) name: Option<String>,
    pub(super) place: Place,
    pub(super) inputs: Vec<Input>,
    /// The names of all inputs, also of those that could not be read further.
    pub(super) input_names: Vec<(String, Place)>,
    pub(super) outputs: Vec<Output>,
    rules: Rules,
    gather: GatherSetup,
}

impl Channel {
    /// What it means; none without a name.
    pub(super) fn plan(self) -> Option<ChannelPlan> {
        let name = self.name?;
        let gather = GatherSetup { ssrc: fnv1a(&name), ..self.gather };
        let (inputs, setups): (Vec<InputPlan>, Vec<InputSetup>) =
            self.inputs.into_iter().map(|input| (input.plan, input.setup)).unzip();
        let outputs: Vec<OutputPlan> = self.outputs.into_iter().map(|output| output.plan).collect();
        let Rules { mode, delay, pace, clock, entry, hole, slate, policy } = self.rules;
        let setup = ChannelSetup { inputs: setups, policy, delay, mode, pace, clock, entry, hole, slate, gather };
        Some(ChannelPlan { name, inputs, outputs, setup })
    }
}

/// Reads a channel.
pub(super) fn channel(node: &Node, report: &mut Report) -> Option<Channel> {
    let table = Table::open_with(node, "a channel", &KEYS, &SWITCH_KEYS, report)?;
    for key in SWITCH_KEYS.iter().filter(|key| table.node(key).is_some()) {
        report.error(table.key_place(key), format!("`{key}` is a key of `switch`: write it below that"));
    }
    let name = table.value("name", plain_name, report);
    if table.node("name").is_none() {
        report.error(table.place(), "this channel has no `name`");
    }
    let inputs = table.list("inputs", report);
    let rules = switch(&table.table("switch", &SWITCH_KEYS, report), report);
    let inherited = Inherited {
        delay: rules.delay,
        slack: rules.slack(inputs.len()),
        limits: limits::health(&table, Limits::default(), report),
        analyser: limits::analysis(&table, tr101290::Settings::default(), report),
    };
    let outputs = table.list("outputs", report);
    let ends = [("inputs", "input", inputs), ("outputs", "output", outputs)];
    for (key, one, list) in ends {
        let empty = table.node(key).is_none_or(|node| matches!(node.data, Data::List(_)));
        if list.is_empty() && empty {
            let place = table.at(key);
            report.error(place, format!("this channel has no {one}: `{key}` is a list with one or more"));
        }
    }
    if let Some(excess) = inputs.get(MAX_INPUTS) {
        let count = inputs.len();
        report.error(excess.place, format!("{count} inputs are too many for one channel: at most {MAX_INPUTS}"));
    }
    let mut input_names = Vec::new();
    let read = |node| ends::input(node, &inherited, &mut input_names, report);
    let inputs: Vec<Input> = inputs.iter().filter_map(read).collect();
    let rate = inputs.iter().map(|input| input.rate).max().unwrap_or(ends::DEFAULT_RATE);
    let gather = datagram(&table.table("datagram", &["packets", "hold"], report), report);
    let outputs: Vec<Output> = outputs.iter().filter_map(|node| ends::output(node, rate, report)).collect();
    check_srt(&inputs, &outputs, &rules, &gather, report);
    check_standby(&inputs, report);
    Some(Channel { name, place: table.at("name"), inputs, input_names, outputs, rules, gather })
}

/// What is needed before all others is needed all the time.
fn check_standby(inputs: &[Input], report: &mut Report) {
    let first = inputs.iter().rev().max_by_key(|input| input.setup.priority);
    if let Some(input) = first.filter(|input| input.setup.standby != Standby::Hot) {
        report.warning(
            input.standby,
            "`standby: warm` on the input of the highest priority: it is always needed, so it never rests; give an input that \
             is `hot` a higher `priority`",
        );
    }
}

/// What SRT makes of the rules of the channel.
fn check_srt(inputs: &[Input], outputs: &[Output], rules: &Rules, gather: &GatherSetup, report: &mut Report) {
    let late = |input: &Input| input.plan.srt.as_ref().map_or(Span::ZERO, |srt| srt.latency);
    let least = inputs.iter().map(late).min().unwrap_or(Span::ZERO);
    for input in inputs.iter().filter(|_| rules.mode == Mode::Merge) {
        let later = Span::from_nanos(late(input).nanos() - least.nanos());
        if later > rules.delay {
            let message = format!(
                "SRT delivers this input {later} later than another, and `mode: merge` waits for {} alone: make `delay` \
                 longer, or give the inputs one latency",
                rules.delay
            );
            report.warning(input.url, message);
        }
    }
    for output in outputs {
        let Some(srt) = &output.plan.srt else { continue };
        let (room, packets) = (usize::from(srt.payload) / PACKET_SIZE, usize::from(gather.packets));
        if room < packets {
            let message = format!(
                "a payload of {} bytes holds {room} TS packets, and {packets} leave together: write \
                 datagram: {{packets: {room}}}",
                srt.payload
            );
            report.error(output.url, message);
        }
    }
}

fn datagram(table: &Table<'_>, report: &mut Report) -> GatherSetup {
    let default = GatherSetup::default();
    GatherSetup {
        packets: table.whole("packets", (1, 7), report).unwrap_or(default.packets),
        hold: table.span("hold", HOLDS, report).unwrap_or(default.hold),
        ..default
    }
}

/// How much longer than due the packets of an input that is spliced in may leave, at the rates that room is made for: half of the
/// most, since each input has room for two of its delays.
const SLACK: Span = Span::from_millis(500);
/// The same where an emergency cut enters at the last random access point.
const SLACK_CACHED: Span = Span::from_millis(1500);

impl Rules {
    fn slack(&self, inputs: usize) -> Span {
        match (self.mode, self.entry) {
            (Mode::Cut, _) => Span::ZERO,
            (Mode::Auto | Mode::Merge | Mode::Splice, _) if inputs < 2 => Span::ZERO,
            (Mode::Auto | Mode::Merge | Mode::Splice, Entry::Next) => SLACK,
            (Mode::Auto | Mode::Merge | Mode::Splice, Entry::Cached) => SLACK_CACHED,
        }
    }
}

struct Rules {
    mode: Mode,
    delay: Span,
    pace: Pace,
    clock: ClockPolicy,
    entry: Entry,
    hole: Hole,
    slate: Option<Box<Clip>>,
    policy: Settings,
}

fn switch(table: &Table<'_>, report: &mut Report) -> Rules {
    let default = Settings::default();
    let modes = [("auto", Mode::Auto), ("merge", Mode::Merge), ("splice", Mode::Splice), ("cut", Mode::Cut)];
    let paces = [("pcr", Pace::Pcr), ("arrival", Pace::Arrival)];
    let clocks = [("continue", ClockPolicy::Continue), ("signal", ClockPolicy::Signal)];
    let holes = [("carrier", Hole::Carrier), ("silent", Hole::Silent)];
    let entries = [("next", Entry::Next), ("cached", Entry::Cached)];
    let orders = [("priority", Order::Priority), ("random", Order::Random)];
    let (on_loss, on_loss_after, slate) = on_loss(table, &default, report);
    Rules {
        mode: table.choice("mode", &modes, report).map_or(Mode::Auto, |(mode, _)| mode),
        delay: table.span("delay", DELAYS, report).unwrap_or(DEFAULT_DELAY),
        pace: table.choice("pace", &paces, report).map_or(Pace::Pcr, |(pace, _)| pace),
        clock: table.choice("clock", &clocks, report).map_or(ClockPolicy::Continue, |(clock, _)| clock),
        hole: table.choice("hole", &holes, report).map_or(Hole::Carrier, |(hole, _)| hole),
        slate,
        entry: table.choice("entry", &entries, report).map_or(Entry::Next, |(entry, _)| entry),
        policy: Settings {
            order: table.choice("order", &orders, report).map_or(default.order, |(order, _)| order),
            failback: failback(table, default.failback, report),
            dwell: table.span("dwell", WAITS, report).unwrap_or(default.dwell),
            max_per_minute: table.whole("max_per_minute", (0, 1000), report).unwrap_or(default.max_per_minute),
            on_loss,
            on_loss_after,
        },
    }
}

/// `failback: manual`, or a mapping.
fn failback(table: &Table<'_>, default: Failback, report: &mut Report) -> Failback {
    let after = match default {
        Failback::Auto { after } => after,
        Failback::Manual => Span::from_secs(10),
    };
    let Some(node) = table.node("failback") else { return default };
    let modes = [("auto", true), ("manual", false)];
    if let Data::Scalar(text) = &node.data {
        let auto = choice(text, node.place, "failback", &modes, report).unwrap_or(true);
        return if auto { Failback::Auto { after } } else { Failback::Manual };
    }
    let table = table.table("failback", &["mode", "after"], report);
    let auto = table.choice("mode", &modes, report).is_none_or(|(auto, _)| auto);
    let after = table.span("after", WAITS, report).unwrap_or(after);
    if auto {
        return Failback::Auto { after };
    }
    if let Some(node) = table.node("after") {
        report.warning(
            node.place,
            "`after` has no effect with `mode: manual`: the output returns when somebody takes the input",
        );
    }
    Failback::Manual
}

/// `on_loss: mute`, or a mapping.
fn on_loss(table: &Table<'_>, default: &Settings, report: &mut Report) -> (LossAction, Span, Option<Box<Clip>>) {
    let (action, after) = (default.on_loss, default.on_loss_after);
    let Some(node) = table.node("on_loss") else { return (action, after, None) };
    if matches!(node.data, Data::Scalar(_)) {
        let action = loss_action(node, report).unwrap_or(action);
        if action == LossAction::Slate {
            report.error(node.place, SLATE_WANTED);
        }
        return (action, after, None);
    }
    let table = table.table("on_loss", &["action", "after", "slate"], report);
    let action = table.node("action").and_then(|node| loss_action(node, report)).unwrap_or(action);
    let slate = table.value("slate", clip, report);
    match (table.node("slate"), action == LossAction::Slate) {
        (None, true) => report.error(table.at("action"), SLATE_WANTED),
        (Some(node), false) => report.warning(node.place, "`slate` has no effect without `action: slate`"),
        (Some(_), true) | (None, false) => {}
    }
    let slate = slate.filter(|_| action == LossAction::Slate);
    (action, table.span("after", WAITS, report).unwrap_or(after), slate)
}

const SLATE_WANTED: &str = "`action: slate` wants a clip: `slate: /path/to/file.ts`";

/// Reads the clip of a path.
fn clip(path: &str) -> Result<Box<Clip>, String> {
    let path = Path::new(path);
    let name = path.display();
    if !path.is_absolute() {
        return Err(format!("{name} does not begin with `/`: a clip is named by its whole path"));
    }
    let about = fs::metadata(path).map_err(|error| format!("{name}: {error}"))?;
    if !about.is_file() {
        return Err(format!("{name} is not a file"));
    }
    if about.len() > slate::MAX_SIZE as u64 {
        return Err(format!("{name} has {} bytes: at most {} can be played", about.len(), slate::MAX_SIZE));
    }
    let bytes = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    Clip::new(&bytes).map(Box::new).map_err(|error| format!("{name}: {error}"))
}

fn loss_action(node: &Node, report: &mut Report) -> Option<LossAction> {
    let all = [LossAction::Stay, LossAction::Null, LossAction::Mute, LossAction::Slate];
    let text = match &node.data {
        // In YAML, `null` is the name of nothing.
        Data::Null => "null",
        Data::Scalar(text) => text,
        Data::List(_) | Data::Map(_) => {
            let kind = node.data.kind();
            report.error(node.place, format!("`action` is one of stay, null, mute and slate, and this is {kind}"));
            return None;
        }
    };
    choice(text, node.place, "action", &all.map(|action| (action.name(), action)), report)
}

/// FNV-1a of 32 bits: an SSRC that stays the same from start to start, and differs between channels.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssrcs_are_the_published_hash() {
        for (text, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv1a(text), hash);
        }
    }
}
