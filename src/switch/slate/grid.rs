//! The packets of a file.

use super::{ClipError, MAX_SIZE};
use crate::ts::{PACKET_SIZE, Packet, SYNC_BYTE};

/// From one packet to the next: as they are, with the 16 bytes of EN 300 429 behind each, or with a time of 4 bytes in
/// front.
const STRIDES: [usize; 3] = [PACKET_SIZE, 204, 192];
/// Where the first packet of a whole file begins with each.
const WHOLE: [(usize, usize); 3] = [(0, PACKET_SIZE), (0, 204), (4, 192)];
/// Good sync bytes in a row that make a grid (ETSI TR 101 290 annex G.1).
const RUN: usize = 5;

/// All packets, and where they stand.
pub(super) struct Grid<'a> {
    pub(super) packets: Vec<Packet<'a>>,
    first: usize,
    stride: usize,
}

impl<'a> Grid<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ClipError> {
        if bytes.is_empty() {
            return Err(ClipError::Empty);
        }
        if bytes.len() > MAX_SIZE {
            return Err(ClipError::TooLarge { size: bytes.len() });
        }
        let anywhere = STRIDES.iter().flat_map(|&stride| (0..stride).map(move |first| (first, stride)));
        let mut layouts = WHOLE.into_iter().chain(anywhere);
        let (first, stride) = layouts.find(|&layout| fits(bytes, layout)).ok_or(ClipError::NotTransportStream)?;
        let mut grid = Self { packets: Vec::with_capacity(bytes.len() / stride), first, stride };
        // a part of a packet at the end is left away
        for chunk in bytes.get(first..).unwrap_or(&[]).chunks(stride) {
            let Some(packet) = chunk.first_chunk().map(Packet::new) else { break };
            let offset = grid.offset(grid.packets.len());
            if !packet.is_synchronised() {
                return Err(ClipError::LostSync { offset });
            }
            if packet.transport_error_indicator() {
                return Err(ClipError::Damaged { offset });
            }
            grid.packets.push(packet);
        }
        Ok(grid)
    }

    /// Where a packet stands in the file.
    pub(super) const fn offset(&self, packet: usize) -> usize {
        self.first + packet * self.stride
    }
}

/// Whether there are packets from `first` on: five in a row, or as many as the file has.
fn fits(bytes: &[u8], (first, stride): (usize, usize)) -> bool {
    let mut packets = bytes.get(first..).unwrap_or(&[]).chunks(stride).filter(|chunk| chunk.len() >= PACKET_SIZE);
    let mut run = packets.by_ref().take(RUN).peekable();
    run.peek().is_some() && run.all(|chunk| chunk.first() == Some(&SYNC_BYTE))
}
