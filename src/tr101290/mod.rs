//! ETSI TR 101 290 V1.4.1, clause 5.2, packet by packet: which indicators a stream raises, when and where.
//!
//! - Absence is timed: a thing that must come raises its indicator when its limit passes, whether or not another packet
//!   ever comes. The driver calls [`Analyser::advance`] no later than at [`Analyser::deadline`].
//! - Nothing is dropped before it is counted: a packet whose sync byte is wrong, or with transport_error_indicator, is
//!   counted and then kept out of whatever would have to trust it.
//! - Nothing grows: every list has its size from the start, and what a stream announces beyond it is counted and left out.

mod absence;
mod continuity;
mod count;
mod indicator;
mod pids;
mod references;
mod scrambling;
mod settings;
mod sync;
mod tables;

pub use count::{Count, LATEST, Observer, Occurrence};
pub use indicator::Indicator;
pub use settings::Settings;
pub use tables::{MAX_PROGRAMS, MAX_STREAMS, Program, Stream};

use crate::ts::section::{Assembler, MAX_SECTION};
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{Instant, Pid};

use count::{Counts, Sink};
use pids::{Pids, Roles};
use references::References;
use scrambling::Scrambling;
use sync::Sync;
use tables::Tables;

/// The longest section of a PAT, CAT or PMT (ISO/IEC 13818-1 2.4.4.3: section_length at most 1021).
const MAX_PSI: usize = 1024;
/// PIDs of the SI tables whose CRC_32 is watched: NIT, SDT and BAT, EIT, TOT (EN 300 468 table 1).
const SI_PIDS: [u16; 4] = [0x10, 0x11, 0x12, 0x14];

/// Watches one input.
///
/// What every packet needs lies together, in two cache lines and one for its PID; the rest is behind pointers, so that many
/// inputs can be watched in turn.
#[derive(Debug)]
pub struct Analyser {
    counts: Counts,
    nulls: u64,
    missing: u64,
    sync: Sync,
    pids: Pids,
    tables: Box<Tables>,
    references: Box<References>,
    scrambling: Box<Scrambling>,
    sections: Box<Sections>,
    deadline: Instant,
    revision: u32,
}

/// The assemblers of the PIDs that carry sections.
#[derive(Debug)]
struct Sections {
    psi: Box<[Assembler<MAX_PSI>; 2]>,
    si: Box<[Assembler<MAX_SECTION>; SI_PIDS.len()]>,
    pmt: Vec<(Pid, Assembler<MAX_PSI>)>,
}

impl Sections {
    fn new() -> Self {
        Self { psi: Box::default(), si: Box::default(), pmt: vec![(Pid::NULL, Assembler::default()); MAX_PROGRAMS] }
    }

    /// Gives each PMT PID an assembler; those that go on being PMT PIDs keep theirs.
    fn follow(&mut self, tables: &Tables, pids: &mut Pids) {
        for (pid, _) in &mut self.pmt {
            if *pid != Pid::NULL && !tables.programs.iter().any(|p| p.pmt_pid == *pid) {
                pids.entry(*pid).roles.remove(Roles::SECTIONS);
                *pid = Pid::NULL;
            }
        }
        for program in &tables.programs {
            let known = program.pmt_pid == Pid::NULL || self.pmt.iter().any(|(pid, _)| *pid == program.pmt_pid);
            let free = self.pmt.iter_mut().find(|(pid, _)| *pid == Pid::NULL);
            if let (false, Some((pid, assembler))) = (known, free) {
                *pid = program.pmt_pid;
                assembler.reset();
                pids.entry(*pid).roles.add(Roles::SECTIONS);
            }
        }
        restore_fixed_roles(pids);
    }
}

fn restore_fixed_roles(pids: &mut Pids) {
    for pid in [Pid::PAT, Pid::CAT].into_iter().chain(SI_PIDS.map(Pid::new)) {
        pids.entry(pid).roles.add(Roles::SECTIONS);
    }
}

impl Analyser {
    /// An analyser of an input from which nothing came yet.
    pub fn new(settings: &Settings) -> Self {
        let mut pids = Pids::default();
        restore_fixed_roles(&mut pids);
        Self {
            counts: Counts::default(),
            nulls: 0,
            missing: 0,
            sync: Sync::default(),
            pids,
            tables: Box::new(Tables::new(settings)),
            references: Box::new(References::new(settings)),
            scrambling: Box::new(Scrambling::new(settings)),
            sections: Box::new(Sections::new()),
            deadline: Instant::NEVER,
            revision: 0,
        }
    }

    /// Changes whenever something else is waited for than before: judgements of absences must be looked at again.
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// The next packet of the input, received at `at`.
    #[inline]
    pub fn packet(&mut self, at: Instant, bytes: &[u8; PACKET_SIZE], observer: &mut impl Observer) {
        if self.deadline <= at {
            self.advance(at, observer);
        }
        let packet = Packet::new(bytes);
        let sink = &mut Sink { at, counts: &mut self.counts, observer };
        if !packet.is_synchronised() {
            sink.raise(Indicator::SyncByteError, None);
            if self.sync.bad(at) {
                sink.raise(Indicator::TsSyncLoss, None);
                self.revision = self.revision.wrapping_add(1);
            }
            sink.counts.packet += 1;
            return;
        }
        if self.sync.is_disturbed() {
            self.sync.good();
        }
        let pid = packet.pid();
        if packet.transport_error_indicator() {
            sink.raise(Indicator::TransportError, Some(pid));
            sink.counts.packet += 1;
            return;
        }
        let state = self.pids.entry(pid);
        state.last_seen = at;
        state.packets += 1;
        let roles = state.roles;
        let first = state.packets == 1;
        if pid == Pid::NULL {
            self.nulls += 1;
        } else {
            if let Some(missing) = state.continuity.check(packet) {
                self.broken(packet, missing, at, observer);
            }
            let starts = packet.has_adaptation_field() || packet.payload_unit_start_indicator();
            if roles.need_all() || roles.any() && starts || packet.is_scrambled() {
                self.special(packet, roles, at, observer);
            }
        }
        if first && self.tables.pat.is_none() {
            self.first(at);
        }
        self.counts.packet += 1;
    }

    #[cold]
    fn first(&mut self, at: Instant) {
        self.tables.start(at);
        self.revision = self.revision.wrapping_add(1);
        self.refresh_deadline();
    }

    #[cold]
    fn broken(&mut self, packet: Packet<'_>, missing: u8, at: Instant, observer: &mut impl Observer) {
        let pid = packet.pid();
        self.missing += u64::from(missing);
        Sink { at, counts: &mut self.counts, observer }.raise(Indicator::ContinuityCountError, Some(pid));
        // the section that was begun lacks a part: without this its CRC would be counted for a packet that never came
        if let Some(assembler) = self.sections.pmt.iter_mut().find(|(p, _)| *p == pid) {
            assembler.1.reset();
        } else if let Some(assembler) = self.sections.psi.get_mut(pid.index()) {
            assembler.reset();
        } else if let Some(i) = SI_PIDS.iter().position(|&p| p == pid.value()) {
            self.sections.si[i].reset();
        }
    }

    /// A packet of a PID that has to do with the program structure, or that is scrambled.
    fn special(&mut self, packet: Packet<'_>, roles: Roles, at: Instant, observer: &mut impl Observer) {
        let pid = packet.pid();
        if roles.has(Roles::ABSENT) {
            self.references.returned(pid, at);
            self.pids.entry(pid).roles.remove(Roles::ABSENT);
        }
        let sink = &mut Sink { at, counts: &mut self.counts, observer };
        if roles.has(Roles::PCR) && packet.has_pcr() {
            self.references.pcr(packet, sink);
        }
        if packet.is_scrambled() {
            self.scrambling.seen(at, self.tables.cat_seen);
            if roles.has(Roles::SECTIONS) {
                let is_pmt = self.tables.programs.iter().any(|p| p.pmt_pid == pid);
                match pid {
                    Pid::PAT => sink.raise(Indicator::PatError2, Some(pid)),
                    pid if is_pmt => sink.raise(Indicator::PmtError2, Some(pid)),
                    _ => {}
                }
            }
            // its presence is all that a scrambled PES packet shows
            if roles.has(Roles::MEDIA) {
                self.references.pts(pid, at);
            }
        } else {
            if roles.has(Roles::MEDIA) && packet.starts_with_pts() {
                self.references.pts(pid, at);
            }
            if roles.has(Roles::SECTIONS) {
                self.section_packet(packet, at, observer);
            }
        }
        self.refresh_deadline();
    }

    fn section_packet(&mut self, packet: Packet<'_>, at: Instant, observer: &mut impl Observer) {
        let (pid, start, payload) = (packet.pid(), packet.payload_unit_start_indicator(), packet.payload());
        let mut sink = Sink { at, counts: &mut self.counts, observer };
        let tables = &mut self.tables;
        let section = |section: crate::ts::section::Section<'_>| tables.section(pid, section, &mut sink);
        if let Some(assembler) = self.sections.psi.get_mut(pid.index()) {
            assembler.push(start, payload, section);
        } else if let Some(i) = SI_PIDS.iter().position(|&p| p == pid.value()) {
            self.sections.si[i].push(start, payload, section);
        } else if let Some((_, assembler)) = self.sections.pmt.iter_mut().find(|(p, _)| *p == pid) {
            assembler.push(start, payload, section);
        }
        if core::mem::take(&mut self.tables.changed) {
            self.sections.follow(&self.tables, &mut self.pids);
            self.references.follow(&self.tables, &mut self.pids, at);
            self.revision = self.revision.wrapping_add(1);
        }
    }

    /// Before this time no absence can fall due.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    fn refresh_deadline(&mut self) {
        self.deadline = self
            .tables
            .due
            .min(self.references.pid_due)
            .min(self.references.pcr_due)
            .min(self.references.pts_due)
            .min(self.scrambling.due);
    }

    /// Raises every absence whose limit has passed at `now`.
    #[cold]
    pub fn advance(&mut self, now: Instant, observer: &mut impl Observer) {
        let sink = &mut Sink { at: now, counts: &mut self.counts, observer };
        if self.tables.due <= now {
            self.tables.advance(sink);
        }
        self.references.advance(&mut self.pids, sink);
        if self.scrambling.due <= now {
            self.scrambling.advance(self.tables.cat_seen, sink);
        }
        self.refresh_deadline();
    }

    /// How often, when and where an indicator was raised.
    pub const fn count(&self, indicator: Indicator) -> &Count {
        &self.counts.by_indicator[indicator.index()]
    }

    /// Packets received, whatever they were.
    pub const fn packets(&self) -> u64 {
        self.counts.packet
    }

    /// Of those, null packets.
    pub const fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Packets that the continuity counters say are missing; a PID that lost 16 looks as if it had lost none.
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// The PIDs that came, and the packets of each.
    pub fn pids(&self) -> impl Iterator<Item = (Pid, u64)> + '_ {
        self.pids.iter().map(|(pid, state)| (pid, state.packets)).filter(|&(_, packets)| packets > 0)
    }

    /// The programs of the PAT.
    pub fn programs(&self) -> &[Program] {
        &self.tables.programs
    }

    /// The elementary streams of all PMTs.
    pub fn streams(&self) -> &[Stream] {
        &self.tables.streams
    }

    /// Programs and streams that were announced and found no room, [`MAX_PROGRAMS`] and [`MAX_STREAMS`].
    pub const fn left_out(&self) -> u64 {
        self.tables.left_out
    }

    /// When the thing that an absence indicator waits for was last there: of several, the one that has been missing
    /// longest. `wanted` confines it to PIDs. None where nothing is waited for, or for an indicator that is no absence.
    pub fn last_there(&self, indicator: Indicator, wanted: impl Fn(Pid) -> bool) -> Option<Instant> {
        let oldest = |times: &mut dyn Iterator<Item = (Pid, Instant, bool)>| {
            times.filter(|&(pid, ..)| wanted(pid)).map(|(_, last, _)| last).min()
        };
        match indicator {
            Indicator::TsSyncLoss => self.sync.lost_since(),
            Indicator::PatError2 => self.tables.pat.map(|watch| watch.last),
            Indicator::PmtError2 => self.tables.programs.iter().map(|p| p.watch.last).min(),
            Indicator::PidError => oldest(&mut self.references.pids(&self.pids)),
            Indicator::PcrRepetitionError => oldest(&mut self.references.pcrs()),
            Indicator::PtsError => oldest(&mut self.references.all_pts()),
            Indicator::SyncByteError
            | Indicator::ContinuityCountError
            | Indicator::TransportError
            | Indicator::CrcError
            | Indicator::PcrDiscontinuityIndicatorError
            | Indicator::PcrAccuracyError
            | Indicator::CatError => None,
        }
    }

    /// Whether what an absence indicator waits for is overdue now, by the analyser's own limit.
    pub fn is_absent(&self, indicator: Indicator) -> bool {
        fn any(mut times: impl Iterator<Item = (Pid, Instant, bool)>) -> bool {
            times.any(|(.., absent)| absent)
        }
        match indicator {
            Indicator::TsSyncLoss => self.sync.lost_since().is_some(),
            Indicator::PatError2 => self.tables.pat.is_some_and(|watch| watch.absent),
            Indicator::PmtError2 => self.tables.programs.iter().any(|p| p.watch.absent),
            Indicator::PidError => any(self.references.pids(&self.pids)),
            Indicator::PcrRepetitionError => any(self.references.pcrs()),
            Indicator::PtsError => any(self.references.all_pts()),
            Indicator::CatError => self.scrambling.absent,
            Indicator::SyncByteError
            | Indicator::ContinuityCountError
            | Indicator::TransportError
            | Indicator::CrcError
            | Indicator::PcrDiscontinuityIndicatorError
            | Indicator::PcrAccuracyError => false,
        }
    }

    /// Whether `pid` is one that comes all the time and carries pictures or sound.
    pub fn is_media(&self, pid: Pid) -> bool {
        self.tables.kind(pid).is_some_and(crate::ts::stream::Kind::is_media)
    }
}
