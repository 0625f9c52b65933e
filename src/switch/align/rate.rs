//! How many packets lie between two PCRs, where the bit rate is constant.

use crate::units::{Pid, Ticks27M};

/// Stretches from PCR to PCR that are remembered.
const STRETCHES: usize = 16;
/// How many of them must agree.
const AGREE: usize = 8;
/// A stretch longer than this is none: a second.
const LONGEST: u64 = 27_000_000;
/// Packets of other PCR PIDs only, until another PID is taken.
const PATIENCE: u32 = 200_000;

#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    packets: u64,
    ticks: u64,
}

impl Stretch {
    /// Four times the packets by which `other` has more than this one's rate gives it, times this one's ticks.
    const fn surplus(self, other: Self) -> i64 {
        let has = (other.packets * self.ticks).cast_signed();
        let wants = (self.packets * other.ticks).cast_signed();
        (has - wants) * 4
    }
}

/// What the merged sequence tells of its rate.
#[derive(Debug, Default)]
pub(super) struct Rate {
    pid: Option<Pid>,
    last: Option<Ticks27M>,
    packets: u32,
    /// Something was lost by all since the last PCR.
    holed: bool,
    was_holed: bool,
    stretches: [Stretch; STRETCHES],
    next: usize,
    constant: Option<Stretch>,
}

impl Rate {
    /// Begins again.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A packet of the sequence, and whether one is missing before it.
    #[inline]
    pub(super) const fn packet(&mut self, holed: bool) {
        self.packets = self.packets.saturating_add(1);
        self.holed |= holed;
        if self.packets > PATIENCE {
            self.pid = None;
        }
    }

    /// Whether this PID's PCRs are those that count.
    pub(super) fn is_clock(&self, pid: Pid) -> bool {
        self.pid == Some(pid)
    }

    pub(super) const fn is_constant(&self) -> bool {
        self.constant.is_some()
    }

    /// Whether something was lost by all between the last two PCRs.
    pub(super) const fn was_holed(&self) -> bool {
        self.was_holed
    }

    /// A PCR in the latest packet. True if it is of the PID that counts.
    pub(super) fn clock(&mut self, pid: Pid, pcr: Ticks27M) -> bool {
        if *self.pid.get_or_insert(pid) != pid {
            return false;
        }
        let ticks = self.last.map_or(0, |last| pcr.forward_from(last));
        if !self.holed && ticks > 0 && ticks <= LONGEST {
            self.stretches[self.next % STRETCHES] = Stretch { packets: u64::from(self.packets), ticks };
            self.next = (self.next + 1) % (1 << 20);
            self.agree();
        }
        self.last = Some(pcr);
        self.packets = 0;
        self.was_holed = core::mem::take(&mut self.holed);
        true
    }

    /// Finds a rate that enough stretches have to a quarter of a packet, and that none has more than.
    fn agree(&mut self) {
        self.constant = None;
        for candidate in self.stretches.into_iter().filter(|s| s.ticks > 0) {
            let quarter = candidate.ticks.cast_signed();
            let mut sum = Stretch::default();
            let mut votes = 0;
            let mut most = i64::MIN;
            for other in self.stretches.into_iter().filter(|s| s.ticks > 0) {
                let surplus = candidate.surplus(other);
                most = most.max(surplus);
                if surplus.abs() < quarter {
                    votes += 1;
                    sum.packets += other.packets;
                    sum.ticks += other.ticks;
                }
            }
            if votes >= AGREE && most < quarter {
                self.constant = Some(sum);
                return;
            }
        }
    }

    /// How many packets follow a PCR up to and with the one that is `ticks` later.
    pub(super) fn expected(&self, ticks: u64) -> Option<u64> {
        let rate = self.constant.filter(|_| ticks <= LONGEST)?;
        Some((ticks * rate.packets + rate.ticks / 2) / rate.ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: &mut Rate, from: u64, stretches: &[(u32, u64)]) -> u64 {
        let pid = Pid::new(0x100);
        let mut pcr = from;
        for &(packets, ticks) in stretches {
            for _ in 0..packets {
                rate.packet(false);
            }
            pcr = (pcr + ticks) % Ticks27M::WRAP;
            rate.clock(pid, Ticks27M(pcr));
        }
        pcr
    }

    #[test]
    fn a_constant_rate_is_found_across_the_wrap_though_some_packets_are_missing() {
        let mut rate = Rate::default();
        let mut stretches: Vec<_> = (0..15u32).map(|i| (100 + i % 3, u64::from(100 + i % 3) * 5_000 + 1)).collect();
        let from = Ticks27M::WRAP - 5_000_000;
        run(&mut rate, from, &stretches[..9]);
        assert!(rate.is_constant());
        assert_eq!(rate.expected(5_000 * 101), Some(101));
        stretches[10].0 -= 1;
        stretches[12].0 -= 2;
        run(&mut rate, from, &stretches);
        assert_eq!(rate.expected(5_000 * 101), Some(101));
    }

    #[test]
    fn a_rate_that_varies_is_none() {
        let mut rate = Rate::default();
        let stretches: Vec<_> = (0..40u32).map(|i| (60 + i * 7 % 50, 500_000)).collect();
        run(&mut rate, 0, &stretches);
        assert_eq!(rate.expected(500_000), None);
    }
}
