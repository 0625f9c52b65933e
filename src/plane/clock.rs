//! The plane's time.
//!
//! An [`Instant`] is `CLOCK_MONOTONIC` in nanoseconds, which never steps. The kernel stamps datagrams with
//! `CLOCK_REALTIME`; a stamp is carried over with the offset of the two as it is in the round that reads it, so that a
//! step of the realtime clock can misplace only what was under way, and that never into the future and never by more
//! than [`OLDEST`].

use super::sys;
use crate::units::{Instant, Span};

/// How far back a stamp is believed. A datagram that waits longer in a socket's buffer would be of no use, but a stamp
/// may look older than it is when the realtime clock was set.
pub(super) const OLDEST: Span = Span::from_secs(1);

/// The time of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// On the engine's clock.
    pub(super) instant: Instant,
    /// What to add to an [`Instant`]'s nanoseconds to have nanoseconds since the Unix epoch.
    pub(super) realtime_offset_ns: i64,
}

impl Now {
    /// Reads both clocks. The realtime one comes first: when the thread is put aside in between, stamps come out late,
    /// which the clamp to the round's own time mends, and not early.
    pub(super) fn read() -> Self {
        let realtime = sys::realtime_ns();
        let monotonic = sys::monotonic_ns();
        Self { instant: Instant::from_nanos(monotonic), realtime_offset_ns: realtime.saturating_sub(monotonic) }
    }

    /// A kernel stamp in nanoseconds of `CLOCK_REALTIME`, within the last [`OLDEST`]; a missing one is now.
    #[inline]
    pub(super) fn stamped(&self, realtime_ns: Option<i64>) -> Instant {
        let Some(ns) = realtime_ns else { return self.instant };
        Instant::from_nanos(ns.saturating_sub(self.realtime_offset_ns)).clamp(self.instant - OLDEST, self.instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_lies_within_the_last_second() {
        let now = Now { instant: Instant::from_nanos(5_000_000_000), realtime_offset_ns: 1_000_000_000_000 };
        for (stamp, want) in [
            (None, 5_000_000_000),
            (Some(1_004_999_999_000), 4_999_999_000),
            (Some(1_005_000_000_001), 5_000_000_000),
            (Some(1_003_000_000_000), 4_000_000_000),
            (Some(i64::MIN), 4_000_000_000),
            (Some(i64::MAX), 5_000_000_000),
        ] {
            assert_eq!(now.stamped(stamp), Instant::from_nanos(want));
        }
    }
}
