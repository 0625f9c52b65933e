//! One transport packet: ISO/IEC 13818-1 2.4.3.2 to 2.4.3.5.

use super::pes::has_header;
use crate::units::{Pid, Ticks27M};

/// The size of a packet in bytes.
pub const PACKET_SIZE: usize = 188;
/// The first byte of every packet.
pub const SYNC_BYTE: u8 = 0x47;

/// A view of a packet. A field that the packet does not have, or that would reach beyond its end, reads as absent.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8; PACKET_SIZE]);

impl<'a> Packet<'a> {
    /// A view of these bytes, whatever they are.
    #[inline]
    pub const fn new(bytes: &'a [u8; PACKET_SIZE]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(self) -> &'a [u8; PACKET_SIZE] {
        self.0
    }

    /// The first four bytes as one number, so that they are read once whatever is asked of them.
    #[inline]
    const fn header(self) -> u32 {
        match self.0.first_chunk() {
            Some(header) => u32::from_be_bytes(*header),
            None => 0,
        }
    }

    /// Whether the first byte is [`SYNC_BYTE`].
    #[inline]
    pub const fn is_synchronised(self) -> bool {
        self.header() >> 24 == SYNC_BYTE as u32
    }

    /// transport_error_indicator.
    #[inline]
    pub const fn transport_error_indicator(self) -> bool {
        self.header() & 0x0080_0000 != 0
    }

    /// Whether it is synchronised and has no transport_error_indicator: what it says can be believed.
    #[inline]
    pub const fn is_sound(self) -> bool {
        self.header() >> 23 == (SYNC_BYTE as u32) << 1
    }

    /// Whether it is sound, and has a payload and nothing else that anybody asks for: no adaptation field, no
    /// payload_unit_start_indicator, and transport_scrambling_control is 00. Most packets are so, and one comparison tells.
    #[inline]
    pub const fn is_plain(self) -> bool {
        self.header() & 0xFFC0_00F0 == (SYNC_BYTE as u32) << 24 | 0x10
    }

    /// Whether something may begin in it: it has an adaptation field or payload_unit_start_indicator.
    #[inline]
    pub const fn has_start(self) -> bool {
        self.header() & 0x0040_0020 != 0
    }

    /// payload_unit_start_indicator.
    #[inline]
    pub const fn payload_unit_start_indicator(self) -> bool {
        self.header() & 0x0040_0000 != 0
    }

    /// PID.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "13 bits")]
    pub const fn pid(self) -> Pid {
        Pid::new((self.header() >> 8 & 0x1FFF) as u16)
    }

    /// Whether transport_scrambling_control is not 00.
    #[inline]
    pub const fn is_scrambled(self) -> bool {
        self.header() & 0xC0 != 0
    }

    /// Whether adaptation_field_control says that there is an adaptation field.
    #[inline]
    pub const fn has_adaptation_field(self) -> bool {
        self.header() & 0x20 != 0
    }

    /// Whether adaptation_field_control says that there is a payload.
    #[inline]
    pub const fn has_payload(self) -> bool {
        self.header() & 0x10 != 0
    }

    /// continuity_counter, 0…15.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "four bits")]
    pub const fn continuity_counter(self) -> u8 {
        (self.header() & 0x0F) as u8
    }

    /// The flags of the adaptation field, 0 where it has none.
    #[inline]
    const fn flags(self) -> u8 {
        if self.has_adaptation_field() && self.0[4] != 0 { self.0[5] } else { 0 }
    }

    /// discontinuity_indicator.
    #[inline]
    pub const fn discontinuity_indicator(self) -> bool {
        self.flags() & 0x80 != 0
    }

    /// random_access_indicator.
    #[inline]
    pub const fn random_access_indicator(self) -> bool {
        self.flags() & 0x40 != 0
    }

    /// Whether there is a PCR: PCR_flag set and room for the field.
    #[inline]
    pub const fn has_pcr(self) -> bool {
        self.flags() & 0x10 != 0 && self.0[4] >= 7
    }

    /// program_clock_reference.
    #[inline]
    pub const fn pcr(self) -> Option<Ticks27M> {
        if !self.has_pcr() {
            return None;
        }
        let b = self.0;
        let base = u32::from_be_bytes([b[6], b[7], b[8], b[9]]) as u64;
        let base = base << 1 | (b[10] >> 7) as u64;
        let extension = ((b[10] & 1) as u64) << 8 | b[11] as u64;
        Some(Ticks27M(base * 300 + extension))
    }

    /// The payload; empty where there is none, or where the adaptation field leaves none.
    #[inline]
    pub fn payload(self) -> &'a [u8] {
        if !self.has_payload() {
            return &[];
        }
        let start = if self.has_adaptation_field() { 5 + usize::from(self.0[4]) } else { 4 };
        self.0.get(start..).unwrap_or(&[])
    }

    /// Whether a PES header with a PTS starts in this packet (2.4.3.6).
    #[inline]
    pub fn starts_with_pts(self) -> bool {
        let &[0, 0, 1, stream_id, _, _, a, b, ..] = self.payload() else { return false };
        self.payload_unit_start_indicator() && has_header(stream_id) && a & 0xC0 == 0x80 && b & 0x80 != 0
    }

    /// A number made of every byte but those of a PCR, so that two occurrences of one packet (2.4.3.3: a duplicate
    /// may carry another PCR) have the same, and packets that differ in any one byte have not.
    #[inline]
    pub fn fingerprint(self) -> u64 {
        if self.has_pcr() { fold(self.without_pcr()) } else { self.fingerprint_without_pcr() }
    }

    /// The same of a packet that has no PCR.
    #[inline]
    pub fn fingerprint_without_pcr(self) -> u64 {
        fold(sum(self.0))
    }

    #[cold]
    fn without_pcr(self) -> [u64; 2] {
        let mut bytes = *self.0;
        bytes[6..12].fill(0);
        sum(&bytes)
    }
}

/// The sum of all words, and twice the sum of these sums: each word counts an odd number of times, so that any change of
/// one shows, and another number than those before it, so that where it lies shows. In two lanes, which the compiler adds
/// up side by side as long as this stands by itself.
#[inline(never)]
fn sum(bytes: &[u8; PACKET_SIZE]) -> [u64; 2] {
    let (rows, _) = bytes.as_chunks::<16>();
    let (mut sum, mut sums) = ([0u64; 2], [0u64; 2]);
    for row in rows {
        add(&mut sum, words(row));
        add(&mut sums, sum);
    }
    // the last row is not whole: it begins earlier, and what it takes twice does no harm
    if let Some(row) = bytes.last_chunk() {
        add(&mut sum, words(row));
        add(&mut sums, sum);
    }
    add(&mut sum, sums);
    add(&mut sum, sums);
    sum
}

#[inline]
const fn fold([a, b]: [u64; 2]) -> u64 {
    a ^ b.rotate_left(29)
}

#[inline]
fn words(row: &[u8; 16]) -> [u64; 2] {
    let (words, _) = row.as_chunks::<8>();
    core::array::from_fn(|i| words.get(i).map_or(0, |word| u64::from_le_bytes(*word)))
}

#[inline]
fn add(to: &mut [u64; 2], other: [u64; 2]) {
    for (to, other) in to.iter_mut().zip(other) {
        *to = to.wrapping_add(other);
    }
}

/// What is asked of a packet that waits, so that its bytes need not be looked at again when they have left the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline([u8; 4]);

impl Outline {
    const HAS_PCR: u8 = 0x80;

    /// The outline of a packet. The default is that of one that is not synchronised.
    #[inline]
    pub const fn of(packet: Packet<'_>) -> Self {
        let [first, a, b, c, ..] = *packet.0;
        let sync = if first == SYNC_BYTE { 1 } else { 0 };
        Self([if packet.has_pcr() { sync | Self::HAS_PCR } else { sync }, a, b, c])
    }

    /// As [`Packet::is_synchronised`].
    #[inline]
    pub const fn is_synchronised(self) -> bool {
        self.0[0] & !Self::HAS_PCR != 0
    }

    /// As [`Packet::has_pcr`].
    #[inline]
    pub const fn has_pcr(self) -> bool {
        self.0[0] & Self::HAS_PCR != 0
    }

    /// As [`Packet::transport_error_indicator`].
    #[inline]
    pub const fn transport_error_indicator(self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// As [`Packet::pid`].
    #[inline]
    pub const fn pid(self) -> Pid {
        Pid::new(u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    /// As [`Packet::payload_unit_start_indicator`].
    #[inline]
    pub const fn payload_unit_start_indicator(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// As [`Packet::has_payload`].
    #[inline]
    pub const fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// As [`Packet::continuity_counter`].
    #[inline]
    pub const fn continuity_counter(self) -> u8 {
        self.0[3] & 0x0F
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> [u8; PACKET_SIZE] {
        let mut p = [0xA5; PACKET_SIZE];
        p[..4].copy_from_slice(&[0x47, 0x41, 0x00, 0x37]);
        p[4] = 7;
        p[5] = 0x10;
        p[6..12].copy_from_slice(&[0, 0, 0, 1, 0x7E, 42]);
        p
    }

    #[test]
    fn fields_are_read_where_the_standard_puts_them() {
        let mut p = packet();
        let view = Packet::new(&p);
        assert_eq!(view.pid(), Pid::new(0x100));
        assert!(view.payload_unit_start_indicator() && view.has_payload() && view.has_adaptation_field());
        assert_eq!(view.continuity_counter(), 7);
        assert_eq!(view.pcr(), Some(Ticks27M(2 * 300 + 42)));
        assert_eq!(view.payload().len(), 188 - 12);
        p[5] |= 0xC0;
        assert!(Packet::new(&p).discontinuity_indicator() && Packet::new(&p).random_access_indicator());
    }

    #[test]
    fn lengths_that_lie_leave_nothing_to_read() {
        let mut p = packet();
        p[4] = 6;
        assert_eq!(Packet::new(&p).pcr(), None);
        p[4] = 255;
        assert_eq!(Packet::new(&p).payload(), &[] as &[u8]);
        p[4] = 0;
        assert!(!Packet::new(&p).discontinuity_indicator());
        assert_eq!(Packet::new(&p).payload().len(), 183);
    }

    #[test]
    fn a_plain_packet_is_sound_and_has_nothing_but_a_payload() {
        let mut p = packet();
        let all = (0..=0xFFFFu16).map(u16::to_be_bytes);
        for (first, [flags, last]) in all.flat_map(|bytes| [0x47, 0x46, 0xC7].map(|first| (first, bytes))) {
            p[..4].copy_from_slice(&[first, flags, 0x12, last]);
            let view = Packet::new(&p);
            let wanted = view.is_sound() && view.has_payload() && !view.has_start() && !view.is_scrambled();
            assert_eq!(view.is_plain(), wanted, "{first:02X} {flags:02X} {last:02X}");
        }
    }

    #[test]
    fn a_fingerprint_sees_every_byte_but_the_pcr() {
        let p = packet();
        let mut without = p;
        without[5] = 0;
        for base in [p, without] {
            let whole = Packet::new(&base).fingerprint();
            for i in 0..PACKET_SIZE {
                if matches!(i, 3..=5) {
                    continue; // these say whether there is a PCR
                }
                let mut other = base;
                other[i] ^= 1 << (i % 8);
                let is_pcr = base == p && (6..12).contains(&i);
                assert_eq!(Packet::new(&other).fingerprint() == whole, is_pcr, "byte {i}");
            }
        }
    }

    #[test]
    fn a_pes_header_with_a_pts_is_seen() {
        let mut p = packet();
        p[3] = 0x17;
        p[4..13].copy_from_slice(&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5]);
        assert!(Packet::new(&p).starts_with_pts());
        for (at, value) in [(7, 0xBE), (11, 0), (10, 0), (1, 1), (6, 2)] {
            let mut other = p;
            other[at] = value;
            assert!(!Packet::new(&other).starts_with_pts(), "byte {at}");
        }
    }
}
