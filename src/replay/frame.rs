//! One captured frame, from its link layer down to the datagram that it carries.
//!
//! The numbers of the link layers are those of <https://www.tcpdump.org/linktypes.html>.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, UdpSlice};

/// What a frame turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A whole UDP datagram.
    Datagram {
        /// Who sent it.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
        /// What it carries.
        payload: &'a [u8],
    },
    /// A piece of a UDP datagram that was fragmented (RFC 791 2.3, RFC 8200 4.5).
    Fragment,
    /// UDP, but there is less of it than its headers say.
    Truncated,
    /// Anything that is not UDP over IP.
    Other,
    /// A link layer that is not read.
    UnknownLink,
}

/// LINKTYPE_NULL: the address family in four bytes, in the byte order of whoever captured.
const NULL: u16 = 0;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;
/// DLT_RAW, as systems wrote it into files before LINKTYPE_RAW had its own number.
const DLT_RAW: [u16; 2] = [12, 14];
/// LINKTYPE_RAW: the packet begins with its IP header.
pub(super) const RAW: u16 = 101;
/// LINKTYPE_LOOP: LINKTYPE_NULL in network byte order.
const LOOP: u16 = 108;
/// LINKTYPE_LINUX_SLL: what `tcpdump -i any` writes, 16 bytes with the EtherType at the end.
const LINUX_SLL: u16 = 113;
/// LINKTYPE_IPV4.
const IPV4: u16 = 228;
/// LINKTYPE_IPV6.
const IPV6: u16 = 229;
/// LINKTYPE_LINUX_SLL2: 20 bytes with the EtherType in front.
const LINUX_SLL2: u16 = 276;

/// Reads a frame of the link layer `link`. `cut` says that the capture kept only the beginning of it.
pub(super) fn read(link: u16, bytes: &[u8], cut: bool) -> Frame<'_> {
    let packet = match link {
        ETHERNET => LaxSlicedPacket::from_ethernet(bytes).ok(),
        LINUX_SLL => cooked(bytes, 14, 16),
        LINUX_SLL2 => cooked(bytes, 0, 20),
        NULL | LOOP => bytes.get(4..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
        RAW | IPV4 | IPV6 => LaxSlicedPacket::from_ip(bytes).ok(),
        raw if DLT_RAW.contains(&raw) => LaxSlicedPacket::from_ip(bytes).ok(),
        _ => return Frame::UnknownLink,
    };
    let unread = if cut { Frame::Truncated } else { Frame::Other };
    let Some(packet) = packet else { return unread };
    let stopped = packet.stop_err.is_some();
    let (source, destination, ip) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()), ip.payload().clone())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()), ip.payload().clone())
        }
        Some(LaxNetSlice::Arp(_)) => return Frame::Other,
        None => return if stopped { unread } else { Frame::Other },
    };
    if ip.ip_number != IpNumber::UDP {
        // An IPv6 extension header that was cut off hides what follows it.
        return if stopped { unread } else { Frame::Other };
    }
    if ip.fragmented {
        return Frame::Fragment;
    }
    if ip.incomplete {
        return Frame::Truncated;
    }
    let Ok(udp) = UdpSlice::from_slice(ip.payload) else { return Frame::Truncated };
    Frame::Datagram {
        source: SocketAddr::new(source, udp.source_port()),
        destination: SocketAddr::new(destination, udp.destination_port()),
        payload: udp.payload(),
    }
}

/// A cooked header: its EtherType stands at `protocol`, and what it names begins at `payload`.
fn cooked(bytes: &[u8], protocol: usize, payload: usize) -> Option<LaxSlicedPacket<'_>> {
    let kind = bytes.get(protocol..)?.first_chunk::<2>()?;
    Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(*kind)), bytes.get(payload..)?))
}
