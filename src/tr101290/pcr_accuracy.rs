//! 2.4 PCR_accuracy_error: table 5.0b, by byte position (PCR_AC, clause 5.3.2 and annex I), so that network jitter is kept out;
//! and the clock of each program against the receiving one, which is a figure and no error.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use super::structure::Structure;
use crate::measure::{Accuracy, Clock, accuracy, clock};
use crate::units::{BitRate, Instant, Pid, Ticks27M};

/// The most PCR PIDs whose accuracy and clock are measured.
pub const MAX_CLOCKS: usize = 32;

#[derive(Debug)]
struct ProgramClock {
    pid: Pid,
    program: u16,
    accuracy: Accuracy,
    clock: Clock,
}

#[derive(Debug)]
pub(super) struct PcrAccuracyError {
    clocks: Vec<ProgramClock>,
}

impl PcrAccuracyError {
    pub(super) fn new() -> Self {
        Self { clocks: Vec::with_capacity(MAX_CLOCKS) }
    }

    /// Measures nothing.
    pub(super) fn clear(&mut self) {
        self.clocks.clear();
    }

    /// Follows the structure after it changed.
    pub(super) fn follow(&mut self, structure: &Structure) {
        let wanted = || structure.programs.iter().filter_map(|p| Some((p.pcr_pid?, p.number)));
        self.clocks.retain(|clock| wanted().any(|(pid, _)| pid == clock.pid));
        for (pid, program) in wanted() {
            if self.clocks.len() < MAX_CLOCKS && !self.clocks.iter().any(|clock| clock.pid == pid) {
                self.clocks.push(ProgramClock { pid, program, accuracy: Accuracy::new(), clock: Clock::new() });
            }
        }
    }

    /// Packets were lost, or came twice: places before and after cannot be compared.
    pub(super) fn lost(&mut self) {
        for clock in &mut self.clocks {
            clock.accuracy.lost();
        }
    }

    /// A PCR of a PID that must carry them. One that was wrong is raised for the place and time at which it came, if need be
    /// when a later one shows that it was.
    pub(super) fn pcr<O: Observer>(&mut self, pid: Pid, pcr: Ticks27M, discontinuity: bool, sink: &mut Sink<'_, O>) {
        let Some(clock) = self.clocks.iter_mut().find(|clock| clock.pid == pid) else { return };
        let (at, packet, place) = (sink.at, sink.counts.packet, Place::of(pid, clock.program));
        clock.clock.pcr(at, pcr, discontinuity);
        clock.accuracy.pcr(at, packet, pcr, discontinuity, &mut |wrong| {
            sink.raise_of(wrong.at, wrong.packet, Indicator::PcrAccuracyError, place);
        });
    }

    /// The rate of the whole stream, where one of them shows that it is constant.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float becomes the nearest there is")]
    pub(super) fn constant_rate(&self) -> Option<BitRate> {
        self.clocks.iter().find_map(|c| c.accuracy.bit_rate()).map(|rate| BitRate(rate.round() as u64))
    }

    /// Of each PID that carries PCRs, what was measured.
    pub(super) fn figures(&self, now: Instant) -> impl Iterator<Item = (Pid, accuracy::Figures, clock::Figures)> + '_ {
        self.clocks.iter().map(move |c| (c.pid, c.accuracy.figures(now), c.clock.figures(now)))
    }
}
