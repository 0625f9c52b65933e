//! Lines through PCRs over their places in the stream: one ticks-a-packet slope, if the rate is constant.

use crate::ts::PACKET_SIZE;

/// The points whose bit is set.
fn choose(points: impl Iterator<Item = Point> + Clone, chosen: u32) -> impl Iterator<Item = Point> + Clone {
    points.enumerate().filter(move |(i, _)| chosen >> i & 1 != 0).map(|(_, point)| point)
}

/// The most points that a robust line is sought through.
const MOST: usize = 32;
/// The most corners that the region of [`Strip`] keeps.
const CORNERS: usize = 16;
/// What rounding in floating point may add up to, in ticks.
const ROUNDING: f64 = 1e-4;
/// The slopes that are believed, in ticks a packet: 40 Gb/s to 1 kb/s.
const SLOPES: core::ops::RangeInclusive<f64> = 1.0..=4.1e7;
/// How far from the line a point may lie and still belong to it, in mean deviations.
const REACH: f64 = 5.0;
/// The same in ticks, where the mean is next to nothing.
const REACH_MIN: f64 = 2.0;

/// A PCR and its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// The number of its packet.
    pub(super) packet: u64,
    /// The PCR in ticks, going on across the wrap.
    pub(super) ticks: i64,
}

impl Point {
    /// Packets and ticks from `earlier` to this one.
    #[allow(clippy::cast_precision_loss)]
    fn from(self, earlier: Self) -> (f64, f64) {
        let packets = self.packet.wrapping_sub(earlier.packet).cast_signed();
        (packets as f64, self.ticks.wrapping_sub(earlier.ticks) as f64)
    }
}

/// Bits a second at `slope` ticks a packet.
#[allow(clippy::cast_precision_loss)]
pub(super) fn bit_rate(slope: f64) -> f64 {
    (PACKET_SIZE * 8) as f64 * TICKS_A_SECOND / slope
}

/// 27 MHz.
const TICKS_A_SECOND: f64 = 27_000_000.0;

/// Every line of which all PCRs so far are the whole part: what an ideal multiplexer of constant rate may have had.
///
/// With each PCR there are fewer, so the line is soon known far better than to the tick to which PCRs are rounded. It
/// makes no difference whether they are rounded down, up or to the nearest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    /// The corners of a convex region of lines, in order around it: ticks a packet, and ticks above [`at`](Self::at).
    corners: [(f64, f64); CORNERS],
    len: usize,
    /// The point that heights are counted from: the last one admitted.
    at: Point,
}

impl Strip {
    /// The lines through two points; none where no rate that is believed leads from one to the other.
    pub(super) fn new(first: Point, second: Point) -> Option<Self> {
        let (packets, ticks) = second.from(first);
        if packets == 0.0 || !SLOPES.contains(&(ticks / packets)) {
            return None;
        }
        let mut corners = [(0.0, 0.0); CORNERS];
        // low to low, low to high, high to high, high to low
        for (corner, (before, after)) in corners.iter_mut().zip([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]) {
            *corner = ((ticks + after - before) / packets, after);
        }
        Some(Self { corners, len: 4, at: second })
    }

    /// The lines through all `points`; none where there is none, or with fewer than two points.
    pub(super) fn through(mut points: impl Iterator<Item = Point>) -> Option<Self> {
        let mut strip = Self::new(points.next()?, points.next()?)?;
        points.all(|point| strip.admit(point)).then_some(strip)
    }

    fn corners(&self) -> &[(f64, f64)] {
        self.corners.get(..self.len).unwrap_or(&[])
    }

    /// How far `point` is from what the lines say, in whole ticks: 0 where it is as near as a PCR can be.
    pub(super) fn deviation(&self, point: Point) -> f64 {
        let (packets, ticks) = point.from(self.at);
        let heights = self.corners().iter().map(|(slope, height)| height + slope * packets - ticks);
        let (low, high) = heights.fold((f64::MAX, f64::MIN), |(low, high), h| (low.min(h), high.max(h)));
        -((low + high) / 2.0).floor()
    }

    /// Leaves only the lines that `point` is on as well; false, and nothing changed, where there are none.
    pub(super) fn admit(&mut self, point: Point) -> bool {
        let (packets, ticks) = point.from(self.at);
        let mut moved = [(0.0, 0.0); CORNERS];
        for (to, (slope, height)) in moved.iter_mut().zip(self.corners()) {
            *to = (*slope, height + slope * packets - ticks);
        }
        let mut low = [(0.0, 0.0); CORNERS + 2];
        let len = clip(moved.get(..self.len).unwrap_or(&[]), &mut low, |height| height + ROUNDING);
        let mut both = [(0.0, 0.0); CORNERS + 2];
        let len = clip(low.get(..len).unwrap_or(&[]), &mut both, |height| 1.0 + ROUNDING - height);
        if len == 0 {
            return false;
        }
        self.at = point;
        match (both.get(..len), self.corners.get_mut(..len)) {
            (Some(clipped), Some(corners)) => {
                corners.copy_from_slice(clipped);
                self.len = len;
            }
            // too many corners: this point takes none of the lines away
            _ => self.corners = moved,
        }
        true
    }

    /// Ticks a packet.
    pub(super) fn slope(&self) -> f64 {
        let (low, high) = self.corners().iter().fold((f64::MAX, f64::MIN), |(l, h), c| (l.min(c.0), h.max(c.0)));
        (low + high) / 2.0
    }
}

/// Copies what of a convex region has an `inside` of at least 0; how many corners that has.
fn clip(from: &[(f64, f64)], to: &mut [(f64, f64); CORNERS + 2], inside: impl Fn(f64) -> f64) -> usize {
    let mut len = 0;
    let mut put = |corner| {
        if let Some(place) = to.get_mut(len) {
            *place = corner;
            len += 1;
        }
    };
    let Some(&last) = from.last() else { return 0 };
    let (mut a, mut depth_a) = (last, inside(last.1));
    for &b in from {
        let depth_b = inside(b.1);
        if (depth_a < 0.0) != (depth_b < 0.0) {
            let part = depth_a / (depth_a - depth_b);
            put((a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part));
        }
        if depth_b >= 0.0 {
            put(b);
        }
        (a, depth_a) = (b, depth_b);
    }
    len
}

/// What a line of least squares is made of: sums of integers modulo 2^64, so that points come and go and nothing is
/// rounded. That they did not outgrow it is asked when they are used.
#[derive(Clone, Copy, Debug)]
struct Sums {
    count: u64,
    packets: u64,
    ticks: u64,
    squares: u64,
    products: u64,
    /// Between these are the ticks of all points that came.
    low: i64,
    high: i64,
}

/// Up to here a float holds every integer.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

impl Sums {
    const NONE: Self = Self { count: 0, packets: 0, ticks: 0, squares: 0, products: 0, low: i64::MAX, high: i64::MIN };

    fn of(points: impl Iterator<Item = Point>) -> Self {
        points.fold(Self::NONE, Self::and)
    }

    /// With one more.
    fn and(self, Point { packet, ticks }: Point) -> Self {
        let value = ticks.cast_unsigned();
        Self {
            count: self.count.wrapping_add(1),
            packets: self.packets.wrapping_add(packet),
            ticks: self.ticks.wrapping_add(value),
            squares: self.squares.wrapping_add(packet.wrapping_mul(packet)),
            products: self.products.wrapping_add(packet.wrapping_mul(value)),
            low: self.low.min(ticks),
            high: self.high.max(ticks),
        }
    }

    /// Without one of them.
    fn without(self, Point { packet, ticks }: Point) -> Self {
        let value = ticks.cast_unsigned();
        Self {
            count: self.count.wrapping_sub(1),
            packets: self.packets.wrapping_sub(packet),
            ticks: self.ticks.wrapping_sub(value),
            squares: self.squares.wrapping_sub(packet.wrapping_mul(packet)),
            products: self.products.wrapping_sub(packet.wrapping_mul(value)),
            ..self
        }
    }

    /// Counted from the first of them: how many, then the sums of packets, ticks, squares and products. None where a float
    /// would not hold each of these, and each on the way to it, to the last digit.
    #[allow(clippy::cast_precision_loss, reason = "what would lose any is kept out")]
    fn from(&self, first: Point, last: Point) -> Option<[f64; 5]> {
        let reach = last.packet.checked_sub(first.packet)?;
        let ticks = self.high.checked_sub(first.ticks)?.max(first.ticks.checked_sub(self.low)?).unsigned_abs();
        let most = reach.max(ticks).max(1).checked_mul(reach.max(1))?.checked_mul(self.count)?;
        if most > EXACT {
            return None;
        }
        let (n, x, y) = (self.count, first.packet, first.ticks.cast_unsigned());
        let packets = self.packets.wrapping_sub(n.wrapping_mul(x));
        let ticks = self.ticks.wrapping_sub(n.wrapping_mul(y));
        // with x' = x + p: the sum of x'² is that of x², of 2px and of p²; and so on
        let twice = packets.wrapping_add(self.packets);
        let squares = self.squares.wrapping_sub(x.wrapping_mul(twice));
        let products = self.products.wrapping_sub(x.wrapping_mul(self.ticks)).wrapping_sub(y.wrapping_mul(packets));
        Some([n, packets, ticks, squares, products].map(|sum| sum.cast_signed() as f64))
    }
}

/// The line of least squares, for PCRs that are not ideal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Of the points that it was made of, but for those that are gone since.
    sums: Sums,
    origin: Point,
    /// The mean of the points, from the origin.
    mean: (f64, f64),
    /// Ticks a packet.
    slope: f64,
    /// Of the points' deviations: their mean, unsigned.
    spread: f64,
    /// The mean square of the differences of neighbouring deviations over that of the deviations: 2 where each is by
    /// itself, 0 where they go on from one to the next (von Neumann's ratio).
    roughness: f64,
    /// The inverse of how many points, and of the sum of the squares of their distances from the mean.
    weights: (f64, f64),
}

impl Fit {
    /// Through those of `points` whose bit is set in `chosen`; none where they make no line of a rate that is believed.
    pub(super) fn through(points: impl Iterator<Item = Point> + Clone, chosen: u32) -> Option<Self> {
        let line = Self::level(points.clone(), chosen)?;
        let (mut apart, mut squared, mut rough, mut count) = (0.0, 0.0, 0.0, 0.0);
        let mut before = None;
        for point in choose(points, chosen) {
            let deviation = line.deviation(point);
            apart += deviation.abs();
            squared += deviation * deviation;
            rough += before.replace(deviation).map_or(0.0, |before: f64| (deviation - before) * (deviation - before));
            count += 1.0;
        }
        Some(Self { spread: apart / count, roughness: rough / squared, ..line })
    }

    /// The line through the same points but those that are gone, and through `last`, taking it that they lie along it as
    /// they did along this one. `first` is the first of them all; `points` and `chosen` are they, as for
    /// [`through`](Self::through).
    pub(super) fn moved(
        &self,
        first: Point,
        last: Point,
        points: impl Iterator<Item = Point> + Clone,
        chosen: u32,
    ) -> Option<Self> {
        let level = Self::of(self.sums.and(last), first, last, points, chosen)?;
        Some(Self { spread: self.spread, roughness: self.roughness, ..level })
    }

    /// A point that the line was made of is gone. The line stays until it is [`moved`](Self::moved).
    pub(super) fn forget(&mut self, point: Point) {
        self.sums = self.sums.without(point);
    }

    /// The line of least squares, in one go.
    fn level(points: impl Iterator<Item = Point> + Clone, chosen: u32) -> Option<Self> {
        let mut all = choose(points.clone(), chosen);
        let first = all.next()?;
        let last = all.last().unwrap_or(first);
        Self::of(Sums::of(choose(points.clone(), chosen)), first, last, points, chosen)
    }

    /// The same of points whose `sums` are known. What these cannot tell, floats do, which then are rounded.
    fn of(
        sums: Sums,
        first: Point,
        last: Point,
        points: impl Iterator<Item = Point> + Clone,
        chosen: u32,
    ) -> Option<Self> {
        let [count, x, y, xx, xy] = sums.from(first, last).unwrap_or_else(|| {
            choose(points, chosen).fold([0.0; 5], |[count, x, y, xx, xy], point| {
                let (packets, ticks) = point.from(first);
                [count + 1.0, x + packets, y + ticks, xx + packets * packets, xy + packets * ticks]
            })
        });
        let mean = (x / count, y / count);
        let squares: f64 = xx - x * mean.0;
        let slope = (xy - x * mean.1) / squares;
        let weights = (1.0 / count, 1.0 / squares);
        let line = Self { sums, origin: first, mean, slope, spread: 0.0, roughness: 0.0, weights };
        SLOPES.contains(&slope).then_some(line)
    }

    /// The line that most of the first [`MOST`] of `points` lie near, up to a quarter of them anywhere, and which of them do;
    /// none where not even half of them are within a packet's time.
    pub(super) fn robust(points: impl Iterator<Item = Point> + Clone) -> Option<(Self, u32)> {
        let origin = points.clone().next()?;
        let mut all = [(0.0, 0.0); MOST];
        let count = all.iter_mut().zip(points.clone()).map(|(to, point)| *to = point.from(origin)).count();
        let all = all.get(..count)?;
        let (early, late) = all.split_at(count / 2);
        let slope = median::<MOST>(early.iter().zip(late).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)))?;
        let height = median::<MOST>(all.iter().map(|(packets, ticks)| ticks - slope * packets))?;
        let apart = |(packets, ticks): &(f64, f64)| (ticks - slope * packets - height).abs();
        let typical = median::<MOST>(all.iter().map(apart))?;
        if !SLOPES.contains(&slope) || typical > slope {
            return None;
        }
        let reach = (REACH * typical).max(REACH_MIN);
        let near = |near: &dyn Fn(Point) -> bool| {
            points.clone().enumerate().fold(0, |mask, (i, point)| mask | u32::from(near(point)) << i)
        };
        let mut chosen = near(&|point| apart(&point.from(origin)) <= reach);
        let mut fit = Self::through(points.clone(), chosen)?;
        // the first line hangs on medians; what lies near the second is what counts
        for _ in 0..2 {
            chosen = near(&|point| fit.holds(point));
            fit = Self::through(points.clone(), chosen)?;
        }
        Some((fit, chosen))
    }

    /// How far `point` is from the line, in ticks.
    pub(super) fn deviation(&self, point: Point) -> f64 {
        let (packets, ticks) = point.from(self.origin);
        ticks - self.mean.1 - self.slope * (packets - self.mean.0)
    }

    /// Whether `point` is no farther off than the others and the uncertainty of the line let expect.
    pub(super) fn holds(&self, point: Point) -> bool {
        let packets = point.from(self.origin).0 - self.mean.0;
        let doubt = (self.weights.0 + packets * packets * self.weights.1).sqrt();
        let spread = self.spread.max(0.3);
        self.deviation(point).abs() <= (REACH * spread).max(REACH_MIN) + 3.0 * spread * doubt
    }

    /// Ticks a packet.
    pub(super) const fn slope(&self) -> f64 {
        self.slope
    }

    /// Whether the deviations can be those of PCRs in a stream of constant rate, and not of a rate that varies: far less
    /// than a packet's time, and the larger they are the less may they go on from one to the next. `lenient` where that
    /// was so before.
    pub(super) fn is_of_constant_rate(&self, lenient: bool) -> bool {
        let (any, most, rough) = if lenient { (1.0 / 12.0, 1.0 / 6.0, 0.5) } else { (1.0 / 16.0, 1.0 / 8.0, 1.0) };
        self.spread <= any * self.slope || self.spread <= most * self.slope && self.roughness >= rough
    }

    /// The mean unsigned deviation of the points it was made of, in ticks.
    pub(super) const fn spread(&self) -> f64 {
        self.spread
    }
}

/// The median of the first `MOST` numbers; none of none.
pub(super) fn median<const MOST: usize>(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted = [0.0; MOST];
    let count = sorted.iter_mut().zip(numbers).map(|(to, number)| *to = number).count();
    let sorted = sorted.get_mut(..count)?;
    (count > 0).then(|| *sorted.select_nth_unstable_by(count / 2, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(packet: u64, ticks: i64) -> Point {
        Point { packet, ticks }
    }

    #[test]
    fn a_strip_knows_the_line_better_with_each_point_and_refuses_what_is_off() {
        // 7.3 ticks a packet
        let right = |packet: u64| point(packet, i64::try_from(packet * 73 / 10).unwrap());
        let mut strip = Strip::new(right(0), right(10)).unwrap();
        assert!((strip.slope() - 7.3).abs() < 0.1);
        for packet in [23, 31, 48, 55, 67, 79, 90, 1_003] {
            assert!(strip.admit(right(packet)), "{packet}");
            assert!(!strip.admit(point(packet + 1, right(packet + 1).ticks + 2)));
        }
        assert!((strip.slope() - 7.3).abs() < 0.001);
        for off in [-14, -1, 0, 1, 13, 1 << 40] {
            for packet in [17, 1_013, 1_099] {
                assert_eq!(strip.deviation(point(packet, right(packet).ticks + off)), off as f64);
            }
        }
    }

    #[test]
    fn no_line_is_of_a_rate_that_there_is_not() {
        assert!(Strip::new(point(0, 0), point(10, 0)).is_none());
        assert!(Strip::new(point(0, 0), point(0, 10)).is_none());
        assert!(Strip::new(point(0, 10), point(10, 0)).is_none());
        assert!(Strip::new(point(0, i64::MIN), point(u64::MAX / 2, i64::MAX)).is_none());
        assert!(Strip::through([point(0, 0), point(10, 100), point(20, 300)].into_iter()).is_none());
        assert!(Fit::through([point(0, 0), point(10, 0)].into_iter(), 3).is_none());
        assert!(Fit::through([point(0, 0)].into_iter(), 1).is_none());
        assert!(Fit::robust([].into_iter()).is_none());
    }

    #[test]
    fn a_line_that_moves_is_the_one_through_its_points_to_the_last_digit() {
        for (origin, step) in [(0, 40_000), (i64::MAX - 50_000_000, 1 << 18), (-(1 << 40), 900_000), (7, 1 << 33)] {
            let new = |i: i64| point((i * 400 + i * 977 % 13).unsigned_abs(), origin + i * step + i * i % 7);
            let mut kept: Vec<_> = (0..32).map(|i| (new(i), i % 5 != 0)).collect();
            let mask = |kept: &[(Point, bool)]| kept.iter().rev().fold(0, |mask, (_, on)| mask << 1 | u32::from(*on));
            let points = |kept: &[(Point, bool)]| kept.iter().map(|(point, _)| *point).collect::<Vec<_>>();
            let mut fit = Fit::through(points(&kept).into_iter(), mask(&kept)).unwrap();
            for i in 32..150 {
                let (gone, on) = kept.remove(0);
                if on {
                    fit.forget(gone);
                }
                // some that come are off the line
                kept.push((new(i), i % 11 != 0));
                if i % 11 == 0 {
                    continue;
                }
                let first = kept.iter().find(|(_, on)| *on).unwrap().0;
                fit = fit.moved(first, new(i), points(&kept).into_iter(), mask(&kept)).unwrap();
                let whole = Fit::through(points(&kept).into_iter(), mask(&kept)).unwrap();
                let key = |fit: &Fit| (fit.origin, fit.mean, fit.slope, fit.weights);
                assert_eq!(key(&fit), key(&whole), "{i}, {origin}, {step}");
                let exact = fit.sums.from(first, new(i)).is_some();
                assert_eq!(exact, step < 1 << 30, "what floats round is left to them");
            }
        }
    }

    #[test]
    fn sums_of_integers_are_those_of_floats_where_these_are_exact() {
        let points: Vec<_> =
            (0..32i64).map(|i| point(i.unsigned_abs() * 531 + 17, i * 1_080_000 - i * i % 31)).collect();
        let (first, last) = (points[0], points[31]);
        let floats = points.iter().fold([0.0; 5], |[count, x, y, xx, xy], point| {
            let (packets, ticks) = point.from(first);
            [count + 1.0, x + packets, y + ticks, xx + packets * packets, xy + packets * ticks]
        });
        assert_eq!(Sums::of(points.iter().copied()).from(first, last), Some(floats));
        assert_eq!(Sums::of(points.iter().copied().chain([point(1 << 60, 5)])).from(first, point(1 << 60, 5)), None);
    }

    #[test]
    fn the_robust_line_is_that_of_the_three_quarters_that_agree() {
        let points: Vec<_> = (0..32i64)
            .map(|i| point(i.unsigned_abs() * 100, i * 10_000 + i * 7 % 5 - 2))
            .map(|p| if p.packet % 700 == 300 { point(p.packet, p.ticks + 5_000) } else { p })
            .collect();
        let (fit, on_line) = Fit::robust(points.iter().copied()).unwrap();
        assert!((fit.slope() - 100.0).abs() < 0.01);
        let expected = points.iter().enumerate().filter(|(_, p)| p.packet % 700 != 300).fold(0, |m, (i, _)| m | 1 << i);
        assert_eq!(on_line, expected);
        assert!((4_990.0..5_010.0).contains(&fit.deviation(points[3])));
        assert!(fit.is_of_constant_rate(false));
    }

    #[test]
    fn what_goes_on_from_point_to_point_is_no_constant_rate_and_what_is_at_random_may_be() {
        let fit = |deviation: fn(i64) -> i64| {
            let points = (0..32i64).map(|i| point(i.unsigned_abs() * 100, i * 500_000 + deviation(i)));
            Fit::through(points, u32::MAX).unwrap()
        };
        // a tenth of the 5,000 ticks that a packet takes
        assert!(fit(|i| if i % 2 == 0 { 500 } else { -500 }).is_of_constant_rate(false));
        assert!(!fit(|i| if i % 16 < 8 { 500 } else { -500 }).is_of_constant_rate(false));
        assert!(!fit(|i| if i % 2 == 0 { 1_000 } else { -1_000 }).is_of_constant_rate(false));
        assert!(fit(|i| if i % 16 < 8 { 200 } else { -200 }).is_of_constant_rate(false));
    }
}
