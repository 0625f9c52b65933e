//! A splicer that is driven as a channel drives it, and a check of all that it sent.

use std::collections::{BTreeMap, VecDeque};

use changeover::switch::Handle;
use changeover::switch::align::Leaving;
use changeover::switch::splice::{Cost, Entry, Kind, OnAir, Out, Outcome, Plan, Request, Settings, Side, Splicer, Why};
use changeover::ts::stream::Kind as StreamKind;
use changeover::ts::{Outline, Packet};
use changeover::units::{Instant, Pid, Pts90k, Span, Ticks27M};

use super::tape::{Tape, Unit};

pub const MS: i64 = 1_000_000;

/// A packet that left.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub at: i64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `delay`: its DTS is set on by so much more.
    Packet {
        feed: usize,
        number: u64,
        strip: bool,
        offset: i64,
        delay: i64,
    },
    Null,
    Pcr(Ticks27M),
}

/// A transition.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    pub plan: Plan,
    pub begun: i64,
    pub done: i64,
    pub cost: Option<Cost>,
}

pub struct Rig {
    pub splicer: Splicer,
    pub tapes: Vec<Tape>,
    pub window: i64,
    pub on_air: Option<OnAir>,
    pub constant: bool,
    arrived: Vec<usize>,
    /// The next packet of the feed on air and of the new one.
    next: usize,
    new: Option<(OnAir, usize)>,
    pub now: i64,
    pub sent: Vec<Sent>,
    handles: BTreeMap<(usize, u64), i32>,
    pub switches: Vec<Switch>,
    pub fallback: Option<Why>,
    is_sought: bool,
}

impl Rig {
    pub fn new(tapes: Vec<Tape>, window: i64, constant: bool, entry: Entry) -> Self {
        let settings = Settings { feeds: tapes.len(), window: Span::from_nanos(window), entry, capacity: 20_000 };
        let mut splicer = Splicer::new(&settings);
        for (n, tape) in tapes.iter().enumerate() {
            let analyser = tape.analysed();
            splicer.structure(n, analyser.programs(), analyser.streams(), |_| panic!("nothing waits"));
        }
        Self {
            splicer,
            arrived: vec![0; tapes.len()],
            tapes,
            window,
            on_air: Some(OnAir { feed: 0, offset: 0, extra: 0 }),
            constant,
            next: 0,
            new: None,
            now: 0,
            sent: Vec::new(),
            handles: BTreeMap::new(),
            switches: Vec::new(),
            fallback: None,
            is_sought: false,
        }
    }

    fn time(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    pub fn request(&self, to: usize, kind: Kind, planned: bool, alive: bool) -> Request {
        let limit = if planned { Request::LIMIT_PLANNED } else { Request::LIMIT_EMERGENCY };
        Request { from: self.on_air, to, kind, planned, alive, constant: self.constant, limit }
    }

    pub fn begin(&mut self, request: Request) {
        assert!(self.splicer.begin(request, &[], self.time()));
        self.is_sought = true;
        self.look();
    }

    fn due(&self, on_air: OnAir, next: usize) -> i64 {
        let tape = &self.tapes[on_air.feed];
        tape.at.get(next).map_or(i64::MAX, |at| at + self.window + on_air.extra)
    }

    /// Runs until this time.
    pub fn run(&mut self, until: i64) {
        loop {
            let arrival = (0..self.tapes.len())
                .filter_map(|f| self.tapes[f].at.get(self.arrived[f]).map(|&at| (at, f)))
                .min()
                .unwrap_or((i64::MAX, 0));
            let old = self.on_air.map_or(i64::MAX, |on_air| self.due(on_air, self.next));
            let new = self.new.map_or(i64::MAX, |(on_air, next)| self.due(on_air, next));
            let deadline = self.splicer.deadline().nanos().max(self.now);
            let next = arrival.0.min(old).min(new).min(deadline);
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if arrival.0 == next {
                let (feed, number) = (arrival.1, self.arrived[arrival.1]);
                let at = Instant::from_nanos(next);
                self.splicer.watch(feed, number as u64, at, Packet::new(&self.tapes[feed].packets[number]));
                self.arrived[feed] += 1;
                self.look();
            } else if old == next {
                let (on_air, number) = (self.on_air.unwrap(), self.next as u64);
                self.next += 1;
                self.leave(Side::Old, on_air, number);
            } else if new == next {
                let (on_air, number) = self.new.unwrap();
                self.new = Some((on_air, number + 1));
                self.leave(Side::New, on_air, number as u64);
            } else {
                let time = self.time();
                let outs = collect(|out| self.splicer.advance(time, out));
                self.take(&outs);
                self.look();
            }
            self.settle();
        }
    }

    /// Runs until the transition is over, or nothing came of it.
    pub fn finish(&mut self, within: i64) {
        let until = self.now + within;
        while self.now < until && self.fallback.is_none() && self.is_busy() {
            self.run(self.now + 5 * MS);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_sought || self.new.is_some()
    }

    fn look(&mut self) {
        match self.splicer.plan(self.time()) {
            Outcome::Wait => {}
            Outcome::Fallback(why) => self.fallback = Some(why),
            Outcome::Go(plan) => {
                self.is_sought = false;
                assert_eq!(plan.offset % 300, 0);
                assert!(plan.extra >= -self.window, "{plan:?}");
                assert!(plan.leaves.nanos() >= self.now - MS, "{plan:?} at {}", self.now);
                let on_air = OnAir { feed: plan.to, offset: plan.offset, extra: plan.extra };
                let first = plan.first as usize;
                assert!((self.due(on_air, first) - plan.leaves.nanos()).abs() < 1000, "{plan:?}");
                self.new = Some((on_air, first));
                self.switches.push(Switch { plan, begun: self.now, done: i64::MAX, cost: None });
            }
        }
    }

    fn leave(&mut self, side: Side, on_air: OnAir, number: u64) {
        let bytes = self.tapes[on_air.feed].packets[number as usize];
        let outline = Outline::of(Packet::new(&bytes));
        let time = self.time();
        let feed = on_air.feed;
        if !self.splicer.is_running() {
            self.splicer.sent(feed, on_air.offset, Packet::new(&bytes), None);
            self.put(What::Packet { feed, number, strip: false, offset: on_air.offset, delay: 0 });
            return;
        }
        let handle = Handle { frame: number as u32, offset: feed as u16 };
        *self.handles.entry((feed, number)).or_default() += 1;
        let leaving = Leaving { handle, outline, feed, alone: false };
        let outs = collect(|out| self.splicer.packet(side, leaving, &bytes, None, time, out));
        self.take(&outs);
    }

    fn take(&mut self, outs: &[Out]) {
        for out in outs {
            match *out {
                Out::Send { side, handle, outline, strip, enters } => {
                    let (feed, number) = (usize::from(handle.offset), u64::from(handle.frame));
                    let on_air = match side {
                        Side::Old => self.on_air.unwrap(),
                        Side::New => self.new.unwrap().0,
                    };
                    assert_eq!(on_air.feed, feed);
                    assert_eq!(self.tapes[feed].outline(number), outline);
                    *self.handles.get_mut(&(feed, number)).unwrap() -= 1;
                    self.put(What::Packet { feed, number, strip, offset: on_air.offset, delay: enters.unwrap_or(0) });
                }
                Out::Null => self.put(What::Null),
                Out::Pcr { value, .. } => self.put(What::Pcr(value)),
                Out::Drop(handle) => {
                    *self.handles.get_mut(&(usize::from(handle.offset), u64::from(handle.frame))).unwrap() -= 1;
                }
            }
        }
    }

    fn put(&mut self, what: What) {
        if let Some(pcr) = self.pcr(what) {
            self.splicer.clock(pcr, self.time());
        }
        self.sent.push(Sent { at: self.now, what });
    }

    /// The PCR of the first program that a packet of the output carries.
    fn pcr(&self, what: What) -> Option<Ticks27M> {
        match what {
            What::Packet { feed, number, strip: false, offset, .. } => {
                let packet = Packet::new(&self.tapes[feed].packets[number as usize]);
                let wrap = Ticks27M::WRAP as i64;
                packet.pcr().map(|pcr| Ticks27M(((pcr.0 as i64 + offset.rem_euclid(wrap)) % wrap) as u64))
            }
            What::Pcr(value) => Some(value),
            What::Packet { .. } | What::Null => None,
        }
    }

    fn settle(&mut self) {
        let time = self.time();
        if let Some(cost) = self.splicer.cost(time) {
            self.switches.last_mut().unwrap().cost = Some(cost);
        }
        if !self.splicer.finished(time) {
            return;
        }
        let (on_air, next) = self.new.take().unwrap();
        // what of the old feed is still due is not wanted
        self.on_air = Some(on_air);
        self.next = next;
        let switch = self.switches.last_mut().unwrap();
        assert!(switch.cost.is_some());
        switch.done = self.now;
        assert!(self.handles.values().all(|&count| count == 0), "handles that are kept");
        self.handles.clear();
    }

    /// Stops a transition.
    pub fn cancel(&mut self) {
        let outs = collect(|out| self.splicer.cancel(out));
        self.take(&outs);
        assert!(self.handles.values().all(|&count| count == 0), "handles that are kept");
    }

    /// Stops a transition if one runs, and goes on with its new feed.
    pub fn give_up(&mut self) {
        self.cancel();
        self.handles.clear();
        self.is_sought = false;
        if let Some((on_air, next)) = self.new.take() {
            (self.on_air, self.next) = (Some(on_air), next);
        }
    }

    /// What became of the `n`th stream of a kind of the output: its units in order.
    pub fn stream(&self, kind: StreamKind, n: usize) -> Track {
        let pids: Vec<Option<Pid>> = self.tapes.iter().map(|tape| tape.pids(kind).get(n).copied()).collect();
        let units: Vec<Vec<Unit>> =
            self.tapes.iter().zip(&pids).map(|(tape, pid)| pid.map_or(Vec::new(), |pid| tape.units(pid))).collect();
        let mut track = Track::default();
        let mut open: Option<(usize, usize, VecDeque<u64>)> = None;
        for sent in &self.sent {
            let What::Packet { feed, number, offset, delay, .. } = sent.what else { continue };
            let packet = Packet::new(&self.tapes[feed].packets[number as usize]);
            if Some(packet.pid()) != pids[feed] || !packet.has_payload() {
                continue;
            }
            if packet.payload_unit_start_indicator() {
                if let Some((_, _, left)) = open.take() {
                    track.truncated += u32::from(!left.is_empty());
                }
                let place = units[feed].iter().position(|unit| unit.numbers[0] == number).unwrap();
                let unit = &units[feed][place];
                let moved = |stamp: Pts90k, by: i64| Pts90k((stamp.0 as i64 + by).rem_euclid(1 << 33) as u64);
                let (pts, dts) = (moved(unit.pts, offset / 300), moved(unit.dts, offset / 300 + delay));
                let begun = sent.at;
                track.units.push(Shown { feed, pts, dts, entry: unit.entry, at: begun });
                open = Some((feed, place, unit.numbers.iter().skip(1).copied().collect()));
            } else if let Some((of, _, left)) = &mut open {
                assert_eq!((*of, left.pop_front()), (feed, Some(number)), "a packet that belongs to another unit");
            } else {
                assert!(track.units.is_empty());
            }
        }
        track
    }

    /// From each PCR of the output to the next: the longest, and the most that one is off the line of the engine's time.
    pub fn clock(&self) -> (i64, i64) {
        let mut pcrs = self.sent.iter().filter_map(|sent| Some((sent.at, self.pcr(sent.what)?)));
        let mut last = pcrs.next().unwrap();
        let (mut longest, mut off) = (0, 0);
        for (at, pcr) in pcrs {
            let step = pcr.step_from(last.1) * 1000 / 27;
            longest = longest.max(step);
            off = off.max((step - (at - last.0)).abs());
            last = (at, pcr);
        }
        (longest, off)
    }

    /// The most and the fewest packets in any `ns` nanoseconds between two times.
    pub fn rate(&self, ns: i64, from: i64, to: i64) -> (usize, usize) {
        let at: Vec<i64> = self.sent.iter().map(|s| s.at).filter(|at| (from..to).contains(at)).collect();
        let mut most = (0, usize::MAX);
        let (mut a, mut b) = (0, 0);
        for start in (from..to - ns).step_by(1_000_000) {
            while at.get(a).is_some_and(|&at| at < start) {
                a += 1;
            }
            while at.get(b).is_some_and(|&at| at < start + ns) {
                b += 1;
            }
            most = (most.0.max(b - a), most.1.min(b - a));
        }
        most
    }
}

fn collect(run: impl FnOnce(&mut dyn FnMut(Out))) -> Vec<Out> {
    let mut outs = Vec::new();
    run(&mut |out| outs.push(out));
    outs
}

/// A unit of the output.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub feed: usize,
    pub pts: Pts90k,
    pub dts: Pts90k,
    pub entry: bool,
    pub at: i64,
}

/// A stream of the output.
#[derive(Clone, Debug, Default)]
pub struct Track {
    pub units: Vec<Shown>,
    pub truncated: u32,
}

impl Track {
    /// That DTS rise; gives the steps between PTS in the order of presentation, without the first and last few.
    pub fn steps(&self) -> Vec<i64> {
        for pair in self.units.windows(2) {
            assert!(pair[1].dts.step_from(pair[0].dts) > 0, "DTS steps back: {pair:?}");
        }
        let first = self.units[0].pts;
        let mut pts: Vec<i64> = Vec::new();
        let mut last = (first, 0);
        for unit in &self.units {
            last = (unit.pts, last.1 + unit.pts.step_from(last.0));
            pts.push(last.1);
        }
        pts.sort_unstable();
        let pts = &pts[4..pts.len() - 8];
        pts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// That each first unit of another feed is one that decoding can begin with; how many there are.
    pub fn entries(&self) -> usize {
        let changes = self.units.windows(2).filter(|pair| pair[0].feed != pair[1].feed);
        changes.inspect(|pair| assert!(pair[1].entry, "{pair:?}")).count()
    }
}
