//! The order that RTP sequence numbers give, where feeds came in RTP with the same ones (SMPTE ST 2022-7).
//!
//! That they are the same is learnt from packets with a PCR that a feed and the followed one have both, and is believed until anything
//! speaks against it: such a packet that stands elsewhere, packets of different bytes in one place, or most of the packets near a
//! loss. Then what waits is put in order by what it is, and the numbers of what comes are learnt anew.
//!
//! A place is an ordinal less the rounds of 2^16 by which the feed has counted more than the others: all feeds whose numbers are
//! believed, and the log, have the same places.

use super::Handle;
use super::contest::{IN_TURN, PID_REACH};
use super::feed::{Feed, Role};
use super::merge::{Choice, Merge, Set};
use super::track::{Found, Rec};
use crate::transport::Ordinal;
use crate::units::Instant;

/// Packets with a PCR in a row that must have the same numbers.
const AGREE: u32 = 3;
/// Packets behind a loss by which places are held against what the packets are.
const WITNESSES: usize = 6;
/// The times of the same packet in two feeds differ by less, in nanoseconds.
const NEARLY: i64 = 10_000_000;
/// How far ahead they are looked for.
const REACH: u64 = 64;
/// Packets of the log that are looked through for one that left without a place.
const NEAR: u64 = 32;

/// What the places of the first packets come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placed {
    /// They do not tell.
    Open,
    /// This is next.
    Take(Choice),
    /// Of those that have places this is the first, and the feeds that have it; what the others have must be held against it.
    First { from: usize, group: Set, placed: Set },
    /// The places of this feed are not those of the others.
    False(usize),
    /// The first packet of this feed is a bad copy.
    Bad(usize),
}

/// What the place of a feed's first packet tells of what has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// Nothing.
    Open,
    /// It comes after all that has left.
    Next,
    /// It has left, before this packet of the log.
    Left(u64),
    /// It belongs before this packet of the log, and was not among what left.
    TooLate(u64),
    /// What left says otherwise.
    False,
}

/// Witnesses for and against.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    same: u32,
    other: u32,
}

impl Votes {
    /// A packet stands `here`, and one like it `there`, so many nanoseconds apart. Filler repeats: only one that comes at nearly the
    /// same time speaks against.
    fn vote(&mut self, here: Ordinal, there: Ordinal, apart: i64) {
        if here == there {
            self.same += 1;
        } else if apart.abs() <= NEARLY {
            self.other += 1;
        }
    }

    const fn refute(self) -> bool {
        self.other > self.same + 1
    }
}

impl Feed {
    /// Where the packet of this number stands among those of all feeds, if its ordinal is one of theirs.
    #[inline]
    pub(super) fn place(&self, number: u64) -> Option<Ordinal> {
        self.track.ordinal(number)?.back(self.rounds)
    }

    /// The packets by which places are held against what packets are.
    fn witnesses(&self) -> impl Iterator<Item = (Ordinal, &Rec)> {
        let head = self.track.head();
        let all = (head..head + REACH).map_while(|n| self.track.get(n).map(|rec| (n, rec)));
        let known = all.filter(|(_, rec)| !rec.blank && self.track.find(rec.fingerprint, 0) != Found::Many);
        known.filter_map(|(n, rec)| Some((self.place(n)?, rec))).take(WITNESSES)
    }
}

impl Merge {
    /// Whether the packets of a feed are put in order by their RTP sequence numbers.
    #[inline]
    pub(super) const fn is_placed(&self, i: usize) -> bool {
        self.placed & 1 << i != 0
    }

    /// The place of a feed's first packet, where its places are believed.
    #[inline]
    fn first_place(&self, i: usize) -> Option<Ordinal> {
        let feed = self.feeds.get(i).filter(|_| self.is_placed(i))?;
        feed.place(feed.track.head())
    }

    /// A packet that comes now has this ordinal. Where it does not follow that of the last, what was learnt is void.
    #[inline]
    pub(super) fn count_on(&mut self, i: usize, ordinal: Option<Ordinal>) {
        let Some(feed) = self.feeds.get_mut(i) else { return };
        let last = core::mem::replace(&mut feed.ordinal, ordinal);
        match (last, ordinal) {
            (None, None) => {}
            (Some(last), Some(ordinal)) if (1..Ordinal::ROUND).contains(&ordinal.ahead_of(last)) => {}
            (Some(_) | None, Some(_) | None) => self.displace(i),
        }
    }

    /// What waits of a feed has no places that mean anything to others.
    #[cold]
    pub(super) fn displace(&mut self, i: usize) {
        let feed = &mut self.feeds[i];
        feed.track.forget_ordinals();
        feed.agreed = 0;
        if self.lead == Some(i) {
            self.displace_all();
            return;
        }
        self.placed &= !(1 << i);
        if self.lead.is_none_or(|lead| self.placed == 1 << lead) {
            self.placed = 0;
        }
    }

    /// Places are to be learnt anew.
    fn displace_all(&mut self) {
        self.placed = 0;
        self.last_place = None;
        self.log.forget_ordinals();
        for feed in &mut self.feeds {
            feed.agreed = 0;
        }
    }

    /// Another feed is followed. Places that are believed of both hold on.
    pub(super) fn set_lead(&mut self, to: Option<usize>) {
        let before = core::mem::replace(&mut self.lead, to);
        let goes_on = [before, to].into_iter().all(|feed| feed.is_some_and(|feed| self.is_placed(feed)));
        if before != to && !goes_on {
            self.displace_all();
        }
    }

    /// A packet of a feed had this ordinal, and in the followed one that.
    pub(super) fn compare(&mut self, i: usize, own: Ordinal, of_lead: Ordinal) {
        let Some(lead) = self.lead.filter(|lead| *lead != i) else { return };
        let ahead = own.ahead_of(of_lead);
        let rounds = self.feeds[lead].rounds.wrapping_add(ahead);
        let is_same = ahead.is_multiple_of(Ordinal::ROUND);
        let feed = &mut self.feeds[i];
        if self.placed & 1 << i != 0 {
            if !is_same || feed.rounds != rounds {
                self.displace(i);
            }
            return;
        }
        feed.agreed = match (is_same, feed.rounds == rounds) {
            (false, _) => 0,
            (true, true) => feed.agreed + 1,
            (true, false) => 1,
        };
        if is_same {
            feed.rounds = rounds;
        }
        if feed.agreed >= AGREE {
            self.placed |= 1 << i | 1 << lead;
        }
    }

    /// The place of what is next, by the feeds that have it.
    #[inline]
    pub(super) fn place_of(&self, feeds: Set) -> Option<Ordinal> {
        let lead = self.lead.filter(|lead| feeds & 1 << lead != 0).and_then(|lead| self.feeds.get(lead));
        let by_lead = lead.and_then(|feed| feed.place(feed.track.head()));
        by_lead.or_else(|| self.members(feeds & self.placed).find_map(|(i, _)| self.first_place(i)))
    }

    /// Whether a packet that comes to a feed that has nothing else can be the one of the log that the feed stands at.
    #[inline]
    pub(super) fn can_be(&self, i: usize, ordinal: Option<Ordinal>, left: u64) -> bool {
        let Some(feed) = self.feeds.get(i).filter(|_| self.is_placed(i)) else { return true };
        match (ordinal.and_then(|ordinal| ordinal.back(feed.rounds)), self.log.ordinal(left)) {
            (Some(here), Some(there)) => here == there,
            (None, _) | (_, None) => true,
        }
    }

    /// Which of the first packets of `all.feeds` comes first by its place. `all` has the times of all of them.
    pub(super) fn by_place(&self, all: Choice) -> Placed {
        let (mut placed, mut group): (Set, Set) = (0, 0);
        let mut first: Option<Ordinal> = None;
        for (i, _) in self.members(all.feeds & self.placed) {
            let Some(place) = self.first_place(i) else { continue };
            placed |= 1 << i;
            match first {
                Some(first) if first == place => group |= 1 << i,
                Some(first) if first.is_before(place) => {}
                Some(_) | None => (first, group) = (Some(place), 1 << i),
            }
        }
        let lead = self.lead.filter(|lead| group & 1 << lead != 0);
        let Some(from) = lead.or_else(|| self.members(group).next().map(|(i, _)| i)) else { return Placed::Open };
        let Some(rec) = self.feeds[from].track.front().filter(|_| placed.count_ones() > 1) else { return Placed::Open };
        for (i, feed) in self.members(group) {
            if feed.track.front().is_some_and(|other| other.fingerprint != rec.fingerprint) {
                return self.differ(from, i);
            }
        }
        for (i, _) in self.members(placed & !group) {
            if self.votes(from, i).refute() || self.is_out_of_turn(rec, i) {
                return Placed::False(if self.lead == Some(i) { from } else { i });
            }
        }
        if group == all.feeds {
            Placed::Take(Choice { from, ..all })
        } else if placed == all.feeds {
            // it leaves in the time of those that have it: where another lost a PCR, that one's time may be far off
            let (due, leaves) = (Instant::NEVER, Instant::NEVER);
            let choice = Choice { feeds: group, from, blank: rec.blank, open: 0, due, leaves };
            Placed::Take(self.widen(choice, group))
        } else {
            Placed::First { from, group, placed }
        }
    }

    /// Two feeds have packets of different bytes in one place.
    #[cold]
    fn differ(&self, x: usize, y: usize) -> Placed {
        let is_bad = |i: usize| {
            let rec = self.feeds[i].track.front();
            rec.is_some_and(|rec| rec.outline.transport_error_indicator())
        };
        match (is_bad(x), is_bad(y)) {
            (true, false) => return Placed::Bad(x),
            (false, true) => return Placed::Bad(y),
            (true, true) | (false, false) => {}
        }
        let votes = self.votes(x, y);
        let other = if self.lead == Some(y) { x } else { y };
        if votes.same > votes.other { Placed::Bad(other) } else { Placed::False(other) }
    }

    /// Whether the counter says that others of its PID come before a packet, and that `feed` has the next of them. By its place
    /// what that feed has comes later.
    fn is_out_of_turn(&self, rec: &Rec, i: usize) -> bool {
        if rec.blank || self.rank(rec).is_none_or(|rank| rank <= IN_TURN) {
            return false;
        }
        let feed = &self.feeds[i];
        let mut waiting = feed.others_from(feed.track.head()).take(PID_REACH);
        let first = waiting.find(|other| other.outline.pid() == rec.outline.pid());
        first.is_some_and(|first| self.rank(first) == Some(IN_TURN))
    }

    /// Whether packets behind the first of two feeds have the same places in both.
    fn votes(&self, x: usize, y: usize) -> Votes {
        let mut votes = Votes::default();
        for (feed, other) in [(&self.feeds[x], &self.feeds[y]), (&self.feeds[y], &self.feeds[x])] {
            for (place, rec) in feed.witnesses() {
                if let Found::One(n) = other.track.find(rec.fingerprint, 0)
                    && let (Some(there), Some(like)) = (other.place(n), other.track.get(n))
                {
                    votes.vote(place, there, feed.on_clock(rec.at).nanos() - other.on_clock(like.at).nanos());
                }
            }
        }
        votes
    }

    /// Whether what waits of a feed has other places in the log.
    fn log_refutes(&self, feed: &Feed) -> bool {
        let mut votes = Votes::default();
        for (place, rec) in feed.witnesses() {
            if let Found::One(n) = self.log.find(rec.fingerprint, 0)
                && let (Some(there), Some(left)) = (self.log.ordinal(n), self.log.get(n))
            {
                votes.vote(place, there, feed.on_clock(rec.at).nanos() - left.at.nanos());
            }
        }
        votes.refute()
    }

    fn settled(&self, y: usize) -> Settled {
        let feed = &self.feeds[y];
        let (Some(place), Some(last), Some(rec)) = (self.first_place(y), self.last_place, feed.track.front()) else {
            return Settled::Open;
        };
        let log = &self.log;
        if last.is_before(place) {
            let is_known = !rec.blank && log.find(rec.fingerprint, feed.cursor) != Found::None;
            if is_known && self.log_refutes(feed) {
                return Settled::False;
            }
            // what another feed had alone may have left without a place
            let mut tail = feed.cursor.max(log.end().saturating_sub(NEAR))..log.end();
            let is_this = |n: &u64| {
                log.ordinal(*n).is_none() && log.get(*n).is_some_and(|left| left.fingerprint == rec.fingerprint)
            };
            return tail.find(is_this).map_or(Settled::Next, |n| Settled::Left(n + 1));
        }
        let comes_before = |n: &u64| log.ordinal(*n).is_none_or(|left| left.is_before(place));
        let there = (feed.cursor..log.end()).find(|n| !comes_before(n)).unwrap_or_else(|| log.end());
        let has_left = log.ordinal(there) == Some(place);
        let is_same = has_left && log.get(there).is_some_and(|left| left.fingerprint == rec.fingerprint);
        if !is_same && self.log_refutes(feed) {
            Settled::False
        } else if has_left {
            Settled::Left(there + 1)
        } else {
            Settled::TooLate(there)
        }
    }

    /// Lets go of what a feed has of the log's packets, by their places. Whether its first packet may be sent; none where places do
    /// not tell.
    pub(super) fn settle_by_place<R: FnMut(Handle)>(&mut self, y: usize, release: &mut R) -> Option<bool> {
        loop {
            let feed = &mut self.feeds[y];
            if feed.track.is_empty() {
                return Some(false);
            }
            feed.cursor = feed.cursor.max(self.log.head());
            let settled = self.settled(y);
            let feed = &mut self.feeds[y];
            let first = feed.track.head();
            match settled {
                Settled::Open => return None,
                Settled::Next => {
                    feed.cursor = self.log.end();
                    return Some(true);
                }
                Settled::Left(next) => {
                    feed.cursor = next;
                    feed.counts.late += feed.drop_until(first + 1, release);
                }
                Settled::TooLate(next) => {
                    feed.cursor = next;
                    feed.counts.too_late += feed.drop_until(first + 1, release);
                }
                Settled::False => {
                    self.displace(y);
                    return None;
                }
            }
        }
    }

    /// Lets a feed that enters keep what comes before the packet it was found by, where places tell what of that has left.
    pub(super) fn enters_by_place(&mut self, y: usize) -> bool {
        let enters = self.last_place.is_some() && self.first_place(y).is_some();
        if enters {
            self.feeds[y].cursor = self.log.head();
        }
        enters
    }

    /// The feeds of a group have what was chosen of one of them.
    pub(super) fn widen(&self, choice: Choice, group: Set) -> Choice {
        if choice.feeds & group == 0 {
            return choice;
        }
        let feeds = choice.feeds | group;
        let (mut due, mut leaves) = (choice.due, choice.leaves);
        for (_, feed) in self.members(group) {
            let Some(rec) = feed.track.front() else { continue };
            due = due.min(feed.due(rec, self.window));
            leaves = leaves.min(feed.leaves(feed.track.head(), rec, self.window));
        }
        let from = self.lead.filter(|lead| feeds & 1 << lead != 0).unwrap_or(choice.from);
        Choice { feeds, from, due, leaves, open: choice.open & !group, ..choice }
    }

    /// Whether a short pause of a feed needs no search for its place.
    pub(super) fn holds_its_place(&self, i: usize) -> bool {
        self.is_placed(i) && self.feeds.get(i).is_some_and(|feed| feed.role == Role::Joined)
    }
}
