//! Something for each PID, where most streams have a handful of the 8,192 there are.
//!
//! A full table by PID spreads what a stream uses over many pages, and with hundreds of streams in turn each look is a miss
//! in the cache and in the TLB. Here entries stand together in the order in which they were first asked for, and the latest
//! few are found without a look at the index.

use crate::units::Pid;

/// How many of the latest PIDs are remembered, each in its own place.
const RECENT: usize = 8;
/// No PID: they have 13 bits.
const NONE: u16 = u16::MAX;

/// A table of `T` by PID. It allocates for all 8,192 when it is made, and never after; what is not used is not touched.
#[derive(Clone, Debug)]
pub struct PidTable<T> {
    recent: [(u16, u16); RECENT],
    entries: Vec<(Pid, T)>,
    /// The place of each PID's entry plus one, 0 where it has none.
    index: Box<[u16]>,
}

impl<T> Default for PidTable<T> {
    fn default() -> Self {
        Self {
            recent: [(NONE, 0); RECENT],
            entries: Vec::with_capacity(Pid::COUNT),
            index: vec![0; Pid::COUNT].into_boxed_slice(),
        }
    }
}

impl<T: Default> PidTable<T> {
    /// The entry of `pid`, made if there was none.
    #[inline]
    pub fn entry(&mut self, pid: Pid) -> &mut T {
        let (recent, place) = self.recent[Self::slot(pid)];
        let place = if recent == pid.value() { place } else { self.find(pid) };
        &mut self.entries[usize::from(place)].1
    }

    #[inline]
    const fn slot(pid: Pid) -> usize {
        let value = pid.index();
        (value ^ value >> 3 ^ value >> 8) % RECENT
    }

    fn find(&mut self, pid: Pid) -> u16 {
        let index = &mut self.index[pid.index()];
        if *index == 0 {
            self.entries.push((pid, T::default()));
            // at most 8,192: there are no more PIDs
            *index = u16::try_from(self.entries.len()).unwrap_or(1);
        }
        let place = *index - 1;
        self.recent[Self::slot(pid)] = (pid.value(), place);
        place
    }
}

impl<T> PidTable<T> {
    /// The entry of `pid`, if there is one.
    pub fn get(&self, pid: Pid) -> Option<&T> {
        let place = self.index[pid.index()].checked_sub(1)?;
        self.entries.get(usize::from(place)).map(|(_, entry)| entry)
    }

    /// All entries, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (Pid, &T)> {
        self.entries.iter().map(|(pid, entry)| (*pid, entry))
    }

    /// All entries, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, entry)| entry)
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
        assert_eq!(PidTable::<u32>::default().get(Pid::new(7)), None);
    }
}
