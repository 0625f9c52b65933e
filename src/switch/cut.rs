//! The cut on a TS packet boundary: what the output's packets are rewritten by so that the input can change between any two.
//!
//! - Continuity counters run on, on each PID: a discontinuity in the output is one that the source itself had.
//! - A PCR that does not follow the last one of its PID by 0…100 ms is sent with discontinuity_indicator, at a cut only.

use crate::ts::{Outline, PACKET_SIZE, Packet, PidTable};
use crate::units::{Pid, Ticks27M};

/// PCR PIDs that are followed: more programs than any multiplex has.
const MAX_CLOCKS: usize = 64;
/// The most that a PCR may step unsignalled, in ticks: 100 ms (TR 101 290 table 5.0b 2.3b).
const MAX_STEP: u64 = 2_700_000;
const DISCONTINUITY_INDICATOR: u8 = 0x80;

/// What one PID of the output was sent with.
#[derive(Clone, Copy, Debug, Default)]
struct OutPid {
    /// The cut after which it was last sent, counted from 1; 0 is never.
    epoch: u16,
    /// The continuity counter of its last packet.
    counter: u8,
    /// What is added to the input's counters since the cut.
    shift: u8,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    pid: Pid,
    last: Ticks27M,
    epoch: u16,
}

/// A PCR that had to be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its PID.
    pub pid: Pid,
    /// From the last PCR of the PID, the shorter way round, in 27 MHz ticks.
    pub ticks: i64,
}

/// The state of one output.
#[derive(Debug)]
pub struct Cut {
    pids: PidTable<OutPid>,
    clocks: Vec<Clock>,
    epoch: u16,
}

impl Default for Cut {
    fn default() -> Self {
        Self { pids: PidTable::default(), clocks: Vec::with_capacity(MAX_CLOCKS), epoch: 1 }
    }
}

impl Cut {
    /// The next packet comes from another input.
    pub fn cut(&mut self) {
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            // every 65,534 cuts: all PIDs are as if last sent one cut ago
            for pid in self.pids.iter_mut() {
                pid.epoch = pid.epoch.min(1);
            }
            for clock in &mut self.clocks {
                clock.epoch = 1;
            }
            2
        });
    }

    /// The continuity counter that a packet of the input on air is to be sent with. One with transport_error_indicator is
    /// believed in nothing but its PID.
    #[inline]
    pub fn counter(&mut self, packet: Outline) -> u8 {
        let counter = packet.continuity_counter();
        if packet.pid() == Pid::NULL {
            return counter;
        }
        let out = self.pids.entry(packet.pid());
        if packet.transport_error_indicator() {
            return counter.wrapping_add(out.shift) & 0x0F;
        }
        if out.epoch != self.epoch {
            // the first of its PID after the cut: with payload it goes on, without it repeats (ISO/IEC 13818-1 2.4.3.3)
            let wanted = out.counter.wrapping_add(u8::from(packet.has_payload()));
            out.shift = if out.epoch == 0 { 0 } else { wanted.wrapping_sub(counter) & 0x0F };
            out.epoch = self.epoch;
        }
        out.counter = counter.wrapping_add(out.shift) & 0x0F;
        out.counter
    }

    /// Writes what [`Cut::counter`] said into a packet, and looks at its PCR: returns the step of one that had to be
    /// signalled.
    pub fn restamp(&mut self, bytes: &mut [u8; PACKET_SIZE], counter: u8) -> Option<Step> {
        bytes[3] = bytes[3] & 0xF0 | counter;
        let pid = Packet::new(bytes).pid();
        if pid == Pid::NULL { None } else { self.clock(pid, bytes) }
    }

    fn clock(&mut self, pid: Pid, bytes: &mut [u8; PACKET_SIZE]) -> Option<Step> {
        let packet = Packet::new(bytes);
        if packet.transport_error_indicator() {
            return None;
        }
        let pcr = packet.pcr()?;
        let Some(clock) = self.clocks.iter_mut().find(|c| c.pid == pid) else {
            if self.clocks.len() < MAX_CLOCKS {
                self.clocks.push(Clock { pid, last: pcr, epoch: self.epoch });
            }
            return None;
        };
        let last = core::mem::replace(&mut clock.last, pcr);
        let first = core::mem::replace(&mut clock.epoch, self.epoch) != self.epoch;
        if !first || pcr.forward_from(last) <= MAX_STEP {
            return None;
        }
        bytes[5] |= DISCONTINUITY_INDICATOR;
        Some(Step { pid, ticks: pcr.step_from(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restamp(cut: &mut Cut, bytes: &mut [u8; PACKET_SIZE]) -> Option<Step> {
        let counter = cut.counter(Outline::of(Packet::new(bytes)));
        cut.restamp(bytes, counter)
    }

    fn packet(pid: u16, counter: u8) -> [u8; PACKET_SIZE] {
        let mut p = [0; PACKET_SIZE];
        let [high, low] = pid.to_be_bytes();
        p[..4].copy_from_slice(&[0x47, high, low, 0x10 | counter]);
        p
    }

    fn pcr(counter: u8, ms: u64) -> [u8; PACKET_SIZE] {
        let mut p = packet(0x100, counter);
        let base = (ms * 90) << 15;
        p[3] |= 0x20;
        p[4..6].copy_from_slice(&[7, 0x10]);
        p[6..12].copy_from_slice(&base.to_be_bytes()[2..]);
        p
    }

    #[test]
    fn counters_run_on_across_cuts_on_each_pid() {
        let mut cut = Cut::default();
        let send = |cut: &mut Cut, mut p: [u8; PACKET_SIZE]| {
            restamp(cut, &mut p);
            p[3] & 0x0F
        };
        assert_eq!([14, 15].map(|c| send(&mut cut, packet(1, c))), [14, 15]);
        assert_eq!(send(&mut cut, packet(2, 5)), 5);
        cut.cut();
        assert_eq!([9, 10, 12].map(|c| send(&mut cut, packet(1, c))), [0, 1, 3], "the source's own loss stays");
        cut.cut();
        assert_eq!(send(&mut cut, packet(2, 5)), 6);
        assert_eq!(send(&mut cut, packet(3, 7)), 7, "a new PID begins as it is");
        let mut no_payload = packet(1, 4);
        no_payload[3] = 0x24;
        assert_eq!(send(&mut cut, no_payload), 3, "without payload the counter stands still");
        assert_eq!(send(&mut cut, packet(1, 5)), 4);
    }

    #[test]
    fn a_pcr_is_signalled_when_the_cut_made_it_step() {
        let mut cut = Cut::default();
        let send = |cut: &mut Cut, mut p: [u8; PACKET_SIZE]| (restamp(cut, &mut p), p[5] & 0x80 != 0);
        assert_eq!(send(&mut cut, pcr(0, 1000)), (None, false));
        assert_eq!(send(&mut cut, pcr(1, 5000)), (None, false), "the source's own step is its own");
        cut.cut();
        assert_eq!(send(&mut cut, pcr(1, 5100)), (None, false));
        cut.cut();
        let step = Step { pid: Pid::new(0x100), ticks: -40 * 27_000 };
        assert_eq!(send(&mut cut, pcr(1, 5060)), (Some(step), true));
        assert_eq!(send(&mut cut, pcr(2, 5100)), (None, false));
    }

    #[test]
    fn a_packet_with_an_error_changes_no_state_and_many_cuts_wrap() {
        let mut cut = Cut::default();
        let mut p = packet(1, 3);
        restamp(&mut cut, &mut p);
        let mut bad = packet(1, 9);
        bad[1] |= 0x80;
        restamp(&mut cut, &mut bad);
        for _ in 0..70_000 {
            cut.cut();
        }
        let mut p = packet(1, 0);
        restamp(&mut cut, &mut p);
        assert_eq!(p[3] & 0x0F, 4);
    }
}
