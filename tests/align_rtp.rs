//! Two feeds in RTP with equal sequence numbers make the source again to the packet, null packets and all, whatever each of them
//! lost; and a claim to equal numbers that is false makes nothing worse than it is by content alone.
#![allow(clippy::unwrap_used)]

mod align_net;

use core::ops::Range;

use align_net::source::Kind;
use align_net::{Chance, MS, Network, Ordinals, Output, Source, aligner, compare, paced, run_numbered};
use changeover::switch::align::Counts;
use changeover::synth::Settings;
use changeover::transport::Ordinal;
use changeover::units::{Instant, Ticks27M};

/// How many packets each source has.
const LEN: usize = 6000;
/// From here on packets are lost: by then the numbers are known.
const FIRST: i64 = 450 * MS;

/// Sources in which content tells little: null packets, filler, PCRs in packets of their own.
fn sources() -> Vec<Source> {
    let mut chance = Chance(2);
    let wrap = Ticks27M::WRAP - 27_000_000;
    let plain = Kind { bit_rate: 6_000_000, constant: true, nulls: 0, filler: 0, own_pcr_pid: false, start: wrap };
    let mut all: Vec<_> = [
        plain,
        Kind { nulls: 100, ..plain },
        Kind { nulls: 700, ..plain },
        Kind { nulls: 900, ..plain },
        Kind { filler: 900, nulls: 50, ..plain },
        Kind { own_pcr_pid: true, nulls: 300, ..plain },
        Kind { constant: false, nulls: 400, ..plain },
        Kind { constant: false, nulls: 800, filler: 500, ..plain },
        Kind { constant: false, filler: 700, own_pcr_pid: true, ..plain },
    ]
    .map(|kind| Source::noise(kind, LEN, &mut chance))
    .into();
    all.push(Source::synth(Settings { bit_rate: 5_000_000, start: Ticks27M(wrap), ..Settings::default() }, LEN));
    all
}

/// Two networks that carry a source in RTP, packed alike.
struct Case<'a> {
    source: &'a Source,
    window: i64,
    networks: [Network; 2],
    ordinals: [Ordinals; 2],
}

/// The number of each packet, where its datagrams count from `start` on.
fn numbers(network: &Network, start: u32) -> Ordinals {
    let (mut sequence, mut index) = (start, 0);
    let mut number = |end: &bool| {
        let ordinal = Ordinal::new(sequence, index);
        (sequence, index) = if *end { (sequence.wrapping_add(1), 0) } else { (sequence, index + 1) };
        ordinal
    };
    network.ends.iter().map(&mut number).collect()
}

impl<'a> Case<'a> {
    fn new(sources: &'a [Source], chance: &mut Chance) -> Self {
        let source = &sources[usize::try_from(chance.below(sources.len() as u64)).unwrap()];
        let window = [100, 200][usize::try_from(chance.below(2)).unwrap()] * MS;
        let skew = chance.between(30 * MS - window, window - 30 * MS);
        let mut packing = Network::new(LEN, 0);
        if chance.below(2) == 0 {
            packing.pack(chance, 7);
        }
        let networks = [skew.min(0).abs(), skew.max(0)].map(|skew| {
            let mut network = Network { skew: vec![skew; LEN], ..packing.clone() };
            let jitter = chance.below(2) * 500_000;
            network.skew.iter_mut().for_each(|skew| *skew += i64::try_from(chance.below(jitter + 1)).unwrap());
            network
        });
        // near enough to the wrap to meet it; each feed has counted rounds of its own
        let start = 65_536 - u32::try_from(chance.below(1_500)).unwrap();
        let ordinals = [0, 1].map(|i| {
            let rounds = if i == 0 { 0 } else { u32::try_from(chance.below(4_096)).unwrap() };
            numbers(&networks[i], start + rounds * 0x1_0000)
        });
        Self { source, window, networks, ordinals }
    }

    fn span(&self) -> Range<usize> {
        self.source.times.partition_point(|at| *at < FIRST)..LEN - 300
    }

    /// Loses datagrams of both, but none that the other has lost; some in turn, each beside one that the other lost.
    fn lose(&mut self, chance: &mut Chance) {
        let span = self.span();
        let datagrams: Vec<Range<usize>> = {
            let ends = &self.networks[0].ends;
            let mut from = span.start;
            let all = span.clone().filter(|i| ends[*i]).map(|end| core::mem::replace(&mut from, end + 1)..end + 1);
            all.skip(1).collect()
        };
        for _ in 0..chance.below(40) {
            let first = usize::try_from(chance.below(datagrams.len() as u64 - 12)).unwrap();
            for (n, datagram) in datagrams[first..first + 12].iter().enumerate() {
                if chance.below(3) > 0 && self.networks.iter().all(|network| !network.lost[datagram.start]) {
                    self.networks[n % 2].lost[datagram.clone()].fill(true);
                }
            }
        }
        for i in 0..2 {
            let other = self.networks[1 - i].lost.clone();
            let permille = chance.below(101);
            let from = datagrams[0].start;
            self.networks[i].lose(chance, permille, true, &other, from..span.end);
        }
    }

    /// One feed brings nothing for up to 120 ms; what the other has lost then comes all the same.
    fn silence(&mut self, chance: &mut Chance) {
        let span = self.span();
        let start = span.start + usize::try_from(chance.below(span.len() as u64 / 2)).unwrap();
        let until = self.source.times[start] + chance.between(2, 120) * MS;
        let end = self.source.times.partition_point(|at| *at < until).min(span.end);
        let aligned = |i: usize| (i..LEN).find(|i| self.networks[0].ends[*i]).unwrap() + 1;
        let (start, end) = (aligned(start), aligned(end));
        let which = usize::try_from(chance.below(2)).unwrap();
        self.networks[which].lost[start..end].fill(true);
        self.networks[1 - which].lost[start..end].fill(false);
    }

    /// What comes out, and whether the numbers were believed at the end.
    fn run(&self, pace: bool, ordinals: &[Ordinals], takes: u64) -> (Output, [Counts; 2], bool) {
        let mut aligner = if pace { paced(2, self.window) } else { aligner(2, self.window) };
        let feeds = self.networks.each_ref().map(|n| (self.source.packets.as_slice(), n.datagrams(&self.source.times)));
        let mut chance = Chance(takes);
        let (mut to, mut placed) = (0, false);
        let until = self.source.times[LEN - 1] + 10 * self.window;
        let output = run_numbered(&mut aligner, &feeds, ordinals, until, |aligner, at, release| {
            placed = aligner.is_placed(0) && aligner.is_placed(1);
            if takes > 0 && at > FIRST + 2 * self.window && chance.permille(8) {
                to = 1 - to;
                aligner.follow(Some(to), Instant::from_nanos(at), release);
            }
        });
        let counts = [aligner.counts(0), aligner.counts(1)];
        (output, counts, placed)
    }

    /// How many packets are not where they were in the source: missing, repeated or out of order.
    fn wrong(&self, output: &Output) -> usize {
        let bytes = |i: usize| &self.source.packets[i];
        let mut wrong = LEN.abs_diff(output.left.len());
        wrong += output.left.iter().zip(0..LEN).filter(|((_, packet, _), i)| bytes(*packet) != bytes(*i)).count();
        wrong
    }

    /// Fails where packets are missing or out of order that content alone would have told.
    fn hold(&self, output: &Output) -> Result<usize, String> {
        let left: Vec<_> = output.left.iter().map(|(_, packet, _)| &self.source.packets[*packet]).collect();
        let [first, second] = self.networks.each_ref().map(|network| network.lost.as_slice());
        let undecided = compare(&self.source.packets, &left, [first, second])?;
        Ok(undecided.orders + undecided.missing + undecided.moved)
    }
}

/// Runs cases of equal numbers, with and without them: how many were wrong by content alone.
fn equal(seeds: Range<u64>, pace: bool, takes: bool, silent: bool) -> usize {
    let sources = sources();
    let (mut failed, mut ambiguous) = (Vec::new(), 0);
    for seed in seeds {
        let mut chance = Chance(seed);
        let mut case = Case::new(&sources, &mut chance);
        case.lose(&mut chance);
        if silent {
            case.silence(&mut chance);
        }
        let takes = if takes { seed + 1 } else { 0 };
        let (output, counts, placed) = case.run(pace, &case.ordinals, takes);
        let wrong = case.wrong(&output);
        if wrong > 0 || !placed {
            let at = output.left.iter().zip(0..LEN).find(|((_, packet, _), i)| packet != i);
            let skews = case.networks.each_ref().map(|network| network.skew[0] / MS);
            failed.push(format!(
                "seed {seed}: {wrong} wrong, placed {placed}, {} left, first {at:?}; window {} skews {skews:?} {:?} {counts:?}",
                output.left.len(),
                case.window / MS,
                output.events
            ));
        }
        ambiguous += usize::from(case.wrong(&case.run(pace, &[], takes).0) > 0);
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed[..failed.len().min(8)].join("\n"));
    ambiguous
}

#[test]
fn equal_numbers_make_the_source_to_the_packet() {
    let ambiguous = equal(0..200, false, false, false);
    println!("{ambiguous} of 200 were not the source by content alone");
    assert!(ambiguous > 100, "{ambiguous}");
}

#[test]
fn so_they_do_by_the_clocks_of_the_feeds() {
    equal(250..310, true, false, false);
}

#[test]
fn so_they_do_while_the_feed_that_is_followed_changes() {
    equal(400..450, false, true, false);
    equal(500..550, true, true, false);
}

#[test]
fn so_they_do_where_one_is_silent_for_a_while() {
    equal(600..680, false, false, true);
}

/// The first packet of a datagram somewhere in the middle.
fn middle(case: &Case<'_>, of: usize, chance: &mut Chance) -> usize {
    let span = case.span();
    let from = span.start + span.len() / 4 + usize::try_from(chance.below(span.len() as u64 / 3)).unwrap();
    (from..LEN).find(|i| case.networks[of].ends[*i]).unwrap() + 1
}

/// Numbers whose sequence goes on from packet `at` as `to`, a whole number of datagrams and rounds on.
fn moved(ordinals: &Ordinals, at: usize, to: impl Fn(u32, u8) -> Option<Ordinal>) -> Ordinals {
    let parts = |ordinal: Ordinal| {
        let distance = ordinal.ahead_of(Ordinal::new(0, 0).unwrap());
        (distance >> 4, u8::try_from(distance & 15).unwrap())
    };
    let all = ordinals.iter().enumerate();
    all.map(|(i, ordinal)| {
        let (sequence, index) = parts((*ordinal)?);
        if i < at { *ordinal } else { to(sequence, index) }
    })
    .collect()
}

/// Runs cases whose numbers are made false by `spoil`, with and without them. What comes out must be in order where it is by content
/// alone. How much was undecided with and without numbers, in all, and for how many they were believed at the end.
fn spoilt(seeds: Range<u64>, mut spoil: impl FnMut(&mut Case<'_>, &mut Chance)) -> ([usize; 2], usize) {
    let sources = sources();
    let (mut failed, mut undecided, mut believed) = (Vec::new(), [0, 0], 0);
    for seed in seeds {
        let mut chance = Chance(seed);
        let mut case = Case::new(&sources, &mut chance);
        case.lose(&mut chance);
        spoil(&mut case, &mut chance);
        let pace = chance.below(3) == 0;
        let (output, counts, placed) = case.run(pace, &case.ordinals, 0);
        believed += usize::from(placed);
        let (alone, ..) = case.run(pace, &[], 0);
        match (case.hold(&output), case.hold(&alone)) {
            (Ok(with), Ok(without)) => {
                undecided[0] += with;
                undecided[1] += without;
            }
            // where content alone is at a loss too, no more is lost
            (Ok(_), Err(_)) => {}
            (Err(_), Err(_)) if output.left.len().abs_diff(LEN) <= alone.left.len().abs_diff(LEN) => {}
            (Err(error), without) => failed.push(format!(
                "seed {seed}: {error}, by content alone {without:?}; {} left, by content {}; window {}, {:?} {counts:?}",
                output.left.len(),
                alone.left.len(),
                case.window / MS,
                output.events
            )),
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed[..failed.len().min(8)].join("\n"));
    (undecided, believed)
}

#[test]
fn numbers_of_another_sender_change_nothing() {
    let sources = sources();
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut case = Case::new(&sources, &mut chance);
        if seed % 2 == 0 {
            // the same datagrams, counted from elsewhere
            let by = 1 + u32::try_from(chance.below(65_535)).unwrap();
            case.ordinals[1] = moved(&case.ordinals[1], 0, |sequence, index| Ordinal::new(sequence + by, index));
            case.lose(&mut chance);
        } else {
            // counted from the same number, and packed otherwise
            case.networks[1].pack(&mut chance, 7);
            case.ordinals[1] = numbers(&case.networks[1], 65_000);
            let (span, none) = (case.span(), vec![false; LEN]);
            case.networks[0].lose(&mut chance, 50, true, &none, span.clone());
            let other = case.networks[0].lost.clone();
            case.networks[1].lose(&mut chance, 50, true, &other, span);
        }
        let (output, counts, placed) = case.run(seed % 3 == 0, &case.ordinals, 0);
        let (alone, counts_alone, _) = case.run(seed % 3 == 0, &[], 0);
        assert!(output.left == alone.left && counts == counts_alone && !placed, "seed {seed}");
    }
}

#[test]
fn a_leap_of_one_feed_is_found_out() {
    // a leap forward without a loss, or a loss before the sender that numbers: the numbers of one feed are false from there
    let (undecided, believed) = spoilt(1000..1080, |case, chance| {
        let which = usize::try_from(chance.below(2)).unwrap();
        let at = middle(case, which, chance);
        if chance.below(2) == 0 {
            let most = if chance.below(2) == 0 { 3 } else { 2_999 };
            let by = 1 + u32::try_from(chance.below(most)).unwrap();
            case.ordinals[which] =
                moved(&case.ordinals[which], at, |sequence, index| Ordinal::new(sequence + by, index));
        } else {
            let end = (at..LEN).find(|i| case.networks[which].ends[*i]).unwrap() + 1;
            case.networks[which].lost[at..end].fill(true);
            case.networks[1 - which].lost[at..end].fill(false);
            case.ordinals[which] =
                moved(&case.ordinals[which], end, |sequence, index| Ordinal::new(sequence - 1, index));
        }
    });
    println!("undecided {undecided:?}");
    assert_eq!(believed, 0);
    assert!(undecided[0] <= undecided[1], "{undecided:?}");
}

#[test]
fn a_source_that_restarts_is_believed_again_and_one_feed_that_does_is_not() {
    let (undecided, believed) = spoilt(2000..2060, |case, chance| {
        // each engine puts a new sequence further on, by rounds of its own
        let (at, to) = (middle(case, 0, chance), u32::try_from(chance.below(30_000)).unwrap());
        for (ordinals, rounds) in case.ordinals.iter_mut().zip([1, 4]) {
            let start = ordinals[at].unwrap().ahead_of(Ordinal::new(0, 0).unwrap()) >> 4;
            let begin = (start | 0xFFFF) + 1 + (rounds << 16) + to;
            *ordinals = moved(ordinals, at, |sequence, index| Ordinal::new(begin + (sequence - start), index));
        }
    });
    println!("both restart: undecided {undecided:?}, believed {believed} of 60");
    assert!(believed >= 55 && undecided[0] * 2 < undecided[1], "{believed} {undecided:?}");
    let (undecided, believed) = spoilt(3000..3060, |case, chance| {
        let which = usize::try_from(chance.below(2)).unwrap();
        let at = middle(case, which, chance);
        let to = 1 + u32::try_from(chance.below(65_000)).unwrap();
        let ordinals = &mut case.ordinals[which];
        *ordinals = moved(ordinals, at, |sequence, index| Ordinal::new(sequence + 0x1_0000 + to, index));
    });
    println!("one restarts: undecided {undecided:?}");
    assert!(believed == 0 && undecided[0] <= undecided[1], "{believed} {undecided:?}");
}
