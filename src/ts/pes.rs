//! The head of a PES packet: ISO/IEC 13818-1 2.4.3.6 and 2.4.3.7.

use crate::units::Pts90k;

/// Bytes up to and with PES_header_data_length.
const FIXED: u16 = 9;

/// What the head of a PES packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// stream_id.
    pub stream_id: u8,
    /// PES_packet_length: the bytes that follow this field; 0 where none are told, which only video may.
    pub packet_length: u16,
    /// Whether PES_scrambling_control is not 00.
    pub scrambled: bool,
    /// data_alignment_indicator.
    pub data_alignment: bool,
    /// PTS. Its marker bits are not looked at, as no receiver does.
    pub pts: Option<Pts90k>,
    /// DTS; where there is a PTS and no DTS, the two are the same.
    pub dts: Option<Pts90k>,
    /// How many bytes stand before the first of the elementary stream, 6…264. They may go on in the next packet.
    pub size: u16,
}

impl Header {
    /// Reads the head of the PES packet that starts in this payload. None where none does, or where the packet ends
    /// before its time stamps do.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[0, 0, 1, stream_id, high, low, ref rest @ ..] = payload else { return None };
        let packet_length = u16::from_be_bytes([high, low]);
        let plain =
            Self { stream_id, packet_length, scrambled: false, data_alignment: false, pts: None, dts: None, size: 6 };
        if !has_header(stream_id) {
            return Some(plain);
        }
        let &[first @ 0x80..=0xBF, flags, length, ref fields @ ..] = rest else { return None };
        let wanted = match flags & 0xC0 {
            0x80 => 5,
            0xC0 => 10,
            _ => 0,
        };
        let stamps = if wanted <= length { fields.get(..usize::from(wanted))? } else { &[] };
        let (pts, dts) = stamps.split_at(stamps.len().min(5));
        Some(Self {
            scrambled: first & 0x30 != 0,
            data_alignment: first & 0x04 != 0,
            pts: stamp(pts),
            dts: stamp(dts),
            size: FIXED + u16::from(length),
            ..plain
        })
    }

    /// DTS, or PTS where that is the same.
    pub fn decoding_time(&self) -> Option<Pts90k> {
        self.dts.or(self.pts)
    }
}

/// A PTS or DTS: 33 bits in five bytes.
fn stamp(bytes: &[u8]) -> Option<Pts90k> {
    let &[a, b, c, d, e] = bytes else { return None };
    let [a, b, c, d, e] = [a, b, c, d, e].map(u64::from);
    Some(Pts90k((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1))
}

/// The first bytes of a PES packet, put together where packets part them.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    size: usize,
    bytes: [u8; Self::MAX],
}

impl Head {
    /// Bytes up to the end of all times that a header can have: PTS, DTS and ESCR.
    pub const MAX: usize = FIXED as usize + 5 + 5 + 6;

    /// Of the payload that the PES packet starts in.
    pub fn new(payload: &[u8]) -> Self {
        let mut head = Self { size: 0, bytes: [0; Self::MAX] };
        head.push(payload);
        head
    }

    /// The payload of the next packet. What lies behind [`Head::MAX`] is not kept.
    pub fn push(&mut self, payload: &[u8]) {
        for (to, byte) in self.bytes.iter_mut().skip(self.size).zip(payload) {
            *to = *byte;
            self.size += 1;
        }
    }

    /// What came so far, 0…[`Head::MAX`] bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or(&self.bytes)
    }

    /// The same, with zeros behind it.
    pub const fn padded(&self) -> [u8; Self::MAX] {
        self.bytes
    }
}

/// Whether a PES packet with this stream_id has more of a head than its length: not program_stream_map, padding,
/// private_stream_2, ECM, EMM, DSMCC, H.222.1 type E and program_stream_directory.
pub(super) const fn has_header(stream_id: u8) -> bool {
    !matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0 | 0xF1 | 0xF2 | 0xF8 | 0xFF)
}

/// Takes the heads of PES packets off a PID's payloads, wherever packets part them.
#[derive(Clone, Debug)]
pub struct Body {
    place: Place,
    /// How many bytes of the fixed head were read.
    read: u8,
    aligned: bool,
    /// Bytes of the optional fields that are still to be passed over.
    optional: u8,
    /// PES_packet_length as it is used up; not used where `endless`.
    left: u16,
    endless: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// No PES packet that could be read.
    Nowhere,
    Head,
    Body,
}

impl Default for Body {
    fn default() -> Self {
        Self::new()
    }
}

impl Body {
    /// A PID of which nothing came yet.
    pub const fn new() -> Self {
        Self { place: Place::Nowhere, read: 0, aligned: false, optional: 0, left: 0, endless: false }
    }

    /// The bytes of the elementary stream in the payload of the PID's next packet. Nothing comes of a PES packet that
    /// is scrambled, that has no header (2.4.3.6) or that does not begin as one, nor of what lies behind
    /// PES_packet_length.
    #[inline]
    pub fn push<'a>(&mut self, unit_start: bool, payload: &'a [u8]) -> &'a [u8] {
        let mut bytes = payload;
        if unit_start {
            *self = Self { place: Place::Head, ..Self::new() };
        }
        while self.place == Place::Head {
            let Some((&byte, rest)) = bytes.split_first() else { return &[] };
            self.place = self.head(byte);
            bytes = rest;
        }
        if self.place == Place::Nowhere {
            return &[];
        }
        if self.optional > 0 {
            let passed = bytes.len().min(usize::from(self.optional));
            self.optional -= u8::try_from(passed).unwrap_or(self.optional);
            self.spend(passed);
            bytes = bytes.get(passed..).unwrap_or(&[]);
        }
        if !self.endless {
            bytes = bytes.get(..usize::from(self.left)).unwrap_or(bytes);
            self.spend(bytes.len());
        }
        bytes
    }

    /// data_alignment_indicator of the PES packet under way, false while its head is not read so far.
    pub const fn is_aligned(&self) -> bool {
        self.aligned
    }

    /// What follows is lost up to the next start of a unit.
    pub const fn reset(&mut self) {
        self.place = Place::Nowhere;
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(u16::try_from(bytes).unwrap_or(u16::MAX));
    }

    /// One byte of the fixed head.
    fn head(&mut self, byte: u8) -> Place {
        let at = self.read;
        self.read += 1;
        let right = match at {
            0 | 1 => byte == 0,
            2 => byte == 1,
            3 => has_header(byte),
            4 => {
                self.left = u16::from(byte) << 8;
                true
            }
            5 => {
                self.left |= u16::from(byte);
                self.endless = self.left == 0;
                true
            }
            6 => {
                self.aligned = byte & 0x04 != 0;
                byte & 0xF0 == 0x80
            }
            7 => true,
            _ => {
                self.optional = byte;
                self.spend(3);
                return Place::Body;
            }
        };
        if right { Place::Head } else { Place::Nowhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTS: u64 = 0x1_2345_6789;
    const DTS: u64 = 0x1_2345_0000;

    fn header() -> Vec<u8> {
        let stamp = |prefix: u8, v: u64| {
            let part = |shift: u32, mask: u64| u8::try_from(v >> shift & mask).unwrap();
            let (b, d) = (part(22, 0xFF), part(7, 0xFF));
            [prefix << 4 | part(30, 7) << 1 | 1, b, part(15, 0x7F) << 1 | 1, d, part(0, 0x7F) << 1 | 1]
        };
        [&[0, 0, 1, 0xE0, 0, 20, 0x84, 0xC0, 12][..], &stamp(3, PTS), &stamp(1, DTS), &[0xFF, 0xFF]].concat()
    }

    #[test]
    fn the_fields_are_read_where_the_standard_puts_them() {
        let whole = header();
        let wanted = Header {
            stream_id: 0xE0,
            packet_length: 20,
            scrambled: false,
            data_alignment: true,
            pts: Some(Pts90k(PTS)),
            dts: Some(Pts90k(DTS)),
            size: 21,
        };
        assert_eq!(Header::parse(&whole), Some(wanted));
        assert_eq!(wanted.decoding_time(), Some(Pts90k(DTS)));
        let changed = |at: usize, value| {
            let mut bytes = whole.clone();
            bytes[at] = value;
            Header::parse(&bytes)
        };
        assert_eq!(changed(7, 0x80), Some(Header { dts: None, ..wanted }));
        assert_eq!(changed(7, 0x40), Some(Header { pts: None, dts: None, ..wanted }), "DTS alone is forbidden");
        assert_eq!(changed(8, 9), Some(Header { pts: None, dts: None, size: 18, ..wanted }), "no room");
        assert_eq!(changed(6, 0x94), Some(Header { scrambled: true, ..wanted }));
        assert_eq!(changed(3, 0xBF).map(|h| (h.pts, h.size)), Some((None, 6)));
        for (at, value) in [(0, 1), (2, 0), (6, 0x44), (6, 0xC4)] {
            assert_eq!(changed(at, value), None, "byte {at}");
        }
        for end in 0..whole.len() - 2 {
            assert_eq!(Header::parse(&whole[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn a_head_is_put_together_up_to_the_end_of_its_times() {
        let whole = header();
        for size in 1..whole.len() {
            let mut parts = whole.chunks(size);
            let mut head = Head::new(parts.next().unwrap());
            parts.for_each(|part| head.push(part));
            assert_eq!(head.bytes(), whole);
        }
        let mut head = Head::new(&[1; 20]);
        head.push(&[2; 20]);
        assert_eq!(head.bytes(), [vec![1; 20], vec![2; 5]].concat());
        assert_eq!(head.padded(), *head.bytes());
        assert!(Head::new(&[]).bytes().is_empty());
    }

    #[test]
    fn the_body_comes_out_however_packets_part_it() {
        let stream: Vec<u8> = [header(), vec![7; 5], vec![9; 30]].concat();
        for size in 1..stream.len() {
            for (length, wanted) in [(20, &stream[21..26]), (0, &stream[21..])] {
                let mut stream = stream.clone();
                stream[5] = length;
                let mut body = Body::default();
                let mut got = Vec::new();
                for (n, part) in stream.chunks(size).enumerate() {
                    got.extend_from_slice(body.push(n == 0, part));
                }
                assert_eq!(got, wanted, "{size} bytes a packet");
                assert!(body.is_aligned());
            }
        }
    }

    #[test]
    fn what_is_no_pes_packet_has_no_body() {
        let mut body = Body::default();
        assert_eq!(body.push(false, &[1; 184]), &[] as &[u8]);
        for (at, value) in [(1, 1), (3, 0xBE), (6, 0x94), (6, 0)] {
            let mut bytes = [header(), vec![7; 5]].concat();
            bytes[at] = value;
            assert_eq!(body.push(true, &bytes), &[] as &[u8]);
            assert_eq!(body.push(false, &[1; 184]), &[] as &[u8]);
        }
        let mut short = header();
        short[5] = 2;
        assert_eq!(body.push(true, &short), &[] as &[u8]);
        assert_eq!(body.push(false, &[1; 184]), &[] as &[u8]);
    }
}
