//! A writer of bits, most significant first, as MPEG video and audio are written.

/// Bits that go to the end of a byte buffer. The buffer keeps its memory from one picture to the next.
#[derive(Clone, Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The last `pending` bits written that do not make 32 yet, in the low end; what stands above them is spent.
    held: u64,
    pending: u32,
}

impl BitWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), held: 0, pending: 0 }
    }

    /// Forgets everything written, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.held = 0;
        self.pending = 0;
    }

    /// The low `bits` (at most 32) of `value`, which has no others set.
    pub(super) fn put(&mut self, value: u32, bits: u32) {
        debug_assert!(bits <= 32 && u64::from(value) >> bits == 0);
        self.held = self.held << bits | u64::from(value);
        self.pending += bits;
        if self.pending >= 32 {
            self.pending -= 32;
            let [_, _, _, _, word @ ..] = (self.held >> self.pending).to_be_bytes();
            self.bytes.extend_from_slice(&word);
        }
    }

    /// Zero bits up to the next whole byte, and all of it into the buffer.
    pub(super) fn align(&mut self) {
        self.put(0, self.pending.wrapping_neg() & 7);
        while self.pending > 0 {
            self.pending -= 8;
            let [.., byte] = (self.held >> self.pending).to_be_bytes();
            self.bytes.push(byte);
        }
    }

    /// Zero bytes until there are `length`; none when there are already. Only after [`align`](Self::align).
    pub(super) fn pad_to(&mut self, length: usize) {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }

    /// How many bits were written.
    pub(super) fn bits(&self) -> usize {
        self.bytes.len() * 8 + self.pending as usize
    }

    /// The bytes written. Only after [`align`](Self::align) are they all there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_each_other_across_bytes_and_words() {
        let mut w = BitWriter::with_capacity(16);
        w.put(0b101, 3);
        w.put(0x1234_5678, 32);
        w.put(0, 0);
        w.put(1, 1);
        assert_eq!(w.bits(), 36);
        w.align();
        assert_eq!(w.bytes(), [0b1010_0010, 0x46, 0x8A, 0xCF, 0b0001_0000]);
        w.pad_to(7);
        assert_eq!(w.bytes().len(), 7);
        w.clear();
        w.put(0xABCD, 16);
        w.align();
        assert_eq!(w.bytes(), [0xAB, 0xCD]);
    }
}
