//! Closed captions in the user data of pictures: cc_data of ATSC A/53 part 4 clause 6.2.3 (and CTA-708 4.4), and
//! ANSI/SCTE 20.

/// What captions there are with one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captions {
    /// Whether there is room for captions at all, filled or not: a cc_data structure, or one of SCTE 20.
    pub carried: bool,
    /// Valid bytes of CEA-608 (line 21) other than padding.
    pub cea608: bool,
    /// Valid bytes of the DTVCC transport channel (CEA-708).
    pub dtvcc: bool,
}

impl Captions {
    /// Whether there are any.
    pub const fn any(self) -> bool {
        self.cea608 || self.dtvcc
    }
}

/// What comes before cc_data: itu_t_t35_country_code of the USA, provider code of ATSC, ATSC_identifier and
/// user_data_type_code. In MPEG-2 the first three are not there.
const PREFIX: [u8; 8] = *b"\xB5\x00\x31GA94\x03";
/// Where that begins in MPEG-2.
const MPEG: u8 = 3;
/// user_data_type_code of SCTE 20, which has nothing before it.
const SCTE20: u8 = 0x03;
/// Bits of one construct of SCTE 20: cc_priority, field_number, line_offset, two bytes, a marker.
const SCTE20_BITS: u8 = 26;

/// Reads one piece of user data, byte by byte, as it comes.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    place: Place,
    /// Constructs still to come.
    left: u8,
    /// The latest bytes.
    held: u64,
    /// How many bits of them are not used yet (SCTE 20).
    bits: u8,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// This one of [`PREFIX`].
    Prefix(u8),
    /// The flags and cc_count.
    Count,
    /// reserved (once em_data).
    Reserved,
    /// This one of a construct of cc_data.
    Construct(u8),
    /// The flag of SCTE 20.
    Scte20Flag,
    /// cc_count of SCTE 20 in its first five bits.
    Scte20Count,
    /// Of the constructs of SCTE 20.
    Scte20,
    /// Nothing that is wanted.
    Over,
}

impl Reader {
    const fn at(place: Place) -> Self {
        Self { place, left: 0, held: 0, bits: 0 }
    }

    /// Of an MPEG-1/2 user_data().
    pub(super) const fn user_data() -> Self {
        Self::at(Place::Prefix(MPEG))
    }

    /// Of a user_data_registered_itu_t_t35 SEI message.
    pub(super) const fn t35() -> Self {
        Self::at(Place::Prefix(0))
    }

    /// Whether nothing more can come of it.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// The next byte.
    pub(super) fn push(&mut self, byte: u8, captions: &mut Captions) {
        self.place = match self.place {
            Place::Prefix(at) => match PREFIX.get(usize::from(at)) {
                Some(&wanted) if wanted == byte && usize::from(at) + 1 == PREFIX.len() => Place::Count,
                Some(&wanted) if wanted == byte => Place::Prefix(at + 1),
                _ if at == MPEG && byte == SCTE20 => Place::Scte20Flag,
                _ => Place::Over,
            },
            Place::Count => {
                self.left = byte & 0x1F;
                // process_cc_data_flag
                let wanted = byte & 0x40 != 0;
                captions.carried |= wanted;
                if wanted && self.left > 0 { Place::Reserved } else { Place::Over }
            }
            Place::Reserved => Place::Construct(0),
            Place::Construct(at) => {
                self.held = self.held << 8 | u64::from(byte);
                if at < 2 { Place::Construct(at + 1) } else { self.construct(captions) }
            }
            Place::Scte20Flag => {
                // vbi_data_flag
                if byte & 1 == 0 { Place::Over } else { Place::Scte20Count }
            }
            Place::Scte20Count => {
                captions.carried = true;
                (self.held, self.bits) = (u64::from(byte), 3);
                self.left = byte >> 3;
                if self.left == 0 { Place::Over } else { Place::Scte20 }
            }
            Place::Scte20 => {
                self.held = self.held << 8 | u64::from(byte);
                self.bits += 8;
                self.scte20(captions)
            }
            Place::Over => Place::Over,
        };
    }

    /// The last byte of a construct of cc_data came.
    fn construct(&mut self, captions: &mut Captions) -> Place {
        let [.., marker, first, second] = self.held.to_be_bytes();
        let valid = marker & 0x04 != 0;
        match marker & 0x03 {
            0 | 1 => captions.cea608 |= valid && !is_padding(first, second),
            _ => captions.dtvcc |= valid,
        }
        self.left -= 1;
        if self.left == 0 { Place::Over } else { Place::Construct(0) }
    }

    /// Takes the next construct of SCTE 20, if it is whole.
    fn scte20(&mut self, captions: &mut Captions) -> Place {
        let Some(unused) = self.bits.checked_sub(SCTE20_BITS) else { return Place::Scte20 };
        self.bits = unused;
        // behind the second byte stands a marker bit
        let [.., first, second] = (self.held >> (unused + 1)).to_be_bytes();
        // the bytes of line 21 begin with their lowest bit here
        captions.cea608 |= !is_padding(first.reverse_bits(), second.reverse_bits());
        self.left -= 1;
        if self.left == 0 { Place::Over } else { Place::Scte20 }
    }
}

/// A pair of nulls, with parity (0x80 0x80) or without.
const fn is_padding(first: u8, second: u8) -> bool {
    (first | second) & 0x7F == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut reader: Reader, bytes: &[u8]) -> Captions {
        let mut captions = Captions::default();
        for &byte in bytes {
            reader.push(byte, &mut captions);
        }
        captions
    }

    /// cc_data of these constructs behind its flags.
    fn cc(constructs: &[[u8; 3]], flags: u8) -> Vec<u8> {
        let count = u8::try_from(constructs.len()).unwrap();
        [b"GA94\x03", &[flags | count, 0xFF][..], &constructs.concat(), &[0xFF]].concat()
    }

    #[test]
    fn captions_are_told_from_padding() {
        let of = |constructs: &[[u8; 3]]| {
            let captions = read(Reader::user_data(), &cc(constructs, 0xC0));
            assert!(captions.carried);
            (captions.cea608, captions.dtvcc)
        };
        let pad = [[0xFC, 0x80, 0x80], [0xFD, 0, 0x80], [0xFA, 0, 0], [0xFB, 9, 9]];
        assert_eq!(of(&pad), (false, false));
        assert_eq!(of(&[]), (false, false));
        assert_eq!(of(&[pad[0], [0xFD, 0x80, 0xE5]]), (true, false));
        assert_eq!(of(&[pad[0], [0xF9, 0x94, 0x2C]]), (false, false), "cc_valid is 0");
        assert_eq!(of(&[pad[0], pad[1], [0xFF, 2, 0x21]]), (false, true));
        assert_eq!(of(&[pad[0], pad[1], [0xFE, 0, 0]]), (false, true));
        let ignored = read(Reader::user_data(), &cc(&[[0xFC, 1, 1]], 0x80));
        assert_eq!(ignored, Captions::default(), "process_cc_data_flag is 0");
    }

    #[test]
    fn only_what_is_announced_is_read() {
        let mut bytes = cc(&[[0xFC, 0x80, 0x80]; 3], 0xC0);
        bytes[5] = 0xC2;
        bytes[13] = 0xFF;
        assert!(!read(Reader::user_data(), &bytes).any());
        bytes[5] = 0xC3;
        assert!(read(Reader::user_data(), &bytes).dtvcc);
        assert!(!read(Reader::t35(), &bytes).carried);
        let with_country = [&b"\xB5\x00\x31"[..], &bytes].concat();
        assert!(read(Reader::t35(), &with_country).dtvcc);
        assert!(!read(Reader::user_data(), &with_country).carried);
        bytes[4] = 6;
        assert!(!read(Reader::user_data(), &bytes).carried, "bar data");
        for end in 0..with_country.len() - 2 {
            assert!(!read(Reader::t35(), &with_country[..end]).dtvcc, "{end} bytes");
        }
    }

    #[test]
    fn scte_20_is_read_by_the_bit() {
        let build = |pairs: &[[u8; 2]]| {
            let mut bits: Vec<bool> = Vec::new();
            let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|n| value >> n & 1 == 1));
            put(0x03, 8);
            put(0xFF, 8);
            put(u32::try_from(pairs.len()).unwrap(), 5);
            for [first, second] in pairs {
                put(0b0_1010_1011, 9);
                put(u32::from(first.reverse_bits()), 8);
                put(u32::from(second.reverse_bits()), 8);
                put(1, 1);
            }
            bits.resize(bits.len().next_multiple_of(8), true);
            bits.chunks(8).map(|b| b.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect::<Vec<u8>>()
        };
        for count in 1..=31 {
            let mut pairs = vec![[0x80, 0x80]; count];
            let padding = read(Reader::user_data(), &build(&pairs));
            assert!(padding.carried && !padding.any(), "{count}");
            pairs[count - 1] = [0x80, 0xE5];
            let captions = read(Reader::user_data(), &build(&pairs));
            assert!(captions.cea608 && !captions.dtvcc, "{count}");
        }
        assert!(!read(Reader::user_data(), &[3, 0xFE, 0xFF, 0xFF]).carried, "vbi_data_flag is 0");
    }
}
