//! What is known of each PID.

use super::continuity::Continuity;
use crate::ts::PidTable;
use crate::units::Instant;

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

impl Default for PidState {
    fn default() -> Self {
        Self { packets: 0, last_seen: Instant::LONG_AGO, continuity: Continuity::default(), roles: Roles::default() }
    }
}

/// Of each PID that came, or that has a role.
pub(super) type Pids = PidTable<PidState>;
