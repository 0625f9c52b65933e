//! A file made ready to be played.

use super::ClipError;
use super::assemble::{Item, assemble};
use super::grid::Grid;
use super::tables::Tables;
use super::track::Track;
use super::trim::trim;
use crate::ts::PACKET_SIZE;
use crate::units::BitRate;

/// Packets to be played in a loop, and when each is due.
#[derive(Clone, Debug)]
pub struct Clip {
    items: Box<[Item]>,
    length: u64,
}

impl Clip {
    /// Makes a clip of the bytes of a file: packets of 188 bytes, of 204 with 16 of outer code behind each, or of 192
    /// with a time in front of each, which is not read.
    ///
    /// Played are, from the first random access point of the first program's first video on, the PES packets that are
    /// whole. Where one stream would end more than 100 ms before another, the longer ones are cut, so that all end
    /// together to within an access unit.
    ///
    /// # Errors
    /// The file is not what can be played; see [`ClipError`].
    pub fn new(ts: &[u8]) -> Result<Self, ClipError> {
        let grid = Grid::new(ts)?;
        let tables = Tables::read(&grid)?;
        let tracks = tables.streams.iter().map(|stream| Track::read(&grid, stream)).collect::<Result<Vec<_>, _>>()?;
        let trimmed = trim(&grid, &tables, &tracks)?;
        if let Some(packet) = tables.change(trimmed.start, trimmed.end) {
            return Err(ClipError::TablesChange { offset: grid.offset(packet) });
        }
        let (items, length) = assemble(&grid, &tables, &tracks, &trimmed)?;
        Ok(Self { items: items.into_boxed_slice(), length })
    }

    /// How long a turn of the loop is, in ticks of 27 MHz: a multiple of 300, [`MIN_LENGTH`](super::MIN_LENGTH) to
    /// [`MAX_LENGTH`](super::MAX_LENGTH).
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// How many packets a turn has.
    pub const fn packets(&self) -> usize {
        self.items.len()
    }

    /// Its rate over a turn.
    pub fn bit_rate(&self) -> BitRate {
        let bits = u64::try_from(self.items.len() * PACKET_SIZE * 8).unwrap_or(u64::MAX);
        BitRate(bits.saturating_mul(27_000_000) / self.length)
    }

    pub(super) fn item(&self, number: usize) -> Option<&Item> {
        self.items.get(number)
    }
}
