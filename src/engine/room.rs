//! Room for packets that came from no input, and the arena as it looks to what rewrites packets.

use super::slots::{FRAME_SIZE, Frames, Slot, Slots};
use crate::switch::{Handle, Store};
use crate::ts::PACKET_SIZE;

/// Packets in a frame.
const MOST: usize = FRAME_SIZE / PACKET_SIZE;

/// The frame that is being filled.
#[derive(Debug, Default)]
pub(super) struct Room(Option<(Slot, u16)>);

/// The arena, packet by packet.
pub(super) struct Arena<'a, F> {
    pub(super) frames: &'a mut F,
    pub(super) slots: &'a mut Slots,
    pub(super) room: &'a mut Room,
}

impl<F: Frames> Store for Arena<'_, F> {
    fn bytes(&self, handle: Handle) -> Option<&[u8; PACKET_SIZE]> {
        self.frames.frame(Slot(handle.frame)).get(usize::from(handle.offset)..)?.first_chunk()
    }

    fn bytes_mut(&mut self, handle: Handle) -> Option<&mut [u8; PACKET_SIZE]> {
        self.frames.frame_mut(Slot(handle.frame)).get_mut(usize::from(handle.offset)..)?.first_chunk_mut()
    }

    fn fresh(&mut self) -> Option<Handle> {
        let (slot, filled) = match self.room.0.take() {
            Some(room) => room,
            None => (self.slots.take()?, 0),
        };
        // the last packet of a frame has its first user
        if usize::from(filled) + 1 < MOST {
            self.slots.share(slot);
            self.room.0 = Some((slot, filled + 1));
        }
        #[allow(clippy::cast_possible_truncation, reason = "188")]
        let offset = filled * PACKET_SIZE as u16;
        Some(Handle { frame: slot.0, offset })
    }

    fn release(&mut self, handle: Handle) {
        self.slots.release(Slot(handle.frame));
    }
}
