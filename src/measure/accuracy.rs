//! PCR accuracy, PCR_AC: ETSI TR 101 290 V1.4.1 clause 5.3.2, annex I and indicator 2.4 (table 5.0b).
//!
//! In a stream of constant rate a PCR follows from the place of its packet, so what the network does to arrival is kept
//! out. The line that PCRs lie on is found from the stream itself: the low frequencies that annex I filters out, which are
//! drift, are what the line follows.
//!
//! - **Measurable or not.** The rate is taken as constant when three quarters of the latest PCRs lie on a line: exactly, as
//!   an ideal multiplexer rounds them, from [`FEWEST`] PCRs on; or with a mean deviation below a sixteenth of a packet's
//!   time (an eighth, where each deviates by itself), from 16 on. Where null packets were taken out or the rate varies,
//!   PCRs are off by whole packets: not measurable. After that was said, there must be a line through the last 32 for 64
//!   PCRs to take it back.
//! - **When it is decided.** A PCR on the line is judged at once. One off the line waits: if a later one is on the line
//!   again, it was wrong, and is raised with the place and time that it had.
//! - **A step.** When [`FEWEST`] PCRs in a row are off the line and on another one, the rate changed, packets went missing
//!   that nothing showed (null packets have no counter), or the clock jumped: the new line is taken and nothing is raised. So
//!   an error that this many PCRs in a row share is counted as a step and not as errors, and what waited before it is not
//!   judged. Three steps within 128 PCRs are no constant rate.
//! - **What is lost.** After [`Accuracy::lost`] or a discontinuity the line begins anew. The PCRs until it is found are judged
//!   then; those that were waiting before are not.
//!
//! With an ideal multiplexer the line is known to a small part of a tick, and a PCR that is off by 13 ticks (481 ns) is told
//! from one that is off by 14 (519 ns). Else the deviation is that from the line of least squares through the last 32.

use serde::Serialize;

use super::line::{Fit, Point, Strip, bit_rate};
use crate::units::{Instant, Span, Ticks27M};

/// The most that a PCR may be off: 500 ns in ticks (table 5.0b 2.4).
const LIMIT: f64 = 13.5;
/// So many PCRs in a row on an exact line are no chance.
pub const FEWEST: usize = 5;
/// So many are needed for a line that is not exact.
const FEWEST_FITTED: usize = 16;
/// How many PCRs are kept.
const KEPT: usize = 32;
/// Whether the PCRs still lie along a line of least squares is looked at with one in so many.
const REVIEW: u64 = 4;
/// After so many in a row off the line, it is none.
const MOST_OFF: u32 = 16;
/// When no line was found for so many PCRs, it is not known any more whether the rate is constant.
const SOUGHT_LONG: u32 = 64;
/// For so many PCRs there must be a line before a rate that varied is constant.
const STEADY: u32 = 64;
/// How far off, in ticks, an exact line may be corrected by the latest PCRs without being another one.
const WANDER: f64 = 2.0;
/// Three steps within so many PCRs are no constant rate.
const STEPS_WITHIN: u64 = 128;
/// How long the last second is.
const SECOND: Span = Span::from_secs(1);

/// A PCR that is off by more than 500 ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inaccuracy {
    /// When it came.
    pub at: Instant,
    /// The number of its packet.
    pub packet: u64,
    /// By how much: positive where the PCR is too high for its place.
    pub deviation_ns: f64,
}

/// What is known of the accuracy of the PCRs of one PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Whether the rate is constant, so that accuracy means something; none before that is known.
    pub measurable: Option<bool>,
    /// The rate by the PCRs, nulls included, where it is constant.
    pub bit_rate_bps: Option<f64>,
    /// How far off the PCR that was judged last is.
    pub last_ns: Option<f64>,
    /// How far off the worst of the last second or two is, unsigned.
    pub worst_second_ns: Option<f64>,
    /// How far off the worst since the start is, unsigned.
    pub worst_ns: Option<f64>,
    /// PCRs that were judged.
    pub judged: u64,
    /// Of those, the ones off by more than 500 ns.
    pub errors: u64,
    /// Times that the line stepped aside with no discontinuity or loss to explain it.
    pub steps: u64,
}

/// A PCR as it came.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    point: Point,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is no allocation in it, and one a PID")]
enum Line {
    /// Still looked for.
    Sought,
    Exact(Strip),
    Fitted(Fit),
}

impl Line {
    fn deviation(&self, point: Point) -> f64 {
        match self {
            Self::Sought => 0.0,
            Self::Exact(strip) => strip.deviation(point),
            Self::Fitted(fit) => fit.deviation(point),
        }
    }

    fn slope(&self) -> Option<f64> {
        match self {
            Self::Sought => None,
            Self::Exact(strip) => Some(strip.slope()),
            Self::Fitted(fit) => Some(fit.slope()),
        }
    }
}

/// The worst deviation of the second that runs and of the one before, in ticks.
#[derive(Clone, Copy, Debug)]
struct Recent {
    begins: Instant,
    this: Option<f64>,
    before: Option<f64>,
}

impl Recent {
    fn turn(&mut self, now: Instant) {
        if now >= self.begins + SECOND {
            self.before = self.this.take().filter(|_| now < self.begins + SECOND + SECOND);
            self.begins = now;
        }
    }

    fn worst(mut self, now: Instant) -> Option<f64> {
        self.turn(now);
        self.this.max(self.before)
    }
}

trait Max {
    fn max(self, other: Self) -> Self;
}

impl Max for Option<f64> {
    fn max(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The accuracy of the PCRs of one PID.
#[derive(Clone, Debug)]
pub struct Accuracy {
    line: Line,
    /// Whether the rate is constant; none before that is known.
    constant: Option<bool>,
    /// How many in a row are off the line.
    off: u32,
    /// PCRs since the line began to be sought, and those since when it could have been found while the rate varies.
    sought: u32,
    steady: u32,
    /// The latest PCRs, the oldest first, since places can be compared.
    samples: [Sample; KEPT],
    len: usize,
    /// Which of them lie on the line, and which are not judged yet: a bit each.
    on_line: u32,
    waiting: u32,
    /// A PCR as it was in its packet, and in the ticks that go on across the wrap.
    anchor: Option<(Ticks27M, i64)>,
    /// PCRs so far, and how many there were at each of the last three steps.
    pcrs: u64,
    stepped: [Option<u64>; 3],
    slope: Option<f64>,
    recent: Recent,
    last: Option<f64>,
    worst: Option<f64>,
    judged: u64,
    errors: u64,
    steps: u64,
}

impl Default for Accuracy {
    fn default() -> Self {
        Self::new()
    }
}

impl Accuracy {
    /// Of a PID from which nothing came yet.
    pub const fn new() -> Self {
        const NOTHING: Sample = Sample { point: Point { packet: 0, ticks: 0 }, at: Instant::ZERO };
        Self {
            line: Line::Sought,
            constant: None,
            off: 0,
            sought: 0,
            steady: 0,
            samples: [NOTHING; KEPT],
            len: 0,
            on_line: 0,
            waiting: 0,
            anchor: None,
            pcrs: 0,
            stepped: [None; 3],
            slope: None,
            recent: Recent { begins: Instant::LONG_AGO, this: None, before: None },
            last: None,
            worst: None,
            judged: 0,
            errors: 0,
            steps: 0,
        }
    }

    /// Packets were lost or came twice, or one cannot know: places before and after cannot be compared.
    pub fn lost(&mut self) {
        self.unlock();
        self.len = 0;
        self.on_line = 0;
        self.waiting = 0;
    }

    /// A PCR came at `at` in the packet that is number `packet` of the stream, null packets and all; `discontinuity` is its
    /// packet's discontinuity_indicator. `raise` is told of each PCR that is found to be off by more than 500 ns, this
    /// one or one before it.
    pub fn pcr(
        &mut self,
        at: Instant,
        packet: u64,
        pcr: Ticks27M,
        discontinuity: bool,
        raise: &mut impl FnMut(Inaccuracy),
    ) {
        match self.latest() {
            Some(latest) if latest.point.packet == packet => return,
            Some(latest) if latest.point.packet > packet || discontinuity => self.lost(),
            Some(_) | None => {}
        }
        let ticks = self.anchor.map_or(0, |(value, ticks)| ticks.wrapping_add(pcr.step_from(value)));
        if self.len == 0 || matches!(self.line, Line::Sought) {
            self.anchor = Some((pcr, ticks));
        }
        let point = Point { packet, ticks };
        self.keep(Sample { point, at });
        self.pcrs += 1;
        let admitted = match &mut self.line {
            Line::Sought => return self.seek(raise),
            Line::Exact(strip) => strip.admit(point),
            Line::Fitted(fit) => fit.holds(point),
        };
        if admitted || self.wanders(point) {
            self.anchor = Some((pcr, ticks));
            self.agree(raise);
        } else {
            self.disagree(raise);
        }
    }

    fn latest(&self) -> Option<&Sample> {
        self.samples.get(self.len.checked_sub(1)?)
    }

    fn samples(&self) -> &[Sample] {
        self.samples.get(..self.len).unwrap_or(&[])
    }

    fn points(&self) -> impl DoubleEndedIterator<Item = Point> + ExactSizeIterator + Clone + use<'_> {
        self.samples().iter().map(|sample| sample.point)
    }

    fn keep(&mut self, sample: Sample) {
        if self.len == KEPT {
            if let (Line::Fitted(fit), [oldest, ..], true) = (&mut self.line, &self.samples, self.on_line & 1 != 0) {
                fit.forget(oldest.point);
            }
            self.drop_oldest(1);
        }
        if let Some(place) = self.samples.get_mut(self.len) {
            *place = sample;
            self.waiting |= 1 << self.len;
            self.len += 1;
        }
    }

    fn drop_oldest(&mut self, count: usize) {
        let count = count.min(self.len);
        self.samples.copy_within(count..self.len, 0);
        self.len -= count;
        // all 32 can go
        let rest = |mask: u32| u32::try_from(u64::from(mask) >> count).unwrap_or(0);
        (self.on_line, self.waiting) = (rest(self.on_line), rest(self.waiting));
    }

    /// Whether an exact line through the latest PCRs alone holds this one too: the rate is not constant to the billionth.
    fn wanders(&mut self, point: Point) -> bool {
        let Line::Exact(strip) = &mut self.line else { return false };
        if self.off > 0 || strip.deviation(point).abs() > WANDER {
            return false;
        }
        let on_line = self.on_line | 1 << (self.len - 1);
        let chosen = (0..self.len).rev().filter(|i| on_line >> i & 1 != 0).take(KEPT / 2);
        let points = chosen.filter_map(|i| Some(self.samples.get(i)?.point));
        let Some(found) = Strip::through(points) else { return false };
        *strip = found;
        true
    }

    /// The latest PCR is on the line.
    fn agree(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        self.off = 0;
        self.on_line |= 1 << (self.len - 1);
        if let Line::Fitted(fit) = &self.line {
            match self.moved(fit) {
                Some(moved) => self.line = Line::Fitted(moved),
                None => self.fit(),
            }
        }
        self.judge(raise);
    }

    /// The line through what is on it and the latest PCR; none where it is to be looked at anew.
    fn moved(&self, fit: &Fit) -> Option<Fit> {
        if self.pcrs.is_multiple_of(REVIEW) {
            return None;
        }
        let first = self.samples.get(self.on_line.trailing_zeros() as usize)?.point;
        fit.moved(first, self.latest()?.point, self.points(), self.on_line)
    }

    fn judge(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        let mut waiting = core::mem::take(&mut self.waiting);
        while waiting != 0 {
            let i = waiting.trailing_zeros();
            waiting &= waiting - 1;
            let Some(&Sample { point, at }) = self.samples.get(i as usize) else { continue };
            let off = if matches!(self.line, Line::Exact(_)) && self.on_line >> i & 1 != 0 {
                0.0
            } else {
                self.line.deviation(point)
            };
            self.judged += 1;
            self.last = Some(off);
            self.worst = self.worst.max(Some(off.abs()));
            self.recent.turn(at);
            self.recent.this = self.recent.this.max(Some(off.abs()));
            if off.abs() > LIMIT {
                self.errors += 1;
                raise(Inaccuracy { at, packet: point.packet, deviation_ns: nanos(off) });
            }
        }
    }

    /// The latest PCR is off the line.
    fn disagree(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        self.off += 1;
        if (self.off as usize) < FEWEST {
            return;
        }
        if self.is_another_line() {
            return self.step(raise);
        }
        if self.off % 4 == 1
            && let Some((fit, on_line)) = self.fitted()
            && on_line.unbounded_shr(u32::try_from(self.len.saturating_sub(FEWEST)).unwrap_or(0)).count_ones() > 2
        {
            return self.take(Line::Fitted(fit), on_line, raise);
        }
        let few = self.len == KEPT && self.on_line.count_ones() < 8;
        if self.off >= MOST_OFF || few {
            self.unlock();
            self.seek(raise);
        }
    }

    fn unlock(&mut self) {
        self.slope = self.line.slope().or(self.slope);
        self.line = Line::Sought;
        self.off = 0;
    }

    /// Whether the latest [`FEWEST`] PCRs, all off the line, are on another.
    fn is_another_line(&self) -> bool {
        let latest = self.points().skip(self.len.saturating_sub(FEWEST));
        match &self.line {
            Line::Sought => false,
            Line::Exact(_) => Strip::through(latest).is_some(),
            Line::Fitted(fit) => {
                Fit::through(latest, u32::MAX).is_some_and(|other| other.spread() <= 2.0 * fit.spread().max(0.3))
            }
        }
    }

    /// Goes over to the line of the latest [`FEWEST`] PCRs.
    fn step(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        self.drop_oldest(self.len.saturating_sub(FEWEST));
        // a line that merely wandered off is no step
        if self.points().any(|point| self.line.deviation(point).abs() > LIMIT) {
            self.steps += 1;
            self.stepped = [Some(self.pcrs), self.stepped[0], self.stepped[1]];
            if self.stepped[2].is_some_and(|third| self.pcrs - third < STEPS_WITHIN) {
                self.constant = Some(false);
            }
        }
        self.on_line = 0;
        self.unlock();
        self.seek(raise);
    }

    /// Looks for a line through what is kept.
    fn seek(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        self.sought = self.sought.wrapping_add(1);
        if self.constant == Some(false) {
            self.waiting = 0;
            if self.sought.is_multiple_of(8) && self.len == KEPT {
                self.reconsider(raise);
            }
            return;
        }
        if self.len >= FEWEST
            && let Some((strip, on_line)) = self.exact()
        {
            return self.take(Line::Exact(strip), on_line, raise);
        }
        // what takes more reckoning is not tried each time
        if self.sought.is_multiple_of(4) && self.len >= FEWEST_FITTED {
            if let Some((fit, on_line)) = self.fitted() {
                return self.take(Line::Fitted(fit), on_line, raise);
            }
            if self.len == KEPT {
                self.constant = Some(false);
            }
        }
        if self.constant == Some(true) && self.sought > SOUGHT_LONG {
            self.constant = None;
        }
    }

    /// A line has to last before a rate that varied is constant.
    fn reconsider(&mut self, raise: &mut impl FnMut(Inaccuracy)) {
        let exact = self.exact().map(|(strip, on_line)| (Line::Exact(strip), on_line));
        match exact.or_else(|| self.fitted().map(|(fit, on_line)| (Line::Fitted(fit), on_line))) {
            Some((line, on_line)) if self.steady >= STEADY => self.take(line, on_line, raise),
            Some(_) => self.steady += 8,
            None => self.steady = 0,
        }
    }

    /// The exact line through the latest [`FEWEST`] PCRs and whatever else is on it, if that is most of all.
    fn exact(&self) -> Option<(Strip, u32)> {
        let mut latest = self.points().rev();
        let mut strip = Strip::through(latest.by_ref().take(FEWEST))?;
        let mut on_line = 0;
        for i in (0..self.len).rev() {
            let is_on = i + FEWEST >= self.len || latest.next().is_some_and(|point| strip.admit(point));
            on_line |= u32::from(is_on) << i;
        }
        self.is_most(on_line).then_some((strip, on_line))
    }

    /// The line that most PCRs are near, if they are near enough.
    fn fitted(&self) -> Option<(Fit, u32)> {
        let (fit, on_line) = Fit::robust(self.points())?;
        (self.is_most(on_line) && fit.is_of_constant_rate(false) && self.off_at_end(on_line) < FEWEST)
            .then_some((fit, on_line))
    }

    const fn is_most(&self, on_line: u32) -> bool {
        on_line.count_ones() as usize * 4 >= self.len * 3
    }

    /// How many of the latest PCRs in a row are not on a line.
    fn off_at_end(&self, on_line: u32) -> usize {
        (0..self.len).rev().take_while(|i| on_line >> i & 1 == 0).count()
    }

    /// A line is found: what waited is judged by it.
    fn take(&mut self, line: Line, on_line: u32, raise: &mut impl FnMut(Inaccuracy)) {
        self.line = line;
        self.on_line = on_line;
        self.constant = Some(true);
        self.sought = 0;
        self.steady = 0;
        // the latest may be on another line already, and the oldest on one before
        let off = self.off_at_end(on_line);
        let later = self.waiting & u32::MAX.unbounded_shl(u32::try_from(self.len - off).unwrap_or(0));
        self.waiting &= !later;
        if on_line.trailing_zeros() > 1 {
            self.waiting &= u32::MAX.unbounded_shl(on_line.trailing_zeros());
        }
        self.judge(raise);
        self.waiting = later;
        self.off = u32::try_from(off).unwrap_or(0);
    }

    /// Reckons the line of least squares anew.
    fn fit(&mut self) {
        match Fit::through(self.points(), self.on_line) {
            Some(fit) if fit.is_of_constant_rate(true) => self.line = Line::Fitted(fit),
            Some(_) | None => {
                self.lost();
                self.constant = Some(false);
                return;
            }
        }
        if self.len == KEPT
            && self.pcrs.is_multiple_of(KEPT as u64)
            && let Some((strip, on_line)) = self.exact()
        {
            self.line = Line::Exact(strip);
            self.on_line = on_line;
        }
    }

    /// Whether the rate is constant; none before that is known.
    pub const fn measurable(&self) -> Option<bool> {
        self.constant
    }

    /// The rate of the stream in bits a second, while it is constant.
    pub fn bit_rate(&self) -> Option<f64> {
        self.line.slope().or(self.slope).filter(|_| self.constant == Some(true)).map(bit_rate)
    }

    /// The figures at `now`.
    pub fn figures(&self, now: Instant) -> Figures {
        Figures {
            measurable: self.constant,
            bit_rate_bps: self.bit_rate(),
            last_ns: self.last.map(nanos),
            worst_second_ns: self.recent.worst(now).map(nanos),
            worst_ns: self.worst.map(nanos),
            judged: self.judged,
            errors: self.errors,
            steps: self.steps,
        }
    }
}

/// Ticks as nanoseconds.
fn nanos(ticks: f64) -> f64 {
    ticks * 1000.0 / 27.0
}

#[cfg(test)]
mod tests;
