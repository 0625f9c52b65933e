//! Puts packets into output datagrams without copying them: a datagram is a list of pieces of the arena.

use super::outbox::{MAX_PACKETS, OutDatagram, Outbox, Piece, RTP_HEADER};
use super::setup::GatherSetup;
use super::slots::{Slot, Slots};
use crate::ts::PACKET_SIZE;
use crate::units::{ChannelId, Instant};

/// RTP version 2, no padding, extension or CSRC (RFC 3550 5.1).
const RTP_VERSION: u8 = 0x80;
/// Payload type MP2T (RFC 3551 table 5).
const MP2T: u8 = 33;
const PACKET_LEN: u16 = 188;
const _: () = assert!(PACKET_LEN as usize == PACKET_SIZE);

/// The datagram that is being filled.
#[derive(Debug)]
pub(super) struct Gather {
    setup: GatherSetup,
    channel: ChannelId,
    pieces: [Piece; MAX_PACKETS],
    len: u8,
    packets: u8,
    began: Instant,
    sequence: u16,
    sent: u64,
}

impl Gather {
    pub(super) fn new(setup: &GatherSetup, channel: ChannelId) -> Self {
        Self {
            setup: *setup,
            channel,
            pieces: [Piece { slot: Slot(0), offset: 0, len: 0 }; MAX_PACKETS],
            len: 0,
            packets: 0,
            began: Instant::NEVER,
            sequence: 0,
            sent: 0,
        }
    }

    /// Datagrams made so far.
    pub(super) const fn datagrams(&self) -> u64 {
        self.sent
    }

    /// When the datagram leaves though it is not full.
    pub(super) fn deadline(&self) -> Instant {
        if self.packets == 0 { Instant::NEVER } else { self.began + self.setup.hold }
    }

    /// Adds the packet at `offset` of `slot`, which leaves at `at`. The outbox has room.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, offset: u16, at: Instant, slots: &mut Slots, outbox: &mut Outbox) {
        if self.packets == 0 {
            self.began = at;
        }
        match self.pieces[..usize::from(self.len)].last_mut() {
            Some(last) if last.slot == slot && last.offset + last.len == offset => last.len += PACKET_LEN,
            Some(_) | None => {
                slots.share(slot);
                self.pieces[usize::from(self.len)] = Piece { slot, offset, len: PACKET_LEN };
                self.len += 1;
            }
        }
        self.packets += 1;
        if self.packets >= self.setup.packets {
            self.flush(outbox);
        }
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        if self.packets == 0 {
            return;
        }
        let rtp = rtp_header(self.sequence, self.began, self.setup.ssrc);
        outbox.push(OutDatagram { channel: self.channel, rtp, pieces: self.pieces, len: self.len });
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        self.packets = 0;
        self.len = 0;
    }
}

/// RFC 3550 5.1 and RFC 2250 2: the time stamp is the 90 kHz time at which the first packet leaves.
fn rtp_header(sequence: u16, at: Instant, ssrc: u32) -> [u8; RTP_HEADER] {
    let ticks = (at.nanos() / 100_000).wrapping_mul(9).wrapping_add(at.nanos() % 100_000 * 9 / 100_000);
    let [_, _, _, _, timestamp @ ..] = ticks.to_be_bytes();
    let mut header = [0; RTP_HEADER];
    header[..2].copy_from_slice(&[RTP_VERSION, MP2T]);
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[4..8].copy_from_slice(&timestamp);
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn packets_that_lie_together_are_one_piece_and_full_datagrams_leave() {
        let (mut slots, mut outbox) = (Slots::new(2), Outbox::new(8));
        let (a, b) = (slots.take().unwrap(), slots.take().unwrap());
        let setup = GatherSetup { packets: 4, hold: Span::from_millis(10), ssrc: 7 };
        let mut gather = Gather::new(&setup, ChannelId(3));
        let at = Instant::from_nanos(1_000_000_000);
        for (slot, offset) in [(a, 12), (a, 200), (b, 0), (b, 204)] {
            gather.push(slot, offset, at, &mut slots, &mut outbox);
        }
        let [one] = outbox.ready() else { panic!("one datagram") };
        let piece = |slot, offset, len| Piece { slot, offset, len };
        assert_eq!(one.pieces(), [piece(a, 12, 376), piece(b, 0, 188), piece(b, 204, 188)]);
        assert_eq!(one.rtp, [0x80, 33, 0, 0, 0, 1, 0x5F, 0x90, 0, 0, 0, 7]);
        assert_eq!(gather.deadline(), Instant::NEVER);
        gather.push(b, 392, at, &mut slots, &mut outbox);
        assert_eq!(gather.deadline(), at + Span::from_millis(10));
        gather.flush(&mut outbox);
        assert_eq!(outbox.ready()[1].rtp[3], 1);
        slots.release(a);
        slots.release(b);
        assert_eq!(slots.free(), 0);
        outbox.clear(&mut slots);
        assert_eq!(slots.free(), 2);
    }
}
