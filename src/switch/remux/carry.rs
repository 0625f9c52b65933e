//! What a PID's last packet began and its next goes on with: a PES header or a section that lies in several packets.

use super::splice::Sections;
use super::times::Head;

/// What is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Under {
    pub(super) head: Head,
    pub(super) sections: Sections,
}

/// That, kept so that a duplicate packet is rewritten as its first was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carry {
    /// continuity_counter of the last packet with payload.
    counter: Option<u8>,
    before: Under,
    now: Under,
}

impl Carry {
    /// What is under way when a packet with payload and this counter comes.
    pub(super) fn next(&mut self, counter: u8) -> &mut Under {
        match self.counter.replace(counter) {
            Some(last) if last == counter => self.now = self.before,
            Some(last) if last.wrapping_add(1) & 0x0F == counter => {}
            Some(_) | None => self.now = Under::default(),
        }
        self.before = self.now;
        &mut self.now
    }
}
