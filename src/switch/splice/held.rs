//! Packets that wait for a slot: lists in one store of fixed size.

use super::Side;
use crate::switch::Handle;
use crate::ts::Outline;
use crate::units::{Instant, Pts90k};

const NONE: u32 = u32::MAX;

/// A packet that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) side: Side,
    pub(super) handle: Handle,
    pub(super) outline: Outline,
    /// Its PCR is not sent: it belongs to another place.
    pub(super) strip: bool,
    pub(super) start: bool,
    /// When it was due.
    pub(super) since: Instant,
    /// PTS and DTS of its access unit, in the output's time.
    pub(super) stamp: Option<Stamp>,
    /// See [`Out::Send`](super::Out::Send).
    pub(super) enters: Option<i64>,
}

/// The times of an access unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) pts: Pts90k,
    pub(super) dts: Pts90k,
}

impl Stamp {
    /// The same in a time line that is so many ticks of 27 MHz further on.
    pub(super) fn moved(self, offset: i64) -> Self {
        Self { pts: add(self.pts, offset / 300), dts: add(self.dts, offset / 300) }
    }
}

/// A time stamp and so many ticks more.
pub(super) fn add(stamp: Pts90k, ticks: i64) -> Pts90k {
    Pts90k(stamp.0.wrapping_add_signed(ticks) & (Pts90k::WRAP - 1))
}

/// A list of packets, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE }
    }
}

impl List {
    pub(super) const fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

/// The store of all lists.
#[derive(Debug)]
pub(super) struct Pool {
    entries: Vec<(Option<Held>, u32)>,
    free: u32,
    used: usize,
}

impl Pool {
    /// Room for so many packets.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = u32::try_from(capacity).unwrap_or(NONE - 1).min(NONE - 1);
        let entries = (0..capacity).map(|n| (None, if n + 1 < capacity { n + 1 } else { NONE })).collect();
        Self { entries, free: if capacity > 0 { 0 } else { NONE }, used: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Puts a packet behind the others; false where there is no room.
    pub(super) fn push(&mut self, list: &mut List, held: Held) -> bool {
        let place = self.free;
        let Some(entry) = self.entries.get_mut(place as usize) else { return false };
        self.free = entry.1;
        *entry = (Some(held), NONE);
        if let Some(last) = self.entries.get_mut(list.tail as usize) {
            last.1 = place;
        } else {
            list.head = place;
        }
        list.tail = place;
        self.used += 1;
        true
    }

    /// The first of a list.
    pub(super) fn first(&self, list: &List) -> Option<&Held> {
        self.entries.get(list.head as usize).and_then(|entry| entry.0.as_ref())
    }

    /// Takes the first of a list.
    pub(super) fn pop(&mut self, list: &mut List) -> Option<Held> {
        let place = list.head;
        let entry = self.entries.get_mut(place as usize)?;
        let held = entry.0.take()?;
        list.head = core::mem::replace(&mut entry.1, self.free);
        if list.head == NONE {
            list.tail = NONE;
        }
        self.free = place;
        self.used -= 1;
        Some(held)
    }
}
