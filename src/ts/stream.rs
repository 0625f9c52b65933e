//! What an elementary stream is, told from its stream_type and descriptors (ISO/IEC 13818-1 table 2-34,
//! ETSI EN 300 468 table 12, ANSI/SCTE 35).

use super::{frames, pictures};
use mpeg2ts_reader::StreamType;
use mpeg2ts_reader::descriptor::{Descriptor, DescriptorError};

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles or teletext, which come when there is something to show.
    Subtitles,
    /// Splice information, which comes when there is something to say.
    Splice,
    /// Sections or metadata, which come when there is something to carry.
    Sparse,
    /// Anything else.
    Data,
}

impl Kind {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitles => "subtitles",
            Self::Splice => "splice",
            Self::Sparse | Self::Data => "data",
        }
    }

    /// Whether it carries PES packets with a PTS at regular times.
    pub const fn is_media(self) -> bool {
        matches!(self, Self::Video | Self::Audio)
    }

    /// Whether it is sent all the time, so that its absence is an error.
    pub const fn is_steady(self) -> bool {
        matches!(self, Self::Video | Self::Audio | Self::Data)
    }
}

/// A stream's kind, coding and language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is for.
    pub kind: Kind,
    /// How it is coded, as people call it.
    pub codec: &'static str,
    /// ISO 639-2 code, three letters; none where no descriptor gives one.
    pub language: Option<[u8; 3]>,
    /// audio_type beside that (ISO/IEC 13818-1 table 2-60): 0 undefined, 1 clean effects, 2 for the hearing impaired,
    /// 3 commentary for the visually impaired. None where there is no ISO_639_language_descriptor.
    pub audio_type: Option<u8>,
    /// format_identifier of the first registration_descriptor.
    pub registration: Option<[u8; 4]>,
    /// Whether a caption_service_descriptor announces closed captions (ATSC A/65 6.9.2).
    pub announces_captions: bool,
}

impl Description {
    /// How the heads of its pictures are read, where they can be.
    pub fn pictures(&self) -> Option<pictures::Codec> {
        pictures::Codec::named(self.codec)
    }

    /// How its frames of sound are counted, where they can be.
    pub fn frames(&self) -> Option<frames::Codec> {
        match self.codec {
            "MPEG-1 audio" | "MPEG-2 audio" => Some(frames::Codec::Mpeg),
            "AAC" => Some(frames::Codec::Adts),
            "AAC-LATM" => Some(frames::Codec::Loas),
            "AC-3" | "E-AC-3" => Some(frames::Codec::Ac3),
            _ => None,
        }
    }
}

/// A descriptor as its tag and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RawDescriptor<'a>(pub u8, pub &'a [u8]);

impl<'a> Descriptor<'a> for RawDescriptor<'a> {
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        match bytes {
            [tag, _, rest @ ..] => Ok(Self(*tag, rest)),
            _ => Err(DescriptorError::BufferTooShort { buflen: bytes.len() }),
        }
    }
}

/// Describes a stream of `stream_type` with these `descriptors`.
pub fn describe<'a>(stream_type: u8, descriptors: impl Iterator<Item = RawDescriptor<'a>>) -> Description {
    let (mut kind, mut codec) = by_stream_type(stream_type);
    let (mut language, mut audio_type, mut registration) = (None, None, None);
    let mut announces_captions = false;
    for RawDescriptor(tag, bytes) in descriptors {
        let found = match tag {
            0x05 => by_registration(bytes),
            0x56 => Some((Kind::Subtitles, "teletext")),
            0x59 => Some((Kind::Subtitles, "DVB subtitles")),
            0x6A => Some((Kind::Audio, "AC-3")),
            0x6F => Some((Kind::Sparse, "AIT")),
            0x7A => Some((Kind::Audio, "E-AC-3")),
            0x7B => Some((Kind::Audio, "DTS")),
            0x7C => Some((Kind::Audio, "AAC")),
            0x7F => by_extension(bytes),
            _ => None,
        };
        if let (Some(found), 0x05 | 0x06) = (found, stream_type) {
            (kind, codec) = found;
        }
        if matches!(tag, 0x0A | 0x56 | 0x59) {
            language = language.or_else(|| bytes.first_chunk().copied());
        }
        match (tag, bytes) {
            (0x05, _) => registration = registration.or_else(|| bytes.first_chunk().copied()),
            (0x0A, &[_, _, _, kind, ..]) => audio_type = audio_type.or(Some(kind)),
            // number_of_services, and six bytes for each
            (0x86, &[first, ref services @ ..]) => {
                let count = usize::from(first & 0x1F);
                announces_captions |= count > 0 && services.len() == 6 * count;
            }
            _ => {}
        }
    }
    Description { kind, codec, language, audio_type, registration, announces_captions }
}

fn by_stream_type(stream_type: u8) -> (Kind, &'static str) {
    match StreamType(stream_type) {
        StreamType::ISO_11172_VIDEO => (Kind::Video, "MPEG-1 video"),
        StreamType::H262 => (Kind::Video, "MPEG-2 video"),
        StreamType::ISO_14496_2_VISUAL => (Kind::Video, "MPEG-4 video"),
        StreamType::H264 => (Kind::Video, "H.264"),
        StreamType::H265 => (Kind::Video, "HEVC"),
        StreamType(0x33) => (Kind::Video, "VVC"),
        StreamType(0x21) => (Kind::Video, "JPEG 2000"),
        StreamType(0x32) => (Kind::Video, "JPEG XS"),
        StreamType::CHINESE_VIDEO_STANDARD => (Kind::Video, "AVS"),
        StreamType::ISO_11172_AUDIO => (Kind::Audio, "MPEG-1 audio"),
        StreamType::ISO_138183_AUDIO => (Kind::Audio, "MPEG-2 audio"),
        StreamType::ADTS => (Kind::Audio, "AAC"),
        StreamType::LATM => (Kind::Audio, "AAC-LATM"),
        StreamType::ATSC_DOLBY_DIGITAL_AUDIO => (Kind::Audio, "AC-3"),
        StreamType(0x87) => (Kind::Audio, "E-AC-3"),
        StreamType(0x86) => (Kind::Splice, "SCTE-35"),
        StreamType::H222_0_PRIVATE_SECTIONS => (Kind::Sparse, "private sections"),
        StreamType::DSMCC_UN_MESSAGES | StreamType::DSMCC_STREAM_DESCRIPTORS | StreamType::DSMCC_SECTIONS => {
            (Kind::Sparse, "DSM-CC")
        }
        StreamType::METADATA_IN_PES | StreamType::METADATA_IN_METADATA_SECTIONS => (Kind::Sparse, "metadata"),
        StreamType::H222_0_PES_PRIVATE_DATA => (Kind::Data, "private data"),
        StreamType(_) => (Kind::Data, "unknown"),
    }
}

/// registration_descriptor (ISO/IEC 13818-1 2.6.8).
fn by_registration(bytes: &[u8]) -> Option<(Kind, &'static str)> {
    Some(match bytes.first_chunk()? {
        b"HEVC" => (Kind::Video, "HEVC"),
        b"VC-1" => (Kind::Video, "VC-1"),
        b"AC-3" => (Kind::Audio, "AC-3"),
        b"EAC3" => (Kind::Audio, "E-AC-3"),
        b"AC-4" => (Kind::Audio, "AC-4"),
        b"Opus" => (Kind::Audio, "Opus"),
        b"BSSD" => (Kind::Audio, "SMPTE 302M"),
        b"DTS1" | b"DTS2" | b"DTS3" => (Kind::Audio, "DTS"),
        b"CUEI" => (Kind::Splice, "SCTE-35"),
        b"VANC" => (Kind::Sparse, "SMPTE 2038"),
        b"KLVA" => (Kind::Sparse, "KLV"),
        b"ID3 " => (Kind::Sparse, "ID3"),
        _ => return None,
    })
}

/// extension_descriptor (EN 300 468 6.2.16): AC-4 is 0x15; Opus takes 0x80 of the user range.
fn by_extension(bytes: &[u8]) -> Option<(Kind, &'static str)> {
    match bytes.first()? {
        0x15 => Some((Kind::Audio, "AC-4")),
        0x80 => Some((Kind::Audio, "Opus")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpeg2ts_reader::descriptor::DescriptorIter;

    #[test]
    fn streams_are_told_by_type_and_descriptor() {
        let one = |stream_type, descriptors: &[u8]| {
            let d = describe(stream_type, DescriptorIter::new(descriptors).flatten());
            (d.kind, d.codec, d.language)
        };
        assert_eq!(one(0x1B, &[]), (Kind::Video, "H.264", None));
        assert_eq!(one(0x06, b"\x6A\x01\x00\x0A\x04fra\x00"), (Kind::Audio, "AC-3", Some(*b"fra")));
        assert_eq!(one(0x06, b"\x05\x04Opus"), (Kind::Audio, "Opus", None));
        assert_eq!(one(0x06, b"\x59\x08deu\x10\x00\x01\x00\x01").0, Kind::Subtitles);
        assert_eq!(one(0x02, b"\x05\x04HEVC").1, "MPEG-2 video");
        assert_eq!(one(0x86, b"\x05\x04CUEI").0, Kind::Splice);
        assert_eq!(one(0x05, b"\x6F\x03\x00\x00\x00").1, "AIT");
        assert_eq!(one(0x06, b"\x6A\xFF\x00").1, "private data");
    }

    #[test]
    fn what_descriptors_add_is_kept() {
        let one = |stream_type, descriptors: &[u8]| describe(stream_type, DescriptorIter::new(descriptors).flatten());
        let plain = one(0x1B, &[]);
        assert_eq!((plain.audio_type, plain.registration, plain.announces_captions), (None, None, false));
        let captions = one(0x02, b"\x05\x04GA94\x05\x04CUEI\x86\x07\xC1eng\xC1\x3F\xFF");
        assert_eq!((captions.registration, captions.announces_captions), (Some(*b"GA94"), true));
        assert!(!one(0x02, b"\x86\x01\xC0").announces_captions);
        assert!(!one(0x02, b"\x86\x04\xC1eng").announces_captions);
        let commentary = one(0x0F, b"\x0A\x08eng\x03deu\x00");
        assert_eq!((commentary.language, commentary.audio_type), (Some(*b"eng"), Some(3)));
    }

    #[test]
    fn the_readers_of_contents_are_told_by_the_coding() {
        let one = |stream_type, descriptors: &[u8]| {
            let description = describe(stream_type, DescriptorIter::new(descriptors).flatten());
            (description.pictures(), description.frames())
        };
        for (stream_type, codec) in [
            (1, pictures::Codec::Mpeg),
            (2, pictures::Codec::Mpeg),
            (0x1B, pictures::Codec::H264),
            (0x24, pictures::Codec::Hevc),
        ] {
            assert_eq!(one(stream_type, &[]), (Some(codec), None));
        }
        assert_eq!(one(6, b"\x05\x04HEVC"), (Some(pictures::Codec::Hevc), None));
        for (stream_type, codec) in [
            (3, frames::Codec::Mpeg),
            (4, frames::Codec::Mpeg),
            (0x0F, frames::Codec::Adts),
            (0x11, frames::Codec::Loas),
            (0x81, frames::Codec::Ac3),
            (0x87, frames::Codec::Ac3),
        ] {
            assert_eq!(one(stream_type, &[]), (None, Some(codec)));
        }
        assert_eq!(one(6, b"\x7A\x01\x00"), (None, Some(frames::Codec::Ac3)));
        assert_eq!(one(6, b"\x05\x04Opus"), (None, None));
        assert_eq!(one(0x86, &[]), (None, None));
    }
}
