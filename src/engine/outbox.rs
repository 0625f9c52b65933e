//! Output datagrams that wait to be sent: gathers of pieces of the arena.

use super::slots::{Slot, Slots};
use crate::units::ChannelId;

/// The most TS packets in a datagram, and so the most pieces of one.
pub const MAX_PACKETS: usize = 7;
/// Output datagrams that one packet can complete, with one packet in each: with the tables that are made at a cut.
pub(super) const MOST_AT_ONCE: usize = 128;
/// The size of an RTP header in bytes (RFC 3550 5.1, without CSRC and extension).
pub const RTP_HEADER: usize = 12;

/// Bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which frame.
    pub slot: Slot,
    /// From which byte.
    pub offset: u16,
    /// How many.
    pub len: u16,
}

/// One datagram: an RTP header for the outputs that want it, and its pieces in order.
#[derive(Clone, Copy, Debug)]
pub struct OutDatagram {
    /// The channel whose outputs it goes to.
    pub channel: ChannelId,
    /// The RTP header (RFC 3550 5.1, payload type 33 of RFC 3551).
    pub rtp: [u8; RTP_HEADER],
    pub(super) pieces: [Piece; MAX_PACKETS],
    pub(super) len: u8,
}

impl OutDatagram {
    /// The pieces that make its payload.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces[..usize::from(self.len)]
    }
}

/// The datagrams that are ready. The frames they point into stay in use until they were sent and the outbox is cleared.
#[derive(Debug)]
pub struct Outbox {
    ready: Vec<OutDatagram>,
    most: usize,
}

impl Outbox {
    /// Room for `most` datagrams.
    pub fn new(most: usize) -> Self {
        Self { ready: Vec::with_capacity(most), most }
    }

    /// The datagrams in the order in which they are to be sent.
    pub fn ready(&self) -> &[OutDatagram] {
        &self.ready
    }

    /// How many more fit.
    #[inline]
    pub fn room(&self) -> usize {
        self.most - self.ready.len()
    }

    /// Whether what one input datagram can complete still fits.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.room() >= MOST_AT_ONCE
    }

    /// Puts one in; the caller asked [`Outbox::has_room`].
    #[inline]
    pub(super) fn push(&mut self, datagram: OutDatagram) {
        debug_assert!(self.room() > 0);
        self.ready.push(datagram);
    }

    /// Forgets all datagrams and lets their frames go: they were sent, or nobody will send them.
    pub(super) fn clear(&mut self, slots: &mut Slots) {
        for datagram in &self.ready {
            for piece in datagram.pieces() {
                slots.release(piece.slot);
            }
        }
        self.ready.clear();
    }
}
