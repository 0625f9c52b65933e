//! What is known of each PID.

use super::continuity::Continuity;
use crate::ts::PidTable;
use crate::units::Instant;

/// What a PID is for, as far as the packet path must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(u16);

impl Roles {
    /// Carries sections that are read.
    pub(super) const SECTIONS: Self = Self(1);
    /// Carries a PCR that a program uses.
    pub(super) const PCR: Self = Self(1 << 1);
    /// Carries PES packets that need a PTS.
    pub(super) const PTS: Self = Self(1 << 2);
    /// Is referred to by a PMT, and has to come.
    pub(super) const STEADY: Self = Self(1 << 3);
    /// Is one of those and is missing now.
    pub(super) const ABSENT: Self = Self(1 << 4);
    /// A table refers to it.
    pub(super) const REFERENCED: Self = Self(1 << 5);
    /// Waits for a table to refer to it.
    pub(super) const QUEUED: Self = Self(1 << 6);
    /// Carries frames or pictures that are looked at.
    pub(super) const CONTENT: Self = Self(1 << 7);
    /// Every packet of it is looked at for them.
    pub(super) const READING: Self = Self(1 << 8);
    /// A mark while lists are made anew.
    pub(super) const WANTED: Self = Self(1 << 9);
    /// Came while a table referred to it, which none does any more.
    pub(super) const DROPPED: Self = Self(1 << 10);
    /// No packet of it came yet.
    pub(super) const UNSEEN: Self = Self(1 << 11);

    /// Roles for which every packet of the PID counts, and not only those that start something.
    const ALL_PACKETS: u16 = Self::SECTIONS.0 | Self::ABSENT.0 | Self::READING.0 | Self::DROPPED.0 | Self::UNSEEN.0;
    /// Roles for which packets that start something count.
    const STARTS: u16 = Self::PCR.0 | Self::PTS.0 | Self::CONTENT.0;

    #[cfg(test)]
    pub(super) const fn any(self) -> bool {
        self.0 & !Self::UNSEEN.0 != 0
    }

    /// Whether the packet counts for any of them; `starts` where it may start something.
    #[inline]
    pub(super) const fn need(self, starts: bool) -> bool {
        self.0 & if starts { Self::ALL_PACKETS | Self::STARTS } else { Self::ALL_PACKETS } != 0
    }

    /// Whether nothing but the contents of the packets is of interest, if they start nothing.
    #[inline]
    pub(super) const fn only_contents(self) -> bool {
        self.0 & Self::ALL_PACKETS == Self::READING.0
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

/// What is known of one PID: 32 bytes, so that a packet touches one line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct PidState {
    pub(super) packets: u64,
    pub(super) last_seen: Instant,
    pub(super) continuity: Continuity,
    /// Its place among the streams whose contents are looked at, if it has that role.
    pub(super) content: u8,
    pub(super) roles: Roles,
    /// program_number of the first program that it belongs to, 0 for none.
    pub(super) program: u16,
}

const _: () = assert!(size_of::<PidState>() == 32);

impl Default for PidState {
    fn default() -> Self {
        Self {
            packets: 0,
            last_seen: Instant::LONG_AGO,
            continuity: Continuity::default(),
            content: 0,
            roles: Roles::UNSEEN,
            program: 0,
        }
    }
}

/// Of each PID that came, or that has a role.
pub(super) type Pids = PidTable<PidState>;
