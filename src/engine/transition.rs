//! How a channel goes from one input to another: at once, or by a splice that is sought, runs and ends.

use super::Events;
use super::channel::{Channel, Pending};
use super::event::{Cost, Kind, What};
use super::flow::Flow;
use super::forecast::{Wanted, kind_of, rate};
use super::output::Sending;
use super::packets::packet_at;
use super::path::Path;
use super::setup::ClockPolicy;
use super::slots::{Frames, Slot, Slots};
use crate::switch::align::Leaving;
use crate::switch::policy::{Decision, LossAction, Why as Reason};
use crate::switch::splice::{self, Out, Outcome, Plan, Request, Side, Splicer, Why};
use crate::ts::Packet;
use crate::units::{BitRate, Instant, Span};

/// After so long a place is sought again where the last that was found was not there any more.
const AGAIN: Span = Span::from_millis(20);
/// So long a planned switch waits to know how the inputs stand to each other.
const LEARNT: Span = Span::from_millis(1500);
/// Room for what the splicer says at once.
pub(super) const SAID: usize = 512;

/// What a channel is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// One input is sent, and what is the same.
    Steady,
    /// A place is sought to go to another; from a time on, where it is not known yet how that stands to the one on air, or what was
    /// found was not there any more.
    Seeking { to: usize, from: Option<Instant> },
    /// The packets of both are sent.
    Running {
        plan: Plan,
        /// The first packet of the new one left.
        entered: bool,
        gap: Span,
        rate: Option<BitRate>,
    },
}

impl Stage {
    /// When something is to be done though nothing leaves.
    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Seeking { from: Some(from), .. } => *from,
            Self::Steady | Self::Seeking { from: None, .. } | Self::Running { .. } => Instant::NEVER,
        }
    }
}

impl Channel {
    pub(super) fn splicer(&mut self) -> Option<&mut Splicer> {
        match &mut self.flow {
            Flow::Lines(_) => None,
            Flow::Joint(joint) => joint.splicer.as_deref_mut(),
        }
    }

    /// An input was chosen.
    pub(super) fn begin(&mut self, to: Decision, at: Instant, paths: &[Path], slots: &mut Slots, events: &mut Events) {
        if let Stage::Running { plan, entered, .. } = self.stage {
            if to.to == plan.to {
                self.next = None;
                return;
            }
            if to.why.is_planned() || entered && self.splicer().is_some_and(|splicer| splicer.hasten(at)) {
                // it is gone on with when this one has ended
                self.next = Some(Pending::new(to.why, at));
                return;
            }
            self.cut_short(at, paths, slots, events);
        }
        // one that another overtakes before its first packet left never was a switch
        self.pending = Some(Pending::new(to.why, at));
        if self.loss.is_none() || !matches!(self.flow, Flow::Joint(_)) {
            self.go_to(to.to, at, paths, slots);
        }
    }

    /// In an emergency the end of a transition is not waited for, but what waits to leave: the output goes on with the new input if
    /// that has been entered, and with the old one if not.
    #[cold]
    fn cut_short(&mut self, at: Instant, paths: &[Path], slots: &mut Slots, events: &mut Events) {
        let Stage::Running { plan, entered, gap, .. } = self.stage else { return };
        let Some(splicer) = self.splicer() else { return };
        if entered {
            let cost = splicer.cut_short(at, |out| give_back(slots, out));
            self.tell(&plan, gap, cost, at, paths, events);
            self.arrive_at(&plan, at, slots);
        } else {
            splicer.cancel(|out| give_back(slots, out));
            if let Flow::Joint(joint) = &mut self.flow {
                joint.abandon(slots);
            }
            self.stage = Stage::Steady;
            self.output.remux.loosen(false);
        }
        self.next = None;
    }

    /// Goes to an input at once where that costs nothing or nothing else can be done, or seeks a place.
    fn go_to(&mut self, to: usize, at: Instant, paths: &[Path], slots: &mut Slots) {
        self.forget_seeking(slots);
        let merged = match &self.flow {
            Flow::Lines(_) => false,
            Flow::Joint(joint) => joint.deck().is_merged(to),
        };
        if merged {
            self.go_on_with(to, at, slots);
        } else if self.output.last_packet.is_none() || !self.seek(to, at, paths) {
            self.cut(to, None, at, slots);
        }
    }

    /// Goes to an input that has the same packets.
    fn go_on_with(&mut self, to: usize, at: Instant, slots: &mut Slots) {
        self.flow.follow(to, at, slots);
        if self.side != to {
            self.side = to;
            self.output.go_on(to, self.offset);
        }
    }

    /// No input is to be sent any more, or one is again.
    pub(super) fn change_loss(
        &mut self,
        loss: Option<LossAction>,
        at: Instant,
        paths: &[Path],
        slots: &mut Slots,
        events: &mut Events,
    ) {
        let before = core::mem::replace(&mut self.loss, loss);
        let what = match (before, loss) {
            (_, Some(LossAction::Mute)) => What::Muted,
            (_, Some(by)) => What::Replaced { by },
            (Some(LossAction::Mute), None) => What::Unmuted,
            (_, None) => What::Restored,
        };
        self.event(at, what, events);
        if loss == Some(LossAction::Null) && !matches!(self.stage, Stage::Running { .. }) {
            // the clock may have stood still in a hole that was not filled
            self.output.go_on(self.side, self.offset);
        }
        self.output.on_loss(loss, at);
        if matches!(self.stage, Stage::Running { .. }) {
            return;
        }
        let Some(active) = self.chooser.active() else { return };
        let splices = matches!(&self.flow, Flow::Joint(joint) if joint.splicer.is_some());
        if !splices {
            // what was not sent is no loss to be shown in the counters
            self.cut(active, None, at, slots);
            return;
        }
        if loss.is_some() {
            self.forget_seeking(slots);
            if let Flow::Joint(joint) = &mut self.flow {
                joint.rest(at, slots);
            }
            return;
        }
        if let Some(slate) = self.output.slate.as_ref().filter(|slate| slate.is_playing()) {
            (self.side, self.offset, self.extra) = (slate.side, slate.offset(), 0);
        }
        self.pending.get_or_insert_with(|| Pending::new(Reason::Recovery, at));
        self.go_to(active, at, paths, slots);
    }

    /// A hard cut, at the next packet that is due.
    fn cut(&mut self, to: usize, why: Option<Why>, at: Instant, slots: &mut Slots) {
        let seamless = self.flow.follow(to, at, slots);
        debug_assert!(!seamless || self.output.last_packet.is_none() || self.side == to);
        self.stage = Stage::Steady;
        let clock = self.output.clock(at).map(|clock| clock.later(self.hidden(self.offset)));
        let offset = clock.zip(self.clock_of(to, at)).map(|(out, own)| out.step_from(own));
        self.offset = offset.unwrap_or(0).div_euclid(300) * 300;
        self.extra = 0;
        self.side = to;
        if self.loss.is_none() {
            self.output.stop_slate();
        }
        self.output.enter(to, self.offset, None);
        if let Some(pending) = &mut self.pending {
            pending.kind = Kind::Cut;
            pending.fallback = why;
        }
    }

    fn seek(&mut self, to: usize, at: Instant, paths: &[Path]) -> bool {
        let Some(pending) = self.pending else { return false };
        let Wanted { request, fallback, is_known, .. } = self.wanted(to, pending.why.is_planned(), at, paths);
        let spent = at.since(pending.decided);
        if spent >= request.limit {
            return false;
        }
        let (pairs, len) = self.pairs(to);
        let Some(splicer) = self.splicer() else { return false };
        if request.planned && !is_known && request.alive && spent < LEARNT {
            self.stage = Stage::Seeking { to, from: Some(at + AGAIN) };
            return true;
        }
        let request = Request { limit: Span::from_nanos(request.limit.nanos() - spent.nanos()), ..request };
        splicer.begin(request, pairs.get(..len).unwrap_or(&[]), at);
        self.stage = Stage::Seeking { to, from: None };
        self.pending = Some(Pending { fallback, ..pending });
        true
    }

    fn forget_seeking(&mut self, slots: &mut Slots) {
        if let Stage::Seeking { .. } = self.stage {
            self.stage = Stage::Steady;
            if let Some(splicer) = self.splicer() {
                splicer.cancel(|out| give_back(slots, out));
            }
        }
    }

    /// Looks whether a place that is sought is there.
    fn look_for_place<F: Frames>(&mut self, to: &mut Sending<'_, F>, paths: &[Path]) {
        if let (Stage::Seeking { to: wanted, .. }, Flow::Joint(joint)) = (self.stage, &self.flow)
            && joint.deck().is_merged(wanted)
        {
            // it was found meanwhile that it has the same packets, as of an input that has just been woken
            self.forget_seeking(to.slots);
            self.go_on_with(wanted, to.now, to.slots);
            self.pending = self.pending.map(|pending| Pending::new(pending.why, pending.decided));
            return;
        }
        if let Stage::Seeking { to: wanted, from: Some(from) } = self.stage
            && from <= to.now
            && !self.seek(wanted, to.now, paths)
        {
            self.cut(wanted, Some(Why::NoPlace), to.now, to.slots);
            return;
        }
        let Stage::Seeking { to: wanted, from: None } = self.stage else { return };
        let Flow::Joint(joint) = &mut self.flow else { return };
        match joint.splicer.as_deref_mut().map_or(Outcome::Wait, |splicer| splicer.plan(to.now)) {
            Outcome::Wait => {}
            Outcome::Go(plan) if joint.begin(&plan, to.frames, to.now, to.slots) => {
                let rate = rate(paths, self.inputs.start + self.side, self.inputs.start + wanted);
                self.stage = Stage::Running { plan, entered: false, gap: Span::ZERO, rate };
                self.output.remux.loosen(true);
            }
            Outcome::Go(_) => {
                // its first packet is gone already: another place
                self.forget_seeking(to.slots);
                self.stage = Stage::Seeking { to: wanted, from: Some(to.now + AGAIN) };
            }
            Outcome::Fallback(why) => self.cut(wanted, Some(why), to.now, to.slots),
        }
    }

    /// Sends what is due, as far as the outbox has room.
    #[inline]
    pub(super) fn release<F: Frames>(&mut self, to: &mut Sending<'_, F>, paths: &[Path]) {
        let Some(active) = self.chooser.active() else { return };
        let changed = self.flow.has_changed();
        self.look_around(changed, to.now, paths, to.events);
        loop {
            self.look_for_place(to, paths);
            while to.outbox.has_room() {
                if let Stage::Running { .. } = self.stage {
                    if !self.mix(to) {
                        break;
                    }
                } else {
                    let Some(leaving) = self.flow.next_due(active, to.now, to.slots) else { break };
                    self.send(leaving, to, paths);
                }
            }
            if !self.conclude(to, paths) {
                break;
            }
        }
        let Self { output, flow, .. } = self;
        let next = flow.next_leaves(Some(active));
        let before = output.last_pcr();
        output.fill(to, next, |side, offset, bytes| {
            if let Flow::Joint(joint) = flow
                && let Some(splicer) = joint.splicer.as_deref_mut()
            {
                splicer.sent(side, offset, Packet::new(bytes), None);
            }
        });
        if self.output.last_pcr() != before {
            let slate = self.output.slate.as_ref().filter(|slate| slate.is_playing());
            let offset = match self.stage {
                Stage::Running { plan, entered: true, .. } => plan.offset,
                Stage::Steady | Stage::Seeking { .. } | Stage::Running { .. } => self.offset,
            };
            self.tell_clock(slate.map_or(offset, |slate| slate.offset()));
        }
    }

    /// A packet of the input on air.
    #[inline]
    fn send<F: Frames>(&mut self, leaving: Leaving, to: &mut Sending<'_, F>, paths: &[Path]) {
        let Leaving { handle, outline, .. } = leaving;
        if self.loss.is_some() {
            to.slots.release(Slot(handle.frame));
            return;
        }
        if self.pending.is_some() && self.stage == Stage::Steady {
            let gap = to.now.since(self.output.last_packet.unwrap_or(to.now));
            self.complete(self.side, to.now, gap, None, paths, to.events);
        }
        let (side, offset) = (self.side, self.offset);
        if self.output.is_filling() {
            // the input may go on where it stood, and the output's clock went on
            self.output.go_on(side, offset);
        }
        if outline.payload_unit_start_indicator()
            && let Flow::Joint(joint) = &mut self.flow
            && let Some(splicer) = joint.splicer.as_deref_mut()
            && let Some(bytes) = packet_at(to.frames.frame(Slot(handle.frame)), handle.offset)
        {
            let packet = Packet::new(bytes);
            splicer.sent(side, offset, packet, self.output.remux.head(handle, packet));
        }
        self.output.packet(side, handle, outline, false, to);
        if outline.has_pcr() {
            self.tell_clock(offset);
        }
    }

    /// What times are moved by in the splicer's reckoning alone: with `clock: signal` they leave as they came.
    const fn hidden(&self, offset: i64) -> i64 {
        match self.clock {
            ClockPolicy::Continue => 0,
            ClockPolicy::Signal => offset,
        }
    }

    /// Tells the splicer of the last PCR that left, of a side that is moved by `offset`.
    fn tell_clock(&mut self, offset: i64) {
        let hidden = self.hidden(offset);
        if let Some(left) = self.output.last_pcr()
            && let Some(splicer) = self.splicer()
        {
            splicer.clock(left.pcr.later(hidden), left.at);
        }
    }

    /// Gives the splicer the next packet of either input, and does what it says. False where none is due.
    fn mix<F: Frames>(&mut self, to: &mut Sending<'_, F>) -> bool {
        let Flow::Joint(joint) = &mut self.flow else { return false };
        let (leaving, side) = match joint.next_due(to.now, to.slots) {
            Some(leaving) => (leaving, Side::Old),
            None => match joint.next_of_new(to.now, to.slots) {
                Some(leaving) => (leaving, Side::New),
                None => return false,
            },
        };
        let slot = Slot(leaving.handle.frame);
        let Some((splicer, bytes)) =
            joint.splicer.as_deref_mut().zip(packet_at(to.frames.frame(slot), leaving.handle.offset))
        else {
            to.slots.release(slot);
            return true;
        };
        let said = &mut self.said;
        let head = self.output.remux.head(leaving.handle, Packet::new(bytes));
        splicer.packet(side, leaving, bytes, head, to.now, |out| said.push(out));
        self.obey(false, to);
        true
    }

    /// Does what the splicer said: at the time of a packet, or between, where nothing of the input that makes the output came.
    fn obey<F: Frames>(&mut self, between: bool, to: &mut Sending<'_, F>) {
        let Stage::Running { plan, mut entered, mut gap, rate } = self.stage else { return };
        for at in 0..self.said.len() {
            let out = self.said[at];
            let (old, offset) = (self.side, self.offset);
            let of = |side: Side| match side {
                Side::Old => (old, offset),
                Side::New => (plan.to, plan.offset),
            };
            if !entered && matches!(out, Out::Send { side: Side::New, .. } | Out::Pcr { side: Side::New, .. }) {
                entered = true;
                if let Flow::Joint(joint) = &mut self.flow {
                    joint.entered = true;
                }
                if self.loss.is_none() {
                    self.output.stop_slate();
                }
                gap = to.now.since(self.output.last_packet.unwrap_or(to.now));
                match plan.kind {
                    splice::Kind::Locked => self.output.go_on(plan.to, plan.offset),
                    splice::Kind::Independent => self.output.enter(plan.to, plan.offset, rate),
                }
                if rate.is_none() && self.loss.is_none() {
                    self.output.psi(to);
                }
            }
            match out {
                Out::Drop(handle) => to.slots.release(Slot(handle.frame)),
                Out::Send { handle, .. } if self.loss.is_some() => to.slots.release(Slot(handle.frame)),
                Out::Null | Out::Pcr { .. } if self.loss.is_some() => {}
                Out::Send { side, handle, outline, strip, enters } => {
                    let is_on_air = entered == (side == Side::New);
                    let (side, offset) = of(side);
                    if is_on_air && !between && self.output.is_filling() {
                        self.output.go_on(side, offset);
                    }
                    self.output.between = between;
                    if let Some(delay) = enters {
                        // with `clock: signal` no time is moved
                        let delay = if self.clock == ClockPolicy::Continue { delay } else { 0 };
                        self.output.open(side, handle, delay, to);
                    }
                    self.output.packet(side, handle, outline, strip, to);
                    self.output.between = false;
                    if outline.has_pcr() && !strip {
                        self.tell_clock(offset);
                    }
                }
                Out::Null => self.output.null(to),
                Out::Pcr { side, pid, value } => {
                    let (side, offset) = of(side);
                    let value = value.later(-self.hidden(offset));
                    self.output.pcr(Some((side, pid)), value, to);
                    self.tell_clock(offset);
                }
            }
        }
        self.said.clear();
        self.stage = Stage::Running { plan, entered, gap, rate };
    }

    /// Ends a transition that is over, and begins the next where another input was chosen meanwhile. True where it did.
    fn conclude<F: Frames>(&mut self, to: &mut Sending<'_, F>, paths: &[Path]) -> bool {
        let Stage::Running { plan, .. } = self.stage else { return false };
        let Flow::Joint(joint) = &mut self.flow else { return false };
        let Some(splicer) = joint.splicer.as_deref_mut() else { return false };
        if splicer.deadline() <= to.now && to.outbox.has_room() {
            let said = &mut self.said;
            splicer.advance(to.now, |out| said.push(out));
        }
        let (cost, is_finished) = if splicer.is_overtaken(to.now) {
            (splicer.cut_short(to.now, |out| give_back(to.slots, out)), true)
        } else {
            (splicer.cost(to.now), splicer.finished(to.now))
        };
        self.obey(true, to);
        let Stage::Running { gap, .. } = self.stage else { return false };
        self.tell(&plan, gap, cost, to.now, paths, to.events);
        if !is_finished {
            return false;
        }
        self.arrive_at(&plan, to.now, to.slots);
        if let (Some(active), Some(pending)) = (self.chooser.active(), self.next.take())
            && active != self.side
            && self.loss.is_none()
        {
            self.pending = Some(pending);
            self.go_to(active, to.now, paths, to.slots);
        }
        true
    }

    /// Tells of a splice, once it is known what it cost.
    fn tell(
        &mut self,
        plan: &Plan,
        gap: Span,
        cost: Option<splice::Cost>,
        at: Instant,
        paths: &[Path],
        events: &mut Events,
    ) {
        let Some(cost) = cost else { return };
        if let Some(pending) = &mut self.pending {
            pending.kind = kind_of(cost.kind);
        }
        self.complete(plan.to, at, gap, Some(Cost::of(&cost)), paths, events);
    }

    /// All is sent of the input that was entered.
    fn arrive_at(&mut self, plan: &Plan, at: Instant, slots: &mut Slots) {
        if let Flow::Joint(joint) = &mut self.flow {
            joint.change(self.side, plan.kind, slots);
            if self.loss.is_some() {
                joint.rest(at, slots);
            }
        }
        self.stage = Stage::Steady;
        self.output.remux.loosen(false);
        (self.side, self.offset, self.extra) = (plan.to, plan.offset, plan.extra);
    }
}

/// Lets go of a packet that a splicer gives back.
pub(super) fn give_back(slots: &mut Slots, out: Out) {
    if let Out::Drop(handle) = out {
        slots.release(Slot(handle.frame));
    }
}
