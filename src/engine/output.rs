//! The end of a channel: packets are rewritten, and put into datagrams.

use super::event::{Event, What};
use super::gather::Gather;
use super::outbox::Outbox;
use super::packets::packet_at;
use super::room::{Arena, Room};
use super::setup::{ChannelSetup, Hole};
use super::slate::Slate;
use super::slots::{Frames, Slot, Slots};
use crate::switch::carrier::{Carrier, Filler};
use crate::switch::policy::LossAction;
use crate::switch::remux::{self, Pcr, Remux, Sent};
use crate::switch::{Handle, Store};
use crate::ts::{Outline, PACKET_SIZE, Packet};
use crate::units::{BitRate, ChannelId, InputId, Instant, Pid, Span, Ticks27M};

use super::Events;

/// Packets that can be made at once: the tables of as many programs as are known.
const MADE_AT_ONCE: usize = 128;
/// The most that the first PCR of another side is moved by, in ticks, to stand to the bytes as those before it: 10 ms.
const MOST: i64 = 270_000;
/// By how much a PCR may lie behind what filled the hole before it, in ticks, to be left out: 50 ms.
const BEHIND: i64 = 1_350_000;
/// The longest pause that a stream makes of itself: a PCR comes as often (ISO/IEC 13818-1 2.7.2).
const OWN_PAUSE: Span = Span::from_millis(100);
/// Bits of a packet, in ticks of 27 MHz at a bit a second.
const PACKET_TICKS: i128 = PACKET_SIZE as i128 * 8 * 27_000_000;

/// What an output needs to send.
pub(super) struct Sending<'a, F> {
    pub(super) now: Instant,
    pub(super) frames: &'a mut F,
    pub(super) slots: &'a mut Slots,
    pub(super) outbox: &'a mut Outbox,
    pub(super) events: &'a mut Events,
}

/// A PCR that left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Left {
    pub(super) pcr: Ticks27M,
    pub(super) at: Instant,
    /// How many packets had left before it.
    packets: u64,
}

#[derive(Debug)]
pub(super) struct Output {
    id: ChannelId,
    /// The place of the channel's first input among those of the engine.
    first: usize,
    pub(super) remux: Remux,
    pub(super) gather: Gather,
    room: Room,
    /// Packets that were made, on their way into datagrams.
    made: Vec<(Handle, Outline)>,
    /// The last PCR of the first program.
    last: Option<Left>,
    /// And that filled a hole.
    filled: bool,
    /// The side whose next PCR is to be put in line with that one: what its times are moved by, and the rate of the output
    /// where it is constant.
    joins: Option<(usize, i64, Option<BitRate>)>,
    /// By how much more the PCRs of each side are moved.
    nudge: i64,
    carrier: Carrier,
    /// What is sent now is a filler.
    filling: bool,
    /// What is sent now does not end a hole, nor hold one up: it is left over from an input that is not on air any more.
    pub(super) between: bool,
    /// Holes are filled though no loss action asks for it.
    fills: bool,
    pub(super) slate: Option<Box<Slate>>,
    pub(super) packets: u64,
    /// Packets that filled holes.
    pub(super) fillers: u64,
    pub(super) unsynchronised: u64,
    pub(super) last_packet: Option<Instant>,
}

impl Output {
    pub(super) fn new(setup: &ChannelSetup, id: ChannelId, first: usize) -> Self {
        let feeds = setup.inputs.len();
        let mut remux = Remux::new(&remux::Settings { feeds: feeds + 1, clock: setup.clock });
        let slate = setup.slate.as_deref().map(|clip| Box::new(Slate::new(clip, feeds, &mut remux)));
        let fills = setup.hole == Hole::Carrier;
        let mut carrier = Carrier::new();
        carrier.enable(fills);
        Self {
            id,
            first,
            carrier,
            filling: false,
            between: false,
            fills,
            slate,
            remux,
            gather: Gather::new(&setup.gather, id),
            room: Room::default(),
            made: Vec::with_capacity(MADE_AT_ONCE),
            last: None,
            filled: false,
            joins: None,
            nudge: 0,
            packets: 0,
            fillers: 0,
            unsynchronised: 0,
            last_packet: None,
        }
    }

    pub(super) fn input(&self, place: usize) -> InputId {
        InputId(u16::try_from(self.first + place).unwrap_or(u16::MAX))
    }

    /// The packets of a side leave from now on, its times moved by `offset`, and its clock goes on with the output's: to the byte
    /// where that has a constant rate.
    pub(super) fn enter(&mut self, side: usize, offset: i64, rate: Option<BitRate>) {
        self.remux.enter(side, offset);
        self.nudge = 0;
        self.joins = Some((side, offset, rate));
    }

    /// The same where nothing of the times changes.
    pub(super) fn go_on(&mut self, side: usize, offset: i64) {
        self.remux.enter(side, offset);
        self.remux.nudge(side, self.nudge);
    }

    /// The PCR that the output should have at a time.
    pub(super) fn clock(&self, at: Instant) -> Option<Ticks27M> {
        Some(self.last?.at(at))
    }

    /// The last PCR that left.
    pub(super) const fn last_pcr(&self) -> Option<Left> {
        self.last
    }

    /// The access unit that begins in this packet, the next, is the one that video of a side is entered with.
    pub(super) fn open<F: Frames>(&mut self, side: usize, handle: Handle, delay: i64, to: &mut Sending<'_, F>) {
        let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
        self.remux.open(side, handle, delay, &mut arena);
    }

    /// A packet of a side, which is the output's from here.
    #[inline]
    pub(super) fn packet<F: Frames>(
        &mut self,
        side: usize,
        handle: Handle,
        outline: Outline,
        strip: bool,
        to: &mut Sending<'_, F>,
    ) {
        if !outline.is_synchronised() {
            self.unsynchronised += 1;
            to.slots.release(Slot(handle.frame));
        } else if !strip && self.remux.passes(side, outline) {
            self.put(handle, None, to);
        } else {
            self.rewrite(side, handle, outline, strip, to);
        }
    }

    fn rewrite<F: Frames>(
        &mut self,
        side: usize,
        handle: Handle,
        outline: Outline,
        strip: bool,
        to: &mut Sending<'_, F>,
    ) {
        if outline.has_pcr()
            && !strip
            && let Some((joins, offset, rate)) = self.joins.filter(|(joins, ..)| *joins == side)
            && let Some(pcr) =
                packet_at(to.frames.frame(Slot(handle.frame)), handle.offset).and_then(|bytes| Packet::new(bytes).pcr())
            && self.remux.output_pid(joins, outline.pid()).is_none_or(|pid| Some(pid) == self.remux.pcr_pids().next())
        {
            let line = Line { last: self.last, packets: self.packets, now: to.now };
            self.join(side, line.step(pcr.later(offset), rate));
        }
        let strip = strip || outline.has_pcr() && self.filled && self.is_behind(side, handle, to);
        let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
        let before = self.packets;
        let made = &mut self.made;
        let pcr = if strip { Pcr::Strip } else { Pcr::Keep };
        let sent = self.remux.packet(side, handle, outline, pcr, &mut arena, &mut |handle, outline| {
            made.push((handle, outline));
        });
        let pcr = if outline.has_pcr() && !strip { self.note_pcr(before, to.now) } else { None };
        self.put_made(to);
        match sent {
            Sent::Packet => self.put(handle, pcr, to),
            Sent::Nothing => to.slots.release(Slot(handle.frame)),
        }
        while let Some(step) = self.remux.poll_step() {
            // the clip is no input that could be named
            if self.slate.as_ref().is_none_or(|slate| slate.side != side) {
                let what = What::ClockStep { input: self.input(side), pid: step.pid, ticks: step.ticks };
                to.events.push(Event { at: to.now, channel: self.id, what });
            }
        }
    }

    /// Whether the PCR in a packet is not after the one that filled a hole last: on the way some packets are faster than others, and
    /// the clock never runs back.
    #[cold]
    fn is_behind<F: Frames>(&self, side: usize, handle: Handle, to: &Sending<'_, F>) -> bool {
        let Some((last, bytes)) = self.last.zip(packet_at(to.frames.frame(Slot(handle.frame)), handle.offset)) else {
            return false;
        };
        let packet = Packet::new(bytes);
        let is_first =
            self.remux.output_pid(side, packet.pid()).is_none_or(|pid| Some(pid) == self.remux.pcr_pids().next());
        let step = packet.pcr().map(|pcr| self.remux.moved(side, pcr).step_from(last.pcr));
        is_first && step.is_some_and(|step| (-BEHIND..=0).contains(&step))
    }

    /// The first PCR of a side stands by so much off the line of those before it: it and all that follow are moved onto it.
    fn join(&mut self, side: usize, step: Option<i64>) {
        self.joins = None;
        if let Some(step) = step {
            self.nudge = step;
            self.remux.nudge(side, step);
        }
    }

    /// Takes note of the first program's PCR, where it is another than the last.
    fn note_pcr(&mut self, packets: u64, at: Instant) -> Option<Ticks27M> {
        let pcr = self.remux.pcr_pids().next().and_then(|pid| self.remux.last_pcr(pid))?;
        if self.last.is_some_and(|last| last.pcr == pcr) {
            return None;
        }
        (self.last, self.filled) = (Some(Left { pcr, at, packets }), self.filling);
        Some(pcr)
    }

    /// A null packet.
    pub(super) fn null<F: Frames>(&mut self, to: &mut Sending<'_, F>) {
        let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
        if let Some(handle) = self.remux.null(&mut arena) {
            self.put(handle, None, to);
        }
    }

    /// A packet of nothing but a PCR, on the PID that a PID of a side has in the output, or on that of the first program.
    pub(super) fn pcr<F: Frames>(&mut self, of: Option<(usize, Pid)>, pcr: Ticks27M, to: &mut Sending<'_, F>) {
        let pid = of.and_then(|(side, pid)| self.remux.output_pid(side, pid));
        let Some(pid) = pid.or_else(|| self.remux.pcr_pids().next()) else { return };
        if let Some((side, _, rate)) = self.joins.filter(|(joins, ..)| of.is_some_and(|(side, _)| side == *joins)) {
            let line = Line { last: self.last, packets: self.packets, now: to.now };
            self.join(side, line.step(pcr, rate));
        }
        let pcr = if of.is_some() { pcr.later(self.nudge) } else { pcr };
        let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
        let before = self.packets;
        if let Some(handle) = self.remux.pcr_only(pid, pcr, &mut arena) {
            let pcr = self.note_pcr(before, to.now);
            self.put(handle, pcr, to);
        }
    }

    /// The whole PAT and all PMTs.
    pub(super) fn psi<F: Frames>(&mut self, to: &mut Sending<'_, F>) {
        let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
        let made = &mut self.made;
        self.remux.psi(&mut arena, &mut |handle, outline| made.push((handle, outline)));
        self.put_made(to);
    }

    /// What is done in place of sending an input: `None` where inputs are sent.
    pub(super) fn on_loss(&mut self, action: Option<LossAction>, now: Instant) {
        let fills = match action {
            Some(LossAction::Mute) => false,
            Some(LossAction::Null) => true,
            Some(LossAction::Stay | LossAction::Slate) | None => self.fills,
        };
        self.carrier.enable(fills);
        match action {
            Some(LossAction::Null) => self.carrier.begin_now(now),
            Some(LossAction::Slate) => {
                let clock = self.clock(now);
                if let Some(slate) = &mut self.slate {
                    let offset = clock.zip(slate.origin).map_or(0, |(out, own)| out.step_from(own));
                    slate.start(offset.div_euclid(300) * 300, now);
                }
            }
            Some(LossAction::Stay | LossAction::Mute) | None => {}
        }
    }

    /// An input is sent again.
    pub(super) fn stop_slate(&mut self) {
        if let Some(slate) = &mut self.slate {
            slate.stop();
        }
    }

    /// Whether a hole is being filled.
    #[inline]
    pub(super) const fn is_filling(&self) -> bool {
        self.carrier.is_filling()
    }

    /// Whether a hole may be filled, where the next packet of an input leaves at `next`: a shorter pause is the stream's own doing.
    fn may_fill(&self, next: Instant) -> bool {
        self.carrier.is_filling() || self.carrier.last().is_none_or(|last| next.since(last) > OWN_PAUSE)
    }

    /// When a filler or a packet of the clip is due, where the next packet of an input leaves at `next`.
    #[inline]
    pub(super) fn deadline(&self, next: Instant) -> Instant {
        let slate = self.slate.as_ref().map_or(Instant::NEVER, |slate| slate.deadline());
        let carrier = if self.may_fill(next) { self.carrier.deadline() } else { Instant::NEVER };
        self.gather.deadline().min(carrier).min(slate)
    }

    /// Sends what of the clip is due, and then what keeps the carrier.
    pub(super) fn fill<F: Frames>(
        &mut self,
        to: &mut Sending<'_, F>,
        next: Instant,
        mut sent: impl FnMut(usize, i64, &[u8; PACKET_SIZE]),
    ) {
        while to.outbox.has_room() {
            let Some(slate) = &mut self.slate else { break };
            let Some(due) = slate.next_due(to.now) else { break };
            let (side, offset) = (slate.side, slate.offset());
            if let Some(offset) = due.enters {
                self.enter(side, offset, None);
            }
            let mut arena = Arena { frames: to.frames, slots: to.slots, room: &mut self.room };
            let Some(handle) = arena.fresh() else { break };
            if let Some(bytes) = arena.bytes_mut(handle) {
                *bytes = due.bytes;
            }
            sent(side, offset, &due.bytes);
            self.packet(side, handle, Outline::of(Packet::new(&due.bytes)), false, to);
        }
        while self.may_fill(next) && to.outbox.has_room() {
            let Some(filler) = self.carrier.next_due(to.now) else { break };
            self.filling = true;
            match filler {
                Filler::Null => self.null(to),
                Filler::Pcr(pcr) => self.pcr(None, pcr, to),
                Filler::Psi => self.psi(to),
            }
            self.filling = false;
        }
    }

    fn put_made<F: Frames>(&mut self, to: &mut Sending<'_, F>) {
        for at in 0..self.made.len() {
            self.put(self.made[at].0, None, to);
        }
        self.made.clear();
    }

    /// A packet goes into a datagram.
    #[inline]
    fn put<F: Frames>(&mut self, handle: Handle, pcr: Option<Ticks27M>, to: &mut Sending<'_, F>) {
        if self.filling {
            self.fillers += 1;
        } else if !self.between {
            self.carrier.sent(to.now, pcr);
        }
        let slot = Slot(handle.frame);
        self.gather.push(slot, handle.offset, to.now, to.slots, to.outbox);
        to.slots.release(slot);
        self.packets += 1;
        self.last_packet = Some(to.now);
    }
}

/// The line of the PCRs that left.
struct Line {
    last: Option<Left>,
    packets: u64,
    now: Instant,
}

impl Line {
    /// By how much a PCR that leaves now is off it.
    fn step(&self, pcr: Ticks27M, rate: Option<BitRate>) -> Option<i64> {
        let last = self.last?;
        let expected = match rate.filter(|rate| rate.0 > 0) {
            Some(rate) => {
                let packets = i128::from(self.packets - last.packets);
                last.pcr.later(i64::try_from(packets * PACKET_TICKS / i128::from(rate.0)).ok()?)
            }
            None => last.at(self.now),
        };
        Some(expected.step_from(pcr)).filter(|step| step.abs() <= MOST)
    }
}

impl Left {
    /// What the clock shows at a time.
    fn at(&self, now: Instant) -> Ticks27M {
        self.pcr.later((now.nanos() - self.at.nanos()).saturating_mul(27) / 1000)
    }
}
