//! What the keys of an input or output say of SRT, settled with what its URL says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ends::{DEFAULT_RATE, settle, shown, wide};
use super::passphrase;
use super::plan::Interface;
use super::problem::{Place, Report, quoted};
use super::quantity::{self, size_text};
use super::srt::{Access, Backend, Network, Role, Second, Secret, SrtPlan};
use super::srt_bond::{self, Bonding};
use super::srt_url::{self, CONNECTS, End, IDLES, LATENCIES, SrtUrl};
use super::table::{Table, scalar};
use super::url;
use super::yaml::{Data, Node};
use crate::units::{BitRate, Span};

const KEYS: [&str; 14] = [
    "mode",
    "backend",
    "latency",
    "key_length",
    "stream_id",
    "access",
    "callers",
    "second",
    "payload",
    "connect",
    "idle",
    "buffer",
    srt_bond::KEYS[0],
    srt_bond::KEYS[1],
];
const ACCESS_KEYS: [&str; 4] = ["stream_id", "from", passphrase::KEYS[0], passphrase::KEYS[1]];
const ROLES: [(&str, Role); 3] =
    [("caller", Role::Caller), ("listener", Role::Listener), ("rendezvous", Role::Rendezvous)];
const BACKENDS: [(&str, Backend); 3] = [("auto", Backend::Auto), ("libsrt", Backend::Libsrt), ("rsrt", Backend::Rsrt)];
const SECONDS: [(&str, Second); 2] = [("refuse", Second::Refuse), ("take_over", Second::TakeOver)];

/// How many callers a listening output can serve at once.
const CALLERS: (u8, u8) = (1, 64);
const DEFAULT_CALLERS: u8 = 8;
/// The most rules of one listener, and addresses of one rule.
const MOST_RULES: usize = 64;

/// What SRT itself takes where neither side says anything.
const DEFAULT_LATENCY: Span = Span::from_millis(120);
const DEFAULT_CONNECT: Span = Span::from_secs(3);
const DEFAULT_IDLE: Span = Span::from_secs(5);
/// Seven TS packets.
const DEFAULT_PAYLOAD: u16 = 1316;

/// How much longer than the latency a message may wait in the buffer: the round trip, and a receiver that is late.
const ROUND_TRIP: Span = Span::from_secs(1);
/// The default buffer is a multiple of this.
const PAGE: u64 = 64 << 10;

/// What is said of a passphrase in a URL.
pub(super) const IN_URL: &str = "the passphrase stands in the URL, where whoever can read this file reads it: write it \
     into a file of its own, and name that with `passphrase_file`";

/// What the keys of one end say.
pub(super) struct Keys {
    passphrase: Option<(Secret, Place)>,
    role: Option<(Role, Place)>,
    backend: Option<(Backend, Place)>,
    latency: Option<(Span, Place)>,
    key_length: Option<(u8, Place)>,
    stream_id: Option<(String, Place)>,
    access: Option<(Vec<Access>, Place)>,
    callers: Option<(u8, Place)>,
    second: Option<(Second, Place)>,
    payload: Option<(u16, Place)>,
    connect: Option<(Span, Place)>,
    idle: Option<(Span, Place)>,
    buffer: Option<(usize, Place)>,
    bond: Bonding,
    /// The keys that only SRT has.
    given: Vec<(&'static str, Place)>,
}

/// An end of a stream that goes by SRT.
pub(super) struct Reached {
    pub(super) address: SocketAddr,
    pub(super) interface: Option<Interface>,
    pub(super) srt: SrtPlan,
}

impl Keys {
    /// Reads the keys of an input or output.
    pub(super) fn of(table: &Table<'_>, report: &mut Report) -> Self {
        let given = ["srt"].into_iter().chain(passphrase::KEYS);
        let given = given.filter_map(|key| Some((key, table.node(key)?.place))).collect();
        let passphrase = passphrase::read(table, report);
        let table = table.table("srt", &KEYS, report);
        let at = |key: &str| table.at(key);
        Self {
            passphrase,
            role: table.choice("mode", &ROLES, report),
            backend: table.choice("backend", &BACKENDS, report),
            latency: table.span("latency", LATENCIES, report).map(|v| (v, at("latency"))),
            key_length: table.value("key_length", srt_url::key_length, report).map(|v| (v, at("key_length"))),
            stream_id: table.value("stream_id", srt_url::stream_id, report).map(|v| (v, at("stream_id"))),
            access: table.node("access").map(|node| (rules(&table, report), node.place)),
            callers: table.whole("callers", CALLERS, report).map(|v| (v, at("callers"))),
            second: table.choice("second", &SECONDS, report),
            payload: table.value("payload", srt_url::payload, report).map(|v| (v, at("payload"))),
            connect: table.span("connect", CONNECTS, report).map(|v| (v, at("connect"))),
            idle: table.span("idle", IDLES, report).map(|v| (v, at("idle"))),
            buffer: table.value("buffer", url::buffer, report).map(|v| (v, at("buffer"))),
            bond: Bonding::of(&table, report),
            given,
        }
    }

    /// Says of each key that it is for SRT, which the URL is not.
    pub(super) fn refuse(&self, report: &mut Report) {
        for (key, place) in &self.given {
            report.error(*place, format!("`{key}` is for SRT, and the URL is not one of srt://"));
        }
    }

    /// What they and the URL amount to. `rate` is what room is made for, and `at` is where the URL stands.
    pub(super) fn settle(
        self,
        url: &SrtUrl,
        interface: Option<(Interface, Place)>,
        end: End,
        rate: Option<BitRate>,
        at: Place,
        report: &mut Report,
    ) -> Reached {
        if url.passphrase.is_some() {
            report.warning(at, IN_URL);
        }
        let role = settle("mode", self.role, url.role, |role| role_name(*role).to_owned(), report);
        if role.is_none() && url.adapter.is_some() && url.usual_role() == Role::Caller {
            report.error(
                at,
                "with an `adapter` and an address, the URL can mean a caller or a rendezvous: write mode=caller or \
                 mode=rendezvous",
            );
        }
        let role = role.unwrap_or_else(|| url.usual_role());
        let address = own_address(url, role, at, report);
        check_address(address.ip(), role, at, report);
        let backend = self.backend.map_or(Backend::Auto, |(backend, _)| backend);
        let latency = settle("latency", self.latency, url.latency, Span::to_string, report).unwrap_or(DEFAULT_LATENCY);
        let connect = settle("connect", self.connect, url.connect, Span::to_string, report);
        let idle_place = self.idle.as_ref().map_or(at, |(_, place)| *place);
        let idle = settle("idle", self.idle, url.idle, Span::to_string, report);
        let passphrase = one_passphrase(self.passphrase, url.passphrase.clone(), report);
        let key_place = self.key_length.as_ref().map_or(at, |(_, place)| *place);
        let key_length = settle("key_length", self.key_length, url.key_length, u8::to_string, report);
        let payload_place = self.payload.as_ref().map_or(at, |(_, place)| *place);
        let payload = settle("payload", self.payload, url.payload, u16::to_string, report);
        let stream_place = self.stream_id.as_ref().map_or(at, |(_, place)| *place);
        let stream_id = settle("stream_id", self.stream_id, url.stream_id.clone(), String::clone, report);
        if role != Role::Caller && stream_id.is_some() {
            report.error(
                stream_place,
                "only a caller sends a stream id: to let in callers by theirs, write srt: {access: [{stream_id: …}]}",
            );
        }
        if let Some((access, place)) = &self.access {
            if role != Role::Listener {
                report.error(*place, "`access` is for a listener: nobody calls this one");
            }
            check_rules(access, address, *place, report);
        }
        let access = self.access.map_or_else(Vec::new, |(access, _)| access);
        let locked = passphrase.is_some() || access.iter().any(|rule| rule.passphrase.is_some());
        let idle_keys = [
            (key_length.is_some() && !locked, key_place, "`key_length` has no effect without a passphrase"),
            (
                payload.is_some() && end == End::Input,
                payload_place,
                "`payload` has no effect on an input: its peer says how long messages are",
            ),
        ];
        for (is, place, message) in idle_keys {
            if is {
                report.warning(place, message);
            }
        }
        let listens = |wanted: End| role == Role::Listener && end == wanted;
        if let Some((_, place)) = self.callers.filter(|_| !listens(End::Output)) {
            report.error(place, "`callers` is for an output that listens: an input has one sender");
        }
        if let Some((_, place)) = self.second.filter(|_| !listens(End::Input)) {
            report.error(place, "`second` is for an input that listens: nobody else can call this one");
        }
        let explicit = interface.as_ref().map_or(at, |(_, place)| *place);
        let mut interface = settle("interface", interface, url.interface.clone(), shown, report);
        if role != Role::Listener
            && let Some(ip) = url.adapter.filter(|ip| !ip.is_unspecified())
        {
            let adapter = Interface::Address(ip);
            if interface.as_ref().is_some_and(|named| *named != adapter) {
                report.error(explicit, "`interface` and the `adapter` of the URL are not the same: leave one out");
            }
            interface = Some(adapter);
        }
        if let Some(interface) = &interface
            && let Err(message) = url::check_interface(&address, interface)
        {
            report.error(explicit, message);
        }
        let bond = self.bond.settle(role, address, interface.as_ref(), report);
        if bond.is_some() && idle.is_some_and(|idle| idle < srt_bond::LEAST_IDLE) {
            report.error(
                idle_place,
                format!(
                    "a way that stands by says a word each second: with a `bond`, write {} or more",
                    srt_bond::LEAST_IDLE
                ),
            );
        }
        let srt = SrtPlan {
            role,
            backend,
            latency,
            passphrase,
            key_length,
            stream_id,
            access,
            callers: usize::from(self.callers.map_or(DEFAULT_CALLERS, |(callers, _)| callers)),
            second: self.second.map_or(Second::Refuse, |(second, _)| second),
            payload: payload.unwrap_or(DEFAULT_PAYLOAD),
            connect: connect.unwrap_or(DEFAULT_CONNECT),
            idle: idle.unwrap_or(DEFAULT_IDLE),
            buffer: room(self.buffer, rate.unwrap_or(DEFAULT_RATE), latency, report),
            bond,
        };
        if let Some((Backend::Rsrt, place)) = self.backend
            && let Some(what) = srt.beyond_rsrt(address)
        {
            report.error(place, format!("`rsrt` cannot do {what}: write `libsrt`, or leave `backend` out"));
        }
        Reached { address, interface, srt }
    }
}

/// As it is written.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Caller => "caller",
        Role::Listener => "listener",
        Role::Rendezvous => "rendezvous",
    }
}

/// The peer, or where a listener listens.
fn own_address(url: &SrtUrl, role: Role, at: Place, report: &mut Report) -> SocketAddr {
    match (role, url.adapter) {
        (Role::Listener, Some(ip)) if url.address.ip().is_unspecified() => SocketAddr::new(ip, url.address.port()),
        (Role::Listener, Some(ip)) if url.address.ip() != ip => {
            report.error(
                at,
                format!("the URL says to listen on {} and, by its `adapter`, on {ip}: leave one out", url.address.ip()),
            );
            url.address
        }
        (Role::Listener | Role::Caller | Role::Rendezvous, Some(_) | None) => url.address,
    }
}

pub(super) fn check_address(ip: IpAddr, role: Role, at: Place, report: &mut Report) {
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        report.error(at, format!("{ip} is no address for SRT, which goes from one host to one other"));
    } else if ip.is_unspecified() && role != Role::Listener {
        report.error(at, format!("a {} needs the address of its peer, and this is {ip}", role_name(role)));
    }
}

/// The one passphrase, whichever place it stands in.
fn one_passphrase(key: Option<(Secret, Place)>, url: Option<Secret>, report: &mut Report) -> Option<Secret> {
    match (key, url) {
        (Some((key, place)), Some(url)) => {
            if key != url {
                report.error(place, "this is another passphrase than that of the URL: leave one out");
            }
            Some(key)
        }
        (Some((key, _)), None) => Some(key),
        (None, url) => url,
    }
}

/// The bytes that `rate` brings in `span`.
fn bytes_in(rate: BitRate, span: Span) -> u64 {
    let bits = u128::from(rate.0) * u128::from(span.nanos().unsigned_abs());
    u64::try_from(bits.div_ceil(8_000_000_000)).unwrap_or(u64::MAX)
}

/// The buffer, checked where it is given: one that fills up loses what no repetition brings back.
fn room(given: Option<(usize, Place)>, rate: BitRate, latency: Span, report: &mut Report) -> usize {
    let least = bytes_in(rate, latency);
    let late = bytes_in(rate, Span::from_nanos(latency.nanos().saturating_add(ROUND_TRIP.nanos())));
    let good = late.max(least.saturating_mul(2)).div_ceil(PAGE).saturating_mul(PAGE).clamp(16 * PAGE, url::BUFFER.1);
    let Some((bytes, place)) = given else { return usize::try_from(good).unwrap_or(usize::MAX) };
    let (has, wanted) = (size_text(wide(bytes)), size_text(good));
    if wide(bytes) < least {
        report.error(
            place,
            format!(
                "`buffer` is {has}, and {rate} fill it in less than the latency of {latency}: write {wanted}, or give the \
                 `max_bit_rate` that the stream really has"
            ),
        );
    } else if wide(bytes) < good {
        report.warning(
            place,
            format!(
                "`buffer` is {has}, which leaves little room at {rate} and a latency of {latency}: {wanted} is good"
            ),
        );
    }
    bytes
}

/// Who may call.
fn rules(table: &Table<'_>, report: &mut Report) -> Vec<Access> {
    let list = table.list("access", report);
    if let Some(excess) = list.get(MOST_RULES) {
        let count = list.len();
        report.error(excess.place, format!("{count} rules are too many: at most {MOST_RULES}"));
    }
    let mut rules = Vec::new();
    for node in list.iter().take(MOST_RULES) {
        let refused = [passphrase::REFUSED];
        let Some(table) = Table::open_with(node, "a rule of `access`", &ACCESS_KEYS, &refused, report) else {
            continue;
        };
        let stream_id = table.value("stream_id", srt_url::stream_id, report);
        let from = table.node("from").map(|node| networks(node, report)).unwrap_or_default();
        let passphrase = passphrase::read(&table, report).map(|(secret, _)| secret);
        if rules.iter().any(|before| covers(before, stream_id.as_ref(), &from)) {
            report.warning(node.place, "no caller comes to this rule: a rule before it fits all of its callers");
        }
        rules.push(Access { stream_id, from, passphrase });
    }
    rules
}

/// Whether `rule` fits every caller with this stream id, or with any, from one of `from`, or from anywhere.
fn covers(rule: &Access, stream_id: Option<&String>, from: &[Network]) -> bool {
    let inside = |inner: &Network, outer: &Network| {
        inner.prefix >= outer.prefix && masked(inner.address, outer.prefix) == outer.address
    };
    let by_address = rule.from.is_empty()
        || !from.is_empty() && from.iter().all(|inner| rule.from.iter().any(|outer| inside(inner, outer)));
    (rule.stream_id.is_none() || rule.stream_id.as_ref() == stream_id) && by_address
}

/// Rules of addresses that cannot come to a listener. One on `::` keeps to IPv6.
fn check_rules(access: &[Access], listens: SocketAddr, place: Place, report: &mut Report) {
    for network in access.iter().flat_map(|rule| &rule.from) {
        if network.address.is_ipv4() != listens.is_ipv4() {
            let family = if listens.is_ipv4() { "IPv4" } else { "IPv6" };
            report.error(place, format!("{} cannot call {}: it is not an {family} address", network.address, listens));
        }
    }
}

/// One network or a list.
fn networks(node: &Node, report: &mut Report) -> Vec<Network> {
    let items = match &node.data {
        Data::List(items) => items.as_slice(),
        Data::Null | Data::Scalar(_) | Data::Map(_) => std::slice::from_ref(node),
    };
    if items.is_empty() {
        report.error(node.place, "`from` is empty: leave it out for callers from anywhere");
    }
    let mut list = Vec::new();
    for item in items.iter().take(MOST_RULES) {
        let Some(text) = scalar(item, "from", report) else { continue };
        match network(text) {
            Ok(network) => list.push(network),
            Err(message) => report.error(item.place, format!("`from`: {message}")),
        }
    }
    if let Some(excess) = items.get(MOST_RULES) {
        report.error(excess.place, format!("{} networks are too many: at most {MOST_RULES}", items.len()));
    }
    list
}

/// `10.0.0.0/8`, or an address alone.
fn network(text: &str) -> Result<Network, String> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(format!("{} is not an address or a network, as in 10.0.0.0/8", quoted(text)));
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(most), |prefix| quantity::whole(prefix, 0, most))?;
    let first = masked(address, prefix);
    if first != address {
        return Err(format!("{} has bits behind its prefix: write {first}/{prefix}", quoted(text)));
    }
    Ok(Network { address, prefix })
}

/// `address` with nothing behind its first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_their_prefix() {
        let read = |text: &str| network(text).map(|n| (n.address.to_string(), n.prefix));
        assert_eq!(read("10.0.0.0/8"), Ok(("10.0.0.0".into(), 8)));
        assert_eq!(read("10.0.0.7"), Ok(("10.0.0.7".into(), 32)));
        assert_eq!(read("0.0.0.0/0"), Ok(("0.0.0.0".into(), 0)));
        assert_eq!(read("2001:db8::/32"), Ok(("2001:db8::".into(), 32)));
        assert_eq!(read("::/0"), Ok(("::".into(), 0)));
        for (text, message) in [
            ("10.0.0.7/8", "`10.0.0.7/8` has bits behind its prefix: write 10.0.0.0/8"),
            ("10.0.0.0/33", "`33` is out of range: 0…32"),
            ("2001:db8::/129", "`129` is out of range: 0…128"),
            ("home", "`home` is not an address or a network, as in 10.0.0.0/8"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn room_is_made_for_the_latency_and_a_round_trip() {
        let mut report = Report::default();
        let mut room = |rate, latency| room(None, BitRate(rate), Span::from_millis(latency), &mut report);
        // 10 Mb/s for 1.2 s are 1,500,000 bytes, which 23 times 64 KiB hold.
        assert_eq!(room(10_000_000, 200), 23 * 65_536);
        // Twice the latency is more than a second more than it.
        assert_eq!(room(10_000_000, 4000), 10_000_000_usize.div_ceil(65_536) * 65_536);
        assert_eq!(room(10_000, 120), 1 << 20);
        assert_eq!(room(10_000_000_000, 8000), 1 << 30);
    }
}
