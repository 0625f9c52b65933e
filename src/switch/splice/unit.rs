//! Whether a PES packet or section of a PID is under way, by the lengths that they tell.

/// What is known of the unit that came last on a PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    /// None began since it is watched.
    #[default]
    Unknown,
    /// So many bytes of it are still to come.
    Open(usize),
    /// Its end is where the next begins.
    Endless,
    /// All of it came.
    Closed,
}

impl Unit {
    /// The payload of the PID's next packet.
    #[inline]
    pub(super) fn push(&mut self, start: bool, payload: &[u8]) {
        if start {
            *self = Self::begin(payload);
        } else {
            match *self {
                Self::Open(left) if left <= payload.len() => *self = Self::Closed,
                Self::Open(left) => *self = Self::Open(left - payload.len()),
                // in the middle of one whose beginning was not seen
                Self::Unknown if !payload.is_empty() => *self = Self::Endless,
                Self::Unknown | Self::Endless | Self::Closed => {}
            }
        }
    }

    fn begin(payload: &[u8]) -> Self {
        if payload.starts_with(&[0, 0, 1]) {
            return match payload {
                &[_, _, _, _, high, low, ..] if (high, low) != (0, 0) => {
                    Self::left(usize::from(u16::from_be_bytes([high, low])) + 6, payload.len())
                }
                [..] => Self::Endless,
            };
        }
        // sections: ISO/IEC 13818-1 2.4.4.2
        let mut at = payload.first().map_or(1, |&pointer| 1 + usize::from(pointer));
        loop {
            match payload.get(at..).unwrap_or(&[]) {
                [] | [0xFF, ..] => return if at > payload.len() { Self::Endless } else { Self::Closed },
                &[_, high, low, ..] => at += 3 + usize::from(u16::from_be_bytes([high & 0x0F, low])),
                [..] => return Self::Endless,
            }
            if at > payload.len() {
                return Self::left(at, payload.len());
            }
        }
    }

    const fn left(size: usize, there: usize) -> Self {
        if size <= there { Self::Closed } else { Self::Open(size - there) }
    }

    /// Whether more of it is to come.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open(_) | Self::Endless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_over_when_its_length_says_so() {
        let mut unit = Unit::default();
        assert!(!unit.is_open());
        let mut payload = [0; 184];
        payload[..9].copy_from_slice(&[0, 0, 1, 0xC0, 1, 0, 0x80, 0, 0]);
        unit.push(true, &payload);
        assert_eq!(unit, Unit::Open(256 + 6 - 184));
        unit.push(false, &payload);
        assert_eq!(unit, Unit::Closed);
        payload[4] = 0;
        unit.push(true, &payload);
        assert_eq!(unit, Unit::Endless);
        // two sections, the second of which goes on
        let mut payload = [0xFF; 184];
        payload[..4].copy_from_slice(&[0, 0xFC, 0x30, 0x10]);
        unit.push(true, &payload);
        assert_eq!(unit, Unit::Closed);
        payload[20..23].copy_from_slice(&[0xFC, 0x31, 0]);
        unit.push(true, &payload);
        assert_eq!(unit, Unit::Open(20 + 3 + 256 - 184));
        for bytes in [&[][..], &[0], &[9], &[0, 0xFC], &[0, 0, 1]] {
            unit.push(true, bytes);
        }
    }
}
