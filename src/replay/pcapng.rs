//! Datagrams into a pcapng file, as Wireshark opens it (draft-ietf-opsawg-pcapng).
//!
//! One section, one interface of raw IP with nanoseconds, one enhanced packet block a datagram, each with an IP and a UDP
//! header whose checksums are right. Nothing of the time or the host of writing goes in: the same datagrams make the
//! same bytes.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use etherparse::{IpDscp, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder};

use super::frame::RAW;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const SHB_USERAPPL: u16 = 4;
const IF_TSRESOL: u16 = 9;

/// The headers of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From where.
    pub source: SocketAddr,
    /// To where; of the same address family.
    pub destination: SocketAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Differentiated services code point, 0…63 (RFC 2474).
    pub dscp: u8,
}

/// Writes a pcapng file.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    packet: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, packet: Vec::new() };
        let mut body = Vec::new();
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend((-1_i64).to_le_bytes()); // the length of the section is not known beforehand
        option(&mut body, SHB_USERAPPL, b"changeover");
        option(&mut body, 0, b"");
        writer.block(SECTION_HEADER, &[&body])?;
        body.clear();
        body.extend(RAW.to_le_bytes());
        body.extend([0; 2]);
        body.extend(0_u32.to_le_bytes()); // no snap length
        option(&mut body, IF_TSRESOL, &[9]);
        option(&mut body, 0, b"");
        writer.block(INTERFACE_DESCRIPTION, &[&body])?;
        Ok(writer)
    }

    /// Writes one datagram, captured `at` nanoseconds since the epoch (a time before it counts as the epoch itself).
    ///
    /// # Errors
    /// What the output says; `InvalidInput` where no such datagram can be: two address families, or a payload of more
    /// than 65,507 bytes (65,527 over IPv6).
    pub fn write(&mut self, at: i64, header: Header, payload: &[u8]) -> io::Result<()> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        self.packet.clear();
        let mut packet = std::mem::take(&mut self.packet);
        PacketBuilder::ip(ip(header).ok_or_else(|| invalid(format!("no datagram can have {header:?}")))?)
            .udp(header.source.port(), header.destination.port())
            .write(&mut packet, payload)
            .map_err(|error| invalid(error.to_string()))?;
        let [t0, t1, t2, t3, t4, t5, t6, t7] = u64::try_from(at).unwrap_or(0).to_le_bytes();
        let len = u32::try_from(packet.len()).map_err(|error| invalid(error.to_string()))?.to_le_bytes();
        let padding = [0; 3];
        let padding = padding.get(..packet.len().next_multiple_of(4) - packet.len()).unwrap_or_default();
        let times = [[t4, t5, t6, t7], [t0, t1, t2, t3]];
        self.block(ENHANCED_PACKET, &[&[0; 4], times.as_flattened(), &len, &len, &packet, padding])?;
        self.packet = packet;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the output says when it is flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = 12 + parts.iter().map(|part| part.len()).sum::<usize>();
        let len = u32::try_from(len).map_err(io::Error::other)?.to_le_bytes();
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&len)?;
        for part in parts {
            self.out.write_all(part)?;
        }
        self.out.write_all(&len)
    }
}

/// An option with its padding; code 0 ends the options.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn ip(header: Header) -> Option<IpHeaders> {
    let dscp = IpDscp::try_new(header.dscp).ok()?;
    match (header.source.ip(), header.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = Ipv4Header::new(0, header.ttl, IpNumber::UDP, source.octets(), destination.octets()).ok()?;
            ip.dscp = dscp;
            Some(IpHeaders::Ipv4(ip, Ipv4Extensions::default()))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut ip = Ipv6Header {
                hop_limit: header.ttl,
                next_header: IpNumber::UDP,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            ip.set_dscp(dscp);
            Some(IpHeaders::Ipv6(ip, Ipv6Extensions::default()))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_as_long_as_it_says_at_both_ends_and_a_multiple_of_four() {
        let header = Header {
            source: "127.0.0.1:1".parse().unwrap(),
            destination: "239.0.0.1:5004".parse().unwrap(),
            ttl: 1,
            dscp: 0,
        };
        let mut writer = Writer::new(Vec::new()).unwrap();
        for len in 0..9 {
            writer.write(1, header, &vec![7; len]).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut rest = bytes.as_slice();
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(*rest[at..].first_chunk().unwrap());
            let len = usize::try_from(word(4)).unwrap();
            assert_eq!(len % 4, 0);
            assert_eq!(word(len - 4), word(4));
            kinds.push(word(0));
            rest = &rest[len..];
        }
        let mut expected = vec![SECTION_HEADER, INTERFACE_DESCRIPTION];
        expected.resize(11, ENHANCED_PACKET);
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_datagram_of_two_families_is_refused() {
        let header =
            Header { source: "127.0.0.1:1".parse().unwrap(), destination: "[::1]:1".parse().unwrap(), ttl: 1, dscp: 0 };
        let error = Writer::new(Vec::new()).unwrap().write(0, header, b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
