//! Keeps the carrier in a hole: while nothing can be taken from any input, null packets, PCRs and tables go on at the
//! stream's rate, so that whatever is downstream sees a picture that stands still and not a lost stream.
//!
//! A [`Carrier`] is told of each packet that leaves and learns the rate and the clock from them. Once nothing has left
//! for longer than the stream's own pauses, the hole begins, and what is to be sent in it is asked of
//! [`Carrier::next_due`].
//!
//! Invariants:
//!
//! - Before a packet ever left there is nothing to keep, and before a PCR did there is none to go on from.
//! - In a hole packets leave in ticks of 5 ms, each with what the rate makes of 5 ms: what was missed before the hole
//!   was recognised, or because nobody asked in time, is never made up for.
//! - Of PCR and tables none is late for as long as it is asked in time: a PCR each 35 ms or more often, tables each 100
//!   ms.
//! - What fills a hole teaches nothing: the rate and the clock are those of the packets before.

use crate::ts::PACKET_SIZE;
use crate::units::{BitRate, Instant, Span, Ticks27M};

/// From one tick of a hole to the next.
const TICK: Span = Span::from_millis(5);
/// A PCR is due at the first tick that is so long after the last one.
const PCR_INTERVAL: Span = Span::from_millis(30);
/// From one set of tables to the next.
const PSI_INTERVAL: Span = Span::from_millis(100);
/// The packets that a set of tables is reckoned as: a PAT and a PMT.
const PSI_PACKETS: i64 = 2;
/// The time that nothing may leave beyond the stream's own pauses.
const PATIENCE: Span = Span::from_millis(40);
/// The longest time until a hole begins, whatever the stream's pauses are.
const MAX_PATIENCE: Span = Span::from_millis(60);
/// The rate is taken over so many stretches.
const STRETCHES: usize = 8;
/// The least that each lasts.
const STRETCH: Span = Span::from_millis(125);
/// The least time that tells a rate.
const LEAST: Span = Span::from_millis(20);
/// A longer pause is never the stream's own.
const MAX_PAUSE: Span = Span::from_millis(250);
/// A PCR further from the line is on another line, in ticks: 100 ms.
const MAX_OFF_LINE: i64 = 2_700_000;
/// Bits of a packet.
const PACKET_BITS: u64 = PACKET_SIZE as u64 * 8;
/// A packet, in the units in which packets are owed.
const WHOLE: i64 = 1 << 16;

/// What is to be sent in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// A null packet.
    Null,
    /// A packet with nothing but this PCR.
    Pcr(Ticks27M),
    /// The PAT and the PMT.
    Psi,
}

/// Packets that left in a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    packets: u64,
    span: Span,
    /// The longest time between two of them.
    pause: Span,
}

/// What is to be given out of a tick.
#[derive(Clone, Copy, Debug, Default)]
struct Tick {
    psi: bool,
    pcr: Option<Ticks27M>,
    nulls: u32,
}

/// A hole that goes on.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// When the next tick is.
    next: Instant,
    /// When tables were last sent in it.
    psi: Instant,
    /// Packets that a tick brings, and those that are owed.
    each: i64,
    owed: i64,
    /// What is left of the tick under way.
    tick: Tick,
}

/// The carrier of one output.
#[derive(Clone, Debug)]
pub struct Carrier {
    is_enabled: bool,
    /// When a packet last left, fillers aside; none before one did.
    last: Option<Instant>,
    /// The stretches that are over, the oldest of them at `oldest`.
    stretches: [Stretch; STRETCHES],
    oldest: usize,
    /// When the one under way began, and what left in it.
    since: Instant,
    current: Stretch,
    /// The clock: a time, and what the PCR was then.
    line: Option<(Instant, Ticks27M)>,
    /// When a PCR last left, fillers included, and which.
    last_pcr: (Instant, Ticks27M),
    hole: Option<Hole>,
}

impl Default for Carrier {
    fn default() -> Self {
        Self::new()
    }
}

impl Carrier {
    /// The lowest rate at which a hole is filled.
    pub const MIN_RATE: BitRate = BitRate(64_000);
    /// The highest: at most 665 packets a tick.
    pub const MAX_RATE: BitRate = BitRate(200_000_000);

    /// A carrier of an output that has sent nothing yet. It is enabled.
    pub const fn new() -> Self {
        const NONE: Stretch = Stretch { packets: 0, span: Span::ZERO, pause: Span::ZERO };
        Self {
            is_enabled: true,
            last: None,
            stretches: [NONE; STRETCHES],
            oldest: 0,
            since: Instant::LONG_AGO,
            current: NONE,
            line: None,
            last_pcr: (Instant::LONG_AGO, Ticks27M(0)),
            hole: None,
        }
    }

    /// A packet of the output left at `at`, with its PCR if it has one: of one program, always the same. It ends the
    /// hole. The fillers of a hole are not to be told.
    #[inline]
    pub fn sent(&mut self, at: Instant, pcr: Option<Ticks27M>) {
        if self.last != Some(at) {
            self.moves_on(at);
        }
        self.current.packets += 1;
        if let Some(pcr) = pcr {
            self.clock(at, pcr);
        }
    }

    /// Time has passed since the last packet.
    fn moves_on(&mut self, at: Instant) {
        self.hole = None;
        let Some(last) = self.last.replace(at) else {
            self.since = at;
            return;
        };
        let gap = at.since(last);
        // what is far longer than all other pauses is none of the stream's own, and says nothing of its rate
        let is_hole = gap > MAX_PAUSE || gap > MAX_PATIENCE && gap.nanos() > 8 * self.longest_pause().nanos();
        if gap <= MAX_PAUSE {
            self.current.pause = self.current.pause.max(gap);
        }
        if is_hole {
            (self.since, self.current.packets) = (at, 0);
            return;
        }
        let span = at.since(self.since);
        if span >= STRETCH {
            let over = Stretch { span, ..core::mem::take(&mut self.current) };
            if let Some(place) = self.stretches.get_mut(self.oldest) {
                *place = over;
            }
            self.oldest = (self.oldest + 1) % STRETCHES;
            self.since = at;
        }
    }

    fn clock(&mut self, at: Instant, pcr: Ticks27M) {
        // an eighth of what it is off, so that the jitter of one does not become that of the line
        let off = self.on_line(at).map(|line| pcr.step_from(line)).filter(|off| off.abs() <= MAX_OFF_LINE);
        let correction = off.map_or(0, |off| off - off / 8);
        self.line = Some((at, pcr.later(-correction)));
        self.last_pcr = (at, pcr);
    }

    /// What the PCR is at a time.
    fn on_line(&self, at: Instant) -> Option<Ticks27M> {
        let (from, pcr) = self.line?;
        let nanos = at.since(from).nanos();
        Some(pcr.later(nanos / 1_000 * 27 + nanos % 1_000 * 27 / 1_000))
    }

    /// The longest pause of the last second or so.
    fn longest_pause(&self) -> Span {
        self.stretches.iter().map(|stretch| stretch.pause).fold(self.current.pause, Span::max)
    }

    /// The rate at which packets left over the last second or so, in bits a second, [`Self::MIN_RATE`] to
    /// [`Self::MAX_RATE`].
    pub fn bit_rate(&self) -> BitRate {
        let (mut packets, mut span) = (0, 0);
        for stretch in &self.stretches {
            packets += stretch.packets;
            span += stretch.span.nanos();
        }
        if span == 0 {
            // before the first stretch is over: but for the packets that left last, which begin the next pause
            let so_far = self.last.map_or(Span::ZERO, |last| last.since(self.since));
            if so_far >= LEAST {
                (packets, span) = (self.current.packets, so_far.nanos());
            }
        }
        let bits = u128::from(packets) * u128::from(PACKET_BITS) * 1_000_000_000;
        let rate = bits.checked_div(u128::from(span.unsigned_abs())).unwrap_or(0);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        BitRate(rate.clamp(Self::MIN_RATE.0, Self::MAX_RATE.0))
    }

    /// How long nothing may leave before the hole begins: 40 ms and three packets longer than the longest pause of the
    /// last second or so, and at most 60 ms.
    pub fn patience(&self) -> Span {
        let packets = 3 * PACKET_BITS * 1_000_000_000 / self.bit_rate().0;
        let packets = i64::try_from(packets).unwrap_or(i64::MAX);
        let wanted = self.longest_pause().nanos().saturating_add(packets).saturating_add(PATIENCE.nanos());
        Span::from_nanos(wanted).min(MAX_PATIENCE)
    }

    /// Whether holes are filled at all. What is told is learnt from in any case.
    pub const fn enable(&mut self, is_enabled: bool) {
        self.is_enabled = is_enabled;
        if !is_enabled {
            self.hole = None;
        }
    }

    /// It is known that nothing will come: the hole begins at `now`, if a packet ever left.
    pub fn begin_now(&mut self, now: Instant) {
        if self.is_enabled && self.last.is_some() && self.hole.is_none() {
            self.begin(now);
        }
    }

    /// When a packet last left, fillers aside.
    pub const fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Whether a hole is being filled.
    pub const fn is_filling(&self) -> bool {
        self.hole.is_some()
    }

    /// When something is to be sent, or the hole begins, unless a packet leaves before.
    pub fn deadline(&self) -> Instant {
        match (&self.hole, self.last) {
            _ if !self.is_enabled => Instant::NEVER,
            (Some(hole), _) if hole.tick.is_over() => hole.next,
            // something is left of the tick under way
            (Some(_), _) => Instant::LONG_AGO,
            (None, Some(last)) => last + self.patience(),
            (None, None) => Instant::NEVER,
        }
    }

    /// The next packet to be sent by `now`. To be asked until there is none.
    pub fn next_due(&mut self, now: Instant) -> Option<Filler> {
        // at the end of time all is due for ever
        if now == Instant::NEVER {
            return None;
        }
        if self.hole.is_none() {
            let due = self.deadline();
            if due > now {
                return None;
            }
            self.begin(due);
        }
        let mut hole = self.hole.filter(|_| self.is_enabled)?;
        if hole.tick.is_over() {
            if hole.next > now {
                return None;
            }
            self.tick(&mut hole, now);
        }
        let filler = hole.tick.take();
        self.hole = Some(hole);
        filler
    }

    fn begin(&mut self, at: Instant) {
        // 5 ms of packets, in 65,536ths
        let bits = u128::from(self.bit_rate().0) * u128::from(TICK.nanos().unsigned_abs());
        let each = bits * u128::from(WHOLE.unsigned_abs()) / (u128::from(PACKET_BITS) * 1_000_000_000);
        let each = i64::try_from(each).unwrap_or(0);
        self.hole = Some(Hole { next: at, psi: Instant::LONG_AGO, each, owed: 0, tick: Tick::default() });
    }

    fn tick(&mut self, hole: &mut Hole, now: Instant) {
        // on the grid, unless it was missed
        let next = hole.next + TICK;
        hole.next = if next > now { next } else { now + TICK };
        hole.owed += hole.each;
        let mut tick = Tick::default();
        if now.since(hole.psi) >= PSI_INTERVAL {
            hole.psi = now;
            tick.psi = true;
            hole.owed -= PSI_PACKETS * WHOLE;
        }
        if now.since(self.last_pcr.0) >= PCR_INTERVAL
            && let Some(line) = self.on_line(now)
        {
            // the last one may have left early, and time never runs backwards
            let pcr = if line.step_from(self.last_pcr.1) > 0 { line } else { self.last_pcr.1.later(1) };
            self.last_pcr = (now, pcr);
            tick.pcr = Some(pcr);
            hole.owed -= WHOLE;
        }
        let nulls = (hole.owed / WHOLE).max(0);
        hole.owed -= nulls * WHOLE;
        tick.nulls = u32::try_from(nulls).unwrap_or(0);
        hole.tick = tick;
    }
}

impl Tick {
    const fn is_over(&self) -> bool {
        !self.psi && self.pcr.is_none() && self.nulls == 0
    }

    fn take(&mut self) -> Option<Filler> {
        if core::mem::take(&mut self.psi) {
            return Some(Filler::Psi);
        }
        if let Some(pcr) = self.pcr.take() {
            return Some(Filler::Pcr(pcr));
        }
        self.nulls = self.nulls.checked_sub(1)?;
        Some(Filler::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(nanos: i64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// A stream of `bit_rate` in datagrams of `packets`, with a PCR each 20 ms or so, up to `until`; when it last left.
    fn stream(carrier: &mut Carrier, bit_rate: i64, packets: i64, (from, until): (i64, i64), start: u64) -> i64 {
        let mut number = 0;
        let mut pcr_due = from;
        loop {
            let now = from + number * packets * 1_504 * 1_000_000_000 / bit_rate;
            if now > until {
                return from + (number - 1) * packets * 1_504 * 1_000_000_000 / bit_rate;
            }
            for packet in 0..packets {
                let pcr = (packet == 0 && now >= pcr_due).then(|| Ticks27M(start).later(now * 27 / 1_000));
                pcr_due += i64::from(pcr.is_some()) * 20 * MS;
                carrier.sent(at(now), pcr);
                assert!(carrier.deadline() > at(now));
            }
            number += 1;
        }
    }

    /// What leaves up to a time, asked at each deadline.
    fn fill(carrier: &mut Carrier, until: i64) -> Vec<(i64, Filler)> {
        let mut left = Vec::new();
        while carrier.deadline() <= at(until) {
            let now = carrier.deadline();
            while let Some(filler) = carrier.next_due(now) {
                left.push((now.nanos(), filler));
            }
            assert!(carrier.deadline() > now);
        }
        left
    }

    fn pcrs(left: &[(i64, Filler)]) -> Vec<(i64, Ticks27M)> {
        left.iter()
            .filter_map(|(at, filler)| match filler {
                Filler::Pcr(pcr) => Some((*at, *pcr)),
                Filler::Null | Filler::Psi => None,
            })
            .collect()
    }

    #[test]
    fn a_hole_has_the_rate_the_clock_and_the_tables_of_the_stream_before_it() {
        for (bit_rate, packets) in [(64_000, 1), (500_000, 7), (1_000_000, 7), (8_000_000, 7), (180_000_000, 7)] {
            let mut carrier = Carrier::new();
            // the PCR wraps in the hole
            let start = Ticks27M::WRAP - 3 * 27_000_000;
            let last = stream(&mut carrier, bit_rate, packets, (0, 2_500 * MS), start);
            let learnt = i64::try_from(carrier.bit_rate().0).unwrap();
            assert!((learnt - bit_rate).abs() * 50 < bit_rate, "{learnt} for {bit_rate}");
            let begin = carrier.deadline();
            assert!(begin <= at(last + 60 * MS) && begin > at(last + 40 * MS), "{begin:?}");

            let left = fill(&mut carrier, 7_000 * MS);
            assert_eq!(left.first().map(|(at, filler)| (*at, *filler)), Some((begin.nanos(), Filler::Psi)));
            let psi: Vec<i64> = left.iter().filter(|(_, it)| *it == Filler::Psi).map(|(at, _)| *at).collect();
            assert!(psi.windows(2).all(|pair| pair[1] - pair[0] == 100 * MS));
            let clocks = pcrs(&left);
            assert!(clocks.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 35 * MS));
            for (now, pcr) in &clocks {
                let line = Ticks27M(start).later(now * 27 / 1_000);
                assert!(pcr.step_from(line).abs() <= 30, "{pcr:?} and not {line:?}");
            }
            // tables each 100 ms and clocks each 30 ms need more than the slowest stream has
            let sent = i64::try_from(left.len() + psi.len()).unwrap();
            let expected = (bit_rate * (7_000 * MS - begin.nanos()) / 1_504 / 1_000_000_000).max(45 * 2 + 149);
            assert!((sent - expected).abs() * 40 < expected.max(200), "{sent} of {expected} at {bit_rate}");
            let most = left.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max().unwrap();
            let most = i64::try_from(most).unwrap();
            assert!(most <= 3 + bit_rate * 5 * 51 / 50 / 1_504_000, "{most} at once");

            // the stream goes on, and nothing more is filled
            let resumed = 7_001 * MS;
            carrier.sent(at(resumed), None);
            assert!(!carrier.is_filling() && carrier.next_due(at(resumed)).is_none());
            let last = stream(&mut carrier, bit_rate, packets, (resumed + MS, 7_500 * MS), start);
            assert!(carrier.deadline() > at(last + 10 * MS));
            let again = i64::try_from(carrier.bit_rate().0).unwrap();
            assert!((again - bit_rate).abs() * 25 < bit_rate, "{again} for {bit_rate} after the hole");
        }
    }

    #[test]
    fn the_streams_own_pauses_are_no_holes() {
        for (bit_rate, packets) in [(300_000, 1), (600_000, 7), (2_000_000, 7), (20_000_000, 7)] {
            let mut carrier = Carrier::new();
            let mut number = 0;
            for n in 0..3_000 {
                let jitter = if n % 17 == 0 { 4 * MS } else { 0 };
                let now = at(n * packets * 1_504 * 1_000_000_000 / bit_rate + jitter);
                if n > 50 && carrier.next_due(now).is_some() {
                    number += 1;
                }
                for _ in 0..packets {
                    carrier.sent(now, None);
                }
            }
            assert_eq!(number, 0, "at {bit_rate}");
        }
    }

    #[test]
    fn before_anything_left_there_is_nothing_and_without_a_clock_none() {
        let mut carrier = Carrier::default();
        assert_eq!((carrier.deadline(), carrier.next_due(at(i64::MAX))), (Instant::NEVER, None));
        carrier.begin_now(at(0));
        assert!(!carrier.is_filling());
        stream(&mut carrier, 2_000_000, 7, (0, 1_000 * MS), 0);
        let mut without = Carrier::new();
        (0..100).for_each(|n| without.sent(at(n * 5 * MS), None));
        let left = fill(&mut without, 2_000 * MS);
        assert!(left.len() > 200 && pcrs(&left).is_empty());
        // one datagram, and no more: the lowest rate
        let mut one = Carrier::new();
        (0..7).for_each(|_| one.sent(at(0), Some(Ticks27M(5))));
        assert_eq!(one.bit_rate(), Carrier::MIN_RATE);
        let left = fill(&mut one, 1_000 * MS);
        assert!(left.len() < 60 && pcrs(&left).iter().all(|(at, pcr)| pcr.0 == 5 + at.unsigned_abs() * 27 / 1_000));
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut carrier = Carrier::new();
        let last = stream(&mut carrier, 8_000_000, 7, (0, 1_500 * MS), 0);
        // nobody asks for a second, in the hole and before it: 27 packets are 5 ms
        for late in [1_000 * MS, 2_000 * MS] {
            let now = at(last + late);
            let left = core::iter::from_fn(|| carrier.next_due(now)).count();
            assert!((20..=29).contains(&left), "{left} packets");
            assert_eq!(carrier.deadline(), now + TICK);
        }
        // a little late, and the grid stays
        let next = carrier.deadline();
        let _ = core::iter::from_fn(|| carrier.next_due(next + Span::from_millis(1))).count();
        assert_eq!(carrier.deadline(), next + TICK);
    }

    #[test]
    fn it_can_be_told_to_begin_and_to_be_silent() {
        let mut carrier = Carrier::new();
        let last = stream(&mut carrier, 8_000_000, 7, (0, 1_500 * MS), 0);
        carrier.begin_now(at(last + MS));
        assert_eq!(carrier.deadline(), at(last + MS));
        assert_eq!(carrier.next_due(at(last + MS)), Some(Filler::Psi));
        carrier.enable(false);
        assert_eq!((carrier.deadline(), carrier.next_due(at(last + 900 * MS))), (Instant::NEVER, None));
        carrier.begin_now(at(last + 900 * MS));
        assert!(!carrier.is_filling());
        carrier.enable(true);
        assert!(carrier.deadline() <= at(last + 60 * MS));
        assert_eq!(carrier.next_due(at(last + 901 * MS)), Some(Filler::Psi));
        assert!(matches!(carrier.next_due(at(last + 901 * MS)), Some(Filler::Pcr(_))));
    }

    #[test]
    fn jitter_moves_the_line_little_and_a_jump_is_followed_at_once() {
        let mut carrier = Carrier::new();
        let mut now = 0;
        for n in 0..400_i64 {
            now = n * 5 * MS;
            // up to 4 ms late
            let late = n * n * 7 % 5 * MS;
            carrier.sent(at(now + late.min(4 * MS)), Some(Ticks27M(9).later(now * 27 / 1_000)));
        }
        let line = carrier.on_line(at(now + 50 * MS)).unwrap();
        let off = line.step_from(Ticks27M(9).later((now + 50 * MS) * 27 / 1_000));
        assert!((-3 * 27_000..0).contains(&off), "{off} ticks");
        carrier.sent(at(now + 20 * MS), Some(Ticks27M(1_000_000_000_000)));
        assert_eq!(carrier.on_line(at(now + 21 * MS)), Some(Ticks27M(1_000_000_027_000)));
    }

    #[test]
    fn any_times_and_rates_are_bounded() {
        let mut carrier = Carrier::new();
        for n in 0..2_000_000 {
            carrier.sent(at(n * 1_000), None);
        }
        assert_eq!(carrier.bit_rate(), Carrier::MAX_RATE, "1.5 Gb/s");
        let begin = carrier.deadline();
        assert!(core::iter::from_fn(|| carrier.next_due(begin)).count() <= 665);
        for nanos in [i64::MAX, i64::MIN, 0, i64::MAX, -1] {
            carrier.sent(at(nanos), Some(Ticks27M(u64::MAX)));
            let _ = carrier.patience();
            assert!(core::iter::from_fn(|| carrier.next_due(at(i64::MAX - 1))).count() <= 665);
            assert_eq!(carrier.next_due(Instant::NEVER), None);
        }
    }
}
