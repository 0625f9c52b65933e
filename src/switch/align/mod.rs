//! How the feeds of a channel stand to each other, and the one sequence of packets made of those that are the same.
//!
//! Each feed's packets wait in a track of their own, known by their fingerprints. What has left, or is to leave next whatever comes,
//! stands in a log. A packet is decided on when it is due: by then most of what the other feeds have to say of it is there.
//! Two feeds that are joined have the same packets in the same order but for their losses, so at each step the first packets that
//! wait are the same one, or one of them is missing from another feed: whichever is found further on in the other comes
//! second. Where neither is found, continuity counters tell the order on one PID, and times the order between PIDs.
//!
//! Invariants:
//!
//! - Every handle that is given in comes back once: from [`Aligner::next_due`], or through `release`.
//! - Each packet leaves once, in the order of the feed it came from. What stands in the log is never taken again, and nothing
//!   goes before it: a packet that belongs there and comes later is let go and counted.
//! - A packet of a feed other than the one followed leaves only with a reason: that the followed feed has its successor and not it,
//!   that it fills a hole in the continuity counters, or that the followed feed has nothing at all.
//! - Null packets cannot be told apart. They are matched by how many lie between two packets that can, and that is the least
//!   that the feeds allow; in a stream of constant bit rate, PCRs tell where the feeds each lost another one.
//! - Where feeds came in RTP with equal sequence numbers, these tell the order, of null packets and of repeated ones too, for as
//!   long as nothing speaks against them: see `places`. All else here is for feeds without them.
//! - Nothing is allocated once an aligner is made.
//!
//! What no feed can tell without such numbers: between two packets that both feeds have, each of them lost some, of PIDs that the other's do not
//! have. Their order on each PID is the source's, and the order between the PIDs is that of the times.

mod arrival;
mod contest;
mod feed;
mod fingerprint;
mod kin;
mod lines;
mod merge;
mod pace;
mod places;
mod plan;
mod rate;
mod settle;
mod track;

pub use kin::{Evidence, Kinship, Relation};

use serde::Serialize;

use crate::transport::Ordinal;
use crate::ts::{Outline, Packet};
use crate::units::{Instant, Pid, Span};

use kin::{Anchor, Kin};
use merge::Merge;
use track::Rec;

/// The most feeds that one aligner can have.
pub const MAX_FEEDS: usize = 16;

/// How an aligner is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many feeds, 1 to [`MAX_FEEDS`].
    pub feeds: usize,
    /// From a packet's arrival to its leaving, and by how much feeds may be apart: 0…2 s.
    pub window: Span,
    /// How many packets of each feed can wait: see [`Settings::capacity`].
    pub capacity: usize,
    /// Whether feeds that have the same packets are made one. If not, it is only said how they stand.
    pub merge: bool,
    /// Whether packets leave by their feed's clock (PCR) in place of when they came. The window is then less by as much as the two
    /// differ, where a packet should have come before it did.
    pub pace: bool,
}

impl Settings {
    /// The packets that a feed of `bit_rate` bits a second needs room for: a feed that leads by the window waits for two of
    /// them. Half as much again is for what comes in bursts.
    pub fn capacity(window: Span, bit_rate: u64) -> usize {
        let window = u64::try_from(window.nanos()).unwrap_or(0).min(2_000_000_000);
        // packets in a millisecond are bits / 1,504,000: never beyond 64 bits for what a network carries
        let packets = bit_rate.min(10_000_000_000) / 1_504 * (window / 1_000) / 1_000_000 * 3;
        usize::try_from(packets).unwrap_or(usize::MAX).saturating_add(256)
    }

    /// The bytes that an aligner takes.
    pub const fn memory(&self) -> usize {
        Merge::memory(self) + self.feeds * Kin::memory()
    }
}

/// Where a packet lies: a frame of the arena, and the offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The frame.
    pub frame: u32,
    /// The offset of the packet's first byte.
    pub offset: u16,
}

/// A packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Where it lies.
    pub handle: Handle,
    /// What it is.
    pub outline: Outline,
    /// The feed that this copy came from.
    pub feed: usize,
    /// No other feed had it, though another was joined.
    pub alone: bool,
}

/// Why a feed is joined to the others no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Its packets no longer are those of the others.
    Mismatch,
    /// It was not found again after an interruption.
    Lost,
    /// Nothing came from it.
    Silent,
    /// Another feed is followed.
    Cut,
}

/// What happened between feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The feed has the same packets as the one followed, and they are merged from here.
    Joined {
        /// Which.
        feed: usize,
        /// How much later than the followed feed its packets come, in nanoseconds.
        skew: i64,
    },
    /// The feed is merged no longer.
    Parted {
        /// Which.
        feed: usize,
        /// Why.
        why: Parting,
    },
    /// The followed feed is silent, and the time of the output is kept by another of those joined.
    Leads {
        /// Which it now is.
        feed: usize,
    },
}

/// What became of the packets of one feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All that came.
    pub packets: u64,
    /// Those that another feed had as well.
    pub matched: u64,
    /// Those that left while another feed was joined and did not have them.
    pub alone: u64,
    /// Those of other feeds that left, and that this one did not have.
    pub missing: u64,
    /// Those that came after their like had left.
    pub late: u64,
    /// Those whose place had passed, and of which no other feed had one: lost.
    pub too_late: u64,
    /// Those that had no place among the others and were let go.
    pub stray: u64,
    /// Those with transport_error_indicator of which another feed had a better one, or that differed from the followed feed's.
    pub damaged: u64,
    /// Those that did not begin with a sync byte.
    pub unsynchronised: u64,
    /// Those let go because there was no room.
    pub overrun: u64,
    /// Null packets that left because the PCRs say that they were lost from the other feeds.
    pub restored: u64,
}

/// The state of one channel's feeds.
#[derive(Debug)]
pub struct Aligner {
    merge: Merge,
    kin: Kin,
    merges: bool,
}

impl Aligner {
    /// An aligner that follows no feed yet.
    pub fn new(settings: &Settings) -> Self {
        let settings = Settings {
            feeds: settings.feeds.clamp(1, MAX_FEEDS),
            window: settings.window.min(Span::from_secs(2)),
            ..*settings
        };
        Self { merge: Merge::new(&settings), kin: Kin::new(&settings), merges: settings.merge }
    }

    /// A packet of `feed` that came at `at`, and where it stands in the RTP stream that brought it, if one did. Times of one feed
    /// do not step back.
    #[inline]
    pub fn packet<R: FnMut(Handle)>(
        &mut self,
        feed: usize,
        packet: Packet<'_>,
        ordinal: Option<Ordinal>,
        handle: Handle,
        at: Instant,
        mut release: R,
    ) {
        let Some(counts) = self.merge.counts_mut(feed) else {
            release(handle);
            return;
        };
        counts.packets += 1;
        let outline = Outline::of(packet);
        if !outline.is_synchronised() {
            counts.unsynchronised += 1;
            release(handle);
            return;
        }
        let fingerprint = if outline.pid() == Pid::NULL {
            // the counter of a null packet means nothing
            let mut bytes = *packet.bytes();
            bytes[3] &= 0xF0;
            fingerprint::fingerprint(&bytes)
        } else {
            fingerprint::fingerprint(packet.bytes())
        };
        let blank = self.merge.is_blank(feed, fingerprint, outline);
        let pcr = if outline.has_pcr() && !outline.transport_error_indicator() { packet.pcr() } else { None };
        let number = self.merge.packet(feed, Rec::new(fingerprint, at, handle, outline, blank), ordinal, &mut release);
        self.kin.packet(feed);
        if blank {
            return;
        }
        if let Some(pcr) = pcr {
            let (pid, merge) = (outline.pid(), &mut self.merge);
            if let Some(number) = number {
                merge.clock(feed, number, at, pid, pcr);
            }
            let anchor = Anchor { fingerprint, pid, pcr, number: number.unwrap_or(0), ordinal, at };
            let merges = self.merges;
            self.kin.clock(feed, merge.lead(), anchor, |other, shared| {
                if merges {
                    if let Some((own, of_lead)) = shared.ordinals {
                        merge.compare(other, own, of_lead);
                    }
                    merge.join(other, shared.number, shared.skew, &mut release);
                }
            });
        }
        self.kin.neighbour(feed, fingerprint);
        if packet.payload_unit_start_indicator() {
            self.kin.unit(feed, self.merge.lead(), packet);
        }
    }

    /// Packets of `feed` were lost before the one that comes next.
    pub fn lost(&mut self, feed: usize) {
        self.merge.lost(feed);
    }

    /// Lets go of what `feed` brought too long before `now` to be of use, where it is not joined to others. What comes of it
    /// later does so too.
    #[inline]
    pub fn expire<R: FnMut(Handle)>(&mut self, feed: usize, now: Instant, mut release: R) {
        self.merge.expire(feed, now, &mut release);
    }

    /// The next packet that leaves by `now`. To be asked until there is none, after each datagram and at each
    /// [`Aligner::deadline`].
    #[inline]
    pub fn next_due<R: FnMut(Handle)>(&mut self, now: Instant, mut release: R) -> Option<Leaving> {
        let lead = self.merge.lead();
        let leaving = self.merge.next_due(now, &mut release);
        if self.merge.lead() != lead {
            self.kin.begin(now);
        }
        leaving
    }

    /// Before this time no packet leaves unless another comes. After [`Aligner::next_due`] had none it is later than its `now`.
    #[inline]
    pub fn deadline(&self) -> Instant {
        self.merge.deadline()
    }

    /// From now on the output is `feed`, and what is the same. True if it is joined to the one followed so far: no packet is
    /// lost or repeated; if not, the output goes on with what of it is due after `now`.
    pub fn follow<R: FnMut(Handle)>(&mut self, feed: Option<usize>, now: Instant, mut release: R) -> bool {
        let before = self.merge.lead();
        let seamless = self.merge.follow(feed, now, &mut release);
        if !seamless || self.merge.lead() != before {
            self.kin.begin(now);
        }
        seamless
    }

    /// As [`Aligner::follow`], where all of `feed` and what is the same leaves `late` nanoseconds after it is due, or before. What
    /// came of it so far is that of `other`.
    pub fn begin(&mut self, feed: usize, late: i64, other: &Self, now: Instant) {
        self.follow(Some(feed), now, |_| {});
        self.merge.begin(feed, late, &other.merge);
    }

    /// Whether the packets of `feed` are those of the output, as far as that is known.
    pub fn is_merged(&self, feed: usize) -> bool {
        self.merge.is_merged(feed)
    }

    /// When the latest packet of `feed` that waits should have come by its clock; none where packets leave as they come, or the
    /// clock does not tell.
    #[inline]
    pub fn time(&self, feed: usize) -> Option<Instant> {
        self.merge.time(feed)
    }

    /// Gives back all that waits and follows no feed any more.
    pub fn clear<R: FnMut(Handle)>(&mut self, mut release: R) {
        self.merge.clear(&mut release);
    }

    /// The feed that the output's time is that of.
    pub const fn lead(&self) -> Option<usize> {
        self.merge.lead()
    }

    /// Whether the packets of `feed` are merged into the output.
    pub fn is_joined(&self, feed: usize) -> bool {
        self.merge.is_joined(feed)
    }

    /// Whether the order of the packets of `feed` and of others is told by their RTP sequence numbers, which are the same.
    pub const fn is_placed(&self, feed: usize) -> bool {
        feed < MAX_FEEDS && self.merge.is_placed(feed)
    }

    /// How `feed` stands to the one followed, by what was seen up to `now`.
    pub fn kinship(&self, feed: usize, now: Instant) -> Kinship {
        self.kin.kinship(feed, self.merge.lead(), self.merge.skew(feed), now)
    }

    /// What became of the packets of `feed`.
    pub fn counts(&self, feed: usize) -> Counts {
        self.merge.counts(feed)
    }

    /// The oldest event that was not yet told.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.merge.poll_event()
    }
}
