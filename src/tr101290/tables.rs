//! The program structure: 1.3.a PAT_error_2, 1.5.a PMT_error_2, 2.2 CRC_error and the table half of 2.6 CAT_error
//! (tables 5.0a and 5.0b).
//!
//! Every list has a size that no stream can raise: what a hostile PAT or PMT announces beyond it is counted and left out.

use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::PmtSection;

use super::absence::Watch;
use super::count::{Observer, Sink};
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::ts::stream::{Description, Kind, describe};
use crate::units::{Instant, Pid};

/// The most programs that are followed.
pub const MAX_PROGRAMS: usize = 128;
/// The most elementary streams of all programs together that are followed.
pub const MAX_STREAMS: usize = 512;
/// Sections of a PAT that are followed: each has room for 253 programs.
const MAX_PAT_SECTIONS: usize = 4;

const TABLE_PAT: u8 = 0x00;
const TABLE_CAT: u8 = 0x01;
const TABLE_PMT: u8 = 0x02;

/// A program that the PAT lists.
#[derive(Clone, Debug)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// program_map_PID.
    pub pmt_pid: Pid,
    /// PCR_PID; none before its PMT came, or where it says that there is none (0x1FFF).
    pub pcr_pid: Option<Pid>,
    pub(super) watch: Watch,
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

#[derive(Debug)]
pub(super) struct Tables {
    settings: Settings,
    /// None before the first packet: what never began is not overdue.
    pub(super) pat: Option<Watch>,
    pat_crc: [Option<u32>; MAX_PAT_SECTIONS],
    pub(super) programs: Vec<Program>,
    pub(super) streams: Vec<Stream>,
    /// Programs and streams that found no room.
    pub(super) left_out: u64,
    pub(super) cat_seen: Option<Instant>,
    /// The lists changed: what hangs on them must be made anew.
    pub(super) changed: bool,
    pub(super) due: Instant,
}

impl Tables {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
            pat: None,
            pat_crc: [None; MAX_PAT_SECTIONS],
            programs: Vec::with_capacity(MAX_PROGRAMS),
            streams: Vec::with_capacity(MAX_STREAMS),
            left_out: 0,
            cat_seen: None,
            changed: false,
            due: Instant::NEVER,
        }
    }

    /// The first packet: from now on a PAT is wanted.
    pub(super) fn start(&mut self, at: Instant) {
        self.pat = Some(Watch::new(at));
        self.due = self.due.min(at + self.settings.pat);
    }

    /// A section of `pid`, whole.
    pub(super) fn section<O: Observer>(&mut self, pid: Pid, section: Section<'_>, sink: &mut Sink<'_, O>) {
        if is_watched(pid, section) && !section.is_intact() {
            sink.raise(Indicator::CrcError, Some(pid));
            return;
        }
        match (pid, section.table_id()) {
            (Pid::PAT, TABLE_PAT) if section.has_long_syntax() => self.pat_section(section, sink.at),
            (Pid::PAT, id) if id != TABLE_PAT => sink.raise(Indicator::PatError2, Some(pid)),
            (Pid::CAT, TABLE_CAT) if section.has_long_syntax() => self.cat_seen = Some(sink.at),
            (Pid::CAT, id) if id != TABLE_CAT => sink.raise(Indicator::CatError, Some(pid)),
            (_, TABLE_PMT) if section.has_long_syntax() => self.pmt_section(pid, section, sink.at),
            _ => {}
        }
    }

    fn pat_section(&mut self, section: Section<'_>, at: Instant) {
        if let Some(watch) = &mut self.pat {
            watch.seen(at);
            self.due = self.due.min(at + self.settings.pat);
        }
        let number = section.section_number();
        let Some(crc) = self.pat_crc.get_mut(usize::from(number)) else { return };
        if !section.is_current() || crc.replace(section.crc()) == Some(section.crc()) {
            return;
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
            let ProgramDescriptor::Program { program_number, pid } = entry else { continue };
            let pmt_pid = Pid::new(u16::from(pid));
            if self.programs.iter().any(|p| p.number == program_number && p.pmt_pid == pmt_pid) {
                continue;
            }
            if self.programs.len() == MAX_PROGRAMS {
                self.left_out += 1;
                continue;
            }
            let watch = Watch::new(at);
            let program = Program { number: program_number, pmt_pid, pcr_pid: None, watch, section: number, crc: None };
            self.programs.push(program);
        }
        let programs = &self.programs;
        self.streams.retain(|stream| programs.iter().any(|p| p.number == stream.program));
        self.due = self.due.min(at + self.settings.pmt);
        self.changed = true;
    }

    fn pmt_section(&mut self, pid: Pid, section: Section<'_>, at: Instant) {
        let number = section.table_id_extension();
        let Some(program) = self.programs.iter_mut().find(|p| p.number == number && p.pmt_pid == pid) else { return };
        program.watch.seen(at);
        self.due = self.due.min(at + self.settings.pmt);
        if !section.is_current() || program.crc == Some(section.crc()) {
            return;
        }
        program.crc = Some(section.crc());
        let Ok(pmt) = PmtSection::from_bytes(section.contents()) else { return };
        let pcr_pid = Pid::new(u16::from(pmt.pcr_pid()));
        program.pcr_pid = (pcr_pid != Pid::NULL).then_some(pcr_pid);
        self.streams.retain(|stream| stream.program != number);
        for entry in pmt.streams() {
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
        self.changed = true;
    }

    /// What a stream on `pid` is, where a PMT says so.
    pub(super) fn kind(&self, pid: Pid) -> Option<Kind> {
        self.streams.iter().find(|s| s.pid == pid).map(|s| s.description.kind)
    }

    /// Raises what has become overdue by `now`.
    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        let mut due = Instant::NEVER;
        if let Some(watch) = &mut self.pat
            && watch.expire(sink.at, self.settings.pat, &mut due)
        {
            sink.raise(Indicator::PatError2, Some(Pid::PAT));
        }
        for program in &mut self.programs {
            if program.watch.expire(sink.at, self.settings.pmt, &mut due) {
                sink.raise(Indicator::PmtError2, Some(program.pmt_pid));
            }
        }
        self.due = due;
    }
}

/// Whether 2.2 watches the CRC_32 of this section: it is of a CAT, PAT, PMT, NIT, EIT, BAT, SDT or TOT.
fn is_watched(pid: Pid, section: Section<'_>) -> bool {
    match (pid.value(), section.table_id()) {
        (0x14, id) => id == 0x73, // a TOT has a CRC_32 and the short syntax (EN 300 468 5.2.6)
        (0 | 1, _) | (0x10, 0x40 | 0x41) | (0x11, 0x42 | 0x46 | 0x4A) | (0x12, 0x4E..=0x6F) | (_, TABLE_PMT) => {
            section.has_long_syntax()
        }
        _ => false,
    }
}
