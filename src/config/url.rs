//! URLs of inputs and outputs: `rtp://239.10.1.1:5004?iface=eth1&source=10.0.0.5`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use thiserror::Error;

use super::plan::Interface;
use super::problem::{hint, quoted};
use super::quantity;

/// The smallest and the largest receive buffer that can be asked for, in bytes.
pub(super) const BUFFER: (u64, u64) = (64 << 10, 1 << 30);

/// The most sources of one source-specific join.
const MOST_SOURCES: usize = 64;

const PARAMETERS: [&str; 6] = ["interface", "iface", "source", "ttl", "dscp", "buffer"];

/// What stands in front of `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TS packets in UDP datagrams; an input knows RTP when it sees it.
    Udp,
    /// TS packets in RTP (RFC 2250).
    Rtp,
}

impl Scheme {
    /// As in the URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Rtp => "rtp",
        }
    }
}

/// Where datagrams come from or go to, and what the URL says about how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How TS packets are carried.
    pub scheme: Scheme,
    /// The address and port, which is never 0. A zone that is a number is the scope id.
    pub address: SocketAddr,
    /// `interface` or `iface`, or the zone of the address where it is a name.
    pub interface: Option<Interface>,
    /// `source`, each one given; only with a multicast address, and of its family.
    pub sources: Vec<IpAddr>,
    /// `ttl`, 1…255.
    pub ttl: Option<u8>,
    /// `dscp`, 0…63.
    pub dscp: Option<u8>,
    /// `buffer`: the receive buffer to ask the kernel for, in bytes.
    pub buffer: Option<usize>,
}

/// What is wrong with a URL, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UrlError(String);

impl Endpoint {
    /// Reads `udp://ADDRESS:PORT` or `rtp://ADDRESS:PORT`, with an `@` before the address or not, an IPv6 address in
    /// brackets and with a zone or not, and the parameters `interface` (or `iface`), `source` (more than once, or
    /// a list with commas), `ttl`, `dscp` and `buffer`.
    ///
    /// # Errors
    /// On everything else; the message says what is right.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        parse(url).map_err(UrlError)
    }
}

fn parse(url: &str) -> Result<Endpoint, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("{} is not a URL: write udp://ADDRESS:PORT or rtp://ADDRESS:PORT", quoted(url)));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "udp" => Scheme::Udp,
        "rtp" => Scheme::Rtp,
        "srt" => {
            return Err("SRT is for the inputs and outputs of a configuration: here, use udp:// or rtp://".to_owned());
        }
        other => return Err(format!("{} is not a scheme that is known here: use udp:// or rtp://", quoted(other))),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '#']) {
        return Err(format!("{} has a path, which means nothing here: end it after the port", quoted(url)));
    }
    let rest = match rest.split_once('@') {
        Some(("", address)) => address,
        Some((before, _)) => {
            return Err(format!("{} before the @ means nothing here: name a source with `source`", quoted(before)));
        }
        None => rest,
    };
    let (address, zone) = socket_address(rest)?;
    let mut endpoint = Endpoint {
        scheme,
        address,
        interface: zone.map(Interface::Name),
        sources: Vec::new(),
        ttl: None,
        dscp: None,
        buffer: None,
    };
    read_query(&mut endpoint, query)?;
    if let Some(interface) = &endpoint.interface {
        check_interface(&endpoint.address, interface)?;
    }
    check_sources(&endpoint.address, &endpoint.sources)?;
    Ok(endpoint)
}

pub(super) fn socket_address(text: &str) -> Result<(SocketAddr, Option<String>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return Err(format!("{} has no `]` after its IPv6 address", quoted(text)));
        };
        (host, port.strip_prefix(':'))
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(format!("{}: write an IPv6 address in brackets, as in [ff02::1]:5004", quoted(text)));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let (ip, zone) = if text.starts_with('[') { ipv6(host)? } else { (IpAddr::V4(ipv4(host)?), None) };
    let port = match port {
        None | Some("") => return Err(format!("{} has no port: write it as ADDRESS:PORT", quoted(text))),
        Some(port) => quantity::whole::<u16>(port, 1, u16::MAX).map_err(|e| format!("port {e}"))?,
    };
    match (ip, zone) {
        (IpAddr::V6(ip), Some(zone)) => match zone.parse::<u32>() {
            Ok(scope) => Ok((SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)), None)),
            Err(_) => Ok((SocketAddr::new(IpAddr::V6(ip), port), Some(zone))),
        },
        (ip, _) => Ok((SocketAddr::new(ip.to_canonical(), port), None)),
    }
}

fn ipv4(host: &str) -> Result<Ipv4Addr, String> {
    if host.is_empty() {
        return Err("there is no address in it: write 0.0.0.0 for any address of this host".to_owned());
    }
    host.parse().map_err(|_| {
        if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            format!("{} is not an IPv4 address", quoted(host))
        } else {
            format!("{} is a host name: an address is wanted, which cannot change while on air", quoted(host))
        }
    })
}

fn ipv6(host: &str) -> Result<(IpAddr, Option<String>), String> {
    // RFC 6874 writes the zone after `%25`, everybody else after `%`.
    let (ip, zone) = match host.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone))),
        None => (host, None),
    };
    let address: Ipv6Addr = ip.parse().map_err(|_| format!("{} is not an IPv6 address", quoted(ip)))?;
    if let Some(zone) = zone {
        interface_name(zone)?;
    }
    Ok((IpAddr::V6(address), zone.map(str::to_owned)))
}

fn read_query(endpoint: &mut Endpoint, query: &str) -> Result<(), String> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let within = |e: String| format!("URL parameter `{key}`: {e}");
        let twice = || format!("URL parameter `{key}` is given twice");
        let number = |low, high| quantity::whole::<u8>(value, low, high).map_err(within);
        let fresh = match key {
            "interface" | "iface" => {
                let named = interface(value).map_err(within)?;
                let old = endpoint.interface.replace(named);
                old.is_none() || old == endpoint.interface
            }
            "source" => {
                for source in value.split(',') {
                    endpoint.sources.push(source_address(source).map_err(within)?);
                }
                true
            }
            "ttl" => endpoint.ttl.replace(number(1, 255)?).is_none(),
            "dscp" => endpoint.dscp.replace(number(0, 63)?).is_none(),
            "buffer" => endpoint.buffer.replace(buffer(value).map_err(within)?).is_none(),
            other => {
                return Err(format!("unknown URL parameter {}{}", quoted(other), hint(other, &PARAMETERS)));
            }
        };
        if !fresh {
            return Err(twice());
        }
    }
    Ok(())
}

/// A receive buffer in bytes.
pub(super) fn buffer(text: &str) -> Result<usize, String> {
    let bytes = quantity::size(text)?;
    if !(BUFFER.0..=BUFFER.1).contains(&bytes) {
        let (low, high) = (quantity::size_text(BUFFER.0), quantity::size_text(BUFFER.1));
        return Err(format!("{} is out of range: {low}…{high}", quoted(text)));
    }
    usize::try_from(bytes).map_err(|_| format!("{} is too much", quoted(text)))
}

/// An interface by name or by address, told apart by whether it reads as an address.
pub(super) fn interface(text: &str) -> Result<Interface, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
            Err(format!("{} is not the address of an interface", quoted(text)))
        }
        Ok(ip) => Ok(Interface::Address(ip)),
        Err(_) => interface_name(text).map(|()| Interface::Name(text.to_owned())),
    }
}

/// What Linux takes as the name of an interface.
fn interface_name(text: &str) -> Result<(), String> {
    let fits = (1..16).contains(&text.len()) && text != "." && text != "..";
    if fits && !text.contains(['/', ':', '%']) && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(format!(
            "{} is neither an address nor the name of an interface (at most 15 characters, as in eth1)",
            quoted(text)
        ))
    }
}

/// A sender that may be let in.
pub(super) fn source_address(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
            Err(format!("{} cannot be the source of a datagram", quoted(text)))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(format!("{} is not an IP address", quoted(text))),
    }
}

/// Whether an interface given by address can carry datagrams for `address`.
pub(super) fn check_interface(address: &SocketAddr, interface: &Interface) -> Result<(), String> {
    match interface {
        Interface::Address(ip) if ip.is_ipv4() != address.is_ipv4() => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            Err(format!("interface {ip} is not an {family} address as {} is", address.ip()))
        }
        Interface::Address(_) | Interface::Name(_) => Ok(()),
    }
}

/// Whether `sources` can be the sources of a join of `address` (RFC 3678 wants one family, and a group).
pub(super) fn check_sources(address: &SocketAddr, sources: &[IpAddr]) -> Result<(), String> {
    let Some(first) = sources.first() else { return Ok(()) };
    if !address.ip().is_multicast() {
        return Err(format!("`source` {first} has no effect: {} is not a multicast address", address.ip()));
    }
    if let Some(other) = sources.iter().find(|source| source.is_ipv4() != address.is_ipv4()) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        return Err(format!("`source` {other} is not an {family} address as the group {} is", address.ip()));
    }
    if sources.len() > MOST_SOURCES {
        return Err(format!("{} sources are too many: at most {MOST_SOURCES}", sources.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_mean_what_they_say() {
        let plain = Endpoint::parse("udp://239.1.1.1:5000").unwrap();
        assert_eq!(plain.scheme, Scheme::Udp);
        assert_eq!(plain.address, "239.1.1.1:5000".parse().unwrap());
        assert_eq!(Endpoint::parse("udp://@239.1.1.1:5000"), Ok(plain.clone()));
        assert_eq!(Endpoint::parse("UDP://239.1.1.1:5000/"), Ok(plain));

        let full =
            Endpoint::parse("rtp://239.1.1.1:5000?iface=eth1&source=10.0.0.5,10.0.0.6&ttl=9&dscp=34&buffer=4MiB")
                .unwrap();
        assert_eq!(full.scheme, Scheme::Rtp);
        assert_eq!(full.interface, Some(Interface::Name("eth1".into())));
        assert_eq!(full.sources, ["10.0.0.5".parse::<IpAddr>().unwrap(), "10.0.0.6".parse().unwrap()]);
        assert_eq!((full.ttl, full.dscp, full.buffer), (Some(9), Some(34), Some(4 << 20)));
        let again = "rtp://239.1.1.1:5000?interface=eth1&source=10.0.0.5&source=10.0.0.6&ttl=9&dscp=34&buffer=4194304";
        assert_eq!(Endpoint::parse(again), Ok(full));

        let by_address = Endpoint::parse("udp://239.1.1.1:5000?iface=127.0.0.1").unwrap();
        assert_eq!(by_address.interface, Some(Interface::Address("127.0.0.1".parse().unwrap())));
    }

    #[test]
    fn ipv6_stands_in_brackets_and_may_have_a_zone() {
        for (url, address, interface) in [
            ("udp://[ff02::1]:5000", "[ff02::1]:5000", None),
            ("udp://@[ff02::1%eth0]:5000", "[ff02::1]:5000", Some("eth0")),
            ("udp://[ff02::1%25eth0]:5000", "[ff02::1]:5000", Some("eth0")),
            ("udp://[fe80::1%2]:5000", "[fe80::1%2]:5000", None),
            ("udp://[fe80::1%25]:5000", "[fe80::1%25]:5000", None),
            ("udp://[::ffff:10.0.0.1]:5000", "10.0.0.1:5000", None),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.address, address.parse().unwrap(), "{url}");
            assert_eq!(endpoint.interface, interface.map(|name: &str| Interface::Name(name.into())), "{url}");
        }
    }

    #[test]
    fn wrong_urls_say_what_is_right() {
        for (url, message) in [
            ("239.1.1.1:5000", "`239.1.1.1:5000` is not a URL: write udp://ADDRESS:PORT or rtp://ADDRESS:PORT"),
            (
                "srt://1.2.3.4:9000?mode=listener",
                "SRT is for the inputs and outputs of a configuration: here, use udp:// or rtp://",
            ),
            ("http://1.2.3.4:80", "`http` is not a scheme that is known here: use udp:// or rtp://"),
            (
                "udp://encoder.example:5000",
                "`encoder.example` is a host name: an address is wanted, which cannot change while on air",
            ),
            ("udp://239.1.1.256:5000", "`239.1.1.256` is not an IPv4 address"),
            ("udp://239.1.1.1", "`239.1.1.1` has no port: write it as ADDRESS:PORT"),
            ("udp://[ff02::1]", "`[ff02::1]` has no port: write it as ADDRESS:PORT"),
            ("udp://239.1.1.1:0", "port `0` is out of range: 1…65535"),
            ("udp://239.1.1.1:70000", "port `70000` is out of range: 1…65535"),
            ("udp://:5000", "there is no address in it: write 0.0.0.0 for any address of this host"),
            ("udp://ff02::1:5000", "`ff02::1:5000`: write an IPv6 address in brackets, as in [ff02::1]:5004"),
            ("udp://[ff02::1:5000", "`[ff02::1:5000` has no `]` after its IPv6 address"),
            ("udp://[10.0.0.1]:5000", "`10.0.0.1` is not an IPv6 address"),
            (
                "udp://10.0.0.5@239.1.1.1:5000",
                "`10.0.0.5` before the @ means nothing here: name a source with `source`",
            ),
            (
                "udp://239.1.1.1:5000/x",
                "`udp://239.1.1.1:5000/x` has a path, which means nothing here: end it after the port",
            ),
            (
                "udp://239.1.1.1:5000?ifcae=eth1",
                "unknown URL parameter `ifcae`: did you mean `iface`? (interface, iface, source, ttl, dscp, buffer)",
            ),
            ("udp://239.1.1.1:5000?ttl=0", "URL parameter `ttl`: `0` is out of range: 1…255"),
            ("udp://239.1.1.1:5000?ttl=1&ttl=1", "URL parameter `ttl` is given twice"),
            ("udp://239.1.1.1:5000?iface=eth1&interface=eth2", "URL parameter `interface` is given twice"),
            (
                "udp://10.0.0.1:5000?source=10.0.0.5",
                "`source` 10.0.0.5 has no effect: 10.0.0.1 is not a multicast address",
            ),
            (
                "udp://239.1.1.1:5000?source=2001:db8::1",
                "`source` 2001:db8::1 is not an IPv4 address as the group 239.1.1.1 is",
            ),
            ("udp://239.1.1.1:5000?source=me", "URL parameter `source`: `me` is not an IP address"),
            ("udp://[ff15::1]:5000?iface=10.0.0.1", "interface 10.0.0.1 is not an IPv6 address as ff15::1 is"),
            (
                "udp://239.1.1.1:5000?iface=a/b",
                "URL parameter `iface`: `a/b` is neither an address nor the name of an interface (at most 15 \
                 characters, as in eth1)",
            ),
            ("udp://239.1.1.1:5000?buffer=1KiB", "URL parameter `buffer`: `1KiB` is out of range: 64KiB…1GiB"),
        ] {
            assert_eq!(Endpoint::parse(url).map_err(|e| e.to_string()), Err(message.to_owned()), "{url}");
        }
    }
}
