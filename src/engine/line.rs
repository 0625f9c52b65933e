//! The delay line of one input: each datagram waits, and leaves whole.

use std::collections::VecDeque;

use super::packets::Packets;
use super::slots::Slots;
use crate::switch::Handle;
use crate::switch::align::Leaving;
use crate::units::{Instant, Span};

#[derive(Clone, Copy, Debug)]
struct Waiting {
    packets: Packets,
    due: Instant,
}

#[derive(Debug)]
pub(super) struct Line {
    delay: Span,
    capacity: usize,
    waiting: VecDeque<Waiting>,
    /// The datagram that leaves, and how many of its packets have.
    leaving: Option<(Packets, u8)>,
    hurried: u64,
    overrun: u64,
}

impl Line {
    pub(super) fn new(delay: Span, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { delay, capacity, waiting: VecDeque::with_capacity(capacity), leaving: None, hurried: 0, overrun: 0 }
    }

    #[inline]
    pub(super) fn arrive(&mut self, packets: Packets, at: Instant, slots: &mut Slots) {
        if self.waiting.len() == self.capacity
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.overrun += 1;
            slots.release(oldest.packets.slot);
        }
        self.waiting.push_back(Waiting { packets, due: at + self.delay });
    }

    /// The next packet that leaves at `now`; those of a full line leave before their time.
    #[inline]
    pub(super) fn next_due(&mut self, now: Instant, slots: &mut Slots, feed: usize) -> Option<Leaving> {
        if self.leaving.is_none() {
            let waiting = self.waiting.front()?;
            let full = self.waiting.len() >= self.capacity;
            if waiting.due > now && !full {
                return None;
            }
            self.hurried += u64::from(waiting.due > now);
            self.leaving = self.waiting.pop_front().map(|w| (w.packets, 0));
        }
        let (packets, gone) = self.leaving.as_mut()?;
        let (offset, outline) = packets.outline(*gone);
        *gone += 1;
        let slot = packets.slot;
        if *gone >= packets.count {
            self.leaving = None;
        } else {
            slots.share(slot);
        }
        Some(Leaving { handle: Handle { frame: slot.0, offset }, outline, feed, alone: false })
    }

    /// Lets go of what should have left before `now`, or by then where `inclusive`.
    #[inline]
    pub(super) fn expire(&mut self, now: Instant, inclusive: bool, slots: &mut Slots) {
        if let Some((packets, _)) = self.leaving.take() {
            slots.release(packets.slot);
        }
        while let Some(waiting) = self.waiting.front().filter(|w| w.due < now || inclusive && w.due == now) {
            slots.release(waiting.packets.slot);
            self.waiting.pop_front();
        }
    }

    /// When the next packet leaves, were this the input on air.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        if self.leaving.is_some() {
            return Instant::LONG_AGO;
        }
        self.waiting.front().map_or(Instant::NEVER, |w| w.due)
    }

    /// Datagrams that left before their time, and those dropped for want of room.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.hurried, self.overrun)
    }
}
