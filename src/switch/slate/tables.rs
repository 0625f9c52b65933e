//! The programs of a file, its streams, and where its PAT and PMTs stand.

use std::collections::{BTreeMap, BTreeSet};

use super::ClipError;
use super::grid::Grid;
use crate::tr101290::{Analyser, Program, Settings, Stream};
use crate::ts::section::{Assembler, MAX_SECTION};
use crate::units::{Instant, Pid};

/// table_id of a PAT and of a PMT (ISO/IEC 13818-1 table 2-31).
const TABLES: [u8; 2] = [0x00, 0x02];

/// A section of a PAT or PMT that applies.
struct Occurrence {
    /// What makes it that section and no other: PID, table_id, table_id_extension, section_number.
    key: (Pid, u8, u16, u8),
    crc: u32,
    /// The packets that it begins and ends in.
    first: usize,
    last: usize,
}

/// What the tables of a file say.
pub(super) struct Tables {
    pub(super) programs: Vec<Program>,
    /// Each PID once.
    pub(super) streams: Vec<Stream>,
    occurrences: Vec<Occurrence>,
}

impl Tables {
    pub(super) fn read(grid: &Grid<'_>) -> Result<Self, ClipError> {
        let mut analyser = Analyser::new(&Settings::default());
        for packet in &grid.packets {
            analyser.packet(Instant::ZERO, packet.bytes(), &mut ());
        }
        let programs = analyser.programs().to_vec();
        if programs.is_empty() {
            return Err(ClipError::NoPat);
        }
        let mut seen = BTreeSet::new();
        let mut streams = analyser.streams().to_vec();
        streams.retain(|stream| seen.insert(stream.pid));
        if streams.is_empty() {
            return Err(ClipError::NoPmt);
        }
        let occurrences = occurrences(grid, &programs);
        Ok(Self { programs, streams, occurrences })
    }

    /// The packets of the PAT and the PMTs that are in force at packet `start`, from before it where they can be had
    /// there.
    pub(super) fn in_force(&self, grid: &Grid<'_>, start: usize, end: usize) -> BTreeSet<usize> {
        let mut chosen: BTreeMap<_, &Occurrence> = BTreeMap::new();
        for it in &self.occurrences {
            let known = chosen.entry(it.key).or_insert(it);
            if it.last < start {
                *known = it;
            }
        }
        // the clip brings those that come later itself
        let is_wanted = |it: &&Occurrence| it.last < start || it.first > end;
        let of = |it: &Occurrence| {
            let pid = it.key.0;
            (it.first..=it.last).filter(move |i| grid.packets.get(*i).is_some_and(|packet| packet.pid() == pid))
        };
        chosen.into_values().filter(is_wanted).flat_map(of).collect()
    }

    /// The first packet in `start`…`end` with a table that is not what it was before.
    pub(super) fn change(&self, start: usize, end: usize) -> Option<usize> {
        let mut known = BTreeMap::new();
        let before = self.occurrences.iter().filter(|it| it.last < start);
        known.extend(before.map(|it| (it.key, it.crc)));
        let mut within = self.occurrences.iter().filter(|it| it.last >= start && it.first <= end);
        within.find(|it| *known.entry(it.key).or_insert(it.crc) != it.crc).map(|it| it.first)
    }
}

fn occurrences(grid: &Grid<'_>, programs: &[Program]) -> Vec<Occurrence> {
    let pids = programs.iter().map(|program| program.pmt_pid).chain([Pid::PAT]);
    // where the section under way began, and what is there of it
    let mut under_way: BTreeMap<Pid, (usize, Box<Assembler<MAX_SECTION>>)> =
        pids.map(|pid| (pid, (0, Box::default()))).collect();
    let mut found = Vec::new();
    for (i, packet) in grid.packets.iter().enumerate() {
        let pid = packet.pid();
        let Some((first, assembler)) = under_way.get_mut(&pid) else { continue };
        let begins = packet.payload_unit_start_indicator();
        // behind a pointer_field of 0 nothing goes on that began before
        let mut began = if begins && packet.payload().first() == Some(&0) { i } else { *first };
        assembler.push(begins, packet.payload(), |section| {
            if section.is_intact() && section.is_current() && TABLES.contains(&section.table_id()) {
                let key = (pid, section.table_id(), section.table_id_extension(), section.section_number());
                found.push(Occurrence { key, crc: section.crc(), first: began, last: i });
            }
            // any that follows in this packet begins in it
            began = i;
        });
        if begins {
            *first = i;
        }
    }
    found
}
