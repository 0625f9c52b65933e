//! One channel: the choice of its input, the cut, and the datagrams it makes.

use core::ops::Range;

use super::event::{Event, InputState, Kind, Switch, What};
use super::flow::Flow;
use super::gather::Gather;
use super::outbox::Outbox;
use super::packets::{Packets, packet_at};
use super::path::Path;
use super::room::{Arena, Room};
use super::setup::{ChannelSetup, MAX_INPUTS};
use super::slots::{FRAME_SIZE, Frames, Slot, Slots};
use super::snapshot::ChannelSnapshot;
use crate::health::{Change, Criterion, CriterionSet};
use crate::switch::Handle;
use crate::switch::align::Leaving;
use crate::switch::policy::{Candidate, Chooser, Decision, Why};
use crate::switch::remux::{self, Pcr, Remux, Sent};
use crate::ts::{Outline, Packet};
use crate::units::{ChannelId, InputId, Instant};

use super::Events;

/// Packets that can be made at once: the tables of as many programs as are known.
const MADE_AT_ONCE: usize = 128;

/// A switch that was decided and whose first packet has not left yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    from: Option<InputId>,
    why: Why,
    kind: Kind,
    decided: Instant,
}

#[derive(Debug)]
pub(super) struct Channel {
    id: ChannelId,
    /// The places of its inputs among those of the engine.
    pub(super) inputs: Range<usize>,
    pub(super) chooser: Chooser,
    remux: Remux,
    room: Room,
    /// Packets that were made, on their way into datagrams.
    made: Vec<(Handle, Outline)>,
    /// The input whose packets are sent, or that of those that are the same which was followed first.
    side: usize,
    /// What its times are moved by, in 27 MHz ticks.
    offset: i64,
    pub(super) flow: Flow,
    pub(super) gather: Gather,
    pending: Option<Pending>,
    muted: bool,
    switches: u64,
    packets: u64,
    unsynchronised: u64,
    last_packet: Option<Instant>,
}

impl Channel {
    pub(super) fn new(setup: &ChannelSetup, id: ChannelId, inputs: Range<usize>, now: Instant) -> Self {
        Self {
            id,
            inputs,
            chooser: Chooser::new(&setup.policy, u64::from(setup.gather.ssrc), now),
            remux: Remux::new(&remux::Settings { feeds: setup.inputs.len(), clock: setup.clock }),
            room: Room::default(),
            made: Vec::with_capacity(MADE_AT_ONCE),
            side: 0,
            offset: 0,
            flow: Flow::new(setup),
            gather: Gather::new(&setup.gather, id),
            pending: None,
            muted: false,
            switches: 0,
            packets: 0,
            unsynchronised: 0,
            last_packet: None,
        }
    }

    /// The place of the input on air among those of the engine.
    #[inline]
    pub(super) fn active(&self) -> Option<usize> {
        self.chooser.active().map(|i| self.inputs.start + i)
    }

    fn input(&self, place: usize) -> InputId {
        InputId(u16::try_from(self.inputs.start + place).unwrap_or(u16::MAX))
    }

    fn event(&self, at: Instant, what: What, events: &mut Events) {
        events.push(Event { at, channel: self.id, what });
    }

    /// Packets of the input at `place`, whose frame is the channel's from here.
    #[inline]
    pub(super) fn arrive(
        &mut self,
        place: usize,
        packets: Packets,
        frame: &[u8; FRAME_SIZE],
        at: Instant,
        slots: &mut Slots,
    ) {
        for bytes in packets.offsets().filter_map(|offset| packet_at(frame, offset)) {
            self.remux.watch(place, Packet::new(bytes));
        }
        self.flow.arrive(place, packets, frame, at, slots);
    }

    /// When something leaves though nothing comes.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        self.gather.deadline().min(self.flow.deadline(self.chooser.active()))
    }

    /// Tells what changed in the inputs' health and decides what follows from it.
    pub(super) fn settle(&mut self, at: Instant, paths: &mut [Path], slots: &mut Slots, events: &mut Events) {
        let mut candidates = [Candidate {
            priority: 0,
            enabled: false,
            started: false,
            flowing: false,
            raised: CriterionSet::EMPTY,
            since: at,
        }; MAX_INPUTS];
        for (place, (path, candidate)) in paths[self.inputs.clone()].iter_mut().zip(&mut candidates).enumerate() {
            let input = self.input(place);
            if core::mem::take(&mut path.arrived) {
                self.event(at, What::Arrived { input }, events);
            }
            for change in path.take_changes() {
                let what = match change {
                    Change::Raised(criterion, value) => {
                        path.silent |= criterion == Criterion::InputLoss;
                        What::Raised { input, criterion, value }
                    }
                    Change::Cleared(criterion) => What::Cleared { input, criterion },
                };
                self.event(at, what, events);
            }
            *candidate = path.candidate();
        }
        let before = self.chooser.active();
        let decision = self.chooser.decide(at, &candidates[..self.inputs.len()]);
        if let Some(decision) = decision {
            self.begin(decision, before, at, slots);
        }
        let muted = self.chooser.is_muted(at);
        if muted != self.muted {
            self.muted = muted;
            // what was not sent is no loss to be shown in the counters
            self.remux.enter(self.side, self.offset);
            self.event(at, if muted { What::Muted } else { What::Unmuted }, events);
        }
    }

    fn begin(&mut self, to: Decision, from: Option<usize>, at: Instant, slots: &mut Slots) {
        let seamless = self.flow.follow(to.to, at, slots);
        // a switch that another overtook before its first packet left never was one
        let (from, kind) = match self.pending {
            Some(pending) => (pending.from, pending.kind),
            None => (from.map(|place| self.input(place)), Kind::Identical),
        };
        let kind = if seamless { kind } else { Kind::Cut };
        self.pending = Some(Pending { from, why: to.why, kind, decided: at });
        self.side = to.to;
        if !seamless {
            self.offset = 0;
        }
        self.remux.enter(self.side, self.offset);
    }

    /// Sends what is due at `now` of the input on air, as far as the outbox has room.
    #[inline]
    pub(super) fn release<F: Frames>(
        &mut self,
        now: Instant,
        frames: &mut F,
        paths: &mut [Path],
        slots: &mut Slots,
        outbox: &mut Outbox,
        events: &mut Events,
    ) {
        let Some(active) = self.chooser.active() else { return };
        let (id, first) = (self.id, self.inputs.start);
        self.flow.news(now, |place, kinship| {
            let input = InputId(u16::try_from(first + place).unwrap_or(u16::MAX));
            events.push(Event { at: now, channel: id, what: What::Kinship { input, kinship } });
        });
        while outbox.has_room() {
            let Some(leaving) = self.flow.next_due(active, now, slots) else { return };
            if self.muted {
                slots.release(Slot(leaving.handle.frame));
            } else {
                self.send(leaving, now, frames, paths, slots, outbox, events);
            }
        }
    }

    #[inline]
    #[allow(clippy::too_many_arguments, reason = "the parts of an engine")]
    fn send<F: Frames>(
        &mut self,
        leaving: Leaving,
        now: Instant,
        frames: &mut F,
        paths: &[Path],
        slots: &mut Slots,
        outbox: &mut Outbox,
        events: &mut Events,
    ) {
        let Leaving { handle, outline, .. } = leaving;
        if !outline.is_synchronised() {
            self.unsynchronised += 1;
            slots.release(Slot(handle.frame));
            return;
        }
        if self.pending.is_some() {
            self.complete(now, paths, events);
        }
        if self.remux.passes(self.side, outline) {
            self.put(handle, now, slots, outbox);
            return;
        }
        let mut arena = Arena { frames, slots, room: &mut self.room };
        let made = &mut self.made;
        let sent = self.remux.packet(self.side, handle, outline, Pcr::Keep, &mut arena, &mut |handle, outline| {
            made.push((handle, outline));
        });
        for at in 0..self.made.len() {
            self.put(self.made[at].0, now, slots, outbox);
        }
        self.made.clear();
        match sent {
            Sent::Packet => self.put(handle, now, slots, outbox),
            Sent::Nothing => slots.release(Slot(handle.frame)),
        }
        while let Some(step) = self.remux.poll_step() {
            let what = What::ClockStep { input: self.input(self.side), pid: step.pid, ticks: step.ticks };
            self.event(now, what, events);
        }
    }

    /// A packet goes into a datagram.
    #[inline]
    fn put(&mut self, handle: Handle, now: Instant, slots: &mut Slots, outbox: &mut Outbox) {
        let slot = Slot(handle.frame);
        self.gather.push(slot, handle.offset, now, slots, outbox);
        slots.release(slot);
        self.packets += 1;
        self.last_packet = Some(now);
    }

    /// The first packet of the new input leaves: now it is known what the switch cost.
    #[cold]
    fn complete(&mut self, now: Instant, paths: &[Path], events: &mut Events) {
        let (Some(pending), Some(place)) = (self.pending.take(), self.chooser.active()) else { return };
        let to = self.input(place);
        if pending.from == Some(to) {
            return;
        }
        self.switches += 1;
        let seamless = pending.kind == Kind::Identical;
        let mut states = [None; MAX_INPUTS];
        for (place, state) in (0..self.inputs.len()).zip(&mut states) {
            *state = Some(self.state(place, paths));
        }
        let switch = Switch {
            from: pending.from,
            to,
            reason: pending.why,
            kind: pending.kind,
            planned: pending.why.is_planned(),
            decided: pending.decided,
            lost: seamless.then_some(0),
            repeated: seamless.then_some(0),
            gap: now.since(self.last_packet.unwrap_or(now)),
            states,
        };
        self.event(now, What::Switch(switch), events);
    }

    /// What the input at `place` is to the channel.
    pub(super) fn state(&self, place: usize, paths: &[Path]) -> InputState {
        let candidate = paths[self.inputs.start + place].candidate();
        if self.chooser.active() == Some(place) {
            InputState::Active
        } else if !candidate.enabled {
            InputState::Disabled
        } else if candidate.raised.is_empty() && candidate.started {
            InputState::Hot
        } else {
            InputState::Unhealthy
        }
    }

    pub(super) fn fill(&self, snapshot: &mut ChannelSnapshot) {
        *snapshot = ChannelSnapshot {
            active: self.chooser.active().map(|i| self.input(i)),
            taken: self.chooser.taken().map(|i| self.input(i)),
            held: self.chooser.held().map(|i| self.input(i)),
            muted: self.muted,
            switches: self.switches,
            packets: self.packets,
            datagrams: self.gather.datagrams(),
            unsynchronised: self.unsynchronised + self.flow.unsynchronised(),
            last_packet: self.last_packet,
        };
    }
}
