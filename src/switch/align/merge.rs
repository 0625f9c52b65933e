//! The one sequence: what leaves next, and what follows from it for each feed.

use std::collections::VecDeque;

use super::arrival::INTERRUPTION;
use super::contest::{IN_TURN, Outcome, SLACK};
use super::feed::{Feed, Role};
use super::fingerprint::fingerprint;
use super::places::Placed;
use super::rate::Rate;
use super::track::{Rec, Track, low};
use super::{Counts, Event, Handle, Leaving, MAX_FEEDS, Parting, Settings};
use crate::transport::Ordinal;
use crate::ts::{PACKET_SIZE, PidTable};
use crate::units::{Instant, Pid, Span, Ticks27M};

/// How much later than those of the others the packets of a feed must come at the least, not to be compared with them.
pub(super) const AHEAD: Span = Span::from_millis(3);
/// After so long the feed that leads does so no longer, where another goes on.
const LEAD_SILENT: Span = Span::from_millis(200);
/// How far mistrust may go: a packet without a place adds two, one that others have takes one away.
const MISTRUST: u32 = 64;
const EVENTS: usize = 64;
/// Packets that can be ready: those of 100 ms, the most from one PCR to the next, at 120 Mb/s.
const READY: usize = 8192;

/// A set of feeds, a bit for each.
pub(super) type Set = u16;
const _: () = assert!(MAX_FEEDS <= 16);

/// The last packet of a PID: its continuity counter, and the low half of its fingerprint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    /// 0 for none, or the counter and [`Last::SEEN`].
    counter: u8,
    fingerprint: u32,
}

impl Last {
    const SEEN: u8 = 0x80;

    const fn new(rec: &Rec) -> Self {
        Self { counter: rec.outline.continuity_counter() | Self::SEEN, fingerprint: low(rec.fingerprint) }
    }

    pub(super) const fn counter(self) -> Option<u8> {
        if self.counter == 0 { None } else { Some(self.counter & 0x0F) }
    }

    /// Whether a packet of this PID, or more than one, is missing before `rec`.
    const fn is_not_before(self, rec: &Rec) -> bool {
        let Some(last) = self.counter() else { return false };
        let step = rec.outline.continuity_counter().wrapping_sub(last) & 0x0F;
        match step {
            0 => rec.outline.has_payload() && !self.is(rec.fingerprint),
            1 => !rec.outline.has_payload(),
            _ => true,
        }
    }

    pub(super) const fn is(self, fingerprint: u64) -> bool {
        self.counter != 0 && self.fingerprint == low(fingerprint)
    }
}

/// What is to leave next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// The feeds whose first packet it is.
    pub(super) feeds: Set,
    /// The one whose copy is sent.
    pub(super) from: usize,
    pub(super) blank: bool,
    /// The feeds of which it is not known whether they have it.
    pub(super) open: Set,
    pub(super) due: Instant,
    /// When it is to leave, which is `due` where packets leave as they came.
    pub(super) leaves: Instant,
}

/// A packet that will leave, whatever comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    leaving: Leaving,
    due: Instant,
    pub(super) blank: bool,
    /// Another copy, and its feed.
    pub(super) spare: Option<(usize, Handle)>,
    /// The copy leaves too, as the packet that each feed lost one of.
    pub(super) twice: bool,
}

#[derive(Debug)]
pub(super) struct Merge {
    pub(super) window: Span,
    pub(super) feeds: Vec<Feed>,
    /// What has left or is ready.
    pub(super) log: Track,
    pub(super) out: PidTable<Last>,
    pub(super) lead: Option<usize>,
    /// The feed that the latest packet came from, if others did not have it.
    pub(super) alone: Option<usize>,
    pub(super) ready: VecDeque<Ready>,
    echo: Option<Leaving>,
    pub(super) rate: Rate,
    pub(super) blanks: [u64; 2],
    /// Before this time nothing leaves.
    pub(super) wake: Instant,
    /// The first packets differ, so that each one more may tell.
    pub(super) contested: bool,
    /// Of some feed it is not known where its packets belong.
    pub(super) unsettled: bool,
    /// The feeds whose RTP sequence numbers are believed to be the same.
    pub(super) placed: Set,
    /// The place of the last packet in the log that has one.
    pub(super) last_place: Option<Ordinal>,
    events: VecDeque<Event>,
}

impl Merge {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut null = [0xFF; PACKET_SIZE];
        null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
        let null = fingerprint(&null);
        let log = Track::new(settings.capacity);
        Self {
            window: settings.window,
            feeds: (0..settings.feeds).map(|_| Feed::new(settings.capacity, settings.pace)).collect(),
            out: PidTable::default(),
            lead: None,
            alone: None,
            ready: VecDeque::with_capacity(READY),
            log,
            echo: None,
            rate: Rate::default(),
            blanks: [null; 2],
            wake: Instant::NEVER,
            contested: false,
            unsettled: false,
            placed: 0,
            last_place: None,
            events: VecDeque::with_capacity(EVENTS),
        }
    }

    pub(super) const fn memory(settings: &Settings) -> usize {
        let ready = READY * size_of::<Ready>();
        (settings.feeds + 1) * Track::memory(settings.capacity) + settings.feeds * Feed::memory() + ready
    }

    pub(super) const fn lead(&self) -> Option<usize> {
        self.lead
    }

    pub(super) fn is_joined(&self, feed: usize) -> bool {
        self.feeds.get(feed).is_some_and(|feed| feed.role != Role::Apart)
    }

    /// The feed that was just followed begins as one of another aligner's, and leaves `late`.
    pub(super) fn begin(&mut self, i: usize, late: i64, other: &Self) {
        let Some((feed, known)) = self.feeds.get_mut(i).zip(other.feeds.get(i)) else { return };
        feed.offset = late.saturating_neg();
        if let Some((pacer, known)) = feed.pacer.as_mut().zip(known.pacer.as_ref()) {
            pacer.adopt(known);
        }
    }

    pub(super) fn is_merged(&self, feed: usize) -> bool {
        self.feeds.get(feed).is_some_and(|feed| feed.role == Role::Joined)
    }

    #[inline]
    pub(super) fn time(&self, feed: usize) -> Option<Instant> {
        let feed = self.feeds.get(feed)?;
        feed.pacer.as_ref()?.time(feed.track.end().checked_sub(1)?)
    }

    /// How much later than those of the followed feed a joined one's packets come, in nanoseconds.
    pub(super) fn skew(&self, feed: usize) -> Option<i64> {
        let lead = self.feeds.get(self.lead?)?;
        self.feeds.get(feed).filter(|feed| feed.role == Role::Joined).map(|feed| feed.offset - lead.offset)
    }

    pub(super) fn counts(&self, feed: usize) -> Counts {
        self.feeds.get(feed).map_or_else(Counts::default, |feed| feed.counts)
    }

    pub(super) fn counts_mut(&mut self, feed: usize) -> Option<&mut Counts> {
        self.feeds.get_mut(feed).map(|feed| &mut feed.counts)
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS {
            self.events.push_back(event);
        }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.wake
    }

    /// The feeds of a set.
    pub(super) fn members(&self, set: Set) -> impl Iterator<Item = (usize, &Feed)> {
        self.feeds.iter().enumerate().filter(move |(i, _)| set & 1 << i != 0)
    }

    /// From now on this feed is followed. False if the output does not go on with the packet that comes next.
    pub(super) fn follow<R: FnMut(Handle)>(&mut self, to: Option<usize>, now: Instant, release: &mut R) -> bool {
        let to = to.filter(|to| *to < self.feeds.len());
        if to == self.lead {
            return true;
        }
        if let Some(i) = to
            && self.lead.is_some()
            && self.feeds[i].role == Role::Joined
        {
            self.set_lead(to);
            self.wake = Instant::LONG_AGO;
            return true;
        }
        for ready in self.ready.drain(..) {
            release(ready.leaving.handle);
            if let Some((_, spare)) = ready.spare {
                release(spare);
            }
        }
        if let Some(echo) = self.echo.take() {
            release(echo.handle);
        }
        for i in 0..self.feeds.len() {
            if self.feeds[i].role != Role::Apart {
                self.part(i, Parting::Cut);
            }
        }
        for last in self.out.iter_mut() {
            *last = Last::default();
        }
        self.rate.reset();
        self.set_lead(to);
        self.alone = None;
        self.wake = Instant::LONG_AGO;
        if let Some(feed) = to.and_then(|to| self.feeds.get_mut(to)) {
            feed.role = Role::Joined;
            feed.known = true;
            feed.cursor = self.log.end();
            while let Some(old) = feed.track.front().filter(|rec| rec.at + self.window < now) {
                release(old.handle());
                feed.track.pop();
            }
        }
        false
    }

    /// Gives back all that waits.
    pub(super) fn clear<R: FnMut(Handle)>(&mut self, release: &mut R) {
        self.follow(None, Instant::LONG_AGO, release);
        for feed in &mut self.feeds {
            let end = feed.track.end();
            feed.drop_until(end, release);
        }
    }

    pub(super) fn next_due<R: FnMut(Handle)>(&mut self, now: Instant, release: &mut R) -> Option<Leaving> {
        if self.wake > now {
            return None;
        }
        loop {
            if let Some(echo) = self.echo.take() {
                return Some(echo);
            }
            let hurry = self.feeds.iter().any(|f| f.role == Role::Joined && f.is_nearly_full());
            if let Some(first) = self.ready.front() {
                if first.due > now && !hurry {
                    self.wake = first.due;
                    return None;
                }
                let Some(ready) = self.ready.pop_front() else { continue };
                if let Some((feed, handle)) = ready.spare {
                    if ready.twice {
                        self.feeds[feed].counts.restored += 1;
                        self.echo = Some(Leaving { handle, feed, alone: true, ..ready.leaving });
                    } else {
                        release(handle);
                    }
                }
                return Some(ready.leaving);
            }
            let Some(choice) = self.decide(release) else {
                self.wake = Instant::NEVER;
                return None;
            };
            if choice.leaves > now && !hurry {
                self.wake = choice.leaves;
                return None;
            }
            if let Some((pcr, true)) = self.commit(choice, false, release)
                && self.rate.is_constant()
            {
                self.plan(pcr, release);
            }
        }
    }

    /// What leaves next by all that is known.
    pub(super) fn decide<R: FnMut(Handle)>(&mut self, release: &mut R) -> Option<Choice> {
        let lead = self.lead?;
        self.contested = false;
        self.unsettled = false;
        loop {
            let mut choice =
                Choice { feeds: 0, from: lead, blank: false, open: 0, due: Instant::NEVER, leaves: Instant::NEVER };
            let mut first = None;
            let mut same = true;
            for i in 0..self.feeds.len() {
                let feed = &mut self.feeds[i];
                if feed.broken.is_some_and(|number| feed.track.head() >= number) {
                    feed.seek();
                }
                let role = feed.role;
                match role {
                    Role::Apart => continue,
                    Role::Entering if !self.enter(i, release) => continue,
                    Role::Entering | Role::Joined => {}
                }
                if self.feeds[i].ahead {
                    self.feeds[i].ahead = !self.is_placed(i) && self.is_early(i);
                    if self.feeds[i].ahead {
                        self.contested = true;
                        continue;
                    }
                }
                if self.feeds[i].is_behind(&self.log) && !self.settle(i, release) {
                    // what it has may have left: another packet will tell
                    self.contested = true;
                    self.unsettled |= !self.feeds[i].track.is_empty();
                    continue;
                }
                let feed = &self.feeds[i];
                let Some(rec) = feed.track.front() else { continue };
                same &= *first.get_or_insert(rec.fingerprint) == rec.fingerprint;
                choice.feeds |= 1 << i;
                choice.blank = rec.blank;
                choice.due = choice.due.min(feed.due(rec, self.window));
                choice.leaves = choice.leaves.min(feed.leaves(feed.track.head(), rec, self.window));
                choice.from = i;
            }
            let present = choice.feeds;
            if present == 0 {
                if self.promote() {
                    continue;
                }
                return None;
            }
            if present & 1 << lead != 0 {
                choice.from = lead;
            }
            let mut stand_in = None;
            if (present & self.placed).count_ones() > 1 {
                match self.by_place(choice) {
                    Placed::Open => {}
                    Placed::Take(choice) => return Some(choice),
                    Placed::First { from, group, placed } => stand_in = Some((from, group, placed)),
                    Placed::False(i) => {
                        self.displace(i);
                        continue;
                    }
                    Placed::Bad(i) => {
                        self.drop_bad(i, self.feeds[i].track.head(), release);
                        continue;
                    }
                }
            }
            if present.count_ones() == 1 || same && stand_in.is_none() {
                return Some(choice);
            }
            for feed in &mut self.feeds {
                feed.look();
            }
            self.contested = true;
            // of those whose order the places tell, one stands for all
            let (among, group, lead) = match stand_in {
                None => (present, 0, self.lead),
                Some((from, group, placed)) => {
                    let lead = self.lead.map(|lead| if placed & 1 << lead != 0 { from } else { lead });
                    (present & !placed | 1 << from, group, lead)
                }
            };
            match self.contest(among, lead)? {
                Outcome::Take(choice) => return Some(self.widen(choice, group)),
                Outcome::Drop(i) => {
                    let feed = &self.feeds[i];
                    let number = feed.identity().map_or_else(|| feed.track.head(), |(number, _)| number);
                    self.drop_bad(i, number, release);
                }
            }
        }
    }

    /// Lets go of a bad copy, and what stands before it.
    #[cold]
    fn drop_bad<R: FnMut(Handle)>(&mut self, i: usize, number: u64, release: &mut R) {
        let feed = &mut self.feeds[i];
        feed.drop_until(number + 1, release);
        feed.counts.damaged += 1;
        self.doubt(i);
    }

    /// Whether the first packet of a feed that has entered again comes later than what the others have first, so that
    /// there is nothing of theirs to be compared with it.
    fn is_early(&self, i: usize) -> bool {
        let feed = &self.feeds[i];
        let Some(clock) = feed.track.front().map(|rec| feed.on_clock(rec.at)) else { return true };
        let margin = Span::from_nanos(2 * feed.gap).max(AHEAD);
        let others =
            self.feeds.iter().enumerate().filter(|(x, other)| *x != i && other.role == Role::Joined && !other.ahead);
        others
            .filter_map(|(_, other)| other.track.front().map(|rec| other.on_clock(rec.at)))
            .any(|at| at + margin < clock)
    }

    /// Takes a packet for the next, whose PCR is returned if it is one of those that the rate is known by, and whether more
    /// than one feed had it.
    pub(super) fn commit<R: FnMut(Handle)>(
        &mut self,
        choice: Choice,
        planned: bool,
        release: &mut R,
    ) -> Option<(Ticks27M, bool)> {
        let from = &self.feeds[choice.from];
        let number = from.track.head();
        let rec = *from.track.front()?;
        let on_clock = from.on_clock(rec.at);
        let place = self.place_of(choice.feeds);
        let lead = self.lead.filter(|lead| choice.feeds & 1 << lead != 0);
        let lead_clock =
            lead.and_then(|lead| self.feeds[lead].track.front().map(|rec| self.feeds[lead].on_clock(rec.at)));
        let is_shared = choice.feeds.count_ones() > 1;
        let end = self.log.end() + 1;
        let mut spare = None;
        let mut others = false;
        for (i, feed) in self.feeds.iter_mut().enumerate() {
            if feed.role != Role::Joined {
                continue;
            }
            others |= i != choice.from;
            let is_settled = !feed.is_behind(&self.log);
            if choice.feeds & 1 << i == 0 {
                // the feed that leads lost it, or there was no reason to send it
                if (choice.open & 1 << i == 0 || self.lead == Some(i)) && !feed.track.is_empty() {
                    feed.counts.missing += 1;
                    if is_settled && !feed.ahead {
                        feed.cursor = end;
                    }
                }
                continue;
            }
            let Some(copy) = feed.track.pop() else { continue };
            if is_settled || is_shared && !choice.blank {
                feed.cursor = end;
            }
            feed.counts.matched += u64::from(is_shared);
            if i == choice.from {
                continue;
            }
            if planned && choice.blank && spare.is_none() {
                spare = Some((i, copy.handle()));
            } else {
                release(copy.handle());
            }
            if !choice.blank {
                feed.mistrust = feed.mistrust.saturating_sub(1);
                if let Some(lead_clock) = lead_clock {
                    feed.slew(feed.on_clock(copy.at).nanos() - lead_clock.nanos(), copy.at);
                }
            }
        }
        if !choice.blank {
            self.alone = (others && !is_shared).then_some(choice.from);
        }
        self.feeds[choice.from].counts.alone += u64::from(others && !is_shared);
        self.log.push(Rec::new(rec.fingerprint, on_clock, rec.handle(), rec.outline, rec.blank), place);
        if place.is_some() {
            self.last_place = place;
        }
        let mut holed = false;
        if !rec.blank && !rec.outline.transport_error_indicator() && rec.outline.pid() != Pid::NULL {
            let last = core::mem::replace(self.out.entry(rec.outline.pid()), Last::new(&rec));
            holed = last.is_not_before(&rec);
        }
        self.rate.packet(holed);
        let leaving =
            Leaving { handle: rec.handle(), outline: rec.outline, feed: choice.from, alone: others && !is_shared };
        self.ready.push_back(Ready { leaving, due: choice.leaves, blank: choice.blank, spare, twice: false });
        for i in 0..self.feeds.len() {
            let feed = &self.feeds[i];
            if choice.feeds & 1 << i == 0
                && feed.role == Role::Joined
                && self.lead != Some(i)
                && !self.is_placed(i)
                && feed.track.front().is_some_and(|rec| feed.due(rec, self.window) + SLACK < choice.due)
            {
                self.drop_stray(i, choice.due, release);
            }
        }
        if others && lead.is_none() {
            self.pass_lead(choice.from, on_clock);
        }
        if !rec.outline.has_pcr() {
            return None;
        }
        let clock = *self.feeds[choice.from].clocks_from(number).next().filter(|clock| clock.number == number)?;
        self.rate.clock(clock.pid, clock.pcr).then_some((clock.pcr, is_shared))
    }

    /// Lets go of packets of a feed that wait for their like, or a reason, in vain.
    #[cold]
    fn drop_stray<R: FnMut(Handle)>(&mut self, i: usize, due: Instant, release: &mut R) {
        self.feeds[i].look();
        let feed = &self.feeds[i];
        let Some((number, rec)) = feed.identity() else { return };
        // what is held up on its way in another feed comes before it
        let waits = self.rank(rec).is_some_and(|rank| rank >= IN_TURN);
        if waits && due.since(feed.due(rec, self.window)) < self.window {
            return;
        }
        let others = self.feeds.iter().enumerate().filter(|(x, other)| *x != i && other.role == Role::Joined);
        if others.filter(|(_, other)| self.locate(rec, feed, other).is_some()).count() > 0 {
            return;
        }
        let feed = &mut self.feeds[i];
        feed.counts.stray += feed.drop_until(number + 1, release);
        self.doubt(i);
    }

    fn doubt(&mut self, i: usize) {
        let feed = &mut self.feeds[i];
        feed.mistrust = feed.mistrust.saturating_add(2);
        if feed.mistrust > MISTRUST && self.lead != Some(i) {
            self.part(i, Parting::Mismatch);
        }
    }

    /// Where the feed that leads has nothing, another may lead.
    fn pass_lead(&mut self, to: usize, on_clock: Instant) {
        let Some(lead) = self.lead.map(|lead| &self.feeds[lead]) else { return };
        if lead.track.is_empty() && on_clock.since(lead.on_clock(lead.last_at)) > LEAD_SILENT {
            self.set_lead(Some(to));
            self.tell(Event::Leads { feed: to });
        }
    }

    /// Where no joined feed has anything and one that looks for its place has, that one goes on as it is.
    fn promote(&mut self) -> bool {
        let latest = self.feeds.iter().filter(|f| f.role == Role::Joined).map(|f| f.last_at).max();
        let latest = latest.unwrap_or(Instant::LONG_AGO);
        let waits = |feed: &Feed| feed.role == Role::Entering && feed.known && !feed.track.is_empty();
        let Some(i) = self.feeds.iter().position(waits) else { return false };
        let feed = &mut self.feeds[i];
        if feed.last_at.since(latest) <= INTERRUPTION {
            return false;
        }
        feed.role = Role::Joined;
        feed.cursor = self.log.end();
        self.enters_by_place(i);
        true
    }
}
