//! The bit rate of each PID, from counts that are kept anyway: nothing is done for each packet.

use serde::Serialize;

use crate::ts::PACKET_SIZE;
use crate::units::{Instant, Pid};

/// How many PIDs have a rate of their own.
pub const MOST: usize = 64;
/// How many PIDs are followed, so that the largest are known: the first that come. More than any multiplex has.
const FOLLOWED: usize = 512;

/// The rate of one PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PidRate {
    /// Which, 0…0x1FFF.
    pub pid: u16,
    /// Its rate, headers and all.
    pub bit_rate_bps: f64,
}

/// The rates between the last two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures<'a> {
    /// The PIDs that had packets, the largest rate first, [`MOST`] at most.
    pub pids: &'a [PidRate],
    /// The rate of all other PIDs together.
    pub others_bps: f64,
    /// The rate of everything.
    pub total_bps: f64,
}

/// What a PID had at the last sample, and how many came in the time before it.
#[derive(Clone, Copy, Debug)]
struct Followed {
    pid: Pid,
    packets: u64,
    came: u32,
}

/// The rates of an input by PID.
#[derive(Clone, Debug)]
pub struct Rates {
    /// In the order in which a sample names them.
    followed: Vec<Followed>,
    /// When the last sample was and what it counted; none before the first.
    last: Option<(Instant, u64)>,
    largest: [PidRate; MOST],
    len: usize,
    others: f64,
    total: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self::new()
    }
}

impl Rates {
    /// Of an input that was not sampled yet. Nothing is allocated after this.
    pub fn new() -> Self {
        Self {
            followed: Vec::with_capacity(FOLLOWED),
            last: None,
            largest: [PidRate { pid: 0, bit_rate_bps: 0.0 }; MOST],
            len: 0,
            others: 0.0,
            total: 0.0,
        }
    }

    /// How many packets each PID has had since the start, at `now`: about once a second, and best each time in the same
    /// order. A PID that is not named had none. Does nothing where no time has passed.
    #[allow(clippy::cast_precision_loss)]
    pub fn sample(&mut self, now: Instant, counts: impl Iterator<Item = (Pid, u64)>) {
        if self.last.is_some_and(|(last, _)| now <= last) {
            return;
        }
        for followed in &mut self.followed {
            followed.came = 0;
        }
        let mut total = 0u64;
        for (i, (pid, packets)) in counts.enumerate() {
            total = total.saturating_add(packets);
            self.count(i, pid, packets);
        }
        let Some((last, total_before)) = self.last.replace((now, total)) else { return };
        let rate = |packets: u64| packets as f64 * (PACKET_SIZE * 8) as f64 * 1e9 / now.since(last).nanos() as f64;
        let mut order = [(0, 0); FOLLOWED];
        for (place, followed) in order.iter_mut().zip(&self.followed) {
            *place = (followed.came, followed.pid.value());
        }
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let came = total.saturating_sub(total_before);
        let (mut own, mut len) = (0u64, 0);
        for (place, &(packets, pid)) in self.largest.iter_mut().zip(order.iter().take_while(|(came, _)| *came > 0)) {
            *place = PidRate { pid, bit_rate_bps: rate(u64::from(packets)) };
            own += u64::from(packets);
            len += 1;
        }
        self.len = len;
        self.total = rate(came.max(own));
        self.others = rate(came.saturating_sub(own));
    }

    /// A PID of a sample, the `i`th of it.
    fn count(&mut self, i: usize, pid: Pid, packets: u64) {
        let here = self.followed.get(i).is_some_and(|followed| followed.pid == pid).then_some(i);
        // nobody looks for thousands among hundreds
        let search = || if i < FOLLOWED { self.followed.iter().position(|f| f.pid == pid) } else { None };
        if let Some(followed) = here.or_else(search).and_then(|i| self.followed.get_mut(i)) {
            // a count that went back began anew
            let came = packets.checked_sub(followed.packets).unwrap_or(packets);
            followed.came = u32::try_from(came).unwrap_or(u32::MAX);
            followed.packets = packets;
        } else if self.followed.len() < FOLLOWED {
            // one that was not there before has had all its packets since
            let came = if self.last.is_none() { 0 } else { u32::try_from(packets).unwrap_or(u32::MAX) };
            self.followed.push(Followed { pid, packets, came });
        }
    }

    /// The rates between the last two samples.
    pub fn figures(&self) -> Figures<'_> {
        Figures { pids: self.largest.get(..self.len).unwrap_or(&[]), others_bps: self.others, total_bps: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn sample(rates: &mut Rates, ms: i64, counts: &[(u16, u64)]) {
        rates.sample(at(ms), counts.iter().map(|&(pid, packets)| (Pid::new(pid), packets)));
    }

    fn rate(pid: u16, bit_rate_bps: f64) -> PidRate {
        PidRate { pid, bit_rate_bps }
    }

    #[test]
    fn the_first_sample_gives_nothing_and_the_second_what_came_between() {
        let mut rates = Rates::new();
        sample(&mut rates, 500, &[(0, 1_000), (256, 70_000)]);
        assert_eq!(rates.figures(), Figures::default());
        sample(&mut rates, 1_500, &[(0, 1_010), (256, 75_000), (0x1FFF, 500)]);
        let expected = [rate(256, 7_520_000.0), rate(0x1FFF, 752_000.0), rate(0, 15_040.0)];
        assert_eq!(rates.figures(), Figures { pids: &expected, others_bps: 0.0, total_bps: 8_287_040.0 });
        sample(&mut rates, 1_500, &[(0, 9_999_999)]);
        assert_eq!(rates.figures().pids, expected, "no time has passed");
        sample(&mut rates, 3_500, &[(256, 76_000), (0, 1_010), (0x1FFF, 500)]);
        assert_eq!(rates.figures().pids, [rate(256, 752_000.0)], "in another order, and what is silent is left out");
        sample(&mut rates, 4_500, &[(0, 1), (256, 20)]);
        assert_eq!(rates.figures().pids, [rate(256, 30_080.0), rate(0, 1_504.0)], "the counts began anew");
    }

    #[test]
    fn the_largest_have_their_own_rate_and_the_rest_one_together() {
        let mut rates = Rates::new();
        for round in [1, 2, 3] {
            let counts = (0..8_192u16).map(|pid| (Pid::new(pid), round * u64::from(if pid < 100 { pid } else { 1 })));
            rates.sample(at(round.cast_signed() * 1_000), counts);
        }
        let figures = rates.figures();
        assert_eq!(figures.pids.len(), MOST);
        assert!(figures.pids.iter().zip((36..100).rev()).all(|(r, pid)| *r == rate(pid, f64::from(pid) * 1_504.0)));
        let others = (0..36).sum::<u64>() + 8_092;
        assert_eq!(figures.others_bps, others as f64 * 1_504.0);
        assert_eq!(figures.total_bps, (others + (36..100).sum::<u64>()) as f64 * 1_504.0);
    }

    #[test]
    fn hostile_counts_do_no_harm() {
        let mut rates = Rates::new();
        let mut seed = 3u64;
        for _ in 0..2_000 {
            let mut random = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> (seed >> 59)
            };
            let now = Instant::from_nanos(random().cast_signed());
            let counts: Vec<_> =
                (0..random() % 600).map(|_| (Pid::new(u16::try_from(random() % 65_536).unwrap()), random())).collect();
            rates.sample(now, counts.into_iter());
            let figures = rates.figures();
            assert!(figures.pids.len() <= MOST && figures.total_bps.is_finite() && figures.others_bps >= 0.0);
        }
        assert_eq!(rates.followed.capacity(), FOLLOWED);
    }
}
