//! The transition: which packets of the two feeds leave, and in which slots.

use super::feed::{Feed, Left, Phase, Role, Stream};
use super::held::{Held, List, Pool, Stamp};
use super::judge::{Verdict, stop};
use super::line::{Line, lasting, later};
use super::plan::Choice;
use super::unit::Unit;
use super::{Cost, Leaving, OnAir, Out, Plan, Request, Side};
use crate::ts::Packet;
use crate::ts::pes::Header;
use crate::units::{Instant, Pid, Pts90k, Span};

/// How long after its presentation time should have come the old feed is waited for.
const PATIENCE: i64 = 9_000;
/// What waits leaves without a slot when none came for so long, and so many packets then.
const SLOTLESS: Span = Span::from_millis(20);
const AT_ONCE: usize = 8;
/// How long streams of the new feed that did not begin are waited for.
const COMPLETE: Span = Span::from_secs(5);
/// The same of those that have something to say now and then: so that one that was begun before is over.
const SECTION: Span = Span::from_secs(1);
/// So long after the new feed's first packet left the cost is told, whatever is not known of it yet.
const TOLD: Span = Span::from_secs(1);
/// So long what waits may go on leaving where the transition is to end at once.
const HASTE: Span = Span::from_millis(100);
/// A step between time stamps that is none of the same time line: ten seconds.
pub(super) const JUMP: i64 = 900_000;

/// A transition that runs.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) request: Request,
    /// The new feed's first unit of the stream that decides, and by how much more its DTS is set on there.
    pub(super) target: Stamp,
    pub(super) delay: i64,
    pub(super) cut: Pts90k,
    /// The feed whose packets make the slots.
    pub(super) master: Side,
    /// When that became the new one.
    pub(super) turned: Instant,
    /// When the last slot was, and when something of the old feed last came.
    pub(super) slot: Instant,
    pub(super) heard: Instant,
    /// Slots in which something waited.
    pub(super) slots: u32,
    /// Nothing more is wanted of the old feed.
    pub(super) over: bool,
    /// When it has to end, though something may still wait.
    pub(super) ends: Instant,
    /// The streams that decide are of one kind.
    pub(super) is_like: bool,
    /// The old feed's packets that wait for a slot.
    pub(super) waiting: List,
    pub(super) cost: Cost,
    /// It was told.
    told: bool,
}

impl Run {
    pub(super) fn new(request: &Request, choice: &Choice, now: Instant, feeds: &mut [Feed]) -> Self {
        let plan = choice.plan;
        let kind = |feed: usize| feeds.get(feed).and_then(Feed::lead).map(|lead| lead.kind);
        let is_like = request.from.is_some_and(|from| kind(from.feed) == kind(plan.to));
        if let Some(feed) = feeds.get_mut(plan.to) {
            feed.begun.fill(0);
            for stream in &mut feed.streams {
                (stream.phase, stream.left) = (Phase::Waiting, Left::default());
                (stream.cut, stream.untrimmed, stream.pending) = (true, false, 0);
            }
        }
        if let Some(feed) = request.from.and_then(|from| feeds.get_mut(from.feed)) {
            for stream in &mut feed.streams {
                (stream.phase, stream.pending, stream.cut, stream.left.end) = (Phase::Passing, 0, false, None);
            }
        }
        let cost = Cost {
            kind: plan.kind,
            extra: plan.extra,
            hole: Span::ZERO,
            audio_hole: Span::ZERO,
            truncated: 0,
            left_out: 0,
            overrun: 0,
        };
        Self {
            plan,
            request: *request,
            target: choice.target,
            delay: choice.delay,
            cut: choice.cut,
            master: Side::Old,
            turned: Instant::NEVER,
            slot: now,
            heard: now,
            slots: 0,
            over: false,
            ends: Instant::NEVER,
            is_like,
            waiting: List::default(),
            cost,
            told: false,
        }
    }

    pub(super) fn deadline(&self, has_waiting: bool) -> Instant {
        let slot = if has_waiting { self.slot + SLOTLESS } else { Instant::NEVER };
        if self.master == Side::Old {
            return slot;
        }
        let old = if self.over { Instant::NEVER } else { self.slot + SLOTLESS };
        let told = if self.told { Instant::NEVER } else { self.turned + TOLD };
        slot.min(old).min(told).min(self.ends)
    }

    pub(super) fn old_feed(&self) -> Option<usize> {
        self.request.from.map(|from| from.feed)
    }
}

/// A transition and all that it works on.
pub(super) struct Mix<'a> {
    pub(super) feeds: &'a mut [Feed],
    pub(super) pool: &'a mut Pool,
    pub(super) run: &'a mut Run,
    pub(super) line: Line,
    pub(super) window: Span,
    pub(super) now: Instant,
    /// The head of the PES packet that begins in the packet at hand, where it goes on in the next.
    pub(super) head: Option<Header>,
}

impl Mix<'_> {
    pub(super) fn old(&mut self, leaving: Leaving, packet: Packet<'_>, out: &mut impl FnMut(Out)) {
        let Some(from) = self.run.request.from else {
            out(Out::Drop(leaving.handle));
            return;
        };
        self.run.heard = self.now;
        let wanted = !self.run.over && self.judge_old(from.feed, from.offset, packet);
        let pid = packet.pid();
        if self.run.master == Side::Old {
            self.run.slot = self.now;
            if wanted {
                let (handle, outline) = (leaving.handle, leaving.outline);
                out(Out::Send { side: Side::Old, handle, outline, strip: false, enters: None });
            } else {
                if let Some(pcr) = packet.pcr() {
                    out(Out::Pcr { side: Side::Old, pid, value: pcr.later(from.offset) });
                } else if self.run.request.constant {
                    out(Out::Null);
                }
                out(Out::Drop(leaving.handle));
            }
        } else if wanted {
            let last = self.feeds.get(from.feed).and_then(|feed| feed.stream(pid)).and_then(|stream| stream.left.last);
            let held = Held {
                side: Side::Old,
                handle: leaving.handle,
                outline: leaving.outline,
                strip: packet.has_pcr(),
                start: packet.payload_unit_start_indicator(),
                since: self.now,
                stamp: last,
                enters: None,
            };
            self.make_room(out);
            if self.pool.push(&mut self.run.waiting, held) {
                if let Some(stream) = self.feeds.get_mut(from.feed).and_then(|feed| feed.stream_mut(pid)) {
                    stream.pending += 1;
                }
            } else {
                self.run.cost.overrun += 1;
                out(Out::Drop(leaving.handle));
            }
        } else {
            out(Out::Drop(leaving.handle));
        }
        self.settle();
    }

    pub(super) fn new_(&mut self, leaving: Leaving, packet: Packet<'_>, out: &mut impl FnMut(Out)) {
        let (handle, outline, pid) = (leaving.handle, leaving.outline, packet.pid());
        if self.run.master == Side::Old {
            self.turn();
        }
        self.settle();
        self.run.slot = self.now;
        let (feed, offset) = (self.run.plan.to, self.run.plan.offset);
        let send = |enters| Out::Send { side: Side::New, handle, outline, strip: false, enters };
        let pcr = packet.pcr().map(|pcr| Out::Pcr { side: Side::New, pid, value: pcr.later(offset) });
        let is_null = pid == Pid::NULL;
        let verdict = if is_null { Verdict::Drop } else { self.judge_new(feed, offset, packet) };
        let place = self.feeds.get(feed).and_then(|feed| feed.place(pid));
        match verdict {
            Verdict::Drop if is_null && self.pool.is_empty() => out(send(None)),
            Verdict::Drop => {
                match pcr {
                    Some(pcr) => out(pcr),
                    None => self.fill(None, out),
                }
                out(Out::Drop(handle));
            }
            Verdict::Take { stamp, enters } => {
                let waits = place.is_some_and(|place| !self.is_open(place));
                if !waits {
                    out(send(enters));
                } else if packet.has_payload() {
                    self.hold(place.unwrap_or(0), leaving, packet, (stamp, enters), out);
                    match pcr {
                        Some(pcr) => out(pcr),
                        None => self.fill(place, out),
                    }
                } else {
                    match pcr {
                        Some(pcr) => out(pcr),
                        None => self.fill(place, out),
                    }
                    out(Out::Drop(handle));
                }
            }
        }
        if !self.run.request.constant || self.is_urgent() {
            self.pop(out);
        }
        self.settle();
    }

    /// From now on the new feed makes the slots.
    fn turn(&mut self) {
        self.run.master = Side::New;
        self.run.turned = self.now;
        if let Some(feed) = self.run.old_feed().and_then(|feed| self.feeds.get_mut(feed)) {
            for stream in &mut feed.streams {
                let decides = matches!(stream.role, Role::Lead | Role::Sound);
                if !decides && !stream.left.unit.is_open() {
                    stop(stream, None);
                }
            }
        } else {
            self.run.over = true;
        }
    }

    /// Whether the old feed is done with.
    fn settle(&mut self) {
        let run = &mut *self.run;
        if run.over {
            return;
        }
        let Some(from) = run.request.from else {
            run.over = run.master == Side::New;
            return;
        };
        if run.master == Side::Old {
            return;
        }
        let Some(feed) = self.feeds.get(from.feed) else { return };
        let delay = self.window.nanos().saturating_add(from.extra);
        let is_drained = self.now > feed.drained(delay).max(later(run.heard, 50_000_000));
        let shown = self.line.at(self.now).map(|pcr| Pts90k(pcr.0 / 300));
        let is_past = shown.is_some_and(|shown| shown.step_from(run.target.pts) > PATIENCE);
        if feed.streams.iter().all(|stream| stream.phase == Phase::Stopped) {
            run.over = true;
        } else if is_drained || is_past {
            self.give_up();
        }
    }

    /// Waits for nothing of the old feed any more.
    pub(super) fn give_up(&mut self) {
        self.run.over = true;
        let Some(OnAir { feed, offset, .. }) = self.run.request.from else { return };
        let Some(feed) = self.feeds.get_mut(feed) else { return };
        for stream in feed.streams.iter_mut().filter(|stream| stream.phase != Phase::Stopped) {
            // of what was begun, all that came has left
            let is_last = stream.latest.map(|latest| latest.moved(offset)) == stream.left.last;
            let is_truncated = is_last && stream.arrived.is_open() && stream.left.unit.is_open();
            self.run.cost.truncated += u32::from(stream.role != Role::Other && is_truncated);
            stop(stream, None);
        }
    }

    pub(super) fn advance(&mut self, out: &mut impl FnMut(Out)) {
        self.settle();
        if self.now >= self.run.slot + SLOTLESS {
            self.run.slot = self.now;
            for _ in 0..AT_ONCE {
                if !self.pop(out) {
                    break;
                }
            }
        }
    }

    /// Another switch cannot wait for the end: nothing but what waits leaves of the old feed any more, and what waits leaves as fast as
    /// it may. False where nothing waits.
    pub(super) fn hasten(&mut self) -> bool {
        if self.run.ends == Instant::NEVER {
            self.run.ends = self.now + HASTE;
            self.give_up();
        }
        !self.is_overtaken()
    }

    /// Whether the switch that cannot wait can be begun.
    pub(super) fn is_overtaken(&self) -> bool {
        self.run.ends != Instant::NEVER && (self.pool.is_empty() || self.run.ends <= self.now)
    }

    /// What it cost, once: when the streams that decide have gone over, or after a second with what is known by then.
    pub(super) fn told(&mut self) -> Option<Cost> {
        self.settle();
        let run = &*self.run;
        let feed = self.feeds.get(run.plan.to)?;
        let decides = |stream: &&Stream| matches!(stream.role, Role::Lead | Role::Sound);
        let has_gone = |stream: &Stream| stream.phase == Phase::Passing && !stream.untrimmed;
        let is_over = run.over && feed.streams.iter().filter(decides).all(has_gone);
        if run.told || run.master == Side::Old || !(is_over || self.now.since(run.turned) >= TOLD) {
            return None;
        }
        self.run.told = true;
        Some(self.cost())
    }

    fn cost(&self) -> Cost {
        let run = &*self.run;
        let old = run.old_feed().and_then(|feed| self.feeds.get(feed)).and_then(Feed::lead);
        let hole = old.and_then(|old| old.left.end).map_or(0, |end| run.target.pts.step_from(end));
        let hole = lasting(hole.clamp(0, JUMP));
        // sound that did not come yet has been silent so long at the least
        let shown = self.line.at(self.now).map(|pcr| Pts90k(pcr.0 / 300));
        let streams = self.feeds.get(run.plan.to).map_or(&[][..], |feed| &feed.streams);
        let awaited = streams.iter().filter(|stream| stream.role == Role::Sound && stream.phase == Phase::Waiting);
        let silent = awaited.filter_map(|stream| Some(shown?.step_from(self.pair(stream)?.left.end?)));
        let audio_hole = lasting(silent.max().unwrap_or(0).clamp(0, JUMP)).max(run.cost.audio_hole);
        Cost { hole, audio_hole, ..run.cost }
    }

    /// Whether everything comes from the new feed.
    pub(super) fn is_finished(&mut self) -> bool {
        self.settle();
        let run = &*self.run;
        if run.master == Side::Old || !run.over || !self.pool.is_empty() {
            return false;
        }
        let since = self.now.since(run.turned);
        let is_awaited = |stream: &Stream| {
            stream.phase != Phase::Passing && since < if stream.role == Role::Other { SECTION } else { COMPLETE }
        };
        self.feeds.get(run.plan.to).is_some_and(|feed| !feed.streams.iter().any(is_awaited))
    }

    /// Nothing is waited for any more: what it cost, if that was not told. Where a stream of the new feed did not begin, what is to
    /// follow it follows that of the old one.
    pub(super) fn stop(&mut self) -> Option<Cost> {
        if !self.run.over {
            self.give_up();
        }
        let cost = (!core::mem::replace(&mut self.run.told, true)).then(|| self.cost());
        let streams = self.feeds.get(self.run.plan.to).map_or(0, |feed| feed.streams.len());
        for place in 0..streams {
            let stream = self.feeds.get(self.run.plan.to).and_then(|feed| feed.streams.get(place));
            let before = stream.filter(|stream| stream.left.last.is_none()).and_then(|stream| self.pair(stream));
            let Some(left) = before.map(|pair| Left { unit: Unit::Unknown, ..pair.left }) else { continue };
            let stream = self.feeds.get_mut(self.run.plan.to).and_then(|feed| feed.streams.get_mut(place));
            if let Some(stream) = stream {
                stream.left = left;
            }
        }
        cost
    }
}
