//! A tone in MPEG-1 audio, layer II (ISO/IEC 11172-3).
//!
//! 48 kHz, stereo, 192 kb/s: 576 bytes for 24 ms. The tone stands in the middle of subband 1, at 1125 Hz. There a
//! subband's samples go A, 0, −A, 0, which the coarsest quantiser writes exactly; and 36 of them make a frame, so
//! nine whole turns do, and every frame sounds the same. What the tone leaves of the frame is ancillary data, which
//! the feed fills with noise of its seed, so that no two frames are the same bytes.

use super::bits::BitWriter;

/// Bytes of a frame.
pub(super) const FRAME: usize = 576;
/// Where the ancillary data begins: behind 344 bits.
pub(super) const ANCILLARY: usize = 43;
/// Ticks of 27 MHz that a frame lasts.
pub(super) const FRAME_TICKS: u64 = 648_000;

/// syncword, MPEG-1, layer II, no CRC; 192 kb/s, 48 kHz; stereo; original
const HEADER: u32 = 0xFFFD_A404;
/// How many bits give the allocation of each of the 27 subbands (table B.2a).
const ALLOCATION_BITS: [(u32, usize); 3] = [(4, 11), (3, 12), (2, 4)];
const SUBBAND: usize = 1;
/// The scalefactor 2^(1 − 10/3): two thirds of it are some −18 dBFS, the alignment level of EBU R 68.
const SCALEFACTOR: u32 = 10;

/// The frame, its ancillary data zero.
pub(super) fn frame() -> Vec<u8> {
    let mut w = BitWriter::with_capacity(FRAME);
    w.put(HEADER, 32);
    let subbands = ALLOCATION_BITS.iter().flat_map(|&(bits, count)| core::iter::repeat_n(bits, count));
    for (subband, bits) in subbands.enumerate() {
        // three steps for both channels in the subband of the tone, nothing elsewhere
        let allocation = u32::from(subband == SUBBAND);
        w.put(allocation, bits);
        w.put(allocation, bits);
    }
    // scfsi: one scalefactor for the whole frame, left and right
    w.put(0b1010, 4);
    w.put(SCALEFACTOR, 6);
    w.put(SCALEFACTOR, 6);
    for triplet in 0..12 {
        let [a, b, c] = [0, 1, 2].map(|n| [2, 1, 0, 1][(3 * triplet + n) % 4]);
        let code = a + 3 * b + 9 * c;
        w.put(code, 5);
        w.put(code, 5);
    }
    w.align();
    debug_assert_eq!(w.bytes().len(), ANCILLARY);
    w.pad_to(FRAME);
    w.bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_long_as_its_header_says() {
        let frame = frame();
        assert_eq!(frame.len(), FRAME);
        assert_eq!(frame[..4], [0xFF, 0xFD, 0xA4, 0x04]);
        assert_eq!(FRAME as u64 * 8 * 27_000_000 / FRAME_TICKS, 192_000);
    }
}
