//! How often each indicator was raised, when and where.

use super::Indicator;
use crate::units::{Instant, Pid};

/// How many of the latest occurrences are kept.
pub const LATEST: usize = 8;

/// One time that an indicator was raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// When.
    pub at: Instant,
    /// The number of the input's packet, from 0, at which it was seen; for an absence the next that comes.
    pub packet: u64,
    /// On what.
    pub place: Place,
}

/// What an occurrence is of: a PID, a program, or the whole stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The PID; none where it is of the whole stream.
    pub pid: Option<Pid>,
    /// program_number of the program that it belongs to, of several the first; none where it belongs to none.
    pub program: Option<u16>,
}

impl Place {
    /// The whole stream.
    pub const STREAM: Self = Self { pid: None, program: None };

    /// A PID that belongs to no program.
    pub const fn pid(pid: Pid) -> Self {
        Self { pid: Some(pid), program: None }
    }

    /// A PID of a program; 0 is the network's number and no program's.
    pub(super) const fn of(pid: Pid, program: u16) -> Self {
        Self { pid: Some(pid), program: if program == 0 { None } else { Some(program) } }
    }
}

/// The occurrences of one indicator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    events: u64,
    first: Option<Instant>,
    ring: [Occurrence; LATEST],
}

impl Count {
    /// How many there were.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// When the first one was.
    pub const fn first(&self) -> Option<Instant> {
        self.first
    }

    /// When the last one was.
    pub fn last(&self) -> Option<Instant> {
        self.latest().last().map(|o| o.at)
    }

    /// The latest [`LATEST`], the oldest first.
    pub fn latest(&self) -> impl Iterator<Item = &Occurrence> {
        let from = self.events.saturating_sub(LATEST as u64);
        (from..self.events).filter_map(|i| self.ring.get(usize::try_from(i % LATEST as u64).ok()?))
    }

    fn add(&mut self, occurrence: Occurrence) {
        if let Ok(i) = usize::try_from(self.events % LATEST as u64) {
            self.ring[i] = occurrence;
        }
        self.events += 1;
        self.first.get_or_insert(occurrence.at);
    }
}

/// Is told of every event as it is counted.
pub trait Observer {
    /// `indicator` was raised at `at` on `place`.
    fn event(&mut self, at: Instant, indicator: Indicator, place: Place);

    /// So many access units are missing before the one that begins at `at`.
    fn missing(&mut self, at: Instant, place: Place, access_units: u32) {
        let _ = (at, place, access_units);
    }
}

/// For those who only want the counts.
impl Observer for () {
    fn event(&mut self, _at: Instant, _indicator: Indicator, _place: Place) {}
}

/// The counts of all indicators, and the number of the packet that is being looked at.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) by_indicator: Box<[Count; Indicator::COUNT]>,
    pub(super) packet: u64,
}

/// Where detectors put what they find at one moment.
pub(super) struct Sink<'a, O> {
    pub(super) at: Instant,
    pub(super) counts: &'a mut Counts,
    pub(super) observer: &'a mut O,
}

impl<O: Observer> Sink<'_, O> {
    #[cold]
    pub(super) fn raise(&mut self, indicator: Indicator, place: Place) {
        self.raise_of(self.at, self.counts.packet, indicator, place);
    }

    /// The same of a packet that came before.
    pub(super) fn raise_of(&mut self, at: Instant, packet: u64, indicator: Indicator, place: Place) {
        self.counts.by_indicator[indicator.index()].add(Occurrence { at, packet, place });
        self.observer.event(at, indicator, place);
    }

    #[cold]
    pub(super) fn missing(&mut self, place: Place, access_units: u32) {
        self.observer.missing(self.at, place, access_units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_in_their_order() {
        let mut count = Count::default();
        assert_eq!(count.last(), None);
        for i in 0..20 {
            count.add(Occurrence { at: Instant::from_nanos(i), packet: 0, place: Place::STREAM });
        }
        assert_eq!(count.events(), 20);
        assert_eq!(count.first(), Some(Instant::from_nanos(0)));
        assert_eq!(count.last(), Some(Instant::from_nanos(19)));
        assert_eq!(count.latest().map(|o| o.at.nanos()).collect::<Vec<_>>(), (12..20).collect::<Vec<_>>());
    }
}
