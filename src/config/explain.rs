//! What a plan comes down to, in words.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::ends::{shown, wide};
use super::plan::{ChannelPlan, InputPlan, Interface, OutputPlan, Plan};
use super::problem::quoted;
use super::quantity::{share_text, size_text};
use super::srt::{Backend, Bond, BondMode, Network, Role, Second, SrtPlan, Way};
use crate::engine::{ChannelSetup, ClockPolicy, Entry, Hole, InputSetup, Pace, Standby};
use crate::health::{Criterion, Limit, Limits, Raise};
use crate::switch::policy::{Failback, LossAction, Mode, Order, Settings};
use crate::transport::Framing;

/// What `plan` amounts to for each channel, input and output, defaults and all, for a person to read before it goes
/// on air. The wording is not a contract.
pub fn explain(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write_plan(&mut out, plan);
    out
}

fn write_plan(out: &mut String, plan: &Plan) -> fmt::Result {
    write!(out, "node {}", plan.node.name)?;
    if let Some(domain) = &plan.node.domain {
        write!(out, " in domain {domain}")?;
    }
    match plan.api {
        Some(address) => writeln!(out, "\nAPI on http://{address}")?,
        None => writeln!(out, "\nAPI off")?,
    }
    for channel in &plan.channels {
        write_channel(out, channel)?;
    }
    Ok(())
}

fn write_channel(out: &mut String, channel: &ChannelPlan) -> fmt::Result {
    let setup = &channel.setup;
    writeln!(out, "\nchannel {}", channel.name)?;
    write_cut(out, setup)?;
    write_policy(out, &setup.policy)?;
    let pace = match setup.pace {
        Pace::Pcr => "on average, by the clock of their stream",
        Pace::Arrival => "each",
    };
    writeln!(out, "  delay     packets leave {} after they arrived, {pace}", setup.delay)?;
    let hole = match setup.hole {
        Hole::Carrier => "filled with null packets, PCRs and tables at the rate of the stream",
        Hole::Silent => "left as they are",
    };
    writeln!(out, "  holes     {hole}")?;
    let gather = &setup.gather;
    writeln!(
        out,
        "  datagrams {} TS packets, or fewer after {}; RTP SSRC {:#010x}",
        gather.packets, gather.hold, gather.ssrc
    )?;
    for (input, setup) in channel.inputs.iter().zip(&setup.inputs) {
        write_input(out, input, setup)?;
    }
    for output in &channel.outputs {
        write_output(out, output)?;
    }
    Ok(())
}

/// How the output goes from one input to another.
fn write_cut(out: &mut String, setup: &ChannelSetup) -> fmt::Result {
    let (mode, cut) = match setup.mode {
        Mode::Auto => ("auto", "equal inputs are merged, others spliced"),
        Mode::Merge => ("merge", "equal inputs are merged, others spliced"),
        Mode::Splice => ("splice", "inputs are spliced, also equal ones"),
        Mode::Cut => ("cut", "cuts at TS packets, whatever they are"),
    };
    write!(out, "  switch    mode {mode}: {cut}")?;
    if setup.mode != Mode::Cut {
        let clock = match setup.clock {
            ClockPolicy::Continue => "the times of unlike ones are moved so that the PCR runs on",
            ClockPolicy::Signal => "times stay as they came, and a step of the PCR is signalled",
        };
        let entry = match setup.entry {
            Entry::Next => "the next random access point",
            Entry::Cached => "the last random access point, up to 3s back, in an emergency",
        };
        write!(out, " at {entry}; {clock}")?;
    }
    writeln!(out)
}

fn write_policy(out: &mut String, policy: &Settings) -> fmt::Result {
    let order = match policy.order {
        Order::Priority => "the healthy input of the highest priority is on air",
        Order::Random => "any healthy input is on air",
    };
    writeln!(out, "  order     {order}")?;
    match policy.failback {
        Failback::Auto { after } => writeln!(
            out,
            "  failback  to a better input once it was healthy for {after}, and at least {} after the last switch",
            policy.dwell
        )?,
        Failback::Manual => writeln!(out, "  failback  only when somebody takes an input")?,
    }
    match policy.max_per_minute {
        0 => writeln!(out, "  at most   any number of automatic switches")?,
        most => writeln!(out, "  at most   {most} automatic switches a minute while the input on air still delivers")?,
    }
    let action = match policy.on_loss {
        LossAction::Stay => "the least bad stays on air",
        LossAction::Mute => "the output stops",
        LossAction::Null => "null packets, the clock and the tables go on",
        LossAction::Slate => "the slate is played",
    };
    writeln!(out, "  on loss   {action}, once no input was healthy for {}", policy.on_loss_after)
}

fn write_input(out: &mut String, input: &InputPlan, setup: &InputSetup) -> fmt::Result {
    write!(out, "  input {}: priority {}", input.name, setup.priority)?;
    if let Some(domain) = &input.domain {
        write!(out, ", domain {domain}")?;
    }
    if let Some(srt) = &input.srt {
        writeln!(out)?;
        write_srt(out, srt, input.address, input.interface.as_ref())?;
        match (srt.role, srt.second) {
            (Role::Listener, Second::Refuse) => {
                writeln!(out, "    a second sender is refused while the first is there")?
            }
            (Role::Listener, Second::TakeOver) => writeln!(out, "    a second sender takes the place of the first")?,
            (Role::Caller | Role::Rendezvous, Second::Refuse | Second::TakeOver) => {}
        }
        writeln!(out, "    arrives {} after it was sent, which a merge has to wait for", srt.latency)?;
        return write_input_rest(out, input, setup);
    }
    let how = if input.address.ip().is_multicast() { "join" } else { "bind to" };
    write!(out, "\n    {how} {}", input.address)?;
    if let Some(interface) = &input.interface {
        write!(out, " on {}", interface_text(interface))?;
    }
    for (i, source) in input.sources.iter().enumerate() {
        write!(out, "{}{source}", if i == 0 { ", only from " } else { ", " })?;
    }
    let framing = match setup.framing {
        Framing::Auto => "TS or RTP, recognised",
        Framing::Rtp => "RTP only",
    };
    writeln!(out, "; {framing}; RTP reorder {}", setup.reorder)?;
    write_input_rest(out, input, setup)
}

/// What there is to say of any input.
fn write_input_rest(out: &mut String, input: &InputPlan, setup: &InputSetup) -> fmt::Result {
    if let Standby::Warm { connect } = setup.standby {
        let rests = match input.srt.as_ref().map(|srt| srt.role) {
            Some(Role::Listener) => "callers are let in all the time, and what they send is let go until it is needed",
            Some(Role::Caller | Role::Rendezvous) => "no call is made until it is needed",
            None if input.address.ip().is_multicast() => "joined when it is needed",
            None => "what comes is let go until it is needed",
        };
        writeln!(out, "    warm: {rests}; judged once something comes, or after {connect}")?;
    }
    let buffer = size_text(wide(input.receive_buffer));
    writeln!(out, "    receive buffer {buffer}, room for {} datagrams in the delay line", setup.capacity)?;
    let a = &setup.analyser;
    writeln!(
        out,
        "    TR 101 290 limits: PAT {}, PMT {}, PID {} (video, audio) and {} (data), PCR {}, PTS {}, CAT {},",
        a.pat, a.pmt, a.pid_media, a.pid_data, a.pcr, a.pts, a.cat
    )?;
    writeln!(
        out,
        "      NIT {}, SDT {}, EIT {}, TDT {}, other tables {}, unreferenced {}; sections {} apart",
        a.nit, a.sdt, a.eit, a.tdt, a.si_other, a.unreferenced, a.si_gap
    )?;
    write_limits(out, &setup.limits, input.srt.is_some())
}

fn write_limits(out: &mut String, limits: &Limits, by_srt: bool) -> fmt::Result {
    let (mut judged, mut ignored) = (Vec::new(), Vec::new());
    for criterion in Criterion::ALL {
        match limits.limit(criterion) {
            Some(limit) => judged.push((criterion.name(), limit)),
            None if criterion.is_of_srt() && !by_srt => {}
            None => ignored.push(criterion.name()),
        }
    }
    if judged.is_empty() {
        return writeln!(out, "    never unhealthy: no criterion is judged");
    }
    writeln!(out, "    unhealthy on")?;
    let width = judged.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, limit) in judged {
        writeln!(out, "      {name:width$}  {}", limit_text(limit))?;
    }
    if !ignored.is_empty() {
        writeln!(out, "    not judged: {}", ignored.join(", "))?;
    }
    Ok(())
}

fn limit_text(limit: &Limit) -> String {
    let mut text = match limit.raise {
        Raise::Lasting(span) => format!("lasting {span}"),
        Raise::Counted { above: 0, within: _ } => "any at all".to_owned(),
        Raise::Counted { above, within } => format!("more than {above} within {within}"),
        Raise::Below { rate, lasting } => format!("below {rate} for {lasting}"),
        Raise::Slower { than, lasting } => format!("above {than} for {lasting}"),
        Raise::Share { above: 0, within: _ } => "any at all".to_owned(),
        Raise::Share { above, within } => format!("more than {} within {within}", share_text(above)),
    };
    for (i, pid) in limit.scope.pids().iter().enumerate() {
        text += if i == 0 { " on PID " } else { ", " };
        text += &pid.to_string();
    }
    for (i, program) in limit.scope.programs().iter().enumerate() {
        text += if i == 0 { " of program " } else { ", " };
        text += &program.to_string();
    }
    text + &format!("; cleared after {} without", limit.clear)
}

fn write_output(out: &mut String, output: &OutputPlan) -> fmt::Result {
    if let Some(srt) = &output.srt {
        writeln!(out, "  output by SRT, TTL {}, DSCP {}", output.ttl, output.dscp)?;
        write_srt(out, srt, output.address, output.interface.as_ref())?;
        if srt.role == Role::Listener {
            writeln!(out, "    serves at most {} callers at once", srt.callers)?;
        }
        return writeln!(out, "    messages of at most {} bytes", srt.payload);
    }
    let carried = if output.rtp { "RTP" } else { "UDP" };
    write!(out, "  output {carried} to {}", output.address)?;
    if let Some(interface) = &output.interface {
        write!(out, " from {}", interface_text(interface))?;
    }
    writeln!(out, ", TTL {}, DSCP {}", output.ttl, output.dscp)
}

/// What SRT comes down to, without a passphrase.
fn write_srt(out: &mut String, srt: &SrtPlan, address: SocketAddr, interface: Option<&Interface>) -> fmt::Result {
    let how = match srt.role {
        Role::Caller => "calls",
        Role::Listener => "listens on",
        Role::Rendezvous => "rendezvous with",
    };
    write!(out, "    SRT {how} {address}")?;
    if let Some(interface) = interface {
        write!(out, " on {}", interface_text(interface))?;
    }
    if let Some(stream_id) = &srt.stream_id {
        write!(out, ", stream id {}", quoted(stream_id))?;
    }
    let backend = match (srt.backend, srt.beyond_rsrt(address).is_some()) {
        (Backend::Auto, true) => "libsrt, which alone can do this",
        (Backend::Auto, false) => "libsrt where it is installed, else the built-in rsrt",
        (Backend::Libsrt, _) => "libsrt",
        (Backend::Rsrt, _) => "the built-in rsrt",
    };
    writeln!(out, "; by {backend}")?;
    match &srt.bond {
        None => {}
        Some(Bond::Accept) => writeln!(out, "    takes callers that come by several bonded ways for one")?,
        Some(Bond::Call { mode, others }) => {
            let used = match mode {
                BondMode::Broadcast => "all goes by each of them",
                BondMode::Backup => "all goes by the first that works, in this order",
            };
            write!(out, "    bonded with")?;
            for (i, Way { address, interface }) in others.iter().enumerate() {
                write!(out, "{}{address}", if i == 0 { " " } else { ", " })?;
                if let Some(interface) = interface {
                    write!(out, " on {}", interface_text(interface))?;
                }
            }
            writeln!(out, ": {used}")?;
        }
    }
    let secret = match (&srt.passphrase, srt.key_length) {
        (None, _) => "not encrypted".to_owned(),
        (Some(_), None) => "encrypted, key length that of the peer, or 16 bytes".to_owned(),
        (Some(_), Some(length)) => format!("encrypted, key length {length} bytes"),
    };
    writeln!(out, "    latency {} or the peer's, whichever is longer; {secret}", srt.latency)?;
    if !srt.access.is_empty() {
        writeln!(out, "    lets in the callers that one of these fits, and the first that does counts:")?;
    }
    for rule in &srt.access {
        write!(out, "      ")?;
        match &rule.stream_id {
            Some(id) => write!(out, "stream id {}", quoted(id))?,
            None => write!(out, "any stream id")?,
        }
        for (i, Network { address, prefix }) in rule.from.iter().enumerate() {
            write!(out, "{}{address}/{prefix}", if i == 0 { " from " } else { ", " })?;
        }
        let secret = match (&rule.passphrase, &srt.passphrase) {
            (Some(_), _) => "with a passphrase of its own",
            (None, Some(_)) => "with the passphrase of the listener",
            (None, None) => "not encrypted",
        };
        writeln!(out, ", {secret}")?;
    }
    if srt.role != Role::Listener {
        writeln!(out, "    gives a call up after {}, and calls again", srt.connect)?;
    }
    let buffer = size_text(wide(srt.buffer));
    writeln!(out, "    closed after {} without a word of the peer; {buffer} for what is on the way", srt.idle)
}

fn interface_text(interface: &Interface) -> String {
    match interface {
        Interface::Name(_) => shown(interface),
        Interface::Address(_) => format!("the interface with {}", shown(interface)),
    }
}
