//! The headers of audio frames.

use super::{Codec, Length};

/// Bytes of a header that are looked at. No frame is shorter.
pub(super) const SIZE: usize = 7;

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the frame with its header, at least [`SIZE`].
    pub(super) size: u16,
    /// How long it lasts, where the header says so.
    pub(super) length: Option<Length>,
    /// The bits that do not change within a stream, never 0.
    pub(super) format: u32,
    /// Whether it begins an access unit: other substreams of E-AC-3 belong to the one before.
    pub(super) is_first: bool,
}

impl Codec {
    /// The first byte of each header.
    pub(super) const fn sync_byte(self) -> u8 {
        match self {
            Self::Mpeg | Self::Adts => 0xFF,
            Self::Loas => 0x56,
            Self::Ac3 => 0x0B,
        }
    }
}

impl Header {
    /// Reads these bytes, if they can be the header of a frame.
    pub(super) fn read(codec: Codec, bytes: &[u8; SIZE]) -> Option<Self> {
        let header = match codec {
            Codec::Mpeg => mpeg(bytes),
            Codec::Adts => adts(bytes),
            Codec::Loas => loas(bytes),
            Codec::Ac3 => ac3(bytes),
        };
        header.filter(|header| usize::from(header.size) >= SIZE)
    }
}

/// kb/s by bitrate_index (11172-3 2.4.2.3, 13818-3 2.4.2.3): layers I, II and III, then layer I and the others at the low
/// rates. Free format and the forbidden index are 0.
const MPEG_RATES: [[u16; 16]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
];

fn mpeg(&[a, b, c, d, ..]: &[u8; SIZE]) -> Option<Header> {
    let layer = 4 - (b >> 1 & 3);
    // emphasis 2 is forbidden
    if a != 0xFF || b & 0xE0 != 0xE0 || layer == 4 || d & 3 == 2 {
        return None;
    }
    // the lowest rates (a version that no standard has), a forbidden version, 13818-3, 11172-3
    let (low, halvings) = match b >> 3 & 3 {
        0 => (true, 2_u32),
        1 => return None,
        2 => (true, 1),
        _ => (false, 0),
    };
    let rate = [44_100_u32, 48_000, 32_000].get(usize::from(c >> 2 & 3))? >> halvings;
    let (rates, samples) = match (layer, low) {
        (1, false) => (0, 384),
        (1, true) => (3, 384),
        (2, false) => (1, 1152),
        (2, true) => (4, 1152),
        (_, false) => (2, 1152),
        (_, true) => (4, 576),
    };
    let kilobits = *MPEG_RATES.get(rates)?.get(usize::from(c >> 4))?;
    if kilobits == 0 {
        return None;
    }
    // slots are of four bytes in layer I, and of one in the others
    let slot = if layer == 1 { 4 } else { 1 };
    let slots = u32::from(samples) / 8 / slot * u32::from(kilobits) * 1000 / rate + u32::from(c >> 1 & 1);
    Some(Header {
        size: u16::try_from(slots * slot).ok()?,
        length: Some(Length { samples, rate }),
        format: u32::from_be_bytes([a, b & 0xFE, c & 0x0C, 0]),
        is_first: true,
    })
}

/// samplingFrequencyIndex of AAC (14496-3 table 1.18).
const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

fn adts(&[a, b, c, d, e, f, g]: &[u8; SIZE]) -> Option<Header> {
    if a != 0xFF || b & 0xF6 != 0xF0 {
        return None;
    }
    let rate = *AAC_RATES.get(usize::from(c >> 2 & 0x0F))?;
    Some(Header {
        size: u16::from(d & 3) << 11 | u16::from(e) << 3 | u16::from(f >> 5),
        length: Some(Length { samples: 1024 * (u16::from(g & 3) + 1), rate }),
        format: u32::from_be_bytes([a, b & 0xFE, c & 0xFC, 0]),
        is_first: true,
    })
}

fn loas(&[a, b, c, config @ ..]: &[u8; SIZE]) -> Option<Header> {
    if a != 0x56 || b & 0xE0 != 0xE0 {
        return None;
    }
    Some(Header {
        size: 3 + (u16::from(b & 0x1F) << 8 | u16::from(c)),
        length: stream_mux_config(u32::from_be_bytes(config)),
        format: 0x56E0_0000,
        is_first: true,
    })
}

/// What the first 32 bits of an AudioMuxElement say (14496-3 1.7.3). Nothing where the configuration is that of the frame
/// before, or is of the newer kind.
fn stream_mux_config(bits: u32) -> Option<Length> {
    let field = |from: u32, len: u32| u8::try_from(bits << from >> (32 - len)).ok();
    // useSameStreamMux, audioMuxVersion; numSubFrames; numProgram, numLayer, audioObjectType; samplingFrequencyIndex
    if field(0, 2)? != 0 {
        return None;
    }
    let frames = u16::from(field(3, 6)?) + 1;
    // an object type of 31 is told in further bits
    let rate = if field(16, 5)? == 31 { None } else { AAC_RATES.get(usize::from(field(21, 4)?)) };
    Some(Length { samples: frames.checked_mul(1024)?, rate: *rate? })
}

/// kb/s by half of frmsizecod (TS 102 366 table 4.13).
const AC3_RATES: [u16; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

fn ac3(&[a, b, c, d, e, f, _]: &[u8; SIZE]) -> Option<Header> {
    if [a, b] != [0x0B, 0x77] {
        return None;
    }
    let rates = [48_000_u32, 44_100, 32_000];
    let code = e >> 6;
    let rate = rates.get(usize::from(code));
    let (size, length, is_first) = match f >> 3 {
        bsid @ ..=10 => {
            let kilobits = *AC3_RATES.get(usize::from(e >> 1 & 0x1F))?;
            let words = match code {
                0 => 2 * kilobits,
                1 => u16::try_from(u32::from(kilobits) * 320 / 147).ok()? + u16::from(e & 1),
                _ => 3 * kilobits,
            };
            // 9 and 10 are of half and a quarter of the rate
            let halvings = u32::from(bsid.saturating_sub(8));
            (2 * words, Length { samples: 1536, rate: rate? >> halvings }, true)
        }
        11..=16 => {
            let (strmtyp, substream) = (c >> 6, c >> 3 & 7);
            if strmtyp == 3 {
                return None;
            }
            let words = (u16::from(c & 7) << 8 | u16::from(d)) + 1;
            let second = e >> 4 & 3;
            // a fscod of 3 says that what follows is not numblkscod but fscod2, of half rates
            let length = match rate {
                Some(&rate) => Length { samples: [256, 512, 768, 1536].get(usize::from(second)).copied()?, rate },
                None => Length { samples: 1536, rate: rates.get(usize::from(second))? / 2 },
            };
            (2 * words, length, strmtyp != 1 && substream == 0)
        }
        _ => return None,
    };
    let format = 0x0B77_0000 | u32::from(code);
    Some(Header { size, length: Some(length), format, is_first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(codec: Codec, bytes: [u8; SIZE]) -> Option<(u16, u16, u32)> {
        let header = Header::read(codec, &bytes)?;
        assert_ne!(header.format, 0);
        assert_eq!(bytes[0], codec.sync_byte());
        let length = header.length.unwrap_or(Length { samples: 0, rate: 0 });
        Some((header.size, length.samples, length.rate))
    }

    #[test]
    fn sizes_and_lengths_are_those_of_the_standards() {
        let mpeg = |b, c, d| read(Codec::Mpeg, [0xFF, b, c, d, 0, 0, 0]);
        assert_eq!(mpeg(0xFD, 0xA4, 0), Some((576, 1152, 48_000)), "layer II, 192 kb/s");
        assert_eq!(mpeg(0xFB, 0x90, 0), Some((417, 1152, 44_100)), "layer III, 128 kb/s");
        assert_eq!(mpeg(0xFB, 0x92, 0), Some((418, 1152, 44_100)), "padded");
        assert_eq!(mpeg(0xFF, 0xC8, 0), Some((576, 384, 32_000)), "layer I, 384 kb/s");
        assert_eq!(mpeg(0xFF, 0xE2, 0), Some((488, 384, 44_100)), "layer I, 448 kb/s, padded");
        assert_eq!(mpeg(0xF3, 0x84, 0), Some((192, 576, 24_000)), "layer III, 64 kb/s, low");
        assert_eq!(mpeg(0xF5, 0x88, 0), Some((576, 1152, 16_000)), "layer II, 64 kb/s, low");
        assert_eq!(mpeg(0xE3, 0x18, 0), Some((72, 576, 8_000)), "layer III, 8 kb/s, lowest");
        for bad in [mpeg(0xED, 0xA4, 0), mpeg(0xF9, 0xA4, 0), mpeg(0xFD, 0xF4, 0), mpeg(0xFD, 4, 0)] {
            assert_eq!(bad, None);
        }
        assert_eq!((mpeg(0xFD, 0xAC, 0), mpeg(0xFD, 0xA4, 2), mpeg(0x1D, 0xA4, 0)), (None, None, None));

        let adts = |c, e, g| read(Codec::Adts, [0xFF, 0xF1, c, 0x80, e, 0x1F, g]);
        assert_eq!(adts(0x4C, 0x20, 0xFC), Some((256, 1024, 48_000)));
        assert_eq!(adts(0x50, 0x20, 0xFD), Some((256, 2048, 44_100)));
        assert_eq!((adts(0x74, 0x20, 0), adts(0x4C, 0, 0)), (None, None));

        let loas = |config: u32| {
            let [a, b, c, d] = config.to_be_bytes();
            read(Codec::Loas, [0x56, 0xE1, 0x10, a, b, c, d])
        };
        // one subframe, program and layer; AAC LC; 48 kHz
        let config = 1 << 29 | 2 << 11 | 3 << 7;
        assert_eq!(loas(config), Some((275, 1024, 48_000)));
        assert_eq!(loas(config | 1 << 23), Some((275, 2048, 48_000)));
        for unknown in [config | 1 << 31, config | 1 << 30, config | 31 << 11, config | 15 << 7] {
            assert_eq!(loas(unknown), Some((275, 0, 0)));
        }

        let ac3 = |c, d, e, f| read(Codec::Ac3, [0x0B, 0x77, c, d, e, f, 0]);
        assert_eq!(ac3(0, 0, 0x1C, 0x40), Some((1536, 1536, 48_000)), "384 kb/s");
        assert_eq!(ac3(0, 0, 0x5C, 0x40), Some((1670, 1536, 44_100)));
        assert_eq!(ac3(0, 0, 0x5D, 0x40), Some((1672, 1536, 44_100)));
        assert_eq!(ac3(0, 0, 0x9C, 0x40), Some((2304, 1536, 32_000)));
        assert_eq!(ac3(0, 0, 0x1C, 0x48), Some((1536, 1536, 24_000)));
        assert_eq!((ac3(0, 0, 0xDC, 0x40), ac3(0, 0, 0x26, 0x40), ac3(0, 0, 0x1C, 0x88)), (None, None, None));
        assert_eq!(ac3(0x01, 0xFF, 0x3F, 0x80), Some((1024, 1536, 48_000)));
        assert_eq!(ac3(0x01, 0xFF, 0x0F, 0x80), Some((1024, 256, 48_000)));
        assert_eq!(ac3(0x01, 0xFF, 0xD0, 0x80), Some((1024, 1536, 22_050)));
        assert_eq!((ac3(0xC1, 0xFF, 0x3F, 0x80), ac3(0, 2, 0x3F, 0x80)), (None, None));
    }

    #[test]
    fn a_substream_begins_no_access_unit() {
        let first = |c| Header::read(Codec::Ac3, &[0x0B, 0x77, c, 0xFF, 0x3F, 0x80, 0]).map(|h| h.is_first);
        assert_eq!([0x01, 0x09, 0x41, 0x81].map(first), [Some(true), Some(false), Some(false), Some(true)]);
    }
}
