//! The access unit that a stream is entered with after a splice, marked where it stands: pictures that follow it, are presented
//! before it and refer to others before it are not there, or cannot be decoded.
//!
//! - MPEG-2: broken_link of an open group (13818-2 6.3.8).
//! - H.264 and HEVC: broken_link_flag of a recovery point at which the pictures are right at once (H.264 D.2.8, H.265 D.3.8).
//! - HEVC: a CRA picture becomes a BLA picture, all slices of it (H.265 7.4.2.2). With that a coded video sequence begins: its picture
//!   order counts are none of those before (8.3.1), RASL pictures are not waited for (8.1.3), and what is still to be shown
//!   of the old feed is shown, where an end of sequence before a CRA picture would have it thrown away (C.5.2.2). The slice headers
//!   of both have the same syntax (7.3.6.1). BLA_W_LP allows for leading pictures and does not ask for them.
//!
//! All that changes are bits of bytes that cannot become part of a start code.

use super::prefix::behind_prefix;
use super::sei::Sei;
use super::{Codec, H264_IDR};
use crate::ts::pes::Header;

/// nal_unit_type (H.265 table 7-1).
const CRA_NUT: u8 = 21;
const BLA_W_LP: u8 = 16;
const PREFIX_SEI_NUT: u8 = 39;
/// The bits of nal_unit_type in the first byte of a NAL unit of HEVC.
const NUT: u8 = 0x7E;
/// broken_link, and closed_gop, in the fourth byte of a group header.
const BROKEN_LINK: u8 = 0x20;
const CLOSED_GOP: u8 = 0x40;
/// recovery_frame_cnt or recovery_poc_cnt, 0, takes the first bit of a recovery point, exact_match_flag the second.
const AT_ONCE: u8 = 0x80;
const BROKEN_LINK_FLAG: u8 = 0x20;

/// Goes through the payloads of one PES packet and marks it.
#[derive(Clone, Debug)]
pub struct BrokenLink {
    codec: Codec,
    reading: Reading,
    zeros: u8,
    is_under_way: bool,
}

#[derive(Clone, Debug)]
enum Reading {
    /// Up to the next start code prefix.
    Gap,
    /// The byte behind one.
    Code,
    /// So many bytes of a group header were passed.
    Group(u8),
    /// The second byte of the header of an SEI NAL unit (HEVC).
    Layer,
    Sei(Sei),
    /// Nothing more is to be marked.
    Nothing,
}

impl BrokenLink {
    /// Before the first packet of the PES packet.
    pub const fn new(codec: Codec) -> Self {
        Self { codec, reading: Reading::Gap, zeros: 0, is_under_way: false }
    }

    /// Whether a packet of it came: the next that begins a PES packet is of another.
    pub const fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// The payload of the next packet, which is not scrambled; the first has the whole PES header.
    pub fn push(&mut self, unit_start: bool, payload: &mut [u8]) {
        self.is_under_way = true;
        let mut at = match Header::parse(payload) {
            Some(header) if unit_start => usize::from(header.size),
            Some(_) | None => 0,
        };
        loop {
            match &mut self.reading {
                Reading::Nothing => return,
                Reading::Gap => {
                    let Some(behind) = payload.get(at..).and_then(|rest| behind_prefix(rest, &mut self.zeros)) else {
                        return;
                    };
                    at += behind;
                    self.reading = Reading::Code;
                }
                Reading::Code => {
                    let Some(byte) = payload.get_mut(at) else { return };
                    at += 1;
                    self.zeros = 0;
                    self.reading = self.code(byte);
                }
                Reading::Group(_) | Reading::Layer | Reading::Sei(_) => {
                    let Some(byte) = payload.get_mut(at) else { return };
                    at += 1;
                    self.content(byte);
                }
            }
        }
    }

    /// The byte behind a start code prefix.
    const fn code(&self, byte: &mut u8) -> Reading {
        match self.codec {
            Codec::Mpeg => match *byte {
                0xB8 => Reading::Group(0),
                0x00..=0xAF => Reading::Nothing,
                0xB0.. => Reading::Gap,
            },
            Codec::H264 => match *byte & 0x1F {
                1..=H264_IDR => Reading::Nothing,
                6 => Reading::Sei(Sei::new()),
                _ => Reading::Gap,
            },
            Codec::Hevc => match (*byte & NUT) >> 1 {
                CRA_NUT => {
                    *byte = *byte & !NUT | BLA_W_LP << 1;
                    Reading::Gap
                }
                PREFIX_SEI_NUT => Reading::Layer,
                _ => Reading::Gap,
            },
        }
    }

    /// A byte of a group header, or of SEI.
    fn content(&mut self, byte: &mut u8) {
        let is_prefix = self.zeros >= 2;
        self.zeros = if *byte == 0 { (self.zeros + 1).min(2) } else { 0 };
        match &mut self.reading {
            Reading::Group(3) => {
                if *byte & CLOSED_GOP == 0 {
                    *byte |= BROKEN_LINK;
                }
                self.reading = Reading::Nothing;
            }
            Reading::Group(passed) => *passed += 1,
            Reading::Layer => self.reading = Reading::Sei(Sei::new()),
            Reading::Sei(_) if is_prefix && *byte == 1 => self.reading = Reading::Code,
            // emulation_prevention_three_byte
            Reading::Sei(_) if is_prefix && *byte == 3 => {}
            Reading::Sei(sei) => {
                if sei.begins_recovery_point() && *byte & AT_ONCE != 0 {
                    *byte |= BROKEN_LINK_FLAG;
                }
                sei.push(*byte);
            }
            Reading::Gap | Reading::Code | Reading::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PES: [u8; 14] = [0, 0, 1, 0xE0, 0, 0, 0x84, 0x80, 5, 0x21, 0, 1, 0, 1];

    /// What these units become, in whatever parts they come.
    fn marked(codec: Codec, units: &[&[u8]]) -> Vec<u8> {
        let body: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 1], *unit].concat()).collect();
        let bytes = [&PES[..], &body].concat();
        let by = |size: usize| {
            let mut link = BrokenLink::new(codec);
            let mut bytes = bytes.clone();
            let (first, rest) = bytes.split_at_mut(PES.len() + size - 1);
            link.push(true, first);
            rest.chunks_mut(size).for_each(|part| link.push(false, part));
            bytes[PES.len()..].to_vec()
        };
        let whole = by(body.len() + 1);
        for size in 1..body.len() {
            assert_eq!(by(size), whole, "{size} bytes a packet");
        }
        whole
    }

    fn joined(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn each_slice_of_a_cra_picture_becomes_one_of_a_bla_picture() {
        let (vps, point) = ([0x40, 1, 0x2A, 0x2A], [0x4E, 1, 6, 1, 0xD0, 0x80]);
        let (cra, bla) = ([0x2A, 1, 0xAF, 0, 0, 3, 1, 0x2A], [0x20, 1, 0xAF, 0, 0, 3, 1, 0x2A]);
        let broken = [0x4E, 1, 6, 1, 0xF0, 0x80];
        let found = marked(Codec::Hevc, &[&vps, &point, &cra, &cra, &cra]);
        assert_eq!(found, joined(&[&vps, &broken, &bla, &bla, &bla]));
        // an IDR picture, one of the picture before, and a trailing one stay
        for kind in [19, 20, 16, 1] {
            let slice = [kind << 1, 1, 0xAF];
            assert_eq!(marked(Codec::Hevc, &[&vps, &slice]), joined(&[&vps, &slice]));
        }
    }

    #[test]
    fn an_open_group_has_a_broken_link_and_a_closed_one_has_not() {
        let (sequence, picture, slice) = ([0xB3, 0x2D, 0x02, 0x40], [0, 0, 8], [1, 0xB8, 0, 0, 2, 0xB8]);
        for (flags, wanted) in [(0x00, 0x20), (0x80, 0xA0), (0x40, 0x40), (0x20, 0x20)] {
            let (group, broken) = ([0xB8, 0, 8, 0, flags], [0xB8, 0, 8, 0, wanted]);
            let found = marked(Codec::Mpeg, &[&sequence, &group, &picture, &slice, &group]);
            assert_eq!(found, joined(&[&sequence, &broken, &picture, &slice, &group]));
        }
    }

    #[test]
    fn a_recovery_point_has_a_broken_link() {
        let (sps, other, slice) = ([0x67, 1], [6, 5, 3, 0, 0, 3, 1, 6, 1, 0xC4, 0x80], [0x41, 6, 6, 1, 0xC4]);
        for (flags, wanted) in [(0xC4, 0xE4), (0x84, 0xA4), (0xA4, 0xA4), (0x5C, 0x5C)] {
            let (point, broken) = ([6, 6, 1, flags, 0x80], [6, 6, 1, wanted, 0x80]);
            let found = marked(Codec::H264, &[&sps, &other, &point, &slice, &point]);
            // of the other one the message behind the first is a recovery point too
            let changed = [6, 5, 3, 0, 0, 3, 1, 6, 1, 0xE4, 0x80];
            assert_eq!(found, joined(&[&sps, &changed, &broken, &slice, &point]));
        }
    }
}
