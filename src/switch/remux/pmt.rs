//! A program map section, read and rewritten: ISO/IEC 13818-1 2.4.4.8.

use crate::ts::crc32;
use crate::ts::stream::{Description, RawDescriptor, describe};
use crate::units::Pid;

use mpeg2ts_reader::descriptor::DescriptorIter;

/// The longest PAT or PMT section: section_length is at most 1021.
pub(super) const LONGEST: usize = 1024;
/// The shortest PMT section: no descriptors and no streams.
pub(super) const SHORTEST: usize = 16;
/// Bytes before program_info.
const HEAD: usize = 12;
/// Bytes of a stream before its descriptors.
const STREAM: usize = 5;
const CRC_SIZE: usize = 4;

/// A stream that a PMT lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<'a> {
    pub(super) stream_type: u8,
    pub(super) pid: Pid,
    /// Its entry, stream_type first.
    entry: &'a [u8],
}

impl<'a> Stream<'a> {
    pub(super) fn descriptors(&self) -> &'a [u8] {
        self.entry.get(STREAM..).unwrap_or(&[])
    }

    pub(super) fn describe(&self) -> Description {
        describe(self.stream_type, DescriptorIter::new(self.descriptors()).flatten())
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
}

/// The bytes that a length field of 12 bits announces behind it, as many as there are.
fn announced(bytes: &[u8], at: usize) -> &[u8] {
    let from = at + 2;
    let length = usize::from(word(bytes, at) & 0x0FFF);
    bytes.get(from..).map_or(&[], |rest| rest.get(..length).unwrap_or(rest))
}

/// PCR_PID; none where it is 0x1FFF.
pub(super) fn pcr_pid(section: &[u8]) -> Option<Pid> {
    Some(Pid::new(word(section, 8))).filter(|pid| *pid != Pid::NULL)
}

/// The section without its CRC_32.
fn body(section: &[u8]) -> &[u8] {
    section.get(..section.len().saturating_sub(CRC_SIZE)).unwrap_or(&[])
}

/// The descriptors of the program.
pub(super) fn program_info(section: &[u8]) -> &[u8] {
    announced(body(section), HEAD - 2)
}

/// The streams, in order; what does not fit into the section is left out.
pub(super) fn streams(section: &[u8]) -> impl Iterator<Item = Stream<'_>> {
    let mut rest = body(section).get(HEAD + program_info(section).len()..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        if rest.len() < STREAM {
            return None;
        }
        let size = STREAM + announced(rest, STREAM - 2).len();
        let (entry, behind) = rest.split_at_checked(size)?;
        rest = behind;
        Some(Stream { stream_type: *entry.first()?, pid: Pid::new(word(entry, 1)), entry })
    })
}

/// The PIDs that the CA_descriptors among these refer to (2.6.16).
pub(super) fn access(descriptors: &[u8]) -> impl Iterator<Item = Pid> {
    DescriptorIter::new(descriptors).flatten().filter_map(|RawDescriptor(tag, bytes)| match (tag, bytes) {
        (0x09, &[_, _, high, low, ..]) => Some(Pid::new(u16::from_be_bytes([high, low]))),
        _ => None,
    })
}

/// Puts other PIDs into the CA_descriptors.
fn map_access(descriptors: &mut [u8], map: &impl Fn(Pid) -> Option<Pid>) {
    let mut rest = descriptors;
    while let [tag, length, behind @ ..] = rest {
        let Some((body, next)) = behind.split_at_mut_checked(usize::from(*length)) else { return };
        if let (0x09, [_, _, high, low, ..]) = (*tag, body) {
            let old = u16::from_be_bytes([*high, *low]);
            if let Some(new) = map(Pid::new(old)) {
                [*high, *low] = (old & 0xE000 | new.value()).to_be_bytes();
            }
        }
        rest = next;
    }
}

/// A section under construction, never longer than [`LONGEST`].
struct Builder<'a> {
    out: &'a mut [u8; LONGEST],
    len: usize,
}

impl Builder<'_> {
    /// Appends bytes; where they are now. False where there is no room.
    fn push(&mut self, bytes: &[u8]) -> Option<&mut [u8]> {
        let room =
            self.out.get_mut(self.len..self.len + bytes.len()).filter(|_| self.len + bytes.len() + 4 <= LONGEST)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(room)
    }

    /// Writes section_length and CRC_32; the length of the whole.
    fn seal(self) -> usize {
        let whole = self.len + CRC_SIZE;
        let length = u16::try_from(whole - 3).unwrap_or(0);
        let [high, low] = length.to_be_bytes();
        self.out[1] = self.out[1] & 0xF0 | high;
        self.out[2] = low;
        seal(&mut self.out[..whole]);
        whole
    }
}

/// Redoes the CRC_32 of a section.
pub(super) fn seal(section: &mut [u8]) {
    if let Some((body, crc)) = section.split_last_chunk_mut::<CRC_SIZE>() {
        *crc = crc32(body).to_be_bytes();
    }
}

/// The section of another program_number, PCR_PID and PIDs: a stream that `map` has no PID for is left out, a CA_descriptor's
/// PID that it has none for stays. version_number is the source's. The length of what was written.
pub(super) fn rewrite(
    section: &[u8],
    number: u16,
    pcr: Option<Pid>,
    map: impl Fn(Pid) -> Option<Pid>,
    out: &mut [u8; LONGEST],
) -> usize {
    let mut to = Builder { out, len: 0 };
    to.push(section.get(..HEAD).unwrap_or(&[]));
    let info = program_info(section);
    if let Some(info) = to.push(info) {
        map_access(info, &map);
    }
    for stream in streams(section) {
        let Some(pid) = map(stream.pid) else { continue };
        if let Some([_, high, low, _, _, descriptors @ ..]) = to.push(stream.entry) {
            [*high, *low] = (0xE000 | pid.value()).to_be_bytes();
            map_access(descriptors, &map);
        }
    }
    let whole = to.len;
    if whole >= HEAD {
        to.out[3..5].copy_from_slice(&number.to_be_bytes());
        to.out[5] |= 1;
        to.out[8..10].copy_from_slice(&(0xE000 | pcr.unwrap_or(Pid::NULL).value()).to_be_bytes());
    }
    to.seal()
}

/// A PAT section of version 0 with these programs, program 0 being the network's. The length of what was written.
pub(super) fn pat(
    transport_stream_id: u16,
    programs: impl Iterator<Item = (u16, Pid)>,
    out: &mut [u8; LONGEST],
) -> usize {
    let [high, low] = transport_stream_id.to_be_bytes();
    let mut to = Builder { out, len: 0 };
    to.push(&[0, 0xB0, 0, high, low, 0xC1, 0, 0]);
    for (number, pid) in programs {
        let [a, b] = number.to_be_bytes();
        let [c, d] = (0xE000 | pid.value()).to_be_bytes();
        to.push(&[a, b, c, d]);
    }
    to.seal()
}
