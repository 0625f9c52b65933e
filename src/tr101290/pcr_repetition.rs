//! 2.3a PCR_repetition_error: table 5.0b, by stream time where that runs, and by the timer when PCRs stop.

use super::absence::WantedPids;
use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::{MAX_PROGRAMS, Structure};
use super::{Indicator, Settings};
use crate::units::{Instant, Pid, Span, Ticks27M};

#[derive(Debug)]
pub(super) struct PcrRepetitionError {
    limit: Span,
    wanted: WantedPids,
}

impl PcrRepetitionError {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { limit: settings.pcr, wanted: WantedPids::new(Roles::PCR, MAX_PROGRAMS) }
    }

    /// Waits for nothing.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Follows the structure after it changed.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids, at: Instant) {
        let clocks = structure.programs.iter().filter_map(|p| Some((p.pcr_pid?, p.number, self.limit)));
        self.wanted.follow(clocks, pids, at);
    }

    /// A PCR on a PID that must carry them, so many ticks after the one before, where these can be told.
    pub(super) fn pcr<O: Observer>(&mut self, pid: Pid, step: Option<u64>, sink: &mut Sink<'_, O>) {
        let Some(item) = self.wanted.list.iter_mut().find(|item| item.pid == pid) else { return };
        let quiet = sink.at.since(item.watch.last);
        let timed_out = item.watch.absent;
        let place = Place::of(pid, item.program);
        item.watch.seen(sink.at);
        self.wanted.due = self.wanted.due.min(sink.at + self.limit);
        // By the stream's own time: the network bunched up what was sent too far apart. A step that is no interval at all,
        // because the clock jumped, is far from the time that passed.
        let Some(apart) = step.map(Ticks27M::span) else { return };
        if apart > self.limit && !timed_out && apart.nanos() / 2 < quiet.nanos() {
            sink.raise(Indicator::PcrRepetitionError, place);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        self.wanted
            .expire(sink.at, |item| sink.raise(Indicator::PcrRepetitionError, Place::of(item.pid, item.program)));
    }

    pub(super) const fn due(&self) -> Instant {
        self.wanted.due
    }

    /// Where each must come, when it last did, and whether it is overdue.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Place, Instant, bool)> + '_ {
        self.wanted.list.iter().map(|item| (Place::of(item.pid, item.program), item.watch.last, item.watch.absent))
    }
}
