//! Feeds that come after the others: what of theirs has left already, and where they enter.

use super::feed::{Feed, Role};
use super::merge::{AHEAD, Merge};
use super::track::{Found, Rec};
use super::{Event, Handle, Parting};
use crate::units::{Instant, Span};

/// Packets of the log that are looked through one by one.
const NEAR: u64 = 32;
/// Packets of a feed, null packets aside, that are looked at to see where it stands.
const REACH: usize = 16;
/// How far back the search for a place goes again, for what has come behind meanwhile.
const BACK: u64 = 64;
/// So many that are nowhere in what has left show that the feed is past it.
const PAST: usize = 8;
/// How many of the packets behind the one found must be found behind it there.
const NEIGHBOURS: usize = 3;
/// Of how many.
const OF: usize = 6;
/// A skew that differs by no more is the same, in nanoseconds.
const SAME_SKEW: i64 = 20_000_000;
/// By how much what was held up on its way may come later, in nanoseconds.
const HELD_UP: i64 = 50_000_000;
/// Packets that a feed may bring without being found among the others.
const SEARCHED: u64 = 20_000;

/// Where a feed enters.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its packet.
    number: u64,
    /// That of the log, if it has left.
    left: Option<u64>,
    /// How much later than on the output's clock its packets come.
    offset: i64,
}

/// What the first packet of a feed that is behind is to the log.
enum Standing {
    /// It has left, as this one.
    Left(u64),
    /// It belongs between what has left.
    Late,
    /// It comes after all that has left.
    Past,
    /// By its counter it is the next of its PID, whether or not the feed has what of other PIDs has left.
    Next,
    Unknown,
}

impl Merge {
    /// Lets go of what a feed has of the log's packets, until it stands at the end or nothing tells. Whether its first packet may
    /// be sent.
    pub(super) fn settle<R: FnMut(Handle)>(&mut self, y: usize, release: &mut R) -> bool {
        loop {
            let feed = &mut self.feeds[y];
            if feed.cursor < self.log.head() {
                feed.cursor = self.log.head();
            }
            if self.is_placed(y)
                && let Some(may) = self.settle_by_place(y, release)
            {
                return may;
            }
            let feed = &mut self.feeds[y];
            let Some(rec) = feed.track.front() else { return false };
            let Some(left) = self.log.get(feed.cursor) else { return true };
            if left.fingerprint == rec.fingerprint {
                let number = feed.track.head() + 1;
                feed.drop_until(number, release);
                feed.counts.late += 1;
                feed.cursor += 1;
                continue;
            }
            feed.look();
            let feed = &self.feeds[y];
            let Some((number, _)) = feed.identity() else { return false };
            let standing = self.standing(y);
            let feed = &mut self.feeds[y];
            match standing {
                Standing::Left(there) => {
                    feed.counts.late += feed.drop_until(number + 1, release);
                    feed.cursor = there + 1;
                }
                Standing::Late => feed.counts.too_late += feed.drop_until(number + 1, release),
                // null packets before it may have left
                Standing::Next => return number == feed.track.head(),
                Standing::Past => {
                    let blanks = (feed.cursor..self.log.end()).filter_map(|n| self.log.get(n)).filter(|rec| rec.blank);
                    let blanks = blanks.count() as u64;
                    let number = number.min(feed.track.head() + blanks);
                    feed.counts.late += feed.drop_until(number, release);
                    feed.cursor = self.log.end();
                    return true;
                }
                Standing::Unknown => return false,
            }
        }
    }

    /// Where the log has a packet from `from` on.
    fn left(&self, rec: &Rec, from: u64) -> Option<u64> {
        let near = (from..self.log.end().min(from + NEAR))
            .find(|n| self.log.get(*n).is_some_and(|left| left.fingerprint == rec.fingerprint));
        near.or_else(|| self.log.first_like(rec.fingerprint, from))
    }

    fn standing(&self, y: usize) -> Standing {
        let feed = &self.feeds[y];
        let Some((number, rec)) = feed.identity() else { return Standing::Unknown };
        if let Some(there) = self.left(rec, feed.cursor) {
            return Standing::Left(there);
        }
        let behind = || feed.others_from(number + 1).take(REACH);
        let has_left = |rec: &Rec| {
            let is_one = feed.track.find(rec.fingerprint, 0) != Found::Many;
            is_one && matches!(self.log.find(rec.fingerprint, 0), Found::One(n) if n >= feed.cursor)
        };
        if behind().any(has_left) {
            return Standing::Late;
        }
        let waits = |rec: &Rec| {
            let mut others = self.feeds.iter().enumerate().filter(|(x, other)| *x != y && other.role == Role::Joined);
            others.any(|(_, other)| other.track.find(rec.fingerprint, 0) != Found::None)
        };
        if waits(rec) || behind().count() >= PAST || behind().any(waits) {
            return Standing::Past;
        }
        if self.rank(rec).is_some_and(|rank| (1..=2).contains(&rank)) {
            return Standing::Next;
        }
        Standing::Unknown
    }

    /// Looks for the place of a feed that has the same packets as the others. True once it is joined.
    pub(super) fn enter<R: FnMut(Handle)>(&mut self, y: usize, release: &mut R) -> bool {
        let entry = loop {
            let Some(entry) = self.entry(y) else {
                let feed = &mut self.feeds[y];
                feed.scanned = feed.scanned.max(feed.track.end().saturating_sub(BACK));
                if feed.track.end() > feed.sought + SEARCHED && self.lead != Some(y) {
                    self.part(y, Parting::Lost);
                }
                return false;
            };
            if self.is_within(entry.offset) {
                break entry;
            }
            // it cannot wait for so long, or would come too late; what was joined may only be held up, and come into time again
            let feed = &mut self.feeds[y];
            if !feed.known {
                self.part(y, Parting::Lost);
                return false;
            }
            if entry.left.is_none() || entry.number < feed.scanned {
                return false;
            }
            feed.scanned = entry.number + 1;
            feed.counts.late += feed.drop_until(entry.number + 1, release);
        };
        let end = self.log.end();
        let feed = &mut self.feeds[y];
        // what comes before in a feed that was joined until now is its own as well
        let left = self.log.end().checked_sub(1).and_then(|n| self.log.get(n)).map_or(Instant::LONG_AGO, |rec| rec.at);
        let margin = Span::from_nanos(2 * feed.gap).max(AHEAD);
        let goes_on = feed.known
            && entry.left.is_none()
            && (-SAME_SKEW..=HELD_UP).contains(&(entry.offset - feed.offset))
            && feed.track.front().is_some_and(|rec| left + margin < feed.on_clock(rec.at));
        feed.cursor = entry.left.unwrap_or(end);
        if !self.enters_by_place(y) && !goes_on {
            self.feeds[y].drop_until(entry.number, release);
        }
        let same = SAME_SKEW.min(self.window.nanos() / 4);
        let feed = &mut self.feeds[y];
        // what is held up is no later for good, and where packets leave by a clock, what came together in a datagram tells less than what
        // was learnt before
        let by = entry.offset - feed.offset;
        if !feed.known || by <= HELD_UP && (feed.pacer.is_none() || by.abs() > same) {
            feed.offset = entry.offset;
        }
        feed.ahead = entry.left.is_none();
        feed.role = Role::Joined;
        feed.mistrust = 0;
        let was_known = core::mem::replace(&mut feed.known, true);
        if !was_known && let Some(skew) = self.skew(y) {
            self.tell(Event::Joined { feed: y, skew });
        }
        true
    }

    /// A packet of the feed that a joined one or the log has once, and that others follow in both.
    fn entry(&mut self, y: usize) -> Option<Entry> {
        let is_other = |(x, feed): (usize, &Feed)| (x != y && feed.role == Role::Joined).then_some(x);
        let lead = self.lead.filter(|lead| *lead != y && self.feeds[*lead].role == Role::Joined);
        let x = lead.or_else(|| self.feeds.iter().enumerate().find_map(is_other))?;
        let (feed, other) = (&self.feeds[y], &self.feeds[x]);
        let from = feed.scanned.max(feed.track.head());
        let mut found = (from..feed.track.end()).find_map(|number| self.entry_at(feed, number, other, None));
        // the same from the other side, where the feed is ahead of the others
        let from = if feed.sought_in == x { feed.sought_to } else { 0 };
        for there in from.max(other.track.head())..other.track.end() {
            if found.is_some() {
                break;
            }
            let Some(same) = other.track.get(there).filter(|rec| !rec.blank) else { continue };
            if let Found::One(number) = feed.track.find(same.fingerprint, 0) {
                found = self.entry_at(feed, number, other, Some(there));
            }
        }
        let to = other.track.end().saturating_sub(BACK);
        let feed = &mut self.feeds[y];
        feed.sought_in = x;
        feed.sought_to = to;
        found
    }

    /// Whether a feed may enter at its packet `number`. It must be the only one of its kind in the feed, in the other and in what
    /// has left, and packets behind it must be so as well: filler with nothing but its counter repeats.
    fn entry_at(&self, feed: &Feed, number: u64, other: &Feed, ahead: Option<u64>) -> Option<Entry> {
        let rec = feed.track.get(number).filter(|rec| !rec.blank)?;
        let only = |fingerprint: u64| {
            if feed.track.find(fingerprint, 0) == Found::Many {
                return None;
            }
            match (self.log.find(fingerprint, 0), other.track.find(fingerprint, 0)) {
                (Found::None, Found::One(waits)) => Some(self.log.end() + waits - other.track.head()),
                (Found::One(left), Found::None) => Some(left),
                (Found::None, Found::None) | (Found::One(_), Found::One(_)) | (Found::Many, _) | (_, Found::Many) => {
                    None
                }
            }
        };
        let there = only(rec.fingerprint)?;
        let follows = match ahead {
            None => feed
                .others_from(number + 1)
                .take(OF)
                .filter(|rec| only(rec.fingerprint).is_some_and(|n| n > there))
                .count(),
            Some(there) => {
                let has = |rec: &Rec| matches!(feed.track.find(rec.fingerprint, 0), Found::One(n) if n > number);
                other.others_from(there + 1).take(OF).filter(|rec| only(rec.fingerprint).is_some() && has(rec)).count()
            }
        };
        if follows < NEIGHBOURS {
            return None;
        }
        let left = (there < self.log.end()).then_some(there);
        let same = match left {
            Some(left) => self.log.get(left)?.at,
            None => other.on_clock(other.track.get(there - self.log.end() + other.track.head())?.at),
        };
        Some(Entry { number, left, offset: rec.at.nanos() - same.nanos() })
    }
}
