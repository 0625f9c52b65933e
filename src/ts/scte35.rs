//! Splice information: splice_info_section, ANSI/SCTE 35 2023 clause 9.6.

mod words;

use super::crc32;
use super::section::Section;
use crate::units::Pts90k;

/// table_id of a splice_info_section.
pub const TABLE_ID: u8 = 0xFC;
/// Bytes before the command: up to and with splice_command_type.
const FIXED: usize = 14;
const CRC_SIZE: usize = 4;
/// splice_command_length of an old sender that does not tell it (9.6.1).
const NO_LENGTH: usize = 0xFFF;
/// What PTS and durations are counted by.
const MASK: u64 = Pts90k::WRAP - 1;

/// A splice_info_section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpliceInfo {
    /// protocol_version. Of any but 0 nothing further is read.
    pub protocol_version: u8,
    /// encrypted_packet. What is encrypted is not read, and nothing of it can be known.
    pub encrypted: bool,
    /// pts_adjustment in ticks of 90 kHz: it is in every PTS given here already.
    pub pts_adjustment: Pts90k,
    /// tier, 0…0xFFF; 0xFFF is for all.
    pub tier: u16,
    /// splice_command_type as it was sent, which says something only if it is not encrypted.
    pub command_type: u8,
    /// The command.
    pub command: Command,
    /// The first segmentation_descriptor.
    pub segmentation: Option<Segmentation>,
}

/// A splice command (9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// splice_null: a sign of life.
    SpliceNull,
    /// splice_schedule.
    SpliceSchedule {
        /// How many events it holds.
        events: u8,
    },
    /// splice_insert.
    SpliceInsert(SpliceInsert),
    /// time_signal.
    TimeSignal {
        /// When; none means at once.
        pts: Option<Pts90k>,
    },
    /// bandwidth_reservation, which is to be ignored.
    BandwidthReservation,
    /// private_command.
    Private {
        /// identifier, as SMPTE registers them.
        identifier: [u8; 4],
    },
    /// A splice_command_type that the standard leaves open.
    Unknown(u8),
    /// Encrypted.
    Encrypted,
    /// Of a protocol_version that is not known.
    NewerProtocol,
}

/// What splice_insert says (9.7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpliceInsert {
    /// splice_event_id.
    pub event_id: u32,
    /// splice_event_cancel_indicator. All that follows is then empty.
    pub cancel: bool,
    /// out_of_network_indicator: a break begins; otherwise the network is joined again.
    pub out_of_network: bool,
    /// program_splice_flag: the whole programme; otherwise some of its components alone.
    pub program_splice: bool,
    /// splice_immediate_flag.
    pub immediate: bool,
    /// When, adjusted; of the first component that has a time where it is not the whole programme.
    pub pts: Option<Pts90k>,
    /// How long the break is, in ticks of 90 kHz, 33 bits.
    pub duration: Option<u64>,
    /// auto_return: the break ends by itself.
    pub auto_return: bool,
    /// unique_program_id.
    pub unique_program_id: u16,
    /// avail_num.
    pub avail_num: u8,
    /// avails_expected.
    pub avails_expected: u8,
}

/// A segmentation_descriptor (10.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segmentation {
    /// segmentation_event_id.
    pub event_id: u32,
    /// segmentation_event_cancel_indicator. All that follows is then empty.
    pub cancel: bool,
    /// segmentation_type_id.
    pub type_id: u8,
    /// segmentation_upid_type.
    pub upid_type: u8,
    /// segmentation_duration in ticks of 90 kHz, 40 bits.
    pub duration: Option<u64>,
}

impl SpliceInfo {
    /// Reads a section; none where it is no splice_info_section, its CRC_32 is wrong or its parts do not fit into it.
    pub fn parse(section: Section<'_>) -> Option<Self> {
        let bytes = section.bytes();
        if section.table_id() != TABLE_ID || section.has_long_syntax() || !section.is_intact() {
            return None;
        }
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let rest = rest.get(..rest.len().checked_sub(CRC_SIZE)?)?;
        let &[_, _, _, protocol_version, flags, _, _, _, _, _, tier, middle, length, command_type] = fixed;
        let adjustment = adjustment(fixed);
        let mut info = Self {
            protocol_version,
            encrypted: flags & 0x80 != 0,
            pts_adjustment: Pts90k(adjustment),
            tier: u16::from(tier) << 4 | u16::from(middle >> 4),
            command_type,
            command: Command::NewerProtocol,
            segmentation: None,
        };
        if protocol_version != 0 {
            return Some(info);
        }
        if info.encrypted {
            info.command = Command::Encrypted;
            return Some(info);
        }
        let length = usize::from(middle & 0x0F) << 8 | usize::from(length);
        let mut fields = Fields(if length == NO_LENGTH { rest } else { rest.get(..length)? });
        info.command = command(command_type, &mut fields, adjustment)?;
        let descriptors = if length != NO_LENGTH {
            rest.get(length..)?
        } else if matches!(info.command, Command::Private { .. } | Command::SpliceSchedule { .. } | Command::Unknown(_))
        {
            // where a command of unknown length ends, and the descriptors begin, cannot be told
            return Some(info);
        } else {
            fields.0
        };
        info.segmentation = segmentation(descriptors)?;
        Some(info)
    }
}

/// Moves every PTS of a splice_info_section by `ticks_90k`, by its pts_adjustment modulo 2^33, and redoes CRC_32. False,
/// and nothing changed, where the bytes are not one whole intact section, or it is encrypted (its E_CRC_32 and what
/// belongs to it are then somebody else's) or of a protocol_version other than 0.
pub fn move_pts(bytes: &mut [u8], ticks_90k: i64) -> bool {
    let Some(info) = Section::new(bytes).and_then(SpliceInfo::parse) else { return false };
    if info.encrypted || info.protocol_version != 0 {
        return false;
    }
    // two's complement wraps at 2^64, of which 2^33 is a divisor
    let moved = info.pts_adjustment.0.wrapping_add(ticks_90k.cast_unsigned()) & MASK;
    let Some((body, crc)) = bytes.split_last_chunk_mut::<CRC_SIZE>() else { return false };
    let Some([flags, low @ ..]) = body.get_mut(4..9) else { return false };
    let [_, _, _, high, rest @ ..] = moved.to_be_bytes();
    *flags = *flags & 0xFE | high;
    low.copy_from_slice(&rest);
    *crc = crc32(body).to_be_bytes();
    true
}

/// pts_adjustment.
fn adjustment(fixed: &[u8; FIXED]) -> u64 {
    let &[_, _, _, _, flags, a, b, c, d, ..] = fixed;
    u64::from(flags & 1) << 32 | u64::from(u32::from_be_bytes([a, b, c, d]))
}

/// Fields one after the other, each whole or none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn skip(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(first)
    }

    /// splice_time (9.8.1): whole, and a time in it or not.
    fn splice_time(&mut self, adjustment: u64) -> Option<Option<Pts90k>> {
        let first = self.byte()?;
        if first & 0x80 == 0 {
            return Some(None);
        }
        let pts = u64::from(first & 1) << 32 | u64::from(u32::from_be_bytes(self.take()?));
        Some(Some(Pts90k((pts + adjustment) & MASK)))
    }
}

fn command(command_type: u8, fields: &mut Fields<'_>, adjustment: u64) -> Option<Command> {
    Some(match command_type {
        0x00 => Command::SpliceNull,
        0x04 => Command::SpliceSchedule { events: fields.byte()? },
        0x05 => Command::SpliceInsert(splice_insert(fields, adjustment)?),
        0x06 => Command::TimeSignal { pts: fields.splice_time(adjustment)? },
        0x07 => Command::BandwidthReservation,
        0xFF => Command::Private { identifier: fields.take()? },
        other => Command::Unknown(other),
    })
}

fn splice_insert(fields: &mut Fields<'_>, adjustment: u64) -> Option<SpliceInsert> {
    let event_id = u32::from_be_bytes(fields.take()?);
    if fields.byte()? & 0x80 != 0 {
        return Some(SpliceInsert { event_id, cancel: true, ..SpliceInsert::default() });
    }
    let flags = fields.byte()?;
    let (program_splice, immediate) = (flags & 0x40 != 0, flags & 0x10 != 0);
    let mut pts = None;
    if !program_splice {
        for _ in 0..fields.byte()? {
            let _component_tag = fields.byte()?;
            if !immediate {
                pts = pts.or(fields.splice_time(adjustment)?);
            }
        }
    } else if !immediate {
        pts = fields.splice_time(adjustment)?;
    }
    let mut insert = SpliceInsert {
        event_id,
        cancel: false,
        out_of_network: flags & 0x80 != 0,
        program_splice,
        immediate,
        pts,
        ..SpliceInsert::default()
    };
    if flags & 0x20 != 0 {
        let [first, rest @ ..] = fields.take::<5>()?;
        insert.auto_return = first & 0x80 != 0;
        insert.duration = Some(u64::from(first & 1) << 32 | u64::from(u32::from_be_bytes(rest)));
    }
    insert.unique_program_id = u16::from_be_bytes(fields.take()?);
    [insert.avail_num, insert.avails_expected] = fields.take()?;
    Some(insert)
}

/// The first segmentation_descriptor of a descriptor loop that begins with its length. None where the loop or that
/// descriptor is cut off.
fn segmentation(bytes: &[u8]) -> Option<Option<Segmentation>> {
    let mut fields = Fields(bytes);
    let length = u16::from_be_bytes(fields.take()?);
    let mut descriptors = Fields(fields.skip(usize::from(length))?);
    while !descriptors.0.is_empty() {
        let [tag, length] = descriptors.take()?;
        let mut body = Fields(descriptors.skip(usize::from(length))?);
        if tag == 0x02 && body.take() == Some(*b"CUEI") {
            return segmentation_descriptor(&mut body).map(Some);
        }
    }
    Some(None)
}

fn segmentation_descriptor(fields: &mut Fields<'_>) -> Option<Segmentation> {
    let event_id = u32::from_be_bytes(fields.take()?);
    if fields.byte()? & 0x80 != 0 {
        return Some(Segmentation { event_id, cancel: true, ..Segmentation::default() });
    }
    let flags = fields.byte()?;
    if flags & 0x80 == 0 {
        let components = fields.byte()?;
        fields.skip(usize::from(components) * 6)?;
    }
    let mut duration = None;
    if flags & 0x40 != 0 {
        let [a, b, c, d, e] = fields.take()?;
        duration = Some(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]));
    }
    let [upid_type, upid_length] = fields.take()?;
    fields.skip(usize::from(upid_length))?;
    let [type_id, _segment_num, _segments_expected] = fields.take()?;
    Some(Segmentation { event_id, cancel: false, type_id, upid_type, duration })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section with this pts_adjustment, command and descriptors, made as clause 9.6 says.
    fn section(adjustment: u64, command_type: u8, command: &[u8], descriptors: &[u8]) -> Vec<u8> {
        let length = u16::try_from(11 + command.len() + 2 + descriptors.len() + 4).unwrap();
        let command_length = u16::try_from(command.len()).unwrap().to_be_bytes();
        let loop_length = u16::try_from(descriptors.len()).unwrap();
        let [_, _, _, high, low @ ..] = adjustment.to_be_bytes();
        let mut s = vec![TABLE_ID];
        s.extend((0x3000 | length).to_be_bytes());
        s.extend([0, high]);
        s.extend(low);
        s.extend([0, 0xFF, 0xF0 | command_length[0], command_length[1], command_type]);
        s.extend(command);
        s.extend(loop_length.to_be_bytes());
        s.extend(descriptors);
        s.extend([0; 4]);
        seal(&mut s);
        s
    }

    fn seal(section: &mut [u8]) {
        let (body, crc) = section.split_last_chunk_mut::<4>().unwrap();
        *crc = crc32(body).to_be_bytes();
    }

    fn read(bytes: &[u8]) -> Option<SpliceInfo> {
        SpliceInfo::parse(Section::new(bytes)?)
    }

    /// Out of network at 2^33 − 1 with a break of 30 s.
    const INSERT: [u8; 20] =
        [0, 0, 1, 2, 0x7F, 0xEF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0x29, 0x32, 0xE0, 0x12, 0x34, 3, 4];
    /// Provider placement opportunity start, 60 s, Ad-ID of four bytes; before it an avail_descriptor.
    const SEGMENTATION: [u8; 36] = *b"\x00\x08CUEI\0\0\0\x09\
        \x02\x18CUEI\x48\0\0\x08\x7F\xFF\x00\x00\x52\x65\xC0\x03\x04ABCD\x34\x01\x02";

    #[test]
    fn splice_insert_is_read_and_its_time_adjusted() {
        let info = read(&section(101, 5, &INSERT, &SEGMENTATION)).unwrap();
        assert_eq!((info.tier, info.command_type, info.pts_adjustment), (0xFFF, 5, Pts90k(101)));
        let wanted = SpliceInsert {
            event_id: 0x102,
            cancel: false,
            out_of_network: true,
            program_splice: true,
            immediate: false,
            pts: Some(Pts90k(100)),
            duration: Some(30 * 90_000),
            auto_return: true,
            unique_program_id: 0x1234,
            avail_num: 3,
            avails_expected: 4,
        };
        assert_eq!(info.command, Command::SpliceInsert(wanted));
        let segmentation = Segmentation {
            event_id: 0x4800_0008,
            cancel: false,
            type_id: 0x34,
            upid_type: 3,
            duration: Some(60 * 90_000),
        };
        assert_eq!(info.segmentation, Some(segmentation));

        let cancelled = read(&section(0, 5, &[0, 0, 0, 9, 0xFF], &[])).unwrap().command;
        assert_eq!(
            cancelled,
            Command::SpliceInsert(SpliceInsert { event_id: 9, cancel: true, ..SpliceInsert::default() })
        );
        let immediate = [0, 0, 0, 9, 0x7F, 0x5F, 0, 1, 0, 0];
        let Command::SpliceInsert(insert) = read(&section(5, 5, &immediate, &[])).unwrap().command else { panic!() };
        assert!(insert.immediate && !insert.out_of_network && insert.pts.is_none());
        let components = [0, 0, 0, 9, 0x7F, 0x8F, 2, 1, 0x7F, 2, 0xFE, 0, 0, 0, 7, 0, 1, 0, 0];
        let Command::SpliceInsert(insert) = read(&section(5, 5, &components, &[])).unwrap().command else { panic!() };
        assert_eq!((insert.program_splice, insert.pts, insert.unique_program_id), (false, Some(Pts90k(12)), 1));
    }

    #[test]
    fn every_command_is_told_from_the_others() {
        let command = |kind, bytes: &[u8]| read(&section(2, kind, bytes, &[])).map(|info| info.command);
        assert_eq!(command(0, &[]), Some(Command::SpliceNull));
        assert_eq!(command(4, &[2, 0, 0]), Some(Command::SpliceSchedule { events: 2 }));
        assert_eq!(command(6, &[0xFF, 0, 0, 0, 1]), Some(Command::TimeSignal { pts: Some(Pts90k(0x1_0000_0003)) }));
        assert_eq!(command(6, &[0x7F]), Some(Command::TimeSignal { pts: None }));
        assert_eq!(command(7, &[]), Some(Command::BandwidthReservation));
        assert_eq!(command(0xFF, b"ABCDxyz"), Some(Command::Private { identifier: *b"ABCD" }));
        assert_eq!(command(9, &[1]), Some(Command::Unknown(9)));
    }

    #[test]
    fn a_command_of_untold_length_is_read_by_what_it_says() {
        let mut bytes = section(101, 5, &INSERT, &SEGMENTATION);
        let told = read(&bytes).unwrap();
        bytes[11] = 0xFF;
        bytes[12] = 0xFF;
        seal(&mut bytes);
        assert_eq!(read(&bytes), Some(told));
        let mut private = section(0, 0xFF, b"ABCDxyz", &SEGMENTATION);
        private[11] = 0xFF;
        private[12] = 0xFF;
        seal(&mut private);
        assert_eq!(read(&private).map(|i| i.segmentation), Some(None));
    }

    #[test]
    fn what_is_encrypted_or_newer_is_said_and_left_alone() {
        let mut bytes = section(7, 5, &[0xAA; 3], &[]);
        bytes[4] |= 0x80;
        seal(&mut bytes);
        let info = read(&bytes).unwrap();
        assert_eq!((info.encrypted, info.command, info.pts_adjustment), (true, Command::Encrypted, Pts90k(7)));
        assert!(!move_pts(&mut bytes, 1));
        bytes[4] &= 0x7F;
        bytes[3] = 1;
        seal(&mut bytes);
        assert_eq!(read(&bytes).map(|i| i.command), Some(Command::NewerProtocol));
        assert!(!move_pts(&mut bytes, 1));
    }

    #[test]
    fn times_are_moved_both_ways_across_the_wrap() {
        let original = section(0x1_0000_0005, 5, &INSERT, &SEGMENTATION);
        for (ticks, wanted) in [
            (0, 0x1_0000_0005),
            (-6, 0x0_FFFF_FFFF),
            (0xFFFF_FFFB, 0),
            (i64::MIN, 0x1_0000_0005),
            (i64::MAX, 0x1_0000_0004),
            (-(1 << 33) - 5, 0x1_0000_0000),
        ] {
            let mut bytes = original.clone();
            assert!(move_pts(&mut bytes, ticks));
            let info = read(&bytes).unwrap();
            assert_eq!(info.pts_adjustment, Pts90k(wanted), "{ticks}");
            assert_eq!(bytes[9..31], original[9..31]);
            assert!(move_pts(&mut bytes, ticks.wrapping_neg()));
            assert_eq!(bytes, original);
        }
        let mut broken = original;
        broken[20] ^= 1;
        let before = broken.clone();
        assert!(!move_pts(&mut broken, 5));
        assert_eq!(broken, before);
        assert!(!move_pts(&mut [], 5));
    }

    #[test]
    fn parts_that_do_not_fit_are_nothing() {
        for (kind, command, descriptors) in [(5, &INSERT[..], &SEGMENTATION[..]), (6, &[0xFF, 0, 0, 0, 1], &[])] {
            let whole = section(0, kind, command, descriptors);
            assert!(read(&whole).is_some());
            for end in 0..command.len() {
                assert_eq!(read(&section(0, kind, &command[..end], descriptors)), None, "command of {end}");
            }
            // a section cut off anywhere, its length and CRC_32 made right again
            for end in 7..whole.len() - 1 {
                let mut bytes = whole[..end].to_vec();
                bytes[2] = u8::try_from(end - 3).unwrap();
                seal(&mut bytes);
                assert_eq!(read(&bytes), None, "{end} bytes");
            }
        }
        for end in 11..SEGMENTATION.len() {
            assert_eq!(read(&section(0, 0, &[], &SEGMENTATION[..end])), None, "descriptors of {end}");
        }
        let mut broken = section(0, 0, &[], &[]);
        broken[10] ^= 1;
        assert_eq!(read(&broken), None);
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
        for n in 0..20_000_usize {
            let mut bytes = section(0, [0, 4, 5, 6, 7, 0xFF][n % 6], &INSERT, &SEGMENTATION);
            for _ in 0..1 + n % 9 {
                let at = 13 + usize::from(byte()) % (bytes.len() - 17);
                bytes[at] = byte();
            }
            seal(&mut bytes);
            if let Some(info) = read(&bytes) {
                assert!(!info.to_string().is_empty());
                assert_eq!(move_pts(&mut bytes, i64::from(byte())), !info.encrypted);
            }
        }
    }
}
