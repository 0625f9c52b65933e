//! How each feed stands to the one followed, by what both have brought lately.
//!
//! Anchors are packets with a PCR: their fingerprint takes in the 42 bits of the PCR, so that hardly any repeats. One that both
//! feeds have counts only if no feed has it twice within the horizon, and if most of the packets before it are the same too.

use super::lines::{self, Comparison, Line, video_pts};
use super::track::{Found, Rec, Track, low};
use super::{Handle, Settings};
use crate::transport::Ordinal;
use crate::ts::{Outline, Packet};
use crate::units::{Instant, Pid, Span, Ticks27M};

/// Anchors of a feed that are remembered.
const ANCHORS: usize = 1024;
/// How much further than the window a feed is looked for.
const BEYOND: Span = Span::from_secs(2);
/// Packets before an anchor that are compared.
const AROUND: usize = 8;
/// How many of them must be the same.
const SAME: u32 = 4;
/// Anchors in a row, at one skew, that show that feeds are the same.
const STREAK: u32 = 3;
/// By how much the skew of anchors in a row may differ.
const TOLERANCE: i64 = 30_000_000;
/// Where fewer than one packet with a PCR in so many is the same, that does not make two locked feeds one.
const CHANCE: u32 = 8;
/// Anchors that each feed must have had before it is said that there is nothing in common.
const ENOUGH: u32 = 8;

/// How a feed stands to the one followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// There is too little to go by.
    Unknown,
    /// It has the same packets, no further apart than the window.
    Identical {
        /// How many packets after those of the followed feed its own come; negative where they come before.
        skew_packets: i64,
        /// The same in nanoseconds.
        skew: i64,
    },
    /// It has the same packets, too far apart to be merged.
    OutOfWindow {
        /// How much later than those of the followed feed its packets come, in nanoseconds.
        skew: i64,
    },
    /// Other packets on the same time line: PCRs that coincide to within the window, and access units of video at the same PTS.
    /// That the codecs agree is for the PMTs to say.
    Locked {
        /// How much its PCRs are ahead of those of the followed feed, in nanoseconds.
        ahead: i64,
        /// How much more that becomes, in nanoseconds a second.
        drift: i64,
    },
    /// Nothing in common within the window and two seconds.
    Independent,
}

impl Relation {
    /// The name in the journal, in JSON and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Identical { .. } => "identical",
            Self::OutOfWindow { .. } => "out_of_window",
            Self::Locked { .. } => "locked",
            Self::Independent => "independent",
        }
    }
}

/// What a [`Relation`] rests on, since the followed feed was last changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Anchors that the feed brought.
    pub anchors: u32,
    /// Those that the followed feed had as well, with enough of the same packets before them.
    pub matched: u32,
    /// Packets before them that were the same.
    pub neighbours: u32,
    /// Those that were found twice, or with other packets before them.
    pub refused: u32,
    /// When one last matched.
    pub last_match: Option<Instant>,
}

/// How a feed stands to the one followed, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinship {
    /// How it stands.
    pub relation: Relation,
    /// What that rests on.
    pub evidence: Evidence,
    /// 0…100.
    pub sureness: u8,
}

/// What is remembered of one feed.
#[derive(Debug)]
struct Sight {
    anchors: Track,
    /// For each anchor, the packets before it.
    around: Box<[[u32; AROUND]]>,
    /// For each anchor, where it stands.
    places: Box<[Place]>,
    recent: [u32; AROUND],
    next: usize,
    /// Packets that came, the blank ones too.
    packets: u64,
    evidence: Evidence,
    /// Anchors of the followed feed meanwhile.
    of_lead: u32,
    streak: u32,
    skew: i64,
    skew_packets: i64,
}

/// Where an anchor stands in its feed.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The number that its packet waits as.
    number: u64,
    /// How many had come with it.
    packets: u64,
}

/// A packet with a PCR that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) fingerprint: u64,
    pub(super) pid: Pid,
    pub(super) pcr: Ticks27M,
    /// The number that it waits as.
    pub(super) number: u64,
    /// Where it stands in its RTP stream.
    pub(super) ordinal: Option<Ordinal>,
    pub(super) at: Instant,
}

/// A packet that a feed shares with the followed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Its number in that feed.
    pub(super) number: u64,
    /// How much later than in the followed feed it came, in nanoseconds.
    pub(super) skew: i64,
    /// Where it stands in the RTP stream of that feed, and in that of the followed one.
    pub(super) ordinals: Option<(Ordinal, Ordinal)>,
}

#[derive(Debug)]
pub(super) struct Kin {
    window: Span,
    sights: Vec<Sight>,
    lines: Vec<Line>,
    comparisons: Vec<Comparison>,
    since: Instant,
}

impl Sight {
    fn new() -> Self {
        let anchors = Track::new(ANCHORS);
        Self {
            around: vec![[0; AROUND]; anchors.capacity()].into_boxed_slice(),
            places: vec![Place::default(); anchors.capacity()].into_boxed_slice(),
            anchors,
            recent: [0; AROUND],
            next: 0,
            packets: 0,
            evidence: Evidence::default(),
            of_lead: 0,
            streak: 0,
            skew: 0,
            skew_packets: 0,
        }
    }

    /// Remembers an anchor. True if there is one like it already.
    fn remember(&mut self, anchor: &Anchor, horizon: Span) -> bool {
        while self.anchors.front().is_some_and(|rec| rec.at + horizon < anchor.at) {
            self.anchors.pop();
        }
        let again = self.anchors.find(anchor.fingerprint, 0) != Found::None;
        let place = self.place(self.anchors.end());
        self.around[place] = self.recent;
        self.places[place] = Place { number: anchor.number, packets: self.packets };
        let rec = Rec::new(anchor.fingerprint, anchor.at, Handle::default(), Outline::default(), false);
        self.anchors.push(rec, anchor.ordinal);
        self.evidence.anchors += 1;
        again
    }

    /// How sure it is that the feeds are the same.
    const fn sureness(&self) -> u8 {
        match self.streak {
            0 => 50,
            1..=3 => 80,
            4..=9 => 90,
            10.. => 99,
        }
    }

    /// How many of the packets before an anchor were these.
    fn neighbours(&self, anchor: u64, around: &[u32; AROUND]) -> u32 {
        let there = &self.around[self.place(anchor)];
        around.iter().map(|one| u32::from(*one != 0 && there.contains(one))).sum()
    }

    fn place(&self, anchor: u64) -> usize {
        usize::try_from(anchor % self.around.len() as u64).unwrap_or(0)
    }

    /// An anchor that this feed and the followed one have.
    fn meet(&mut self, skew: i64, skew_packets: i64, neighbours: u32, at: Instant) {
        if neighbours < SAME {
            self.refuse();
            return;
        }
        self.evidence.matched += 1;
        self.evidence.neighbours += neighbours;
        self.evidence.last_match = Some(at);
        self.streak = if (skew - self.skew).abs() <= TOLERANCE { self.streak.saturating_add(1) } else { 1 };
        self.skew = skew;
        self.skew_packets = skew_packets;
    }

    const fn refuse(&mut self) {
        self.evidence.refused += 1;
        self.streak = 0;
    }
}

impl Kin {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            window: settings.window,
            sights: (0..settings.feeds).map(|_| Sight::new()).collect(),
            lines: (0..settings.feeds).map(|_| Line::new()).collect(),
            comparisons: vec![Comparison::default(); settings.feeds],
            since: Instant::NEVER,
        }
    }

    pub(super) const fn memory() -> usize {
        let anchor = size_of::<[u32; AROUND]>() + size_of::<Place>();
        Track::memory(ANCHORS) + Track::room(ANCHORS) * anchor + Line::memory()
    }

    /// Another feed is followed from `now` on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = now;
        self.comparisons.fill(Comparison::default());
        for sight in &mut self.sights {
            sight.evidence = Evidence::default();
            sight.of_lead = 0;
            sight.streak = 0;
        }
    }

    fn horizon(&self) -> Span {
        Span::from_nanos(self.window.nanos() + BEYOND.nanos())
    }

    /// A packet of any kind, before its anchor.
    #[inline]
    pub(super) fn packet(&mut self, i: usize) {
        if let Some(sight) = self.sights.get_mut(i) {
            sight.packets += 1;
        }
    }

    /// A packet that is not blank, behind its anchor.
    #[inline]
    pub(super) fn neighbour(&mut self, i: usize, fingerprint: u64) {
        if let Some(sight) = self.sights.get_mut(i) {
            sight.next = (sight.next + 1) % AROUND;
            sight.recent[sight.next] = low(fingerprint) | 1;
        }
    }

    /// A packet in which a payload unit begins.
    pub(super) fn unit(&mut self, i: usize, lead: Option<usize>, packet: Packet<'_>) {
        if let Some(pts) = video_pts(packet) {
            lines::unit(&mut self.lines, &mut self.comparisons, i, lead, pts);
        }
    }

    /// A PCR of feed `i`. Calls `shared` for each feed that is known by now to share a packet with the followed one.
    pub(super) fn clock(
        &mut self,
        i: usize,
        lead: Option<usize>,
        anchor: Anchor,
        mut shared: impl FnMut(usize, Shared),
    ) {
        let horizon = self.horizon();
        let is_line = self.lines.get_mut(i).is_some_and(|line| line.clock(anchor.pid, anchor.pcr, anchor.at));
        let Some(again) = self.sights.get_mut(i).map(|sight| sight.remember(&anchor, horizon)) else { return };
        let Some(lead) = lead else { return };
        if i != lead {
            if is_line && let (Some(line), Some(of_lead)) = (self.lines.get(i), self.lines.get(lead)) {
                self.comparisons[i].clock(line, of_lead, self.window, anchor.at);
            }
            if let Some(common) = self.meet(i, i, lead, again, &anchor) {
                shared(i, common);
            }
            return;
        }
        for other in 0..self.sights.len() {
            if other != lead {
                self.sights[other].of_lead += 1;
                if let Some(common) = self.meet(other, lead, other, again, &anchor) {
                    shared(other, common);
                }
            }
        }
    }

    /// Looks for the anchor that feed `i` just brought in feed `other`; one of them is the one followed, `which` is not.
    fn meet(&mut self, which: usize, i: usize, other: usize, again: bool, anchor: &Anchor) -> Option<Shared> {
        let there = &self.sights[other];
        let number = match there.anchors.find(anchor.fingerprint, 0) {
            Found::One(number) if !again => number,
            Found::One(_) | Found::Many => {
                self.sights[which].refuse();
                return None;
            }
            Found::None => return None,
        };
        let rec = there.anchors.get(number).filter(|rec| rec.at + self.horizon() >= anchor.at)?;
        let own = &self.sights[i];
        let neighbours = there.neighbours(number, &own.recent);
        let (skew, place) = (anchor.at.nanos() - rec.at.nanos(), there.places[there.place(number)]);
        let apart = (there.packets - place.packets).cast_signed();
        let ordinals = anchor.ordinal.zip(there.anchors.ordinal(number));
        let (common, ordinals) = if i == which {
            ((skew, apart, anchor.number), ordinals)
        } else {
            ((-skew, -apart, place.number), ordinals.map(|(of_lead, own)| (own, of_lead)))
        };
        let sight = &mut self.sights[which];
        sight.meet(common.0, common.1, neighbours, anchor.at);
        (sight.streak >= STREAK).then_some(Shared { number: common.2, skew: common.0, ordinals })
    }

    /// How feed `i` stands to `lead`; `skew` is by how much later its packets come, if they are being merged.
    pub(super) fn kinship(&self, i: usize, lead: Option<usize>, skew: Option<i64>, now: Instant) -> Kinship {
        let none = Kinship { relation: Relation::Unknown, evidence: Evidence::default(), sureness: 0 };
        let (Some(sight), Some(comparison), Some(lead)) = (self.sights.get(i), self.comparisons.get(i), lead) else {
            return none;
        };
        let evidence = sight.evidence;
        let sure = |relation, sureness| Kinship { relation, evidence, sureness };
        if i == lead {
            return sure(Relation::Identical { skew_packets: 0, skew: 0 }, 100);
        }
        if let Some(skew) = skew {
            return sure(Relation::Identical { skew_packets: sight.skew_packets, skew }, sight.sureness());
        }
        let horizon = self.horizon();
        let is_recent = evidence.last_match.is_some_and(|at| now.since(at) <= horizon);
        if is_recent && sight.streak >= STREAK {
            let (skew, skew_packets) = (sight.skew, sight.skew_packets);
            let relation = if skew.abs() <= self.window.nanos() {
                Relation::Identical { skew_packets, skew }
            } else {
                Relation::OutOfWindow { skew }
            };
            return sure(relation, sight.sureness());
        }
        // two encoders on one clock make the same packet now and then
        let is_chance = comparison.is_locked() && evidence.matched.saturating_mul(CHANCE) < evidence.anchors;
        if is_recent && !is_chance || evidence.anchors < ENOUGH || sight.of_lead < ENOUGH {
            return sure(Relation::Unknown, 0);
        }
        // by now the same packets would have come
        let looked = now.since(self.since.max(evidence.last_match.unwrap_or(Instant::LONG_AGO)));
        if comparison.is_locked() {
            let relation = Relation::Locked { ahead: comparison.ahead(), drift: comparison.drift(now) };
            return sure(relation, if looked > horizon { 95 } else { 60 });
        }
        if looked > horizon { sure(Relation::Independent, 90) } else { sure(Relation::Unknown, 0) }
    }
}
