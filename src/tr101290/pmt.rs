//! 1.5.a PMT_error_2: table 5.0a, for each program that the PAT lists. A packet of the program_map_PID is not enough: the
//! section of that program must be there.

use super::absence::Watch;
use super::count::{Observer, Place, Sink};
use super::structure::{MAX_PROGRAMS, Program};
use super::{Indicator, Settings};
use crate::units::{Instant, Pid, Span};

#[derive(Clone, Copy, Debug)]
struct Wanted {
    number: u16,
    pid: Pid,
    watch: Watch,
}

#[derive(Debug)]
pub(super) struct PmtError2 {
    limit: Span,
    wanted: Vec<Wanted>,
    pub(super) due: Instant,
}

impl PmtError2 {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { limit: settings.pmt, wanted: Vec::with_capacity(MAX_PROGRAMS), due: Instant::NEVER }
    }

    /// No program is waited for.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.due = Instant::NEVER;
    }

    /// The PAT lists these now; programs that it listed before keep their state.
    pub(super) fn follow(&mut self, programs: &[Program], at: Instant) {
        let same = |wanted: &Wanted, p: &Program| p.number == wanted.number && p.pmt_pid == wanted.pid;
        self.wanted.retain(|wanted| programs.iter().any(|p| same(wanted, p)));
        for program in programs {
            if !self.wanted.iter().any(|wanted| same(wanted, program)) {
                self.wanted.push(Wanted { number: program.number, pid: program.pmt_pid, watch: Watch::new(at) });
            }
        }
        self.due = at;
    }

    /// The section of a program on its program_map_PID.
    pub(super) fn seen(&mut self, number: u16, pid: Pid, at: Instant) {
        if let Some(wanted) = self.wanted.iter_mut().find(|w| w.number == number && w.pid == pid) {
            wanted.watch.seen(at);
            self.due = self.due.min(at + self.limit);
        }
    }

    /// A scrambled packet of `pid`.
    pub(super) fn scrambled<O: Observer>(&self, pid: Pid, sink: &mut Sink<'_, O>) {
        if let Some(wanted) = self.wanted.iter().find(|w| w.pid == pid) {
            sink.raise(Indicator::PmtError2, Place::of(pid, wanted.number));
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if sink.at < self.due {
            return;
        }
        self.due = Instant::NEVER;
        for wanted in &mut self.wanted {
            if wanted.watch.expire(sink.at, self.limit, &mut self.due) {
                sink.raise(Indicator::PmtError2, Place::of(wanted.pid, wanted.number));
            }
        }
    }

    /// Where each must come, when it last did, and whether it is overdue.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Place, Instant, bool)> + '_ {
        self.wanted.iter().map(|w| (Place::of(w.pid, w.number), w.watch.last, w.watch.absent))
    }
}
