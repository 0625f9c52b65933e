//! One input, one output.

use std::net::{IpAddr, SocketAddr};

use super::limits;
use super::passphrase;
use super::plan::{InputPlan, Interface, OutputPlan};
use super::problem::{Place, Report, quoted};
use super::quantity;
use super::srt_keys::Keys;
use super::srt_url::{self, End, SrtUrl};
use super::table::{Table, free_text, plain_name, scalar};
use super::url::{self, Endpoint, Scheme};
use super::yaml::{Data, Node};
use crate::engine::{InputSetup, Standby};
use crate::health::Limits;
use crate::tr101290;
use crate::transport::Framing;
use crate::units::{BitRate, Span};

const INPUT_KEYS: [&str; 15] = [
    "name",
    "url",
    "interface",
    "source",
    "priority",
    "domain",
    "standby",
    "health",
    "analysis",
    "reorder",
    "receive_buffer",
    "max_bit_rate",
    "srt",
    passphrase::KEYS[0],
    passphrase::KEYS[1],
];
const OUTPUT_KEYS: [&str; 7] = ["url", "interface", "ttl", "dscp", "srt", passphrase::KEYS[0], passphrase::KEYS[1]];
/// Let through for a message of its own.
const REFUSED: [&str; 1] = [passphrase::REFUSED];

/// The longest reorder window.
const REORDER: (Span, Span) = (Span::ZERO, Span::from_secs(2));
/// The bit rates that room can be made for.
const RATES: (BitRate, BitRate) = (BitRate(10_000), BitRate(10_000_000_000));
/// How long an input that rests may take from when it is needed until it is there.
const CONNECT: Span = Span::from_secs(1);
/// Priorities, far more than anybody needs and safe to add to.
const PRIORITIES: (i32, i32) = (-1_000_000, 1_000_000);

const DEFAULT_BUFFER: usize = 8 << 20;
/// What room is made for where no `max_bit_rate` is given.
pub(super) const DEFAULT_RATE: BitRate = BitRate(50_000_000);
const DEFAULT_TTL: u8 = 16;

/// Seven TS packets, which is what a datagram usually has.
const DATAGRAM_BITS: u128 = 7 * 188 * 8;

/// What an input has from its channel.
pub(super) struct Inherited {
    pub(super) delay: Span,
    /// How much longer a packet may wait where inputs are spliced.
    pub(super) slack: Span,
    pub(super) limits: Limits,
    pub(super) analyser: tr101290::Settings,
}

/// An input with the places that later checks point at.
pub(super) struct Input {
    pub(super) plan: InputPlan,
    pub(super) setup: InputSetup,
    pub(super) url: Place,
    pub(super) standby: Place,
    /// The fastest stream that room is made for.
    pub(super) rate: BitRate,
}

/// An output with the place that later checks point at.
pub(super) struct Output {
    pub(super) plan: OutputPlan,
    pub(super) url: Place,
}

/// Reads an input.
pub(super) fn input(
    node: &Node,
    from: &Inherited,
    names: &mut Vec<(String, Place)>,
    report: &mut Report,
) -> Option<Input> {
    let table = Table::open_with(node, "an input", &INPUT_KEYS, &REFUSED, report)?;
    let name = table.value("name", plain_name, report);
    if table.node("name").is_none() {
        report.error(table.place(), "this input has no `name`");
    }
    names.extend(name.clone().map(|name| (name, table.at("name"))));
    let priority = table.whole("priority", PRIORITIES, report).unwrap_or(0);
    let domain = table.value("domain", free_text, report);
    let is_warm = table.choice("standby", &[("hot", false), ("warm", true)], report).is_some_and(|(warm, _)| warm);
    let reorder = table.span("reorder", REORDER, report).unwrap_or(Span::from_millis(20));
    let rate = table.value("max_bit_rate", bit_rate, report);
    let capacity =
        capacity(rate.unwrap_or(DEFAULT_RATE), Span::from_nanos(from.delay.nanos() + from.slack.nanos()), reorder);
    if capacity == MOST_DATAGRAMS {
        let place = table.at("max_bit_rate");
        report.warning(
            place,
            format!(
                "at {} the delay line would have to hold more than {MOST_DATAGRAMS} datagrams: it holds that many, \
             and a stream that fast overflows it; lower `max_bit_rate`, or `delay`",
                rate.unwrap_or(DEFAULT_RATE)
            ),
        );
    }
    let mut limits = limits::health(&table, from.limits, report);
    let analyser = limits::analysis(&table, from.analyser, report);
    let explicit = Explicit::of(&table, report);
    let keys = Keys::of(&table, report);
    let (way, written, url_place) = way(&table, End::Input, report)?;
    let mut plan = InputPlan {
        name: String::new(),
        url: written,
        address: way.address(),
        interface: None,
        sources: Vec::new(),
        receive_buffer: DEFAULT_BUFFER,
        domain,
        srt: None,
    };
    let framing = match way {
        Way::Datagrams(endpoint) => {
            keys.refuse(report);
            limits = limits::without_srt(&table, limits, report);
            explicit.join(&endpoint, url_place, &mut plan, report);
            match endpoint.scheme {
                Scheme::Udp => Framing::Auto,
                Scheme::Rtp => Framing::Rtp,
            }
        }
        Way::Srt(url) => {
            if let Some((_, place)) = explicit.sources {
                report.error(place, "`source` is for multicast: who may call is said by srt: {access: [{from: …}]}");
            }
            plan.receive_buffer = explicit.buffer.map_or(DEFAULT_BUFFER, |(bytes, _)| bytes);
            let reached = keys.settle(&url, explicit.interface, End::Input, rate, url_place, report);
            (plan.address, plan.interface, plan.srt) = (reached.address, reached.interface, Some(reached.srt));
            Framing::Auto
        }
    };
    plan.name = name?;
    // by SRT the first message is delivered one latency after it came
    let latency = plan.srt.as_ref().map_or(Span::ZERO, |srt| srt.latency);
    let standby = match is_warm {
        true => Standby::Warm { connect: Span::from_nanos(CONNECT.nanos() + latency.nanos()) },
        false => Standby::Hot,
    };
    Some(Input {
        plan,
        setup: InputSetup { priority, standby, framing, reorder, capacity, analyser, limits },
        url: url_place,
        standby: table.at("standby"),
        rate: rate.unwrap_or(DEFAULT_RATE),
    })
}

/// Reads an output of a channel whose fastest stream has `rate`.
pub(super) fn output(node: &Node, rate: BitRate, report: &mut Report) -> Option<Output> {
    let table = Table::open_with(node, "an output", &OUTPUT_KEYS, &REFUSED, report)?;
    let ttl = table.whole("ttl", (1, u8::MAX), report);
    let dscp = table.whole("dscp", (0, 63), report);
    let explicit = Explicit::of(&table, report);
    let keys = Keys::of(&table, report);
    let (way, written, url) = way(&table, End::Output, report)?;
    let (in_url, rtp) = match &way {
        Way::Datagrams(endpoint) => ((endpoint.ttl, endpoint.dscp), endpoint.scheme == Scheme::Rtp),
        Way::Srt(url) => ((url.ttl, url.dscp), false),
    };
    let ttl = settle("ttl", ttl.map(|v| (v, table.at("ttl"))), in_url.0, u8::to_string, report);
    let dscp = settle("dscp", dscp.map(|v| (v, table.at("dscp"))), in_url.1, u8::to_string, report);
    let mut plan = OutputPlan {
        url: written,
        rtp,
        address: way.address(),
        interface: None,
        ttl: ttl.unwrap_or(DEFAULT_TTL),
        dscp: dscp.unwrap_or(0),
        srt: None,
    };
    match way {
        Way::Datagrams(endpoint) => {
            keys.refuse(report);
            let ip = endpoint.address.ip();
            if ip.is_unspecified() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
                report.error(url, format!("{ip} is no address to send to"));
            }
            for (given, key) in [(!endpoint.sources.is_empty(), "source"), (endpoint.buffer.is_some(), "buffer")] {
                if given {
                    report.error(url, format!("URL parameter `{key}` is for inputs: an output does not receive"));
                }
            }
            plan.interface = explicit.interface(&endpoint, url, report);
        }
        Way::Srt(srt) => {
            let reached = keys.settle(&srt, explicit.interface, End::Output, Some(rate), url, report);
            (plan.address, plan.interface, plan.srt) = (reached.address, reached.interface, Some(reached.srt));
        }
    }
    Some(Output { plan, url })
}

/// The most datagrams that one input holds.
const MOST_DATAGRAMS: usize = 65536;

/// How many datagrams `rate` brings while one waits for `delay` and `reorder`, with some to spare.
fn capacity(rate: BitRate, delay: Span, reorder: Span) -> usize {
    let ns = delay.nanos().saturating_add(reorder.nanos());
    let bits = u128::from(rate.0) * u128::from(ns.unsigned_abs());
    let held = bits.div_ceil(DATAGRAM_BITS * 1_000_000_000) + 128;
    usize::try_from(held).unwrap_or(MOST_DATAGRAMS).clamp(256, MOST_DATAGRAMS)
}

fn bit_rate(text: &str) -> Result<BitRate, String> {
    let rate = quantity::rate(text)?;
    if (RATES.0..=RATES.1).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("{} is out of range: 10kb/s…10000Mb/s", quoted(text)))
    }
}

pub(super) fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a URL says, by what carries the stream.
enum Way {
    Datagrams(Endpoint),
    Srt(Box<SrtUrl>),
}

impl Way {
    const fn address(&self) -> SocketAddr {
        match self {
            Self::Datagrams(endpoint) => endpoint.address,
            Self::Srt(url) => url.address,
        }
    }
}

/// What the URL says, the URL as it may be shown, and where it stands.
fn way(table: &Table<'_>, end: End, report: &mut Report) -> Option<(Way, String, Place)> {
    if table.node("url").is_none() {
        let what = match end {
            End::Input => "input",
            End::Output => "output",
        };
        report.error(table.place(), format!("this {what} has no `url`, as in rtp://239.1.1.1:5004"));
    }
    let (text, place) = table.text("url", report)?;
    let read = if srt_url::is_srt(text) {
        SrtUrl::parse(text, end).map(|url| {
            let shown = url.shown.clone();
            (Way::Srt(Box::new(url)), shown)
        })
    } else {
        let shown = srt_url::without_passphrase(text);
        match Endpoint::parse(shown) {
            Ok(_) if shown != text => Err("a passphrase is for SRT, and this URL is not one of srt://".to_owned()),
            Ok(endpoint) => Ok((Way::Datagrams(endpoint), shown.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    };
    match read {
        Ok((way, shown)) => Some((way, shown, place)),
        Err(message) => {
            report.error(place, message);
            None
        }
    }
}

/// What the keys say that a URL can say too.
struct Explicit {
    interface: Option<(Interface, Place)>,
    sources: Option<(Vec<IpAddr>, Place)>,
    buffer: Option<(usize, Place)>,
}

impl Explicit {
    /// Where the datagrams of an input come from.
    fn join(&self, endpoint: &Endpoint, url: Place, plan: &mut InputPlan, report: &mut Report) {
        for (given, key) in [(endpoint.ttl.is_some(), "ttl"), (endpoint.dscp.is_some(), "dscp")] {
            if given {
                report.error(url, format!("URL parameter `{key}` is for outputs: an input does not send"));
            }
        }
        plan.interface = self.interface(endpoint, url, report);
        plan.sources = self.sources(endpoint, report);
        let show = |bytes: &usize| quantity::size_text(wide(*bytes));
        plan.receive_buffer =
            settle("receive_buffer", self.buffer, endpoint.buffer, show, report).unwrap_or(DEFAULT_BUFFER);
        check_reach(&endpoint.address, plan.interface.as_ref(), &plan.sources, self, url, report);
    }

    fn of(table: &Table<'_>, report: &mut Report) -> Self {
        Self {
            interface: table.value("interface", url::interface, report).map(|v| (v, table.at("interface"))),
            sources: table.node("source").and_then(|node| sources(node, report)).map(|v| (v, table.at("source"))),
            buffer: table.value("receive_buffer", url::buffer, report).map(|v| (v, table.at("receive_buffer"))),
        }
    }

    fn interface(&self, endpoint: &Endpoint, url: Place, report: &mut Report) -> Option<Interface> {
        let named = settle("interface", self.interface.clone(), endpoint.interface.clone(), shown, report);
        if let Some(interface) = &named
            && let Err(message) = url::check_interface(&endpoint.address, interface)
        {
            report.error(self.interface.as_ref().map_or(url, |(_, place)| *place), message);
        }
        named
    }

    fn sources(&self, endpoint: &Endpoint, report: &mut Report) -> Vec<IpAddr> {
        let in_order = |mut list: Vec<IpAddr>| {
            list.sort();
            list.dedup();
            list
        };
        let explicit = self.sources.clone().map(|(list, place)| (in_order(list), place));
        let query = Some(endpoint.sources.clone()).filter(|list| !list.is_empty()).map(in_order);
        let all = |list: &Vec<IpAddr>| list.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        settle("source", explicit, query, all, report).unwrap_or_default()
    }
}

/// An interface as it is written.
pub(super) fn shown(interface: &Interface) -> String {
    match interface {
        Interface::Name(name) => name.clone(),
        Interface::Address(ip) => ip.to_string(),
    }
}

/// What a key and the URL say, which is an error where they differ.
pub(super) fn settle<T: PartialEq>(
    key: &str,
    explicit: Option<(T, Place)>,
    query: Option<T>,
    show: impl Fn(&T) -> String,
    report: &mut Report,
) -> Option<T> {
    match (explicit, query) {
        (Some((explicit, place)), Some(query)) if explicit != query => {
            report.error(
                place,
                format!(
                    "`{key}` is {} here and {} in the URL: leave one out",
                    quoted(&show(&explicit)),
                    quoted(&show(&query))
                ),
            );
            Some(explicit)
        }
        (Some((explicit, _)), _) => Some(explicit),
        (None, query) => query,
    }
}

/// One source or a list.
fn sources(node: &Node, report: &mut Report) -> Option<Vec<IpAddr>> {
    let items = match &node.data {
        Data::List(items) => items.as_slice(),
        Data::Null | Data::Scalar(_) | Data::Map(_) => std::slice::from_ref(node),
    };
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        match url::source_address(scalar(item, "source", report)?) {
            Ok(source) => list.push(source),
            Err(message) => report.error(item.place, format!("`source`: {message}")),
        }
    }
    Some(list)
}

/// Whether datagrams can come to an input the way that it says.
fn check_reach(
    address: &SocketAddr,
    interface: Option<&Interface>,
    sources: &[IpAddr],
    explicit: &Explicit,
    url: Place,
    report: &mut Report,
) {
    let at = explicit.sources.as_ref().map_or(url, |(_, place)| *place);
    if let Err(message) = url::check_sources(address, sources) {
        report.error(at, message);
    }
    let ip = address.ip();
    if ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        report.error(url, format!("{ip} is no address to receive on: write 0.0.0.0"));
    }
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if interface.is_some() && !ip.is_multicast() && !link_local {
        let at = explicit.interface.as_ref().map_or(url, |(_, place)| *place);
        report.warning(
            at,
            format!("`interface` has no effect on this input: {ip} is not a multicast address, so nothing is joined"),
        );
    }
    let ssm = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 232,
        IpAddr::V6(ip) => ip.segments()[0] & 0xfff0 == 0xff30,
    };
    if ssm && sources.is_empty() {
        report.warning(
            url,
            format!("{ip} is a source-specific group (RFC 4607): without `source`, routers do not forward it"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_for_what_waits() {
        let ms = Span::from_millis;
        // 100 Mb/s for 120 ms are 1139.8 datagrams of 1316 bytes.
        assert_eq!(capacity(BitRate(100_000_000), ms(100), ms(20)), 1140 + 128);
        assert_eq!(capacity(BitRate(10_000), ms(0), ms(0)), 256);
        assert_eq!(capacity(BitRate(10_000_000_000), ms(2000), ms(2000)), MOST_DATAGRAMS);
    }
}
