//! Where the TS packets lie in a datagram.

use super::Framing;
use crate::ts::{PACKET_SIZE, SYNC_BYTE};

/// The size of a packet with 16 bytes of outer code (EN 300 429, Reed-Solomon) in bytes.
const CODED_SIZE: usize = 204;
/// The size of the fixed RTP header in bytes (RFC 3550 5.1).
const RTP_FIXED: usize = 12;

/// Where the packets of a datagram lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first byte of the first packet.
    pub offset: u16,
    /// From one packet to the next: 188, or 204 with outer code behind each.
    pub stride: u16,
    /// How many packets; never 0.
    pub packets: u8,
    /// What stood in the RTP header, where there is one.
    pub rtp: Option<Rtp>,
    /// The length is no whole number of packets: they were found by their sync bytes.
    pub odd: bool,
}

/// What the RTP header says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp {
    /// Sequence number.
    pub sequence: u16,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// Finds the packets of a datagram; none where it carries none.
#[inline]
pub fn read(datagram: &[u8], framing: Framing) -> Option<Layout> {
    // what is cut off within a packet can have a length of 204s: then the second packet is not where it would be
    let whole = |bytes: &[u8]| {
        let (stride, packets) = grid(bytes.len())?;
        let is_coded = stride == 204 && packets > 1;
        (!is_coded || bytes.get(CODED_SIZE) == Some(&SYNC_BYTE)).then_some((stride, packets))
    };
    // a first byte of 0x47 has RTP version 1, so no datagram can be taken for the other kind
    if framing == Framing::Auto
        && let Some((stride, packets)) = whole(datagram)
    {
        return Some(Layout { offset: 0, stride, packets, rtp: None, odd: false });
    }
    if let Some((rtp, start, end)) = rtp_header(datagram)
        && let Some(payload) = datagram.get(start..end)
    {
        // of an odd length only with a packet at its very start, since bytes from within a packet can look like a header
        let found = match whole(payload) {
            Some((stride, packets)) => Some((stride, packets, false)),
            None => {
                search(payload).filter(|&(offset, ..)| offset == 0).map(|(_, stride, packets)| (stride, packets, true))
            }
        };
        if let Some((stride, packets, odd)) = found {
            return Some(Layout { offset: u16::try_from(start).ok()?, stride, packets, rtp: Some(rtp), odd });
        }
    }
    if framing == Framing::Rtp {
        return None;
    }
    let (offset, stride, packets) = search(datagram)?;
    Some(Layout { offset, stride, packets, rtp: None, odd: true })
}

/// The stride and number of packets that make exactly `len` bytes.
#[inline]
fn grid(len: usize) -> Option<(u16, u8)> {
    let fits = |size: usize| (len != 0 && len.is_multiple_of(size)).then(|| u8::try_from(len / size).ok()).flatten();
    if let Some(packets) = fits(PACKET_SIZE) {
        return Some((188, packets));
    }
    fits(CODED_SIZE).map(|packets| (204, packets))
}

/// The header of an RTP datagram, and from where to where its payload reaches (RFC 3550 5.1).
#[inline]
fn rtp_header(datagram: &[u8]) -> Option<(Rtp, usize, usize)> {
    let &[first, _, s0, s1, _, _, _, _, c0, c1, c2, c3, ..] = datagram else { return None };
    if first >> 6 != 2 {
        return None;
    }
    let mut start = RTP_FIXED + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        let length = datagram.get(start + 2..start + 4)?.try_into().ok()?;
        start += 4 + usize::from(u16::from_be_bytes(length)) * 4;
    }
    let padding = if first & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
    let end = datagram.len().checked_sub(padding)?;
    let rtp = Rtp { sequence: u16::from_be_bytes([s0, s1]), ssrc: u32::from_be_bytes([c0, c1, c2, c3]) };
    (start < end).then_some((rtp, start, end))
}

/// Finds packets in bytes that are no whole number of them: from the first offset at which every packet that is whole begins
/// with a sync byte, two at least: one alone could be anything that has a `G` in it. What is left over behind them may be
/// anything.
#[cold]
fn search(bytes: &[u8]) -> Option<(u16, u16, u8)> {
    for (stride, size) in [(188u16, PACKET_SIZE), (204, CODED_SIZE)] {
        for offset in 0..size.min(bytes.len()) {
            let last = (bytes.len() - offset).checked_sub(PACKET_SIZE).map(|room| room / size + 1);
            let Some(packets) = last else { break };
            let whole = bytes[offset..].iter().step_by(size).take(packets).all(|&b| b == SYNC_BYTE);
            if whole && packets > 1 {
                return Some((u16::try_from(offset).ok()?, stride, u8::try_from(packets).ok()?));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(n: usize, size: usize) -> Vec<u8> {
        let mut bytes = vec![0xAA; n * size];
        bytes.iter_mut().step_by(size).for_each(|b| *b = SYNC_BYTE);
        bytes
    }

    fn rtp(extra: &[u8], first: u8, payload: &[u8]) -> Vec<u8> {
        [&[first, 33, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4], extra, payload].concat()
    }

    #[test]
    fn packets_are_found_as_they_are_and_behind_rtp() {
        for n in 1..=7u8 {
            for (size, stride) in [(188, 188), (204, 204)] {
                let raw = packets(usize::from(n), size);
                let expected = Layout { offset: 0, stride, packets: n, rtp: None, odd: false };
                assert_eq!(read(&raw, Framing::Auto), Some(expected));
                assert_eq!(read(&raw, Framing::Rtp), None);
                let header = Rtp { sequence: 0x1234, ssrc: 0x0102_0304 };
                let expected = Layout { offset: 12, rtp: Some(header), ..expected };
                for framing in [Framing::Auto, Framing::Rtp] {
                    assert_eq!(read(&rtp(&[], 0x80, &raw), framing), Some(expected));
                }
            }
        }
    }

    #[test]
    fn csrcs_extension_and_padding_are_left_out() {
        let raw = packets(7, 188);
        let extra = [[9; 8].as_slice(), &[0xBE, 0xDE, 0, 1, 7, 7, 7, 7]].concat();
        let padded = rtp(&extra, 0x80 | 0x20 | 0x10 | 2, &[raw.as_slice(), &[0, 0, 0, 4]].concat());
        let layout = read(&padded, Framing::Rtp).unwrap();
        assert_eq!((layout.offset, layout.packets, layout.odd), (28, 7, false));
    }

    #[test]
    fn odd_lengths_are_resynchronised() {
        let raw = packets(7, 188);
        assert_eq!(read(&raw[..1000], Framing::Auto).map(|l| (l.offset, l.packets, l.odd)), Some((0, 5, true)));
        assert_eq!(read(&raw[100..], Framing::Auto).map(|l| (l.offset, l.packets, l.odd)), Some((88, 6, true)));
        let more = [raw.as_slice(), &[1, 2, 3]].concat();
        assert_eq!(read(&more, Framing::Auto).map(|l| (l.offset, l.packets, l.odd)), Some((0, 7, true)));
        assert_eq!(read(&more[..190], Framing::Auto), None);
        let one = [&raw[..188], b"HTTP/1.1 200 OK\r\n\r\n"].concat();
        assert_eq!(read(&one, Framing::Auto), None, "one packet, and then no other");
        let cut = rtp(&[], 0x80, &raw[..1300]);
        assert_eq!(read(&cut, Framing::Auto).map(|l| (l.offset, l.packets, l.odd)), Some((12, 6, true)));
    }

    #[test]
    fn a_piece_of_a_datagram_is_no_grid_of_204() {
        let raw = packets(7, 188);
        assert_eq!(read(&raw[..408], Framing::Auto).map(|l| (l.stride, l.packets, l.odd)), Some((188, 2, true)));
    }

    #[test]
    fn what_is_no_transport_stream_is_nothing() {
        for len in [0, 1, 11, 12, 100, 187, 189, 1315, 1400] {
            assert_eq!(read(&vec![0; len], Framing::Auto), None, "{len} zeros");
            assert_eq!(read(&vec![0x80; len], Framing::Rtp), None, "{len} times 0x80");
        }
        assert_eq!(read(&[0xBF; 64], Framing::Auto), None);
    }

    #[test]
    fn a_datagram_of_whole_packets_keeps_its_grid_whatever_its_bytes() {
        let layout = read(&[0xFF; 188 * 7], Framing::Auto).unwrap();
        assert_eq!((layout.packets, layout.odd), (7, false));
    }
}
