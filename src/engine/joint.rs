//! The inputs of a channel that are held against each other.

use super::packets::{Packets, packet_at};
use super::setup::{ChannelSetup, MAX_INPUTS};
use super::slots::{FRAME_SIZE, Slot, Slots};
use super::snapshot::InputSnapshot;
use crate::switch::Handle;
use crate::switch::align::{self, Aligner, Kinship, Leaving};
use crate::switch::policy::Mode;
use crate::ts::Packet;
use crate::units::Instant;

/// Packets in a datagram, most often.
const USUAL: usize = 7;

#[derive(Debug)]
pub(super) struct Joint {
    aligner: Aligner,
}

/// Lets go of a packet.
fn release(slots: &mut Slots, handle: Handle) {
    slots.release(Slot(handle.frame));
}

impl Joint {
    pub(super) fn new(setup: &ChannelSetup) -> Self {
        let most = setup.inputs.iter().map(|input| input.capacity).max().unwrap_or(0);
        let aligner = Aligner::new(&align::Settings {
            feeds: setup.inputs.len().min(MAX_INPUTS),
            window: setup.delay,
            capacity: most * USUAL * 2,
            merge: match setup.mode {
                Mode::Auto | Mode::Merge => true,
                Mode::Splice | Mode::Cut => false,
            },
        });
        Self { aligner }
    }

    #[inline]
    pub(super) fn arrive(
        &mut self,
        place: usize,
        packets: Packets,
        frame: &[u8; FRAME_SIZE],
        at: Instant,
        slots: &mut Slots,
    ) {
        let slot = packets.slot;
        slots.share_by(slot, u16::from(packets.count));
        for offset in packets.offsets() {
            let handle = Handle { frame: slot.0, offset };
            match packet_at(frame, offset) {
                Some(bytes) => self.aligner.packet(place, Packet::new(bytes), handle, at, |h| release(slots, h)),
                None => release(slots, handle),
            }
        }
        slots.release(slot);
    }

    pub(super) fn expire(&mut self, place: usize, now: Instant, slots: &mut Slots) {
        self.aligner.expire(place, now, |h| release(slots, h));
    }

    #[inline]
    pub(super) fn next_due(&mut self, now: Instant, slots: &mut Slots) -> Option<Leaving> {
        self.aligner.next_due(now, |h| release(slots, h))
    }

    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        self.aligner.deadline()
    }

    pub(super) fn follow(&mut self, to: usize, now: Instant, slots: &mut Slots) -> bool {
        self.aligner.follow(Some(to), now, |h| release(slots, h))
    }

    /// How an input stands to the one followed; none for that one.
    pub(super) fn kinship(&self, place: usize, now: Instant) -> Option<Kinship> {
        let lead = self.aligner.lead()?;
        (lead != place).then(|| self.aligner.kinship(place, now))
    }

    pub(super) fn fill(&self, place: usize, snapshot: &mut InputSnapshot, now: Instant) {
        snapshot.merged = Some(self.aligner.counts(place));
        snapshot.kinship = self.kinship(place, now);
    }
}
