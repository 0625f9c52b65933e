//! Supplemental enhancement information: H.264 7.3.2.3 and D.1, H.265 7.3.2.4 and D.2, which are alike in what is wanted.

/// Bytes of a recovery point that are kept: it has at most five.
const KEPT: u8 = 8;

/// Goes through the messages of one NAL unit, byte by byte, once its emulation prevention bytes are taken out.
#[derive(Clone, Debug)]
pub(super) struct Sei {
    place: Place,
    /// payloadType as far as it was read.
    kind: u32,
    /// payloadSize as far as it was read; then the bytes of the payload that are still to come.
    left: u32,
    /// The first bytes of a recovery point, from the top.
    held: u64,
    kept: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Type,
    Size,
    Payload,
}

/// What a byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    /// Nothing that is wanted.
    Other,
    /// The last one before a user_data_registered_itu_t_t35.
    BeforeT35,
    /// One of a user_data_registered_itu_t_t35.
    T35,
    /// The last one of a recovery point.
    RecoveryPoint(RecoveryPoint),
}

/// A recovery point message, of which nothing is decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecoveryPoint {
    held: u64,
    bits: u32,
}

const T35: u32 = 4;
const RECOVERY_POINT: u32 = 6;

impl Sei {
    /// At the beginning of a NAL unit, behind its header.
    pub(super) const fn new() -> Self {
        Self { place: Place::Type, kind: 0, left: 0, held: 0, kept: 0 }
    }

    /// The next byte.
    pub(super) fn push(&mut self, byte: u8) -> Byte {
        match self.place {
            Place::Type => {
                self.kind = self.kind.saturating_add(u32::from(byte));
                if byte != 0xFF {
                    self.place = Place::Size;
                }
            }
            Place::Size => {
                self.left = self.left.saturating_add(u32::from(byte));
                if byte != 0xFF {
                    return self.begin();
                }
            }
            Place::Payload => return self.payload(byte),
        }
        Byte::Other
    }

    fn begin(&mut self) -> Byte {
        if self.left == 0 {
            *self = Self::new();
            return Byte::Other;
        }
        self.place = Place::Payload;
        if self.kind == T35 { Byte::BeforeT35 } else { Byte::Other }
    }

    /// Whether the next byte is the first of a recovery point.
    pub(super) fn begins_recovery_point(&self) -> bool {
        self.place == Place::Payload && self.kind == RECOVERY_POINT && self.kept == 0
    }

    fn payload(&mut self, byte: u8) -> Byte {
        let kind = self.kind;
        if kind == RECOVERY_POINT && self.kept < KEPT {
            self.kept += 1;
            self.held |= u64::from(byte) << (64 - 8 * u32::from(self.kept));
        }
        self.left -= 1;
        let whole = RecoveryPoint { held: self.held, bits: 8 * u32::from(self.kept) };
        let last = self.left == 0;
        if last {
            *self = Self::new();
        }
        match kind {
            T35 => Byte::T35,
            RECOVERY_POINT if last => Byte::RecoveryPoint(whole),
            _ => Byte::Other,
        }
    }
}

impl RecoveryPoint {
    /// recovery_frame_cnt (ue) or, where `signed`, recovery_poc_cnt (se), and broken_link_flag. None where they are not
    /// whole or out of range.
    pub(super) fn read(self, signed: bool) -> Option<(i32, bool)> {
        // Exp-Golomb (H.264 9.1): as many zeros as there are bits behind the first 1
        let zeros = self.held.leading_zeros();
        let length = 2 * zeros + 1;
        if zeros > 16 || length + 2 > self.bits {
            return None;
        }
        let code = i32::try_from((self.held >> (64 - length)) - 1).ok()?;
        let distance = if !signed {
            code
        } else if code % 2 == 1 {
            code / 2 + 1
        } else {
            -(code / 2)
        };
        // between the two stands exact_match_flag
        let broken_link = self.held >> (62 - length) & 1 != 0;
        Some((distance, broken_link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Byte> {
        let mut sei = Sei::new();
        bytes.iter().map(|&b| sei.push(b)).filter(|b| *b != Byte::Other).collect()
    }

    #[test]
    fn messages_are_told_by_type_and_size() {
        assert_eq!(read(&[1, 2, 4, 4, 4, 2, 9, 9, 6, 0, 0x80]), [Byte::BeforeT35, Byte::T35, Byte::T35]);
        let mut long = vec![0xFF, 5, 0xFF, 0x0A];
        long.extend([4; 265]);
        long.extend([4, 1, 0]);
        assert_eq!(read(&long), [Byte::BeforeT35, Byte::T35]);
        assert_eq!(read(&[4, 0, 4, 0]), []);
        assert_eq!(read(&[0xFF; 4000]), []);
    }

    #[test]
    #[allow(clippy::unusual_byte_groupings)] // a group is a field
    fn a_recovery_point_is_read_by_the_bit() {
        let one = |payload: &[u8], signed| {
            let size = u8::try_from(payload.len()).unwrap();
            match read(&[&[6, size], payload].concat())[..] {
                [Byte::RecoveryPoint(point)] => point.read(signed),
                _ => panic!(),
            }
        };
        assert_eq!(one(&[0b1_1_0_00_100], false), Some((0, false)));
        assert_eq!(one(&[0b1_0_1_00_100], false), Some((0, true)));
        assert_eq!(one(&[0b00101_1_0_0, 0b0_1000000], false), Some((4, false)));
        assert_eq!(one(&[0b00101_1_1_1], true), Some((-2, true)));
        assert_eq!(one(&[0b00100_0_0_1], true), Some((2, false)));
        assert_eq!(one(&[0, 0, 0x80, 0, 0, 0], false), Some((0xFFFF, false)));
        assert_eq!(one(&[0, 0, 0x80, 0, 0b1_0_1_00000, 1, 2, 3, 4, 5, 6], true), Some((-32768, true)));
        for bad in [&[0][..], &[0b00001_000], &[0; 8], &[0, 0, 0x40, 0, 0, 0], &[0, 0, 0x80, 0]] {
            assert_eq!(one(bad, false), None);
        }
    }
}
