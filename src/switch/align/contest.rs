//! Which packet comes first, where the feeds differ.

use super::feed::Feed;
use super::merge::{Choice, Merge, Set};
use super::track::{Found, Rec};
use crate::ts::Outline;
use crate::units::{Instant, Pid, Span};

/// How far a skew may be from the one that is established for a packet found at that distance to be the same.
const TOLERANCE: i64 = 50_000_000;
/// Packets looked at for one of a PID.
pub(super) const PID_REACH: usize = 48;
/// Packets looked at for one that shows where a feed stands.
const REACH: usize = 6;
/// How far on the packet behind a bad copy may be.
const CLOSE_BY: u64 = 16;
/// Packets of a PID from one to the next with the same counter, but for some that are lost.
const ROUND: u64 = 12;
/// Times that differ by less than this leave the feed that has begun to fill a hole to go on.
const CLOSE: i64 = 10_000_000;

/// How the first packets of two feeds stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Same,
    First,
    Second,
    /// Nothing tells.
    Open,
    /// What this feed has is a bad copy, or none at all.
    Drop(usize),
}

/// What a contest comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Take(Choice),
    /// This feed's first packet that is not blank is not to be sent.
    Drop(usize),
}

/// Where a packet stands among those of its PID, counted from the last that left: the lower, the earlier. The next in turn
/// with payload has 2.
pub(super) const IN_TURN: u8 = 2;

/// ISO/IEC 13818-1 2.4.3.3: with payload the counter goes up by one, or the packet is a duplicate; without it stays.
#[inline]
const fn rank(last: u8, is_duplicate: bool, outline: Outline) -> u8 {
    let step = outline.continuity_counter().wrapping_sub(last) & 0x0F;
    match (outline.has_payload(), step) {
        (true, 0) => {
            if is_duplicate {
                0
            } else {
                32
            }
        }
        (true, step) => 2 * step,
        (false, step) => 2 * step + 1,
    }
}

impl Merge {
    /// The rank of a packet, where its counter means something and its PID has been sent.
    #[inline]
    pub(super) fn rank(&self, rec: &Rec) -> Option<u8> {
        let outline = rec.outline;
        if outline.transport_error_indicator() || outline.pid() == Pid::NULL {
            return None;
        }
        let last = self.out.get(outline.pid())?;
        let is_again = last.is(rec.fingerprint) && !self.repeats(rec.fingerprint);
        Some(rank(last.counter()?, is_again, outline))
    }

    /// Whether more such packets wait than one: filler, whose next turn is no duplicate.
    #[cold]
    fn repeats(&self, fingerprint: u64) -> bool {
        self.feeds.iter().any(|feed| feed.track.find(fingerprint, 0) == Found::Many)
    }

    /// Whether `a` comes before `b`, a packet of the same PID, by their counters.
    fn counts_before(&self, a: &Rec, b: &Rec) -> bool {
        match (self.rank(a), self.rank(b)) {
            (Some(a), Some(b)) => a < b,
            (None, _) | (_, None) => {
                let (a, b) = (a.outline, b.outline);
                let unknown = a.transport_error_indicator() || b.transport_error_indicator() || a.pid() == Pid::NULL;
                !unknown && (1..16).contains(&rank(a.continuity_counter(), false, b))
            }
        }
    }

    /// Where `feed` has a packet of feed `of`, if only one of either can be meant and the skew allows it.
    pub(super) fn locate(&self, rec: &Rec, of: &Feed, feed: &Feed) -> Option<u64> {
        let Found::One(number) = feed.track.find(rec.fingerprint, 0) else { return None };
        if of.track.find(rec.fingerprint, 0) == Found::Many {
            return None;
        }
        let there = feed.track.get(number)?;
        let apart = |there: &Rec| (feed.on_clock(there.at).nanos() - of.on_clock(rec.at).nanos()).abs();
        if apart(there) > TOLERANCE {
            return None;
        }
        // the counter says that it is the next, and its time too: what is found a round of the counter later is another like it
        if let Some((head, first)) = feed.identity()
            && number >= head + ROUND
            && apart(first) < apart(there)
            && self.rank(rec) == Some(IN_TURN)
        {
            return None;
        }
        Some(number)
    }

    /// The first packet of a PID that waits in a feed.
    fn first_of(feed: &Feed, pid: Pid) -> Option<&Rec> {
        let (from, _) = feed.identity()?;
        feed.others_from(from).take(PID_REACH).find(|rec| rec.outline.pid() == pid)
    }

    fn order(&self, x: usize, y: usize) -> Order {
        let (first, second) = (&self.feeds[x], &self.feeds[y]);
        let (Some((n, a)), Some((m, b))) = (first.identity(), second.identity()) else { return Order::Open };
        if a.fingerprint == b.fingerprint {
            return Order::Same;
        }
        // tables repeat, so that even a stranger may have one of them
        let in_second = self.locate(a, first, second).filter(|_| self.mostly_there(first, n, second) != Some(false));
        let in_first = self.locate(b, second, first).filter(|_| self.mostly_there(second, m, first) != Some(false));
        // what is broken and the other feed does not have so as well was broken on the way
        if a.outline.transport_error_indicator() && in_second.is_none() {
            return Order::Drop(x);
        }
        if b.outline.transport_error_indicator() && in_first.is_none() {
            return Order::Drop(y);
        }
        match (in_second, in_first) {
            (Some(_), None) => return Order::Second,
            (None, Some(_)) => return Order::First,
            (Some(i), Some(j)) => return if i - m < j - n { Order::Second } else { Order::First },
            (None, None) => {}
        }
        let before = |there: Option<&Rec>, here: &Rec| {
            there.is_some_and(|there| there.fingerprint == here.fingerprint || self.counts_before(there, here))
        };
        let second_first = before(Self::first_of(second, a.outline.pid()), a);
        let first_first = before(Self::first_of(first, b.outline.pid()), b);
        match (first_first, second_first) {
            (true, false) => Order::First,
            (false, true) => Order::Second,
            (true, true) => Order::Open,
            (false, false) => {
                if !self.are_twins(a, b) {
                    Order::Open
                } else if Self::go_on_alike((first, n), (second, m)) {
                    Order::Drop(if self.lead == Some(y) { x } else { y })
                } else {
                    // sixteen of the PID lie between them, or a multiple
                    Order::Open
                }
            }
        }
    }

    /// Whether both would be the next of their PID, so that one of them is a bad copy of the other.
    fn are_twins(&self, a: &Rec, b: &Rec) -> bool {
        let rank = self.rank(a);
        a.outline.pid() == b.outline.pid()
            && a.outline.has_payload()
            && b.outline.has_payload()
            && rank == self.rank(b)
            && rank.is_some_and(|rank| rank >= IN_TURN)
    }

    /// Whether the same packet follows close behind these two.
    fn go_on_alike((first, n): (&Feed, u64), (second, m): (&Feed, u64)) -> bool {
        let mut behind = first.others_from(n + 1).take(4);
        behind.any(|rec| matches!(second.track.find(rec.fingerprint, m), Found::One(there) if there < m + CLOSE_BY))
    }

    /// Whether there is a reason to believe that the followed feed `x` lost the first packet of `y`.
    fn is_explained(&self, x: usize, y: usize) -> bool {
        let (lead, feed) = (&self.feeds[x], &self.feeds[y]);
        let Some((from, rec)) = feed.identity() else { return false };
        if self.rank(rec).is_some_and(|rank| rank <= IN_TURN) {
            let fills = Self::first_of(lead, rec.outline.pid()).is_some_and(|next| self.counts_before(rec, next));
            if fills || self.fills_pause(lead, feed) {
                return true;
            }
        }
        self.mostly_there(feed, from, lead).is_some_and(|mostly| mostly)
    }

    /// Whether half of what is behind a packet of `feed` is in `other` too; none where there is nothing yet.
    fn mostly_there(&self, feed: &Feed, number: u64, other: &Feed) -> Option<bool> {
        let (mut all, mut there) = (0, 0);
        for rec in feed.others_from(number + 1).take(REACH) {
            all += 1;
            there += u32::from(other.track.find(rec.fingerprint, 0) != Found::None);
        }
        (all > 0).then_some(there * 2 >= all)
    }

    /// Whether the followed feed pauses, and the first packet of `feed` comes in the pause.
    fn fills_pause(&self, lead: &Feed, feed: &Feed) -> bool {
        let clock = |feed: &Feed| feed.identity().map_or(0, |(_, rec)| feed.on_clock(rec.at).nanos());
        let Some(left) = self.log.end().checked_sub(1).and_then(|n| self.log.get(n)) else { return false };
        let usual = 2 * lead.gap.min(CLOSE);
        clock(lead) - left.at.nanos() > usual && clock(lead) > clock(feed) && clock(feed) + usual > left.at.nanos()
    }

    /// Of two packets whose order nothing else tells, whether that of `y` is to go first.
    fn goes_first(&self, x: usize, y: usize) -> bool {
        let (first, second) = (&self.feeds[x], &self.feeds[y]);
        let clock = |feed: &Feed| feed.identity().map_or(0, |(_, rec)| feed.on_clock(rec.at).nanos());
        let by = clock(second) - clock(first);
        // a datagram comes when its last packet is there, so that times within two of them tell nothing
        if by.abs() > 2 * first.gap.max(second.gap).min(CLOSE) {
            return by < 0;
        }
        // null packets that wait may find their like behind what the other has: that makes the shorter sequence
        let blank = |feed: &Feed| feed.track.front().is_some_and(|rec| rec.blank);
        if blank(first) != blank(second) {
            return blank(first);
        }
        match self.alone {
            Some(alone) if alone == x || alone == y => alone == y,
            Some(_) | None => by < 0,
        }
    }

    /// The null packet that `from` has first, and those of the others.
    fn blank_choice(&self, from: usize, fingerprint: u64, present: Set, open: Set) -> Choice {
        let mut choice = Choice { feeds: 0, from, blank: true, open, due: Instant::NEVER, leaves: Instant::NEVER };
        for (i, feed) in self.members(present) {
            if let Some(rec) = feed.track.front().filter(|rec| rec.blank && rec.fingerprint == fingerprint) {
                choice.feeds |= 1 << i;
                choice.due = choice.due.min(feed.due(rec, self.window));
                choice.leaves = choice.leaves.min(feed.leaves(feed.track.head(), rec, self.window));
            }
        }
        choice.open &= !choice.feeds;
        choice
    }

    /// The next packet, where the first ones of the feeds in `present` are not all the same; `lead` is the one that needs no reason.
    pub(super) fn contest(&self, present: Set, lead: Option<usize>) -> Option<Outcome> {
        let lead = lead.filter(|lead| present & 1 << lead != 0);
        let with_identity = |i: usize| self.feeds[i].identity().is_some();
        let start = match lead {
            Some(lead) if with_identity(lead) => lead,
            Some(lead) => {
                let rec = self.feeds[lead].track.front()?;
                return Some(Outcome::Take(self.blank_choice(lead, rec.fingerprint, present, present)));
            }
            None => match self.members(present).find(|(i, _)| with_identity(*i)) {
                Some((i, _)) => i,
                None => {
                    let (i, feed) = self.members(present).next()?;
                    return Some(Outcome::Take(self.blank_choice(
                        i,
                        feed.track.front()?.fingerprint,
                        present,
                        present,
                    )));
                }
            },
        };
        let mut winner = start;
        let mut open: Set = 0;
        for (y, _) in self.members(present) {
            if y == start {
                continue;
            }
            match self.order(winner, y) {
                Order::Same | Order::First => {}
                Order::Second => {
                    open &= !(1 << winner);
                    winner = y;
                }
                Order::Open => {
                    // only the followed feed needs no reason
                    let may = lead.is_none_or(|lead| winner != lead || self.is_explained(lead, y));
                    if may && with_identity(y) && self.goes_first(winner, y) {
                        open |= 1 << winner;
                        winner = y;
                    } else {
                        open |= 1 << y;
                    }
                }
                Order::Drop(feed) => return Some(Outcome::Drop(feed)),
            }
        }
        let (_, first) = self.feeds[winner].identity()?;
        let fingerprint = first.fingerprint;
        let mut group: Set = 0;
        for (i, feed) in self.members(present) {
            group |= Set::from(feed.identity().is_some_and(|(_, rec)| rec.fingerprint == fingerprint)) << i;
        }
        let blank =
            self.members(group).find_map(|(i, feed)| feed.track.front().filter(|rec| rec.blank).map(|rec| (i, rec)));
        if let Some((i, rec)) = blank {
            return Some(Outcome::Take(self.blank_choice(i, rec.fingerprint, present, open & !group)));
        }
        let (mut due, mut leaves) = (Instant::NEVER, Instant::NEVER);
        for (_, feed) in self.members(group) {
            let Some((number, rec)) = feed.identity() else { continue };
            due = due.min(feed.due(rec, self.window));
            leaves = leaves.min(feed.leaves(number, rec, self.window));
        }
        let from = lead.filter(|lead| group & 1 << lead != 0).unwrap_or(winner);
        Some(Outcome::Take(Choice { feeds: group, from, blank: false, open: open & !group, due, leaves }))
    }

    /// The furthest that a feed may stand from the output's clock.
    pub(super) fn is_within(&self, offset: i64) -> bool {
        offset.abs() <= self.window.nanos()
    }
}

/// How long a packet that nothing explains waits for a reason.
pub(super) const SLACK: Span = Span::from_millis(20);
