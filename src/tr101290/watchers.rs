//! All that a packet may concern besides its own header: the detectors, and the structure that they follow.

use super::cat::CatError;
use super::contents::Contents;
use super::count::{Observer, Place, Sink};
use super::eit::EitActualError;
use super::nit::NitActualError;
use super::pat::PatError2;
use super::pcr_accuracy::PcrAccuracyError;
use super::pcr_discontinuity::PcrDiscontinuityIndicatorError;
use super::pcr_repetition::PcrRepetitionError;
use super::pid::PidError;
use super::pids::{Pids, Roles};
use super::pmt::PmtError2;
use super::pts::PtsError;
use super::sdt::SdtActualError;
use super::sections::Sections;
use super::si_repetition::SiRepetitionError;
use super::spacing::Spacing;
use super::structure::{Structure, table};
use super::tdt::TdtError;
use super::unreferenced::UnreferencedPid;
use super::{Settings, crc};
use crate::ts::Packet;
use crate::ts::section::Section;
use crate::ts::stream::Kind;
use crate::units::{Instant, Pid};

#[derive(Debug)]
pub(super) struct Watchers {
    pub(super) structure: Structure,
    pub(super) sections: Sections,
    pub(super) pat: PatError2,
    pub(super) pmt: PmtError2,
    pub(super) pid: PidError,
    pub(super) pcr_repetition: PcrRepetitionError,
    pcr_discontinuity: PcrDiscontinuityIndicatorError,
    pub(super) pcr_accuracy: PcrAccuracyError,
    pub(super) pts: PtsError,
    pub(super) cat: CatError,
    pub(super) nit: NitActualError,
    pub(super) si_repetition: SiRepetitionError,
    pub(super) unreferenced: UnreferencedPid,
    pub(super) sdt: SdtActualError,
    pub(super) eit: EitActualError,
    pub(super) tdt: TdtError,
    spacing: Spacing,
    pub(super) contents: Contents,
    /// Video and audio: since when no table lists one any more.
    ceased: [(Kind, Listed); 2],
}

/// Whether the tables list a stream of a kind.
#[derive(Clone, Copy, Debug)]
enum Listed {
    Never,
    Now,
    Until(Instant),
}

impl Watchers {
    pub(super) fn new(settings: &Settings, pids: &mut Pids) -> Self {
        Self {
            structure: Structure::new(),
            sections: Sections::new(pids),
            pat: PatError2::new(settings),
            pmt: PmtError2::new(settings),
            pid: PidError::new(settings),
            pcr_repetition: PcrRepetitionError::new(settings),
            pcr_discontinuity: PcrDiscontinuityIndicatorError::new(),
            pcr_accuracy: PcrAccuracyError::new(),
            pts: PtsError::new(settings),
            cat: CatError::new(settings),
            nit: NitActualError::new(settings),
            si_repetition: SiRepetitionError::new(settings),
            unreferenced: UnreferencedPid::new(settings),
            sdt: SdtActualError::new(settings),
            eit: EitActualError::new(settings),
            tdt: TdtError::new(settings),
            spacing: Spacing::new(settings.si_gap),
            contents: Contents::new(settings),
            ceased: [(Kind::Video, Listed::Never), (Kind::Audio, Listed::Never)],
        }
    }

    /// Forgets the stream, for `pids` that know nothing any more: as it was when it was made.
    pub(super) fn restart(&mut self, settings: &Settings, pids: &mut Pids) {
        self.structure.clear();
        self.sections.clear(pids);
        self.pat = PatError2::new(settings);
        self.pmt.clear();
        self.pid.clear();
        self.pcr_repetition.clear();
        self.pcr_discontinuity.clear();
        self.pcr_accuracy.clear();
        self.pts.clear();
        self.cat = CatError::new(settings);
        self.nit = NitActualError::new(settings);
        self.si_repetition = SiRepetitionError::new(settings);
        self.unreferenced.clear();
        self.sdt = SdtActualError::new(settings);
        self.eit = EitActualError::new(settings);
        self.tdt = TdtError::new(settings);
        self.spacing = Spacing::new(settings.si_gap);
        self.contents.clear();
        self.ceased = [(Kind::Video, Listed::Never), (Kind::Audio, Listed::Never)];
    }

    /// When the tables ceased to list any stream of this kind.
    pub(super) fn ceased(&self, kind: Kind) -> Option<Instant> {
        self.ceased.iter().find_map(|(it, listed)| match listed {
            Listed::Until(at) if *it == kind => Some(*at),
            Listed::Never | Listed::Now | Listed::Until(_) => None,
        })
    }

    /// A packet of a PID that has a role, or that is scrambled; true where it changed what is waited for.
    pub(super) fn packet<O: Observer>(
        &mut self,
        packet: Packet<'_>,
        roles: Roles,
        content: u8,
        pids: &mut Pids,
        sink: &mut Sink<'_, O>,
    ) -> bool {
        let (pid, at) = (packet.pid(), sink.at);
        if roles.has(Roles::ABSENT) {
            self.pid.returned(pid, at);
            pids.entry(pid).roles.remove(Roles::ABSENT);
        }
        if roles.has(Roles::PCR)
            && let Some(pcr) = packet.pcr()
        {
            let step = self.pcr_discontinuity.pcr(packet, pcr, sink);
            self.pcr_repetition.pcr(pid, step, sink);
            self.pcr_accuracy.pcr(pid, pcr, packet.discontinuity_indicator(), sink);
        }
        if packet.is_scrambled() {
            self.cat.scrambled(at);
            if pid == Pid::PAT {
                PatError2::scrambled(sink);
            } else if roles.has(Roles::SECTIONS) {
                self.pmt.scrambled(pid, sink);
            }
            // its presence is all that a scrambled PES packet shows
            if roles.has(Roles::PTS) {
                self.pts.seen(pid, at);
            }
            return false;
        }
        if roles.has(Roles::PTS) && packet.starts_with_pts() {
            self.pts.seen(pid, at);
        }
        if roles.has(Roles::CONTENT) && packet.has_payload() && !pids.entry(pid).continuity.is_repeat() {
            let goes_on = self.contents.packet(packet, content, sink);
            if goes_on != roles.has(Roles::READING) {
                let roles = &mut pids.entry(pid).roles;
                if goes_on { roles.add(Roles::READING) } else { roles.remove(Roles::READING) }
            }
        }
        roles.has(Roles::SECTIONS) && self.section_packet(packet, pids, sink)
    }

    fn section_packet<O: Observer>(&mut self, packet: Packet<'_>, pids: &mut Pids, sink: &mut Sink<'_, O>) -> bool {
        let pid = packet.pid();
        let state = pids.entry(pid);
        let (place, is_repeat) = (Place::of(pid, state.program), state.continuity.is_repeat());
        if is_repeat {
            // what goes on with a section did so before; what begins one begins it anew
            if !packet.payload_unit_start_indicator() {
                return false;
            }
            self.sections.forget(pid);
        }
        let Self { structure, sections, pat, pmt, cat, nit, si_repetition, sdt, eit, tdt, spacing, contents, .. } =
            self;
        let (mut new_programs, mut changed) = (false, false);
        sections.push(packet, |section| {
            if crc::check(place, section, sink) {
                return;
            }
            let too_close = is_si(pid) && !is_repeat && spacing.is_too_close(pid, section, sink.at);
            if is_si(pid) {
                sdt.0.want(sink.at);
                si_repetition.section(pid, section, too_close, sink);
            }
            match pid {
                Pid::PAT => {
                    pat.section(section, sink);
                    if is_table(section, table::PAT) {
                        new_programs |= structure.pat(section);
                        if structure.network_pid == Some(Pid::NIT) {
                            nit.0.want(sink.at);
                            tdt.0.want(sink.at);
                        }
                    }
                }
                Pid::CAT => {
                    cat.section(section, sink);
                    changed |= is_table(section, table::CAT) && structure.cat(section);
                }
                Pid::NIT => nit.section(section, too_close, sink),
                Pid::SDT => {
                    sdt.section(section, too_close, sink);
                    if structure.sdt(section) {
                        eit.want(sink.at);
                    }
                }
                Pid::EIT => eit.section(section, too_close, sink),
                Pid::TDT => tdt.section(section, too_close, sink),
                _ if is_table(section, table::PMT) => {
                    if let Some(is_new) = structure.pmt(pid, section) {
                        pmt.seen(section.table_id_extension(), pid, sink.at);
                        changed |= is_new;
                    }
                }
                _ if structure.is_splice(pid) => contents.splice(pid, section, sink.at),
                _ => {}
            }
        });
        if new_programs {
            self.pmt.follow(&self.structure.programs, sink.at);
        }
        if new_programs || changed {
            self.follow(pids, sink.at);
        }
        new_programs || changed
    }

    /// The structure changed: what hangs on it follows, but for what hangs on the PAT alone.
    #[cold]
    fn follow(&mut self, pids: &mut Pids, at: Instant) {
        self.sections.follow(&self.structure, pids);
        self.contents.follow(&self.structure, pids);
        self.pid.follow(&self.structure, pids, at);
        self.pcr_repetition.follow(&self.structure, pids, at);
        self.pcr_discontinuity.follow(&self.structure, pids);
        self.pcr_accuracy.follow(&self.structure);
        self.pts.follow(&self.structure, pids, at);
        self.unreferenced.follow(&self.structure, pids, at);
        for (kind, listed) in &mut self.ceased {
            let is_listed = self.structure.streams.iter().any(|s| s.description.kind == *kind);
            *listed = match *listed {
                _ if is_listed => Listed::Now,
                Listed::Now => Listed::Until(at),
                Listed::Never => Listed::Never,
                Listed::Until(since) => Listed::Until(since),
            };
        }
    }

    /// When the first absence falls due.
    #[inline]
    pub(super) fn due(&self) -> Instant {
        let stream = self.pat.due().min(self.pmt.due).min(self.pid.due()).min(self.cat.due);
        let program = self.pcr_repetition.due().min(self.pts.due()).min(self.unreferenced.due());
        let service = self.nit.0.due.min(self.sdt.0.due).min(self.eit.due()).min(self.tdt.0.due);
        stream.min(program).min(service).min(self.si_repetition.due())
    }

    /// Raises what falls due now.
    pub(super) fn advance<O: Observer>(&mut self, pids: &mut Pids, sink: &mut Sink<'_, O>) {
        self.pat.advance(sink);
        self.pmt.advance(sink);
        self.pid.advance(pids, sink);
        self.pcr_repetition.advance(sink);
        self.pts.advance(sink);
        self.cat.advance(sink);
        self.nit.advance(sink);
        self.si_repetition.advance(sink);
        self.unreferenced.advance(pids, sink);
        self.sdt.advance(sink);
        self.eit.advance(sink);
        self.tdt.advance(sink);
    }
}

/// Whether a PID carries tables of the service information.
const fn is_si(pid: Pid) -> bool {
    matches!(pid, Pid::NIT | Pid::SDT | Pid::EIT | Pid::TDT)
}

fn is_table(section: Section<'_>, id: u8) -> bool {
    section.table_id() == id && section.has_long_syntax()
}
