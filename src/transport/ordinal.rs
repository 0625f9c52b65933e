//! Where a packet stands in its RTP stream.

use core::num::NonZeroU32;

/// Bits of the index in a datagram.
const INDEX_BITS: u32 = 4;

/// Where a packet stands in the RTP stream that brought it: the sequence number of its datagram (RFC 3550 5.1), extended beyond
/// 16 bits, and its index in the datagram.
///
/// It wraps after 2^28 datagrams, so that two of them can be compared where they are fewer than 2^27 apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinal(NonZeroU32);

impl Ordinal {
    /// What one round of 16-bit sequence numbers adds.
    pub const ROUND: u32 = 1 << (16 + INDEX_BITS);

    /// The packet at `index`, 0 to 14, of the datagram with the extended sequence number `sequence`, whose upper bits are left
    /// out. None for a higher index.
    #[inline]
    pub fn new(sequence: u32, index: u8) -> Option<Self> {
        // an index from 1 on, so that no packet has a number of 0
        let index = u32::from(index) + 1;
        if index >> INDEX_BITS != 0 {
            return None;
        }
        NonZeroU32::new(sequence << INDEX_BITS | index).map(Self)
    }

    /// By how much this one is ahead of another, modulo 2^32: a whole number of [`Ordinal::ROUND`]s where both have the same 16-bit
    /// sequence number and index.
    #[inline]
    pub const fn ahead_of(self, other: Self) -> u32 {
        self.0.get().wrapping_sub(other.0.get())
    }

    /// Whether this one comes before another.
    #[inline]
    pub const fn is_before(self, other: Self) -> bool {
        self.ahead_of(other).cast_signed() < 0
    }

    /// The one that is as far behind as `by`, a whole number of [`Ordinal::ROUND`]s; none where it is not.
    #[inline]
    pub fn back(self, by: u32) -> Option<Self> {
        NonZeroU32::new(self.0.get().wrapping_sub(by)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_goes_by_datagram_then_by_packet_and_across_the_wrap() {
        let at = |sequence: u32, index| Ordinal::new(sequence, index).unwrap();
        assert!(at(7, 6).is_before(at(8, 0)) && at(8, 0).is_before(at(8, 1)));
        assert!(at(u32::MAX, 14).is_before(at(0, 0)) && !at(0, 0).is_before(at(u32::MAX, 0)));
        assert!(at(0xFFFF, 0).is_before(at(0x1_0000, 0)));
        assert_eq!(at(0x3_1234, 5).ahead_of(at(0x1234, 5)), 3 * Ordinal::ROUND);
        assert_eq!(at(0x3_1234, 5).back(3 * Ordinal::ROUND), Some(at(0x1234, 5)));
        assert_eq!(Ordinal::new(0, 15), None);
        assert_eq!(size_of::<Option<Ordinal>>(), 4);
    }
}
