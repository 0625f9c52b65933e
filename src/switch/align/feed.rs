//! One feed: what waits of it, and where it stands in the log.

use std::collections::VecDeque;

use super::pace::Pacer;
use super::rate::Rate;
use super::track::{Rec, Track};
use super::{Counts, Handle};
use crate::transport::Ordinal;
use crate::units::{Instant, Pid, Span, Ticks27M};

/// How fast a feed's place in time follows what is measured: 10 ms in a second.
const SLEW: i64 = 100;
/// Packets for which there must be room, or what waits leaves before its time.
const ROOM: usize = 32;
/// How far ahead packets are looked at, null packets and all.
const FAR: u64 = 256;
/// How long what comes waits at the least.
const HELD: Span = Span::from_millis(20);
/// So long and so often a feed has to be found elsewhere, and no further from there than by this, in nanoseconds.
const PERSISTS: Span = Span::from_millis(200);
const TIMES: u32 = 4;
const SAME: i64 = 20_000_000;
/// PCRs that can wait.
const CLOCKS: usize = 512;

/// What a feed is to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Apart,
    /// It has the same packets, and is looked for among them.
    Entering,
    /// It has the same packets, and its place is known.
    Joined,
}

/// A PCR that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) number: u64,
    pub(super) pid: Pid,
    pub(super) pcr: Ticks27M,
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) track: Track,
    pub(super) role: Role,
    /// How much later than on the clock of the output its packets come, in nanoseconds.
    pub(super) offset: i64,
    /// The packets of the log before this are settled: it had them, or is known not to.
    pub(super) cursor: u64,
    /// Where the search for its place began, and where it goes on.
    pub(super) sought: u64,
    pub(super) scanned: u64,
    /// The feed that is searched for packets of this one, and how far.
    pub(super) sought_in: usize,
    pub(super) sought_to: u64,
    /// Packets were lost before the one that comes next.
    pub(super) holed: bool,
    /// If some are missing before this packet, its place is to be looked for anew.
    pub(super) doubted_to: u64,
    /// From this packet on its place is to be looked for anew.
    pub(super) broken: Option<u64>,
    /// It has entered, and its packets may come later than those that are next.
    pub(super) ahead: bool,
    /// It was told that this feed has the same packets as the others.
    pub(super) known: bool,
    /// Its PCRs came with another offset, from a time on, and how many of them.
    pub(super) elsewhere: Option<(i64, Instant, u32)>,
    /// The first packet that waits and is not blank, or where it will be.
    identity: u64,
    pub(super) mistrust: u32,
    /// Where the packet that came last stands in its RTP stream.
    pub(super) ordinal: Option<Ordinal>,
    /// By how much its ordinals are ahead of its places: see [`super::places`].
    pub(super) rounds: u32,
    /// Packets in a row that had the same sequence number in the followed feed.
    pub(super) agreed: u32,
    pub(super) last_at: Instant,
    /// The usual time from one datagram to the next, in nanoseconds.
    pub(super) gap: i64,
    slewed: Instant,
    clocks: VecDeque<Clock>,
    /// The latest null packet.
    pub(super) null: u64,
    pub(super) counts: Counts,
    /// The clock that its packets leave by; none where they leave as they came.
    pub(super) pacer: Option<Pacer>,
}

impl Feed {
    pub(super) fn new(capacity: usize, pace: bool) -> Self {
        Self {
            track: Track::new(capacity),
            role: Role::Apart,
            offset: 0,
            cursor: 0,
            sought: 0,
            scanned: 0,
            sought_in: 0,
            sought_to: 0,
            holed: false,
            doubted_to: 0,
            broken: None,
            ahead: false,
            known: false,
            elsewhere: None,
            identity: 0,
            mistrust: 0,
            ordinal: None,
            rounds: 0,
            agreed: 0,
            last_at: Instant::LONG_AGO,
            gap: 0,
            slewed: Instant::LONG_AGO,
            clocks: VecDeque::with_capacity(CLOCKS),
            null: 0,
            counts: Counts::default(),
            pacer: pace.then(Pacer::new),
        }
    }

    pub(super) const fn memory() -> usize {
        CLOCKS * size_of::<Clock>() + Pacer::memory()
    }

    /// When a packet of this feed would have come on the clock of the output.
    #[inline]
    pub(super) const fn on_clock(&self, at: Instant) -> Instant {
        Instant::from_nanos(at.nanos().saturating_sub(self.offset))
    }

    #[inline]
    pub(super) fn due(&self, rec: &Rec, window: Span) -> Instant {
        self.on_clock(rec.at) + window
    }

    /// When a packet of it is to leave.
    #[inline]
    pub(super) fn leaves(&self, number: u64, rec: &Rec, window: Span) -> Instant {
        let paced = self.pacer.as_ref().and_then(|pacer| pacer.time(number));
        // what comes late, as after all of the machine stood still, still waits for what the others have between it
        let soonest = self.on_clock(rec.at) + HELD.min(window);
        (self.on_clock(paced.unwrap_or(rec.at)) + window).max(soonest)
    }

    /// Finds the first packet that is not blank again.
    #[inline]
    pub(super) fn look(&mut self) {
        self.identity = self.identity.max(self.track.head());
        while self.track.get(self.identity).is_some_and(|rec| rec.blank) {
            self.identity += 1;
        }
    }

    /// The number of the first packet that waits and is not blank, since [`Feed::look`].
    #[inline]
    pub(super) fn identity(&self) -> Option<(u64, &Rec)> {
        self.track.get(self.identity).map(|rec| (self.identity, rec))
    }

    #[inline]
    pub(super) fn is_nearly_full(&self) -> bool {
        self.track.len() + ROOM as u64 >= self.track.capacity() as u64
    }

    /// The packets from `number` on that are not blank, as far as it is worth looking.
    pub(super) fn others_from(&self, number: u64) -> impl Iterator<Item = &Rec> {
        (number..number + FAR).map_while(|n| self.track.get(n)).filter(|rec| !rec.blank)
    }

    /// Whether the log has packets of which it is not known whether this feed had them.
    #[inline]
    pub(super) const fn is_behind(&self, log: &Track) -> bool {
        self.cursor < log.end()
    }

    /// What comes from now on may stand elsewhere.
    pub(super) const fn interrupt(&mut self) {
        match self.role {
            Role::Apart => {}
            Role::Entering => self.seek(),
            Role::Joined if self.track.is_empty() => self.seek(),
            Role::Joined => self.broken = Some(self.track.end()),
        }
    }

    /// Whether it has been found at this offset, which is not the one it is taken to have, for so long that none of the feeds is held up.
    pub(super) fn is_elsewhere(&mut self, offset: i64) -> bool {
        match &mut self.elsewhere {
            Some((known, since, times)) if (offset - *known).abs() <= SAME => {
                *times += 1;
                *times >= TIMES && self.last_at.since(*since) >= PERSISTS
            }
            Some(_) | None => {
                self.elsewhere = Some((offset, self.last_at, 1));
                false
            }
        }
    }

    /// Its place is to be looked for.
    pub(super) const fn seek(&mut self) {
        self.role = Role::Entering;
        self.broken = None;
        self.sought = self.track.head();
        self.scanned = self.sought;
        self.sought_to = 0;
    }

    /// Lets go of all packets before `number`.
    pub(super) fn drop_until<R: FnMut(Handle)>(&mut self, number: u64, release: &mut R) -> u64 {
        let before = self.track.head();
        while self.track.head() < number
            && let Some(rec) = self.track.pop()
        {
            release(rec.handle());
        }
        self.track.head() - before
    }

    /// A PCR that waits in the packet of this number.
    pub(super) fn push_clock(&mut self, clock: Clock) {
        if self.clocks.len() == CLOCKS {
            self.clocks.pop_front();
        }
        self.clocks.push_back(clock);
    }

    /// The PCRs that wait from `number` on.
    pub(super) fn clocks_from(&mut self, number: u64) -> impl Iterator<Item = &Clock> {
        while self.clocks.front().is_some_and(|clock| clock.number < number) {
            self.clocks.pop_front();
        }
        self.clocks.iter()
    }

    /// The next PCR that waits and is one of those that the rate is known by.
    pub(super) fn next_clock(&mut self, rate: &Rate) -> Option<Ticks27M> {
        let head = self.track.head();
        self.clocks_from(head).find(|clock| rate.is_clock(clock.pid)).map(|clock| clock.pcr)
    }

    /// Its packets come `by` later than where it is taken to stand: follows that, slowly.
    #[inline]
    pub(super) fn slew(&mut self, by: i64, at: Instant) {
        let most = at.since(self.slewed).nanos().min(100_000_000) / SLEW;
        if most > 0 {
            self.offset += (by / 16).clamp(-most, most);
            self.slewed = at;
        }
    }
}
