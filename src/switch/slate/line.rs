//! The time of each packet of a file, by the PCRs of one PID.

use super::MAX_FILE_STEP;
use crate::ts::Packet;
use crate::units::{Pid, Ticks27M};

/// A PCR that does not go on from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) packet: usize,
    /// The step, the shorter way round.
    pub(super) ticks: i64,
}

/// A clock over the numbers of packets.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Packets with a PCR, and its time since the first of them in ticks of 27 MHz: at least two.
    points: Vec<(usize, i64)>,
    /// What ends it, where it does not reach the end of the file.
    pub(super) end: Option<Break>,
}

impl Line {
    /// The clock from packet `from` on. Where there are not two PCRs to go by, what ends it before, if anything does.
    pub(super) fn new(packets: &[Packet<'_>], pid: Pid, from: usize) -> Result<Self, Option<Break>> {
        let mut points: Vec<(usize, i64)> = Vec::new();
        let mut end = None;
        let mut last = None;
        for (i, packet) in packets.iter().enumerate().filter(|(_, packet)| packet.pid() == pid) {
            let Some(pcr) = packet.pcr() else { continue };
            let step = last.replace(pcr).map_or(0, |last| pcr.forward_from(last));
            if step > MAX_FILE_STEP {
                if points.last().is_some_and(|(at, _)| *at >= from) {
                    end = Some(Break { packet: i, ticks: shorter(step) });
                    break;
                }
                points.clear();
            }
            let time = points.last().map_or(0, |(_, time)| time + step.cast_signed());
            points.push((i, time));
        }
        let is_enough = points.len() >= 2 && points.last().is_some_and(|(at, _)| *at > from);
        if is_enough { Ok(Self { points, end }) } else { Err(end) }
    }

    /// The time of a packet since the first PCR, negative before it: between two PCRs by its place, and elsewhere at
    /// the rate of the nearest two.
    pub(super) fn at(&self, packet: usize) -> i64 {
        let behind = self.points.partition_point(|(at, _)| *at <= packet).clamp(1, self.points.len() - 1);
        let (Some(&(from, start)), Some(&(to, end))) = (self.points.get(behind - 1), self.points.get(behind)) else {
            return 0;
        };
        let number = |packet: usize| i64::try_from(packet).unwrap_or(i64::MAX);
        let packets = number(to) - number(from);
        start + (end - start) * (number(packet) - number(from)) / packets.max(1)
    }
}

/// A step forward as the shorter way round.
pub(super) const fn shorter(forward: u64) -> i64 {
    Ticks27M(forward).step_from(Ticks27M(0))
}
