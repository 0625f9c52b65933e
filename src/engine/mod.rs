//! The parts put together: datagrams and times in, datagrams and events out.

mod event;
mod outbox;
mod setup;
mod slots;
mod snapshot;

pub use event::{Command, Event, InputState, Kind, Reason, Setting, Switch, What};
pub use outbox::{MAX_PACKETS, OutDatagram, Outbox, Piece, RTP_HEADER};
pub use setup::{ChannelSetup, GatherSetup, InputSetup, MAX_INPUTS, Setup};
pub use slots::{FRAME_SIZE, Frames, HeapFrames, Slot, Slots};
pub use snapshot::{ChannelSnapshot, InputSnapshot, Snapshot};

use crate::units::{InputId, Instant};

/// A pure state machine: it reads no clock, opens no socket, takes no lock and allocates nothing after [`Engine::new`].
#[derive(Debug)]
pub struct Engine {
    slots: Slots,
    outbox: Outbox,
}

impl Engine {
    /// An engine for `setup` at the time `now`.
    pub fn new(setup: &Setup, now: Instant) -> Self {
        let _ = (setup, now);
        Self { slots: Slots::new(0), outbox: Outbox::new(512) }
    }

    /// How many frames the arena must have for this engine: the driver makes it once, before the first datagram.
    pub fn frames_wanted(&self) -> usize {
        self.slots.len()
    }

    /// A free frame to receive into; none while all are in use.
    pub fn take_slot(&mut self) -> Option<Slot> {
        self.slots.take()
    }

    /// Gives back a frame from [`Engine::take_slot`] that received nothing.
    pub fn return_slot(&mut self, slot: Slot) {
        self.slots.release(slot);
    }

    /// A datagram of `len` bytes for `input`, received at `at` into `slot`, which the engine owns from here.
    /// Times may step back between inputs, by less than a round of the driver.
    pub fn datagram<F: Frames>(&mut self, frames: &mut F, input: InputId, slot: Slot, len: usize, at: Instant) {
        let _ = (frames, input, slot, len, at);
    }

    /// When [`Engine::advance`] has something to do, [`Instant::NEVER`] if only a datagram can change anything.
    pub fn deadline(&self) -> Instant {
        Instant::NEVER
    }

    /// Lets time pass until `now`: everything that falls due happens at its own time and in order. Where the outbox
    /// fills up it stops, and [`Engine::deadline`] stays in the past: send, then call it again.
    pub fn advance<F: Frames>(&mut self, frames: &mut F, now: Instant) {
        let _ = (frames, now);
    }

    /// Does what a person asked for, at `now`. False when it cannot be done: no such input or channel, or an input
    /// that is not available was to be taken.
    pub fn command<F: Frames>(&mut self, frames: &mut F, command: Command, now: Instant) -> bool {
        let _ = (frames, command, now);
        false
    }

    /// The output datagrams that are ready to be sent.
    pub fn ready(&self) -> &[OutDatagram] {
        self.outbox.ready()
    }

    /// The datagrams of [`Engine::ready`] were sent, or given up: their frames are free again.
    pub fn sent(&mut self) {
        self.outbox.clear(&mut self.slots);
    }

    /// The oldest event that was not yet told.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Copies the state into `snapshot`, which allocates only the first time.
    pub fn snapshot(&self, snapshot: &mut Snapshot) {
        let _ = snapshot;
    }
}
