//! The time lines of two feeds: PCRs against arrival, and the times of their access units.

use std::collections::VecDeque;

use crate::ts::Packet;
use crate::units::{Instant, Pid, Pts90k, Span, Ticks27M};

/// Times of access units that are remembered of each feed.
const UNITS: usize = 128;
/// A PCR PID that was not seen for so long is given up.
const PATIENCE: Span = Span::from_secs(2);
/// How old the other line's latest PCR may be.
const FRESH: Span = Span::from_secs(1);

/// The time line of one feed.
#[derive(Debug)]
pub(super) struct Line {
    pid: Option<Pid>,
    pcr: Ticks27M,
    at: Instant,
    units: VecDeque<u64>,
}

impl Line {
    pub(super) fn new() -> Self {
        let units = VecDeque::with_capacity(UNITS);
        Self { pid: None, pcr: Ticks27M::default(), at: Instant::LONG_AGO, units }
    }

    pub(super) const fn memory() -> usize {
        UNITS * size_of::<u64>()
    }

    /// A PCR. False if it is not of the PID that the line is that of.
    pub(super) fn clock(&mut self, pid: Pid, pcr: Ticks27M, at: Instant) -> bool {
        if self.pid.is_none() || at.since(self.at) > PATIENCE {
            self.pid = Some(pid);
        }
        if self.pid != Some(pid) {
            return false;
        }
        self.pcr = pcr;
        self.at = at;
        true
    }

    /// By how much this line, at its latest PCR, is ahead of another, in nanoseconds.
    fn ahead_of(&self, other: &Self) -> Option<i64> {
        let apart = self.at.nanos().checked_sub(other.at.nanos())?;
        if other.pid.is_none() || apart.abs() > FRESH.nanos() {
            return None;
        }
        let ticks = self.pcr.step_from(other.pcr) - apart * 27 / 1000;
        Some(ticks * 1000 / 27)
    }

    /// An access unit of video begins at this time.
    fn unit(&mut self, pts: u64) {
        if self.units.len() == UNITS {
            self.units.pop_front();
        }
        self.units.push_back(pts);
    }

    fn has_unit(&self, pts: u64) -> bool {
        self.units.contains(&pts)
    }
}

/// The PTS of a packet in which a PES packet of video begins (ISO/IEC 13818-1 2.4.3.7).
pub(super) fn video_pts(packet: Packet<'_>) -> Option<u64> {
    if !packet.starts_with_pts() {
        return None;
    }
    let &[0, 0, 1, 0xE0..=0xEF, _, _, _, _, _, a, b, c, d, e, ..] = packet.payload() else { return None };
    let [a, b, c, d, e] = [a, b, c, d, e].map(u64::from);
    Some(((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1) % Pts90k::WRAP)
}

/// How the line of a feed lies to that of the one followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Comparison {
    /// PCRs in a row that lay within the window.
    near: u32,
    /// How much the feed's clock was ahead, in nanoseconds: at first, and by now.
    first: i64,
    now: i64,
    since: Option<Instant>,
    /// Access units of the two that were compared, and those that both have.
    units: u32,
    common: u32,
}

impl Comparison {
    pub(super) fn clock(&mut self, line: &Line, lead: &Line, window: Span, at: Instant) {
        let Some(ahead) = line.ahead_of(lead) else { return };
        if ahead.abs() > window.nanos() {
            *self = Self { units: self.units, common: self.common, ..Self::default() };
            return;
        }
        self.near = self.near.saturating_add(1);
        match self.since {
            None => (self.first, self.now, self.since) = (ahead, ahead, Some(at)),
            Some(since) => {
                self.now += (ahead - self.now) / 8;
                if at.since(since) < FRESH {
                    self.first = self.now;
                }
            }
        }
    }

    /// A unit of one of the two, and whether the other has one of that time.
    pub(super) const fn unit(&mut self, counts: bool, is_common: bool) {
        self.units += counts as u32;
        self.common += is_common as u32;
        if self.units >= 256 {
            self.units /= 2;
            self.common /= 2;
        }
    }

    /// Whether the lines are the same for all that can be seen: PCRs within the window, units at the same times.
    pub(super) const fn is_locked(&self) -> bool {
        // a tenth of each may be lost
        self.near >= 20 && self.units >= 20 && self.common * 100 >= self.units * 70
    }

    pub(super) const fn ahead(&self) -> i64 {
        self.now
    }

    /// By how much the feed's clock gains on the other, in nanoseconds a second.
    pub(super) fn drift(&self, now: Instant) -> i64 {
        let time = self.since.map_or(0, |since| now.since(since).nanos() - FRESH.nanos());
        if time < FRESH.nanos() { 0 } else { (self.now - self.first) * 1_000_000 / (time / 1_000) }
    }
}

/// Notes an access unit of feed `i`, and compares.
pub(super) fn unit(lines: &mut [Line], comparisons: &mut [Comparison], i: usize, lead: Option<usize>, pts: u64) {
    let Some(lead) = lead else { return };
    if i == lead {
        for (other, comparison) in comparisons.iter_mut().enumerate() {
            if other != lead && lines.get(other).is_some_and(|line| line.has_unit(pts)) {
                comparison.unit(false, true);
            }
        }
    } else if let Some(comparison) = comparisons.get_mut(i) {
        comparison.unit(true, lines.get(lead).is_some_and(|line| line.has_unit(pts)));
    }
    if let Some(line) = lines.get_mut(i) {
        line.unit(pts);
    }
}
