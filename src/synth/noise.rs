//! The one source of chance: numbers that follow from a seed.

/// A generator of pseudo-random bits (xorshift64*, seeded through splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Noise(u64);

impl Noise {
    /// The noise of the `number`th thing of the feed that was given `seed`: the same each time it is asked for.
    pub(super) const fn new(seed: u64, number: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(number)) | 1)
    }

    /// 32 bits.
    pub(super) const fn word(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let [a, b, c, d, ..] = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// The step of splitmix64: neighbouring inputs come out far apart.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_another_another() {
        let take = |seed, number| {
            let mut noise = Noise::new(seed, number);
            [(); 4].map(|()| noise.word())
        };
        assert_eq!(take(7, 1), take(7, 1));
        assert_ne!(take(7, 1), take(7, 2));
        assert_ne!(take(7, 1), take(8, 1));
    }
}
