//! Where a clip begins and ends, and how long its loop is.

use super::grid::Grid;
use super::line::{Break, Line};
use super::tables::Tables;
use super::track::{Track, Unit};
use super::{ClipError, MAX_UNEVEN};
use crate::ts::stream::Kind;
use crate::units::Pid;

/// The PES packets of a track that are played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    first: usize,
    last: usize,
    /// The transport packets that they begin and end in.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// What is played.
pub(super) struct Trimmed {
    pub(super) line: Line,
    /// The first packet, and the last.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of each track; none where nothing of it is played.
    pub(super) parts: Vec<Option<Part>>,
    /// The longest of the streams, in ticks of 90 kHz from its first DTS to the end of its last access unit.
    pub(super) longest: i64,
}

/// The video that the clip begins with, and the PCR PID of its program.
fn video(tables: &Tables, tracks: &[Track]) -> Result<(usize, Pid), ClipError> {
    let of = |number: u16| tracks.iter().position(|track| track.program == number && track.kind == Kind::Video);
    let found = tables.programs.iter().find_map(|program| Some((of(program.number)?, program)));
    let (video, program) = found.ok_or(ClipError::NoVideo)?;
    Ok((video, program.pcr_pid.ok_or(ClipError::NoPcr)?))
}

pub(super) fn trim(grid: &Grid<'_>, tables: &Tables, tracks: &[Track]) -> Result<Trimmed, ClipError> {
    let (video, clock) = video(tables, tracks)?;
    let no_entry = |track: &Track| ClipError::NoRandomAccess { pid: track.pid };
    let start = tracks.get(video).map_or(Err(ClipError::NoVideo), |track| {
        let entry = track.units.iter().find(|unit| unit.is_entry && unit.is_stamped && unit.is_whole);
        entry.map(|unit| unit.first).ok_or_else(|| no_entry(track))
    })?;
    let jump = |at: Break| ClipError::Clock { pid: clock, offset: grid.offset(at.packet), ticks: at.ticks };
    let line = Line::new(&grid.packets, clock, start).map_err(|at| at.map_or(ClipError::NoPcr, jump))?;
    let mut parts: Vec<Option<Part>> = tracks.iter().map(|track| whole(track, start)).collect();
    if parts.get(video).copied().flatten().is_none() {
        return Err(ClipError::TooShort { length: 0 });
    }
    while even(tracks, &mut parts, &line, start) {}
    let end = last_packet(tracks, &parts);
    let longest = media(tracks, &parts).map(|(track, part)| extent(track, part)).max().unwrap_or(0);
    for (track, part) in tracks.iter().zip(&mut parts).filter(|(track, _)| !track.kind.is_media()) {
        *part = part.and_then(|part| within(track, part, end, longest));
    }
    if let Some(at) = line.end.filter(|it| it.packet <= end) {
        return Err(jump(at));
    }
    for (track, part) in media(tracks, &parts) {
        if let Some(packet) = track.break_within(part.from, part.to) {
            return Err(ClipError::Missing { pid: track.pid, offset: grid.offset(packet) });
        }
        let units = track.units.get(part.first + 1..=part.last).unwrap_or(&[]);
        if let Some(unit) = units.iter().find(|unit| unit.falls) {
            return Err(ClipError::Times { pid: track.pid, offset: grid.offset(unit.first) });
        }
    }
    Ok(Trimmed { line, start, end, parts, longest })
}

/// The video and audio tracks that have something to be played.
fn media<'a>(tracks: &'a [Track], parts: &'a [Option<Part>]) -> impl Iterator<Item = (&'a Track, Part)> {
    let both = tracks.iter().zip(parts).filter(|(track, _)| track.kind.is_media());
    both.filter_map(|(track, part)| Some((track, (*part)?)))
}

/// From the first PES packet at or behind packet `start` that the track can begin with to the last whole one.
fn whole(track: &Track, start: usize) -> Option<Part> {
    let begins =
        |unit: &Unit| unit.first >= start && unit.is_stamped && unit.is_whole && (unit.is_entry || !track.has_entries);
    let first = track.units.iter().position(begins)?;
    let last = track.units.iter().rposition(|unit| unit.is_whole)?;
    part(track, first, last)
}

fn part(track: &Track, first: usize, last: usize) -> Option<Part> {
    let (from, to) = (track.unit(first)?.first, track.unit(last)?.last);
    (first <= last).then_some(Part { first, last, from, to })
}

/// From a track's first DTS to the end of its last access unit, in ticks of 90 kHz.
fn extent(track: &Track, part: Part) -> i64 {
    track.end(part.first, part.last) - track.unit(part.first).map_or(0, |unit| unit.dts)
}

fn last_packet(tracks: &[Track], parts: &[Option<Part>]) -> usize {
    media(tracks, parts).map(|(_, part)| part.to).max().unwrap_or(0)
}

/// Cuts the streams that go on for longer than the shortest, if that is by so much that it would be missed. True where
/// one is shorter now, since it may be the shortest then.
fn even(tracks: &[Track], parts: &mut [Option<Part>], line: &Line, start: usize) -> bool {
    // a stream that begins later than the clip is not shorter for that
    let reach = |track: &Track, part: Part| extent(track, part) + (line.at(part.from) - line.at(start)) / 300;
    let reaches: Vec<i64> = media(tracks, parts).map(|(track, part)| reach(track, part)).collect();
    let (Some(&least), Some(&most)) = (reaches.iter().min(), reaches.iter().max()) else { return false };
    let span = (line.at(last_packet(tracks, parts) + 1) - line.at(start)) / 300;
    if most - least <= MAX_UNEVEN && most - span <= MAX_UNEVEN {
        return false;
    }
    let mut is_cut = false;
    for (track, slot) in tracks.iter().zip(parts).filter(|(track, _)| track.kind.is_media()) {
        while let Some(one) = *slot {
            let is_over = reach(track, one) > least + track.duration(one.first, one.last);
            let Some(shorter) = one.last.checked_sub(1).filter(|_| is_over && one.last > one.first) else { break };
            *slot = part(track, one.first, shorter);
            is_cut = true;
        }
    }
    is_cut
}

/// As much of a track that is neither video nor audio as lies before packet `end` and fits into the loop.
fn within(track: &Track, whole: Part, end: usize, longest: i64) -> Option<Part> {
    let start = track.unit(whole.first)?.dts;
    let units = track.units.get(..=whole.last)?;
    let last = units.iter().rposition(|unit| unit.is_whole && unit.last <= end && unit.dts - start < longest)?;
    part(track, whole.first, last)
}
