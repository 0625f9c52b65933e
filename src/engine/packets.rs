//! The packets of one datagram.

use super::slots::{FRAME_SIZE, Slot};
use crate::transport::{Layout, Ordinal};
use crate::ts::{Outline, PACKET_SIZE, Packet};

/// The most packets that one frame can hold.
const MOST: usize = FRAME_SIZE / PACKET_SIZE;

/// Where the packets of a datagram lie, and what they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packets {
    pub(super) slot: Slot,
    offset: u16,
    stride: u16,
    /// At least one.
    pub(super) count: u8,
    /// Where the first of them stands in the RTP stream: the extended sequence number of the datagram.
    pub(super) sequence: Option<u32>,
    outlines: [Outline; MOST],
}

impl Packets {
    /// The packets of a datagram, and whether any of them begins as one.
    #[inline]
    pub(super) fn read(slot: Slot, layout: &Layout, frame: &[u8; FRAME_SIZE]) -> (Self, bool) {
        let (offset, stride, count) = (layout.offset, layout.stride, layout.packets);
        let mut packets = Self { slot, offset, stride, count, sequence: None, outlines: [Outline::default(); MOST] };
        let mut synchronised = false;
        for (offset, outline) in packets.offsets().zip(&mut packets.outlines) {
            if let Some(bytes) = packet_at(frame, offset) {
                *outline = Outline::of(Packet::new(bytes));
                synchronised |= outline.is_synchronised();
            }
        }
        (packets, synchronised)
    }

    /// The offset of each packet in its frame.
    #[inline]
    pub(super) fn offsets(&self) -> impl Iterator<Item = u16> + use<> {
        let (offset, stride) = (self.offset, self.stride);
        (0..u16::from(self.count)).map(move |i| offset + i * stride)
    }

    /// Where each packet stands in the RTP stream, if it came in one.
    #[inline]
    pub(super) fn ordinals(&self) -> impl Iterator<Item = Option<Ordinal>> + use<> {
        let sequence = self.sequence;
        (0..self.count).map(move |i| sequence.and_then(|sequence| Ordinal::new(sequence, i)))
    }

    /// The offset of one packet in its frame, and its outline.
    #[inline]
    pub(super) fn outline(&self, i: u8) -> (u16, Outline) {
        let outline = self.outlines.get(usize::from(i)).copied().unwrap_or_default();
        (self.offset + u16::from(i) * self.stride, outline)
    }
}

/// The packet at `offset` of a frame: a layout never reaches beyond the datagram it was read from.
#[inline]
pub(super) fn packet_at(frame: &[u8], offset: u16) -> Option<&[u8; PACKET_SIZE]> {
    frame.get(usize::from(offset)..)?.first_chunk()
}
