//! The clock of a program against the receiving clock: PCR interval, overall jitter and drift.
//!
//! What is measured is arrival − PCR. The network delays and never hastens, so the least of it in each second is nearest
//! to the clocks themselves: how these minima go up or down is the drift, and how far everything lies apart once the drift
//! is taken out is the jitter. That is like PCR_OJ (ETSI TR 101 290 V1.4.1 clause 5.3.2), of network and multiplexer
//! together, and holds to no limit of 500 ns.
//!
//! A discontinuity or a jump of the clock begins all of it anew, but for the intervals since the start. A single PCR that is
//! more than a second from where it should be is left out.

use serde::Serialize;

use super::line::median;
use crate::units::{Instant, Span, Ticks27M};

/// Seconds that the drift is taken over.
const SECONDS: usize = 60;
/// Seconds that the jitter is taken over.
const JITTER_SECONDS: i64 = 10;
/// Whole seconds before a drift is told.
const DRIFT_AFTER: usize = 10;
/// A PCR that is farther than this from where the one before it lets expect is a jump.
const JUMP: i64 = 1_000_000_000;
/// The offsets are counted anew when they reach this, so that they have room.
const FAR: i64 = 1_000_000_000;
/// A second in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// How far apart PCRs are, in the stream's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct IntervalFigures {
    /// The shortest.
    pub min_ns: f64,
    /// The mean.
    pub mean_ns: f64,
    /// The longest.
    pub max_ns: f64,
}

/// What is known of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Intervals since the start.
    pub interval: Option<IntervalFigures>,
    /// Intervals of the last second or two.
    pub interval_second: Option<IntervalFigures>,
    /// From the earliest arrival to the latest, against the PCRs and without the drift, over the last ten seconds.
    pub jitter_ns: Option<f64>,
    /// How much faster than the receiving clock the stream's runs, over up to 60 s; none before ten seconds.
    pub drift_ppm: Option<f64>,
    /// Times that it began anew without a discontinuity_indicator.
    pub jumps: u64,
}

/// Intervals in ticks.
#[derive(Clone, Copy, Debug)]
struct Intervals {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Intervals {
    const NONE: Self = Self { count: 0, sum: 0, min: u64::MAX, max: 0 };

    fn add(&mut self, ticks: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(ticks);
        self.min = self.min.min(ticks);
        self.max = self.max.max(ticks);
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum.saturating_add(other.sum),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn figures(self) -> Option<IntervalFigures> {
        let nanos = |ticks: u64| ticks as f64 * 1000.0 / 27.0;
        (self.count > 0).then(|| IntervalFigures {
            min_ns: nanos(self.min),
            mean_ns: nanos(self.sum) / self.count as f64,
            max_ns: nanos(self.max),
        })
    }
}

/// The least and the most offset within a second, in nanoseconds, and when in it they were, in parts of 2^16.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    low: i32,
    high: i32,
    low_at: u16,
    high_at: u16,
}

impl Bucket {
    const EMPTY: Self = Self { low: i32::MAX, high: i32::MIN, low_at: 0, high_at: 0 };

    const fn is_empty(self) -> bool {
        self.low > self.high
    }

    fn add(&mut self, offset: i32, at: u16) {
        if offset < self.low {
            (self.low, self.low_at) = (offset, at);
        }
        if offset > self.high {
            (self.high, self.high_at) = (offset, at);
        }
    }
}

/// From where arrival and PCR are counted, and how far they have come.
#[derive(Clone, Copy, Debug)]
struct Run {
    begin: Instant,
    last: Instant,
    pcr: Ticks27M,
    /// Ticks since the begin.
    ticks: i64,
    /// The offset that the buckets count from.
    zero: i64,
    /// Which second since the begin is the latest.
    second: i64,
}

/// The clock of one PID that carries PCRs.
#[derive(Clone, Debug)]
pub struct Clock {
    run: Option<Run>,
    /// A PCR that came where none was expected, until the next one tells what it was.
    suspect: Option<(Instant, Ticks27M)>,
    buckets: [Bucket; SECONDS],
    ever: Intervals,
    this_second: Intervals,
    second_before: Intervals,
    second_begins: Instant,
    jumps: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Of a PID from which nothing came yet.
    pub const fn new() -> Self {
        Self {
            run: None,
            suspect: None,
            buckets: [Bucket::EMPTY; SECONDS],
            ever: Intervals::NONE,
            this_second: Intervals::NONE,
            second_before: Intervals::NONE,
            second_begins: Instant::LONG_AGO,
            jumps: 0,
        }
    }

    /// A PCR came at `at`; `discontinuity` is its packet's discontinuity_indicator.
    pub fn pcr(&mut self, at: Instant, pcr: Ticks27M, discontinuity: bool) {
        let Some(run) = self.run.filter(|_| !discontinuity) else {
            return self.begin(at, pcr);
        };
        if pcr == run.pcr {
            return;
        }
        if follows((run.last, run.pcr), (at, pcr)) {
            self.suspect = None;
            self.add(run, at, pcr);
        } else if let Some(suspect) = self.suspect.take_if(|suspect| follows(*suspect, (at, pcr))) {
            self.jumps += 1;
            self.begin(suspect.0, suspect.1);
            if let Some(run) = self.run {
                self.add(run, at, pcr);
            }
        } else {
            self.suspect = Some((at, pcr));
        }
    }

    fn begin(&mut self, at: Instant, pcr: Ticks27M) {
        self.suspect = None;
        self.buckets = [Bucket::EMPTY; SECONDS];
        self.run = Some(Run { begin: at, last: at, pcr, ticks: 0, zero: 0, second: 0 });
        self.put(0, 0, 0);
    }

    fn add(&mut self, mut run: Run, at: Instant, pcr: Ticks27M) {
        let ticks = pcr.forward_from(run.pcr);
        self.interval(at, ticks);
        (run.last, run.pcr, run.ticks) = (at, pcr, run.ticks.saturating_add_unsigned(ticks));
        let elapsed = at.nanos().saturating_sub(run.begin.nanos());
        let offset = elapsed.saturating_sub(nanos(run.ticks));
        let far = offset.saturating_sub(run.zero);
        if far.saturating_abs() >= FAR {
            run.zero = offset;
            self.shift(far);
        }
        // times of arrival may go back a little, seconds do not
        let second = elapsed.div_euclid(SECOND).max(run.second);
        for passed in (run.second + 1..=second).rev().take(SECONDS) {
            if let Some(bucket) = self.buckets.get_mut(place(passed)) {
                *bucket = Bucket::EMPTY;
            }
        }
        run.second = second;
        self.run = Some(run);
        let part = (elapsed - second * SECOND).clamp(0, SECOND - 1) * 65_536 / SECOND;
        self.put(second, offset - run.zero, u16::try_from(part).unwrap_or(u16::MAX));
    }

    fn put(&mut self, second: i64, offset: i64, part: u16) {
        if let (Some(bucket), Ok(offset)) = (self.buckets.get_mut(place(second)), i32::try_from(offset)) {
            bucket.add(offset, part);
        }
    }

    /// Counts all offsets from one that is higher by `by`.
    fn shift(&mut self, by: i64) {
        for bucket in self.buckets.iter_mut().filter(|bucket| !bucket.is_empty()) {
            let shifted = (
                i32::try_from(i64::from(bucket.low).saturating_sub(by)),
                i32::try_from(i64::from(bucket.high).saturating_sub(by)),
            );
            match shifted {
                (Ok(low), Ok(high)) => (bucket.low, bucket.high) = (low, high),
                _ => *bucket = Bucket::EMPTY,
            }
        }
    }

    fn interval(&mut self, at: Instant, ticks: u64) {
        self.turn(at);
        self.ever.add(ticks);
        self.this_second.add(ticks);
    }

    fn turn(&mut self, now: Instant) {
        let second = Span::from_nanos(SECOND);
        if now >= self.second_begins + second {
            let fresh = now < self.second_begins + second + second;
            let ended = core::mem::replace(&mut self.this_second, Intervals::NONE);
            self.second_before = if fresh { ended } else { Intervals::NONE };
            self.second_begins = now;
        }
    }

    /// The seconds that are kept and have offsets, the oldest first: which, and what was in it.
    fn seconds(&self) -> impl DoubleEndedIterator<Item = (i64, Bucket)> {
        let latest = self.run.map_or(-1, |run| run.second);
        let kept = (latest - (SECONDS as i64 - 1)).max(0)..=latest;
        kept.filter_map(|second| Some((second, *self.buckets.get(place(second))?))).filter(|(_, b)| !b.is_empty())
    }

    /// Nanoseconds that the offset grows in each second, from at least `fewest` whole seconds.
    fn slope(&self, fewest: usize) -> Option<f64> {
        let latest = self.run?.second;
        let mut lows = [(0.0, 0.0); SECONDS];
        // the least of a second that still runs may be yet to come
        let whole = self.seconds().filter(|(second, _)| *second < latest);
        let lows_of = whole.map(|(second, bucket)| (time(second, bucket.low_at), f64::from(bucket.low)));
        let count = lows.iter_mut().zip(lows_of).map(|(to, low)| *to = low).count();
        let lows = lows.get(..count.max(1)).filter(|_| count >= fewest.max(2))?;
        // a step of the delay is in those pairs only that lie on both sides of it
        let apart = (count / 4).max(count.min(DRIFT_AFTER) / 2).max(1);
        let later = lows.get(apart..)?;
        median::<SECONDS>(lows.iter().zip(later).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)))
    }

    fn jitter(&self) -> Option<f64> {
        let latest = self.run?.second;
        let slope = self.slope(2).unwrap_or(0.0);
        let recent = self.seconds().filter(|(second, _)| *second > latest - JITTER_SECONDS);
        let level = |second, at, offset| f64::from(offset) - slope * time(second, at);
        let (low, high) = recent.fold((f64::MAX, f64::MIN), |(low, high), (second, b)| {
            (low.min(level(second, b.low_at, b.low)), high.max(level(second, b.high_at, b.high)))
        });
        (high >= low).then_some(high - low)
    }

    /// The figures at `now`.
    pub fn figures(&self, now: Instant) -> Figures {
        let mut turned = self.clone();
        turned.turn(now);
        Figures {
            interval: self.ever.figures(),
            interval_second: turned.this_second.and(turned.second_before).figures(),
            jitter_ns: self.jitter(),
            // an offset that grows is a PCR that stays behind
            drift_ppm: self.slope(DRIFT_AFTER).map(|slope| -slope / 1000.0),
            jumps: self.jumps,
        }
    }
}

/// Ticks as nanoseconds.
fn nanos(ticks: i64) -> i64 {
    match ticks.checked_mul(1000) {
        Some(thousandths) => thousandths / 27,
        None => i64::try_from(i128::from(ticks) * 1000 / 27).unwrap_or(i64::MAX),
    }
}

/// Whether a PCR can be the next of the same clock: it goes forward, and by about the time that passed.
fn follows(before: (Instant, Ticks27M), next: (Instant, Ticks27M)) -> bool {
    let step = next.1.step_from(before.1);
    let passed = next.0.nanos().saturating_sub(before.0.nanos());
    step > 0 && passed.saturating_sub(nanos(step)).saturating_abs() <= JUMP
}

/// Where a second's bucket is.
fn place(second: i64) -> usize {
    usize::try_from(second.rem_euclid(SECONDS as i64)).unwrap_or(0)
}

/// When a part of a second was, in seconds.
#[allow(clippy::cast_precision_loss)]
fn time(second: i64, part: u16) -> f64 {
    second as f64 + f64::from(part) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender whose clock is off by some ppm, and a network that delays.
    struct Line {
        clock: Clock,
        /// Ticks of the sender's clock.
        ticks: u64,
        ppm: f64,
        every: u64,
        at: Instant,
        seed: u64,
    }

    impl Line {
        fn new(ppm: f64) -> Self {
            Self { clock: Clock::new(), ticks: 0, ppm, every: 27_000_000 / 25, at: Instant::ZERO, seed: 1 }
        }

        fn random(&mut self, below: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) % below
        }

        /// One PCR that the network holds for `delay` nanoseconds.
        #[allow(clippy::cast_possible_truncation)]
        fn put(&mut self, delay: u64) {
            let true_ns = self.ticks as f64 / 27e6 / (1.0 + self.ppm * 1e-6) * 1e9;
            self.at = Instant::from_nanos(true_ns.round() as i64) + Span::from_nanos(delay.cast_signed());
            self.clock.pcr(self.at, Ticks27M(self.ticks % Ticks27M::WRAP), false);
            self.ticks += self.every;
        }

        fn run(&mut self, seconds: u64, jitter: u64) {
            for _ in 0..seconds * 25 {
                let delay = self.random(jitter + 1);
                self.put(delay);
            }
        }

        fn figures(&self) -> Figures {
            self.clock.figures(self.at)
        }
    }

    fn near(found: Option<f64>, expected: f64, within: f64) {
        let off = (found.unwrap() - expected).abs();
        assert!(off <= within, "{found:?}, not {expected}");
    }

    #[test]
    fn a_clock_that_drifts_shows_its_drift_and_no_jitter() {
        for ppm in [0.0, 20.0, -30.0, 100.0] {
            let mut line = Line::new(ppm);
            line.run(10, 0);
            assert_eq!(line.figures().drift_ppm, None, "the tenth second is not over");
            line.run(1, 0);
            near(line.figures().drift_ppm, ppm, 0.01);
            line.run(200, 0);
            near(line.figures().drift_ppm, ppm, 0.01);
            near(line.figures().jitter_ns, 0.0, 10.0);
        }
    }

    #[test]
    fn jitter_is_what_lies_between_the_earliest_and_the_latest_without_the_drift() {
        let mut line = Line::new(-25.0);
        line.run(100, 0);
        line.put(5_000_000);
        line.run(5, 0);
        near(line.figures().jitter_ns, 5_000_000.0, 50_000.0);
        near(line.figures().drift_ppm, -25.0, 0.1);
        line.run(10, 0);
        near(line.figures().jitter_ns, 0.0, 10.0);
    }

    #[test]
    fn the_minima_find_the_drift_through_jitter_and_through_a_step_of_the_delay() {
        let mut line = Line::new(12.5);
        line.run(120, 2_000_000);
        near(line.figures().drift_ppm, 12.5, 4.0);
        near(line.figures().jitter_ns, 2_000_000.0, 100_000.0);
        let mut line = Line::new(12.5);
        line.run(40, 0);
        for _ in 0..25 * 40 {
            line.put(3_000_000);
        }
        near(line.figures().drift_ppm, 12.5, 0.1);
    }

    #[test]
    fn intervals_are_of_the_streams_own_time() {
        let mut line = Line::new(0.0);
        line.run(60, 10_000_000);
        line.ticks += 27_000_000 / 10 - line.every;
        line.run(1, 0);
        let all = line.figures().interval.unwrap();
        assert_eq!((all.min_ns, all.max_ns), (40_000_000.0, 100_000_000.0));
        near(Some(all.mean_ns), 40_000_000.0 + 60_000_000.0 / 1524.0, 0.001);
        assert_eq!(line.figures().interval_second.unwrap().max_ns, 100_000_000.0);
        line.run(3, 0);
        assert_eq!(line.figures().interval_second.unwrap().max_ns, 40_000_000.0);
        assert_eq!(line.clock.figures(line.at + Span::from_secs(5)).interval_second, None);
        assert_eq!(line.clock.figures(line.at + Span::from_secs(5)).interval, line.figures().interval);
    }

    #[test]
    fn a_jump_or_a_discontinuity_begins_anew_and_a_single_wild_one_does_not() {
        let mut line = Line::new(5.0);
        line.run(30, 0);
        let before = line.figures();
        line.clock.pcr(line.at, Ticks27M(line.ticks + (1 << 40)), false);
        line.clock.pcr(line.at, Ticks27M(0), false);
        line.run(1, 0);
        assert_eq!(line.figures().interval, before.interval);
        near(line.figures().drift_ppm, 5.0, 0.01);
        assert_eq!(line.figures().jumps, 0);
        for i in 0..25 {
            let at = line.at + Span::from_millis(40 * (i + 1));
            line.clock.pcr(at, Ticks27M(u64::from(i) * line.every), false);
        }
        assert_eq!((line.figures().jumps, line.figures().drift_ppm), (1, None));
        assert!(line.figures().jitter_ns.unwrap() < 100.0);
        assert_eq!(line.figures().interval.unwrap().max_ns, 40_000_000.0);
        let mut line = Line::new(5.0);
        line.run(30, 0);
        line.clock.pcr(line.at, Ticks27M(line.ticks + (1 << 40)), true);
        assert_eq!((line.figures().jumps, line.figures().drift_ppm), (0, None));
    }

    #[test]
    fn silence_the_wrap_and_days_of_drift_are_no_jumps() {
        let mut line = Line::new(80.0);
        line.ticks = Ticks27M::WRAP - 27_000_000 * 30;
        line.run(60, 0);
        near(line.figures().drift_ppm, 80.0, 0.01);
        line.ticks += 27_000_000 * 600;
        line.run(30, 0);
        near(line.figures().drift_ppm, 80.0, 0.01);
        line.every = 27_000_000;
        line.run(20_000, 0); // 500,000 s: 40 s of drift
        near(line.figures().drift_ppm, 80.0, 0.01);
        near(line.figures().jitter_ns, 0.0, 10.0);
        assert_eq!(line.figures().jumps, 0);
    }

    #[test]
    fn hostile_values_do_no_harm() {
        let mut line = Line::new(0.0);
        for i in 0..200_000u64 {
            let wild = line.random(u64::MAX) << line.random(33);
            let at = if line.random(3) == 0 { wild.cast_signed() } else { (i * 40_000_000).cast_signed() };
            let at = match line.random(50) {
                0 => Instant::LONG_AGO,
                1 => Instant::NEVER,
                _ => Instant::from_nanos(at),
            };
            let pcr = if line.random(3) == 0 { line.random(u64::MAX) << line.random(33) } else { i * 1_080_000 };
            let discontinuity = line.random(100) == 0;
            line.clock.pcr(at, Ticks27M(pcr), discontinuity);
            let figures = line.clock.figures(at);
            assert!(figures.jitter_ns.is_none_or(f64::is_finite) && figures.drift_ppm.is_none_or(f64::is_finite));
        }
        assert!(core::mem::size_of::<Clock>() <= 1_024, "{}", core::mem::size_of::<Clock>());
    }
}
