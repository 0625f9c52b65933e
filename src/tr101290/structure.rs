//! The program structure, as the PAT, the PMTs and the CAT tell it, and the services that the SDT names.
//!
//! Every list has a size that no stream can raise: what a hostile PAT or PMT announces beyond it is counted and left out.

use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::PmtSection;

use crate::ts::sdt::Sdt;
use crate::ts::section::Section;
use crate::ts::stream::{Description, Kind, RawDescriptor, describe};
use crate::units::Pid;

/// The most programs that are followed.
pub const MAX_PROGRAMS: usize = 128;
/// The most elementary streams of all programs together that are followed.
pub const MAX_STREAMS: usize = 512;
/// The most PIDs of conditional access that are followed.
const MAX_CA: usize = 128;
/// Sections that a PAT can have (ISO/IEC 13818-1 2.4.4.5: section_number is 0…255).
const MAX_PAT_SECTIONS: usize = 256;

/// table_id (ISO/IEC 13818-1 table 2-31, EN 300 468 table 2).
pub(super) mod table {
    pub(in super::super) const PAT: u8 = 0x00;
    pub(in super::super) const CAT: u8 = 0x01;
    pub(in super::super) const PMT: u8 = 0x02;
    pub(in super::super) const NIT_ACTUAL: u8 = 0x40;
    pub(in super::super) const NIT_OTHER: u8 = 0x41;
    pub(in super::super) const SDT_ACTUAL: u8 = crate::ts::sdt::ACTUAL;
    pub(in super::super) const SDT_OTHER: u8 = crate::ts::sdt::OTHER;
    pub(in super::super) const BAT: u8 = 0x4A;
    pub(in super::super) const EIT_ACTUAL: u8 = 0x4E;
    pub(in super::super) const EIT_OTHER: u8 = 0x4F;
    pub(in super::super) const EIT_LAST: u8 = 0x6F;
    pub(in super::super) const TDT: u8 = 0x70;
    pub(in super::super) const STUFFING: u8 = 0x72;
    pub(in super::super) const TOT: u8 = 0x73;
}

/// A program that the PAT lists.
#[derive(Clone, Debug)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// program_map_PID.
    pub pmt_pid: Pid,
    /// PCR_PID; none before its PMT came, or where it says that there is none (0x1FFF).
    pub pcr_pid: Option<Pid>,
    section: u8,
    crc: Option<u32>,
}

/// An elementary stream that a PMT lists.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Of which program.
    pub program: u16,
    /// elementary_PID.
    pub pid: Pid,
    /// stream_type.
    pub stream_type: u8,
    /// What that and its descriptors say.
    pub description: Description,
}

/// What refers to a PID of conditional access: 0 is the CAT, anything else the PMT of that program.
type CaOf = u16;

/// The bytes of a name, as EN 300 468 annex A codes text; of a longer one the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Self::MOST],
    len: u8,
}

impl Name {
    /// The most bytes that are kept.
    pub const MOST: usize = 63;

    fn of(bytes: &[u8]) -> Self {
        let kept = bytes.get(..Self::MOST).unwrap_or(bytes);
        let mut name = Self { bytes: [0; Self::MOST], len: u8::try_from(kept.len()).unwrap_or(0) };
        name.bytes[..kept.len()].copy_from_slice(kept);
        name
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What the SDT says of a service.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// service_id, which is the program_number.
    pub number: u16,
    /// service_type (EN 300 468 table 87).
    pub service_type: u8,
    /// Its name.
    pub name: Name,
    /// Its provider's.
    pub provider: Name,
}

#[derive(Debug)]
pub(super) struct Structure {
    pat_crc: [Option<u32>; MAX_PAT_SECTIONS],
    cat_crc: Option<u32>,
    pub(super) programs: Vec<Program>,
    pub(super) streams: Vec<Stream>,
    /// PIDs with ECMs and EMMs.
    pub(super) conditional_access: Vec<(CaOf, Pid)>,
    pub(super) services: Vec<Service>,
    /// The PID of the network's tables, where the PAT lists one.
    pub(super) network_pid: Option<Pid>,
    /// Programs and streams that found no room.
    pub(super) left_out: u64,
}

impl Structure {
    pub(super) fn new() -> Self {
        Self {
            pat_crc: [None; MAX_PAT_SECTIONS],
            cat_crc: None,
            programs: Vec::with_capacity(MAX_PROGRAMS),
            streams: Vec::with_capacity(MAX_STREAMS),
            conditional_access: Vec::with_capacity(MAX_CA),
            services: Vec::with_capacity(MAX_PROGRAMS),
            network_pid: None,
            left_out: 0,
        }
    }

    /// Knows nothing any more, but for how much found no room.
    pub(super) fn clear(&mut self) {
        self.pat_crc.fill(None);
        (self.cat_crc, self.network_pid) = (None, None);
        self.programs.clear();
        self.streams.clear();
        self.conditional_access.clear();
        self.services.clear();
    }

    /// A PAT section; true where it changed the structure.
    pub(super) fn pat(&mut self, section: Section<'_>) -> bool {
        let number = section.section_number();
        let Some(crc) = self.pat_crc.get_mut(usize::from(number)) else { return false };
        if !section.is_current() || crc.replace(section.crc()) == Some(section.crc()) {
            return false;
        }
        let last = section.last_section_number();
        self.programs.retain(|program| program.section <= last);
        // those that come back later are read again, though they are what they were
        self.pat_crc.iter_mut().skip(usize::from(last) + 1).for_each(|crc| *crc = None);
        if number == 0 {
            self.network_pid = None;
        }
        let pat = PatSection::new(section.contents());
        let listed = |program: &Program| {
            pat.programs().any(|p| {
                matches!(p, ProgramDescriptor::Program { program_number, pid }
                if program_number == program.number && u16::from(pid) == program.pmt_pid.value())
            })
        };
        self.programs.retain(|program| program.section != number || listed(program));
        for entry in pat.programs() {
            let (program_number, pid) = match entry {
                ProgramDescriptor::Program { program_number, pid } => (program_number, pid),
                ProgramDescriptor::Network { pid } => {
                    self.network_pid = Some(Pid::new(u16::from(pid)));
                    continue;
                }
            };
            let pmt_pid = Pid::new(u16::from(pid));
            let known = self.programs.iter_mut().find(|p| p.number == program_number && p.pmt_pid == pmt_pid);
            if let Some(known) = known {
                known.section = number;
                continue;
            }
            if self.programs.len() == MAX_PROGRAMS {
                self.left_out += 1;
                continue;
            }
            let program = Program { number: program_number, pmt_pid, pcr_pid: None, section: number, crc: None };
            self.programs.push(program);
        }
        let programs = &self.programs;
        let is_listed = |number: u16| programs.iter().any(|p| p.number == number);
        self.streams.retain(|stream| is_listed(stream.program));
        self.conditional_access.retain(|&(of, _)| of == 0 || is_listed(of));
        true
    }

    /// A CAT section; true where it changed the structure.
    pub(super) fn cat(&mut self, section: Section<'_>) -> bool {
        if !section.is_current() || self.cat_crc.replace(section.crc()) == Some(section.crc()) {
            return false;
        }
        if section.section_number() == 0 {
            self.conditional_access.retain(|&(of, _)| of != 0);
        }
        let descriptors = mpeg2ts_reader::descriptor::DescriptorIter::new(section.contents());
        self.refer_to_ca(0, descriptors.flatten());
        true
    }

    fn refer_to_ca<'a>(&mut self, of: CaOf, descriptors: impl Iterator<Item = RawDescriptor<'a>>) {
        for RawDescriptor(tag, bytes) in descriptors {
            // CA_descriptor (ISO/IEC 13818-1 2.6.16)
            if let (0x09, &[_, _, high, low, ..]) = (tag, bytes) {
                let entry = (of, Pid::new(u16::from_be_bytes([high, low])));
                // the streams of a program mostly share their ECMs
                if self.conditional_access.contains(&entry) {
                    continue;
                }
                if self.conditional_access.len() == MAX_CA {
                    self.left_out += 1;
                    continue;
                }
                self.conditional_access.push(entry);
            }
        }
    }

    /// Whether this is a PMT section of a program that the PAT lists on `pid`, and whether it changed the structure.
    pub(super) fn pmt(&mut self, pid: Pid, section: Section<'_>) -> Option<bool> {
        let number = section.table_id_extension();
        let program = self.programs.iter_mut().find(|p| p.number == number && p.pmt_pid == pid)?;
        if !section.is_current() || program.crc == Some(section.crc()) {
            return Some(false);
        }
        program.crc = Some(section.crc());
        let Ok(pmt) = PmtSection::from_bytes(section.contents()) else { return Some(false) };
        let pcr_pid = Pid::new(u16::from(pmt.pcr_pid()));
        program.pcr_pid = (pcr_pid != Pid::NULL).then_some(pcr_pid);
        self.streams.retain(|stream| stream.program != number);
        self.conditional_access.retain(|&(of, _)| of != number);
        self.refer_to_ca(number, pmt.descriptors().flatten());
        for entry in pmt.streams() {
            self.refer_to_ca(number, entry.descriptors().flatten());
            if self.streams.len() == MAX_STREAMS {
                self.left_out += 1;
                continue;
            }
            let stream_type = u8::from(entry.stream_type());
            self.streams.push(Stream {
                program: number,
                pid: Pid::new(u16::from(entry.elementary_pid())),
                stream_type,
                description: describe(stream_type, entry.descriptors().flatten()),
            });
        }
        Some(true)
    }

    /// An SDT section; true where it says that events are described for a program of the PAT. It changes names alone, on
    /// which nothing hangs.
    pub(super) fn sdt(&mut self, section: Section<'_>) -> bool {
        let Some(table) = Sdt::new(section).filter(|table| table.is_actual() && section.is_current()) else {
            return false;
        };
        let mut has_events = false;
        for service in table.services() {
            let number = service.service_id;
            has_events |= service.eit_present_following && self.programs.iter().any(|p| p.number == number);
            let Some(described) = service.described else { continue };
            let (name, provider) = (Name::of(described.name), Name::of(described.provider));
            let new = Service { number, service_type: described.service_type, name, provider };
            if let Some(known) = self.services.iter_mut().find(|it| it.number == number) {
                *known = new;
            } else if self.services.len() < MAX_PROGRAMS {
                self.services.push(new);
            }
        }
        has_events
    }

    /// Whether a PMT lists `pid` for splice information.
    pub(super) fn is_splice(&self, pid: Pid) -> bool {
        self.streams.iter().any(|s| s.pid == pid && s.description.kind == Kind::Splice)
    }

    /// Every PID that a table refers to, and the program that it belongs to, 0 for none.
    pub(super) fn referenced(&self) -> impl Iterator<Item = (Pid, u16)> + '_ {
        let programs = self.programs.iter().flat_map(|p| [Some(p.pmt_pid), p.pcr_pid].map(|pid| (pid, p.number)));
        let programs = programs.filter_map(|(pid, number)| Some((pid?, number)));
        let streams = self.streams.iter().map(|s| (s.pid, s.program));
        let access = self.conditional_access.iter().map(|&(of, pid)| (pid, of));
        programs.chain(streams).chain(access).chain(self.network_pid.map(|pid| (pid, 0)))
    }
}
