//! PES headers whose times lie in more than one packet, kept from when they arrive until they leave: what the first bytes of a
//! time become hangs on the last, so that the first packet can be rewritten only where the second is there as well.

use std::collections::VecDeque;

use super::times::{FIXED, times_end};
use crate::switch::Handle;
use crate::ts::Packet;
use crate::ts::pes::Head;
use crate::units::Pid;

/// Headers that can be under way at a time. One more takes the place of another.
const BEGUN: usize = 4;
/// PIDs on which such a header can be leaving at a time.
const LEAVING: usize = 16;
/// Headers that are kept. One more takes the place of the oldest, which is then found by nobody and counted when it leaves.
const KEPT: usize = 64;

/// A header of which not all has arrived.
#[derive(Clone, Copy, Debug)]
struct Begun {
    feed: usize,
    pid: Pid,
    /// continuity_counter of its last packet.
    counter: u8,
    /// Its first packet, and a legal duplicate of that.
    first: [Option<Handle>; 2],
    head: Head,
}

impl Begun {
    /// Whether its times are there; none where there is no header with times.
    fn is_whole(&self) -> Option<bool> {
        let head = self.head.bytes();
        let Some(&fixed) = head.first_chunk() else { return Some(false) };
        let end = times_end(fixed);
        if end == FIXED { None } else { Some(head.len() >= end) }
    }
}

/// A header up to the end of its times, with what lies behind them.
type Header = [u8; Head::MAX];

/// The headers of all feeds.
#[derive(Debug)]
pub(super) struct Parted {
    begun: Vec<Begun>,
    /// Each with the place of its first packet.
    kept: VecDeque<(Handle, Header)>,
    /// Those whose first packet has left, by feed and PID.
    leaving: VecDeque<(usize, Pid, Header)>,
}

impl Parted {
    pub(super) fn new() -> Self {
        Self {
            begun: Vec::with_capacity(BEGUN),
            kept: VecDeque::with_capacity(KEPT),
            leaving: VecDeque::with_capacity(LEAVING),
        }
    }

    pub(super) const fn memory() -> usize {
        BEGUN * size_of::<Begun>() + KEPT * size_of::<(Handle, Header)>() + LEAVING * size_of::<(usize, Pid, Header)>()
    }

    /// Whether a packet begins or may go on with such a header.
    #[inline]
    pub(super) fn wants(&self, packet: Packet<'_>) -> bool {
        !self.begun.is_empty() || packet.payload_unit_start_indicator() && packet.payload().len() < Head::MAX
    }

    /// A packet that arrived.
    #[cold]
    pub(super) fn note(&mut self, feed: usize, handle: Handle, packet: Packet<'_>) {
        let (payload, counter, pid) = (packet.payload(), packet.continuity_counter(), packet.pid());
        if payload.is_empty() || packet.transport_error_indicator() || !packet.is_synchronised() {
            return;
        }
        let (start, is_scrambled) = (packet.payload_unit_start_indicator(), packet.is_scrambled());
        if let Some(place) = self.begun.iter().position(|begun| (begun.feed, begun.pid) == (feed, pid)) {
            let begun = &mut self.begun[place];
            if begun.counter == counter {
                // a duplicate, which leaves as well
                if start && begun.head.bytes().starts_with(payload) {
                    begun.first[1] = Some(handle);
                }
                return;
            }
            let mut begun = self.begun.swap_remove(place);
            if !start && !is_scrambled && begun.counter.wrapping_add(1) & 0x0F == counter {
                begun.counter = counter;
                begun.head.push(payload);
                self.go_on(begun);
                return;
            }
        }
        if start && !is_scrambled && payload.len() < Head::MAX {
            let begun = Begun { feed, pid, counter, first: [Some(handle), None], head: Head::new(payload) };
            // what is whole already needs nobody to keep it
            if begun.is_whole() == Some(false) {
                self.go_on(begun);
            }
        }
    }

    fn go_on(&mut self, begun: Begun) {
        match begun.is_whole() {
            Some(true) => {
                for first in begun.first.into_iter().flatten() {
                    if self.kept.len() == KEPT {
                        self.kept.pop_front();
                    }
                    self.kept.push_back((first, begun.head.padded()));
                }
            }
            Some(false) => {
                if self.begun.len() == BEGUN {
                    self.begun.remove(0);
                }
                self.begun.push(begun);
            }
            None => {}
        }
    }

    /// The header that begins with `payload` in the packet at `handle`, if it was parted and all of it arrived.
    #[cold]
    pub(super) fn find(&self, handle: Handle, payload: &[u8]) -> Option<Header> {
        let is_it = |kept: &&(Handle, Header)| kept.0 == handle && kept.1.starts_with(payload);
        self.kept.iter().rev().find(is_it).map(|kept| kept.1)
    }

    /// The same, of a packet that leaves.
    pub(super) fn begin(&mut self, feed: usize, pid: Pid, handle: Handle, payload: &[u8]) -> Option<Header> {
        self.leaving.retain(|leaving| (leaving.0, leaving.1) != (feed, pid));
        let header = self.find(handle, payload)?;
        if self.leaving.len() == LEAVING {
            self.leaving.pop_front();
        }
        self.leaving.push_back((feed, pid, header));
        Some(header)
    }

    /// The header that goes on in a packet that leaves, if its first packet was found.
    pub(super) fn leaving(&self, feed: usize, pid: Pid) -> Option<Header> {
        self.leaving.iter().find(|leaving| (leaving.0, leaving.1) == (feed, pid)).map(|leaving| leaving.2)
    }
}
