//! 1.1 TS_sync_loss: table 5.0a, with the hysteresis of annex G.1.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use crate::units::Instant;

/// Consecutive wrong sync bytes that lose synchronisation.
const LOSE: u8 = 2;
/// Consecutive right ones that regain it.
const REGAIN: u8 = 5;

#[derive(Debug, Default)]
pub(super) struct SyncLoss {
    bad: u8,
    good: u8,
    disturbed: bool,
    lost_since: Option<Instant>,
}

impl SyncLoss {
    /// Whether the next good packet changes anything.
    #[inline]
    pub(super) const fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    /// Since when synchronisation is lost.
    pub(super) const fn lost_since(&self) -> Option<Instant> {
        self.lost_since
    }

    /// A wrong sync byte; true when it loses synchronisation, which is counted.
    #[cold]
    pub(super) fn bad<O: Observer>(&mut self, sink: &mut Sink<'_, O>) -> bool {
        let loses = self.corrupt(sink.at);
        if loses {
            sink.raise(Indicator::TsSyncLoss, Place::STREAM);
        }
        loses
    }

    fn corrupt(&mut self, at: Instant) -> bool {
        self.good = 0;
        self.disturbed = true;
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
        self.disturbed = self.lost_since.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bad_ones_lose_it_and_five_good_ones_regain_it() {
        let mut sync = SyncLoss::default();
        let at = Instant::ZERO;
        assert!(!sync.corrupt(at));
        sync.good();
        assert!(!sync.corrupt(at) && !sync.is_disturbed() || sync.lost_since().is_none());
        assert!(sync.corrupt(at));
        assert!(!sync.corrupt(at), "lost once, not again");
        for _ in 0..4 {
            sync.good();
        }
        assert!(sync.lost_since().is_some());
        assert!(!sync.corrupt(at));
        for _ in 0..5 {
            sync.good();
        }
        assert!(sync.lost_since().is_none() && !sync.is_disturbed());
    }
}
