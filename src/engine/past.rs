//! What an input that is not on air brought lately, from which it may be entered.

use std::collections::VecDeque;

use super::slots::{Slot, Slots};
use crate::switch::Handle;
use crate::units::{Instant, Span};

#[derive(Debug)]
pub(super) struct Past {
    /// The number of the next packet of the input, whether it is kept or not.
    next: u64,
    packets: VecDeque<(Handle, Instant)>,
    capacity: usize,
    keep: Span,
}

impl Past {
    pub(super) fn new(capacity: usize, keep: Span) -> Self {
        Self { next: 0, packets: VecDeque::with_capacity(capacity), capacity, keep }
    }

    /// The number of the next packet.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// A packet came, and is kept: its frame has one user more, who is this.
    #[inline]
    pub(super) fn push(&mut self, handle: Handle, at: Instant, slots: &mut Slots) {
        self.next += 1;
        let before = at - self.keep;
        while self.packets.len() == self.capacity || self.packets.front().is_some_and(|(_, at)| *at < before) {
            let Some((old, _)) = self.packets.pop_front() else { break };
            slots.release(Slot(old.frame));
        }
        slots.share(Slot(handle.frame));
        self.packets.push_back((handle, at));
    }

    /// A packet came, and is not kept.
    #[inline]
    pub(super) fn skip(&mut self, slots: &mut Slots) {
        self.next += 1;
        if !self.packets.is_empty() {
            self.clear(slots);
        }
    }

    /// Lets go of what came too long before `now`.
    pub(super) fn expire(&mut self, now: Instant, slots: &mut Slots) {
        let before = now - self.keep;
        while self.packets.front().is_some_and(|(_, at)| *at < before) {
            if let Some((old, _)) = self.packets.pop_front() {
                slots.release(Slot(old.frame));
            }
        }
    }

    pub(super) fn clear(&mut self, slots: &mut Slots) {
        for (handle, _) in self.packets.drain(..) {
            slots.release(Slot(handle.frame));
        }
    }

    /// What is there from the packet of this number on; none where that one is not.
    pub(super) fn from(&self, number: u64) -> Option<impl Iterator<Item = (Handle, Instant)>> {
        let first = self.next - self.packets.len() as u64;
        let skip = usize::try_from(number.checked_sub(first)?).ok().filter(|skip| *skip < self.packets.len())?;
        Some(self.packets.iter().skip(skip).copied())
    }
}
