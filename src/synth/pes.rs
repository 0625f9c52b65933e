//! PES packets, and transport packets cut from them (ISO/IEC 13818-1 2.4.3).

use super::Packet;
use crate::units::{Pid, Pts90k, Ticks27M};

/// Bytes of the headers here: all have a PTS and nothing else that is optional.
pub(super) const HEADER: usize = 14;

/// What stands in the head of a transport packet besides its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) pid: Pid,
    pub(super) random_access: bool,
    pub(super) pcr: Option<Ticks27M>,
}

/// A PES packet on its way out, of which this many bytes are sent; its payload stands elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Pes {
    header: [u8; HEADER],
    sent: usize,
    /// The continuity_counter of the next packet with payload.
    counter: u8,
}

impl Pes {
    /// A stream that has sent nothing.
    pub(super) const fn new() -> Self {
        Self { header: [0; HEADER], sent: 0, counter: 0 }
    }

    /// Begins the next PES packet: `length` bytes of payload, or none told (which is for video alone).
    pub(super) fn begin(&mut self, stream_id: u8, length: Option<usize>, pts: Pts90k) {
        let length = length.and_then(|l| u16::try_from(l + HEADER - 6).ok()).unwrap_or(0);
        let [high, low] = length.to_be_bytes();
        let p = pts.0;
        let pts =
            0b0010 << 36 | (p >> 30 & 7) << 33 | 1 << 32 | (p >> 15 & 0x7FFF) << 17 | 1 << 16 | (p & 0x7FFF) << 1 | 1;
        let [_, _, _, a, b, c, d, e] = pts.to_be_bytes();
        // data_alignment_indicator; a PTS only; 5 bytes of it
        self.header = [0, 0, 1, stream_id, high, low, 0x84, 0x80, 5, a, b, c, d, e];
        self.sent = 0;
    }

    /// The next transport packet of the PES packet with this payload. Stuffed by its adaptation field where the PES
    /// packet ends before it does. True when that was the last.
    pub(super) fn packet(&mut self, out: &mut [u8; Packet::SIZE], head: Head, payload: &[u8]) -> bool {
        let total = HEADER + payload.len();
        let field = if head.pcr.is_some() {
            8
        } else if head.random_access {
            2
        } else {
            0
        };
        let room = Packet::SIZE - 4 - field;
        let take = room.min(total.saturating_sub(self.sent));
        let start = Packet::SIZE - take;
        let unit_start = self.sent == 0;
        begin_packet(out, head, unit_start, self.counter, start);

        let (_, mut body) = out.split_at_mut(start);
        if unit_start {
            let (front, rest) = body.split_at_mut(HEADER.min(take));
            front.copy_from_slice(&self.header[..HEADER.min(take)]);
            body = rest;
        }
        let from = self.sent.saturating_sub(HEADER);
        if let Some(bytes) = payload.get(from..from + body.len()) {
            body.copy_from_slice(bytes);
        }
        self.sent += take;
        self.counter = (self.counter + 1) & 0x0F;
        self.sent == total
    }

    /// A packet with a PCR and no payload, which the continuity_counter does not count (2.4.3.3).
    pub(super) fn pcr_packet(&self, out: &mut [u8; Packet::SIZE], head: Head) {
        begin_packet(out, head, false, self.counter.wrapping_sub(1) & 0x0F, Packet::SIZE);
    }
}

/// The header and the adaptation field of a packet whose payload begins at `start`.
fn begin_packet(out: &mut [u8; Packet::SIZE], head: Head, unit_start: bool, counter: u8, start: usize) {
    let [high, low] = head.pid.value().to_be_bytes();
    let payload = if start < Packet::SIZE { 0x10 } else { 0 };
    let field = if start > 4 { 0x20 } else { 0 };
    out[..4].copy_from_slice(&[0x47, if unit_start { 0x40 } else { 0 } | high, low, field | payload | counter]);
    let Some((length, rest)) = out.get_mut(4..start).and_then(<[u8]>::split_first_mut) else {
        return;
    };
    *length = u8::try_from(rest.len()).unwrap_or(0);
    rest.fill(0xFF);
    let Some((flags, rest)) = rest.split_first_mut() else {
        return;
    };
    *flags = if head.random_access { 0x40 } else { 0 };
    if let (Some(pcr), Some(out)) = (head.pcr, rest.get_mut(..6)) {
        *flags |= 0x10;
        let pcr = pcr.0 % Ticks27M::WRAP;
        let [_, _, bytes @ ..] = ((pcr / 300) << 15 | 0x3F << 9 | (pcr % 300)).to_be_bytes();
        out.copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_payload_arrives_whole() {
        for pcr in [None, Some(Ticks27M(12_345))] {
            for length in 1..800_u16 {
                let payload: Vec<u8> = (0..length).map(|n| u16::to_le_bytes(n)[0]).collect();
                let mut pes = Pes::new();
                pes.begin(0xC0, Some(payload.len()), Pts90k(0x1_2345_6789));
                let (mut got, mut out) = (Vec::new(), [0; Packet::SIZE]);
                let mut count = 0;
                loop {
                    let head = Head { pid: Pid::new(0x123), random_access: count == 0, pcr };
                    let last = pes.packet(&mut out, head, &payload);
                    assert_eq!(out[3] & 0x0F, count & 0x0F);
                    assert_eq!(out[1] & 0x40 != 0, count == 0);
                    let start = if out[3] & 0x20 != 0 { 5 + usize::from(out[4]) } else { 4 };
                    got.extend_from_slice(&out[start..]);
                    count += 1;
                    if last {
                        break;
                    }
                }
                assert_eq!(got[4..6], (length + 8).to_be_bytes());
                assert_eq!(got[9..14], [0b0010_1001, 0x8D, 0x15, 0xCF, 0x13]);
                assert_eq!(got[HEADER..], payload);
            }
        }
    }

    #[test]
    fn a_packet_of_pcr_alone_counts_for_nothing() {
        let pes = Pes { counter: 0, ..Pes::new() };
        let mut out = [0; Packet::SIZE];
        pes.pcr_packet(&mut out, Head { pid: Pid::new(0x100), random_access: false, pcr: Some(Ticks27M(601)) });
        assert_eq!(out[..12], [0x47, 0x01, 0x00, 0x2F, 183, 0x10, 0, 0, 0, 1, 0x7E, 1]);
        assert!(out[12..].iter().all(|&b| b == 0xFF));
    }
}
