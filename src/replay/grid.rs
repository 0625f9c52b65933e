//! Where the packets stand in a file of TS packets.

use std::io::{self, Read};

use super::source::Figures;
use crate::ts::{PACKET_SIZE, SYNC_BYTE};

/// Good sync bytes in a row that make a grid (ETSI TR 101 290 annex G.1).
const RUN: usize = 5;
/// From one packet to the next, and where the packet stands in that.
const LAYOUTS: [(usize, usize); 3] = [(188, 0), (204, 0), (192, 4)];
/// How far the first packet is searched for.
const SEARCH: usize = 1 << 20;
const CHUNK: usize = 1 << 18;

/// Cuts a file into packets.
#[derive(Debug)]
pub(super) struct Grid<R> {
    reader: R,
    bytes: Vec<u8>,
    /// Where the next packet's sync byte stands, or should, in `bytes`.
    next: usize,
    ended: bool,
    stride: usize,
    /// Bytes of a unit in front of its packet.
    lead: usize,
    /// Bad sync bytes in a row.
    bad: usize,
    read: u64,
    leading: u64,
    trailing: u64,
    resynchronisations: u64,
    searched: usize,
}

impl<R: Read> Grid<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            next: 0,
            ended: false,
            stride: PACKET_SIZE,
            lead: 0,
            bad: 0,
            read: 0,
            leading: 0,
            trailing: 0,
            resynchronisations: 0,
            searched: 0,
        }
    }

    /// Finds the first packet; false where there is none.
    pub(super) fn find(&mut self) -> io::Result<bool> {
        self.fill(SEARCH)?;
        self.searched = self.bytes.len().min(SEARCH);
        let Some((first, stride, lead)) = (0..self.searched).find_map(|at| self.layout(at)) else { return Ok(false) };
        self.stride = stride;
        self.lead = lead;
        // A file that is in the grid from its first byte has packets there, however bad their sync bytes are.
        let unit = first - lead.min(first);
        let aligned = first >= lead && unit.is_multiple_of(stride);
        self.next = if aligned { lead } else { first };
        self.leading = u64::try_from(if aligned { 0 } else { unit }).unwrap_or(u64::MAX);
        Ok(true)
    }

    /// The layout whose packets begin at `at`.
    fn layout(&self, at: usize) -> Option<(usize, usize, usize)> {
        if self.bytes.get(at) != Some(&SYNC_BYTE) {
            return None;
        }
        let fits = |(stride, lead): (usize, usize)| {
            at >= lead && (self.run(at, stride) >= RUN || (at == lead && self.short(at, stride)))
        };
        LAYOUTS.into_iter().find(|&layout| fits(layout)).map(|(stride, lead)| (at, stride, lead))
    }

    /// How many good sync bytes, up to [`RUN`], stand at `at` and every `stride` on.
    fn run(&self, at: usize, stride: usize) -> usize {
        let syncs = self.bytes.get(at..).unwrap_or_default().iter().step_by(stride).take(RUN);
        syncs.take_while(|byte| **byte == SYNC_BYTE).count()
    }

    /// Whether this is a file too short for a run, and all it has are packets.
    fn short(&self, at: usize, stride: usize) -> bool {
        let packets = (self.bytes.len() - at).div_ceil(stride);
        self.ended && at + PACKET_SIZE <= self.bytes.len() && packets < RUN && self.run(at, stride) == packets
    }

    /// How far [`Grid::find`] looked, in bytes.
    pub(super) fn searched(&self) -> usize {
        self.searched
    }

    /// Bytes of the file that the packets so far take up.
    pub(super) fn position(&self) -> u64 {
        self.read - u64::try_from(self.bytes.len().saturating_sub(self.next)).unwrap_or(0)
    }

    /// The next packet; none after the last whole one.
    pub(super) fn packet(&mut self) -> io::Result<Option<[u8; PACKET_SIZE]>> {
        self.fill(self.stride * (RUN + 2) + PACKET_SIZE)?;
        let Some(packet) = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<PACKET_SIZE>()).copied()
        else {
            // With the bytes in front of it that belong to it; where the last packet ends, what a unit has behind it
            // is no packet.
            let unit = self.next - self.lead.min(self.next);
            self.trailing = u64::try_from(self.bytes.len().saturating_sub(unit)).unwrap_or(0);
            return Ok(None);
        };
        let [sync, ..] = packet;
        self.bad = if sync == SYNC_BYTE { 0 } else { self.bad + 1 };
        let after = self.next + self.stride;
        self.next = if self.bad >= 2 { self.resynchronise(after) } else { after };
        Ok(Some(packet))
    }

    /// Where packets go on: at the first place up to `after` that five good sync bytes follow from, or else at `after`.
    fn resynchronise(&mut self, after: usize) -> usize {
        if self.bytes.get(after) == Some(&SYNC_BYTE) {
            return after;
        }
        let Some(found) = (self.next + 1..after).find(|&at| self.run(at, self.stride) >= RUN) else { return after };
        self.resynchronisations += 1;
        self.bad = 0;
        found
    }

    /// Makes `want` bytes stand from `next` on, or all that there are.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.ended || self.bytes.len().saturating_sub(self.next) >= want {
            return Ok(());
        }
        let done = self.next.saturating_sub(self.lead).min(self.bytes.len());
        self.bytes.drain(..done);
        self.next -= done;
        let chunk = u64::try_from(want.max(CHUNK)).unwrap_or(u64::MAX);
        let got = self.reader.by_ref().take(chunk).read_to_end(&mut self.bytes)?;
        self.read += u64::try_from(got).unwrap_or(0);
        self.ended = u64::try_from(got).is_ok_and(|got| got < chunk);
        Ok(())
    }

    /// Puts what is known of the file's layout into `figures`.
    pub(super) fn describe(&self, figures: &mut Figures) {
        figures.packet_size = self.stride;
        figures.leading_bytes = self.leading;
        figures.trailing_bytes = self.trailing;
        figures.resynchronisations = self.resynchronisations;
    }
}
