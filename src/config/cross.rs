//! What channels, inputs and outputs must not do to each other.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::channel::Channel;
use super::ends::{Input, Output};
use super::plan::Interface;
use super::problem::{Place, Report, quoted};
use super::srt::{Bond, Role, SrtPlan};

/// Looks at all channels together.
pub(super) fn check(channels: &[Channel], report: &mut Report) {
    unique(channels.iter().filter_map(|c| Some((c.name.as_deref()?, c.place))), "channel", report);
    for channel in channels {
        unique(channel.input_names.iter().map(|(name, place)| (name.as_str(), *place)), "input", report);
        repeated(channel, report);
        loops(channel, report);
    }
    stolen(channels, report);
    mixed(channels, report);
}

/// Names that two have.
fn unique<'a>(names: impl Iterator<Item = (&'a str, Place)>, what: &str, report: &mut Report) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for (name, place) in names {
        if let Some(first) = seen.get(name) {
            let line = first.line;
            report.error(place, format!("the {what} in line {line} is called {} too", quoted(name)));
        } else {
            seen.insert(name, place);
        }
    }
}

/// The same flow twice in one channel.
fn repeated(channel: &Channel, report: &mut Report) {
    for (i, input) in channel.inputs.iter().enumerate() {
        let same = |other: &&Input| {
            let (a, b) = (&input.plan, &other.plan);
            let theirs = |way| ways(b.address, b.interface.as_ref(), b.srt.as_ref()).any(|other| other == way);
            (a.address.ip().is_multicast() || role(a.srt.as_ref()) == Some(Role::Caller))
                && ways(a.address, a.interface.as_ref(), a.srt.as_ref()).any(theirs)
                && a.sources == b.sources
                && called(a.srt.as_ref()) == called(b.srt.as_ref())
        };
        if let Some(first) = channel.inputs.iter().take(i).find(same) {
            report.warning(
                input.url,
                format!(
                    "input {} receives the very flow that {} does, and is no backup for it",
                    quoted(&input.plan.name),
                    quoted(&first.plan.name)
                ),
            );
        }
    }
}

/// A socket with a port of this host.
struct Bound<'a> {
    address: SocketAddr,
    channel: &'a str,
    /// The name of an input; none for an output.
    input: Option<&'a str>,
    srt: bool,
    place: Place,
}

impl Bound<'_> {
    /// The socket of an end; none where the system chooses its port, or a group is joined.
    fn address(at: SocketAddr, interface: Option<&Interface>, srt: Option<&SrtPlan>) -> Option<SocketAddr> {
        match srt.map(|srt| srt.role) {
            None => (!at.ip().is_multicast()).then_some(at),
            Some(Role::Caller) => None,
            Some(Role::Listener) => Some(at),
            // The port is that of the peer.
            Some(Role::Rendezvous) => {
                let any = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let own = interface.map_or(any, |interface| match interface {
                    Interface::Address(ip) => *ip,
                    Interface::Name(_) => any,
                });
                Some(SocketAddr::new(own, at.port()))
            }
        }
    }

    /// As a person calls it.
    fn name(&self) -> String {
        match self.input {
            Some(name) => format!("input {} of channel {}", quoted(name), quoted(self.channel)),
            None => format!("the output in line {}", self.place.line),
        }
    }
}

/// Two sockets on one unicast address: each would get some of the datagrams, or only the later one any.
fn stolen(channels: &[Channel], report: &mut Report) {
    let mut ports: HashMap<u16, Vec<Bound<'_>>> = HashMap::new();
    for channel in channels {
        let name = channel.name.as_deref().unwrap_or("");
        let inputs = channel.inputs.iter().filter_map(|Input { plan, url, .. }| {
            let address = Bound::address(plan.address, plan.interface.as_ref(), plan.srt.as_ref())?;
            Some(Bound { address, channel: name, input: Some(&plan.name), srt: plan.srt.is_some(), place: *url })
        });
        let outputs = channel.outputs.iter().filter_map(|Output { plan, url }| {
            // Other outputs send from a port that the system chooses.
            let srt = plan.srt.as_ref()?;
            let address = Bound::address(plan.address, plan.interface.as_ref(), Some(srt))?;
            Some(Bound { address, channel: name, input: None, srt: true, place: *url })
        });
        for one in inputs.chain(outputs) {
            let bound = ports.entry(one.address.port()).or_default();
            if let Some(other) = bound.iter().find(|other| overlap(&one.address, &other.address)) {
                let (address, name, theirs) = (one.address, other.name(), other.address);
                let message = if one.srt && other.srt {
                    format!(
                        "{address} is where {name} has its SRT port ({theirs}): write another port, since each has one \
                         of its own, whatever stream ids its callers send"
                    )
                } else {
                    format!(
                        "{address} is what {name} is bound to ({theirs}): one would take the datagrams of the other"
                    )
                };
                report.error(one.place, message);
            }
            bound.push(one);
        }
    }
}

/// Whether two sockets bound to these, with the same port, would get the same datagrams.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    // Those bound to :: are told to keep to IPv6.
    let any_of = |any: IpAddr, other: IpAddr| any.is_unspecified() && any.is_ipv4() == other.is_ipv4();
    a == b || any_of(a.ip(), b.ip()) || any_of(b.ip(), a.ip())
}

fn role(srt: Option<&SrtPlan>) -> Option<Role> {
    srt.map(|srt| srt.role)
}

/// What a caller asks its peer for; none without SRT, and for one that does not call.
fn called(srt: Option<&SrtPlan>) -> Option<Option<&str>> {
    srt.filter(|srt| srt.role == Role::Caller).map(|srt| srt.stream_id.as_deref())
}

/// All addresses of an end, with their interfaces: a bond that calls has several.
fn ways<'a>(
    address: SocketAddr,
    interface: Option<&'a Interface>,
    srt: Option<&'a SrtPlan>,
) -> impl Iterator<Item = (SocketAddr, Option<&'a Interface>)> {
    let others = match srt.and_then(|srt| srt.bond.as_ref()) {
        Some(Bond::Call { others, .. }) => others.as_slice(),
        Some(Bond::Accept) | None => &[],
    };
    std::iter::once((address, interface)).chain(others.iter().map(|way| (way.address, way.interface.as_ref())))
}

/// Whether what an output of this role sends to, or serves at, `to` is what an input of that role has at `from`.
fn comes_back(output: Option<Role>, to: SocketAddr, input: Option<Role>, from: SocketAddr) -> bool {
    let near = |any: &SocketAddr, one: &SocketAddr| one.ip().is_loopback() && overlap(any, one);
    to.port() == from.port()
        && match (output, input) {
            (None | Some(Role::Caller), None | Some(Role::Listener)) => {
                to.ip() == from.ip() || from.ip().is_unspecified() && near(&from, &to)
            }
            (Some(Role::Listener), Some(Role::Caller)) => to.ip() == from.ip() || near(&to, &from),
            (Some(_) | None, Some(_) | None) => false,
        }
}

/// An output that comes back as an input of its own channel.
fn loops(channel: &Channel, report: &mut Report) {
    for output in &channel.outputs {
        let (plan, to_role) = (&output.plan, role(output.plan.srt.as_ref()));
        let found = channel.inputs.iter().find_map(|input| {
            let (srt, first) = (input.plan.srt.as_ref(), input.plan.address);
            let mut to = ways(plan.address, None, plan.srt.as_ref()).map(|(to, _)| to);
            let back =
                |to: &SocketAddr| ways(first, None, srt).any(|(from, _)| comes_back(to_role, *to, role(srt), from));
            to.find(back).map(|to| (input, to))
        });
        let Some((input, to)) = found else { continue };
        let name = quoted(&input.plan.name);
        if to.ip().is_multicast() && apart(output.plan.interface.as_ref(), input.plan.interface.as_ref()) {
            let message = format!(
                "{to} is the group of input {name}, on another interface: should the two be one network, the output loops"
            );
            report.warning(output.url, message);
        } else {
            report.error(output.url, format!("{to} is what input {name} receives: the output would loop back into it"));
        }
    }
}

/// Whether two interfaces are surely not one.
fn apart(a: Option<&Interface>, b: Option<&Interface>) -> bool {
    match (a, b) {
        (Some(Interface::Name(a)), Some(Interface::Name(b))) => a != b,
        (Some(Interface::Address(a)), Some(Interface::Address(b))) => a != b,
        (Some(_) | None, Some(_) | None) => false,
    }
}

/// Two outputs to one address: whoever receives it gets both.
fn mixed(channels: &[Channel], report: &mut Report) {
    let mut seen: HashMap<_, &Output> = HashMap::new();
    for channel in channels {
        for output in &channel.outputs {
            let plan = &output.plan;
            if !matches!(role(plan.srt.as_ref()), None | Some(Role::Caller)) {
                continue;
            }
            // A peer tells its callers apart by their stream ids.
            let key = |(to, interface)| (to, interface, called(plan.srt.as_ref()));
            let keys: Vec<_> = ways(plan.address, plan.interface.as_ref(), plan.srt.as_ref()).map(key).collect();
            if let Some((first, to)) = keys.iter().find_map(|key| Some((*seen.get(key)?, key.0))) {
                let line = first.url.line;
                report.error(
                    output.url,
                    format!("the output in line {line} sends to {to} too: receivers would get both, mixed"),
                );
            }
            for key in keys {
                seen.entry(key).or_insert(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_overlaps_with_every_other() {
        for (a, b, together) in [
            ("0.0.0.0:1", "10.0.0.1:1", true),
            ("10.0.0.1:1", "10.0.0.2:1", false),
            ("[::]:1", "10.0.0.1:1", false),
            ("[::]:1", "[fe80::1]:1", true),
            ("0.0.0.0:1", "[::]:1", false),
            ("0.0.0.0:1", "[fe80::1]:1", false),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (together, together), "{a} {b}");
        }
    }
}
