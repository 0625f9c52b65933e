//! 1.1 TS_sync_loss and 1.2 Sync_byte_error: table 5.0a, with the hysteresis of annex G.1.
//!
//! The packet grid is the datagram's, so a packet with a wrong first byte is still a packet: it is counted, and what it
//! says is not believed.

use crate::units::Instant;

/// Consecutive wrong sync bytes that lose synchronisation.
const LOSE: u8 = 2;
/// Consecutive right ones that regain it.
const REGAIN: u8 = 5;

#[derive(Debug, Default)]
pub(super) struct Sync {
    bad: u8,
    good: u8,
    lost_since: Option<Instant>,
}

impl Sync {
    /// Whether the next good packet changes anything.
    #[inline]
    pub(super) const fn is_disturbed(&self) -> bool {
        self.bad != 0 || self.lost_since.is_some()
    }

    /// Since when synchronisation is lost.
    pub(super) const fn lost_since(&self) -> Option<Instant> {
        self.lost_since
    }

    /// A wrong sync byte; true when it loses synchronisation.
    pub(super) fn bad(&mut self, at: Instant) -> bool {
        self.good = 0;
        self.bad = self.bad.saturating_add(1);
        let loses = self.bad == LOSE && self.lost_since.is_none();
        if loses {
            self.lost_since = Some(at);
        }
        loses
    }

    /// A right one.
    pub(super) fn good(&mut self) {
        self.bad = 0;
        self.good = self.good.saturating_add(1);
        if self.good >= REGAIN {
            self.lost_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bad_ones_lose_it_and_five_good_ones_regain_it() {
        let mut sync = Sync::default();
        let at = Instant::ZERO;
        assert!(!sync.bad(at));
        sync.good();
        assert!(!sync.bad(at) && !sync.is_disturbed() || sync.lost_since().is_none());
        assert!(sync.bad(at));
        assert!(!sync.bad(at), "lost once, not again");
        for _ in 0..4 {
            sync.good();
        }
        assert!(sync.lost_since().is_some());
        assert!(!sync.bad(at));
        for _ in 0..5 {
            sync.good();
        }
        assert!(sync.lost_since().is_none() && !sync.is_disturbed());
    }
}
