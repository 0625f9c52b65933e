//! Where the new feed begins: the pairs of a place to leave the old feed and one to enter the new, tried in turn.

use super::feed::{Feed, Left, Mark, Role, Stream};
use super::held::{Stamp, add};
use super::line::{Line, lasting, later};
use super::{Entry, Kind, OnAir, Plan, Request, Settings, Why};
use crate::units::{Instant, Pid, Pts90k, Span};

/// The most places to leave the old feed that are tried.
const ENDS: usize = 160;
/// How far ahead places are foretold, in ticks of 90 kHz: the most that decoders' buffers differ by.
const AHEAD: i64 = 90_000 * 12 / 10;
/// The most that a new feed leaves later than it is due.
const LATE_PLANNED: i64 = 1_000_000_000;
const LATE: i64 = 3_000_000_000;
/// The oldest entry that is kept.
const CACHED: Span = Span::from_secs(3);
/// How long before a packet leaves it is settled that it does.
const SETTLED: Span = Span::from_millis(20);
/// How long after it is due an entry is not yet missed: it is known by its first slice, some packets further on.
const GRACE: Span = super::GRACE;
/// What times of arrival may be off by.
const SLACK: Span = Span::from_millis(2);
/// A locked feed is entered in an emergency with a cached entry only if it can be by then.
const SOON: Span = Span::from_millis(200);

/// A switch for which a place is sought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seek {
    pub(super) request: Request,
    pub(super) begun: Instant,
    /// When it was last looked for, and what was known then.
    pub(super) looked: Option<(Instant, u32)>,
}

/// A place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) plan: Plan,
    /// The new feed's first picture, in the output's time, and by how much more its DTS is set on there.
    pub(super) target: Stamp,
    pub(super) delay: i64,
    /// The old feed's first picture that is not sent is presented then or later.
    pub(super) cut: Pts90k,
}

/// What came of looking.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Place(Choice),
    NotYet(Why),
    Never(Why),
}

/// Where the old feed can be left.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Where presentation goes on, in the output's time.
    join: Pts90k,
    /// The last DTS before.
    dts: Option<Pts90k>,
    /// It is there, and not only foretold.
    known: bool,
}

/// The places to leave the old feed, the earliest first.
#[derive(Clone, Copy, Debug)]
struct Ends {
    ends: [End; ENDS],
    len: usize,
}

impl Ends {
    fn push(&mut self, end: End) {
        if let Some(to) = self.ends.get_mut(self.len) {
            *to = end;
            self.len += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &End> {
        self.ends.iter().take(self.len)
    }
}

/// What one entry offers.
enum Fit {
    Go(Choice),
    /// Perhaps later.
    Wait,
    /// Not this one.
    No,
}

/// All that a choice hangs on.
pub(super) struct View<'a> {
    pub(super) feeds: &'a [Feed],
    pub(super) line: Line,
    pub(super) settings: &'a Settings,
    pub(super) request: &'a Request,
    pub(super) begun: Instant,
    pub(super) now: Instant,
}

impl<'a> View<'a> {
    pub(super) fn look(&self) -> Found {
        let request = self.request;
        let Some(new) = self.feeds.get(request.to) else { return Found::Never(Why::NoStreams) };
        if request.from.is_some_and(|from| from.feed == request.to) {
            return Found::Never(Why::NoPlace);
        }
        let Some(lead) = new.lead() else {
            return if new.streams.is_empty() { Found::NotYet(Why::NoStreams) } else { Found::Never(Why::NoStreams) };
        };
        let is_cached = !request.planned && self.settings.entry == Entry::Cached;
        let entries = new.marks().filter(|mark| mark.role == Role::Lead && mark.entry);
        // where recovery points are not all that comes again and again, there is time to wait for better
        let waits = request.planned && !self.waited(2) && entries.clone().filter(|mark| !mark.is_weak).nth(1).is_some();
        let in_line = entries.clone().filter(|mark| self.due(mark) + GRACE >= self.now && !(waits && mark.is_weak));
        let line = self.output_line();
        let why = if lead.is_scrambled {
            Why::Scrambled
        } else if lead.latest.is_none() {
            Why::NoTimes
        } else if entries.clone().next().is_none() {
            Why::NoRandomAccess
        } else if new.line.at(self.now).is_none() || line.is_none() && request.from.is_some() {
            Why::NoClock
        } else {
            Why::NoPlace
        };
        if !matches!(why, Why::NoPlace) {
            return Found::NotYet(why);
        }
        let ends = self.ends();
        let lag = lag(new);
        let least = entries.clone().map(|mark| mark.stamp.pts.step_from(mark.stamp.dts)).min().unwrap_or(0);
        if request.kind == Kind::Locked && request.from.is_some() {
            let mut is_awaited = false;
            for mark in in_line.clone() {
                match self.locked(new, mark, &ends, line, lag) {
                    Fit::Go(choice) if !is_cached || choice.plan.leaves <= self.now + SOON => {
                        return Found::Place(choice);
                    }
                    Fit::Go(_) | Fit::No => {}
                    Fit::Wait => is_awaited = true,
                }
            }
            // it comes after its time is over, each time
            let is_late = in_line.clone().any(|mark| self.locked_leaves(new, mark, line) < mark.at + SLACK);
            if is_awaited || !(is_cached || is_late || self.waited(2)) {
                return Found::NotYet(why);
            }
        }
        let cached = entries.rev().find(|mark| self.now.since(mark.at) <= CACHED).filter(|_| is_cached);
        for mark in cached.into_iter().chain(in_line) {
            match self.independent(new, mark, &ends, line, (least, lag)) {
                Fit::Go(choice) => return Found::Place(choice),
                Fit::Wait => return Found::NotYet(why),
                Fit::No => {}
            }
        }
        Found::NotYet(why)
    }

    /// When a packet of the new feed is due.
    fn due(&self, mark: &Mark) -> Instant {
        mark.at + self.settings.window
    }

    /// The output's clock; before any PCR left, that of the old feed's delay line.
    fn output_line(&self) -> Option<Line> {
        if self.line.at(self.now).is_some() {
            return Some(self.line);
        }
        let from = self.request.from?;
        let line = self.feeds.get(from.feed)?.line;
        line.at(self.now)?;
        Some(line.moved(self.delay(from), from.offset))
    }

    /// From arrival to leaving of the old feed's packets.
    const fn delay(&self, from: OnAir) -> i64 {
        self.settings.window.nanos().saturating_add(from.extra)
    }

    fn old(&self) -> Option<(OnAir, &'a Feed, &'a Stream)> {
        let from = self.request.from?;
        let feed = self.feeds.get(from.feed)?;
        Some((from, feed, feed.lead()?))
    }

    fn waited(&self, part: i64) -> bool {
        self.now.since(self.begun).nanos() >= self.request.limit.nanos() / part
    }

    /// Where the old feed can be left.
    fn ends(&self) -> Ends {
        let mut ends = Ends { ends: [End::default(); ENDS], len: 0 };
        let Some((from, feed, lead)) = self.old() else { return ends };
        let (shift, length, left) = (from.offset / 300, lead.length(), lead.left);
        if !self.request.planned
            && let (Some(max), Some(last)) = (left.max, left.last)
        {
            ends.push(End { join: add(max, length), dts: Some(last.dts), known: true });
        }
        let (mut before, mut last) = (None, None);
        for mark in feed.marks().filter(|mark| mark.role == Role::Lead) {
            let dts = before.replace(mark.stamp.dts);
            let Some(join) = mark.join.filter(|_| mark.clean).map(|join| add(join, shift)) else { continue };
            let end = End { join, dts: dts.map(|dts| add(dts, shift)), known: true };
            last = Some(end);
            let has_left = left.max.is_some_and(|max| join.step_from(max) <= 0);
            if later(mark.at, self.delay(from)) >= self.now && !has_left {
                ends.push(end);
            }
        }
        if let Some(last) = last.filter(|_| self.request.alive) {
            self.foretell(&mut ends, feed, shift, last, length);
        }
        ends
    }

    /// What will be clean, by what was clean one group of pictures earlier; if no two groups were seen, after a while any
    /// picture.
    fn foretell(&self, ends: &mut Ends, feed: &Feed, shift: i64, last: End, length: i64) {
        let mut entries = feed.marks().rev().filter(|mark| mark.role == Role::Lead && mark.entry);
        let period = entries.next().zip(entries.next()).map(|(b, a)| b.stamp.pts.step_from(a.stamp.pts));
        if let Some(period) = period.filter(|&period| period > 0) {
            let mut before = None;
            for mark in feed.marks().filter(|mark| mark.role == Role::Lead) {
                let dts = before.replace(mark.stamp.dts).map(|dts| add(dts, shift + period));
                let Some(join) = mark.join.filter(|_| mark.clean).map(|join| add(join, shift + period)) else {
                    continue;
                };
                if (length / 2..=AHEAD).contains(&join.step_from(last.join)) {
                    ends.push(End { join, dts, known: false });
                }
            }
        } else if length > 0 && self.waited(4) {
            for n in (1..).map(|n| n * length).take_while(|&ahead| ahead <= AHEAD) {
                ends.push(End { join: add(last.join, n), dts: last.dts.map(|dts| add(dts, n)), known: false });
            }
        }
    }

    /// When the entry leaves if no time stamp is moved.
    fn locked_leaves(&self, new: &Feed, mark: &Mark, line: Option<Line>) -> Instant {
        let offset = self.request.from.map_or(0, |from| from.offset);
        let pcr = new.line.at(mark.at).map(|pcr| pcr.later(offset));
        pcr.and_then(|pcr| line?.when(pcr, self.now)).unwrap_or(Instant::NEVER)
    }

    fn locked(&self, new: &Feed, mark: &Mark, ends: &Ends, line: Option<Line>, lag: Option<i64>) -> Fit {
        let Some((from, feed, lead)) = self.old() else { return Fit::No };
        let target = mark.stamp.moved(from.offset);
        let leaves = self.locked_leaves(new, mark, line);
        let late = leaves.nanos().saturating_sub(self.due(mark).nanos());
        let Left { max, last, .. } = lead.left;
        let (is_like, room) = (self.is_like(new, lead), room(new, mark, lag));
        let is_before = |dts: Pts90k, room: i64| !is_like || add(target.dts, room).step_from(dts) > 0;
        let has_left = max.is_some_and(|max| target.pts.step_from(max) <= 0)
            || last.is_some_and(|last| !is_before(last.dts, room));
        if leaves < self.now - SLACK || late > LATE || has_left {
            return Fit::No;
        }
        let leaves = leaves.max(self.now);
        let hole = |end: &End| target.pts.step_from(end.join) + 2;
        let fitting = ends.iter().filter(|end| end.known && end.dts.is_none_or(|dts| is_before(dts, room)));
        let end = fitting.filter(|end| hole(end) >= 0).min_by_key(|end| hole(end));
        let delay =
            if end.and_then(|end| end.dts).or_else(|| last.map(|last| last.dts)).is_none_or(|dts| is_before(dts, 0)) {
                0
            } else {
                room
            };
        let hole = end.map_or(0, hole).saturating_sub(2).max(0);
        if self.request.planned {
            let latest = feed.marks().rev().filter(|mark| mark.role == Role::Lead).take(16);
            let is_seen = latest.map(|mark| mark.stamp.moved(from.offset)).any(|s| s.pts.step_from(target.pts) >= -2);
            if !is_seen && leaves > self.now + SLACK {
                return Fit::Wait;
            }
            if hole > lead.length() + 2 && !self.waited(4) && has_met(feed, new, lead.length(), lag) {
                return Fit::No;
            }
        }
        Fit::Go(self.choice(new, mark, Kind::Locked, (from.offset, delay), leaves, hole, target.pts))
    }

    /// Whether the streams that decide are of one kind, so that one follows the other on a PID.
    fn is_like(&self, new: &Feed, lead: &Stream) -> bool {
        new.lead().is_some_and(|new| new.kind == lead.kind)
    }

    fn independent(
        &self,
        new: &Feed,
        mark: &Mark,
        ends: &Ends,
        line: Option<Line>,
        (least, lag): (i64, Option<i64>),
    ) -> Fit {
        let request = self.request;
        let Some(pcr) = new.line.at(mark.at) else { return Fit::No };
        let due = self.due(mark);
        let floor = if request.planned || self.settings.entry == Entry::Next { due.max(self.now) } else { self.now };
        let Some(line) = line else {
            // nothing was ever sent
            return Fit::Go(self.choice(new, mark, Kind::Independent, (0, 0), floor, 0, mark.stamp.pts));
        };
        let lead = self.old().map(|(_, _, lead)| lead);
        let is_like = lead.is_some_and(|lead| self.is_like(new, lead));
        let length = lead.map_or(0, Stream::length).max(1);
        // by how much the entry's DTS has to be set on to come behind the last, and by how much all of it
        let behind = |offset: i64, end: &End| match end.dts.filter(|_| is_like) {
            Some(dts) => dts.step_from(add(mark.stamp.dts, offset)).saturating_add(1).max(0),
            None => 0,
        };
        let room = room(new, mark, lag);
        let push = |offset: i64, end: &End| behind(offset, end).saturating_sub(room).max(0);
        let delay = |offset: i64, end: &End| if behind(offset, end) > 0 { room } else { 0 };
        let most = if request.planned { LATE_PLANNED } else { LATE };
        let mut best: Option<(i64, End, Instant)> = None;
        for end in ends.iter() {
            let plain = end.join.step_from(mark.stamp.pts);
            let hole = push(plain, end).next_multiple_of_(length);
            let Some(leaves) = line.when(pcr.later((plain + hole) * 300), self.now) else { continue };
            let late = leaves.nanos().saturating_sub(due.nanos());
            if leaves < floor || late > most || best.as_ref().is_some_and(|best| best.0 <= hole) {
                continue;
            }
            best = Some((hole, *end, leaves));
            if hole <= length {
                break;
            }
        }
        if let Some((hole, end, leaves)) = best {
            let reordered = mark.stamp.pts.step_from(mark.stamp.dts);
            if request.planned && hole > length && reordered > least && !self.waited(40) {
                return Fit::No;
            }
            if !end.known && due > self.now && leaves > self.now + SETTLED {
                return Fit::Wait;
            }
            let offset = end.join.step_from(mark.stamp.pts) + hole;
            let offsets = (offset * 300, delay(offset, &end));
            return Fit::Go(self.choice(new, mark, Kind::Independent, offsets, leaves, hole, end.join));
        }
        if request.alive && request.planned && lead.is_some_and(|lead| lead.latest.is_some()) {
            return Fit::No;
        }
        // nothing of the old feed reaches so far: by the clock alone
        let Some(at) = line.at(floor) else { return Fit::No };
        let mut offset = at.step_from(pcr).div_euclid(300) + i64::from(at.step_from(pcr).rem_euclid(300) != 0);
        let last = ends.iter().filter(|end| end.known).last();
        let (mut hole, mut later) = (0, 0);
        if let Some(end) = last {
            let back = end.join.step_from(add(mark.stamp.pts, offset)).max(0);
            offset += back.max(push(offset, end));
            later = delay(offset, end);
            hole = add(mark.stamp.pts, offset).step_from(end.join).max(0);
        }
        let Some(leaves) = line.when(pcr.later(offset * 300), self.now) else { return Fit::No };
        if leaves.nanos().saturating_sub(due.nanos()) > LATE + CACHED.nanos() {
            return Fit::No;
        }
        let cut = add(mark.stamp.pts, offset);
        Fit::Go(self.choice(new, mark, Kind::Independent, (offset * 300, later), leaves.max(floor), hole, cut))
    }

    #[allow(clippy::too_many_arguments)]
    fn choice(
        &self,
        new: &Feed,
        mark: &Mark,
        kind: Kind,
        (offset, delay): (i64, i64),
        leaves: Instant,
        hole: i64,
        cut: Pts90k,
    ) -> Choice {
        let Stamp { pts, dts } = mark.stamp.moved(offset);
        let target = Stamp { pts, dts: add(dts, delay) };
        let extra = leaves.nanos().saturating_sub(self.due(mark).nanos());
        let leaving = |mark: &Mark| later(self.due(mark), extra);
        // sound that is presented with the first picture may come before it
        let sound = new.marks().filter(|sound| sound.role == Role::Sound && sound.number < mark.number);
        let first = sound
            .filter(|sound| sound.stamp.moved(offset).pts.step_from(target.pts) >= 0 && leaving(sound) >= self.now)
            .min_by_key(|sound| sound.number)
            .unwrap_or(mark);
        let plan = Plan {
            to: self.request.to,
            first: first.number,
            extra,
            offset,
            kind,
            leaves: leaving(first),
            hole: lasting(hole),
        };
        Choice { plan, target, delay, cut }
    }
}

/// From the DTS of the last picture that leads an entry, or of the entry where none does, to the PTS of the entry: in a stream
/// without holes always the same, since the pictures that are decoded up to that one are those that are presented before the
/// entry. None where the last two entries do not agree.
fn lag(feed: &Feed) -> Option<i64> {
    let (mut lags, mut entry, mut last): ([Option<i64>; 2], Option<Stamp>, _) = ([None; 2], None, Pts90k(0));
    for mark in feed.marks().filter(|mark| mark.role == Role::Lead) {
        if let Some(led) = entry.filter(|entry| mark.stamp.pts.step_from(entry.pts) > 0) {
            lags = [lags[1], Some(led.pts.step_from(last))];
            entry = None;
        }
        if mark.entry {
            entry = Some(mark.stamp);
        }
        last = mark.stamp.dts;
    }
    let [before, last] = lags;
    last.filter(|last| before.is_some_and(|before| (last - before).abs() <= 2))
}

/// By how much the DTS of an entry can be set on if the pictures that lead it are left out: to that of the last of them.
fn room(feed: &Feed, entry: &Mark, lag: Option<i64>) -> i64 {
    let after = feed.marks().filter(|mark| mark.pid == entry.pid && mark.number > entry.number);
    let mut room = 0;
    for mark in after {
        if mark.stamp.pts.step_from(entry.stamp.pts) > 0 {
            return room;
        }
        room = mark.stamp.dts.step_from(entry.stamp.dts).max(0);
    }
    // not all of them came
    let foretold = lag.map_or(0, |lag| entry.stamp.pts.step_from(entry.stamp.dts) - lag);
    room.max(foretold)
}

/// Whether an entry of the last seconds followed at once on what a feed with the same time line has before a place to stop. If none
/// did, as where the groups of both are open and begin together, none will.
fn has_met(old: &Feed, new: &Feed, length: i64, lag: Option<i64>) -> bool {
    let mut entries = new.marks().filter(|mark| mark.role == Role::Lead && mark.entry);
    entries.clone().nth(1).is_none()
        || entries.any(|entry| {
            let last = add(entry.stamp.dts, room(new, entry, lag));
            let mut before: Option<Pts90k> = None;
            old.marks().filter(|mark| mark.role == Role::Lead).any(|mark| {
                let is_before = before.replace(mark.stamp.dts).is_none_or(|dts| last.step_from(dts) > 0);
                let join = mark.join.filter(|_| mark.clean && is_before);
                join.is_some_and(|join| (-2..=length + 2).contains(&entry.stamp.pts.step_from(join)))
            })
        })
}

/// Rounding up that never overflows.
trait NextMultipleOf {
    fn next_multiple_of_(self, of: Self) -> Self;
}

impl NextMultipleOf for i64 {
    fn next_multiple_of_(self, of: Self) -> Self {
        let rest = self.rem_euclid(of.max(1));
        if rest == 0 { self } else { self.saturating_add(of - rest) }
    }
}

/// Says of each stream of the two feeds which of the other is on the same PID of the output.
pub(super) fn pair(feeds: &mut [Feed], request: &Request, pairs: &[(Pid, Pid)]) {
    let old = request.from.map(|from| from.feed);
    let count = |feed: Option<usize>, feeds: &[Feed]| feed.and_then(|f| feeds.get(f)).map_or(0, |f| f.streams.len());
    for (own, other, is_old) in [(old, Some(request.to), true), (Some(request.to), old, false)] {
        for n in 0..count(own, feeds) {
            let get = |feed: Option<usize>| feeds.get(feed?);
            let Some(stream) = get(own).and_then(|feed| feed.streams.get(n)) else { continue };
            let given = pairs.iter().map(|&(a, b)| if is_old { (a, b) } else { (b, a) });
            let pid = if pairs.is_empty() {
                get(own).zip(get(other)).and_then(|(own, other)| like(own, stream, other))
            } else {
                given.clone().find(|&(a, _)| a == stream.pid).map(|(_, b)| b)
            };
            if let Some(stream) = own.and_then(|f| feeds.get_mut(f)).and_then(|feed| feed.streams.get_mut(n)) {
                stream.pair = pid;
            }
        }
    }
}

/// The stream of `other` that is what `stream` is among its own.
fn like(own: &Feed, stream: &Stream, other: &Feed) -> Option<Pid> {
    let main = |feed: &Feed| feed.lead().map(|lead| lead.program);
    let program = if main(own) == Some(stream.program) { main(other)? } else { stream.program };
    let is_main = main(own) == Some(stream.program);
    if !is_main && main(other) == Some(program) {
        return None;
    }
    let same = |feed: &Feed, of: u16, n: &dyn Fn(&Stream) -> bool| {
        feed.streams.iter().filter(|s| s.program == of && s.kind == stream.kind).position(n)
    };
    let place = same(own, stream.program, &|s| s.pid == stream.pid)?;
    let mut others = other.streams.iter().filter(|s| s.program == program && s.kind == stream.kind);
    others.nth(place).map(|s| s.pid)
}
