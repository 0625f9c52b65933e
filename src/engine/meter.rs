//! The bit rate of the last second.

use crate::ts::PACKET_SIZE;
use crate::units::{BitRate, Instant, Span};

const BUCKETS: usize = 10;
const BUCKET: i64 = 100_000_000;

/// Counts packets by tenths of a second.
#[derive(Debug)]
pub(super) struct Meter {
    /// The tenth that is being counted, and when it ends.
    current: i64,
    ends: Instant,
    packets: u32,
    nulls: u32,
    /// Packets and null packets of the tenths before.
    past: Box<[(u32, u32); BUCKETS]>,
    /// The rate that is wanted, and when it was last reached.
    wanted: BitRate,
    last_fast: Option<Instant>,
    /// When a whole second will have been measured.
    measured_from: Option<Instant>,
}

impl Meter {
    /// A meter that tells when the rate was last as high as `wanted`.
    pub(super) fn new(wanted: BitRate) -> Self {
        Self {
            current: 0,
            ends: Instant::LONG_AGO,
            packets: 0,
            nulls: 0,
            past: Box::default(),
            wanted,
            last_fast: None,
            measured_from: None,
        }
    }

    /// Measures anew.
    pub(super) fn restart(&mut self) {
        self.past.fill((0, 0));
        (self.packets, self.nulls) = (0, 0);
        (self.ends, self.last_fast, self.measured_from) = (Instant::LONG_AGO, None, None);
    }

    /// When the rate was last as high as is wanted, found out ten times a second; until a second has been measured it is
    /// taken to be. None before the first packet.
    pub(super) const fn last_fast(&self) -> Option<Instant> {
        self.last_fast
    }

    fn place(tenth: i64) -> usize {
        usize::try_from(tenth.rem_euclid(BUCKETS as i64)).unwrap_or(0)
    }

    #[inline]
    pub(super) fn add(&mut self, at: Instant, packets: u32, nulls: u32) {
        if at >= self.ends {
            self.turn(at);
        }
        self.packets = self.packets.saturating_add(packets);
        self.nulls = self.nulls.saturating_add(nulls);
    }

    fn turn(&mut self, at: Instant) {
        let tenth = at.nanos().div_euclid(BUCKET);
        let passed = tenth.saturating_sub(self.current).clamp(0, BUCKETS as i64);
        for i in 0..passed {
            self.past[Self::place(tenth - i)] = (0, 0);
        }
        let counted = (core::mem::take(&mut self.packets), core::mem::take(&mut self.nulls));
        if passed < BUCKETS as i64 {
            self.past[Self::place(self.current)] = counted;
        }
        self.current = tenth;
        self.ends = Instant::from_nanos(tenth.saturating_add(1).saturating_mul(BUCKET));
        let from = *self.measured_from.get_or_insert(at + Span::from_secs(1));
        if at < from || self.rates(at).0 >= self.wanted {
            self.last_fast = Some(at);
        }
    }

    /// The rate of the second before the tenth that holds `now`, of all packets and of null packets.
    pub(super) fn rates(&self, now: Instant) -> (BitRate, BitRate) {
        let tenth = now.nanos().div_euclid(BUCKET);
        // the tenth that holds now is not over yet; the nine whole ones before it are reckoned as they are
        let whole = (1..BUCKETS as i64).map(|i| tenth - i).filter(|t| (self.current - 9..self.current).contains(t));
        let (mut packets, mut nulls) = (0u64, 0u64);
        if (tenth - 9..tenth).contains(&self.current) {
            (packets, nulls) = (u64::from(self.packets), u64::from(self.nulls));
        }
        for place in whole.map(Self::place) {
            packets += u64::from(self.past[place].0);
            nulls += u64::from(self.past[place].1);
        }
        let span = Span::from_nanos(BUCKET * (BUCKETS as i64 - 1)).nanos().unsigned_abs();
        let rate = |n: u64| BitRate(n * PACKET_SIZE as u64 * 8 * 1_000_000_000 / span);
        (rate(packets), rate(nulls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_and_silence_is_none() {
        let mut meter = Meter::new(BitRate(0));
        let start = 1_234_567_890_123;
        for i in 0..2_000 {
            meter.add(Instant::from_nanos(start + i * 1_000_000), 7, 1);
        }
        let now = Instant::from_nanos(start + 2_000 * 1_000_000);
        assert_eq!(meter.rates(now), (BitRate(7 * 1_504_000), BitRate(1_504_000)));
        assert_eq!(meter.rates(now + Span::from_secs(2)), (BitRate(0), BitRate(0)));
    }
}
