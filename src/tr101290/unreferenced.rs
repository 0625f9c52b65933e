//! 3.4.a Unreferenced_PID: table 5.0c. A PID has its time to be referred to by a PMT or the CAT from its first packet, or from
//! the first packet after the last table that referred to it no longer does: what left its table and is not sent any more is
//! no error. PIDs 0x00 to 0x1F, null packets and the base PID of ATSC's tables need no reference.

use std::collections::VecDeque;

use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::Structure;
use super::{Indicator, Settings};
use crate::units::{Instant, Pid, Span};

/// PIDs that have no need of a reference: those of EN 300 468 table 1.
const RESERVED: u16 = 0x1F;
/// The base_PID of ATSC A/65.
const ATSC_BASE: u16 = 0x1FFB;

#[derive(Debug)]
pub(super) struct UnreferencedPid {
    limit: Span,
    /// How long the PMTs have to come once the PAT has.
    pmt: Span,
    /// Whether the PAT has come.
    settled: bool,
    /// Those whose time runs, in the order in which it ends; each PID is in it once at most.
    waiting: VecDeque<(Pid, Instant)>,
    /// Those that a table refers to now.
    referenced: Vec<Pid>,
}

impl UnreferencedPid {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            limit: settings.unreferenced,
            pmt: settings.pmt,
            settled: false,
            waiting: VecDeque::with_capacity(Pid::COUNT),
            referenced: Vec::with_capacity(Pid::COUNT),
        }
    }

    /// Waits for nothing, and knows of no table.
    pub(super) fn clear(&mut self) {
        self.settled = false;
        self.waiting.clear();
        self.referenced.clear();
    }

    /// The first packet of a PID, or a packet since it lost its reference.
    pub(super) fn first(&mut self, pid: Pid, roles: &mut Roles, at: Instant) {
        if roles.has(Roles::QUEUED) {
            return;
        }
        roles.remove(Roles::DROPPED);
        let needs_none = pid.value() <= RESERVED || pid == Pid::NULL || pid.value() == ATSC_BASE;
        if !needs_none && !roles.has(Roles::REFERENCED) {
            roles.add(Roles::QUEUED);
            self.waiting.push_back((pid, at + self.limit));
        }
    }

    /// Follows the structure after it changed. Where the stream has just begun, its PMTs are still to come.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids, at: Instant) {
        if !self.settled && !structure.programs.is_empty() {
            self.settled = true;
            for (_, due) in &mut self.waiting {
                *due = (*due).max(at + self.pmt);
            }
        }
        for (pid, _) in structure.referenced() {
            pids.entry(pid).roles.add(Roles::WANTED);
        }
        for place in 0..self.referenced.len() {
            let pid = self.referenced[place];
            let state = pids.entry(pid);
            if !state.roles.has(Roles::WANTED) {
                state.roles.remove(Roles::REFERENCED);
                state.program = 0;
                if state.packets > 0 {
                    state.roles.add(Roles::DROPPED);
                }
            }
        }
        self.referenced.clear();
        for (pid, program) in structure.referenced() {
            let state = pids.entry(pid);
            if state.roles.has(Roles::WANTED) {
                state.roles.remove(Roles::WANTED);
                state.roles.remove(Roles::DROPPED);
                state.roles.add(Roles::REFERENCED);
                state.program = program;
                self.referenced.push(pid);
            }
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, pids: &mut Pids, sink: &mut Sink<'_, O>) {
        while let Some((pid, _)) = self.waiting.pop_front_if(|(_, due)| *due <= sink.at) {
            let roles = &mut pids.entry(pid).roles;
            roles.remove(Roles::QUEUED);
            // of one that was referred to in between, the time begins anew
            if !roles.has(Roles::REFERENCED) && !roles.has(Roles::DROPPED) {
                sink.raise(Indicator::UnreferencedPid, Place::pid(pid));
            }
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.waiting.front().map_or(Instant::NEVER, |(_, due)| *due)
    }
}
