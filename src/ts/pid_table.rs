//! Something for each PID, where most streams have a handful of the 8,192 there are.
//!
//! A full table by PID spreads what a stream uses over many pages, and with hundreds of streams in turn each look is a miss
//! in the cache and in the TLB. Here entries stand together in the order in which they were first asked for.

use crate::units::Pid;

/// A table of `T` by PID. It allocates for all 8,192 when it is made, and never after; what is not used is not touched.
#[derive(Clone, Debug)]
pub struct PidTable<T> {
    entries: Vec<T>,
    /// The PID of each entry.
    pids: Vec<Pid>,
    /// The place of each PID's entry plus one, 0 where it has none.
    index: Box<[u16; Pid::COUNT]>,
}

impl<T> Default for PidTable<T> {
    fn default() -> Self {
        Self {
            entries: Vec::with_capacity(Pid::COUNT),
            pids: Vec::with_capacity(Pid::COUNT),
            index: Box::new([0; Pid::COUNT]),
        }
    }
}

impl<T: Default> PidTable<T> {
    /// The entry of `pid`, made if there was none.
    #[inline]
    pub fn entry(&mut self, pid: Pid) -> &mut T {
        let place = usize::from(self.index[pid.index()]).wrapping_sub(1);
        if place < self.entries.len() { &mut self.entries[place] } else { self.make(pid) }
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, pid: Pid) -> &mut T {
        let place = self.entries.len();
        self.entries.push(T::default());
        self.pids.push(pid);
        // at most 8,192: there are no more PIDs
        self.index[pid.index()] = u16::try_from(place + 1).unwrap_or(1);
        &mut self.entries[place]
    }
}

impl<T> PidTable<T> {
    /// The entry of `pid`, if there is one.
    pub fn get(&self, pid: Pid) -> Option<&T> {
        self.entries.get(usize::from(self.index[pid.index()].checked_sub(1)?))
    }

    /// All entries, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (Pid, &T)> {
        self.pids.iter().copied().zip(&self.entries)
    }

    /// As it was when it was made. Its memory is kept.
    pub fn clear(&mut self) {
        for pid in self.pids.drain(..) {
            self.index[pid.index()] = 0;
        }
        self.entries.clear();
    }

    /// All entries, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pid_keeps_its_own_whatever_came_between() {
        let mut table = PidTable::<u32>::default();
        for round in 1..=3 {
            for pid in (0..0x2000u16).rev().chain([5, 0x1FFF, 5, 13, 0x1FFF]) {
                let entry = table.entry(Pid::new(pid));
                *entry = u32::from(pid) + round;
            }
        }
        assert_eq!(table.iter().count(), Pid::COUNT);
        assert!(table.iter().all(|(pid, &entry)| entry == u32::from(pid.value()) + 3));
        assert_eq!(table.get(Pid::new(7)), Some(&10));
        table.clear();
        assert_eq!((table.get(Pid::new(7)), table.iter().count()), (None, 0));
        assert_eq!(*table.entry(Pid::new(7)), 0);
    }
}
