//! The memory that datagrams stay in from the kernel to the kernel.

use std::io;

use super::sys::Mapping;
use crate::engine::{FRAME_SIZE, Frames, Slot};

/// One page-aligned mapping of equal frames, so that it can serve as the UMEM of AF_XDP as it is.
///
/// Its pages take memory only once they are first written to, so a generous arena costs what is used of it.
#[derive(Debug)]
pub(super) struct Arena(pub(super) Mapping);

impl Arena {
    /// `frames` frames of zeros, at least one.
    ///
    /// # Errors
    /// When the address space does not have as much.
    pub(super) fn new(frames: usize) -> io::Result<Self> {
        Ok(Self(Mapping::new(frames)?))
    }
}

impl Frames for Arena {
    #[inline]
    fn frame(&self, slot: Slot) -> &[u8; FRAME_SIZE] {
        &self.0.frames()[slot.index()]
    }

    #[inline]
    fn frame_mut(&mut self, slot: Slot) -> &mut [u8; FRAME_SIZE] {
        &mut self.0.frames_mut()[slot.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_zero_and_apart_and_page_aligned() {
        let mut arena = Arena::new(5).unwrap();
        assert_eq!(arena.0.frames().len(), 5);
        assert_eq!(arena.frame(Slot(0)).as_ptr().addr() % 4096, 0);
        arena.frame_mut(Slot(3)).fill(7);
        for (index, want) in [(2, 0), (3, 7), (4, 0)] {
            assert!(arena.frame(Slot(index)).iter().all(|&byte| byte == want));
        }
    }
}
