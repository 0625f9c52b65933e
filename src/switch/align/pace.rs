//! When the packets of a feed would have come, had nothing on the way held any of them up: by the feed's own clock.
//!
//! A PCR's time is that of the last one and what the clock says has passed since, corrected a little by when it came. The packets
//! between two PCRs are spread evenly. Until the second one has come, the rate of the interval before stands for theirs.

use std::collections::VecDeque;

use crate::units::{Instant, Pid, Span, Ticks27M};

/// How far the clock and the arrivals may be apart before the clock is set anew.
const LIMIT: i64 = 500_000_000;
/// The most that one PCR may be after another, in ticks: half a second.
const LONGEST: u64 = 13_500_000;
/// Over so many PCRs arrivals are averaged.
const AVERAGE: i64 = 256;
/// So many PCRs in a row that come earlier or later than by [`ASIDE`] show that the way has another length now.
const STREAK: u32 = 32;
const ASIDE: i64 = 20_000_000;
/// PCRs of another PID before the one that was followed is given up.
const STRANGERS: u32 = 16;
/// A silence after which what comes first may stand anywhere.
const UNTOLD: Span = Span::from_millis(50);
/// A silence that is so much longer than the one at which a loss was told is where it was.
const FAR_LONGER: i64 = 4;
/// Marks that are kept.
const MARKS: usize = 128;

/// A PCR, and when it should have come.
#[derive(Clone, Copy, Debug)]
struct Mark {
    pcr: Ticks27M,
    at: Instant,
    number: u64,
    /// The longest loss between this one and the next.
    gap: Option<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The first packet behind it.
    number: u64,
    /// How long nothing came.
    lasted: Span,
    /// From one packet to the next, in 1/256 ns.
    step: i64,
}

/// Packets as a number of nanoseconds can be multiplied by.
fn count(packets: u64) -> i64 {
    i64::try_from(packets.min(1 << 24)).unwrap_or(1 << 24)
}

/// The clock of one feed.
#[derive(Debug)]
pub(super) struct Pacer {
    pid: Option<Pid>,
    /// The PCRs of the packets that wait, and the last one before them.
    marks: VecDeque<Mark>,
    /// From one packet to the next, in 1/256 ns.
    step: i64,
    seen: i64,
    strangers: u32,
    /// PCRs in a row that came too early or too late, and the least by how much.
    aside: (u32, i64),
    /// The next packet stands behind a loss.
    lost: bool,
    /// The longest time without a packet since the last PCR, and the first packet behind it.
    silence: (Span, u64),
    /// That something was lost since the PCR before was told by the rate alone.
    guessed: bool,
    /// A PCR that came before all others, and when it should have come.
    base: Option<(Ticks27M, Instant)>,
    /// When the last packet came.
    arrival: Instant,
}

impl Pacer {
    pub(super) fn new() -> Self {
        Self {
            pid: None,
            marks: VecDeque::with_capacity(MARKS),
            step: 0,
            seen: 0,
            strangers: 0,
            aside: (0, 0),
            lost: false,
            silence: (Span::ZERO, 0),
            guessed: false,
            base: None,
            arrival: Instant::LONG_AGO,
        }
    }

    pub(super) const fn memory() -> usize {
        MARKS * size_of::<Mark>()
    }

    /// Begins as another that has seen the same feed.
    pub(super) fn adopt(&mut self, other: &Self) {
        self.marks.clear();
        self.pid = other.pid;
        self.step = other.step;
        self.seen = other.seen;
        self.base = other.marks.back().map(|mark| (mark.pcr, mark.at));
    }

    /// The next packet comes after some that were lost.
    pub(super) const fn lost(&mut self) {
        self.lost = true;
    }

    /// The packet of this number came at `arrival`.
    #[inline]
    pub(super) fn packet(&mut self, number: u64, arrival: Instant) {
        let before = core::mem::replace(&mut self.arrival, arrival);
        let lasted = arrival.since(before);
        if lasted > self.silence.0 {
            self.silence = (lasted, number);
        }
        if core::mem::take(&mut self.lost)
            && let Some(last) = self.marks.back_mut()
        {
            // what first came behind a silence may have had nothing that told of the loss
            let silence = Some(self.silence).filter(|(longest, _)| longest.nanos() > FAR_LONGER * lasted.nanos());
            let (lasted, number) = silence.unwrap_or((lasted, number));
            if last.gap.is_none_or(|gap| gap.lasted < lasted) {
                last.gap = Some(Gap { number, lasted, step: self.step });
            }
        }
    }

    /// When the packet of this number should have come; none where the clock does not tell.
    #[inline]
    pub(super) fn time(&self, number: u64) -> Option<Instant> {
        let mut marks = self.marks.iter().rev();
        let mut next: Option<&Mark> = None;
        loop {
            let mark = marks.next()?;
            if mark.number <= number {
                return self.between(mark, next, number);
            }
            next = Some(mark);
        }
    }

    /// When a packet between two PCRs should have come.
    fn between(&self, mark: &Mark, next: Option<&Mark>, number: u64) -> Option<Instant> {
        let done = count(number - mark.number);
        let Some(next) = next else {
            // how much was lost, the next PCR will tell; what was held up for so long brings one with it
            let (lasted, behind) = self.silence;
            let lost = mark.gap.is_some_and(|gap| number >= gap.number) || lasted >= UNTOLD && number >= behind;
            return (!lost).then(|| mark.at + Span::from_nanos(done * self.step / 256));
        };
        let all = count(next.number - mark.number).max(1);
        let length = next.at.since(mark.at).nanos();
        let since = match mark.gap {
            None => length * done / all,
            Some(gap) if number < gap.number => (done * gap.step / 256).min(length),
            Some(gap) => (length - (all - done) * gap.step / 256).max(0),
        };
        Some(mark.at + Span::from_nanos(since))
    }

    /// The packet of this number, which came at `arrival`, has a PCR; `head` is the first that waits.
    pub(super) fn clock(&mut self, number: u64, head: u64, arrival: Instant, pid: Pid, pcr: Ticks27M) {
        if self.pid != Some(pid) {
            self.strangers += 1;
            if self.pid.is_some() && self.strangers < STRANGERS {
                return;
            }
            self.pid = Some(pid);
            self.marks.clear();
        }
        self.strangers = 0;
        while self.marks.len() == MARKS || self.marks.get(1).is_some_and(|mark| mark.number <= head) {
            self.marks.pop_front();
        }
        let Some(&last) = self.marks.back() else { return self.begin(number, arrival, pcr) };
        let step = pcr.forward_from(last.pcr);
        let ideal = last.at + Ticks27M::span(step);
        let late = arrival.nanos() - ideal.nanos();
        if step > LONGEST || late.abs() > LIMIT {
            return self.begin(number, arrival, pcr);
        }
        self.seen = (self.seen + 1).min(AVERAGE);
        let at = Instant::from_nanos(ideal.nanos() + self.correction(late)).max(last.at);
        let (length, packets) = (at.since(last.at).nanos(), count(number.saturating_sub(last.number)));
        let (lasted, behind) = core::mem::take(&mut self.silence);
        // counters may miss a loss: a silence that the packets of the rate do not make up for is one
        let missing = length - packets * self.step / 256;
        let gap = last.gap.or_else(|| {
            // one and not the next as well: that would be another rate
            let is_one = self.step > 0 && missing > lasted.nanos() / 2 && lasted.nanos() > length / 4;
            self.guessed = is_one && !self.guessed;
            self.guessed.then_some(Gap { number: behind, lasted, step: self.step })
        });
        match gap {
            None => self.step = length * 256 / packets.max(1),
            Some(_) => {
                if let Some(last) = self.marks.back_mut() {
                    last.gap = gap;
                }
            }
        }
        self.marks.push_back(Mark { pcr, at, number, gap: None });
    }

    fn begin(&mut self, number: u64, arrival: Instant, pcr: Ticks27M) {
        let by_base = self.base.take().map(|(base, at)| {
            let step = pcr.step_from(base);
            let span = Ticks27M::span(step.unsigned_abs());
            if step < 0 { at - span } else { at + span }
        });
        let at = by_base.filter(|at| (arrival.nanos() - at.nanos()).abs() <= LIMIT);
        self.seen = if at.is_some() { self.seen } else { 0 };
        self.marks.clear();
        self.marks.push_back(Mark { pcr, at: at.unwrap_or(arrival), number, gap: None });
        self.aside = (0, 0);
        self.lost = false;
        self.silence = (Span::ZERO, 0);
    }

    /// By how much the clock is moved where a PCR came `late` by it.
    fn correction(&mut self, late: i64) -> i64 {
        let (streak, least) = self.aside;
        self.aside = if late.abs() < ASIDE {
            (0, 0)
        } else if streak > 0 && least.signum() == late.signum() {
            (streak + 1, if late.abs() < least.abs() { late } else { least })
        } else {
            (1, late)
        };
        if self.aside.0 >= STREAK {
            let (_, all) = core::mem::take(&mut self.aside);
            self.seen = 0;
            return all;
        }
        late / (self.seen + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: Pid = Pid::new(0x100);
    const MS: i64 = 1_000_000;

    /// [`run_told`], with the pacer told of what is lost.
    fn run(packets: i64, arrives: impl FnMut(i64) -> Option<i64>) -> Vec<i64> {
        run_told(packets, Some(0), arrives)
    }

    /// Packets every millisecond, a PCR in each fortieth, that come when `arrives` says; of a loss it is told before so many packets
    /// behind it. The time of each, asked for 100 packets later.
    fn run_told(packets: i64, told: Option<u64>, mut arrives: impl FnMut(i64) -> Option<i64>) -> Vec<i64> {
        let mut pacer = Pacer::new();
        let mut times: Vec<i64> = Vec::new();
        let mut gone = None;
        let mut number = 0;
        for i in 0..packets {
            let Some(at) = arrives(i) else {
                gone = told.map(|told| number + told);
                continue;
            };
            if gone.take_if(|gone| *gone == number).is_some() {
                pacer.lost();
            }
            pacer.packet(number, Instant::from_nanos(at));
            if i % 40 == 0 {
                let pcr = Ticks27M((Ticks27M::WRAP - 27_000_000 + i as u64 * 27_000) % Ticks27M::WRAP);
                pacer.clock(number, times.len() as u64, Instant::from_nanos(at), PID, pcr);
            }
            number += 1;
            if number > 100 {
                times.push(pacer.time(times.len() as u64).unwrap().nanos());
            }
        }
        for number in times.len() as u64..number {
            times.push(pacer.time(number).unwrap().nanos());
        }
        times
    }

    /// The longest and the shortest time from one to the next.
    fn steps(times: &[i64]) -> (i64, i64) {
        let steps = || times.windows(2).map(|w| w[1] - w[0]);
        (steps().max().unwrap(), steps().min().unwrap())
    }

    #[test]
    fn jitter_is_taken_out() {
        let mut seed = 7u64;
        let times = run(20_000, |i| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Some(i * MS + (seed >> 40) as i64 % (20 * MS))
        });
        let (longest, shortest) = steps(&times[12_000..]);
        assert!(shortest > 975_000 && longest < 1_025_000, "{shortest}…{longest}");
        let late = times[19_999] - 19_999 * MS;
        assert!((0..20 * MS).contains(&late), "in the middle of when they come: {late}");
    }

    #[test]
    fn a_stall_is_bridged_and_a_loss_is_not() {
        let stalled = run(4_000, |i| Some(if (2_010..2_060).contains(&i) { 2_060 } else { i } * MS));
        let (longest, shortest) = steps(&stalled[400..]);
        assert!(shortest > 900_000 && longest < 1_200_000, "{shortest}…{longest}");
        // the counters may have come round in what was lost, which may end with a PCR
        for (told, range) in
            [(Some(0), 2_010..2_060), (Some(2), 2_010..2_060), (None, 2_010..2_060), (None, 2_010..2_080)]
        {
            let came = |i: &i64| !range.contains(i);
            let lost = run_told(4_000, told, |i| came(&i).then_some(i * MS));
            let wrong = lost.iter().zip((0..4_000).filter(came));
            let worst = wrong.map(|(at, i)| (at - i * MS).abs()).max().unwrap();
            assert!(worst < MS / 10, "each stands where it was: {worst} of {range:?}");
        }
    }

    #[test]
    fn a_rate_that_falls_is_no_loss() {
        let falls = run_told(8_000, None, |i| (i < 4_000 || i % 4 < 3).then_some((i / 12 + 1) * 12 * MS));
        let (longest, shortest) = steps(&falls[4_200..]);
        assert!(shortest > MS && longest < 2 * MS, "{shortest}…{longest}");
    }

    #[test]
    fn another_way_and_another_clock_are_followed() {
        let longer = run(8_000, |i| Some(i * MS + if i < 2_000 { 0 } else { 60 * MS }));
        assert!((longer[7_999] - 8_059 * MS).abs() < MS, "{}", longer[7_999] - 7_999 * MS);
        let drifting = run(40_000, |i| Some(i * (MS + 30)));
        let late = drifting[39_999] - 39_999 * (MS + 30);
        assert!(late.abs() < MS, "30 ppm: {late}");
    }
}
