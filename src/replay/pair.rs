//! How two streams stand to each other: both through an aligner that follows the first, each in its own time.
//!
//! Two captures are in the time of their clocks, so that the skew between them is what it was. A file of TS packets has
//! no other time than that of its PCRs, which begins at 0: against one, a skew is by the place in the file. What is
//! compared ends where the first of the two does. Of two that arrive now it is when each datagram came.

use std::net::SocketAddr;
use std::path::Path;

use super::analyse::{AnalyseError, only_flow};
use super::capture::{Capture, CaptureError};
use super::foresight::Foresight;
use super::kinship::ForecastView;
use super::report::{ChangeReport, EvidenceReport, FeedReport, FeedsReport, KinshipReport};
use super::source::Source;
use crate::engine::Forecast;
use crate::switch::align::{Aligner, Counts, Handle, Kinship, Relation, Settings};
use crate::switch::splice::Kind;
use crate::transport::{self, Framing};
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{BitRate, Instant, Span};

/// How far apart two streams may be and still be merged; twice that, and they are still found.
const WINDOW: Span = Span::from_secs(2);
/// The rate that there is room for, whatever the two are measured at.
const LEAST_RATE: u64 = 20_000_000;
/// How often it is looked how they stand.
const LOOK: i64 = 10_000_000;
/// By how much a skew has to move to be told anew.
const MOVED: i64 = 10_000_000;
/// Every so many packets it is told how many they are.
const PROGRESS: u64 = 4096;
/// The most changes that are told.
const MAX_CHANGES: usize = 20;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// A file of TS packets, or a capture where it begins like one.
    pub path: &'a Path,
    /// Which flow of a capture; none is the only one.
    pub flow: Option<SocketAddr>,
    /// The rate of a file that has no PCR to tell its time by.
    pub assumed: BitRate,
    /// The rate that it was measured at.
    pub measured: BitRate,
}

/// The packets of one of the two, as they came.
struct Feed {
    from: From,
    /// What came last: when, in nanoseconds of its own time, and the packets.
    at: i64,
    packets: Vec<[u8; PACKET_SIZE]>,
}

enum From {
    File(Box<Source>),
    Capture(Box<Capture>, SocketAddr),
}

impl Feed {
    fn open(side: &Side<'_>) -> Result<Self, AnalyseError> {
        let from = match Capture::open(side.path) {
            Ok(capture) => {
                let flow = side.flow.map_or_else(|| only_flow(side.path), Ok)?;
                From::Capture(Box::new(capture), flow)
            }
            Err(CaptureError::Format { .. }) => From::File(Box::new(Source::open(side.path, side.assumed)?)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { from, at: i64::MIN, packets: Vec::new() })
    }

    const fn is_capture(&self) -> bool {
        matches!(self.from, From::Capture(..))
    }

    /// Goes on to what comes next; false at the end.
    fn advance(&mut self) -> Result<bool, AnalyseError> {
        self.packets.clear();
        match &mut self.from {
            From::File(source) => {
                let Some(timed) = source.read()? else { return Ok(false) };
                self.at = self.at.max(timed.at.nanos());
                self.packets.push(*timed.packet);
            }
            From::Capture(capture, flow) => {
                while self.packets.is_empty() {
                    let Some(datagram) = capture.read()? else { return Ok(false) };
                    if datagram.destination == *flow {
                        self.packets.extend(packets(datagram.payload, Framing::Auto).copied());
                        self.at = self.at.max(datagram.at);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// The packets in a datagram; none where it holds none.
fn packets(datagram: &[u8], framing: Framing) -> impl Iterator<Item = &[u8; PACKET_SIZE]> {
    let layout = transport::read(datagram, framing);
    let layout = layout.map(|it| (usize::from(it.offset), usize::from(it.stride), usize::from(it.packets)));
    let (offset, stride, count) = layout.unwrap_or((0, PACKET_SIZE, 0));
    datagram.get(offset..).unwrap_or(&[]).chunks(stride).take(count).filter_map(<[u8]>::first_chunk)
}

/// What is told of how they stand, as time goes on.
#[derive(Default)]
struct Watch {
    known: Option<i64>,
    since: i64,
    last: Option<Kinship>,
    told: Option<Relation>,
    changes: Vec<ChangeReport>,
    left_out: u64,
    /// Since when they were the same, and what had become of the packets of each by the time that nothing from before
    /// that waits any more: what one brought before it was joined is no loss of the other.
    same: Option<i64>,
    before: Option<[Counts; 2]>,
}

impl Watch {
    /// Looks at what became of the packets so far.
    fn count(&mut self, aligner: &Aligner, now: i64) {
        if aligner.is_joined(1) && self.before.is_none() {
            let same = *self.same.get_or_insert(now);
            if now - same > WINDOW.nanos() + LOOK {
                self.before = Some([aligner.counts(0), aligner.counts(1)]);
            }
        }
    }

    fn look(&mut self, kinship: Kinship, now: i64) {
        let relation = kinship.relation;
        self.last = Some(kinship);
        if self.known.is_none() && relation != Relation::Unknown {
            self.known = Some(now);
        }
        let before = self.told.unwrap_or(Relation::Unknown);
        let is_other = name(before) != name(relation);
        if is_other {
            self.since = now;
        }
        let moved =
            place(relation).zip(place(before)).is_some_and(|(now, then)| now.abs_diff(then) > MOVED.unsigned_abs());
        if !is_other && !moved {
            return;
        }
        self.told = Some(relation);
        if self.changes.len() == MAX_CHANGES {
            self.left_out += 1;
            return;
        }
        let (skew_ms, skew_packets, ahead_ms, _) = figures(relation);
        let change = ChangeReport { at: seconds(now), relation: name(relation), skew_ms, skew_packets, ahead_ms };
        self.changes.push(change);
    }
}

/// Two streams that are compared as they come, each packet at its time.
pub struct Comparison {
    aligner: Aligner,
    foresight: Foresight,
    watch: Watch,
    time: &'static str,
    /// In nanoseconds, of which the first packet is near the beginning.
    now: i64,
    looked: i64,
    /// When the first datagram came; what is not live counts from 0 by itself.
    origin: Option<Instant>,
}

impl Comparison {
    /// Of two streams that arrive now, each of at most `most` bits a second: the memory of some seconds of them is taken at once.
    pub fn live(most: BitRate) -> Self {
        Self::new(most.0, "arrival")
    }

    fn new(rate: u64, time: &'static str) -> Self {
        let settings =
            Settings { feeds: 2, window: WINDOW, capacity: Settings::capacity(WINDOW, rate), merge: true, pace: false };
        let mut aligner = Aligner::new(&settings);
        aligner.follow(Some(0), Instant::ZERO, |_| {});
        let (foresight, watch) = (Foresight::new(WINDOW), Watch::default());
        Self { aligner, foresight, watch, time, now: 0, looked: 0, origin: None }
    }

    /// A datagram of one of them, 0 or 1, arrived. What is earlier than one before counts as of then.
    pub fn datagram(&mut self, which: usize, at: Instant, payload: &[u8], framing: Framing) {
        let now = at.since(*self.origin.get_or_insert(at)).nanos().max(self.now);
        self.packets(which.min(1), packets(payload, framing), now);
    }

    fn packets<'a>(&mut self, i: usize, packets: impl Iterator<Item = &'a [u8; PACKET_SIZE]>, now: i64) {
        self.now = now;
        let at = Instant::from_nanos(now);
        // what waits leaves in its turn, so that nothing waits for longer than it would live
        while self.aligner.deadline() < at {
            let due = self.aligner.deadline();
            leave(&mut self.aligner, due);
        }
        for bytes in packets {
            self.aligner.packet(i, Packet::new(bytes), None, Handle::default(), at, |_| {});
            self.foresight.packet(i, bytes, at);
        }
        leave(&mut self.aligner, at);
        if now - self.looked >= LOOK {
            self.looked = now;
            self.watch.look(self.aligner.kinship(1, at), now);
            self.watch.count(&self.aligner, now);
        }
    }

    /// How the second stands to the first by what came so far.
    pub fn report(&mut self) -> KinshipReport {
        self.watch.look(self.aligner.kinship(1, Instant::from_nanos(self.now)), self.now);
        report(&self.aligner, &mut self.foresight, &self.watch, self.time, self.now)
    }
}

/// Compares two streams: how `b` stands to `a`. `progress` is told now and then how many packets were read.
///
/// # Errors
/// One of them cannot be read, or it is a capture and not one flow of it can be taken.
pub fn kinship(a: &Side<'_>, b: &Side<'_>, mut progress: impl FnMut(u64)) -> Result<KinshipReport, AnalyseError> {
    let mut feeds = [Feed::open(a)?, Feed::open(b)?];
    let rate = a.measured.0.max(b.measured.0).saturating_mul(2).max(LEAST_RATE);
    let time = match (feeds[0].is_capture(), feeds[1].is_capture()) {
        (true, true) => "capture",
        (false, false) => "file",
        (true, false) | (false, true) => "mixed",
    };
    let mut comparison = Comparison::new(rate, time);
    let (mut more, mut packets, mut told) = (true, 0_u64, 0);
    for feed in &mut feeds {
        more &= feed.advance()?;
    }
    let common = feeds[0].at.min(feeds[1].at);
    let origins = [0, 1].map(|i| if time == "capture" { common } else { feeds[i].at });
    while more {
        let next = [0, 1].map(|i| feeds[i].at.saturating_sub(origins[i]));
        let i = usize::from(next[1] < next[0]);
        comparison.packets(i, feeds[i].packets.iter(), next[i]);
        packets += feeds[i].packets.len() as u64;
        if packets >= told + PROGRESS {
            told = packets;
            progress(packets);
        }
        more = feeds[i].advance()?;
    }
    Ok(comparison.report())
}

/// All that is due goes.
fn leave(aligner: &mut Aligner, now: Instant) {
    while aligner.next_due(now, |_| {}).is_some() {}
    while aligner.poll_event().is_some() {}
}

fn report(aligner: &Aligner, foresight: &mut Foresight, watch: &Watch, time: &'static str, now: i64) -> KinshipReport {
    let at = Instant::from_nanos(now);
    let kinship = watch.last.unwrap_or_else(|| aligner.kinship(1, at));
    let (skew_ms, skew_packets, ahead_ms, drift_ppm) = figures(kinship.relation);
    let evidence = kinship.evidence;
    let kind = match kinship.relation {
        Relation::Identical { .. } | Relation::Locked { .. } => Kind::Locked,
        Relation::Unknown | Relation::OutOfWindow { .. } | Relation::Independent => Kind::Independent,
    };
    let forecast = if aligner.is_joined(1) { Some(Forecast::SEAMLESS) } else { foresight.forecast(kind, at) };
    let feed = |feed: usize| {
        let counts = aligner.counts(feed);
        let before = watch.before.map_or(counts, |before| before[feed]);
        FeedReport {
            packets: counts.packets,
            matched: counts.matched - before.matched,
            alone: counts.alone - before.alone,
            missing: counts.missing - before.missing,
            late: counts.late + counts.too_late - before.late - before.too_late,
            stray: counts.stray - before.stray,
            damaged: counts.damaged - before.damaged,
        }
    };
    KinshipReport {
        time,
        window_ms: WINDOW.millis(),
        seconds: seconds(now),
        relation: name(kinship.relation),
        sureness: kinship.sureness,
        skew_ms,
        skew_packets,
        ahead_ms,
        drift_ppm,
        known_s: watch.known.map(seconds),
        since_s: watch.known.map(|_| seconds(watch.since)),
        evidence: EvidenceReport {
            anchors: evidence.anchors,
            matched: evidence.matched,
            neighbours: evidence.neighbours,
            refused: evidence.refused,
            last_match_s: evidence.last_match.map(Instant::seconds),
        },
        feeds: FeedsReport { counted: watch.before.is_some(), a: feed(0), b: feed(1) },
        forecast: forecast.map(ForecastView::of),
        changes: watch.changes.clone(),
        changes_left_out: watch.left_out,
    }
}

const fn name(relation: Relation) -> &'static str {
    match relation {
        Relation::Unknown => "unknown",
        Relation::Identical { .. } => "identical",
        Relation::OutOfWindow { .. } => "out_of_window",
        Relation::Locked { .. } => "locked",
        Relation::Independent => "independent",
    }
}

/// Where one stands against the other, in nanoseconds.
const fn place(relation: Relation) -> Option<i64> {
    match relation {
        Relation::Identical { skew, .. } | Relation::OutOfWindow { skew } => Some(skew),
        Relation::Locked { ahead, .. } => Some(ahead),
        Relation::Unknown | Relation::Independent => None,
    }
}

/// Skew in milliseconds and packets, the lead in milliseconds, and how much more that becomes in parts per million.
#[allow(clippy::cast_precision_loss)]
fn figures(relation: Relation) -> (Option<f64>, Option<i64>, Option<f64>, Option<f64>) {
    let millis = |nanos: i64| Some(nanos as f64 / 1e6);
    match relation {
        Relation::Identical { skew_packets, skew } => (millis(skew), Some(skew_packets), None, None),
        Relation::OutOfWindow { skew } => (millis(skew), None, None, None),
        // nanoseconds a second are thousandths of a part per million
        Relation::Locked { ahead, drift } => (None, None, millis(ahead), Some(drift as f64 / 1e3)),
        Relation::Unknown | Relation::Independent => (None, None, None, None),
    }
}

fn seconds(nanos: i64) -> f64 {
    Instant::from_nanos(nanos).seconds()
}
