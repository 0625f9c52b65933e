//! What the head of an access unit says.

use super::Captions;

/// The head of one access unit: the first that begins in its PES packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// How decoding could begin here, if it has what it needs: see [`is_random_access`](Self::is_random_access).
    pub entry: Option<Entry>,
    /// Whether all that the pictures refer to by number stands in this access unit: a sequence header; SPS and PPS; VPS,
    /// SPS and PPS.
    pub parameters: bool,
    /// picture_coding_type, or of H.264 the slice_type of the first slice; of HEVC only told where it is an IRAP.
    pub coding: Option<Coding>,
    /// frame_rate_code of an MPEG-2 sequence header in this access unit (13818-2 table 6-4).
    pub frame_rate_code: Option<u8>,
    /// Its captions.
    pub captions: Captions,
}

impl Picture {
    pub(super) const NOTHING: Self = Self {
        entry: None,
        parameters: false,
        coding: None,
        frame_rate_code: None,
        captions: Captions { carried: false, cea608: false, dtvcc: false },
    };

    /// Whether a decoder that has seen nothing before can begin here.
    pub const fn is_random_access(&self) -> bool {
        self.entry.is_some() && self.parameters
    }
}

/// A picture that decoding can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An I-picture of MPEG-1/2.
    Intra {
        /// closed_gop of a group header in front of it: no picture that follows refers to one before. False where there
        /// is no group header.
        closed_gop: bool,
        /// broken_link: the B-pictures that follow at once cannot be decoded.
        broken_link: bool,
    },
    /// An IDR picture of H.264: no picture that follows refers to one before.
    Idr,
    /// A recovery point SEI message without an IDR or IRAP picture (H.264 D.2.8, H.265 D.3.8).
    Recovery {
        /// How far it is in output until the pictures are right, 0 when this one is: frame_num counts of H.264
        /// (0…65535), picture order counts of HEVC (−32768…32767).
        distance: i32,
        /// broken_link_flag.
        broken_link: bool,
    },
    /// A random access picture of HEVC.
    Irap(Irap),
}

/// nal_unit_type of a random access picture of HEVC (H.265 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irap {
    /// BLA_W_LP: leading pictures may follow that cannot be decoded.
    BlaWLp,
    /// BLA_W_RADL: leading pictures that can be decoded may follow.
    BlaWRadl,
    /// BLA_N_LP: no leading pictures.
    BlaNLp,
    /// IDR_W_RADL: leading pictures that can be decoded may follow.
    IdrWRadl,
    /// IDR_N_LP: no leading pictures.
    IdrNLp,
    /// CRA_NUT: leading pictures may follow that refer to pictures before it.
    Cra,
}

impl Irap {
    pub(super) const fn of(nal_unit_type: u8) -> Option<Self> {
        Some(match nal_unit_type {
            16 => Self::BlaWLp,
            17 => Self::BlaWRadl,
            18 => Self::BlaNLp,
            19 => Self::IdrWRadl,
            20 => Self::IdrNLp,
            21 => Self::Cra,
            _ => return None,
        })
    }
}

/// What a picture is predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Nothing; of H.264 also SI.
    I,
    /// One direction; of H.264 also SP.
    P,
    /// Two directions.
    B,
    /// The DC picture of MPEG-1.
    D,
}

impl Coding {
    /// slice_type of a slice of H.264 whose first_mb_in_slice is 0: two Exp-Golomb codes, of which the first is one bit
    /// and the second lies in the same byte (7.3.3, table 7-6).
    pub(super) const fn of_slice(byte: u8) -> Option<Self> {
        let rest = byte << 1;
        let length = 2 * rest.leading_zeros() + 1;
        if length > 7 {
            return None;
        }
        match (rest >> (8 - length)) - 1 {
            0 | 3 | 5 | 8 => Some(Self::P),
            1 | 6 => Some(Self::B),
            2 | 4 | 7 | 9 => Some(Self::I),
            _ => None,
        }
    }
}
