//! One input, from the datagram to the packets in their order.

use super::channel::Channel;
use super::meter::Meter;
use super::packets::{Packets, packet_at};
use super::setup::{InputSetup, Standby};
use super::slots::{Frames, Slot, Slots};
use super::snapshot::{InputFigures, InputSnapshot};
use crate::health::{Change, Criterion, Evidence, Judge, Limits, LinkFigures, LinkWatch, Raise};
use crate::measure::{Arrivals, Rates, arrivals};
use crate::switch::policy::Candidate;
use crate::tr101290::{self, Analyser, Indicator, Place};
use crate::transport::{self, Figures, Framing, Held, Reorder, Verdict};
use crate::ts::PACKET_SIZE;
use crate::units::{BitRate, Instant, Span};

/// The size of a packet in bytes, for sums.
#[allow(clippy::cast_possible_truncation, reason = "188")]
const PACKET_BYTES: u32 = PACKET_SIZE as u32;
/// The least rate that an input is judged by.
fn wanted_rate(limits: &Limits) -> BitRate {
    match limits.limit(Criterion::BitRateBelow).map(|limit| limit.raise) {
        Some(Raise::Below { rate, .. }) => rate,
        Some(Raise::Lasting(_) | Raise::Counted { .. } | Raise::Slower { .. } | Raise::Share { .. }) | None => {
            BitRate(0)
        }
    }
}

/// Whether an input is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// It rests: what comes all the same is let go.
    Asleep,
    /// It is waited for, and not judged before then or its first packet.
    Waking(Instant),
    /// It is received and judged.
    Awake,
}

/// One input.
#[derive(Debug)]
pub(super) struct Path {
    /// Its place among the inputs of its channel.
    place: usize,
    framing: Framing,
    reorder: Reorder<Packets>,
    figures: Figures,
    arrivals: Box<Arrivals>,
    rates: Box<Rates>,
    /// What is shown of all that is measured, and when it is looked at again.
    shown: Box<InputFigures>,
    shown_until: Instant,
    /// What its counters said was missing, as far as that was told further.
    missing: u64,
    /// The last datagram had an RTP header, whose sequence number tells what is lost.
    rtp: bool,
    pub(super) analyser: Analyser,
    pub(super) judge: Judge,
    /// The connection that it comes by, as far as it is told of one.
    link: Box<LinkWatch>,
    meter: Meter,
    /// When the last packets came; before the first, when the engine began to wait for them.
    last_arrival: Instant,
    started: bool,
    /// Nothing was there, and the next datagram is worth an event.
    pub(super) silent: bool,
    pub(super) arrived: bool,
    revision: u32,
    /// How many packets the last datagram had.
    last_count: u8,
    /// When the packets that are delivered came, which does not step back.
    came: Instant,
    /// The last datagram had no packet in it that begins as one.
    strayed: bool,
    pub(super) enabled: bool,
    pub(super) priority: i32,
    pub(super) standby: Standby,
    wake: Wake,
    /// What the analyser was made with.
    settings: Box<tr101290::Settings>,
}

impl Path {
    pub(super) fn new(setup: &InputSetup, place: usize, now: Instant) -> Self {
        Self {
            place,
            framing: setup.framing,
            reorder: Reorder::new(setup.reorder),
            figures: Figures::default(),
            arrivals: Box::default(),
            rates: Box::default(),
            shown: Box::default(),
            shown_until: Instant::LONG_AGO,
            missing: 0,
            rtp: false,
            analyser: Analyser::new(&setup.analyser),
            judge: Judge::new(&setup.limits, now),
            link: Box::new(LinkWatch::new(&setup.limits)),
            meter: Meter::new(wanted_rate(&setup.limits)),
            last_arrival: now,
            started: false,
            silent: true,
            arrived: false,
            revision: 0,
            last_count: 0,
            came: Instant::LONG_AGO,
            strayed: false,
            enabled: true,
            priority: setup.priority,
            standby: setup.standby,
            wake: match setup.standby {
                Standby::Hot => Wake::Awake,
                Standby::Warm { .. } => Wake::Asleep,
            },
            settings: Box::new(setup.analyser),
        }
    }

    /// Whether it is to be received.
    pub(super) fn is_awake(&self) -> bool {
        self.wake != Wake::Asleep
    }

    /// From now on it is received, where it may rest.
    #[cold]
    pub(super) fn wake(&mut self, at: Instant) {
        if let Standby::Warm { connect } = self.standby {
            self.wake = Wake::Waking(at + connect);
        }
    }

    /// From now on it is not: what was known of it is forgotten, so that what comes next begins anew.
    #[cold]
    pub(super) fn rest(&mut self, at: Instant, slots: &mut Slots) {
        self.wake = Wake::Asleep;
        self.reorder.pause(|packets| slots.release(packets.slot));
        self.analyser.restart(&self.settings);
        self.judge.restart(at);
        self.meter.restart();
        self.arrivals.pause();
        (self.started, self.silent, self.arrived, self.strayed) = (false, true, false, false);
    }

    /// From now on it is judged.
    #[cold]
    fn begin(&mut self, at: Instant) {
        self.wake = Wake::Awake;
        self.judge.restart(at);
        *self.link = LinkWatch::new(self.judge.limits());
        self.last_arrival = at;
    }

    /// A datagram in `slot`, which goes on to its channel or is let go.
    #[inline]
    pub(super) fn receive<F: Frames>(
        &mut self,
        frames: &F,
        slot: Slot,
        len: usize,
        at: Instant,
        slots: &mut Slots,
        channel: &mut Channel,
    ) {
        if self.wake == Wake::Asleep {
            slots.release(slot);
            return;
        }
        self.figures.datagrams += 1;
        self.figures.bytes += len as u64;
        let layout = frames.frame(slot).get(..len).and_then(|bytes| transport::read(bytes, self.framing));
        let Some(layout) = layout else {
            self.figures.foreign += 1;
            slots.release(slot);
            return;
        };
        self.figures.odd += u64::from(layout.odd);
        self.arrivals.datagram(at, u32::from(layout.packets) * PACKET_BYTES);
        let (mut packets, synchronised) = Packets::read(slot, &layout, frames.frame(slot));
        if !synchronised {
            // one datagram of something else among good ones is no fault of the stream; a second in a row is
            self.figures.foreign += 1;
            if !core::mem::replace(&mut self.strayed, true) {
                slots.release(slot);
                return;
            }
        } else {
            self.strayed = false;
        }
        self.rtp = layout.rtp.is_some();
        let Some(rtp) = layout.rtp else {
            self.deliver_now(frames, packets, at, slots, channel);
            return;
        };
        loop {
            let lost = self.figures.rtp_lost;
            let verdict = self.reorder.accept(rtp, packets, at, &mut self.figures);
            self.lose(self.figures.rtp_lost - lost, at);
            match verdict {
                Verdict::Next => {
                    packets.sequence = Some(self.reorder.latest());
                    self.deliver_now(frames, packets, at, slots, channel);
                    self.drain_reorder(frames, at, slots, channel);
                    return;
                }
                Verdict::Held => return,
                Verdict::Late => {
                    slots.release(slot);
                    return;
                }
                Verdict::Again => self.drain_reorder(frames, at, slots, channel),
            }
        }
    }

    fn drain_reorder<F: Frames>(&mut self, frames: &F, at: Instant, slots: &mut Slots, channel: &mut Channel) {
        loop {
            let lost = self.figures.rtp_lost;
            let ready = self.reorder.next_ready(&mut self.figures);
            self.lose(self.figures.rtp_lost - lost, at);
            let Some(Held { item: mut packets, at: came }) = ready else { return };
            self.came = self.came.max(came);
            packets.sequence = Some(self.reorder.latest());
            self.deliver(frames, packets, at, slots, channel);
        }
    }

    #[inline]
    fn lose(&mut self, datagrams: u64, at: Instant) {
        if datagrams > 0 {
            self.analyser.lost();
            self.arrivals.lost(datagrams.saturating_mul(u64::from(self.last_count)));
        }
        for _ in 0..datagrams {
            self.judge.event(at, Criterion::RtpLoss, Place::STREAM);
        }
    }

    /// Delivers packets that came just now.
    #[inline]
    fn deliver_now<F: Frames>(
        &mut self,
        frames: &F,
        packets: Packets,
        at: Instant,
        slots: &mut Slots,
        channel: &mut Channel,
    ) {
        self.came = self.came.max(at);
        self.deliver(frames, packets, at, slots, channel);
    }

    /// Analyses packets in their order and lets them go on.
    #[inline]
    fn deliver<F: Frames>(
        &mut self,
        frames: &F,
        packets: Packets,
        at: Instant,
        slots: &mut Slots,
        channel: &mut Channel,
    ) {
        if self.wake != Wake::Awake {
            self.begin(at);
        }
        let frame = frames.frame(packets.slot);
        let nulls = self.analyser.nulls();
        let first_bytes = packets.offsets().filter_map(|offset| packet_at(frame, offset));
        for bytes in first_bytes {
            self.analyser.packet(at, bytes, &mut self.judge);
        }
        let nulls = u32::try_from(self.analyser.nulls() - nulls).unwrap_or(u32::MAX);
        self.meter.add(at, u32::from(packets.count), nulls);
        self.last_count = packets.count;
        if self.shown_until <= at {
            self.show(at);
        }
        self.last_arrival = at;
        if self.silent {
            self.silent = false;
            self.started = true;
            self.arrived = true;
        }
        if self.revision != self.analyser.revision() {
            self.revision = self.analyser.revision();
            self.judge.look_again(at);
        }
        let missing = self.analyser.missing();
        if missing != self.missing {
            if !self.rtp {
                self.arrivals.lost(missing - self.missing);
            }
            self.missing = missing;
            channel.flow.lost(self.place);
        }
        channel.arrive(self.place, packets, frame, self.came, &self.analyser, slots);
    }

    /// Before this time nothing happens by time passing, the delay line left aside.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        match self.wake {
            Wake::Asleep => return Instant::NEVER,
            Wake::Waking(until) => return until,
            Wake::Awake => {}
        }
        self.analyser.deadline().min(self.judge.deadline()).min(self.reorder.deadline())
    }

    /// Does what is due at `now`.
    pub(super) fn advance<F: Frames>(&mut self, frames: &F, now: Instant, slots: &mut Slots, channel: &mut Channel) {
        match self.wake {
            Wake::Asleep => return,
            Wake::Waking(until) if until > now => return,
            Wake::Waking(_) => self.begin(now),
            Wake::Awake => {}
        }
        if self.reorder.deadline() <= now {
            self.reorder.advance(now);
            self.drain_reorder(frames, now, slots, channel);
        }
        if self.analyser.deadline() <= now {
            self.analyser.advance(now, &mut self.judge);
        }
        if self.judge.deadline() <= now {
            let evidence = Evidence {
                analyser: &self.analyser,
                last_arrival: self.last_arrival,
                last_fast: self.meter.last_fast(),
                link: Some(&self.link),
            };
            self.judge.advance(now, evidence);
        }
    }

    /// How the connection stands that it comes by.
    pub(super) fn link(&mut self, at: Instant, figures: &LinkFigures) {
        if self.wake == Wake::Awake && self.link.update(at, figures) {
            self.judge.look_at_link(at);
        }
    }

    /// The criteria that changed since the last call.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = Change> + use<> {
        self.judge.take_changes()
    }

    /// Looks at what is measured: too much for every snapshot of hundreds of inputs.
    #[cold]
    fn show(&mut self, at: Instant) {
        self.shown_until = at + Span::from_secs(1);
        let analyser = &self.analyser;
        self.rates.sample(at, analyser.pids());
        let shown = &mut *self.shown;
        *shown = InputFigures {
            arrivals: self.arrivals.figures(at),
            missing: analyser.missing(),
            access_units_missing: analyser.contents().map(|(_, figures)| figures.missing).sum(),
            splice: *analyser.splice(),
            last_captions: analyser.last_captions(),
            ..InputFigures::default()
        };
        for (place, clock) in shown.clocks.iter_mut().zip(analyser.clocks(at)) {
            *place = Some(clock);
        }
        for (place, rate) in shown.pids.iter_mut().zip(self.rates.figures().pids) {
            *place = Some(*rate);
        }
        self.arrivals.set_rate(analyser.constant_rate());
    }

    /// When its datagrams come.
    pub(super) fn arrivals(&self, now: Instant) -> arrivals::Figures {
        self.arrivals.figures(now)
    }

    pub(super) const fn candidate(&self) -> Candidate {
        Candidate {
            priority: self.priority,
            enabled: self.enabled,
            started: self.started,
            flowing: !self.silent,
            raised: self.judge.raised(),
            since: self.judge.since(),
            standby: self.standby,
            in_use: false,
        }
    }

    pub(super) fn fill(&self, snapshot: &mut InputSnapshot, now: Instant) {
        let (bit_rate, null_rate) = self.meter.rates(now);
        let absent = Indicator::ALL.into_iter().filter(|&i| self.analyser.is_absent(i));
        *snapshot = InputSnapshot {
            priority: self.priority,
            standby: self.standby,
            wanted: self.is_awake(),
            enabled: self.enabled,
            raised: self.judge.raised(),
            since: self.judge.since(),
            last_arrival: self.started.then_some(self.last_arrival),
            transport: self.figures,
            packets: self.analyser.packets(),
            bit_rate,
            null_rate,
            counts: Indicator::ALL.map(|i| self.analyser.count(i).events()),
            absent: absent.fold(0, |bits, i| bits | 1 << i.index()),
            figures: *self.shown,
            ..*snapshot
        };
    }
}
