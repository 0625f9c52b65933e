//! One record for each of the 8,192 PIDs, so that a packet finds its own with one look.

use super::continuity::Continuity;
use crate::units::{Instant, Pid};

/// What a PID is for, as far as the packet path must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(u8);

impl Roles {
    /// Carries sections that are read.
    pub(super) const SECTIONS: Self = Self(1);
    /// Carries a PCR that a program uses.
    pub(super) const PCR: Self = Self(2);
    /// Carries PES packets that need a PTS.
    pub(super) const MEDIA: Self = Self(4);
    /// Is referred to by a PMT and is missing now.
    pub(super) const ABSENT: Self = Self(8);

    #[inline]
    pub(super) const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether every packet of the PID counts, and not only those that start something.
    #[inline]
    pub(super) const fn need_all(self) -> bool {
        self.0 & (Self::SECTIONS.0 | Self::ABSENT.0) != 0
    }

    #[inline]
    pub(super) const fn has(self, role: Self) -> bool {
        self.0 & role.0 != 0
    }

    pub(super) const fn add(&mut self, role: Self) {
        self.0 |= role.0;
    }

    pub(super) const fn remove(&mut self, role: Self) {
        self.0 &= !role.0;
    }
}

/// What is known of one PID.
#[derive(Clone, Copy, Debug)]
pub(super) struct PidState {
    pub(super) packets: u64,
    pub(super) last_seen: Instant,
    pub(super) continuity: Continuity,
    pub(super) roles: Roles,
}

const NEW: PidState =
    PidState { packets: 0, last_seen: Instant::LONG_AGO, continuity: Continuity::NEW, roles: Roles(0) };

#[derive(Debug)]
pub(super) struct PidTable {
    states: Box<[PidState]>,
    /// The PIDs that came, in the order in which they first did.
    seen: Vec<Pid>,
}

impl PidTable {
    pub(super) fn new() -> Self {
        Self { states: vec![NEW; Pid::COUNT].into_boxed_slice(), seen: Vec::with_capacity(Pid::COUNT) }
    }

    #[inline]
    pub(super) fn state(&self, pid: Pid) -> &PidState {
        &self.states[pid.index()]
    }

    #[inline]
    pub(super) fn state_mut(&mut self, pid: Pid) -> &mut PidState {
        &mut self.states[pid.index()]
    }

    /// Notes that `pid` came for the first time.
    #[cold]
    pub(super) fn first_seen(&mut self, pid: Pid) {
        if self.seen.len() < Pid::COUNT {
            self.seen.push(pid);
        }
    }

    pub(super) fn seen(&self) -> &[Pid] {
        &self.seen
    }
}
