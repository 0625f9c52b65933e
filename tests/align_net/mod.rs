//! Sources of packets, networks that lose some of them, and the comparison of what comes out with what went in.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod source;

use changeover::switch::align::{Aligner, Event, Handle, Kinship, Leaving, Settings};
use changeover::transport::Ordinal;
use changeover::ts::Packet;
use changeover::units::{Instant, Span};

pub(crate) use source::Source;

/// A generator of chance (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0…`n` − 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.word() % n.max(1)
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(u64::try_from(high - low + 1).unwrap())).unwrap()
    }

    pub(crate) fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
}

pub(crate) const MS: i64 = 1_000_000;

/// One network: which packets of the source it carries, how they are packed, and when they come.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) lost: Vec<bool>,
    /// After this packet a datagram ends.
    pub(crate) ends: Vec<bool>,
    /// How much later than at the source each packet comes, in nanoseconds.
    pub(crate) skew: Vec<i64>,
}

impl Network {
    /// Loses nothing, 7 packets in a datagram.
    pub(crate) fn new(len: usize, skew: i64) -> Self {
        Self { lost: vec![false; len], ends: (0..len).map(|i| i % 7 == 6).collect(), skew: vec![skew; len] }
    }

    pub(crate) fn pack(&mut self, chance: &mut Chance, most: u64) {
        let mut left = 1 + chance.below(most);
        for end in &mut self.ends {
            left -= 1;
            *end = left == 0;
            if left == 0 {
                left = 1 + chance.below(most);
            }
        }
    }

    /// Loses whole datagrams, or single packets, of those that `other` has, in `from..to`.
    pub(crate) fn lose(
        &mut self,
        chance: &mut Chance,
        permille: u64,
        whole: bool,
        other: &[bool],
        range: core::ops::Range<usize>,
    ) {
        let mut start = range.start;
        for i in range.clone() {
            if whole && !self.ends[i] && i + 1 < range.end {
                continue;
            }
            if chance.permille(permille) && other[start..=i].iter().all(|lost| !lost) {
                self.lost[start..=i].fill(true);
            }
            start = i + 1;
        }
    }

    /// Each datagram: when it comes, and the packets in it.
    pub(crate) fn datagrams(&self, times: &[i64]) -> Vec<(i64, Vec<usize>)> {
        let mut all = Vec::new();
        let mut held = Vec::new();
        let mut latest = i64::MIN;
        for i in 0..times.len() {
            if !self.lost[i] {
                held.push(i);
            }
            if (self.ends[i] || i + 1 == times.len()) && !held.is_empty() {
                latest = latest.max(times[i] + self.skew[i]);
                all.push((latest, core::mem::take(&mut held)));
            }
        }
        all
    }
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Which packet of which feed, and when.
    pub(crate) left: Vec<(usize, usize, i64)>,
    pub(crate) events: Vec<(i64, Event)>,
    /// How each feed stood when the first of them ended.
    pub(crate) kinships: Vec<Kinship>,
    /// Which feed led at the end.
    pub(crate) lead: Option<usize>,
}

/// The packets of a source, and how they come.
pub(crate) type Feeding<'a> = (&'a [[u8; 188]], Vec<(i64, Vec<usize>)>);

/// The handles that are out, and what came out.
#[derive(Debug, Default)]
struct Ledger {
    /// The feed and the packet of each handle, and whether the aligner has it.
    handles: Vec<(usize, usize, bool)>,
    output: Output,
}

impl Ledger {
    fn give(&mut self, feed: usize, packet: usize) -> Handle {
        let frame = self.handles.len();
        self.handles.push((feed, packet, true));
        Handle { frame: u32::try_from(frame).unwrap(), offset: u16::try_from(frame % 7 * 188).unwrap() }
    }

    fn back(&mut self, handle: Handle) -> (usize, usize) {
        let frame = handle.frame as usize;
        assert_eq!(usize::from(handle.offset), frame % 7 * 188);
        let (feed, packet, is_out) = &mut self.handles[frame];
        assert!(core::mem::take(is_out), "{handle:?} came back twice");
        (*feed, *packet)
    }

    /// Takes all that leaves at `now`.
    fn take(&mut self, aligner: &mut Aligner, now: i64) {
        let at = Instant::from_nanos(now);
        while let Some(Leaving { handle, feed, .. }) = aligner.next_due(at, |handle| _ = self.back(handle)) {
            let (from, packet) = self.back(handle);
            assert_eq!(from, feed);
            self.output.left.push((feed, packet, now));
        }
        assert!(aligner.deadline() > at, "{:?} at {at:?}", aligner.deadline());
        while let Some(event) = aligner.poll_event() {
            self.output.events.push((now, event));
        }
    }

    /// Lets time pass until `until`.
    fn advance(&mut self, aligner: &mut Aligner, until: i64) {
        while aligner.deadline() < Instant::from_nanos(until) {
            self.take(aligner, aligner.deadline().nanos().max(0));
        }
    }
}

/// Runs feeds, each with packets of its own source, through an aligner that follows the first.
pub(crate) fn run(aligner: &mut Aligner, feeds: &[Feeding<'_>], until: i64) -> Output {
    run_with(aligner, feeds, until, |_, _, _| {})
}

/// Where each packet of a source stands in the RTP stream of a feed; nowhere, where there are none.
pub(crate) type Ordinals = Vec<Option<Ordinal>>;

/// The same, with something to do at each datagram.
pub(crate) fn run_with(
    aligner: &mut Aligner,
    feeds: &[Feeding<'_>],
    until: i64,
    also: impl FnMut(&mut Aligner, i64, &mut dyn FnMut(Handle)),
) -> Output {
    run_numbered(aligner, feeds, &[], until, also)
}

/// The same of feeds in RTP.
pub(crate) fn run_numbered(
    aligner: &mut Aligner,
    feeds: &[Feeding<'_>],
    ordinals: &[Ordinals],
    until: i64,
    mut also: impl FnMut(&mut Aligner, i64, &mut dyn FnMut(Handle)),
) -> Output {
    let mut arrivals: Vec<(i64, usize, &[usize])> = Vec::new();
    for (feed, (_, datagrams)) in feeds.iter().enumerate() {
        arrivals.extend(datagrams.iter().map(|(at, packets)| (*at, feed, packets.as_slice())));
    }
    arrivals.sort_by_key(|(at, feed, _)| (*at, *feed));
    let mut ledger = Ledger::default();
    aligner.follow(Some(0), Instant::ZERO, |_| unreachable!());
    let mut last = vec![None; feeds.len()];
    let first_end = feeds.iter().filter_map(|(_, all)| all.last()).map(|(at, _)| *at).min();
    for &(at, feed, packets) in &arrivals {
        if first_end.is_some_and(|end| at <= end) {
            let now = Instant::from_nanos(at);
            ledger.output.kinships = (0..feeds.len()).map(|feed| aligner.kinship(feed, now)).collect();
        }
        ledger.advance(aligner, at);
        for packet in packets {
            let handle = ledger.give(feed, *packet);
            let bytes = Packet::new(&feeds[feed].0[*packet]);
            if last[feed].replace(*packet).is_some_and(|last| last + 1 != *packet) {
                aligner.lost(feed);
            }
            let ordinal = ordinals.get(feed).and_then(|all| *all.get(*packet)?);
            aligner.packet(feed, bytes, ordinal, handle, Instant::from_nanos(at), |handle| _ = ledger.back(handle));
        }
        also(aligner, at, &mut |handle| _ = ledger.back(handle));
        ledger.take(aligner, at);
    }
    ledger.advance(aligner, until);
    ledger.output.lead = aligner.lead();
    // what waits of feeds that are not followed comes back when no feed is
    aligner.clear(|handle| _ = ledger.back(handle));
    assert!(ledger.handles.iter().all(|(_, _, is_out)| !is_out), "a handle is missing");
    ledger.output
}

/// An aligner for streams of up to 20 Mb/s.
pub(crate) fn aligner(feeds: usize, window: i64) -> Aligner {
    Aligner::new(&settings(feeds, window))
}

/// The same by the clocks of the feeds.
pub(crate) fn paced(feeds: usize, window: i64) -> Aligner {
    Aligner::new(&Settings { pace: true, ..settings(feeds, window) })
}

fn settings(feeds: usize, window: i64) -> Settings {
    let window = Span::from_nanos(window);
    Settings { feeds, window, capacity: Settings::capacity(window, 20_000_000), merge: true, pace: false }
}

/// What no feed could tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undecided {
    /// Stretches in which packets of different PIDs, each lost by one feed alone, left in another order.
    pub(crate) orders: usize,
    /// Null packets that are missing, each feed having lost another one of them.
    pub(crate) missing: usize,
    /// Null packets that the PCRs asked for and that left elsewhere between the same two PCRs.
    pub(crate) moved: usize,
}

fn pid(packet: &[u8; 188]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF
}

fn is_null(packet: &[u8; 188]) -> bool {
    pid(packet) == 0x1FFF
}

/// Packets that are no null packets, and how many null packets stand before each and at the end.
fn without_nulls<'a>(packets: impl Iterator<Item = &'a [u8; 188]>) -> (Vec<&'a [u8; 188]>, Vec<usize>) {
    let (mut others, mut nulls) = (Vec::new(), vec![0]);
    for packet in packets {
        if is_null(packet) {
            *nulls.last_mut().unwrap() += 1;
        } else {
            others.push(packet);
            nulls.push(0);
        }
    }
    (others, nulls)
}

/// The same, PID by PID.
fn sorted<'a>(packets: &[&'a [u8; 188]]) -> Vec<&'a [u8; 188]> {
    let mut sorted = packets.to_vec();
    sorted.sort_by_key(|packet| pid(packet));
    sorted
}

/// Holds what came out against the source. `lost` is what each feed lost.
///
/// A stretch lies between two packets that both feeds have and that are no null packets. All is as in the source, but that
/// where each feed lost some of a stretch, there the order between PIDs may be another, and null packets may be missing
/// of which each feed lost another one: what came would be the same from a source that is otherwise there. At a constant rate the
/// PCRs tell that such null packets are missing, but not where between two PCRs.
pub(crate) fn compare(source: &[[u8; 188]], out: &[&[u8; 188]], lost: [&[bool]; 2]) -> Result<Undecided, String> {
    let mut undecided = Undecided::default();
    let (packets, nulls) = without_nulls(source.iter());
    let (left, nulls_left) = without_nulls(out.iter().copied());
    let places: Vec<usize> = (0..source.len()).filter(|i| !is_null(&source[*i])).collect();
    let both = |i: usize| places.get(i).is_none_or(|i| !lost[0][*i] && !lost[1][*i]);
    if packets.len() != left.len() {
        return Err(format!("{} packets of {} left, without null packets", left.len(), packets.len()));
    }
    // null packets that are missing or too many since the last PCR
    let (mut missing, mut moved) = (0, 0);
    let mut i = 0;
    while i <= packets.len() {
        // the next that both have, or the end
        let end = (i..=packets.len()).find(|n| both(*n)).unwrap();
        let range = if i == 0 { 0 } else { places[i - 1] }..places.get(end).copied().unwrap_or(source.len());
        let only: [usize; 2] = core::array::from_fn(|f| range.clone().filter(|n| lost[f][*n]).count());
        let only_nulls = |f: usize| range.clone().filter(|n| lost[f][*n] && is_null(&source[*n])).count();
        if packets[i..end] != left[i..end] {
            if only.contains(&0) || sorted(&packets[i..end]) != sorted(&left[i..end]) {
                return Err(format!("packets {range:?} are not those that left"));
            }
            undecided.orders += 1;
        } else if only[0] > 0 && only[1] > 0 && nulls[i..=end] != nulls_left[i..=end] {
            undecided.orders += 1;
        } else if only.contains(&0) && end > i {
            // all in one feed: even the null packets are where they were, unless more were put there
            for n in i..=end {
                if nulls_left[n] < nulls[n] {
                    return Err(format!("a null packet of {range:?} is missing"));
                }
            }
        }
        if end < packets.len() && packets[end] != left[end] {
            return Err(format!("packet {} is not that which left", places[end]));
        }
        let (were, are): (usize, usize) = (nulls[i..=end].iter().sum(), nulls_left[i..=end].iter().sum());
        if are < were {
            if were - are > only_nulls(0).min(only_nulls(1)) {
                return Err(format!("{} null packets of {range:?} are missing", were - are));
            }
            missing += were - are;
        }
        moved += are.saturating_sub(were);
        let is_pcr = packets.get(end).is_none_or(|p| p[3] & 0x20 != 0 && p[4] >= 7 && p[5] & 0x10 != 0);
        if is_pcr {
            if moved > missing {
                return Err(format!("{moved} null packets too many before packet {}, {missing} missing", range.end));
            }
            undecided.missing += missing - moved;
            undecided.moved += moved;
            (missing, moved) = (0, 0);
        }
        i = end + 1;
    }
    Ok(undecided)
}
