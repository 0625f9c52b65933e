//! The output's programs, streams and PIDs, and its PAT and PMTs.
//!
//! A PID that was given stays what it is. A stream that the feed on air has nothing for keeps its PID and is left out of the
//! PMT until there is something for it again, and a program likewise is left out of the PAT: what is listed is there.

use super::MAX_PROGRAMS;
use super::bits::Bits;
use super::counter::OutPid;
use super::plan::Plan;
use super::pmt::{self, LONGEST};
use super::psi::Table;
use super::routes::{ClockRoute, Role, Routes};
use super::tables::{self, Tables};
use crate::ts::stream::Kind;
use crate::ts::{PACKET_SIZE, Packet, PidTable};
use crate::units::Pid;

/// The most PIDs of streams and ECMs that an output ever has.
pub(super) const MAX_SLOTS: usize = 192;

/// What a stream is told from the others by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) codec: &'static str,
    pub(super) language: Option<[u8; 3]>,
    pub(super) audio_type: Option<u8>,
}

/// A stream of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) program: u8,
    pub(super) pid: Pid,
    /// What it was at first; none of ECMs.
    pub(super) key: Option<Key>,
    /// What the feed on air has for it.
    pub(super) now: Option<Key>,
}

/// A program of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) number: u16,
    pub(super) pmt_pid: Pid,
    pub(super) pcr_pid: Option<Pid>,
    /// The program of the feed on air, as a place in its tables.
    source: Option<u8>,
    table: Table,
    /// When its PMT was last begun.
    turn: u32,
}

/// What the output is made of.
#[derive(Debug)]
pub(super) struct Layout {
    transport_stream_id: u16,
    pat: Table,
    programs: Vec<Program>,
    slots: Vec<Slot>,
    used: Bits,
    turn: u32,
    section: [u8; LONGEST],
}

impl Layout {
    pub(super) fn new() -> Self {
        Self {
            transport_stream_id: 0,
            pat: Table::default(),
            programs: Vec::with_capacity(MAX_PROGRAMS),
            slots: Vec::with_capacity(MAX_SLOTS),
            used: Bits::default(),
            turn: 0,
            section: [0; LONGEST],
        }
    }

    /// The bytes that it takes beside itself.
    pub(super) const fn memory() -> usize {
        MAX_PROGRAMS * size_of::<Program>() + MAX_SLOTS * size_of::<Slot>()
    }

    /// Whether no feed has defined it yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    pub(super) fn programs(&self) -> &[Program] {
        &self.programs
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether a PID of the output means something.
    pub(super) const fn uses(&self, pid: Pid) -> bool {
        self.used.has(pid)
    }

    /// Whether a PID of the output is a PMT's.
    pub(super) fn has_table(&self, pid: Pid) -> bool {
        self.programs.iter().any(|program| program.pmt_pid == pid)
    }

    /// The PCR PIDs of the programs that are on air, each once.
    pub(super) fn clocks(&self) -> impl Iterator<Item = Pid> + '_ {
        let pid = |program: &Program| program.pcr_pid.filter(|_| program.source.is_some());
        let earlier = move |at: usize| self.programs.iter().take(at).filter_map(pid);
        let all = self.programs.iter().enumerate();
        all.filter_map(move |(at, program)| pid(program).filter(|pid| earlier(at).all(|it| it != *pid)))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.pat = Table::default();
        self.programs.clear();
        self.slots.clear();
        self.used = Bits::default();
    }

    /// Whether these are, as far as they are known, the tables that were taken as they are.
    pub(super) fn is_same(&self, tables: &Tables) -> bool {
        self.pat.section() == tables.pat()
            && tables.programs().iter().all(|program| {
                let own = self.programs.iter().find(|it| it.number == program.number && it.pmt_pid == program.pmt_pid);
                own.is_some_and(|own| program.pmt().zip(own.table.section()).is_none_or(|(a, b)| a == b))
            })
    }

    /// Makes room for what `plan` found no place for, and says where all of the feed's PIDs go. With `own`, they keep
    /// their PIDs. How much found no room.
    pub(super) fn apply(
        &mut self,
        plan: &Plan,
        tables: &Tables,
        routes: &mut Routes,
        pids: Option<(&PidTable<OutPid>, usize)>,
    ) -> u64 {
        let mut left_out = plan.left_out;
        routes.begin();
        self.programs.iter_mut().for_each(|program| program.source = None);
        self.slots.iter_mut().for_each(|slot| slot.now = None);
        let mut given = [None; MAX_PROGRAMS];
        for (at, (to, program)) in given.iter_mut().zip(tables.programs()).enumerate() {
            let place = plan.programs.get(at).copied().flatten().or_else(|| self.add(program, pids));
            *to = place;
            let Some((place, own)) =
                place.and_then(|place| Some((u8::try_from(place).ok()?, self.programs.get_mut(place)?)))
            else {
                left_out += 1;
                continue;
            };
            own.source = u8::try_from(at).ok();
            routes.set(program.pmt_pid, own.pmt_pid, Role::Table, None, place);
            if routes.programs.iter().all(|it| it.0 != program.number) {
                if routes.programs.len() == MAX_PROGRAMS {
                    routes.programs.remove(0);
                }
                routes.programs.push((program.number, place));
            }
        }
        for one in plan.wanted() {
            let Some(program) = given.get(one.program).copied().flatten().and_then(|it| u8::try_from(it).ok()) else {
                continue;
            };
            let slot = one.slot.or_else(|| {
                let pid = if self.slots.len() < MAX_SLOTS { self.free(one.pid, pids) } else { None }?;
                self.slots.push(Slot { program, pid, key: one.key, now: None });
                Some(self.slots.len() - 1)
            });
            let slot = slot.and_then(|slot| self.slots.get_mut(slot));
            match slot {
                Some(slot) if routes.set(one.pid, slot.pid, one.role, one.key, program) => slot.now = one.key,
                Some(_) | None => left_out += 1,
            }
        }
        for (place, program) in given.into_iter().zip(tables.programs()) {
            let pcr = program.pmt().and_then(pmt::pcr_pid).filter(|pid| pid.value() >= 0x10 && !tables.wants(*pid));
            if let (Some(place), Some(pcr)) = (place, pcr) {
                self.clock(place, pcr, routes, pids);
            }
        }
        left_out
    }

    fn add(&mut self, program: &tables::Program, pids: Option<(&PidTable<OutPid>, usize)>) -> Option<usize> {
        if self.programs.len() == MAX_PROGRAMS {
            return None;
        }
        // several programs of one feed may have their PMTs on one PID
        let pmt_pid = if pids.is_none() { program.pmt_pid } else { self.free(program.pmt_pid, pids)? };
        self.used.set(pmt_pid);
        let is_free = |number: u16| self.programs.iter().all(|it| it.number != number);
        let number = core::iter::once(program.number).chain(1..=u16::MAX).find(|&number| is_free(number))?;
        let new = Program { number, pmt_pid, pcr_pid: None, source: None, table: Table::default(), turn: 0 };
        self.programs.push(new);
        Some(self.programs.len() - 1)
    }

    /// Where the PCRs of a program go: to the PCR_PID of the output's, whatever they come on.
    fn clock(&mut self, place: usize, pcr: Pid, routes: &mut Routes, pids: Option<(&PidTable<OutPid>, usize)>) {
        let known = self.programs.get(place).and_then(|program| program.pcr_pid);
        let carried = routes.get(pcr).map(|route| route.out);
        let Some(out) = known.or(carried).or_else(|| self.free(pcr, pids)) else { return };
        if let Some(program) = self.programs.get_mut(place) {
            program.pcr_pid = Some(out);
        }
        self.used.set(out);
        routes.set(pcr, out, Role::Clock, None, u8::try_from(place).unwrap_or(0));
        routes.clocks.push(ClockRoute { pid: pcr, out });
    }

    /// A PID for what the feed has on `own`: that, unless somebody else has or had it; then the first that nobody has.
    fn free(&mut self, own: Pid, pids: Option<(&PidTable<OutPid>, usize)>) -> Option<Pid> {
        let Some((pids, feed)) = pids else {
            self.used.set(own);
            return Some(own);
        };
        let is_own_free = own.value() >= 0x20
            && own != Pid::NULL
            && !self.used.has(own)
            && pids.get(own).is_none_or(|pid| !pid.is_of_another(feed));
        let others = || (0x100..Pid::NULL.value()).map(Pid::new);
        let is_free = |pid: &Pid| !self.used.has(*pid) && pids.get(*pid).is_none_or(|pid| !pid.is_used());
        let pid = if is_own_free { Some(own) } else { others().find(is_free) }?;
        self.used.set(pid);
        Some(pid)
    }

    /// Takes the tables of the feed on air as they are.
    pub(super) fn take(&mut self, tables: &Tables) {
        self.transport_stream_id = tables.transport_stream_id();
        if let Some(pat) = tables.pat() {
            self.pat.take(pat);
        }
        for (own, section) in of_source(&mut self.programs, tables) {
            own.table.take(section);
        }
    }

    /// Makes the tables from those of the feed on air.
    pub(super) fn build(&mut self, tables: &Tables, routes: &Routes) {
        let network = tables.network().map(|pid| (0, pid));
        let listed = self.programs.iter().filter(|program| program.source.is_some());
        let programs = listed.map(|program| (program.number, program.pmt_pid));
        let len = pmt::pat(self.transport_stream_id, network.into_iter().chain(programs), &mut self.section);
        self.pat.offer(self.section.get_mut(..len).unwrap_or(&mut []));
        let out = |pid| routes.get(pid).filter(|it| !matches!(it.role, Role::Table | Role::Clock)).map(|it| it.out);
        for (own, section) in of_source(&mut self.programs, tables) {
            let len = pmt::rewrite(section, own.number, own.pcr_pid, out, &mut self.section);
            own.table.offer(self.section.get_mut(..len).unwrap_or(&mut []));
        }
    }

    /// Writes the next packet of the tables into the place of a packet that the feed on air has on `pid`, its counter
    /// aside; the PID that it is of. None where there is nothing to send.
    pub(super) fn place(
        &mut self,
        tables: &Tables,
        pid: Pid,
        start: bool,
        bytes: &mut [u8; PACKET_SIZE],
    ) -> Option<Pid> {
        if pid == Pid::PAT {
            return self.pat.packet(Pid::PAT, start, bytes).then_some(Pid::PAT);
        }
        let listed = |program: &Program| {
            let source = usize::from(program.source?);
            // of a feed that is not known yet, those of the feed before stay, and so do their places
            tables.pat().map_or(Some(program.pmt_pid), |_| tables.programs().get(source).map(|it| it.pmt_pid))
        };
        let is_of_place = |program: &Program| listed(program) == Some(pid);
        let is_due = |program: &Program| {
            let shares = |other: &Program| is_of_place(other) && other.pmt_pid == program.pmt_pid;
            program.table.is_midway() && self.programs.iter().any(shares)
        };
        let midway = self.programs.iter().position(is_due);
        let candidates =
            self.programs.iter().enumerate().filter(|(_, it)| is_of_place(it) && it.table.section().is_some());
        let next = candidates.min_by_key(|(_, program)| program.turn).map(|(at, _)| at).filter(|_| start);
        self.packet(midway.or(next)?, bytes)
    }

    /// Writes the next packet of a program's PMT.
    fn packet(&mut self, program: usize, bytes: &mut [u8; PACKET_SIZE]) -> Option<Pid> {
        let program = self.programs.get_mut(program)?;
        if !program.table.is_midway() {
            self.turn = self.turn.wrapping_add(1);
            program.turn = self.turn;
        }
        program.table.packet(program.pmt_pid, true, bytes).then_some(program.pmt_pid)
    }

    /// How many tables there are: the PAT and the PMTs.
    pub(super) const fn tables(&self) -> usize {
        1 + self.programs.len()
    }

    /// Whether there is anything to send of a table, as told by [`Layout::tables`]: one that was begun, or, unless `only`
    /// these are asked for, one that is on air.
    pub(super) fn is_due(&self, table: usize, only: bool) -> bool {
        let Some(program) = table.checked_sub(1) else {
            return self.pat.is_midway() || !only && self.pat.section().is_some();
        };
        self.programs.get(program).is_some_and(|program| {
            program.table.is_midway() || !only && program.source.is_some() && program.table.section().is_some()
        })
    }

    /// Writes the next packet of a table, its counter aside; the PID that it is of.
    pub(super) fn table(&mut self, table: usize, bytes: &mut [u8; PACKET_SIZE]) -> Option<Pid> {
        match table.checked_sub(1) {
            None => self.pat.packet(Pid::PAT, true, bytes).then_some(Pid::PAT),
            Some(program) => self.packet(program, bytes),
        }
    }

    /// Takes note of a packet of the tables that the feed on air sends itself.
    pub(super) fn follow(&mut self, packet: Packet<'_>) {
        if packet.pid() == Pid::PAT {
            self.pat.follow(packet);
        }
        for program in self.programs.iter_mut().filter(|it| it.pmt_pid == packet.pid()) {
            program.table.follow(packet);
        }
    }
}

/// The programs of the output that the feed on air has a PMT for.
fn of_source<'a>(programs: &'a mut [Program], tables: &'a Tables) -> impl Iterator<Item = (&'a mut Program, &'a [u8])> {
    programs.iter_mut().filter_map(|own| {
        let section = tables.programs().get(usize::from(own.source?))?.pmt()?;
        Some((own, section))
    })
}
