//! How many access units are missing between two time stamps of an elementary stream.

use super::frames::Length;
use crate::units::Pts90k;

/// Steps of one length in a row that make it the stream's own.
const STEADY: u8 = 8;
/// As many of a longer one than is known: a stream that loses every second picture looks like one of half the rate.
const STEADY_LONGER: u8 = 32;
/// A longer step is a jump: ten seconds.
const JUMP: i64 = 10 * 90_000;
/// Ticks for each access unit by which a step may be off, since PTS are rounded.
const TOLERANCE: u64 = 2;

/// What the step from one time stamp to the next says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is the first, or how long an access unit lasts is not known.
    Unknown,
    /// As many access units came as time passed.
    Regular,
    /// So many more access units would fit into the time than came.
    Missing(u32),
    /// Time went on by no whole number of access units, or by less than came: the source's clock or its encoder slipped.
    Uneven {
        /// Ticks of 90 kHz by which it is more than what came, negative when less.
        ticks: i64,
    },
    /// Back, or on by more than ten seconds: another time line.
    Jump,
}

impl Step {
    /// The access units missing.
    pub const fn missing(self) -> u32 {
        match self {
            Self::Missing(count) => count,
            Self::Unknown | Self::Regular | Self::Uneven { .. } | Self::Jump => 0,
        }
    }
}

/// Compares the time stamps of one elementary stream with what comes between them.
#[derive(Clone, Debug, Default)]
pub struct AccessUnits {
    last: Option<Pts90k>,
    /// Access units since.
    count: u32,
    learnt: Option<Period>,
    run: Run,
}

/// A time for a number of access units.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    ticks: u64,
    units: u64,
}

/// Steps of one length in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// Ticks for each access unit of the first of them.
    first: u32,
    sum: Period,
    steps: u8,
}

impl AccessUnits {
    /// So many access units began since what was told last.
    pub const fn count(&mut self, units: u32) {
        self.count = self.count.saturating_add(units);
    }

    /// The source says that its clock starts anew (discontinuity_indicator), or that packets are missing is known already.
    pub const fn reset(&mut self) {
        self.last = None;
        self.count = 0;
    }

    /// The next time stamp: PTS of sound, DTS (or PTS where there is none) of pictures. What was counted before belongs to
    /// the time before it. `length` is how long each access unit lasts; without it that is learnt from steady steps.
    pub fn stamp(&mut self, at: Pts90k, length: Option<Length>) -> Step {
        let count = core::mem::take(&mut self.count);
        let Some(last) = self.last.replace(at) else { return Step::Unknown };
        let step = at.step_from(last);
        let Some(ticks) = u64::try_from(step).ok().filter(|_| step <= JUMP) else {
            self.run = Run::default();
            return Step::Jump;
        };
        let period = match length {
            Some(length) => Some(Period { ticks: u64::from(length.samples) * 90_000, units: u64::from(length.rate) }),
            None => {
                self.learn(ticks, count);
                self.learnt
            }
        };
        period.map_or(Step::Unknown, |period| period.judge(ticks, count))
    }

    /// Ticks for each access unit and how many of them, where that was learnt.
    pub fn learnt(&self) -> Option<(u64, u64)> {
        self.learnt.map(|period| (period.ticks, period.units))
    }

    fn learn(&mut self, ticks: u64, count: u32) {
        let each = ticks.checked_div(u64::from(count)).and_then(|each| u32::try_from(each).ok());
        let Some(each) = each.filter(|&each| each > 0) else {
            self.run = Run::default();
            return;
        };
        if self.run.steps == 0 || each.abs_diff(self.run.first) > 1 {
            self.run = Run { first: each, ..Run::default() };
        }
        let run = &mut self.run;
        run.steps += 1;
        run.sum.ticks += ticks;
        run.sum.units += u64::from(count);
        // ticks for each, of the one against the other
        let is_longer = |known: &Period| run.sum.ticks * known.units > known.ticks * run.sum.units;
        let wanted = if self.learnt.as_ref().is_some_and(is_longer) { STEADY_LONGER } else { STEADY };
        if run.steps >= wanted {
            self.learnt = Some(run.sum);
            self.run = Run::default();
        }
    }
}

impl Period {
    fn judge(self, ticks: u64, count: u32) -> Step {
        let (period, count) = (u128::from(self.ticks), u64::from(count));
        if self.ticks == 0 {
            return Step::Unknown;
        }
        // in ticks times units, so that nothing is rounded
        let passed = u128::from(ticks) * u128::from(self.units);
        let fits = u64::try_from((passed + period / 2) / period).unwrap_or(u64::MAX);
        let off = passed.abs_diff(u128::from(fits) * period);
        let is_whole = off <= u128::from(TOLERANCE * fits) * u128::from(self.units);
        match fits.checked_sub(count) {
            Some(0) if is_whole => Step::Regular,
            Some(more) if is_whole => Step::Missing(u32::try_from(more).unwrap_or(u32::MAX)),
            _ => {
                let expected = u128::from(count) * period / u128::from(self.units.max(1));
                let expected = i64::try_from(expected).unwrap_or(i64::MAX);
                Step::Uneven { ticks: ticks.cast_signed().saturating_sub(expected) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{Codec, Frames};
    use super::super::pes::Header;
    use super::*;

    const AAC: Length = Length { samples: 1024, rate: 44_100 };

    /// Stamps of sound: after so many access units, at this time.
    fn sound(units: &mut AccessUnits, count: u32, at: u64) -> Step {
        units.count(count);
        units.stamp(Pts90k(at & (Pts90k::WRAP - 1)), Some(AAC))
    }

    #[test]
    fn frames_are_missing_where_time_goes_on_without_them() {
        let mut units = AccessUnits::default();
        let start = Pts90k::WRAP - 20_000;
        // rounded down as a multiplexer does
        let at = |frames: u64| start + frames * 1024 * 90_000 / 44_100;
        assert_eq!(sound(&mut units, 3, at(0)), Step::Unknown);
        for n in 1..20 {
            assert_eq!(sound(&mut units, 3, at(3 * n)), Step::Regular, "{n}");
        }
        assert_eq!(sound(&mut units, 3, at(61)), Step::Missing(1));
        assert_eq!(sound(&mut units, 0, at(100)), Step::Missing(39));
        assert_eq!(sound(&mut units, 0, at(101)).missing(), 1);
        assert_eq!(sound(&mut units, 2, at(103) + 1000), Step::Uneven { ticks: 1000 });
        assert_eq!(sound(&mut units, 2, at(104) + 1000), Step::Uneven { ticks: -2089 });
        assert_eq!(sound(&mut units, 1, at(104)), Step::Jump, "back");
        assert_eq!(sound(&mut units, 1, at(104) + 900_001), Step::Jump);
        units.reset();
        assert_eq!(sound(&mut units, 1, at(300)), Step::Unknown);
        assert_eq!(sound(&mut units, 1, at(302)), Step::Missing(1));
    }

    /// DTS of pictures, one to each.
    fn pictures(units: &mut AccessUnits, at: u64) -> Step {
        let step = units.stamp(Pts90k(at & (Pts90k::WRAP - 1)), None);
        units.count(1);
        step
    }

    #[test]
    fn the_time_of_a_picture_is_learnt() {
        let mut units = AccessUnits::default();
        // 60000/1001 a second, from before the wrap
        let start = Pts90k::WRAP - 7;
        let at = |n: u64| start + n * 3003 / 2;
        for n in 0..8 {
            assert_eq!(pictures(&mut units, at(n)), Step::Unknown, "{n}");
        }
        for n in 8..20 {
            assert_eq!(pictures(&mut units, at(n)), Step::Regular, "{n}");
        }
        assert_eq!(pictures(&mut units, at(21)), Step::Missing(1));
        assert_eq!(pictures(&mut units, at(321)), Step::Missing(299));
        assert_eq!(units.learnt(), Some((8 * 3003 / 2, 8)));

        // half the rate from now on: missed, until that is what it is
        let steps: Vec<Step> = (1..=40).map(|n| pictures(&mut units, at(321 + 2 * n))).collect();
        assert!(steps[..31].iter().all(|s| *s == Step::Missing(1)));
        assert!(steps[31..].iter().all(|s| *s == Step::Regular));
        // and back
        let steps: Vec<Step> = (1..=20).map(|n| pictures(&mut units, at(401 + n))).collect();
        assert!(steps[..7].iter().all(|s| matches!(s, Step::Uneven { .. })), "{steps:?}");
        assert!(steps[7..].iter().all(|s| *s == Step::Regular));
    }

    #[test]
    fn unsteady_steps_teach_nothing() {
        let mut units = AccessUnits::default();
        let mut at = 0;
        for n in 0..200 {
            // film on 60 fields: 2 and 3 fields in turn
            at += if n % 2 == 0 { 3003 } else { 4504 };
            assert_eq!(pictures(&mut units, at), Step::Unknown);
        }
        for _ in 0..20 {
            assert_eq!(pictures(&mut units, at), Step::Unknown, "no step at all");
        }
    }

    #[test]
    fn pictures_without_a_stamp_count_as_well() {
        let mut units = AccessUnits::default();
        for n in 0..20 {
            let step = units.stamp(Pts90k(n * 3 * 3600), None);
            assert_eq!(step, if n < 8 { Step::Unknown } else { Step::Regular });
            units.count(3);
        }
        assert_eq!(units.stamp(Pts90k(61 * 3600), None), Step::Missing(1));
    }

    #[test]
    fn what_came_and_what_is_missing_make_the_whole() {
        // layer II, 192 kb/s at 48 kHz: three frames of 24 ms in a PES packet
        let mut frame = [7; 576];
        frame[..4].copy_from_slice(&[0xFF, 0xFD, 0xA4, 0x04]);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for one_in in [5, 20, 100] {
            let (mut frames, mut units) = (Frames::new(Codec::Mpeg), AccessUnits::default());
            let (mut came, mut missing, mut lost) = (0, 0, 0);
            for n in 0..200_u32 {
                let pts = n * 3 * 2160;
                let stamp =
                    [0x21 | (pts >> 29) << 1, pts >> 22, pts >> 14 | 1, pts >> 7, pts << 1 | 1].map(|b| b & 0xFF);
                let stamp = stamp.map(|b| u8::try_from(b).unwrap());
                let length = u16::try_from(3 * frame.len() + 8).unwrap().to_be_bytes();
                let head = [0, 0, 1, 0xC0, length[0], length[1], 0x80, 0x80, 5];
                let packet = [&head[..], &stamp, &frame.repeat(3)].concat();
                for (at, part) in packet.chunks(184).enumerate() {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    if (1..199).contains(&n) && state.is_multiple_of(one_in) {
                        lost += 1;
                        continue;
                    }
                    let started = frames.push(at == 0, part);
                    units.count(u32::from(started.before));
                    if let Some(pts) = Header::parse(part).and_then(|header| header.pts).filter(|_| at == 0) {
                        missing += units.stamp(pts, frames.length()).missing();
                    }
                    units.count(u32::from(started.frames));
                    came += u32::from(started.frames + started.before);
                }
            }
            assert_eq!(came + missing, 600, "{came} came");
            assert!(lost > 10 && missing > 0 && missing <= 3 * lost, "{missing} missing of {lost} packets lost");
        }
    }

    #[test]
    fn chance_never_makes_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut units = AccessUnits::default();
        let mut at = 0_u64;
        for n in 0..100_000_u32 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [a, b, c, d, ..] = state.to_be_bytes();
            at = if a == 0 { state } else { at.wrapping_add(u64::from(b & 3) * 900) };
            let length = (c < 9).then_some(Length { samples: u16::from(c), rate: u32::from(d) });
            let _ = units.stamp(Pts90k(at), length);
            units.count(if a == 1 { u32::MAX } else { n & 1 });
        }
        assert!(size_of::<AccessUnits>() <= 72, "{}", size_of::<AccessUnits>());
    }
}
