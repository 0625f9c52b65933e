//! What stands in the head of a video access unit, before its first slice: whether decoding can begin there, and
//! whether there are captions. Nothing of a slice is read but what tells whether it is the first of its picture.

mod broken;
mod captions;
mod picture;
mod prefix;
mod sei;

use super::pes::Body;
use captions::Reader;
use prefix::behind_prefix;
use sei::{Byte, Sei};

pub use broken::BrokenLink;
pub use captions::Captions;
pub use picture::{Coding, Entry, Irap, Picture};

/// How the pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// ISO/IEC 11172-2 and 13818-2.
    Mpeg,
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
}

impl Codec {
    /// That of a stream whose description names its codec so, where its pictures can be read.
    pub fn named(codec: &str) -> Option<Self> {
        match codec {
            "MPEG-1 video" | "MPEG-2 video" => Some(Self::Mpeg),
            "H.264" => Some(Self::H264),
            "HEVC" => Some(Self::Hevc),
            _ => None,
        }
    }
}

/// What must come before a picture can be decoded: bits of `Pictures::seen`.
const SPS: u8 = 1;
const PPS: u8 = 2;
const VPS: u8 = 4;
/// A picture header (MPEG-1/2).
const PICTURE: u8 = 8;
/// Anything but slices.
const HEAD: u8 = 16;
/// nal_unit_type of the slices of an IDR picture of H.264.
const H264_IDR: u8 = 5;
/// nal_unit_type of a VPS of HEVC; those below it are slices.
const VPS_NUT: u8 = 32;

/// Watches the payloads of one video PID.
#[derive(Clone, Debug)]
pub struct Pictures {
    codec: Codec,
    body: Body,
    reading: Reading,
    /// How many zero bytes came last, as far as a start code prefix needs them.
    zeros: u8,
    /// Bytes of the unit read.
    at: u8,
    seen: u8,
    /// The unit did not begin with a start code: it goes on with slices of the picture before.
    strayed: bool,
    picture: Picture,
    sei: Sei,
    captions: Reader,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing is wanted until the next unit starts.
    Nothing,
    /// What is passed over, up to the next start code prefix.
    Gap,
    /// The byte behind a start code prefix.
    Code,
    /// The second byte of a NAL unit's header (HEVC).
    Layer(u8),
    /// The first byte of a slice's header.
    Slice(u8),
    Sequence,
    Group,
    PictureHeader,
    UserData,
    Sei,
}

impl Pictures {
    /// A video PID of which nothing came yet.
    pub const fn new(codec: Codec) -> Self {
        Self {
            codec,
            body: Body::new(),
            reading: Reading::Nothing,
            zeros: 0,
            at: 0,
            seen: 0,
            strayed: false,
            picture: Picture::NOTHING,
            sei: Sei::new(),
            captions: Reader::user_data(),
        }
    }

    /// Whether nothing is wanted of the PID's packets until the next unit starts.
    #[inline]
    pub const fn is_done(&self) -> bool {
        matches!(self.reading, Reading::Nothing)
    }

    /// Packets were lost: what is under way is given up.
    pub const fn reset(&mut self) {
        self.reading = Reading::Nothing;
    }

    /// Takes the payload of the PID's next packet, which is not scrambled. Gives the head of an access unit once for each
    /// PES packet in which one begins, when its first slice begins; what of a unit comes after that is not looked at.
    #[inline]
    pub fn push(&mut self, unit_start: bool, payload: &[u8]) -> Option<Picture> {
        if unit_start {
            *self = Self::new(self.codec);
            self.reading = Reading::Gap;
        } else if self.is_done() {
            return None;
        }
        let bytes = self.body.push(unit_start, payload);
        self.read(bytes)
    }

    fn read(&mut self, mut bytes: &[u8]) -> Option<Picture> {
        loop {
            bytes = match self.reading {
                Reading::Nothing => return None,
                Reading::Gap => {
                    let behind = behind_prefix(bytes, &mut self.zeros);
                    if self.seen == 0 && !self.strayed {
                        let passed = bytes.get(..behind.map_or(bytes.len(), |at| at - 1)).unwrap_or(&[]);
                        self.strayed = passed.iter().any(|&b| b != 0);
                    }
                    self.reading = behind.map_or(Reading::Gap, |_| Reading::Code);
                    bytes.get(behind?..)?
                }
                Reading::Code => {
                    let (&byte, rest) = bytes.split_first()?;
                    self.at = 0;
                    self.reading = self.code(byte);
                    rest
                }
                Reading::Layer(kind) => {
                    let (&byte, rest) = bytes.split_first()?;
                    self.reading = self.hevc(kind, byte);
                    rest
                }
                Reading::Slice(kind) => {
                    let (&byte, rest) = bytes.split_first()?;
                    self.reading = Reading::Nothing;
                    // first_mb_in_slice is 0; first_slice_segment_in_pic_flag
                    if byte & 0x80 != 0 {
                        return Some(self.found(kind, byte));
                    }
                    if self.goes_on() {
                        self.reading = Reading::Gap;
                    }
                    rest
                }
                Reading::Sequence | Reading::Group | Reading::PictureHeader | Reading::UserData | Reading::Sei => {
                    self.contents(bytes)?
                }
            };
            if self.reading == Reading::Nothing && self.seen & PICTURE != 0 {
                return Some(self.found(0, 0));
            }
        }
    }

    /// Whether a slice that begins no picture is the end of the picture before.
    const fn goes_on(&self) -> bool {
        self.strayed && self.seen & HEAD == 0
    }

    /// The byte behind a start code prefix: a start code, or the first of a NAL unit.
    fn code(&mut self, byte: u8) -> Reading {
        self.zeros = 0;
        match self.codec {
            Codec::Mpeg => self.mpeg(byte),
            Codec::H264 => self.h264(byte & 0x1F),
            // the lowest bit is the highest of nuh_layer_id
            Codec::Hevc if byte & 1 == 0 => Reading::Layer(byte >> 1),
            Codec::Hevc => Reading::Gap,
        }
    }

    /// ISO/IEC 13818-2 table 6-1.
    fn mpeg(&mut self, start_code: u8) -> Reading {
        if matches!(start_code, 0x01..=0xAF) {
            return if self.goes_on() { Reading::Gap } else { Reading::Nothing };
        }
        self.seen |= HEAD;
        match start_code {
            0x00 => {
                self.seen |= PICTURE;
                Reading::PictureHeader
            }
            0xB2 if self.seen & PICTURE != 0 => {
                self.captions = Reader::user_data();
                Reading::UserData
            }
            0xB3 => {
                self.seen |= SPS;
                Reading::Sequence
            }
            0xB8 => Reading::Group,
            _ => Reading::Gap,
        }
    }

    /// H.264 table 7-1.
    fn h264(&mut self, nal_unit_type: u8) -> Reading {
        if matches!(nal_unit_type, 1 | 2 | H264_IDR) {
            return Reading::Slice(nal_unit_type);
        }
        self.seen |= HEAD;
        match nal_unit_type {
            6 => self.sei(),
            7 => self.parameters(SPS),
            8 => self.parameters(PPS),
            _ => Reading::Gap,
        }
    }

    /// H.265 table 7-1.
    fn hevc(&mut self, nal_unit_type: u8, second: u8) -> Reading {
        // of nuh_layer_id only the base layer, 0
        if second & 0xF8 != 0 {
            return Reading::Gap;
        }
        if nal_unit_type < VPS_NUT {
            return Reading::Slice(nal_unit_type);
        }
        self.seen |= HEAD;
        match nal_unit_type {
            VPS_NUT => self.parameters(VPS),
            33 => self.parameters(SPS),
            34 => self.parameters(PPS),
            39 => self.sei(),
            _ => Reading::Gap,
        }
    }

    const fn parameters(&mut self, which: u8) -> Reading {
        self.seen |= which;
        Reading::Gap
    }

    const fn sei(&mut self) -> Reading {
        self.sei = Sei::new();
        Reading::Sei
    }

    /// The contents of a unit, byte by byte, up to the next start code or to where nothing more is wanted of them.
    /// Gives what follows; none where that is nothing.
    fn contents<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        for (n, &byte) in bytes.iter().enumerate() {
            let prefix = self.zeros >= 2;
            self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
            match byte {
                1 if prefix => {
                    self.reading = Reading::Code;
                    return bytes.get(n + 1..);
                }
                // emulation_prevention_three_byte
                3 if prefix && self.codec != Codec::Mpeg => continue,
                _ => {}
            }
            let over = self.content(byte);
            self.at = self.at.saturating_add(1);
            if over {
                self.reading = Reading::Gap;
                return bytes.get(n + 1..);
            }
        }
        None
    }

    /// One byte of a unit; true when nothing more is wanted of it.
    fn content(&mut self, byte: u8) -> bool {
        match self.reading {
            Reading::Sequence => {
                if self.at == 3 {
                    self.picture.frame_rate_code = Some(byte & 0x0F);
                }
                self.at == 3
            }
            Reading::Group => {
                if self.at == 3 {
                    self.picture.entry =
                        Some(Entry::Intra { closed_gop: byte & 0x40 != 0, broken_link: byte & 0x20 != 0 });
                }
                self.at == 3
            }
            Reading::PictureHeader => {
                if self.at == 1 {
                    self.picture.coding = match byte >> 3 & 7 {
                        1 => Some(Coding::I),
                        2 => Some(Coding::P),
                        3 => Some(Coding::B),
                        4 => Some(Coding::D),
                        _ => None,
                    };
                }
                self.at == 1
            }
            Reading::UserData => {
                self.captions.push(byte, &mut self.picture.captions);
                self.captions.is_over()
            }
            Reading::Sei => {
                self.message(byte);
                false
            }
            Reading::Nothing | Reading::Gap | Reading::Code | Reading::Layer(_) | Reading::Slice(_) => true,
        }
    }

    /// One byte of an SEI NAL unit.
    fn message(&mut self, byte: u8) {
        match self.sei.push(byte) {
            Byte::Other => {}
            Byte::BeforeT35 => self.captions = Reader::t35(),
            Byte::T35 => self.captions.push(byte, &mut self.picture.captions),
            Byte::RecoveryPoint(point) => {
                if let Some((distance, broken_link)) = point.read(self.codec == Codec::Hevc) {
                    self.picture.entry = Some(Entry::Recovery { distance, broken_link });
                }
            }
        }
    }

    /// The first slice begins: all that is wanted is known.
    fn found(&mut self, nal_unit_type: u8, slice: u8) -> Picture {
        self.reading = Reading::Nothing;
        let picture = &mut self.picture;
        let needed = match self.codec {
            Codec::Mpeg => {
                if picture.coding != Some(Coding::I) {
                    picture.entry = None;
                } else if picture.entry.is_none() {
                    picture.entry = Some(Entry::Intra { closed_gop: false, broken_link: false });
                }
                SPS
            }
            Codec::H264 => {
                if nal_unit_type == H264_IDR {
                    picture.entry = Some(Entry::Idr);
                }
                picture.coding = Coding::of_slice(slice);
                SPS | PPS
            }
            Codec::Hevc => {
                if let Some(irap) = Irap::of(nal_unit_type) {
                    picture.entry = Some(Entry::Irap(irap));
                    picture.coding = Some(Coding::I);
                }
                VPS | SPS | PPS
            }
        };
        picture.parameters = self.seen & needed == needed;
        *picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PES: [u8; 14] = [0, 0, 1, 0xE0, 0, 0, 0x84, 0x80, 5, 0x21, 0, 1, 0, 1];
    const CC: [u8; 16] = [b'G', b'A', b'9', b'4', 3, 0xC3, 0xFF, 0xFC, 0x80, 0x80, 0xFE, 0, 0, 0xFF, 1, 0xFF];
    const SLICE: [u8; 6] = [0x88, 0x84, 0, 0x12, 0x13, 0xFF];

    /// A PES packet of these units behind start code prefixes.
    fn pes(units: &[&[u8]]) -> Vec<u8> {
        let mut bytes = PES.to_vec();
        for unit in units {
            bytes.extend([0, 0, 1]);
            bytes.extend_from_slice(unit);
        }
        bytes
    }

    /// A NAL unit of this header and payload, with emulation prevention.
    fn nal(header: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut unit = header.to_vec();
        let mut zeros = 0;
        for &byte in payload {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }

    /// What is found when packets of `size` bytes part it, and in which of them.
    fn find_by(codec: Codec, bytes: &[u8], size: usize) -> Option<(usize, Picture)> {
        let mut pictures = Pictures::new(codec);
        let mut found = None;
        for (n, part) in bytes.chunks(size).enumerate() {
            if let Some(picture) = pictures.push(n == 0, part) {
                assert!(found.is_none(), "found twice");
                assert!(pictures.is_done());
                found = Some((n, picture));
            }
        }
        found
    }

    fn find(codec: Codec, units: &[&[u8]]) -> Option<Picture> {
        let bytes = pes(units);
        let whole = find_by(codec, &bytes, bytes.len());
        for size in 1..bytes.len() {
            let parted = find_by(codec, &bytes, size);
            assert_eq!(parted.map(|(_, p)| p), whole.map(|(_, p)| p), "{size} bytes a packet");
        }
        whole.map(|(_, picture)| picture)
    }

    const DTVCC: Captions = Captions { carried: true, cea608: false, dtvcc: true };

    #[test]
    fn an_mpeg_2_picture_is_read() {
        let sequence = [0xB3, 0x2D, 0x02, 0x40, 0x34, 0xFF, 0xFF, 0xE0, 0x18];
        let group = |flags: u8| [0xB8, 0, 8, 0, flags];
        let header = |kind: u8| [0x00, 0x00, kind << 3, 0, 0];
        let extension = [0xB5, 0x8F, 0xFF, 0xF3, 0x41, 0x80];
        let cc = [&[0xB2], &CC[..]].concat();
        let slice = [&[1], &SLICE[..]].concat();
        let entry = |closed_gop, broken_link| Some(Entry::Intra { closed_gop, broken_link });
        let one = |units: &[&[u8]]| find(Codec::Mpeg, units).unwrap();

        let whole = one(&[&sequence, &extension, &group(0x40), &header(1), &extension, &cc, &slice, &slice]);
        let wanted = Picture {
            entry: entry(true, false),
            parameters: true,
            coding: Some(Coding::I),
            frame_rate_code: Some(4),
            captions: DTVCC,
        };
        assert_eq!(whole, wanted);
        assert!(whole.is_random_access());
        let open = one(&[&sequence, &group(0x20), &header(1), &slice]);
        assert_eq!((open.entry, open.captions), (entry(false, true), Captions::default()));
        let no_sequence = one(&[&header(1), &slice]);
        assert_eq!((no_sequence.entry, no_sequence.is_random_access()), (entry(false, false), false));
        let p = one(&[&sequence, &group(0x40), &header(2), &extension, &cc, &slice]);
        assert_eq!((p.entry, p.parameters, p.coding, p.captions), (None, true, Some(Coding::P), DTVCC));
        let before_picture = one(&[&sequence, &cc, &header(3), &slice]);
        assert_eq!((before_picture.coding, before_picture.captions), (Some(Coding::B), Captions::default()));
        assert_eq!(find(Codec::Mpeg, &[&slice, &header(1), &slice]), None, "goes on with slices");
        assert_eq!(find(Codec::Mpeg, &[&sequence, &header(1)]), None, "no slice");

        // a PES packet that begins in the middle of a slice
        let mut strayed = pes(&[&slice, &sequence, &group(0x40), &header(1), &cc, &slice]);
        strayed.splice(14..14, [7, 0, 0, 2]);
        for size in 1..strayed.len() {
            assert_eq!(find_by(Codec::Mpeg, &strayed, size).unwrap().1.entry, entry(true, false), "{size}");
        }
    }

    #[test]
    fn an_h264_picture_is_read() {
        let (aud, sps, pps) = ([9, 0x10], [0x67, 0x64, 0, 0x1F, 0xAC], [0x68, 0xEE, 0x3C, 0x80]);
        let recovery = [0x06, 0x06, 0x01, 0xC4, 0x80];
        let message = [&[4, 19, 0xB5, 0, 0x31][..], &CC].concat();
        // before it a message with bytes that emulation prevention changes
        let sei = nal(&[6], &[&[5, 6, 0, 0, 1, 0, 0, 0][..], &message, &[0x80]].concat());
        let idr = [&[0x65], &SLICE[..]].concat();
        let slice = |first: u8| [0x41, first, 0, 0, 3, 1];
        let one = |units: &[&[u8]]| find(Codec::H264, units).unwrap();

        let whole = one(&[&aud, &sps, &pps, &sei, &idr, &idr]);
        let wanted = Picture {
            entry: Some(Entry::Idr),
            parameters: true,
            coding: Some(Coding::I),
            frame_rate_code: None,
            captions: DTVCC,
        };
        assert_eq!(whole, wanted);
        let open = one(&[&aud, &sps, &pps, &sei, &recovery, &slice(0x88)]);
        let entry = Some(Entry::Recovery { distance: 0, broken_link: false });
        assert_eq!(open, Picture { entry, ..wanted });
        let split = one(&[&aud, &sei, &slice(0x9A)]);
        let nothing = Picture { entry: None, parameters: false, coding: Some(Coding::P), ..wanted };
        assert_eq!(split, nothing);
        assert!(!one(&[&aud, &idr]).is_random_access());
        assert!(!one(&[&aud, &sps, &idr]).parameters);
        assert_eq!(one(&[&recovery, &idr]).entry, Some(Entry::Idr));
        assert_eq!(one(&[&slice(0xA0)]).coding, Some(Coding::B));
        assert_eq!(find(Codec::H264, &[&slice(0x40), &aud, &idr]), None, "a later slice of a picture");
        assert_eq!(find(Codec::H264, &[&aud, &sps, &pps, &sei]), None, "no slice");
    }

    #[test]
    fn an_hevc_picture_is_read() {
        let (vps, sps, pps) = ([0x40, 1, 0x0C], [0x42, 1, 1, 2], [0x44, 1, 0xC1]);
        let sei = nal(&[0x4E, 1], &[&[4, 19, 0xB5, 0, 0x31][..], &CC, &[0x80]].concat());
        let recovery = [0x4E, 1, 6, 1, 0b0101_1100, 0x80];
        let slice = |kind: u8, layer: u8| [kind << 1, layer << 3 | 1, 0xAF, 0, 0, 3];
        let one = |units: &[&[u8]]| find(Codec::Hevc, units).unwrap();
        for (kind, irap) in [
            (16, Irap::BlaWLp),
            (17, Irap::BlaWRadl),
            (18, Irap::BlaNLp),
            (19, Irap::IdrWRadl),
            (20, Irap::IdrNLp),
            (21, Irap::Cra),
        ] {
            let wanted = Picture {
                entry: Some(Entry::Irap(irap)),
                parameters: true,
                coding: Some(Coding::I),
                frame_rate_code: None,
                captions: DTVCC,
            };
            assert_eq!(one(&[&vps, &sps, &pps, &sei, &recovery, &slice(kind, 0)]), wanted);
        }
        let gradual = one(&[&vps, &sps, &pps, &recovery, &slice(1, 0)]);
        assert_eq!(gradual.entry, Some(Entry::Recovery { distance: 1, broken_link: true }));
        assert_eq!(gradual.coding, None);
        assert!(!one(&[&sps, &pps, &slice(19, 0)]).is_random_access());
        let layered = one(&[&slice(19, 2), &[0x27, 1, 0x80], &vps, &slice(0, 0)]);
        assert_eq!((layered.entry, layered.parameters), (None, false));
        assert_eq!(find(Codec::Hevc, &[&[0x26, 1, 0x2F], &slice(19, 0)]), None, "a later slice of a picture");
    }

    #[test]
    fn each_unit_starts_anew() {
        let mut pictures = Pictures::new(Codec::H264);
        let (sps, idr, p) = ([0x67, 1], [0x65, 0x88], [0x41, 0x9A]);
        let first = pes(&[&sps, &[0x68, 1], &idr]);
        assert!(pictures.push(false, &first).is_none());
        assert!(pictures.push(true, &first).unwrap().is_random_access());
        assert!(pictures.push(false, &first[14..]).is_none());
        assert!(pictures.push(true, &pes(&[&sps, &[0x68, 1]])).is_none());
        assert!(!pictures.push(true, &pes(&[&idr])).unwrap().parameters);
        assert!(pictures.push(true, &pes(&[&sps])).is_none());
        pictures.reset();
        assert!(pictures.push(false, &pes(&[&idr])[14..]).is_none());
        assert_eq!(pictures.push(true, &pes(&[&p])).unwrap().entry, None);
        assert!(size_of::<Pictures>() <= 128, "{}", size_of::<Pictures>());
    }

    #[test]
    fn chance_never_makes_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        };
        for codec in [Codec::Mpeg, Codec::H264, Codec::Hevc] {
            let mut pictures = Pictures::new(codec);
            let mut found = 0;
            for n in 0..30_000 {
                let mut payload: Vec<u8> = (0..usize::from(byte()) % 185).map(|_| byte()).collect();
                // few values, so that start codes, sizes and prefixes come together
                for b in &mut payload {
                    *b = if n % 3 == 0 {
                        *b
                    } else {
                        [0, 0, 0, 1, 3, 4, 6, 0xB5, 0x80, 0x67, 0x26][usize::from(*b) % 11]
                    };
                }
                if n % 4 == 0 {
                    payload.splice(0..0, PES);
                }
                found += u32::from(pictures.push(n % 4 == 0, &payload).is_some());
            }
            assert!(found > 100, "{codec:?}: {found}");
        }
    }
}
