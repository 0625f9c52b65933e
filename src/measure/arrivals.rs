//! When datagrams come: the time between them, and the Media Delivery Index of RFC 4445.
//!
//! The delay factor follows the RFC's own words (3.1): a virtual buffer is filled by each datagram and emptied at the media
//! rate. Over an interval of about a second, from just after the last datagram of one period to just after the last of the
//! next, it is the most that the buffer held less the least, over the media rate. The least is taken just before a datagram,
//! the most just after one, and the interval begins at nothing. There is none for the first interval, since it is not known
//! when the datagram before it came. In a period without datagrams the last one stays.
//!
//! The media rate is the one that PCRs give, where it is set; else the mean of the interval itself. As that is known only at
//! its end, those points of an interval are kept that can be the most or the least at some rate: the corners of a convex
//! hull, a handful.
//!
//! The media loss rate (3.2) is the TS packets lost in a period of one second.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::units::{BitRate, Instant, Span};

/// The shortest time between datagrams that is told from none, in nanoseconds.
const SHORTEST: u64 = 1_000;
/// The longest that is told from a longer one.
const LONGEST: u64 = 10_000_000_000;
/// Significant digits of what the histogram says.
const DIGITS: u8 = 2;
/// A nominal period of RFC 4445 3.1.
const PERIOD: Span = Span::from_secs(1);
/// The most corners of a hull.
const CORNERS: usize = 32;

/// How long it is from one datagram to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct InterArrival {
    /// The shortest.
    pub min_ns: f64,
    /// Half of them are no longer, to two digits like all that follow but the last.
    pub p50_ns: f64,
    /// 99 % are no longer.
    pub p99_ns: f64,
    /// 99.9 % are no longer.
    pub p999_ns: f64,
    /// The longest.
    pub max_ns: f64,
}

/// What is known of the arrival of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The time between datagrams since the start; none before the second.
    pub inter_arrival: Option<InterArrival>,
    /// The delay factor of the last whole interval.
    pub delay_factor_ns: Option<f64>,
    /// The worst since the start.
    pub delay_factor_worst_ns: Option<f64>,
    /// TS packets lost in the last whole second.
    pub media_loss_packets_per_s: u64,
    /// The most since the start that were lost in a second, the one that runs included.
    pub media_loss_worst_packets_per_s: u64,
}

/// The corners of what lies above or below all points that came, from left to right.
#[derive(Clone, Copy, Debug)]
struct Hull {
    /// Nanoseconds since the interval began, and bytes.
    corners: [(f64, f64); CORNERS],
    len: usize,
}

impl Hull {
    /// Of an interval that begins at nothing.
    const BEGIN: Self = Self { corners: [(0.0, 0.0); CORNERS], len: 1 };

    /// A point that is not to the left of the last. `outside` is told on which side of the line to the point the last corner
    /// is, by its [`turn`].
    #[inline]
    fn add(&mut self, point: (f64, f64), outside: impl Fn(f64) -> bool) {
        while let Some(&[a, b]) = self.len.checked_sub(2).and_then(|from| self.corners.get(from..self.len)?.as_array())
        {
            if outside(turn(a, b, point)) {
                break;
            }
            self.len -= 1;
        }
        if self.len == CORNERS {
            self.thin();
        }
        if let Some(place) = self.corners.get_mut(self.len) {
            *place = point;
            self.len += 1;
        }
    }

    /// Takes out the corner that is missed least.
    #[cold]
    fn thin(&mut self) {
        let loss = |corners: &[(f64, f64)]| match corners {
            &[a, b, c] => turn(a, b, c).abs(),
            _ => f64::MAX,
        };
        let losses = self.corners.windows(3).map(loss).enumerate();
        if let Some((before, _)) = losses.min_by(|a, b| a.1.total_cmp(&b.1)) {
            self.corners.copy_within(before + 2.., before + 1);
            self.len -= 1;
        }
    }

    /// How much more or less than the `rate` in bytes a nanosecond there was.
    fn levels(&self, rate: f64) -> impl Iterator<Item = f64> {
        self.corners.iter().take(self.len).map(move |(time, bytes)| bytes - rate * time)
    }
}

/// The Media Delivery Index of RFC 4445.
#[derive(Clone, Copy, Debug)]
struct Mdi {
    rate: Option<BitRate>,
    /// When the nominal period ends.
    ends: Instant,
    /// When the interval began: at the last datagram of the period before. None in the first.
    begin: Option<Instant>,
    last: Instant,
    bytes: f64,
    most: Hull,
    least: Hull,
    lost: u64,
    delay: Option<f64>,
    worst_delay: Option<f64>,
    last_lost: u64,
    worst_lost: u64,
}

impl Mdi {
    const NEW: Self = Self {
        rate: None,
        ends: Instant::LONG_AGO,
        begin: None,
        last: Instant::LONG_AGO,
        bytes: 0.0,
        most: Hull::BEGIN,
        least: Hull::BEGIN,
        lost: 0,
        delay: None,
        worst_delay: None,
        last_lost: 0,
        worst_lost: 0,
    };

    #[inline]
    fn datagram(&mut self, at: Instant, bytes: f64) {
        if at >= self.ends {
            self.turn(at);
        }
        self.last = at;
        let Some(begin) = self.begin else { return };
        let time = nanos(at.since(begin));
        self.least.add((time, self.bytes), |turn| turn < 0.0);
        self.bytes += bytes;
        self.most.add((time, self.bytes), |turn| turn > 0.0);
    }

    /// The period is over.
    #[cold]
    fn turn(&mut self, now: Instant) {
        if self.ends == Instant::LONG_AGO {
            self.ends = now + PERIOD;
            return;
        }
        self.delay = self.delay_factor().or(self.delay);
        self.worst_delay = match (self.worst_delay, self.delay) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        let periods = now.since(self.ends).nanos() / PERIOD.nanos();
        self.last_lost = if periods == 0 { self.lost } else { 0 };
        self.ends += Span::from_nanos((periods + 1).saturating_mul(PERIOD.nanos()));
        self.begin = Some(self.last);
        (self.bytes, self.lost) = (0.0, 0);
        (self.most, self.least) = (Hull::BEGIN, Hull::BEGIN);
    }

    #[allow(clippy::cast_precision_loss)]
    fn delay_factor(&self) -> Option<f64> {
        let own = self.bytes / nanos(self.last.since(self.begin?));
        let rate = self.rate.map_or(own, |rate| rate.0 as f64 / 8e9);
        if self.bytes == 0.0 || rate <= 0.0 || !rate.is_finite() {
            return None;
        }
        let most = self.most.levels(rate).fold(f64::MIN, f64::max);
        let least = self.least.levels(rate).fold(f64::MAX, f64::min);
        Some((most - least) / rate)
    }
}

/// The arrivals of one input.
#[derive(Clone, Debug)]
pub struct Arrivals {
    mdi: Mdi,
    last: Option<Instant>,
    shortest: Span,
    longest: Span,
    between: Histogram<u64>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrivals {
    /// Of an input from which nothing came yet. Nothing is allocated after this.
    pub fn new() -> Self {
        let between = Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS).expect("bounds that a histogram can have");
        Self { mdi: Mdi::NEW, last: None, shortest: Span::FOREVER, longest: Span::ZERO, between }
    }

    /// The time before the next datagram is no pause of the stream: it was not received.
    pub const fn pause(&mut self) {
        self.last = None;
        (self.mdi.ends, self.mdi.begin) = (Instant::LONG_AGO, None);
    }

    /// A datagram with `bytes` of TS packets came at `at`, in the order of arrival and whatever becomes of it.
    #[inline]
    pub fn datagram(&mut self, at: Instant, bytes: u32) {
        // time stamps of the kernel can change places by a little
        let at = self.last.map_or(at, |last| last.max(at));
        if let Some(last) = self.last.replace(at) {
            let between = at.since(last);
            self.shortest = self.shortest.min(between);
            self.longest = self.longest.max(between);
            self.between.saturating_record(between.nanos().unsigned_abs());
        }
        self.mdi.datagram(at, f64::from(bytes));
    }

    /// So many TS packets were lost, by RTP's sequence or the continuity counters, as the datagram that came last showed.
    pub fn lost(&mut self, packets: u64) {
        self.mdi.lost = self.mdi.lost.saturating_add(packets);
        self.mdi.worst_lost = self.mdi.worst_lost.max(self.mdi.lost);
    }

    /// The media rate, where PCRs give it; it holds for the whole of the interval that runs.
    pub const fn set_rate(&mut self, rate: Option<BitRate>) {
        self.mdi.rate = rate;
    }

    /// The figures at `now`.
    pub fn figures(&self, now: Instant) -> Figures {
        let mut mdi = self.mdi;
        if now >= mdi.ends {
            mdi.turn(now);
        }
        #[allow(clippy::cast_precision_loss)]
        let quantile = |quantile| self.between.value_at_quantile(quantile) as f64;
        let inter_arrival = || InterArrival {
            min_ns: nanos(self.shortest),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            max_ns: nanos(self.longest),
        };
        Figures {
            inter_arrival: (!self.between.is_empty()).then(inter_arrival),
            delay_factor_ns: mdi.delay,
            delay_factor_worst_ns: mdi.worst_delay,
            media_loss_packets_per_s: mdi.last_lost,
            media_loss_worst_packets_per_s: mdi.worst_lost,
        }
    }
}

/// Positive where `b` is above the line from `a` to `c`; twice the area between them.
fn turn(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    (b.1 - a.1) * (c.0 - a.0) - (b.0 - a.0) * (c.1 - a.1)
}

#[allow(clippy::cast_precision_loss)]
const fn nanos(span: Span) -> f64 {
    span.nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: u32 = 7 * 188;

    fn at(ns: i64) -> Instant {
        Instant::from_nanos(ns)
    }

    /// Sends `count` datagrams, each `every` after the one before, from `from` on.
    fn steady(arrivals: &mut Arrivals, from: i64, every: i64, count: i64) -> i64 {
        for i in 0..count {
            arrivals.datagram(at(from + i * every), DATAGRAM);
        }
        from + count * every
    }

    #[test]
    fn a_perfect_pace_has_a_delay_factor_of_one_datagrams_time() {
        // 10.528 Mb/s, one a millisecond
        for rate in [None, Some(BitRate(10_528_000))] {
            let mut arrivals = Arrivals::new();
            arrivals.set_rate(rate);
            let next = steady(&mut arrivals, 500, 1_000_000, 1_000);
            assert_eq!(arrivals.figures(at(next)).delay_factor_ns, None, "nothing is known of the first interval");
            let next = steady(&mut arrivals, next, 1_000_000, 1_000);
            let figures = arrivals.figures(at(next));
            assert_eq!(figures.delay_factor_ns.map(f64::round), Some(1_000_000.0));
            assert_eq!(figures.delay_factor_worst_ns, figures.delay_factor_ns);
            let between = figures.inter_arrival.unwrap();
            assert_eq!((between.min_ns, between.max_ns), (1e6, 1e6));
            assert!((1e6..1.01e6).contains(&between.p50_ns) && between.p50_ns == between.p999_ns);
        }
    }

    #[test]
    fn a_pause_and_the_burst_after_it_are_in_the_delay_factor_of_their_interval() {
        let mut arrivals = Arrivals::new();
        arrivals.set_rate(Some(BitRate(10_528_000)));
        let next = steady(&mut arrivals, 0, 1_000_000, 1_300);
        // 50 of them wait for the last
        for i in 0..50 {
            arrivals.datagram(at(next + 49_000_000 + i), DATAGRAM);
        }
        let next = steady(&mut arrivals, next + 50_000_000, 1_000_000, 650);
        assert_eq!(next, 2_000_000_000);
        let figures = arrivals.figures(at(next));
        // from 50 ms below, just before the burst, to where it was: the one that came last and the first each count in full
        assert_eq!(figures.delay_factor_ns.map(|ns| (ns / 1e3).round()), Some(50_000.0));
        let next = steady(&mut arrivals, next, 1_000_000, 1_000);
        let figures = arrivals.figures(at(next));
        assert_eq!(figures.delay_factor_ns.map(f64::round), Some(1e6));
        assert_eq!(figures.delay_factor_worst_ns.map(|ns| (ns / 1e3).round()), Some(50_000.0));
        assert_eq!(figures.inter_arrival.unwrap().max_ns, 50e6);
    }

    #[test]
    fn silence_keeps_the_last_delay_factor_and_counts_once_it_is_over() {
        let mut arrivals = Arrivals::new();
        arrivals.set_rate(Some(BitRate(10_528_000)));
        let next = steady(&mut arrivals, 0, 1_000_000, 2_000);
        let figures = arrivals.figures(at(next + 2_500_000_000));
        assert_eq!(figures.delay_factor_ns.map(f64::round), Some(1e6));
        let next = steady(&mut arrivals, next + 3_000_000_000, 1_000_000, 1_000);
        let figures = arrivals.figures(at(next));
        assert_eq!(figures.delay_factor_ns.map(f64::round), Some(3_001e6));
        assert_eq!(figures.inter_arrival.unwrap().max_ns, 3_001e6);
    }

    #[test]
    fn the_hulls_find_what_all_points_would() {
        let mut seed = 5u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for round in 0..60 {
            let rate = (round % 2 == 0).then_some(BitRate(1_000_000 * (1 + random(40))));
            let mut arrivals = Arrivals::new();
            arrivals.set_rate(rate);
            let mut now = 0;
            arrivals.datagram(at(now), DATAGRAM);
            let mut begin = 0;
            let (mut points, mut bytes) = (vec![(0.0, 0.0)], 0.0);
            loop {
                let spread = if random(20) == 0 { 40_000_000 } else { 2_000_000 };
                let next = now + random(spread).cast_signed() * i64::from(random(4) != 0);
                if next >= 2_000_000_000 {
                    break;
                }
                if next >= 1_000_000_000 {
                    begin = if begin == 0 { now } else { begin };
                    let size = 188 * (1 + u32::try_from(random(7)).unwrap());
                    let time = (next - begin) as f64;
                    points.push((time, bytes));
                    bytes += f64::from(size);
                    points.push((time, bytes));
                    arrivals.datagram(at(next), size);
                } else {
                    arrivals.datagram(at(next), DATAGRAM);
                }
                now = next;
            }
            let rate = rate.map_or(bytes / (now - begin) as f64, |rate| rate.0 as f64 / 8e9);
            let levels = points.iter().map(|(time, bytes)| bytes - rate * time);
            let expected = (levels.clone().fold(f64::MIN, f64::max) - levels.fold(f64::MAX, f64::min)) / rate;
            let found = arrivals.figures(at(2_000_000_000)).delay_factor_ns.unwrap();
            assert!((found - expected).abs() <= 1e-6 * expected, "{round}: {found}, not {expected}");
        }
    }

    #[test]
    fn a_hull_of_too_many_corners_is_off_by_little() {
        // faster and faster, so that each point is a corner of the lower hull
        let mut arrivals = Arrivals::new();
        arrivals.set_rate(Some(BitRate(10_528_000)));
        steady(&mut arrivals, 0, 1_000_000, 1_000);
        let (mut now, mut least) = (999_000_000i64, 0.0f64);
        for i in 0..900i64 {
            now += 2_000_000 - 2_000 * i;
            least = least.min(i as f64 * 1e6 - (now - 999_000_000) as f64);
            arrivals.datagram(at(now), DATAGRAM);
        }
        assert!(now < 2_000_000_000);
        let most = 900.0 * 1e6 - (now - 999_000_000) as f64;
        let expected = most.max(0.0) - least;
        let found = arrivals.figures(at(2_000_000_000)).delay_factor_ns.unwrap();
        assert!((found - expected).abs() < 0.01 * expected, "{found}, not {expected}");
    }

    #[test]
    fn loss_is_by_the_second_and_the_worst_is_kept() {
        let mut arrivals = Arrivals::new();
        let next = steady(&mut arrivals, 0, 10_000_000, 50);
        arrivals.lost(7);
        arrivals.lost(14);
        let next = steady(&mut arrivals, next, 10_000_000, 60);
        let loss = |arrivals: &Arrivals, ns| {
            let figures = arrivals.figures(at(ns));
            (figures.media_loss_packets_per_s, figures.media_loss_worst_packets_per_s)
        };
        assert_eq!(loss(&arrivals, next), (21, 21));
        arrivals.lost(3);
        assert_eq!(loss(&arrivals, 2_000_000_000), (3, 21));
        assert_eq!(loss(&arrivals, 3_000_000_000), (0, 21));
        let next = steady(&mut arrivals, next, 10_000_000, 100);
        assert_eq!(loss(&arrivals, next), (3, 21));
    }

    #[test]
    fn what_is_longer_or_shorter_than_the_range_is_kept_at_its_ends() {
        let mut arrivals = Arrivals::new();
        for ns in [0, 0, 5, 100, 90, 60_000_000_000, i64::MAX, i64::MIN] {
            arrivals.datagram(at(ns), u32::MAX);
            arrivals.figures(at(ns));
        }
        let between = arrivals.figures(Instant::NEVER).inter_arrival.unwrap();
        assert_eq!(between.min_ns, 0.0);
        assert!(between.p50_ns < 1_000.0 && (1e10..1.01e10).contains(&between.p999_ns));
        assert_eq!(between.max_ns, (i64::MAX - 60_000_000_000) as f64);
    }

    #[test]
    fn it_is_as_large_as_it_says() {
        let arrivals = Arrivals::new();
        assert_eq!(arrivals.between.distinct_values() * 8, 19_456);
        assert!(core::mem::size_of::<Arrivals>() <= 1_536, "{}", core::mem::size_of::<Arrivals>());
    }
}
