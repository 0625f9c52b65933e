//! The inputs of a channel that are held against each other.
//!
//! One aligner, a deck, makes the output. For a splice the other is begun with the input that is taken: for as long as that lasts both
//! run, and then the first is emptied.

use core::mem::{Discriminant, discriminant};

use super::packets::{Packets, packet_at};
use super::past::Past;
use super::setup::{ChannelSetup, Entry, MAX_INPUTS, Pace};
use super::slots::{FRAME_SIZE, Frames, Slot, Slots};
use super::snapshot::InputSnapshot;
use super::transition::give_back;
use crate::switch::Handle;
use crate::switch::align::{self, Aligner, Kinship, Leaving, Relation};
use crate::switch::policy::Mode;
use crate::switch::splice::{self, GRACE, Plan, Splicer};
use crate::tr101290::Analyser;
use crate::ts::Packet;
use crate::units::{Instant, Span};

/// Packets that leave by a clock do so at multiples of this, so that one wake serves several.
const GRID: i64 = 500_000;
/// Packets in a datagram, most often.
const USUAL: usize = 7;
/// How long the last random access point of an input is kept for a cut that enters there.
const CACHED: Span = Span::from_secs(3);

#[derive(Debug)]
pub(super) struct Joint {
    decks: [Aligner; 2],
    /// The deck that makes the output.
    on: usize,
    /// The other is begun.
    both: bool,
    /// And the output goes on with its packets.
    pub(super) entered: bool,
    pub(super) unsynchronised: u64,
    paced: bool,
    /// What inputs brought that are not on air; nobody where it is never asked for.
    pasts: Vec<Past>,
    pub(super) splicer: Option<Box<Splicer>>,
    /// The structure of each input that the splicer knows.
    revisions: [Option<u32>; MAX_INPUTS],
    /// The input that was left last, and how it stood to the one on air.
    left: Option<(usize, splice::Kind)>,
    /// What was last told of how each input stands to the one on air.
    told: [Option<Discriminant<Relation>>; MAX_INPUTS],
    /// What makes the output is another.
    changed: bool,
}

/// Lets go of a packet.
fn release(slots: &mut Slots, handle: Handle) {
    slots.release(Slot(handle.frame));
}

impl Joint {
    pub(super) fn new(setup: &ChannelSetup) -> Self {
        let most = setup.inputs.iter().map(|input| input.capacity).max().unwrap_or(0);
        let (feeds, capacity) = (setup.inputs.len().min(MAX_INPUTS), most * USUAL * 2);
        let paced = setup.pace == Pace::Pcr;
        let settings = align::Settings {
            feeds,
            window: setup.delay,
            capacity,
            merge: match setup.mode {
                Mode::Auto | Mode::Merge => true,
                Mode::Splice | Mode::Cut => false,
            },
            pace: paced,
        };
        let splices = feeds > 1 && setup.mode != Mode::Cut;
        let other = if splices { settings } else { align::Settings { capacity: 0, feeds: 1, ..settings } };
        let cached = match setup.entry {
            Entry::Next => Span::ZERO,
            Entry::Cached => CACHED,
        };
        let keep = Span::from_nanos(setup.delay.nanos() + 2 * GRACE.nanos() + cached.nanos());
        let splicer = || {
            let window = setup.delay;
            let slates = usize::from(setup.slate.is_some());
            Box::new(Splicer::new(&splice::Settings { feeds: feeds + slates, window, entry: setup.entry, capacity }))
        };
        Self {
            decks: [Aligner::new(&settings), Aligner::new(&other)],
            on: 0,
            both: false,
            entered: false,
            unsynchronised: 0,
            paced,
            pasts: (0..if splices { feeds } else { 0 }).map(|_| Past::new(capacity, keep)).collect(),
            splicer: splices.then(splicer),
            revisions: [None; MAX_INPUTS],
            left: None,
            told: [None; MAX_INPUTS],
            changed: false,
        }
    }

    /// The deck that makes the output, and the other.
    const fn decks(&mut self) -> (&mut Aligner, &mut Aligner) {
        let [first, second] = &mut self.decks;
        if self.on == 0 { (first, second) } else { (second, first) }
    }

    pub(super) const fn deck(&self) -> &Aligner {
        &self.decks[self.on & 1]
    }

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
        let slot = packets.slot;
        if self.splicer.is_some() && self.revisions[place] != Some(analyser.revision()) {
            self.restructure(place, analyser, slots);
        }
        let keeps = !self.pasts.is_empty() && !self.deck().is_merged(place);
        for (offset, ordinal) in packets.offsets().zip(packets.ordinals()) {
            let handle = Handle { frame: slot.0, offset };
            let Some(bytes) = packet_at(frame, offset) else { continue };
            let packet = Packet::new(bytes);
            if !packet.is_synchronised() {
                self.unsynchronised += 1;
                continue;
            }
            let both = self.both;
            let (deck, other) = self.decks();
            slots.share(slot);
            deck.packet(place, packet, ordinal, handle, at, |h| release(slots, h));
            if both {
                slots.share(slot);
                other.packet(place, packet, ordinal, handle, at, |h| release(slots, h));
            }
            let Some(past) = self.pasts.get_mut(place) else { continue };
            let number = past.next();
            if keeps {
                past.push(handle, at, slots);
            } else {
                past.skip(slots);
            }
            let at = self.deck().time(place).unwrap_or(at);
            if let Some(splicer) = &mut self.splicer {
                splicer.watch(place, number, at, packet);
            }
        }
        slots.release(slot);
    }

    #[cold]
    fn restructure(&mut self, place: usize, analyser: &Analyser, slots: &mut Slots) {
        self.revisions[place] = Some(analyser.revision());
        if let Some(splicer) = &mut self.splicer {
            splicer.structure(place, analyser.programs(), analyser.streams(), |out| give_back(slots, out));
        }
    }

    pub(super) fn expire(&mut self, place: usize, now: Instant, slots: &mut Slots) {
        let both = self.both;
        let (deck, other) = self.decks();
        deck.expire(place, now, |h| release(slots, h));
        if both {
            other.expire(place, now, |h| release(slots, h));
        }
        if let Some(past) = self.pasts.get_mut(place) {
            past.expire(now, slots);
        }
    }

    /// The next packet that leaves by `now`.
    #[inline]
    pub(super) fn next_due(&mut self, now: Instant, slots: &mut Slots) -> Option<Leaving> {
        self.decks().0.next_due(now, |h| release(slots, h))
    }

    /// The same of the input that is taken.
    pub(super) fn next_of_new(&mut self, now: Instant, slots: &mut Slots) -> Option<Leaving> {
        self.decks().1.next_due(now, |h| release(slots, h))
    }

    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        let mut due = self.deck().deadline();
        if self.both {
            due = due.min(self.decks[(1 - self.on) & 1].deadline());
        }
        if self.paced && due != Instant::NEVER {
            due = Instant::from_nanos(due.nanos().saturating_add(GRID - 1) / GRID * GRID);
        }
        self.splicer.as_ref().map_or(due, |splicer| due.min(splicer.deadline()))
    }

    /// When the next packet of the output leaves, of those that wait. Where that is the first of an input that is entered, the time up
    /// to it is no pause of the stream's own, and nothing is known of it.
    #[inline]
    pub(super) fn next_leaves(&self) -> Instant {
        if self.both && !self.entered && self.splicer.as_ref().is_some_and(|splicer| splicer.is_led_by_new()) {
            return Instant::NEVER;
        }
        self.decks[usize::from(self.both && self.entered) ^ self.on & 1].deadline()
    }

    /// Packets of an input were lost before those that come next.
    pub(super) fn lost(&mut self, place: usize) {
        self.decks.iter_mut().for_each(|deck| deck.lost(place));
    }

    /// Whether feeds were joined or parted since it was last asked.
    #[inline]
    pub(super) fn has_changed(&mut self) -> bool {
        let mut changed = core::mem::take(&mut self.changed);
        while self.decks().0.poll_event().is_some() {
            changed = true;
        }
        changed
    }

    /// How an input stands to the one on air, where that is another than was told.
    pub(super) fn news_of(&mut self, place: usize, now: Instant) -> Option<Kinship> {
        let kinship = self.kinship(place, now).filter(|kinship| kinship.relation != Relation::Unknown)?;
        let relation = Some(discriminant(&kinship.relation));
        (core::mem::replace(&mut self.told[place], relation) != relation).then_some(kinship)
    }

    /// From now on the output is that of an input. True if it goes on with exactly the next packet.
    pub(super) fn follow(&mut self, to: usize, now: Instant, slots: &mut Slots) -> bool {
        self.decks().0.follow(Some(to), now, |h| release(slots, h))
    }

    /// Nothing is sent of any input: all are kept, so that one can be entered.
    pub(super) fn rest(&mut self, now: Instant, slots: &mut Slots) {
        self.decks().0.follow(None, now, |h| release(slots, h));
    }

    /// Begins the other deck with what is there of the input that is taken. False where its first packet is not.
    pub(super) fn begin<F: Frames>(&mut self, plan: &Plan, frames: &F, now: Instant, slots: &mut Slots) -> bool {
        let [first, second] = &mut self.decks;
        let (deck, other) = if self.on == 0 { (first, second) } else { (second, first) };
        let Some(past) = self.pasts.get(plan.to).and_then(|past| past.from(plan.first)) else { return false };
        other.begin(plan.to, plan.extra, deck, now);
        for (handle, at) in past {
            let Some(bytes) = packet_at(frames.frame(Slot(handle.frame)), handle.offset) else { continue };
            slots.share(Slot(handle.frame));
            other.packet(plan.to, Packet::new(bytes), None, handle, at, |h| release(slots, h));
        }
        (self.both, self.entered) = (true, false);
        true
    }

    /// The input that was taken is not entered: what was begun with it is let go.
    pub(super) fn abandon(&mut self, slots: &mut Slots) {
        self.decks().1.clear(|h| release(slots, h));
        self.both = false;
    }

    /// The other deck makes the output from here; what waits in the first is let go.
    pub(super) fn change(&mut self, left: usize, kind: splice::Kind, slots: &mut Slots) {
        // how the two stand to each other is learnt anew, and does not change by that
        self.left = Some((left, kind));
        self.decks().0.clear(|h| release(slots, h));
        self.on = 1 - self.on;
        self.both = false;
        self.changed = true;
    }

    /// How an input stood to the one on air when it was left; none of any but the last.
    pub(super) fn kind_of(&self, place: usize) -> Option<splice::Kind> {
        self.left.filter(|(left, _)| *left == place).map(|(_, kind)| kind)
    }

    /// How an input stands to the one followed; none for that one.
    pub(super) fn kinship(&self, place: usize, now: Instant) -> Option<Kinship> {
        let lead = self.deck().lead()?;
        (lead != place).then(|| self.deck().kinship(place, now))
    }

    pub(super) fn fill(&self, place: usize, snapshot: &mut InputSnapshot, now: Instant) {
        snapshot.merged = Some(self.deck().counts(place));
        snapshot.kinship = self.kinship(place, now);
    }
}
