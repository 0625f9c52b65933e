//! A packet as a number.

use crate::ts::PACKET_SIZE;

/// One key for each word, so that words that change places change the number.
const KEYS: [u64; 24] = {
    let mut keys = [0; 24];
    let mut i = 0;
    let mut state = 0u64;
    while i < keys.len() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        keys[i] = z ^ z >> 31;
        i += 1;
    }
    keys
};

/// A number made of all 188 bytes, the PCR among them: two packets of a stream that differ have the same once in 2^64.
#[inline]
pub(super) fn fingerprint(bytes: &[u8; PACKET_SIZE]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (pairs, last) = words.as_chunks::<2>();
    let (keys, last_keys) = KEYS.as_chunks::<2>().0.split_at(pairs.len());
    // the products do not wait for each other
    let mut sum = 0u64;
    for (pair, key) in pairs.iter().zip(keys) {
        sum = sum.wrapping_add(fold(u64::from_le_bytes(pair[0]) ^ key[0], u64::from_le_bytes(pair[1]) ^ key[1]));
    }
    if let ([word], Ok(rest), [key, ..]) = (last, <[u8; 4]>::try_from(rest), last_keys) {
        let rest = u64::from(u32::from_le_bytes(rest));
        sum = sum.wrapping_add(fold(u64::from_le_bytes(*word) ^ key[0], rest ^ key[1]));
    }
    let sum = (sum ^ sum >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    sum ^ sum >> 32
}

/// The halves of the product, one on the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let [p0, p1, p2, p3, p4, p5, p6, p7, q @ ..] = (u128::from(a) * u128::from(b)).to_le_bytes();
    u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]) ^ u64::from_le_bytes(q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_bit_and_each_place_counts() {
        let mut seen = HashSet::new();
        for fill in [0x00, 0x47, 0xFF] {
            let base = [fill; PACKET_SIZE];
            assert!(seen.insert(fingerprint(&base)));
            for i in 0..PACKET_SIZE {
                for bit in 0..8 {
                    let mut other = base;
                    other[i] ^= 1 << bit;
                    assert!(seen.insert(fingerprint(&other)), "bit {bit} of byte {i}");
                }
            }
        }
        let mut swapped: [u8; PACKET_SIZE] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        assert!(seen.insert(fingerprint(&swapped)));
        swapped.rotate_left(8);
        assert!(seen.insert(fingerprint(&swapped)));
    }
}
