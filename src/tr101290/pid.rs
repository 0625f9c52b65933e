//! 1.6 PID_error: table 5.0a, for the PIDs that a PMT refers to. What comes only when there is something to say (splice
//! information, subtitles, private sections) is never missing.

use super::absence::WantedPids;
use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::{MAX_PROGRAMS, MAX_STREAMS, Structure};
use super::{Indicator, Settings};
use crate::units::{Instant, Pid, Span};

#[derive(Debug)]
pub(super) struct PidError {
    media: Span,
    data: Span,
    wanted: WantedPids,
}

impl PidError {
    pub(super) fn new(settings: &Settings) -> Self {
        let wanted = WantedPids::new(Roles::STEADY, MAX_STREAMS + MAX_PROGRAMS);
        Self { media: settings.pid_media, data: settings.pid_data, wanted }
    }

    /// Waits for nothing.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Follows the structure after it changed.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids, at: Instant) {
        // a PID for data that carries the PCR as well has the shorter limit, so the PCR PIDs are named first
        let clocks = structure.programs.iter().filter_map(|p| Some((p.pcr_pid?, p.number, self.media)));
        let steady = structure.streams.iter().filter(|s| s.description.kind.is_steady());
        let limit = |media| if media { self.media } else { self.data };
        let streams = steady.map(|s| (s.pid, s.program, limit(s.description.kind.is_media())));
        self.wanted.follow(clocks.chain(streams), pids, at);
    }

    /// A packet of a PID that was missing.
    #[cold]
    pub(super) fn returned(&mut self, pid: Pid, at: Instant) {
        self.wanted.seen(pid, at);
    }

    pub(super) fn advance<O: Observer>(&mut self, pids: &mut Pids, sink: &mut Sink<'_, O>) {
        if sink.at < self.wanted.due {
            return;
        }
        for item in &mut self.wanted.list {
            item.watch.last = item.watch.last.max(last_seen(pids, item.pid));
        }
        self.wanted.expire(sink.at, |item| {
            pids.entry(item.pid).roles.add(Roles::ABSENT);
            sink.raise(Indicator::PidError, Place::of(item.pid, item.program));
        });
    }

    pub(super) const fn due(&self) -> Instant {
        self.wanted.due
    }

    /// Where each must come, when it last did, and whether it is overdue.
    pub(super) fn watched<'a>(&'a self, pids: &'a Pids) -> impl Iterator<Item = (Place, Instant, bool)> + 'a {
        self.wanted.list.iter().map(|item| {
            let last = item.watch.last.max(last_seen(pids, item.pid));
            (Place::of(item.pid, item.program), last, item.watch.absent)
        })
    }
}

fn last_seen(pids: &Pids, pid: Pid) -> Instant {
    pids.get(pid).map_or(Instant::LONG_AGO, |state| state.last_seen)
}
