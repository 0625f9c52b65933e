//! 2.3b PCR_discontinuity_indicator_error: table 5.0b; modulo 2^33 × 300.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::{MAX_PROGRAMS, Structure};
use crate::ts::Packet;
use crate::units::{Pid, Ticks27M};

/// The most that two PCRs may be apart, in ticks: 100 ms.
const MAX_STEP: u64 = 2_700_000;

#[derive(Clone, Copy, Debug)]
struct Last {
    pid: Pid,
    program: u16,
    value: Option<Ticks27M>,
}

#[derive(Debug)]
pub(super) struct PcrDiscontinuityIndicatorError {
    /// In the order of their PIDs.
    last: Vec<Last>,
}

impl PcrDiscontinuityIndicatorError {
    pub(super) fn new() -> Self {
        Self { last: Vec::with_capacity(MAX_PROGRAMS) }
    }

    /// Knows of no PCR.
    pub(super) fn clear(&mut self) {
        self.last.clear();
    }

    /// Follows the structure after it changed, and after those PIDs that have PCRs to be looked at got their role.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids) {
        self.last.retain(|last| pids.entry(last.pid).roles.has(Roles::PCR));
        // of several that share a PID the first one has the last word
        for (pid, program) in structure.programs.iter().rev().filter_map(|p| Some((p.pcr_pid?, p.number))) {
            match self.last.binary_search_by_key(&pid, |last| last.pid) {
                Ok(place) => self.last[place].program = program,
                Err(place) => self.last.insert(place, Last { pid, program, value: None }),
            }
        }
    }

    /// A PCR of a PID that must carry them: how far it lies after the one before, in ticks; none where that cannot be told,
    /// or where a discontinuity_indicator says that it means nothing.
    pub(super) fn pcr<O: Observer>(
        &mut self,
        packet: Packet<'_>,
        pcr: Ticks27M,
        sink: &mut Sink<'_, O>,
    ) -> Option<u64> {
        let last = self.last.iter_mut().find(|last| last.pid == packet.pid())?;
        let before = last.value.replace(pcr);
        let step = pcr.forward_from(before.filter(|_| !packet.discontinuity_indicator())?);
        if step > MAX_STEP {
            sink.raise(Indicator::PcrDiscontinuityIndicatorError, Place::of(last.pid, last.program));
        }
        Some(step)
    }
}
