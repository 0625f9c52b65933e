//! One channel: the choice of its input, and what is told of it.

use core::ops::Range;

use super::event::{Cost, Event, InputState, Kind, Switch, What};
use super::flow::Flow;
use super::forecast::Outlook;
use super::output::Output;
use super::packets::{Packets, packet_at};
use super::path::Path;
use super::setup::{ChannelSetup, ClockPolicy, MAX_INPUTS};
use super::slots::{FRAME_SIZE, Slots};
use super::snapshot::ChannelSnapshot;
use super::transition::{SAID, Stage};
use crate::health::{Change, Criterion, CriterionSet};
use crate::switch::Handle;
use crate::switch::policy::{Candidate, Chooser, LossAction, Standby, Why};
use crate::switch::splice::{self, Out};
use crate::tr101290::Analyser;
use crate::ts::Packet;
use crate::units::{ChannelId, InputId, Instant, Span, Ticks27M};

use super::Events;

/// A switch that was decided and whose first packet has not left yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) why: Why,
    pub(super) kind: Kind,
    pub(super) decided: Instant,
    pub(super) fallback: Option<splice::Why>,
}

impl Pending {
    /// One that costs nothing, as long as nothing else is known of it.
    pub(super) const fn new(why: Why, decided: Instant) -> Self {
        Self { why, kind: Kind::Identical, decided, fallback: None }
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    /// The places of its inputs among those of the engine.
    pub(super) inputs: Range<usize>,
    pub(super) chooser: Chooser,
    pub(super) flow: Flow,
    pub(super) output: Output,
    /// The input whose packets are sent, or that of those that are the same which was followed last.
    pub(super) side: usize,
    /// What its times are moved by, in 27 MHz ticks, and how much later than due it leaves, in nanoseconds.
    pub(super) offset: i64,
    pub(super) extra: i64,
    pub(super) stage: Stage,
    /// The switch to another input than the one that a transition goes to, which is begun when that has ended.
    pub(super) next: Option<Pending>,
    /// What the splicer said, until it is done.
    pub(super) said: Vec<Out>,
    /// The first PCR's PID of each input, its last value, and when that came.
    pub(super) clocks: [Option<(Ticks27M, Instant)>; MAX_INPUTS],
    delay: Span,
    pub(super) clock: ClockPolicy,
    pub(super) pending: Option<Pending>,
    /// Where the last switch that was told went.
    on_air: Option<InputId>,
    /// What is sent in place of an input.
    pub(super) loss: Option<LossAction>,
    pub(super) outlook: Outlook,
    /// It was told that no input is healthy.
    lacks: bool,
    switches: u64,
}

impl Channel {
    pub(super) fn new(setup: &ChannelSetup, id: ChannelId, inputs: Range<usize>, now: Instant) -> Self {
        let mut output = Output::new(setup, id, inputs.start);
        let mut flow = Flow::new(setup);
        if let (Some(slate), Flow::Joint(joint)) = (&mut output.slate, &mut flow)
            && let Some(splicer) = joint.splicer.as_deref_mut()
        {
            slate.introduce(splicer);
        }
        Self {
            id,
            chooser: Chooser::new(&setup.policy, u64::from(setup.gather.ssrc), now),
            flow,
            output,
            inputs,
            side: 0,
            offset: 0,
            extra: 0,
            stage: Stage::Steady,
            next: None,
            said: Vec::with_capacity(SAID),
            clocks: [None; MAX_INPUTS],
            delay: setup.delay,
            clock: setup.clock,
            pending: None,
            on_air: None,
            loss: None,
            outlook: Outlook::NEW,
            lacks: false,
            switches: 0,
        }
    }

    pub(super) fn input(&self, place: usize) -> InputId {
        self.output.input(place)
    }

    pub(super) fn event(&self, at: Instant, what: What, events: &mut Events) {
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
        analyser: &Analyser,
        slots: &mut Slots,
    ) {
        for offset in packets.offsets() {
            let Some(bytes) = packet_at(frame, offset) else { continue };
            let packet = Packet::new(bytes);
            self.output.remux.watch(place, packet);
            self.output.remux.note(place, Handle { frame: packets.slot.0, offset }, packet);
            if packet.has_pcr()
                && let Some(pcr) = packet.pcr().filter(|_| !packet.transport_error_indicator())
                && analyser.programs().first().is_none_or(|program| program.pcr_pid == Some(packet.pid()))
            {
                self.clocks[place] = Some((pcr, at));
            }
        }
        self.flow.arrive(place, packets, frame, at, analyser, slots);
    }

    /// The PCR of the packets of an input that are due at a time.
    pub(super) fn clock_of(&self, place: usize, at: Instant) -> Option<Ticks27M> {
        let (pcr, came) = self.clocks[place]?;
        let ns = at.nanos().saturating_sub(self.delay.nanos()).saturating_sub(came.nanos());
        Some(pcr.later(ns.saturating_mul(27) / 1000))
    }

    /// Lets go of what an input brought too long ago to be of use.
    #[inline]
    pub(super) fn expire(&mut self, place: usize, now: Instant, slots: &mut Slots) {
        self.flow.expire(place, self.chooser.active() == Some(place), now, slots);
    }

    /// When something leaves though nothing comes.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        let active = self.chooser.active();
        self.output.deadline(self.flow.next_leaves(active)).min(self.flow.deadline(active)).min(self.stage.deadline())
    }

    /// Tells what changed in an input's health.
    fn tell_changes(&self, place: usize, path: &mut Path, at: Instant, events: &mut Events) {
        let input = self.input(place);
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
    }

    /// Tells what changed in the inputs' health and decides what follows from it. True where that woke an input or let one go.
    pub(super) fn settle(&mut self, at: Instant, paths: &mut [Path], slots: &mut Slots, events: &mut Events) -> bool {
        let mut candidates = [Candidate {
            priority: 0,
            enabled: false,
            started: false,
            flowing: false,
            raised: CriterionSet::EMPTY,
            since: at,
            standby: Standby::Hot,
            in_use: false,
        }; MAX_INPUTS];
        for (place, (path, candidate)) in paths[self.inputs.clone()].iter_mut().zip(&mut candidates).enumerate() {
            let input = self.input(place);
            if core::mem::take(&mut path.arrived) {
                self.event(at, What::Arrived { input }, events);
            }
            self.tell_changes(place, path, at, events);
            *candidate = Candidate { in_use: self.uses(place), ..path.candidate() };
        }
        if let Some(decision) = self.chooser.decide(at, &candidates[..self.inputs.len()]) {
            self.begin(decision, at, paths, slots, events);
        }
        let loss = self.chooser.loss(at);
        if loss != self.loss {
            self.change_loss(loss, at, paths, slots, events);
        }
        // what takes its place is told as that
        let (lacked, lacks) = (self.lacks, self.chooser.lacks_healthy(at));
        self.lacks = lacks && self.loss.is_none();
        if self.lacks && !lacked {
            self.event(at, What::NoneHealthy, events);
        } else if lacked && !lacks {
            self.event(at, What::SomeHealthy, events);
        }
        if let Some(input) = self.chooser.missed().map(|place| self.input(place)) {
            self.event(at, What::NotTaken { input }, events);
        }
        let mut woken = false;
        for (place, path) in paths[self.inputs.clone()].iter_mut().enumerate() {
            if path.standby == Standby::Hot || path.is_awake() == self.chooser.is_awake(place) {
                continue;
            }
            woken = true;
            let input = self.input(place);
            let what = if path.is_awake() {
                path.rest(at, slots);
                self.tell_changes(place, path, at, events);
                What::NotNeeded { input }
            } else {
                path.wake(at);
                What::Needed { input }
            };
            self.event(at, what, events);
        }
        woken
    }

    /// Whether packets of an input go out, or are about to.
    fn uses(&self, place: usize) -> bool {
        let goes_to = match self.stage {
            Stage::Steady => None,
            Stage::Seeking { to, .. } => Some(to),
            Stage::Running { plan, .. } => Some(plan.to),
        };
        self.on_air.is_some() && self.side == place || goes_to == Some(place)
    }

    /// The switch is made to the input at `place`, and it is known what it cost.
    #[cold]
    pub(super) fn complete(
        &mut self,
        place: usize,
        now: Instant,
        gap: Span,
        cost: Option<Cost>,
        paths: &[Path],
        events: &mut Events,
    ) {
        let Some(pending) = self.pending.take() else { return };
        let to = self.input(place);
        let from = self.on_air.replace(to);
        if from == Some(to) {
            return;
        }
        self.switches += 1;
        let seamless = pending.kind == Kind::Identical;
        let mut states = [None; MAX_INPUTS];
        for (place, state) in (0..self.inputs.len()).zip(&mut states) {
            *state = Some(self.state(place, paths));
        }
        let switch = Switch {
            from,
            to,
            reason: pending.why,
            kind: pending.kind,
            planned: pending.why.is_planned(),
            decided: pending.decided,
            lost: seamless.then_some(0),
            repeated: seamless.then_some(0),
            cost,
            fallback: pending.fallback,
            gap,
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
        } else if candidate.raised.is_empty() && candidate.standby != Standby::Hot {
            InputState::Warm
        } else {
            InputState::Unhealthy
        }
    }

    pub(super) fn fill(&self, snapshot: &mut ChannelSnapshot) {
        *snapshot = ChannelSnapshot {
            active: self.chooser.active().map(|i| self.input(i)),
            taken: self.chooser.taken().map(|i| self.input(i)),
            held: self.chooser.held().map(|i| self.input(i)),
            muted: self.loss == Some(LossAction::Mute),
            loss: self.loss,
            filling: self.output.is_filling(),
            fillers: self.output.fillers,
            switches: self.switches,
            packets: self.output.packets,
            datagrams: self.output.gather.datagrams(),
            unsynchronised: self.output.unsynchronised + self.flow.unsynchronised(),
            last_packet: self.output.last_packet,
            rewriting: self.output.remux.counts(),
        };
    }
}
