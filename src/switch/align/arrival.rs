//! What comes, and what it tells of where a feed stands.

use super::feed::{Clock, Role};
use super::merge::Merge;
use super::track::Rec;
use super::{Event, Handle, Parting};
use crate::transport::Ordinal;
use crate::ts::Outline;
use crate::units::{Instant, Pid, Span, Ticks27M};

/// After so long without a packet, or eight times what is usual, a feed of which some are missing is looked for anew among the
/// others.
pub(super) const INTERRUPTION: Span = Span::from_millis(50);
/// What is usual at the least.
const SHORTEST: Span = Span::from_millis(1);
/// After so long a feed is no longer taken for one of the others.
const GONE: Span = Span::from_secs(5);
/// Packets behind a silence, those of a datagram, that show whether some are missing.
const DOUBTED: u64 = 7;
/// By how much a feed that is joined may have been found elsewhere by its PCRs.
const ELSEWHERE: i64 = 50_000_000;

impl Merge {
    /// Whether a packet carries nothing: a null packet that is as the others are. The counter, which means nothing there (ISO/IEC
    /// 13818-1 2.4.3.3), is left out of `fingerprint` by the caller.
    pub(super) fn is_blank(&mut self, feed: usize, fingerprint: u64, outline: Outline) -> bool {
        if outline.pid() != Pid::NULL {
            return false;
        }
        let Some(feed) = self.feeds.get_mut(feed) else { return false };
        let again = core::mem::replace(&mut feed.null, fingerprint) == fingerprint;
        if self.blanks.contains(&fingerprint) {
            return true;
        }
        if again {
            self.blanks.swap(0, 1);
            self.blanks[0] = fingerprint;
        }
        again
    }

    /// Packets of a feed were lost before the one that comes next.
    pub(super) fn lost(&mut self, feed: usize) {
        let Some(feed) = self.feeds.get_mut(feed) else { return };
        feed.holed = true;
        if let Some(pacer) = &mut feed.pacer {
            pacer.lost();
        }
    }

    /// A packet of a feed. Its number, if it waits.
    #[inline]
    pub(super) fn packet<R: FnMut(Handle)>(
        &mut self,
        i: usize,
        rec: Rec,
        ordinal: Option<Ordinal>,
        release: &mut R,
    ) -> Option<u64> {
        let at = rec.at;
        self.count_on(i, ordinal);
        let feed = self.feeds.get_mut(i)?;
        let silent = at.since(feed.last_at);
        let holed = core::mem::take(&mut feed.holed);
        if silent > Span::ZERO {
            let usual = feed.gap.max(SHORTEST.nanos()).min(INTERRUPTION.nanos());
            feed.gap += (silent.nanos().min(INTERRUPTION.nanos()) - feed.gap) / 16;
            feed.last_at = at;
            if silent.nanos() > 8 * usual || silent > INTERRUPTION {
                self.interrupted(i, at, silent);
            }
        }
        if holed {
            self.broken(i);
        }
        self.expire(i, at, release);
        let feed = &self.feeds[i];
        if feed.track.is_empty() && feed.role == Role::Joined && feed.is_behind(&self.log) {
            // what comes too late is most often what left last
            let is_like = self.log.get(feed.cursor).is_some_and(|left| left.fingerprint == rec.fingerprint);
            if is_like && self.can_be(i, ordinal, feed.cursor) {
                let feed = &mut self.feeds[i];
                feed.counts.late += 1;
                feed.cursor += 1;
                release(rec.handle());
                return None;
            }
        }
        let feed = &mut self.feeds[i];
        if feed.track.is_full()
            && let Some(old) = feed.track.pop()
        {
            feed.counts.overrun += u64::from(feed.role == Role::Joined);
            release(old.handle());
        }
        let number = feed.track.end();
        feed.track.push(rec, ordinal);
        if let Some(pacer) = &mut feed.pacer {
            pacer.packet(number, at);
        }
        match feed.role {
            Role::Apart => {}
            Role::Entering => self.wake = Instant::LONG_AGO,
            Role::Joined => {
                if self.contested || feed.is_nearly_full() {
                    self.wake = Instant::LONG_AGO;
                } else if number == feed.track.head() {
                    self.wake = self.wake.min(feed.leaves(number, &rec, self.window));
                }
            }
        }
        Some(number)
    }

    /// Lets go of what a feed that is not joined brought too long before `at` to be of use.
    #[inline]
    pub(super) fn expire<R: FnMut(Handle)>(&mut self, i: usize, at: Instant, release: &mut R) {
        let Some(feed) = self.feeds.get_mut(i).filter(|feed| feed.role != Role::Joined) else { return };
        let horizon = feed.on_clock(at) - self.window - INTERRUPTION;
        while let Some(old) = feed.track.front().filter(|rec| feed.on_clock(rec.at) < horizon) {
            release(old.handle());
            feed.track.pop();
        }
    }

    #[cold]
    fn interrupted(&mut self, i: usize, at: Instant, silent: Span) {
        let mut others = self.feeds.iter().enumerate().filter(|(other, feed)| *other != i && feed.role == Role::Joined);
        let half = Span::from_nanos(silent.min(INTERRUPTION).nanos() / 2);
        let goes_on = others.any(|(_, feed)| at.since(feed.last_at) <= half);
        if !goes_on {
            return;
        }
        if silent > GONE && self.lead != Some(i) {
            self.part(i, Parting::Silent);
            return;
        }
        if silent > INTERRUPTION || !self.holds_its_place(i) {
            let feed = &mut self.feeds[i];
            feed.doubted_to = feed.track.end() + DOUBTED;
        }
    }

    /// Packets of a feed are missing. Where that is behind a silence it may be on another way or begin anew; without it, what was
    /// held up on its way goes on where it stood.
    #[cold]
    fn broken(&mut self, i: usize) {
        let feed = &mut self.feeds[i];
        if feed.track.end() < feed.doubted_to {
            feed.doubted_to = 0;
            feed.interrupt();
        }
    }

    /// A PCR in the packet of this number.
    pub(super) fn clock(&mut self, feed: usize, number: u64, at: Instant, pid: Pid, pcr: Ticks27M) {
        if let Some(feed) = self.feeds.get_mut(feed) {
            feed.push_clock(Clock { number, pid, pcr });
            if let Some(pacer) = &mut feed.pacer {
                pacer.clock(number, feed.track.head(), at, pid, pcr);
                if feed.role != Role::Apart {
                    // what waits may now leave earlier
                    self.wake = Instant::LONG_AGO;
                }
            }
        }
    }

    /// A feed was found to have the same packets as the one followed, `skew` nanoseconds later; `number` is one that
    /// both have.
    pub(super) fn join<R: FnMut(Handle)>(&mut self, i: usize, number: u64, skew: i64, release: &mut R) {
        let Some(lead) = self.lead.and_then(|lead| self.feeds.get(lead)) else { return };
        let offset = lead.offset + skew;
        if !self.is_within(offset) {
            return;
        }
        let feed = &mut self.feeds[i];
        match feed.role {
            Role::Apart => {
                feed.drop_until(number, release);
                feed.offset = offset;
                feed.known = false;
                feed.seek();
                self.wake = Instant::LONG_AGO;
            }
            Role::Joined if (feed.offset - offset).abs() > ELSEWHERE => {
                if feed.is_elsewhere(offset) {
                    feed.seek();
                }
            }
            Role::Joined => feed.elsewhere = None,
            Role::Entering => {}
        }
    }

    /// A feed goes its own way.
    pub(super) fn part(&mut self, i: usize, why: Parting) {
        self.displace(i);
        let feed = &mut self.feeds[i];
        feed.role = Role::Apart;
        feed.broken = None;
        feed.offset = 0;
        feed.mistrust = 0;
        if core::mem::take(&mut feed.known) {
            self.tell(Event::Parted { feed: i, why });
        }
    }
}
