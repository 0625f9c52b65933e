//! Which frames of the arena are in use, and by how many. The memory itself belongs to the driver.

/// The size of a frame in bytes: a datagram for Ethernet's 1,500 fits, and two make a page.
pub const FRAME_SIZE: usize = 2048;

/// A frame of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The memory of an arena: equal frames of [`FRAME_SIZE`] bytes.
pub trait Frames {
    /// The bytes of a frame.
    fn frame(&self, slot: Slot) -> &[u8; FRAME_SIZE];
    /// The bytes of a frame, to write.
    fn frame_mut(&mut self, slot: Slot) -> &mut [u8; FRAME_SIZE];
}

/// An arena on the heap, for replays, tests and wherever no kernel writes into it.
#[derive(Debug)]
pub struct HeapFrames(Vec<[u8; FRAME_SIZE]>);

impl HeapFrames {
    /// `count` frames of zeros.
    pub fn new(count: usize) -> Self {
        Self(vec![[0; FRAME_SIZE]; count])
    }
}

impl Frames for HeapFrames {
    fn frame(&self, slot: Slot) -> &[u8; FRAME_SIZE] {
        &self.0[slot.index()]
    }

    fn frame_mut(&mut self, slot: Slot) -> &mut [u8; FRAME_SIZE] {
        &mut self.0[slot.index()]
    }
}

/// Counts the users of each frame; the one freed last is handed out first, since its memory is still in the cache.
#[derive(Debug)]
pub struct Slots {
    users: Vec<u16>,
    free: Vec<Slot>,
}

impl Slots {
    /// `count` free frames.
    pub fn new(count: u32) -> Self {
        Self { users: vec![0; count as usize], free: (0..count).rev().map(Slot).collect() }
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// A free frame, which now has one user.
    pub fn take(&mut self) -> Option<Slot> {
        let slot = self.free.pop()?;
        self.users[slot.index()] = 1;
        Some(slot)
    }

    /// One user more of a frame in use.
    #[inline]
    pub fn share(&mut self, slot: Slot) {
        debug_assert!(self.users[slot.index()] > 0);
        self.users[slot.index()] += 1;
    }

    /// `more` users more of a frame in use.
    #[inline]
    pub fn share_by(&mut self, slot: Slot, more: u16) {
        debug_assert!(self.users[slot.index()] > 0);
        self.users[slot.index()] += more;
    }

    /// One user less; the last one frees the frame.
    #[inline]
    pub fn release(&mut self, slot: Slot) {
        let users = &mut self.users[slot.index()];
        debug_assert!(*users > 0);
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_free_when_its_last_user_lets_go() {
        let mut slots = Slots::new(2);
        let a = slots.take().unwrap();
        slots.share(a);
        assert!(slots.take().is_some());
        assert_eq!(slots.take(), None);
        slots.release(a);
        assert_eq!(slots.free(), 0);
        slots.release(a);
        assert_eq!(slots.take(), Some(a));
    }
}
