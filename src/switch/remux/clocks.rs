//! The PCRs of the output: ISO/IEC 13818-1 2.7.2 and 2.4.3.4.

use crate::units::{Pid, Ticks27M};

/// PCR PIDs that are followed: more programs than any multiplex has.
pub(super) const MAX_CLOCKS: usize = 64;
/// Steps that wait to be asked for.
pub(super) const MAX_STEPS: usize = 16;
/// The most that a PCR may step unsignalled, in ticks: 100 ms (TR 101 290 table 5.0b 2.3b).
const MAX_STEP: u64 = 2_700_000;

/// A PCR that had to be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its PID.
    pub pid: Pid,
    /// From the last PCR of the PID, the shorter way round, in 27 MHz ticks.
    pub ticks: i64,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    pid: Pid,
    last: Ticks27M,
    /// The cut after which it was last sent.
    cut: u32,
}

/// The last PCR of each PID.
#[derive(Debug)]
pub(super) struct Clocks {
    list: Vec<Clock>,
    cut: u32,
    steps: Vec<Step>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { list: Vec::with_capacity(MAX_CLOCKS), cut: 0, steps: Vec::with_capacity(MAX_STEPS) }
    }

    /// The bytes that they take beside themselves.
    pub(super) const fn memory() -> usize {
        MAX_CLOCKS * size_of::<Clock>() + MAX_STEPS * size_of::<Step>()
    }

    /// What follows comes from another feed, or from another part of its time.
    pub(super) const fn cut(&mut self) {
        self.cut = self.cut.wrapping_add(1);
    }

    /// The last PCR of a PID.
    pub(super) fn last(&self, pid: Pid) -> Option<Ticks27M> {
        self.list.iter().find(|clock| clock.pid == pid).map(|clock| clock.last)
    }

    /// Takes note of a PCR; whether it is to be signalled: the first of its PID after a cut, and not 0…100 ms behind the last.
    pub(super) fn is_step(&mut self, pid: Pid, pcr: Ticks27M) -> bool {
        let Some(clock) = self.list.iter_mut().find(|clock| clock.pid == pid) else {
            if self.list.len() < MAX_CLOCKS {
                self.list.push(Clock { pid, last: pcr, cut: self.cut });
            }
            return false;
        };
        let last = core::mem::replace(&mut clock.last, pcr);
        let is_first = core::mem::replace(&mut clock.cut, self.cut) != self.cut;
        if !is_first || pcr.forward_from(last) <= MAX_STEP {
            return false;
        }
        if self.steps.len() < MAX_STEPS {
            self.steps.push(Step { pid, ticks: pcr.step_from(last) });
        }
        true
    }

    /// The oldest step that was not yet told.
    pub(super) fn poll(&mut self) -> Option<Step> {
        (!self.steps.is_empty()).then(|| self.steps.remove(0))
    }
}
