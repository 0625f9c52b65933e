//! The assemblers of the PIDs that carry sections.

use super::pids::{Pids, Roles};
use super::structure::{MAX_PROGRAMS, Structure};
use crate::ts::Packet;
use crate::ts::section::{Assembler, MAX_SECTION, Section};
use crate::ts::stream::Kind;
use crate::units::Pid;

/// The longest section of a PAT, CAT or PMT (ISO/IEC 13818-1 2.4.4.3: section_length at most 1021).
const MAX_PSI: usize = 1024;
/// The most PIDs with splice information that are read.
const MAX_SPLICE: usize = 8;
const PSI: [Pid; 2] = [Pid::PAT, Pid::CAT];
const SI: [Pid; 4] = [Pid::NIT, Pid::SDT, Pid::EIT, Pid::TDT];

#[derive(Debug)]
pub(super) struct Sections {
    psi: Box<[Assembler<MAX_PSI>; PSI.len()]>,
    si: Box<[Assembler<MAX_SECTION>; SI.len()]>,
    /// Those of program_map_PIDs; of the null PID while they are free.
    pmt: Vec<(Pid, Assembler<MAX_PSI>)>,
    /// Those of PIDs with splice information, in the same way.
    splice: Vec<(Pid, Assembler<MAX_SECTION>)>,
}

impl Sections {
    pub(super) fn new(pids: &mut Pids) -> Self {
        let sections = Self {
            psi: Box::default(),
            si: Box::default(),
            pmt: Vec::with_capacity(MAX_PROGRAMS),
            splice: Vec::with_capacity(MAX_SPLICE),
        };
        sections.give_roles(pids);
        sections
    }

    /// As it was when it was made, for `pids` that know nothing any more.
    pub(super) fn clear(&mut self, pids: &mut Pids) {
        self.psi.iter_mut().for_each(Assembler::reset);
        self.si.iter_mut().for_each(Assembler::reset);
        self.pmt.clear();
        self.splice.clear();
        self.give_roles(pids);
    }

    /// Gives each program_map_PID, and each PID with splice information, an assembler; those that go on being one keep
    /// theirs.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids) {
        let maps = || structure.programs.iter().map(|p| p.pmt_pid);
        let splices = || structure.streams.iter().filter(|s| s.description.kind == Kind::Splice).map(|s| s.pid);
        assign(&mut self.pmt, maps, pids);
        assign(&mut self.splice, || splices().filter(|pid| !maps().any(|map| map == *pid)), pids);
        self.give_roles(pids);
    }

    fn give_roles(&self, pids: &mut Pids) {
        let assigned = self.pmt.iter().map(|(pid, _)| *pid).chain(self.splice.iter().map(|(pid, _)| *pid));
        for pid in PSI.into_iter().chain(SI).chain(assigned.filter(|pid| *pid != Pid::NULL)) {
            pids.entry(pid).roles.add(Roles::SECTIONS);
        }
    }

    /// Hands on the sections that are whole with this packet.
    pub(super) fn push(&mut self, packet: Packet<'_>, section: impl FnMut(Section<'_>)) {
        let (pid, start, payload) = (packet.pid(), packet.payload_unit_start_indicator(), packet.payload());
        if let Some(i) = PSI.iter().position(|&it| it == pid) {
            self.psi[i].push(start, payload, section);
        } else if let Some(i) = SI.iter().position(|&it| it == pid) {
            self.si[i].push(start, payload, section);
        } else if let Some((_, assembler)) = self.pmt.iter_mut().find(|(it, _)| *it == pid) {
            assembler.push(start, payload, section);
        } else if let Some((_, assembler)) = self.splice.iter_mut().find(|(it, _)| *it == pid) {
            assembler.push(start, payload, section);
        }
    }

    /// The section that was begun on `pid` lacks a part, or begins anew: without this its CRC_32 would be counted for what is
    /// wrong with the packets.
    pub(super) fn forget(&mut self, pid: Pid) {
        if let Some(i) = PSI.iter().position(|&it| it == pid) {
            self.psi[i].reset();
        } else if let Some(i) = SI.iter().position(|&it| it == pid) {
            self.si[i].reset();
        } else if let Some((_, assembler)) = self.pmt.iter_mut().find(|(it, _)| *it == pid) {
            assembler.reset();
        } else if let Some((_, assembler)) = self.splice.iter_mut().find(|(it, _)| *it == pid) {
            assembler.reset();
        }
    }
}

/// Gives each PID of `wanted` an assembler of `list`, as long as there is one; those of other PIDs become free.
fn assign<const N: usize, I: Iterator<Item = Pid>>(
    list: &mut Vec<(Pid, Assembler<N>)>,
    wanted: impl Fn() -> I,
    pids: &mut Pids,
) {
    for (pid, _) in &mut *list {
        if *pid != Pid::NULL && !wanted().any(|it| it == *pid) {
            pids.entry(*pid).roles.remove(Roles::SECTIONS);
            *pid = Pid::NULL;
        }
    }
    for wanted in wanted() {
        if wanted == Pid::NULL || list.iter().any(|(pid, _)| *pid == wanted) {
            continue;
        }
        if let Some((pid, assembler)) = list.iter_mut().find(|(pid, _)| *pid == Pid::NULL) {
            *pid = wanted;
            assembler.reset();
        } else if list.len() < list.capacity() {
            list.push((wanted, Assembler::default()));
        } else {
            return;
        }
    }
}
