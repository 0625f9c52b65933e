//! The packets of a clip, made from those of the file that are played.

use std::collections::{BTreeMap, BTreeSet};

use super::grid::Grid;
use super::line::shorter;
use super::tables::Tables;
use super::track::{Track, is_repeat};
use super::trim::Trimmed;
use super::{ClipError, MAX_FILE_STEP, MAX_LENGTH, MAX_PCR_STEP, MIN_LENGTH};
use crate::ts::stream::Kind;
use crate::ts::{PACKET_SIZE, Packet, SYNC_BYTE};
use crate::units::{Pid, Ticks27M};

/// The most from one PCR to the next where they are put between others, in ticks: 40 ms.
const FILL: u64 = 1_080_000;
/// The most that the packets of tables in front are apart, in ticks: 1 ms.
const MAX_LEAD: i64 = 27_000;

/// A packet of a clip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) bytes: [u8; PACKET_SIZE],
    /// Ticks from the beginning.
    pub(super) at: u64,
    /// By how much its continuity counter goes on with each turn.
    pub(super) shift: u8,
    /// Where it stood in the file.
    offset: usize,
}

/// The packets, and the length of the loop in ticks.
pub(super) fn assemble(
    grid: &Grid<'_>,
    tables: &Tables,
    tracks: &[Track],
    trimmed: &Trimmed,
) -> Result<(Vec<Item>, u64), ClipError> {
    let (start, end) = (trimmed.start, trimmed.end);
    let in_force = tables.in_force(grid, start, end);
    let line = |packet: usize| trimmed.line.at(packet) - trimmed.line.at(start);
    let lead = line(start + 1).clamp(0, MAX_LEAD);
    let begin = lead * i64::try_from(in_force.len()).unwrap_or(0);
    let mut items = Vec::with_capacity(end - start + 1 + in_force.len());
    let mut put = |packet: usize, bytes: [u8; PACKET_SIZE], at: i64| {
        let at = u64::try_from(at).unwrap_or(0);
        items.push(Item { bytes, at, shift: 0, offset: grid.offset(packet) });
    };
    let mut at = 0;
    for packet in in_force {
        if let Some(view) = grid.packets.get(packet) {
            put(packet, *view.bytes(), at);
            at += lead;
        }
    }
    let mut chooser = Chooser::new(tracks, trimmed);
    for (packet, view) in grid.packets.iter().enumerate().take(end + 1).skip(start) {
        if let Some(bytes) = chooser.choose(packet, *view) {
            put(packet, bytes, begin + line(packet));
        }
    }
    let span = u64::try_from(begin + line(end + 1)).unwrap_or(0);
    let longest = u64::try_from(trimmed.longest).unwrap_or(0) * 300;
    let clocks = clocks(&mut items, tables)?;
    let forward = clocks.values().map(|clock| clock.span).max().unwrap_or(0);
    // whole ticks of 90 kHz, so that PTS and PCR can be moved by the same
    let length = span.max(longest).max(forward + 1).next_multiple_of(300);
    if length < MIN_LENGTH {
        return Err(ClipError::TooShort { length });
    }
    if length > MAX_LENGTH {
        return Err(ClipError::TooLong { length });
    }
    for (pid, clock) in &clocks {
        items.extend(clock.fill(length).map(|(at, pcr)| clock_item(*pid, at, pcr)));
    }
    items.sort_by_key(|item| item.at);
    renumber(&mut items);
    Ok((items, length))
}

/// Which packets of the file are played.
struct Chooser<'a> {
    /// The packets in which each PES stream begins and ends.
    parts: BTreeMap<Pid, Option<(usize, usize)>>,
    left_out: BTreeSet<Pid>,
    /// PIDs whose sections were seen to begin.
    begun: BTreeSet<Pid>,
    last: BTreeMap<Pid, Packet<'a>>,
}

impl<'a> Chooser<'a> {
    fn new(tracks: &[Track], trimmed: &Trimmed) -> Self {
        // a PID in which no PES packet begins carries sections, or nothing
        let streams = tracks.iter().zip(&trimmed.parts);
        let streams = streams.filter(|(track, _)| track.kind.is_media() || !track.units.is_empty());
        let splice = tracks.iter().filter(|track| track.kind == Kind::Splice).map(|track| track.pid);
        Self {
            parts: streams.map(|(track, part)| (track.pid, part.map(|part| (part.from, part.to)))).collect(),
            left_out: splice.chain([Pid::TDT]).collect(),
            begun: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    /// What is played of a packet: all of it, or its PCR, or nothing.
    fn choose(&mut self, number: usize, packet: Packet<'a>) -> Option<[u8; PACKET_SIZE]> {
        if self.is_played(number, packet) {
            return Some(*packet.bytes());
        }
        packet.pcr().map(|pcr| clock_packet(packet.pid(), pcr))
    }

    fn is_played(&mut self, number: usize, packet: Packet<'a>) -> bool {
        let pid = packet.pid();
        if pid == Pid::NULL {
            return true;
        }
        if self.left_out.contains(&pid)
            || packet.has_payload() && self.last.insert(pid, packet).is_some_and(|last| is_repeat(last, packet))
        {
            return false;
        }
        match self.parts.get(&pid) {
            Some(part) => part.is_some_and(|(from, to)| (from..=to).contains(&number)),
            None => {
                if packet.payload_unit_start_indicator() {
                    self.begun.insert(pid);
                }
                !packet.has_payload() || self.begun.contains(&pid)
            }
        }
    }
}

/// The PCRs of one PID in a clip.
struct Clock {
    /// Ticks of the clip, and what the PCR is then.
    first: (u64, Ticks27M),
    last: (u64, Ticks27M),
    /// Ticks from the first to the last, by what they say.
    span: u64,
}

/// The clocks of the programs. Where PCRs are too far apart, others are put between.
fn clocks(items: &mut Vec<Item>, tables: &Tables) -> Result<BTreeMap<Pid, Clock>, ClipError> {
    let pids: BTreeSet<Pid> = tables.programs.iter().filter_map(|program| program.pcr_pid).collect();
    let mut clocks: BTreeMap<Pid, Clock> = BTreeMap::new();
    let mut more = Vec::new();
    for item in &*items {
        let packet = Packet::new(&item.bytes);
        let pid = packet.pid();
        let Some(pcr) = packet.pcr().filter(|_| pids.contains(&pid)) else { continue };
        let here = (item.at, pcr);
        let clock = clocks.entry(pid).or_insert(Clock { first: here, last: here, span: 0 });
        let step = pcr.forward_from(clock.last.1);
        if step > MAX_FILE_STEP {
            return Err(ClipError::Clock { pid, offset: item.offset, ticks: shorter(step) });
        }
        more.extend(between(clock.last, here).map(|(at, pcr)| clock_item(pid, at, pcr)));
        clock.last = here;
        clock.span += step;
    }
    items.append(&mut more);
    Ok(clocks)
}

impl Clock {
    /// The PCRs to be put between the last one and the first of the next turn.
    fn fill(&self, length: u64) -> impl Iterator<Item = (u64, Ticks27M)> {
        let moved = |ticks: u64| Ticks27M((self.first.1.0 + ticks) % Ticks27M::WRAP);
        let next = (self.first.0 + length, moved(length));
        between(self.last, next).map(move |(at, pcr)| match at.checked_sub(length) {
            // behind the seam it comes at the beginning of the turn, and so says a turn less
            Some(at) => (at, Ticks27M((pcr.0 + Ticks27M::WRAP - length) % Ticks27M::WRAP)),
            None => (at, pcr),
        })
    }
}

/// PCRs to be put between two that are too far apart.
fn between(from: (u64, Ticks27M), to: (u64, Ticks27M)) -> impl Iterator<Item = (u64, Ticks27M)> {
    let (time, ticks) = (to.0.saturating_sub(from.0), to.1.forward_from(from.1));
    let parts = if time.max(ticks) > MAX_PCR_STEP { time.max(ticks).div_ceil(FILL) } else { 1 };
    (1..parts).map(move |n| (from.0 + time * n / parts, Ticks27M((from.1.0 + ticks * n / parts) % Ticks27M::WRAP)))
}

fn clock_item(pid: Pid, at: u64, pcr: Ticks27M) -> Item {
    Item { bytes: clock_packet(pid, pcr), at, shift: 0, offset: 0 }
}

/// A packet with nothing but a PCR.
fn clock_packet(pid: Pid, pcr: Ticks27M) -> [u8; PACKET_SIZE] {
    let [high, low] = pid.value().to_be_bytes();
    // six bits between base and extension are reserved, and 1 (ISO/IEC 13818-1 2.4.3.4)
    let [_, _, fields @ ..] = ((pcr.0 / 300) << 15 | 0x7E00 | (pcr.0 % 300)).to_be_bytes();
    let mut bytes = [0xFF; PACKET_SIZE];
    for (to, byte) in bytes.iter_mut().zip([SYNC_BYTE, high, low, 0x20, 183, 0x10].into_iter().chain(fields)) {
        *to = byte;
    }
    bytes
}

/// Makes the continuity counters of each PID run on from 0, and takes out discontinuity_indicators.
fn renumber(items: &mut [Item]) {
    let mut counts: BTreeMap<Pid, u8> = BTreeMap::new();
    for item in &mut *items {
        let packet = Packet::new(&item.bytes);
        let (pid, has_payload, is_flagged) = (packet.pid(), packet.has_payload(), packet.discontinuity_indicator());
        if pid == Pid::NULL {
            continue;
        }
        // how many with payload came, modulo 16: one without repeats the counter of the last of them
        let count = counts.entry(pid).or_default();
        let counter = if has_payload { *count } else { count.wrapping_sub(1) & 0x0F };
        *count = count.wrapping_add(u8::from(has_payload)) & 0x0F;
        let [_, _, _, control, _, flags, ..] = &mut item.bytes;
        *control = *control & 0xF0 | counter;
        if is_flagged {
            *flags &= 0x7F;
        }
    }
    for item in items {
        item.shift = counts.get(&Packet::new(&item.bytes).pid()).copied().unwrap_or(0);
    }
}
