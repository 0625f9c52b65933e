//! What a plan comes down to, in words.

use std::fmt::{self, Write};

use super::ends::shown;
use super::plan::{ChannelPlan, InputPlan, Interface, OutputPlan, Plan};
use super::quantity::size_text;
use crate::engine::InputSetup;
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
    let mode = match channel.setup.mode {
        Mode::Auto => "auto",
        Mode::Merge => "merge",
        Mode::Splice => "splice",
        Mode::Cut => "cut",
    };
    writeln!(
        out,
        "  switch    mode {mode}: this version cuts at TS packets and signals a PCR step by discontinuity_indicator"
    )?;
    write_policy(out, &setup.policy)?;
    writeln!(out, "  delay     packets leave {} after they arrived", setup.delay)?;
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
    let buffer = size_text(u64::try_from(input.receive_buffer).unwrap_or(u64::MAX));
    writeln!(out, "; {framing}; RTP reorder {}", setup.reorder)?;
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
    write_limits(out, &setup.limits)
}

fn write_limits(out: &mut String, limits: &Limits) -> fmt::Result {
    let (mut judged, mut ignored) = (Vec::new(), Vec::new());
    for criterion in Criterion::ALL {
        match limits.limit(criterion) {
            Some(limit) => judged.push((criterion.name(), limit)),
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
    let carried = if output.rtp { "RTP" } else { "UDP" };
    write!(out, "  output {carried} to {}", output.address)?;
    if let Some(interface) = &output.interface {
        write!(out, " from {}", interface_text(interface))?;
    }
    writeln!(out, ", TTL {}, DSCP {}", output.ttl, output.dscp)
}

fn interface_text(interface: &Interface) -> String {
    match interface {
        Interface::Name(_) => shown(interface),
        Interface::Address(_) => format!("the interface with {}", shown(interface)),
    }
}
