//! The assemblers of the PIDs that carry sections.

use super::pids::{Pids, Roles};
use super::structure::{MAX_PROGRAMS, Structure};
use crate::ts::Packet;
use crate::ts::section::{Assembler, MAX_SECTION, Section};
use crate::units::Pid;

/// The longest section of a PAT, CAT or PMT (ISO/IEC 13818-1 2.4.4.3: section_length at most 1021).
const MAX_PSI: usize = 1024;
const PSI: [Pid; 2] = [Pid::PAT, Pid::CAT];
const SI: [Pid; 4] = [Pid::NIT, Pid::SDT, Pid::EIT, Pid::TDT];

#[derive(Debug)]
pub(super) struct Sections {
    psi: Box<[Assembler<MAX_PSI>; PSI.len()]>,
    si: Box<[Assembler<MAX_SECTION>; SI.len()]>,
    /// Those of program_map_PIDs; of the null PID while they are free.
    pmt: Vec<(Pid, Assembler<MAX_PSI>)>,
}

impl Sections {
    pub(super) fn new(pids: &mut Pids) -> Self {
        let sections =
            Self { psi: Box::default(), si: Box::default(), pmt: Vec::with_capacity(MAX_PROGRAMS) };
        restore_fixed_roles(pids);
        sections
    }

    /// Gives each program_map_PID an assembler; those that go on being one keep theirs.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids) {
        for (pid, _) in &mut self.pmt {
            if *pid != Pid::NULL && !structure.programs.iter().any(|p| p.pmt_pid == *pid) {
                pids.entry(*pid).roles.remove(Roles::SECTIONS);
                *pid = Pid::NULL;
            }
        }
        for program in &structure.programs {
            if program.pmt_pid == Pid::NULL || self.pmt.iter().any(|(pid, _)| *pid == program.pmt_pid) {
                continue;
            }
            if let Some((pid, assembler)) = self.pmt.iter_mut().find(|(pid, _)| *pid == Pid::NULL) {
                *pid = program.pmt_pid;
                assembler.reset();
            } else if self.pmt.len() < MAX_PROGRAMS {
                self.pmt.push((program.pmt_pid, Assembler::default()));
            } else {
                continue;
            }
            pids.entry(program.pmt_pid).roles.add(Roles::SECTIONS);
        }
        restore_fixed_roles(pids);
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
        }
    }
}

fn restore_fixed_roles(pids: &mut Pids) {
    for pid in PSI.into_iter().chain(SI) {
        pids.entry(pid).roles.add(Roles::SECTIONS);
    }
}
