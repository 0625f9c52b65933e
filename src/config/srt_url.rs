//! URLs of SRT, as ffmpeg and srt-live-transmit write them: `srt://10.0.0.1:9000?mode=caller&latency=200ms`.
//!
//! No message here holds a passphrase, nor what may be a piece of one: a value that cannot be read is quoted only where
//! it stands behind the name of another parameter, and a name only where no passphrase stands before it, since an `&`
//! that was not escaped ends the one and begins the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::plan::Interface;
use super::problem::{hint, quoted};
use super::quantity;
use super::srt::{Role, Secret};
use super::url;
use crate::units::Span;

/// How late a message may be delivered.
pub(super) const LATENCIES: (Span, Span) = (Span::from_millis(LATENCIES_MS.0), Span::from_millis(LATENCIES_MS.1));
const LATENCIES_MS: (u32, u32) = (20, 8000);
/// How long a call may take.
pub(super) const CONNECTS: (Span, Span) = (Span::from_millis(100), Span::from_secs(60));
/// How long nothing may come.
pub(super) const IDLES: (Span, Span) = (Span::from_secs(1), Span::from_secs(60));
/// The bytes of a message: one TS packet, and what an Ethernet frame takes.
pub(super) const PAYLOADS: (u16, u16) = (188, 1456);
/// The longest stream id in bytes.
const LONGEST_STREAM_ID: usize = 512;

const PARAMETERS: [&str; 13] = [
    "mode",
    "latency",
    "passphrase",
    "pbkeylen",
    "streamid",
    "payload_size",
    "conntimeo",
    "peeridletimeo",
    "interface",
    "iface",
    "adapter",
    "ttl",
    "dscp",
];

/// Parameters that users of ffmpeg and srt-live-transmit know, and why they are not taken.
const FOREIGN: [(&[&str], &str); 14] = [
    (
        &[
            "rcvbuf",
            "sndbuf",
            "recv_buffer_size",
            "send_buffer_size",
            "ffs",
            "fc",
            "buffer",
            "udp_rcvbuf",
            "udp_sndbuf",
        ],
        "room is reckoned from `max_bit_rate` and the latency: leave it out, or write srt: {buffer: 8MiB}",
    ),
    (&["tos", "iptos"], "write `dscp`, which is a quarter of it"),
    (&["ipttl"], "write `ttl`"),
    (&["bindtodevice"], "write `interface`"),
    (&["port"], "a caller's own port is chosen by the system, and a rendezvous has that of its peer"),
    (
        &["timeout", "rcvtimeo", "sndtimeo", "rw_timeout", "listen_timeout"],
        "a silent input is left by its `health`, and `peeridletimeo` ends a connection",
    ),
    (&["blocking", "async", "linger", "messageapi", "tsbpd"], "it is always as live streams need it: leave it out"),
    (&["tlpktdrop", "nakreport", "drifttracer"], "it is always on, as live streams need it: leave it out"),
    (&["smoother", "congestion", "transtype"], "it is always `live`: leave it out"),
    (
        &["maxbw", "mininputbw", "inputbw", "oheadbw", "snddropdelay", "lossmaxttl", "mss", "retransmitalgo"],
        "it follows from the stream and the latency: leave it out",
    ),
    (&["kmrefreshrate", "kmpreannounce", "cryptomode", "minversion"], "it is left to the library: leave it out"),
    (
        &["enforced_encryption", "enforcedencryption"],
        "it is always on: a peer without the passphrase is refused. Leave it out",
    ),
    (&["packetfilter"], "forward error correction is not in this version: leave it out"),
    (&["grouptype", "groupconnect", "bonding"], "it is said by `bond` and `members` under `srt`"),
];

/// What end of a stream a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Input,
    Output,
}

/// What a URL says; what it does not say is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SrtUrl {
    /// The peer, or the own address of a listener; unspecified where there is no host. The port is never 0.
    pub(super) address: SocketAddr,
    /// The URL with an ellipsis for the passphrase.
    pub(super) shown: String,
    pub(super) role: Option<Role>,
    /// `interface` or `iface`, or the zone of the address where it is a name.
    pub(super) interface: Option<Interface>,
    /// The own address.
    pub(super) adapter: Option<IpAddr>,
    pub(super) latency: Option<Span>,
    pub(super) passphrase: Option<Secret>,
    pub(super) key_length: Option<u8>,
    pub(super) stream_id: Option<String>,
    pub(super) payload: Option<u16>,
    pub(super) connect: Option<Span>,
    pub(super) idle: Option<Span>,
    pub(super) ttl: Option<u8>,
    pub(super) dscp: Option<u8>,
}

/// Whether `url` is one of SRT.
pub(super) fn is_srt(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("srt"))
}

/// Any text that should have been a URL, without what follows the `?` where that holds a passphrase.
pub(super) fn without_passphrase(url: &str) -> &str {
    let secret = url.to_ascii_lowercase().find("passphrase");
    let end = secret.map_or(url.len(), |at| url.find('?').unwrap_or(at).min(at));
    url.get(..end).unwrap_or_default()
}

impl SrtUrl {
    /// Reads `srt://ADDRESS:PORT?NAME=VALUE&…`; the message says what is right.
    pub(super) fn parse(text: &str, end: End) -> Result<Self, String> {
        let (_, rest) = text.split_once("://").ok_or("this is not a URL: write srt://ADDRESS:PORT")?;
        let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:[]%-_/".contains(c);
        let front = front.strip_prefix('@').unwrap_or(front);
        if !front.chars().all(plain) {
            return Err(
                "there is a sign in its address that cannot be: write srt://ADDRESS:PORT?NAME=VALUE&NAME=VALUE, \
                        without a user or password before the address"
                    .to_owned(),
            );
        }
        let front = front.strip_suffix('/').unwrap_or(front);
        if front.contains('/') {
            return Err("this URL has a path, which means nothing here: say what is wanted with `streamid`".to_owned());
        }
        let (address, zone) = match front.strip_prefix(':') {
            Some(port) => {
                let port = quantity::whole::<u16>(port, 1, u16::MAX).map_err(|e| format!("port {e}"))?;
                (SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), None)
            }
            None => url::socket_address(front)?,
        };
        let before = text.split_once('?').map_or(text, |(before, _)| before);
        let mut url = Self {
            address,
            shown: before.to_owned(),
            role: None,
            interface: zone.map(Interface::Name),
            adapter: None,
            latency: None,
            passphrase: None,
            key_length: None,
            stream_id: None,
            payload: None,
            connect: None,
            idle: None,
            ttl: None,
            dscp: None,
        };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            url.parameter(pair, &mut seen, end)?;
        }
        Ok(url)
    }

    /// Who calls, by the address alone where nothing else says so.
    pub(super) fn usual_role(&self) -> Role {
        if self.address.ip().is_unspecified() { Role::Listener } else { Role::Caller }
    }

    fn parameter<'a>(&mut self, pair: &'a str, seen: &mut Vec<&'a str>, end: End) -> Result<(), String> {
        let secret = seen.contains(&"passphrase");
        let Some((name, value)) = pair.split_once('=') else {
            return Err(if secret {
                "what follows the passphrase in the URL is no NAME=VALUE: write an & that is part of it as %26"
                    .to_owned()
            } else {
                "a URL parameter has no value: write it as NAME=VALUE, and an & that is part of a value as %26"
                    .to_owned()
            });
        };
        let within = |e: String| format!("URL parameter `{name}`: {e}");
        let millis = |range: (Span, Span)| milliseconds(value, range).map_err(within);
        let canonical = match name {
            "mode" => {
                self.role = role(value).map_err(within)?;
                "mode"
            }
            "latency" | "tsbpddelay" => {
                self.latency = Some(latency(value).map_err(within)?);
                "latency"
            }
            "rcvlatency" | "peerlatency" => {
                if (name == "rcvlatency") != (end == End::Input) {
                    return Err(within("the stream goes the other way: write `latency`".to_owned()));
                }
                self.latency = Some(latency(value).map_err(within)?);
                "latency"
            }
            "passphrase" => {
                let text = decoded(value).map_err(within)?;
                self.passphrase = Some(secret_of(&text).map_err(within)?);
                "passphrase"
            }
            "pbkeylen" => {
                self.key_length = if value == "0" { None } else { Some(key_length(value).map_err(within)?) };
                "pbkeylen"
            }
            "streamid" | "srt_streamid" => {
                let text = decoded(value).map_err(within)?;
                self.stream_id = Some(stream_id(&text).map_err(within)?);
                "streamid"
            }
            "payload_size" | "pkt_size" | "payloadsize" => {
                self.payload = Some(payload(value).map_err(within)?);
                "payload_size"
            }
            "conntimeo" | "connect_timeout" => {
                self.connect = Some(millis(CONNECTS)?);
                "conntimeo"
            }
            "peeridletimeo" => {
                self.idle = Some(millis(IDLES)?);
                "peeridletimeo"
            }
            "interface" | "iface" => {
                let named = url::interface(value).map_err(within)?;
                if self.interface.as_ref().is_some_and(|old| *old != named) {
                    return Err(within("it is given twice".to_owned()));
                }
                self.interface = Some(named);
                "interface"
            }
            "adapter" => {
                self.adapter = Some(adapter(value).map_err(within)?);
                "adapter"
            }
            "ttl" | "dscp" if end == End::Input => {
                return Err(within("it is for outputs".to_owned()));
            }
            "ttl" => {
                self.ttl = Some(quantity::whole(value, 1, 255).map_err(within)?);
                "ttl"
            }
            "dscp" => {
                self.dscp = Some(quantity::whole(value, 0, 63).map_err(within)?);
                "dscp"
            }
            other => {
                if let Some((_, why)) = FOREIGN.iter().find(|(names, _)| names.contains(&other)) {
                    return Err(within((*why).to_owned()));
                }
                return Err(if secret {
                    "there is an unknown URL parameter after the passphrase: write an & that is part of it as %26"
                        .to_owned()
                } else {
                    format!("unknown URL parameter {}{}", quoted(other), hint(other, &PARAMETERS))
                });
            }
        };
        if seen.contains(&canonical) {
            return Err(within("it is given twice".to_owned()));
        }
        self.shown.push(if seen.is_empty() { '?' } else { '&' });
        self.shown.push_str(name);
        self.shown.push('=');
        self.shown.push_str(if canonical == "passphrase" { "…" } else { value });
        seen.push(canonical);
        Ok(())
    }
}

/// `mode` as both tools write it; none for the default.
fn role(text: &str) -> Result<Option<Role>, String> {
    match text {
        "caller" | "client" => Ok(Some(Role::Caller)),
        "listener" | "server" => Ok(Some(Role::Listener)),
        "rendezvous" => Ok(Some(Role::Rendezvous)),
        "default" => Ok(None),
        other => Err(format!("unknown value {}{}", quoted(other), hint(other, &["caller", "listener", "rendezvous"]))),
    }
}

/// A passphrase, or what is wrong with it, which does not tell it.
pub(super) fn secret_of(text: &str) -> Result<Secret, String> {
    Secret::new(text).ok_or_else(|| match text.len() {
        10..=79 => "a passphrase cannot hold a byte of 0".to_owned(),
        len => format!("it has {len} bytes, and a passphrase has 10…79"),
    })
}

/// The latency; a bare number is in milliseconds.
pub(super) fn latency(text: &str) -> Result<Span, String> {
    match text.parse::<u64>() {
        Ok(number) if number > u64::from(LATENCIES_MS.1) => {
            let micros = u32::try_from(number / 1000).ok().filter(|ms| (LATENCIES_MS.0..=LATENCIES_MS.1).contains(ms));
            let meant = micros.map_or_else(String::new, |ms| format!(": write {}", Span::from_millis(ms)));
            Err(format!(
                "{} without a unit is in milliseconds, as for srt-live-transmit, and more than {}; ffmpeg counts in \
                 microseconds{meant}",
                quoted(text),
                LATENCIES.1
            ))
        }
        Ok(_) | Err(_) => milliseconds(text, LATENCIES),
    }
}

/// A duration in `range`; a bare number is in milliseconds.
fn milliseconds(text: &str, range: (Span, Span)) -> Result<Span, String> {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let span = quantity::span(&if bare { format!("{text}ms") } else { text.to_owned() })?;
    if (range.0..=range.1).contains(&span) {
        Ok(span)
    } else {
        Err(format!("{} is out of range: {}…{}", quoted(text), range.0, range.1))
    }
}

/// The length of a key in bytes.
pub(super) fn key_length(text: &str) -> Result<u8, String> {
    match text {
        "16" => Ok(16),
        "24" => Ok(24),
        "32" => Ok(32),
        other => Err(format!("{} is not the length of a key in bytes: 16, 24 or 32", quoted(other))),
    }
}

/// The most bytes of a message.
pub(super) fn payload(text: &str) -> Result<u16, String> {
    quantity::whole(text, PAYLOADS.0, PAYLOADS.1)
}

/// A stream id.
pub(super) fn stream_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_STREAM_ID || text.chars().any(char::is_control) {
        return Err(format!("{}: 1…{LONGEST_STREAM_ID} bytes in one line", quoted(text)));
    }
    Ok(text.to_owned())
}

fn adapter(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_multicast() => Err(format!("{} is not an address of this host", quoted(text))),
        Ok(ip) => Ok(ip.to_canonical()),
        Err(_) => Err(format!("{} is not an IP address of this host", quoted(text))),
    }
}

/// `text` with `%41` read as `A` (RFC 3986 2.1). A `+` stays one. The message does not tell the text.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a % is not followed by two hexadecimal digits: write a % that is part of it as %25".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(wrong);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 once its % are read".to_owned())
}
