//! The transition: which packets of the two feeds leave, and in which slots.

use super::feed::{Feed, Left, Phase, Role, Stream, stamp_of};
use super::held::{Held, List, Pool, Stamp, add};
use super::line::{Line, lasting, later, shift};
use super::plan::Choice;
use super::{Cost, Leaving, OnAir, Out, Plan, Request, Side};
use crate::ts::Packet;
use crate::units::{Instant, Pid, Pts90k, Span};

/// By how much a PES packet of sound may begin before the end of the one it follows: 1 ms.
const OVERLAP: i64 = 90;
/// How long after its presentation time should have come the old feed is waited for.
const PATIENCE: i64 = 9_000;
/// An access unit that has less time than this before its DTS does not wait for a slot.
const URGENT: i64 = 50 * 90;
/// If it waited so long at all: what comes late from its feed is not hurried.
const WAITED: Span = Span::from_millis(20);
/// How long an output of constant rate waits for null packets to give way, and of how many slots one is then used twice.
const PATIENT: Span = Span::from_secs(3);
const SPARED: u32 = 8;
/// What waits leaves without a slot when none came for so long, and so many packets then.
const SLOTLESS: Span = Span::from_millis(20);
const AT_ONCE: usize = 8;
/// How long streams of the new feed that did not begin are waited for.
const COMPLETE: Span = Span::from_secs(5);
/// A step between time stamps that is none of the same time line: ten seconds.
const JUMP: i64 = 900_000;

/// A transition that runs.
#[derive(Debug)]
pub(super) struct Run {
    plan: Plan,
    request: Request,
    /// The new feed's first unit of the stream that decides.
    target: Stamp,
    cut: Pts90k,
    /// The feed whose packets make the slots.
    master: Side,
    /// When that became the new one.
    turned: Instant,
    /// When the last slot was, and when something of the old feed last came.
    slot: Instant,
    heard: Instant,
    /// Slots in which something waited.
    slots: u32,
    /// Nothing more is wanted of the old feed.
    over: bool,
    /// The streams that decide are of one kind.
    is_like: bool,
    /// The old feed's packets that wait for a slot.
    pub(super) waiting: List,
    cost: Cost,
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
            cut: choice.cut,
            master: Side::Old,
            turned: Instant::NEVER,
            slot: now,
            heard: now,
            slots: 0,
            over: false,
            is_like,
            waiting: List::default(),
            cost,
        }
    }

    pub(super) fn deadline(&self, has_waiting: bool) -> Instant {
        let slot = if has_waiting { self.slot + SLOTLESS } else { Instant::NEVER };
        let old = if self.over || self.master == Side::Old { Instant::NEVER } else { self.slot + SLOTLESS };
        slot.min(old)
    }

    fn old_feed(&self) -> Option<usize> {
        self.request.from.map(|from| from.feed)
    }
}

/// What becomes of a packet of the new feed.
enum Verdict {
    Drop,
    Take(Option<Stamp>),
}

/// A transition and all that it works on.
pub(super) struct Mix<'a> {
    pub(super) feeds: &'a mut [Feed],
    pub(super) pool: &'a mut Pool,
    pub(super) run: &'a mut Run,
    pub(super) line: Line,
    pub(super) window: Span,
    pub(super) now: Instant,
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
                out(Out::Send { side: Side::Old, handle, outline, strip: false });
            } else {
                if let Some(pcr) = packet.pcr() {
                    out(Out::Pcr { side: Side::Old, pid, value: shift(pcr, from.offset) });
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

    /// Whether a packet of the old feed is wanted.
    fn judge_old(&mut self, feed: usize, offset: i64, packet: Packet<'_>) -> bool {
        let run = &mut *self.run;
        let is_master = run.master == Side::Old;
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.stream_mut(packet.pid())) else {
            return is_master;
        };
        if stream.phase == Phase::Stopped {
            return false;
        }
        if !packet.has_payload() {
            return is_master;
        }
        let decides = matches!(stream.role, Role::Lead | Role::Sound);
        let start = packet.payload_unit_start_indicator();
        if start {
            let raw = stamp_of(packet);
            let stamp = raw.map(|stamp| stamp.moved(offset));
            let is_broken = !run.request.alive && raw.is_some_and(|raw| stream.ends_with(raw));
            let is_over = match (stream.role, stamp) {
                (Role::Lead, Some(stamp)) => {
                    stamp.pts.step_from(run.cut) >= -(stream.length() / 2)
                        || run.is_like && stamp.dts.step_from(run.target.dts) >= 0
                }
                (Role::Sound, Some(stamp)) => stamp.pts.step_from(run.target.pts) >= -2,
                (Role::Lead | Role::Sound, None) | (Role::Video | Role::OtherSound | Role::Other, _) => !is_master,
            };
            if is_over || is_broken {
                stop(stream, stamp);
                return false;
            }
            if let Some(stamp) = stamp {
                stream.left.begin(stamp);
            }
        }
        stream.left.unit.push(start, packet.payload());
        if !is_master && !decides && !stream.left.unit.is_open() {
            stop(stream, None);
        }
        true
    }

    pub(super) fn new_(&mut self, leaving: Leaving, packet: Packet<'_>, out: &mut impl FnMut(Out)) {
        let (handle, outline, pid) = (leaving.handle, leaving.outline, packet.pid());
        if self.run.master == Side::Old {
            self.turn();
        }
        self.settle();
        self.run.slot = self.now;
        let (feed, offset) = (self.run.plan.to, self.run.plan.offset);
        let send = Out::Send { side: Side::New, handle, outline, strip: false };
        let pcr = packet.pcr().map(|pcr| Out::Pcr { side: Side::New, pid, value: shift(pcr, offset) });
        let is_null = pid == Pid::NULL;
        let verdict = if is_null { Verdict::Drop } else { self.judge_new(feed, offset, packet) };
        let place = self.feeds.get(feed).and_then(|feed| feed.place(pid));
        match verdict {
            Verdict::Drop if is_null && self.pool.is_empty() => out(send),
            Verdict::Drop => {
                match pcr {
                    Some(pcr) => out(pcr),
                    None => self.fill(None, out),
                }
                out(Out::Drop(handle));
            }
            Verdict::Take(stamp) => {
                let waits = place.is_some_and(|place| !self.is_open(place));
                if !waits {
                    out(send);
                } else if packet.has_payload() {
                    self.hold(place.unwrap_or(0), leaving, packet, stamp, out);
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

    fn judge_new(&mut self, feed: usize, offset: i64, packet: Packet<'_>) -> Verdict {
        let pid = packet.pid();
        let start = packet.payload_unit_start_indicator() && packet.has_payload();
        let Some(place) = self.feeds.get(feed).and_then(|feed| feed.place(pid)) else {
            return self.judge_other(feed, pid, start, packet.has_payload());
        };
        let raw = if start { stamp_of(packet) } else { None };
        let stamp = raw.map(|stamp| stamp.moved(offset));
        let is_entry = raw.is_some_and(|raw| self.feeds.get(feed).is_some_and(|feed| feed.is_entry(pid, raw)));
        let Some(stream) = self.feeds.get(feed).and_then(|feed| feed.streams.get(place)) else { return Verdict::Drop };
        let pair = self.pair(stream);
        let rises = stamp.is_none_or(|stamp| {
            pair.and_then(|pair| pair.left.last)
                .is_none_or(|last| !(-JUMP..=0).contains(&stamp.dts.step_from(last.dts)))
        });
        let begins = start
            && match stream.role {
                Role::Lead => {
                    let target = self.run.target;
                    stamp.is_some_and(|stamp| stamp == target || is_entry && stamp.pts.step_from(target.pts) >= 0)
                }
                Role::Sound => {
                    let floor = self.sound_floor(pair);
                    rises && stamp.zip(floor).is_none_or(|(s, floor)| s.pts.step_from(floor) >= -OVERLAP)
                }
                Role::Video => rises && is_entry,
                Role::OtherSound => rises,
                Role::Other => true,
            };
        let is_open = self.is_released(stream);
        let end = pair.and_then(|pair| pair.left.end);
        let silence = stamp.zip(end).map_or(0, |(stamp, end)| stamp.pts.step_from(end));
        let silence = lasting(silence.clamp(0, JUMP));
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else {
            return Verdict::Drop;
        };
        if !packet.has_payload() {
            return if stream.phase == Phase::Waiting { Verdict::Drop } else { Verdict::Take(None) };
        }
        if start {
            stream.cut = false;
            match stream.phase {
                Phase::Waiting if begins => {
                    let is_video = matches!(stream.role, Role::Lead | Role::Video);
                    stream.phase = if is_video { Phase::Leading { out: false } } else { Phase::Passing };
                    stream.untrimmed = stream.role == Role::Sound && !is_open;
                    if stream.role == Role::Sound && is_open {
                        self.run.cost.audio_hole = self.run.cost.audio_hole.max(silence);
                    }
                }
                Phase::Waiting => stream.cut = true,
                Phase::Leading { .. } => {
                    let entry = stream.left.max;
                    let leads = stamp.zip(entry).is_some_and(|(s, entry)| s.pts.step_from(entry) < 0);
                    stream.phase = if leads { Phase::Leading { out: true } } else { Phase::Passing };
                    stream.cut = leads;
                    self.run.cost.left_out += u32::from(leads);
                }
                Phase::Passing | Phase::Stopped => {}
            }
        }
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else {
            return Verdict::Drop;
        };
        if stream.cut {
            return Verdict::Drop;
        }
        if let Some(stamp) = stamp {
            stream.left.begin(stamp);
        }
        stream.left.unit.push(start, packet.payload());
        Verdict::Take(stream.left.last)
    }

    /// A packet of a PID whose units are not followed: from the first that begins.
    fn judge_other(&mut self, feed: usize, pid: Pid, start: bool, has_payload: bool) -> Verdict {
        let word = self.feeds.get_mut(feed).and_then(|feed| feed.begun.get_mut(pid.index() / 64));
        let Some(word) = word else { return Verdict::Drop };
        let bit = 1 << (pid.index() % 64);
        *word |= if start { bit } else { 0 };
        if *word & bit != 0 || !has_payload { Verdict::Take(None) } else { Verdict::Drop }
    }

    /// The stream of the old feed that a stream of the new one follows.
    fn pair(&self, stream: &Stream) -> Option<&Stream> {
        self.feeds.get(self.run.old_feed()?)?.stream(stream.pair?)
    }

    /// Sound of the new feed that begins before is not wanted.
    fn sound_floor(&self, pair: Option<&Stream>) -> Option<Pts90k> {
        let from = self.run.request.from?;
        let target = self.run.target.pts;
        let Some(pair) = pair else { return Some(target) };
        if pair.phase == Phase::Stopped {
            return pair.left.end;
        }
        if self.run.request.alive {
            return Some(target);
        }
        // what came of it is all that there is
        let latest = pair.latest?.moved(from.offset).pts;
        let end = if pair.arrived.is_open() { latest } else { add(latest, pair.length()) };
        Some(if end.step_from(target) < 0 { end } else { target })
    }

    /// Whether nothing of the old feed is to go before a stream of the new one.
    fn is_released(&self, stream: &Stream) -> bool {
        self.pair(stream).is_none_or(|pair| pair.phase == Phase::Stopped && pair.pending == 0)
    }

    /// Whether a packet of a stream of the new feed can leave at once.
    fn is_open(&self, place: usize) -> bool {
        let stream = self.feeds.get(self.run.plan.to).and_then(|feed| feed.streams.get(place));
        stream.is_none_or(|stream| stream.list.is_empty() && self.is_released(stream))
    }

    fn hold(
        &mut self,
        place: usize,
        leaving: Leaving,
        packet: Packet<'_>,
        stamp: Option<Stamp>,
        out: &mut impl FnMut(Out),
    ) {
        self.make_room(out);
        let held = Held {
            side: Side::New,
            handle: leaving.handle,
            outline: leaving.outline,
            strip: packet.has_pcr(),
            start: packet.payload_unit_start_indicator(),
            since: self.now,
            stamp,
        };
        let stream = self.feeds.get_mut(self.run.plan.to).and_then(|feed| feed.streams.get_mut(place));
        let is_held = stream.is_some_and(|stream| {
            let is_held = self.pool.push(&mut stream.list, held);
            stream.cut |= !is_held;
            is_held
        });
        if !is_held {
            self.run.cost.overrun += 1;
            out(Out::Drop(leaving.handle));
        }
    }

    /// Before a packet is put where there is no room, the one that is to leave first does; if none may, the old feed is
    /// waited for no longer.
    fn make_room(&mut self, out: &mut impl FnMut(Out)) {
        if self.pool.is_full() && !self.pop(out) {
            self.give_up();
            self.pop(out);
        }
    }

    /// What leaves in a slot whose own packet does not: the first that waits, of this stream if it may.
    fn fill(&mut self, place: Option<usize>, out: &mut impl FnMut(Out)) {
        let is_sent = match place {
            Some(place) if self.run.waiting.is_empty() => self.pop_of(place, out) || self.pop(out),
            Some(_) | None => self.pop(out),
        };
        if !is_sent && self.run.request.constant {
            out(Out::Null);
        }
    }

    /// The next packet that waits and may leave; false where there is none. Those of the old feed go first, and of the others
    /// the one that is decoded first.
    fn pop(&mut self, out: &mut impl FnMut(Out)) -> bool {
        if let Some(held) = self.pool.pop(&mut self.run.waiting) {
            let feed = self.run.old_feed().and_then(|feed| self.feeds.get_mut(feed));
            if let Some(stream) = feed.and_then(|feed| feed.stream_mut(held.outline.pid())) {
                stream.pending = stream.pending.saturating_sub(1);
            }
            send(&held, out);
            return true;
        }
        while let Some((place, _)) = self.next() {
            if self.pop_of(place, out) {
                return true;
            }
        }
        false
    }

    /// The stream of the new feed whose first packet is to leave next, and the DTS of that.
    fn next(&self) -> Option<(usize, Option<Pts90k>)> {
        if self.pool.is_empty() {
            return None;
        }
        let mut best: Option<(usize, Option<Pts90k>)> = None;
        for (place, stream) in self.feeds.get(self.run.plan.to)?.streams.iter().enumerate() {
            let Some(held) = self.pool.first(&stream.list) else { continue };
            if !self.is_released(stream) {
                continue;
            }
            let dts = held.stamp.map(|stamp| stamp.dts);
            let is_sooner = best.is_none_or(|(_, known)| match (dts, known) {
                (Some(dts), Some(known)) => dts.step_from(known) < 0,
                (None, Some(_)) => true,
                (_, None) => false,
            });
            if is_sooner {
                best = Some((place, dts));
            }
        }
        best
    }

    /// The first packet that waits of a stream of the new feed; false where none is left.
    fn pop_of(&mut self, place: usize, out: &mut impl FnMut(Out)) -> bool {
        let Some(stream) = self.feeds.get(self.run.plan.to).and_then(|feed| feed.streams.get(place)) else {
            return false;
        };
        if !self.is_released(stream) {
            return false;
        }
        if stream.untrimmed {
            self.trim(place, out);
        }
        let stream = self.feeds.get_mut(self.run.plan.to).and_then(|feed| feed.streams.get_mut(place));
        let held = stream.and_then(|stream| self.pool.pop(&mut stream.list));
        if let Some(held) = &held {
            send(held, out);
        }
        held.is_some()
    }

    /// Gives back what waits of a stream of sound and begins before the end of what it follows.
    fn trim(&mut self, place: usize, out: &mut impl FnMut(Out)) {
        let feed = self.run.plan.to;
        let Some(stream) = self.feeds.get(feed).and_then(|feed| feed.streams.get(place)) else { return };
        let end = self.pair(stream).and_then(|pair| pair.left.end);
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else { return };
        while let Some(held) = self.pool.first(&stream.list) {
            let early = end.zip(held.stamp).is_some_and(|(end, stamp)| stamp.pts.step_from(end) < -OVERLAP);
            if !early && held.start {
                stream.untrimmed = false;
                let hole = end.zip(held.stamp).map_or(0, |(end, stamp)| stamp.pts.step_from(end));
                self.run.cost.audio_hole = self.run.cost.audio_hole.max(lasting(hole.min(JUMP)));
                return;
            }
            if let Some(held) = self.pool.pop(&mut stream.list) {
                out(Out::Drop(held.handle));
            }
        }
        // the unit that comes in goes the same way
        (stream.untrimmed, stream.phase, stream.cut) = (false, Phase::Waiting, true);
    }

    /// Whether what is to leave next would be late for its DTS, or has no other slots.
    fn is_urgent(&mut self) -> bool {
        if self.pool.is_empty() {
            return false;
        }
        let run = &mut *self.run;
        run.slots = run.slots.wrapping_add(1);
        if run.slots % SPARED == 0 && self.now.since(run.turned) > PATIENT {
            return true;
        }
        let place = self.next().map(|(place, _)| place);
        let stream = place.and_then(|place| self.feeds.get(self.run.plan.to)?.streams.get(place));
        let held = self.pool.first(&self.run.waiting).or_else(|| self.pool.first(&stream?.list));
        let Some(held) = held.filter(|held| self.now.since(held.since) > WAITED) else { return false };
        let now = self.line.at(self.now).map(|pcr| Pts90k(pcr.0 / 300));
        held.stamp.zip(now).is_some_and(|(stamp, now)| stamp.dts.step_from(now) < URGENT)
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
    fn give_up(&mut self) {
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

    pub(super) fn finished(&mut self) -> Option<Cost> {
        self.settle();
        let run = &*self.run;
        if run.master == Side::Old || !run.over || !self.pool.is_empty() {
            return None;
        }
        let feed = self.feeds.get(run.plan.to)?;
        let is_whole = |stream: &Stream| stream.role == Role::Other || stream.phase == Phase::Passing;
        if !feed.streams.iter().all(is_whole) && self.now.since(run.turned) < COMPLETE {
            return None;
        }
        let old = run.old_feed().and_then(|feed| self.feeds.get(feed)).and_then(Feed::lead);
        let hole = old.and_then(|old| old.left.end).map_or(0, |end| run.target.pts.step_from(end));
        Some(Cost { hole: lasting(hole.clamp(0, JUMP)), ..run.cost })
    }
}

/// A stream of the old feed ends before the unit with this stamp, or where it is.
fn stop(stream: &mut Stream, refused: Option<Stamp>) {
    stream.phase = Phase::Stopped;
    let (length, left) = (stream.length(), &mut stream.left);
    left.end = match (stream.role, left.max, left.last) {
        (Role::Lead | Role::Video, Some(max), _) => Some(add(max, length)),
        (_, _, Some(last)) => {
            // the next one tells how long the last one is, if it follows it
            let next = refused.map(|next| next.pts).filter(|next| (1..=4 * length).contains(&next.step_from(last.pts)));
            Some(next.unwrap_or(add(last.pts, length)))
        }
        (_, _, None) => None,
    };
}

fn send(held: &Held, out: &mut impl FnMut(Out)) {
    let Held { side, handle, outline, strip, .. } = *held;
    out(Out::Send { side, handle, outline, strip });
}
