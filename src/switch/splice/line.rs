//! A clock over the engine's time: where a PCR of it stands at any moment.

use crate::units::{Instant, Span, Ticks27M};

/// A PCR that is off by more begins the line anew: 250 ms.
const JUMP: i64 = 27_000 * 250;
/// Over how many PCRs the line is the mean, so that jitter of the network is not handed on.
const MEAN: i64 = 16;

/// Ticks of 27 MHz from the origin of the engine's time.
pub(super) const fn ticks(at: Instant) -> i64 {
    let ns = at.nanos();
    (ns.div_euclid(1000)).wrapping_mul(27).wrapping_add(ns.rem_euclid(1000) * 27 / 1000)
}

/// A clock that runs at 27 MHz of the engine's time, fitted to PCRs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// What it shows at the origin of the engine's time, and how many PCRs say so.
    origin: Option<(Ticks27M, i64)>,
}

impl Line {
    /// A PCR that stands at this time; true where the line begins with it, or begins anew.
    pub(super) const fn put(&mut self, pcr: Ticks27M, at: Instant) -> bool {
        let origin = pcr.later(ticks(at).wrapping_neg());
        if let Some((known, count)) = self.origin {
            let off = origin.step_from(known);
            if off.abs() <= JUMP {
                let count = if count < MEAN { count + 1 } else { MEAN };
                self.origin = Some((known.later(off / count), count));
                return false;
            }
        }
        self.origin = Some((origin, 1));
        true
    }

    /// What it shows at this time.
    pub(super) fn at(&self, at: Instant) -> Option<Ticks27M> {
        self.origin.map(|(origin, _)| origin.later(ticks(at)))
    }

    /// When it shows `pcr`, the time nearest to `near`.
    pub(super) fn when(&self, pcr: Ticks27M, near: Instant) -> Option<Instant> {
        let ahead = pcr.step_from(self.at(near)?);
        let ns = Ticks27M::span(ahead.unsigned_abs());
        Some(if ahead < 0 { near - ns } else { near + ns })
    }

    /// The same clock seen later, and set on by an offset.
    pub(super) fn moved(&self, later: i64, offset: i64) -> Self {
        let back = ticks(Instant::from_nanos(later)).wrapping_neg();
        Self { origin: self.origin.map(|(origin, count)| (origin.later(back.wrapping_add(offset)), count)) }
    }
}

/// A time and so many nanoseconds more, which may be negative.
pub(super) const fn later(at: Instant, ns: i64) -> Instant {
    Instant::from_nanos(at.nanos().saturating_add(ns))
}

/// Ticks of 90 kHz as a length of time, none where negative.
pub(super) const fn lasting(ticks: i64) -> Span {
    Span::from_nanos(ticks.saturating_mul(100_000) / 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_runs_across_the_wrap_and_smooths_jitter() {
        let mut line = Line::default();
        let start = Ticks27M(Ticks27M::WRAP - 27_000_000);
        for n in 0..100_i64 {
            let jitter = [0, 900_000, -900_000, 0][usize::try_from(n % 4).unwrap()];
            let at = Instant::from_nanos(n * 40_000_000 + 7);
            assert_eq!(line.put(start.later(n * 1_080_000), later(at, jitter)), n == 0);
        }
        let at = Instant::from_nanos(99 * 40_000_000 + 7);
        let off = line.at(at).unwrap().step_from(start.later(99 * 1_080_000));
        assert!(off.abs() < 27 * 200, "{off}");
        let pcr = line.at(at).unwrap();
        let back = line.when(pcr.later(27_000_000), at).unwrap();
        assert!((back.nanos() - at.nanos() - 1_000_000_000).abs() < 100, "{back:?}");
        assert!(line.put(Ticks27M(5), at));
        assert_eq!(line.at(at), Some(Ticks27M(5)));
    }
}
