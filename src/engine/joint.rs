//! The inputs of a channel that are held against each other.

use core::mem::{Discriminant, discriminant};

use super::packets::{Packets, packet_at};
use super::setup::{ChannelSetup, MAX_INPUTS, Pace};
use super::slots::{FRAME_SIZE, Slot, Slots};
use super::snapshot::InputSnapshot;
use crate::switch::Handle;
use crate::switch::align::{self, Aligner, Kinship, Leaving, Relation};
use crate::switch::policy::Mode;
use crate::ts::Packet;
use crate::units::{Instant, Span};

/// Packets that leave by a clock do so at multiples of this, so that one wake serves several.
const GRID: i64 = 500_000;
/// How often it is looked how inputs stand to each other.
const LOOK: Span = Span::from_secs(1);
/// Packets in a datagram, most often.
const USUAL: usize = 7;

#[derive(Debug)]
pub(super) struct Joint {
    aligner: Aligner,
    paced: bool,
    /// What was last told of how each input stands to the one on air.
    told: [Option<Discriminant<Relation>>; MAX_INPUTS],
    look: Instant,
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
            pace: setup.pace == Pace::Pcr,
        });
        let paced = setup.pace == Pace::Pcr;
        Self { aligner, paced, told: [None; MAX_INPUTS], look: Instant::LONG_AGO }
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
        let due = self.aligner.deadline();
        if self.paced && due != Instant::NEVER {
            Instant::from_nanos(due.nanos().saturating_add(GRID - 1) / GRID * GRID)
        } else {
            due
        }
    }

    /// Packets of an input were lost before those that come next.
    pub(super) fn lost(&mut self, place: usize) {
        self.aligner.lost(place);
    }

    /// Looks at most once in [`LOOK`], or where feeds were joined or parted, how the inputs stand to the one on air: those of
    /// which that is another than was told.
    #[inline]
    pub(super) fn news(&mut self, now: Instant, tell: impl FnMut(usize, Kinship)) {
        let mut changed = self.look <= now;
        while self.aligner.poll_event().is_some() {
            changed = true;
        }
        if changed {
            self.look_around(now, tell);
        }
    }

    #[cold]
    fn look_around(&mut self, now: Instant, mut tell: impl FnMut(usize, Kinship)) {
        self.look = now + LOOK;
        for place in 0..MAX_INPUTS {
            let Some(kinship) = self.kinship(place, now).filter(|k| k.relation != Relation::Unknown) else { continue };
            let relation = Some(discriminant(&kinship.relation));
            if self.told[place] != relation {
                self.told[place] = relation;
                tell(place, kinship);
            }
        }
    }

    pub(super) fn follow(&mut self, to: usize, now: Instant, slots: &mut Slots) -> bool {
        self.aligner.follow(Some(to), now, |h| release(slots, h))
    }

    /// How an input stands to the one followed; none for that one.
    pub(super) fn kinship(&self, place: usize, now: Instant) -> Option<Kinship> {
        let lead = self.aligner.lead()?;
        (lead != place).then(|| self.aligner.kinship(place, now))
    }

    pub(super) fn unsynchronised(&self) -> u64 {
        (0..MAX_INPUTS).map(|place| self.aligner.counts(place).unsynchronised).sum()
    }

    pub(super) fn fill(&self, place: usize, snapshot: &mut InputSnapshot, now: Instant) {
        snapshot.merged = Some(self.aligner.counts(place));
        snapshot.kinship = self.kinship(place, now);
    }
}
