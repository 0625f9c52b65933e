//! 2.5 PTS_error: table 5.0b, for video and audio PIDs. Of a scrambled one only its presence can be seen.

use super::absence::WantedPids;
use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::{MAX_STREAMS, Structure};
use super::{Indicator, Settings};
use crate::units::{Instant, Pid, Span};

#[derive(Debug)]
pub(super) struct PtsError {
    limit: Span,
    wanted: WantedPids,
}

impl PtsError {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { limit: settings.pts, wanted: WantedPids::new(Roles::PTS, MAX_STREAMS) }
    }

    /// Waits for nothing.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Follows the structure after it changed.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids, at: Instant) {
        let media = structure.streams.iter().filter(|s| s.description.kind.is_media());
        self.wanted.follow(media.map(|s| (s.pid, s.program, self.limit)), pids, at);
    }

    /// A PTS, or a scrambled packet, of a PID that must carry PTS.
    pub(super) fn seen(&mut self, pid: Pid, at: Instant) {
        self.wanted.seen(pid, at);
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        self.wanted.expire(sink.at, |item| sink.raise(Indicator::PtsError, Place::of(item.pid, item.program)));
    }

    pub(super) const fn due(&self) -> Instant {
        self.wanted.due
    }

    /// Where each must come, when it last did, and whether it is overdue.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Place, Instant, bool)> + '_ {
        self.wanted.list.iter().map(|item| (Place::of(item.pid, item.program), item.watch.last, item.watch.absent))
    }
}
