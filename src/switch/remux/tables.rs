//! The PAT of a feed and the PMTs of its programs, as they were last received.

use super::MAX_PROGRAMS;
use super::bits::Bits;
use super::pmt::{LONGEST, SHORTEST};
use crate::ts::Packet;
use crate::ts::section::{Assembler, Section};
use crate::units::Pid;

/// table_id (ISO/IEC 13818-1 table 2-31).
const PAT: u8 = 0;
const PMT: u8 = 2;

/// A program that the PAT lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) number: u16,
    pub(super) pmt_pid: Pid,
    /// The section_number of the PAT that it stands in.
    section: u8,
    len: u16,
    bytes: [u8; LONGEST],
}

impl Program {
    /// Its PMT section, once it came.
    pub(super) fn pmt(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::from(self.len)).filter(|bytes| !bytes.is_empty())
    }
}

/// Puts the sections of one PID together.
#[derive(Clone, Debug, Default)]
struct Gather {
    pid: Pid,
    counter: Option<u8>,
    assembler: Assembler<LONGEST>,
}

impl Gather {
    fn push(&mut self, packet: Packet<'_>, section: impl FnMut(Section<'_>)) {
        let (start, counter) = (packet.payload_unit_start_indicator(), packet.continuity_counter());
        match self.counter.replace(counter) {
            // a duplicate; of one that starts a section nothing is lost by reading it again
            Some(last) if last == counter && !start => return,
            Some(last) if last.wrapping_add(1) & 0x0F != counter => self.assembler.reset(),
            Some(_) | None => {}
        }
        self.assembler.push(start, packet.payload(), section);
    }
}

#[derive(Clone, Debug)]
struct Listed {
    pat: [u8; LONGEST],
    pat_len: u16,
    network: Option<Pid>,
    programs: Vec<Program>,
    left_out: u64,
    changed: bool,
}

/// What a feed says of itself.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    listed: Listed,
    pat: Gather,
    pmts: Vec<Gather>,
    wanted: Bits,
    too_long: u64,
}

impl Tables {
    pub(super) fn new() -> Self {
        let listed = Listed {
            pat: [0; LONGEST],
            pat_len: 0,
            network: None,
            programs: Vec::with_capacity(MAX_PROGRAMS),
            left_out: 0,
            changed: false,
        };
        let mut wanted = Bits::default();
        wanted.set(Pid::PAT);
        Self { listed, pat: Gather::default(), pmts: Vec::with_capacity(MAX_PROGRAMS), wanted, too_long: 0 }
    }

    /// The bytes that one takes beside itself.
    pub(super) const fn memory() -> usize {
        MAX_PROGRAMS * (size_of::<Program>() + size_of::<Gather>())
    }

    /// Says what `other` says; sections under way are forgotten.
    pub(super) fn copy(&mut self, other: &Self) {
        self.listed.pat = other.listed.pat;
        self.listed.pat_len = other.listed.pat_len;
        self.listed.network = other.listed.network;
        self.listed.programs.clone_from(&other.listed.programs);
        self.pat = Gather::default();
        self.follow();
    }

    /// Whether packets of this PID say something.
    #[inline]
    pub(super) const fn wants(&self, pid: Pid) -> bool {
        self.wanted.has(pid)
    }

    /// Takes a packet; whether the feed now says something else than before.
    pub(super) fn packet(&mut self, packet: Packet<'_>) -> bool {
        if packet.transport_error_indicator() || packet.is_scrambled() || !packet.has_payload() {
            return false;
        }
        let pid = packet.pid();
        let Self { listed, pat, pmts, .. } = self;
        listed.changed = false;
        if pid == Pid::PAT {
            pat.push(packet, |section| listed.pat(section));
            if self.listed.changed {
                self.follow();
            }
        } else if let Some(gather) = pmts.iter_mut().find(|it| it.pid == pid) {
            gather.push(packet, |section| listed.pmt(pid, section));
            self.too_long += u64::from(starts_too_long(packet));
        }
        self.listed.changed
    }

    /// Programs that found no room and sections that are too long, since it was last asked.
    pub(super) fn take_left_out(&mut self) -> (u64, u64) {
        (core::mem::take(&mut self.listed.left_out), core::mem::take(&mut self.too_long))
    }

    /// Watches the PIDs that the PAT names.
    fn follow(&mut self) {
        let programs = &self.listed.programs;
        self.pmts.retain(|it| programs.iter().any(|program| program.pmt_pid == it.pid));
        self.wanted = Bits::default();
        self.wanted.set(Pid::PAT);
        for program in programs {
            let pid = program.pmt_pid;
            self.wanted.set(pid);
            if self.pmts.iter().all(|it| it.pid != pid) {
                self.pmts.push(Gather { pid, ..Gather::default() });
            }
        }
    }

    /// The first section of the PAT, once it came.
    pub(super) fn pat(&self) -> Option<&[u8]> {
        self.listed.pat.get(..usize::from(self.listed.pat_len)).filter(|bytes| !bytes.is_empty())
    }

    pub(super) fn transport_stream_id(&self) -> u16 {
        u16::from_be_bytes([self.listed.pat[3], self.listed.pat[4]])
    }

    /// The PID of the network's tables.
    pub(super) const fn network(&self) -> Option<Pid> {
        self.listed.network
    }

    pub(super) fn programs(&self) -> &[Program] {
        &self.listed.programs
    }

    /// Whether the PAT and a PMT of each of its programs came.
    pub(super) fn is_complete(&self) -> bool {
        self.pat().is_some() && self.programs().iter().all(|program| program.pmt().is_some())
    }
}

impl Listed {
    fn pat(&mut self, section: Section<'_>) {
        let (number, last) = (section.section_number(), section.last_section_number());
        let bytes = section.bytes();
        let known = number == 0 && self.pat.get(..usize::from(self.pat_len)) == Some(bytes);
        if known || section.table_id() != PAT || !is_usable(section) {
            return;
        }
        if number == 0 {
            keep(&mut self.pat, &mut self.pat_len, bytes);
            self.network = None;
            self.changed = true;
        }
        let (entries, _) = section.contents().as_chunks::<4>();
        let entries =
            entries.iter().map(|&[a, b, c, d]| (u16::from_be_bytes([a, b]), Pid::new(u16::from_be_bytes([c, d]))));
        let before = self.programs.len();
        self.programs.retain(|it| {
            it.section <= last
                && (it.section != number || entries.clone().any(|entry| entry == (it.number, it.pmt_pid)))
        });
        self.changed |= self.programs.len() != before;
        for (program, pid) in entries {
            if program == 0 {
                self.network = Some(pid);
            } else if self.programs.iter().any(|it| it.number == program) || pid.value() < 0x10 || pid == Pid::NULL {
                // listed already, or where no PMT can be
            } else if self.programs.len() == MAX_PROGRAMS {
                self.left_out += 1;
            } else {
                self.programs.push(Program {
                    number: program,
                    pmt_pid: pid,
                    section: number,
                    len: 0,
                    bytes: [0; LONGEST],
                });
                self.changed = true;
            }
        }
    }

    fn pmt(&mut self, pid: Pid, section: Section<'_>) {
        let (number, bytes) = (section.table_id_extension(), section.bytes());
        let Some(program) = self.programs.iter_mut().find(|it| it.number == number && it.pmt_pid == pid) else {
            return;
        };
        if section.table_id() != PMT || bytes.len() < SHORTEST || program.pmt() == Some(bytes) {
            return;
        }
        if is_usable(section) && section.section_number() == 0 {
            keep(&mut program.bytes, &mut program.len, bytes);
            self.changed = true;
        }
    }
}

fn is_usable(section: Section<'_>) -> bool {
    section.has_long_syntax() && section.is_current() && section.is_intact()
}

fn keep(to: &mut [u8; LONGEST], len: &mut u16, bytes: &[u8]) {
    if let (Some(to), Ok(size)) = (to.get_mut(..bytes.len()), u16::try_from(bytes.len())) {
        to.copy_from_slice(bytes);
        *len = size;
    }
}

/// Whether a PMT section starts here that is longer than one may be.
fn starts_too_long(packet: Packet<'_>) -> bool {
    let payload = packet.payload();
    let head = payload.first().and_then(|&pointer| payload.get(1 + usize::from(pointer)..));
    let Some(&[PMT, high, low, ..]) = head else { return false };
    packet.payload_unit_start_indicator() && usize::from(u16::from_be_bytes([high & 0x0F, low])) + 3 > LONGEST
}
