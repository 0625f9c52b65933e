//! What becomes of the packets of a channel's inputs until they leave.
//!
//! - A channel that passes datagrams on as they come, and has one input or is only to cut, keeps each input's in a delay line.
//! - Any other keeps all packets of all inputs in one aligner, which puts them in time, finds out how inputs stand to each other,
//!   and makes one sequence of those that are the same.

use super::joint::Joint;
use super::line::Line;
use super::packets::Packets;
use super::setup::{ChannelSetup, MAX_INPUTS, Pace};
use super::slots::{FRAME_SIZE, Slots};
use super::snapshot::InputSnapshot;
use crate::switch::align::Leaving;
use crate::switch::policy::Mode;
use crate::tr101290::Analyser;
use crate::units::Instant;

#[derive(Debug)]
pub(super) enum Flow {
    Lines(Vec<Line>),
    Joint(Box<Joint>),
}

impl Flow {
    pub(super) fn new(setup: &ChannelSetup) -> Self {
        let inputs = || setup.inputs.iter().take(MAX_INPUTS);
        if is_joint(setup) {
            Self::Joint(Box::new(Joint::new(setup)))
        } else {
            Self::Lines(inputs().map(|input| Line::new(setup.delay, input.capacity)).collect())
        }
    }

    /// The frames that a channel holds between reordering and the outbox.
    pub(super) fn frames(setup: &ChannelSetup) -> usize {
        let inputs = setup.inputs.iter().take(MAX_INPUTS);
        // a feed that leads waits for the others by as much again
        inputs.map(|input| input.capacity * if is_joint(setup) { 2 } else { 1 }).sum()
    }

    /// Packets of the input at `place`, whose frame is this one's from here.
    #[inline]
    pub(super) fn arrive(
        &mut self,
        place: usize,
        packets: Packets,
        frame: &[u8; FRAME_SIZE],
        at: Instant,
        analyser: &Analyser,
        slots: &mut Slots,
    ) {
        match self {
            Self::Lines(lines) => lines[place].arrive(packets, at, slots),
            Self::Joint(joint) => joint.arrive(place, packets, frame, at, analyser, slots),
        }
    }

    /// Packets of the input at `place` were lost before those that come next.
    pub(super) fn lost(&mut self, place: usize) {
        match self {
            Self::Lines(_) => {}
            Self::Joint(joint) => joint.lost(place),
        }
    }

    /// The next packet of the output that leaves by `now`. Its frame has one user more, who is the caller.
    #[inline]
    pub(super) fn next_due(&mut self, active: usize, now: Instant, slots: &mut Slots) -> Option<Leaving> {
        match self {
            Self::Lines(lines) => lines[active].next_due(now, slots, active),
            Self::Joint(joint) => joint.next_due(now, slots),
        }
    }

    /// Lets go of what should have left by `now` of an input that is not on air, and of what is of no use any more.
    #[inline]
    pub(super) fn expire(&mut self, place: usize, is_active: bool, now: Instant, slots: &mut Slots) {
        match self {
            Self::Lines(_) if is_active => {}
            Self::Lines(lines) => lines[place].expire(now, true, slots),
            Self::Joint(joint) => joint.expire(place, now, slots),
        }
    }

    /// When the next packet leaves.
    #[inline]
    pub(super) fn deadline(&self, active: Option<usize>) -> Instant {
        match self {
            Self::Lines(lines) => active.map_or(Instant::NEVER, |active| lines[active].deadline()),
            Self::Joint(joint) => joint.deadline(),
        }
    }

    /// When the next packet of those that wait leaves; never where none waits.
    #[inline]
    pub(super) fn next_leaves(&self, active: Option<usize>) -> Instant {
        match self {
            Self::Lines(_) => self.deadline(active),
            Self::Joint(joint) => joint.next_leaves(),
        }
    }

    /// From now on the input at `to` is on air. True if the output goes on with exactly the next packet.
    pub(super) fn follow(&mut self, to: usize, now: Instant, slots: &mut Slots) -> bool {
        match self {
            Self::Lines(lines) => {
                lines[to].expire(now, false, slots);
                false
            }
            Self::Joint(joint) => joint.follow(to, now, slots),
        }
    }

    /// Whether feeds were joined or parted since it was last asked.
    #[inline]
    pub(super) fn has_changed(&mut self) -> bool {
        match self {
            Self::Lines(_) => false,
            Self::Joint(joint) => joint.has_changed(),
        }
    }

    /// Packets that were left out because their sync byte was not 0x47.
    pub(super) fn unsynchronised(&self) -> u64 {
        match self {
            Self::Lines(_) => 0,
            Self::Joint(joint) => joint.unsynchronised,
        }
    }

    pub(super) fn fill(&self, place: usize, snapshot: &mut InputSnapshot, now: Instant) {
        match self {
            Self::Lines(lines) => (snapshot.hurried, snapshot.overrun) = lines[place].counts(),
            Self::Joint(joint) => joint.fill(place, snapshot, now),
        }
    }
}

/// Whether the inputs are held against each other, or their packets against their clocks.
fn is_joint(setup: &ChannelSetup) -> bool {
    let several = setup.inputs.len() > 1;
    let joins = match setup.mode {
        Mode::Auto | Mode::Merge | Mode::Splice => several,
        Mode::Cut => false,
    };
    joins || setup.pace == Pace::Pcr
}
