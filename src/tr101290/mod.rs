//! ETSI TR 101 290 V1.4.1, clause 5.2, packet by packet: which indicators a stream raises, when and where.
//!
//! - Absence is timed: a thing that must come raises its indicator when its limit passes, whether or not another packet
//!   ever comes. The driver calls [`Analyser::advance`] no later than at [`Analyser::deadline`].
//! - Nothing is dropped before it is counted: a packet whose sync byte is wrong, or with transport_error_indicator, is
//!   counted and then kept out of whatever would have to trust it.
//! - Nothing grows: every list has its size from the start, and what a stream announces beyond it is counted and left out.
//! - One detector a file. A detector has the state of its indicator, is told of what concerns it, and knows when it is due.

mod absence;
mod cat;
mod contents;
mod continuity;
mod count;
mod crc;
mod eit;
mod indicator;
mod nit;
mod pat;
mod pcr_accuracy;
mod pcr_discontinuity;
mod pcr_repetition;
mod pid;
mod pids;
mod pmt;
mod pts;
mod sdt;
mod sections;
mod settings;
mod si_repetition;
mod spacing;
mod structure;
mod sync_byte;
mod sync_loss;
mod tdt;
mod transport;
mod unreferenced;
mod watchers;

pub use contents::{MAX_CONTENTS, SpliceFigures, StreamFigures};
pub use count::{Count, LATEST, Observer, Occurrence, Place};
pub use indicator::Indicator;
pub use pcr_accuracy::MAX_CLOCKS;
pub use settings::Settings;
pub use structure::{MAX_PROGRAMS, MAX_STREAMS, Name, Program, Service, Stream};

use crate::measure::{accuracy, clock};
use crate::ts::stream::Kind;
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{BitRate, Instant, Pid};

use count::{Counts, Sink};
use pids::{Pids, Roles};
use sync_loss::SyncLoss;
use watchers::Watchers;

/// Watches one input.
///
/// What every packet needs lies together, in two cache lines and half of one for its PID; the rest is behind a pointer, so
/// that many inputs can be watched in turn.
#[derive(Debug)]
pub struct Analyser {
    counts: Counts,
    nulls: u64,
    missing: u64,
    deadline: Instant,
    sync_loss: SyncLoss,
    started: Option<Instant>,
    revision: u32,
    pids: Pids,
    watchers: Box<Watchers>,
}

impl Analyser {
    /// An analyser of an input from which nothing came yet.
    pub fn new(settings: &Settings) -> Self {
        let mut pids = Pids::default();
        let watchers = Box::new(Watchers::new(settings, &mut pids));
        Self {
            counts: Counts::default(),
            nulls: 0,
            missing: 0,
            deadline: Instant::NEVER,
            sync_loss: SyncLoss::default(),
            started: None,
            revision: 0,
            pids,
            watchers,
        }
    }

    /// Forgets the stream, so that what comes next is its first packet; only what was counted stays. `settings` are those it was
    /// made with. Allocates nothing.
    #[cold]
    pub fn restart(&mut self, settings: &Settings) {
        self.pids.clear();
        self.watchers.restart(settings, &mut self.pids);
        self.sync_loss = SyncLoss::default();
        self.started = None;
        self.deadline = Instant::NEVER;
        self.revision = self.revision.wrapping_add(1);
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
        if !packet.is_plain() || self.sync_loss.is_disturbed() {
            return self.other(packet, at, observer);
        }
        let pid = packet.pid();
        // before anything else is at hand that would have to be put aside for it
        let fingerprint = if pid == Pid::NULL { 0 } else { packet.fingerprint_without_pcr() };
        let state = self.pids.entry(pid);
        state.last_seen = at;
        state.packets += 1;
        let roles = state.roles;
        if pid == Pid::NULL {
            self.nulls += 1;
        } else if !state.continuity.follows(packet, fingerprint) {
            self.out_of_order(packet, fingerprint, at, observer);
        }
        if roles.need(false) {
            self.concerned(packet, roles, at, observer);
        }
        self.counts.packet += 1;
    }

    /// A packet that is not plain, or comes while synchronisation is in doubt: the same with all that this asks for.
    #[inline(never)]
    fn other(&mut self, packet: Packet<'_>, at: Instant, observer: &mut impl Observer) {
        if (!packet.is_sound() || self.sync_loss.is_disturbed()) && self.is_unsound(packet, at, observer) {
            self.counts.packet += 1;
            return;
        }
        let pid = packet.pid();
        let fingerprint = if packet.has_payload() && pid != Pid::NULL { packet.fingerprint() } else { 0 };
        let state = self.pids.entry(pid);
        state.last_seen = at;
        state.packets += 1;
        let roles = state.roles;
        if pid == Pid::NULL {
            self.nulls += 1;
        } else if !packet.has_payload() || !state.continuity.follows(packet, fingerprint) {
            self.out_of_order(packet, fingerprint, at, observer);
        }
        if roles.need(packet.has_start()) || packet.is_scrambled() {
            self.concerned(packet, roles, at, observer);
        }
        self.counts.packet += 1;
    }

    /// A packet of which the counter alone does not tell that it is in order.
    #[inline(never)]
    fn out_of_order(&mut self, packet: Packet<'_>, fingerprint: u64, at: Instant, observer: &mut impl Observer) {
        let state = self.pids.entry(packet.pid());
        if let Some(missing) = state.continuity.check(packet, fingerprint) {
            let place = Place::of(packet.pid(), state.program);
            self.broken(place, missing, at, observer);
        }
    }

    /// Whether a packet must not be believed, which is counted; one that need not be is a step towards synchronisation.
    #[cold]
    #[inline(never)]
    fn is_unsound(&mut self, packet: Packet<'_>, at: Instant, observer: &mut impl Observer) -> bool {
        let sink = &mut Sink { at, counts: &mut self.counts, observer };
        if sync_byte::check(packet, sink) {
            if self.sync_loss.bad(sink) {
                self.revision = self.revision.wrapping_add(1);
            }
            return true;
        }
        if self.sync_loss.is_disturbed() {
            self.sync_loss.good();
        }
        transport::check(packet, sink)
    }

    /// A packet that concerns more than its PID's continuity.
    #[inline(never)]
    fn concerned(&mut self, packet: Packet<'_>, roles: Roles, at: Instant, observer: &mut impl Observer) {
        let (pid, mut roles) = (packet.pid(), roles);
        if roles.has(Roles::UNSEEN) || roles.has(Roles::DROPPED) {
            self.first(pid, at);
            roles.remove(Roles::UNSEEN);
            roles.remove(Roles::DROPPED);
        }
        // most adaptation fields have nothing but stuffing
        let starts = packet.payload_unit_start_indicator() || packet.has_pcr() || roles.has(Roles::CONTENT);
        if !roles.need(starts && packet.has_start()) && !packet.is_scrambled() {
            return;
        }
        let state = self.pids.entry(pid);
        let (content, is_repeat) = (state.content, state.continuity.is_repeat());
        let sink = &mut Sink { at, counts: &mut self.counts, observer };
        if roles.only_contents() && !packet.has_start() && !packet.is_scrambled() {
            if !is_repeat && !self.watchers.contents.packet(packet, content, sink) {
                self.pids.entry(pid).roles.remove(Roles::READING);
            }
            return;
        }
        if self.watchers.packet(packet, roles, content, &mut self.pids, sink) {
            self.revision = self.revision.wrapping_add(1);
        }
        self.deadline = self.watchers.due();
    }

    /// The first packet of a PID, or the first since it lost its reference.
    #[cold]
    fn first(&mut self, pid: Pid, at: Instant) {
        let state = self.pids.entry(pid);
        state.roles.remove(Roles::UNSEEN);
        self.watchers.unreferenced.first(pid, &mut state.roles, at);
        if self.started.is_none() {
            self.started = Some(at);
            self.watchers.pat.0.want(at);
            self.revision = self.revision.wrapping_add(1);
        }
        self.deadline = self.watchers.due();
    }

    #[cold]
    fn broken(&mut self, place: Place, missing: u8, at: Instant, observer: &mut impl Observer) {
        self.missing += u64::from(missing);
        Sink { at, counts: &mut self.counts, observer }.raise(Indicator::ContinuityCountError, place);
        if let Some(pid) = place.pid.filter(|_| missing > 0) {
            self.watchers.sections.forget(pid);
        }
        self.lost();
    }

    /// Packets are missing, or may be, that no counter shows: what is measured by their places begins anew.
    pub fn lost(&mut self) {
        self.watchers.pcr_accuracy.lost();
    }

    /// Before this time no absence can fall due.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Raises every absence whose limit has passed at `now`, each at the time at which it did.
    #[cold]
    pub fn advance(&mut self, now: Instant, observer: &mut impl Observer) {
        while self.deadline <= now {
            let due = self.deadline;
            let sink = &mut Sink { at: due, counts: &mut self.counts, observer };
            self.watchers.advance(&mut self.pids, sink);
            self.deadline = self.watchers.due();
            debug_assert!(self.deadline > due, "what was due at {due:?} is due again");
            if self.deadline <= due {
                self.deadline = now + crate::units::Span::from_millis(1);
            }
        }
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
        &self.watchers.structure.programs
    }

    /// The elementary streams of all PMTs.
    pub fn streams(&self) -> &[Stream] {
        &self.watchers.structure.streams
    }

    /// The PIDs of conditional access, and the program whose PMT names each; none where it is the CAT.
    pub fn conditional_access(&self) -> impl Iterator<Item = (Pid, Option<u16>)> + '_ {
        self.watchers.structure.conditional_access.iter().map(|&(of, pid)| (pid, (of != 0).then_some(of)))
    }

    /// Programs, streams and PIDs of conditional access that were announced and found no room: of the first two,
    /// [`MAX_PROGRAMS`] and [`MAX_STREAMS`] find it. One counts again whenever its table changes.
    pub const fn left_out(&self) -> u64 {
        self.watchers.structure.left_out
    }

    /// When the thing that an absence indicator waits for was last there: of several, the one that has been missing
    /// longest. `wanted` confines it to places. None where nothing is waited for, or for an indicator that is no absence.
    pub fn last_there(&self, indicator: Indicator, wanted: impl Fn(Place) -> bool) -> Option<Instant> {
        let oldest = |times: &mut dyn Iterator<Item = (Place, Instant, bool)>| {
            times.filter(|&(place, ..)| wanted(place)).map(|(_, last, _)| last).min()
        };
        let watchers = &*self.watchers;
        match indicator {
            Indicator::TsSyncLoss => self.sync_loss.lost_since(),
            Indicator::PatError2 => watchers.pat.0.watch.map(|watch| watch.last),
            Indicator::PmtError2 => oldest(&mut watchers.pmt.watched()),
            Indicator::PidError => oldest(&mut watchers.pid.watched(&self.pids)),
            Indicator::PcrRepetitionError => oldest(&mut watchers.pcr_repetition.watched()),
            Indicator::PtsError => oldest(&mut watchers.pts.watched()),
            Indicator::NitActualError => watchers.nit.0.watch.map(|watch| watch.last),
            Indicator::SiRepetitionError => watchers.si_repetition.last(),
            Indicator::SdtActualError => watchers.sdt.0.watch.map(|watch| watch.last),
            Indicator::EitActualError => watchers.eit.last(),
            Indicator::TdtError => watchers.tdt.0.watch.map(|watch| watch.last),
            Indicator::SyncByteError
            | Indicator::ContinuityCountError
            | Indicator::TransportError
            | Indicator::CrcError
            | Indicator::PcrDiscontinuityIndicatorError
            | Indicator::PcrAccuracyError
            | Indicator::CatError
            | Indicator::UnreferencedPid => None,
        }
    }

    /// Whether what an absence indicator waits for is overdue now, by the analyser's own limit.
    pub fn is_absent(&self, indicator: Indicator) -> bool {
        fn any(mut times: impl Iterator<Item = (Place, Instant, bool)>) -> bool {
            times.any(|(.., absent)| absent)
        }
        let watchers = &*self.watchers;
        match indicator {
            Indicator::TsSyncLoss => self.sync_loss.lost_since().is_some(),
            Indicator::PatError2 => watchers.pat.0.is_absent(),
            Indicator::PmtError2 => any(watchers.pmt.watched()),
            Indicator::PidError => any(watchers.pid.watched(&self.pids)),
            Indicator::PcrRepetitionError => any(watchers.pcr_repetition.watched()),
            Indicator::PtsError => any(watchers.pts.watched()),
            Indicator::CatError => watchers.cat.absent,
            Indicator::NitActualError => watchers.nit.0.is_absent(),
            Indicator::SiRepetitionError => watchers.si_repetition.is_absent(),
            Indicator::SdtActualError => watchers.sdt.0.is_absent(),
            Indicator::EitActualError => watchers.eit.is_absent(),
            Indicator::TdtError => watchers.tdt.0.is_absent(),
            Indicator::SyncByteError
            | Indicator::ContinuityCountError
            | Indicator::TransportError
            | Indicator::CrcError
            | Indicator::PcrDiscontinuityIndicatorError
            | Indicator::PcrAccuracyError
            | Indicator::UnreferencedPid => false,
        }
    }

    /// When the last splice_info_section came (ANSI/SCTE 35), intact or encrypted.
    pub const fn last_splice(&self) -> Option<Instant> {
        self.watchers.contents.splice.last_any
    }

    /// The accuracy of the PCRs and the clock of each program, by the PID that carries them, of [`MAX_CLOCKS`] at most.
    pub fn clocks(&self, now: Instant) -> impl Iterator<Item = (Pid, accuracy::Figures, clock::Figures)> + '_ {
        self.watchers.pcr_accuracy.figures(now)
    }

    /// The rate of the whole stream by the first PCRs that give a constant one.
    pub fn constant_rate(&self) -> Option<BitRate> {
        self.watchers.pcr_accuracy.constant_rate()
    }

    /// What the SDT says of the services.
    pub fn services(&self) -> &[Service] {
        &self.watchers.structure.services
    }

    /// Splice information.
    pub const fn splice(&self) -> &SpliceFigures {
        &self.watchers.contents.splice
    }

    /// What is known of the contents of the first [`MAX_CONTENTS`] video and audio streams whose coding can be read.
    pub fn contents(&self) -> impl Iterator<Item = (Pid, &StreamFigures)> {
        self.watchers.contents.streams()
    }

    /// When video last carried caption data, CEA-608 or DTVCC.
    pub fn last_captions(&self) -> Option<Instant> {
        self.contents().flat_map(|(_, figures)| [figures.last_cea608, figures.last_dtvcc]).flatten().max()
    }

    /// When the first packet came.
    pub const fn started(&self) -> Option<Instant> {
        self.started
    }

    /// When a packet of a PID of this kind last came, of several that must come the one that has been missing longest;
    /// where the tables no longer list one, when they ceased to. None where they never listed one.
    pub fn last_of_kind(&self, kind: Kind, wanted: impl Fn(Place) -> bool) -> Option<Instant> {
        let is_kind = |pid: Pid| self.streams().iter().any(|s| s.pid == pid && s.description.kind == kind);
        let watched = self.watchers.pid.watched(&self.pids);
        let listed = watched.filter(|&(place, ..)| place.pid.is_some_and(is_kind) && wanted(place));
        listed.map(|(_, last, _)| last).min().or_else(|| self.watchers.ceased(kind))
    }

    /// Whether `pid` is one that comes all the time and carries pictures or sound.
    pub fn is_media(&self, pid: Pid) -> bool {
        self.streams().iter().any(|stream| stream.pid == pid && stream.description.kind.is_media())
    }
}
