//! Where and when the output changes from one feed to another that has other packets, and how the two are mixed meanwhile.
//!
//! A splicer watches all packets of all feeds of a channel as they come, and so knows where their access units begin, with
//! which of them decoding can begin, and how their clocks stand to the engine's time. Asked for a switch it waits for a place
//! that does, says where the new feed begins and by how much its times are to be moved, and then takes the packets of both
//! feeds as they fall due and says which of them leave, and when.
//!
//! Invariants:
//!
//! - The output's clock runs on: the first packet of the new feed leaves when the line through the PCRs that left so far
//!   reaches its PCR, set on by the offset. All times of a feed are set on by one offset, a whole number of ticks of 90 kHz.
//! - DTS of the stream that decides (the first video, or the first sound where there is none) rise, and no picture leaves
//!   twice. The first picture of the new feed is a random access point; pictures that follow it and are presented before it
//!   are left out, for they may refer to pictures that are not there. Where it would be decoded before the old feed's last, its DTS,
//!   and no other, is set on into the time that those it was sent without leave free.
//! - A PES packet is sent whole, or not at all, unless its feed dies in the middle of it.
//! - Sound changes where the pictures do: the old goes on to the time at which the first new picture is presented, and the
//!   new begins with the first PES packet that does not begin before the old one's end.
//! - The feed whose packets make the slots is the old one until the first packet of the new one leaves, and then the new one.
//!   In each slot of an output of constant rate at least one packet leaves, and a second only where an access unit would be
//!   late for its DTS, or in every eighth slot if null packets leave no room for three seconds; in any other output at
//!   most two.
//! - Every handle that is given in comes out once.
//! - Nothing is allocated once a splicer is made.

mod feed;
mod held;
mod judge;
mod line;
mod mix;
mod plan;
mod queue;
mod unit;

use super::Handle;
use super::align::{Leaving, MAX_FEEDS};
use crate::tr101290::{Program, Stream as Listed};
use crate::ts::pes::Header;
use crate::ts::{Outline, PACKET_SIZE, Packet};
use crate::units::{Instant, Pid, Span, Ticks27M};

use feed::{Feed, Phase};
use held::Pool;
use line::Line;
use mix::{Mix, Run};
use plan::{Found, Seek};

/// How long after they are due packets of feeds that are not on air must still be there: a plan may begin with them.
pub const GRACE: Span = Span::from_millis(50);
/// While a place is sought it is looked for anew this often, though nothing came.
const LOOK: Span = Span::from_millis(5);

/// Where an emergency cut enters the new feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// At its next random access point that is not yet due.
    #[default]
    Next,
    /// At the last one that came, if it is not older than three seconds.
    Cached,
}

/// How a splicer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many feeds, 1 to [`MAX_FEEDS`].
    pub feeds: usize,
    /// From a packet's arrival to when it is due: 0…2 s.
    pub window: Span,
    /// Where emergency cuts enter.
    pub entry: Entry,
    /// How many packets can wait for a slot: those of a second do.
    pub capacity: usize,
}

/// How the new feed stands to the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They have one time line: no time stamp is moved.
    Locked,
    /// They have nothing in common.
    Independent,
}

/// What is on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnAir {
    /// Which feed.
    pub feed: usize,
    /// Ticks of 27 MHz that are added to its times, a multiple of 300.
    pub offset: i64,
    /// Nanoseconds after they are due at which its packets leave.
    pub extra: i64,
}

/// A switch that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is left; none where nothing was ever sent.
    pub from: Option<OnAir>,
    /// The feed to take.
    pub to: usize,
    /// The best that the two feeds allow.
    pub kind: Kind,
    /// There is time to wait for a good place.
    pub planned: bool,
    /// The old feed still delivers.
    pub alive: bool,
    /// The output has a constant rate.
    pub constant: bool,
    /// The longest that a place is sought.
    pub limit: Span,
}

impl Request {
    /// The longest that a planned switch should seek a place.
    pub const LIMIT_PLANNED: Span = Span::from_secs(10);
    /// The same of an emergency.
    pub const LIMIT_EMERGENCY: Span = Span::from_secs(3);
}

/// Where the new feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The new feed.
    pub to: usize,
    /// The number of its first packet that is wanted.
    pub first: u64,
    /// Nanoseconds after they are due at which its packets leave; negative down to the window.
    pub extra: i64,
    /// Ticks of 27 MHz that are added to its PCR, PTS and DTS: a multiple of 300.
    pub offset: i64,
    /// How the cut is made.
    pub kind: Kind,
    /// When the first packet leaves.
    pub leaves: Instant,
    /// How long no picture is presented, as far as it is known before.
    pub hole: Span,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The new feed has neither video nor sound, or its PMT did not come.
    NoStreams,
    /// Decoding cannot begin anywhere in what came of it.
    NoRandomAccess,
    /// It has no PCR, or the output had none.
    NoClock,
    /// Its PES packets have no PTS.
    NoTimes,
    /// It is scrambled.
    Scrambled,
    /// The output's times would have stepped back, or the new feed would have left too late.
    NoPlace,
    /// A stream that is on air is coded otherwise: the feeds are not taken to have one time line.
    OtherCodecs,
}

impl Why {
    /// The name in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoStreams => "no_streams",
            Self::NoRandomAccess => "no_random_access",
            Self::NoClock => "no_clock",
            Self::NoTimes => "no_times",
            Self::Scrambled => "scrambled",
            Self::NoPlace => "no_place",
            Self::OtherCodecs => "other_codecs",
        }
    }
}

/// What came of seeking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Wait,
    /// A place: the transition runs from now on.
    Go(Plan),
    /// None in time: the cut has to be a hard one.
    Fallback(Why),
}

/// Which feed a packet is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is left.
    Old,
    /// The one that is taken.
    New,
}

/// What leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// A packet, its times still those of its feed.
    Send {
        /// Of which feed.
        side: Side,
        /// Where it lies.
        handle: Handle,
        /// What it is.
        outline: Outline,
        /// Its PCR is to be taken out: it was sent in its place.
        strip: bool,
        /// The access unit that begins here is the one that video of the new feed is entered with, of which the leading pictures
        /// are left out; by so many ticks of 90 kHz more its DTS is set on.
        enters: Option<i64>,
    },
    /// A null packet.
    Null,
    /// A packet with nothing but a PCR.
    Pcr {
        /// Of which feed.
        side: Side,
        /// The PID that it has there.
        pid: Pid,
        /// The PCR, in the output's time.
        value: Ticks27M,
    },
    /// A packet that does not leave: it is given back.
    Drop(Handle),
}

/// What a transition cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How the cut was made.
    pub kind: Kind,
    /// Nanoseconds that the new feed's packets leave later than due.
    pub extra: i64,
    /// How long no picture was presented beyond the last one's own time.
    pub hole: Span,
    /// The longest that a stream of sound was silent.
    pub audio_hole: Span,
    /// Units that were begun and not ended.
    pub truncated: u32,
    /// Pictures of the new feed that could not be decoded and were left out.
    pub left_out: u32,
    /// Packets that found no room to wait in.
    pub overrun: u32,
}

/// What a switch would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// There is a place now.
    Place {
        /// How the cut would be made.
        kind: Kind,
        /// Until the first packet leaves.
        wait: Span,
        /// How long no picture would be presented.
        hole: Span,
    },
    /// None yet, and what it would fail for if none came.
    NotYet(Why),
    /// Nor will there be.
    Never(Why),
}

/// The splicer of one channel.
#[derive(Debug)]
pub struct Splicer {
    settings: Settings,
    feeds: Vec<Feed>,
    pool: Pool,
    line: Line,
    seek: Option<Seek>,
    run: Option<Run>,
}

impl Splicer {
    /// A splicer that has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        let settings = Settings {
            feeds: settings.feeds.clamp(1, MAX_FEEDS),
            window: settings.window.min(Span::from_secs(2)),
            ..*settings
        };
        Self {
            settings,
            feeds: (0..settings.feeds).map(|_| Feed::new()).collect(),
            pool: Pool::new(settings.capacity),
            line: Line::default(),
            seek: None,
            run: None,
        }
    }

    /// The programs and streams of a feed, whenever they changed. What waits of streams that are gone is given back.
    pub fn structure(&mut self, feed: usize, programs: &[Program], streams: &[Listed], mut out: impl FnMut(Out)) {
        let Some(feed) = self.feeds.get_mut(feed) else { return };
        feed.structure(programs, streams);
        for list in feed.orphans() {
            while let Some(held) = self.pool.pop(list) {
                out(Out::Drop(held.handle));
            }
        }
    }

    /// The packet of this number of a feed, as it arrives. Numbers rise by one; times do not step back by more than 5 ms.
    #[inline]
    pub fn watch(&mut self, feed: usize, number: u64, at: Instant, packet: Packet<'_>) {
        if let Some(feed) = self.feeds.get_mut(feed) {
            feed.watch(number, at, packet);
        }
    }

    /// A PCR of the output's first program left at this time, in the output's time line.
    pub fn clock(&mut self, pcr: Ticks27M, at: Instant) {
        self.line.put(pcr, at);
    }

    /// A packet of `feed` left in normal running, its times moved by `offset`; the bytes are those that came. `head` is that of the
    /// PES packet that begins in it, where that goes on in the next and is known.
    #[inline]
    pub fn sent(&mut self, feed: usize, offset: i64, packet: Packet<'_>, head: Option<Header>) {
        if let Some(feed) = self.feeds.get_mut(feed) {
            feed.sent(offset, packet, head);
        }
    }

    /// Seeks a place for this switch. `pairs` are the PIDs of the old and the new feed that are one PID of the output; where it
    /// is empty the streams of one kind are paired in the order of the PMTs, the program that decides with its like and the
    /// others by their number. A switch that was sought is forgotten; while a transition runs nothing is begun, and false
    /// given: [`Splicer::cancel`] it first.
    pub fn begin(&mut self, request: Request, pairs: &[(Pid, Pid)], now: Instant) -> bool {
        if self.run.is_some() {
            return false;
        }
        let request = Request { from: request.from.filter(|from| from.feed < self.feeds.len()), ..request };
        plan::pair(&mut self.feeds, &request, pairs);
        self.seek = Some(Seek { request, begun: now, looked: None });
        true
    }

    /// Whether there is a place now: to be asked after each packet that is watched, and at each [`Splicer::deadline`].
    pub fn plan(&mut self, now: Instant) -> Outcome {
        if self.run.is_some() {
            return Outcome::Wait;
        }
        let Some(seek) = &mut self.seek else { return Outcome::Wait };
        let news = self.feeds.iter().fold(0_u32, |sum, feed| sum.wrapping_add(feed.news));
        let over = now.since(seek.begun) >= seek.request.limit;
        if !over && seek.looked.is_some_and(|(then, known)| known == news && now.since(then) < LOOK) {
            return Outcome::Wait;
        }
        seek.looked = Some((now, news));
        let (request, begun) = (seek.request, seek.begun);
        match self.look(&request, begun, now) {
            Found::Place(choice) => {
                self.seek = None;
                self.run = Some(Run::new(&request, &choice, now, &mut self.feeds));
                Outcome::Go(choice.plan)
            }
            Found::Never(why) => {
                self.seek = None;
                Outcome::Fallback(why)
            }
            Found::NotYet(why) if over => {
                self.seek = None;
                Outcome::Fallback(why)
            }
            Found::NotYet(_) => Outcome::Wait,
        }
    }

    fn look(&self, request: &Request, begun: Instant, now: Instant) -> Found {
        plan::View { feeds: &self.feeds, line: self.line, settings: &self.settings, request, begun, now }.look()
    }

    /// What this switch would cost if it were begun now, with `pairs` as in [`Splicer::begin`]; none while another is sought or
    /// runs.
    pub fn forecast(&mut self, request: Request, pairs: &[(Pid, Pid)], now: Instant) -> Option<Forecast> {
        if self.seek.is_some() || !self.begin(request, pairs, now) {
            return None;
        }
        let request = self.seek.take()?.request;
        Some(match self.look(&request, now, now) {
            Found::Place(choice) => {
                let plan = choice.plan;
                Forecast::Place { kind: plan.kind, wait: plan.leaves.since(now), hole: plan.hole }
            }
            Found::NotYet(why) => Forecast::NotYet(why),
            Found::Never(why) => Forecast::Never(why),
        })
    }

    /// Whether a transition runs: packets of both feeds are to be given to [`Splicer::packet`].
    pub const fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Whether the new feed's packets tell when something leaves, though none of them may have left yet.
    pub fn is_led_by_new(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.master == Side::New)
    }

    /// A packet of the feed of that side is due; `head` is as in [`Splicer::sent`]. The first of the new feed is the one that
    /// the plan names, and none is left out.
    pub fn packet(
        &mut self,
        side: Side,
        leaving: Leaving,
        bytes: &[u8; PACKET_SIZE],
        head: Option<Header>,
        now: Instant,
        mut out: impl FnMut(Out),
    ) {
        let packet = Packet::new(bytes);
        match (self.mix(now, head), side) {
            (Some(mut mix), Side::Old) => mix.old(leaving, packet, &mut out),
            (Some(mut mix), Side::New) => mix.new_(leaving, packet, &mut out),
            (None, _) => out(Out::Drop(leaving.handle)),
        }
    }

    fn mix(&mut self, now: Instant, head: Option<Header>) -> Option<Mix<'_>> {
        let Some(run) = &mut self.run else { return None };
        let (feeds, pool) = (&mut self.feeds, &mut self.pool);
        Some(Mix { feeds, pool, run, line: self.line, window: self.settings.window, now, head })
    }

    /// When [`Splicer::advance`] or [`Splicer::plan`] has something to do though no packet comes.
    pub fn deadline(&self) -> Instant {
        if let Some(run) = &self.run {
            return run.deadline(!self.pool.is_empty());
        }
        self.seek.map_or(Instant::NEVER, |seek| seek.looked.map_or(seek.begun, |(then, _)| then + LOOK))
    }

    /// Time passed: what waits and finds no slot leaves, slowly, and an old feed from which nothing comes is given up.
    pub fn advance(&mut self, now: Instant, mut out: impl FnMut(Out)) {
        if let Some(mut mix) = self.mix(now, None) {
            mix.advance(&mut out);
        }
    }

    /// What the transition cost, told once: when the pictures and the sound of the program that decides have gone over, and a second
    /// after the new feed's first packet at the latest. Streams that come now and then are not waited for.
    pub fn cost(&mut self, now: Instant) -> Option<Cost> {
        self.mix(now, None)?.told()
    }

    /// Whether a transition is over, which is told once: from then on everything comes from the new feed.
    pub fn finished(&mut self, now: Instant) -> bool {
        let is_finished = self.mix(now, None).is_some_and(|mut mix| mix.is_finished());
        if is_finished {
            self.run = None;
        }
        is_finished
    }

    /// Another switch cannot wait for the end of a transition whose new feed has been entered: of the old feed nothing more is taken,
    /// and what waits leaves as fast as it may, in a tenth of a second. False where nothing waits.
    pub fn hasten(&mut self, now: Instant) -> bool {
        self.mix(now, None).is_some_and(|mut mix| mix.hasten())
    }

    /// Whether a transition that was hastened is to be [cut short](Splicer::cut_short).
    pub fn is_overtaken(&mut self, now: Instant) -> bool {
        self.mix(now, None).is_some_and(|mix| mix.is_overtaken())
    }

    /// Ends a transition whose new feed has been entered, and gives back all that waits: from now on everything comes from that
    /// feed, whatever did not begin yet. What it cost, where that was not told.
    pub fn cut_short(&mut self, now: Instant, out: impl FnMut(Out)) -> Option<Cost> {
        let cost = self.mix(now, None)?.stop();
        self.cancel(out);
        cost
    }

    /// Another switch overtook it before it was begun, or before the new feed was entered: gives back all that waits.
    pub fn cancel(&mut self, mut out: impl FnMut(Out)) {
        self.seek = None;
        if let Some(mut run) = self.run.take() {
            let streams = self.feeds.iter_mut().flat_map(|feed| &mut feed.streams);
            for list in streams.map(|stream| &mut stream.list).chain([&mut run.waiting]) {
                while let Some(held) = self.pool.pop(list) {
                    out(Out::Drop(held.handle));
                }
            }
        }
        for stream in self.feeds.iter_mut().flat_map(|feed| &mut feed.streams) {
            (stream.phase, stream.pending, stream.cut) = (Phase::Passing, 0, false);
        }
    }
}
