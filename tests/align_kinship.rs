//! How feeds stand to each other, and what is never to be claimed.
#![allow(clippy::unwrap_used)]

mod align_net;

use align_net::source::{Kind, set_pcr};
use align_net::{Chance, Feeding, MS, Network, Source, aligner, run};
use changeover::switch::align::{Aligner, Event, Kinship, Parting, Relation};
use changeover::synth::Settings;
use changeover::units::{Instant, Ticks27M};

const WINDOW: i64 = 100 * MS;
const SECOND: i64 = 1000 * MS;

/// Packets for `seconds` at 2 Mb/s.
fn synth(seconds: usize, seed: u64, start: u64) -> Source {
    let settings = Settings { bit_rate: 2_000_000, seed, start: Ticks27M(start), ..Settings::default() };
    Source::synth(settings, seconds * 2_000_000 / 1504)
}

fn whole(source: &Source, skew: i64) -> Feeding<'_> {
    (&source.packets, Network::new(source.packets.len(), skew).datagrams(&source.times))
}

/// Follows the first of two feeds to the end; how the second stands to it then, and whether it was ever joined.
fn stand(first: Feeding<'_>, second: Feeding<'_>) -> (Kinship, bool) {
    let end = first.1.last().unwrap().0;
    let mut aligner = aligner(2, WINDOW);
    let output = run(&mut aligner, &[first, second], end);
    let joined = output.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. }));
    (output.kinships[1], joined)
}

fn is_near(value: i64, expected: i64) -> bool {
    (value - expected).abs() <= 6 * MS
}

#[test]
fn the_same_packets_are_found_at_any_skew_and_across_the_wraps() {
    let source = synth(4, 1, Ticks27M::WRAP - 27_000_000);
    for skew in [-90 * MS, -30 * MS, 0, 40 * MS, 90 * MS] {
        let (kinship, joined) = stand(whole(&source, skew.min(0).abs()), whole(&source, skew.max(0)));
        let Relation::Identical { skew: found, skew_packets } = kinship.relation else { panic!("{skew}: {kinship:?}") };
        assert!(is_near(found, skew), "{found} for {skew}");
        // 1330 packets a second
        assert!((skew_packets - skew * 1330 / SECOND).abs() <= 8, "{skew_packets} for {skew}");
        assert!(joined && kinship.sureness >= 99 && kinship.evidence.refused == 0, "{kinship:?}");
        assert!(kinship.evidence.matched > 50 && kinship.evidence.neighbours >= 7 * kinship.evidence.matched);
    }
}

#[test]
fn the_same_packets_too_far_apart_are_no_use_and_it_is_said_how_far() {
    let source = synth(8, 1, 0);
    for apart in [WINDOW + 200 * MS, WINDOW + 1500 * MS] {
        for skew in [apart, -apart] {
            let (kinship, joined) = stand(whole(&source, skew.min(0).abs()), whole(&source, skew.max(0)));
            let Relation::OutOfWindow { skew: found } = kinship.relation else { panic!("{skew}: {kinship:?}") };
            assert!(is_near(found, skew) && !joined, "{found} for {skew}");
        }
    }
    let (kinship, joined) = stand(whole(&source, 0), whole(&source, WINDOW + 3 * SECOND));
    assert_eq!((kinship.relation, joined, kinship.evidence.matched), (Relation::Independent, false, 0));
}

#[test]
fn null_packets_alone_are_too_little_to_go_by() {
    let source = synth(6, 1, 0);
    let mut null = [0xFF; 188];
    null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    let nulls = Source { packets: vec![null; source.packets.len()], ..source.clone() };
    for (first, second) in [(&source, &nulls), (&nulls, &source), (&nulls, &nulls)] {
        let (kinship, joined) = stand(whole(first, 0), whole(second, 10 * MS));
        assert_eq!((kinship.relation, kinship.sureness, joined), (Relation::Unknown, 0, false));
    }
}

#[test]
fn black_video_that_repeats_is_told_by_its_clock() {
    let black = Kind { bit_rate: 3_000_000, constant: true, nulls: 100, filler: 1000, own_pcr_pid: true, start: 0 };
    let source = Source::noise(black, 12_000, &mut Chance(1));
    let (kinship, joined) = stand(whole(&source, 0), whole(&source, 30 * MS));
    assert!(
        matches!(kinship.relation, Relation::Identical { skew, .. } if is_near(skew, 30 * MS)) && joined,
        "{kinship:?}"
    );
    // black too, on the same time line: the packets with the PCR are the same bit by bit, and the sound is not
    let other = Source::noise(Kind { nulls: 110, ..black }, 12_000, &mut Chance(2));
    let (kinship, joined) = stand(whole(&source, 0), whole(&other, 30 * MS));
    assert!(
        !matches!(kinship.relation, Relation::Identical { .. } | Relation::OutOfWindow { .. }) && !joined,
        "{kinship:?}"
    );
}

#[test]
fn a_time_line_that_two_feeds_share_is_locked() {
    let (first, second) = (synth(6, 1, 1000), synth(6, 2, 1000));
    let (kinship, joined) = stand(whole(&first, 0), whole(&second, 30 * MS));
    let Relation::Locked { ahead, drift } = kinship.relation else { panic!("{kinship:?}") };
    assert!(is_near(ahead, -30 * MS) && drift.abs() < MS / 10 && !joined, "{kinship:?}");
    assert_eq!(kinship.sureness, 95);
    // 1 ms a second
    let mut network = Network::new(second.packets.len(), 30 * MS);
    for (skew, at) in network.skew.iter_mut().zip(&second.times) {
        *skew += at / 1000;
    }
    let (kinship, _) = stand(whole(&first, 0), (&second.packets, network.datagrams(&second.times)));
    let Relation::Locked { drift, .. } = kinship.relation else { panic!("{kinship:?}") };
    assert!((drift + MS).abs() < MS / 4, "{kinship:?}");
    // of an hour ago
    let other = synth(6, 2, 97_200_000_000);
    let (kinship, _) = stand(whole(&first, 0), whole(&other, 30 * MS));
    assert_eq!((kinship.relation, kinship.evidence.matched), (Relation::Independent, 0));
}

#[test]
fn a_file_in_a_loop_is_never_taken_for_another_turn_of_it() {
    for turn in [SECOND, 3 * SECOND] {
        let mut source = synth(12, 1, 0);
        let len = source.times.partition_point(|at| *at < turn);
        source.packets = source.packets[..len].iter().copied().cycle().take(source.times.len()).collect();
        // of two turns within the horizon, which one is meant cannot be told
        let (kinship, joined) = stand(whole(&source, 0), whole(&source, turn / 2));
        assert!(!matches!(kinship.relation, Relation::Identical { .. }) && !joined, "{turn}: {kinship:?}");
    }
}

#[test]
fn an_advert_twice_in_the_window_is_told_by_its_clock() {
    let kind = Kind { bit_rate: 6_000_000, constant: true, nulls: 50, filler: 0, own_pcr_pid: false, start: 0 };
    let mut source = Source::noise(kind, 8000, &mut Chance(3));
    // from here on, what was 400 packets, 100 ms, ago, with the counters and clocks that then are due
    for i in 3000..6000 {
        let mut packet = source.packets[i - 400];
        let counter = source.packets[..i].iter().rev().find(|p| p[1..3] == packet[1..3]).map_or(0, |p| p[3] & 15);
        if packet[1..3] != [0x1F, 0xFF] {
            packet[3] = packet[3] & 0xF0 | (counter + 1) & 15;
        }
        if packet[3] & 0x20 != 0 {
            set_pcr(&mut packet, u64::try_from(source.times[i]).unwrap() * 27 / 1000);
        }
        source.packets[i] = packet;
    }
    let mut chance = Chance(4);
    let mut networks = [Network::new(8000, 0), Network::new(8000, 130 * MS)];
    for i in 0..2 {
        let other = networks[1 - i].lost.clone();
        networks[i].lose(&mut chance, 30, true, &other, 2000..7800);
    }
    let mut aligner = aligner(2, 200 * MS);
    let feeds = networks.each_ref().map(|n| (source.packets.as_slice(), n.datagrams(&source.times)));
    let output = run(&mut aligner, &feeds, 10 * SECOND);
    let left: Vec<_> = output.left.iter().map(|(_, packet, _)| &source.packets[*packet]).collect();
    let lost = [networks[0].lost.as_slice(), &networks[1].lost];
    align_net::compare(&source.packets, &left, lost).unwrap();
    assert!(matches!(output.kinships[1].relation, Relation::Identical { .. }));
}

#[test]
fn a_skew_that_drifts_or_is_another_after_a_restart_is_followed() {
    let source = synth(8, 1, 0);
    let len = source.packets.len();
    let mut network = Network::new(len, 20 * MS);
    let (stop, start) =
        (source.times.partition_point(|at| *at < 3 * SECOND), source.times.partition_point(|at| *at < 3300 * MS));
    network.lost[stop..start].fill(true);
    for (i, skew) in network.skew.iter_mut().enumerate() {
        *skew += source.times[i] / 1000 + if i >= start { 40 * MS } else { 0 };
    }
    // what comes late from before the restart does not hold up what follows
    let mut aligner = aligner(2, WINDOW);
    let output =
        run(&mut aligner, &[whole(&source, 0), (&source.packets, network.datagrams(&source.times))], 8 * SECOND);
    let Relation::Identical { skew, .. } = output.kinships[1].relation else { panic!("{:?}", output.kinships) };
    assert!(is_near(skew, 68 * MS), "{skew}");
    let order: Vec<_> = output.left.iter().map(|(_, packet, _)| *packet).collect();
    assert!(order.is_sorted() && order.len() >= len - 200, "{}", order.len());
    assert!(aligner.counts(1).matched > 9_000, "{:?}", aligner.counts(1));
}

#[test]
fn a_feed_that_becomes_another_is_let_go_and_what_is_followed_leaves_whole() {
    let (source, other) = (synth(6, 1, 0), synth(6, 9, 1_234_567));
    let at = 3000;
    let mut mixed = source.clone();
    mixed.packets[at..].copy_from_slice(&other.packets[at..]);
    let mut aligner = aligner(2, WINDOW);
    let output = run(&mut aligner, &[whole(&source, 0), whole(&mixed, 10 * MS)], 8 * SECOND);
    assert!(
        output.events.iter().any(|(_, event)| *event == Event::Parted { feed: 1, why: Parting::Mismatch }),
        "{:?}",
        output.events
    );
    let left: Vec<_> = output.left.iter().map(|(feed, packet, _)| [&source, &mixed][*feed].packets[*packet]).collect();
    assert!(left == source.packets, "{:?}", aligner.counts(1));
}

#[test]
fn when_the_followed_feed_dies_the_others_go_on_without_a_gap() {
    let source = synth(6, 1, 0);
    for (first, second) in [(0, 60 * MS), (60 * MS, 0)] {
        let mut network = Network::new(source.packets.len(), first);
        network.lost[4000..].fill(true);
        let mut aligner = aligner(2, WINDOW);
        let feeds = [(source.packets.as_slice(), network.datagrams(&source.times)), whole(&source, second)];
        let output = run(&mut aligner, &feeds, 8 * SECOND);
        let left: Vec<_> = output.left.iter().map(|(_, packet, _)| *packet).collect();
        assert_eq!(left, Vec::from_iter(0..source.packets.len()));
        let gap = output.left.windows(2).map(|pair| pair[1].2 - pair[0].2).max().unwrap();
        assert!(gap <= 12 * MS, "{gap}");
        assert!(output.events.iter().any(|(_, event)| *event == Event::Leads { feed: 1 }), "{:?}", output.events);
        assert_eq!(output.lead, Some(1));
    }
}

#[test]
fn a_damaged_copy_gives_way_to_a_good_one() {
    let source = synth(4, 1, 0);
    let mut damaged = source.clone();
    for i in (2000..5000).step_by(37) {
        damaged.packets[i][1] |= 0x80;
        damaged.packets[i][100] ^= 0x55;
    }
    let mut aligner = aligner(2, WINDOW);
    let output = run(&mut aligner, &[whole(&damaged, 0), whole(&source, 30 * MS)], 8 * SECOND);
    let left: Vec<_> =
        output.left.iter().map(|(feed, packet, _)| [&damaged, &source][*feed].packets[*packet]).collect();
    let wrong = left.iter().zip(&source.packets).position(|(left, packet)| left != packet);
    assert_eq!(
        (wrong, left.len()),
        (None, source.packets.len()),
        "{:?} {:?} {:?}",
        &output.left[wrong.unwrap_or(3) - 3..wrong.unwrap_or(0) + 4],
        aligner.counts(0),
        aligner.counts(1)
    );
    assert_eq!(aligner.counts(0).damaged, 82);
}

#[test]
fn three_feeds_are_one_whichever_is_followed() {
    let source = synth(6, 1, 0);
    let len = source.packets.len();
    let mut chance = Chance(7);
    let mut networks = [Network::new(len, 20 * MS), Network::new(len, 0), Network::new(len, 70 * MS)];
    for i in 0..3 {
        let mut other = networks[(i + 1) % 3].lost.clone();
        other.iter_mut().zip(&networks[(i + 2) % 3].lost).for_each(|(lost, also)| *lost |= also);
        networks[i].lose(&mut chance, 40, true, &other, 1500..len - 300);
    }
    let mut aligner = aligner(3, WINDOW);
    let feeds = networks.each_ref().map(|n| (source.packets.as_slice(), n.datagrams(&source.times)));
    let output = align_net::run_with(&mut aligner, &feeds, 8 * SECOND, |aligner, at, release| {
        let to = usize::try_from(at / (700 * MS)).unwrap() % 3;
        if at > SECOND && aligner.lead() != Some(to) {
            aligner.follow(Some(to), Instant::from_nanos(at), release);
        }
    });
    let left: Vec<_> = output.left.iter().map(|(_, packet, _)| *packet).collect();
    let is_null = |i: &usize| source.packets[*i][1..3] == [0x1F, 0xFF];
    let others: Vec<_> = left.iter().copied().filter(|i| !is_null(i)).collect();
    let mut sorted = others.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq((0..len).filter(|i| !is_null(i))), "{:?}", output.events);
    assert!(others.iter().zip(&sorted).filter(|(a, b)| a != b).count() < 50);
}

#[test]
fn a_cut_to_another_programme_goes_on_with_what_is_due() {
    let (first, second) = (synth(4, 1, 0), synth(4, 2, 99_000_000));
    let mut aligner = aligner(2, WINDOW);
    let output = align_net::run_with(
        &mut aligner,
        &[whole(&first, 0), whole(&second, 0)],
        8 * SECOND,
        |aligner, at, release| {
            if at >= 2 * SECOND && aligner.lead() == Some(0) {
                aligner.follow(Some(1), Instant::from_nanos(at), release);
            }
        },
    );
    let cut = output.left.iter().position(|(feed, ..)| *feed == 1).unwrap();
    assert!(output.left[..cut].iter().enumerate().all(|(i, (feed, packet, _))| *feed == 0 && *packet == i));
    assert!(output.left[cut..].windows(2).all(|pair| pair[1].1 == pair[0].1 + 1 && pair[1].0 == 1));
    assert!((output.left[cut].1.abs_diff(output.left[cut - 1].1)) <= 14);
}

#[test]
fn hostile_packets_leave_nothing_behind() {
    let source = synth(2, 1, 0);
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut feeds = Vec::new();
        for feed in 0..3 {
            let mut own = source.clone();
            for packet in &mut own.packets {
                if chance.permille(100) {
                    for _ in 0..1 + chance.below(20) {
                        packet[usize::try_from(chance.below(188)).unwrap()] = chance.word().to_le_bytes()[0];
                    }
                }
                if chance.permille(30) {
                    *packet = source.packets[usize::try_from(chance.below(2000)).unwrap()];
                }
            }
            let mut network = Network::new(own.packets.len(), feed * 30 * MS);
            network.skew.iter_mut().for_each(|skew| *skew += i64::try_from(chance.below(40_000_000)).unwrap());
            network.pack(&mut chance, 7);
            feeds.push((own, network));
        }
        let settings = changeover::switch::align::Settings {
            feeds: 3,
            window: changeover::units::Span::from_nanos(WINDOW),
            capacity: usize::try_from(chance.below(2) * 2000).unwrap(),
            merge: true,
            pace: false,
        };
        let mut aligner = Aligner::new(&settings);
        let feeds: Vec<_> = feeds.iter().map(|(own, n)| (own.packets.as_slice(), n.datagrams(&own.times))).collect();
        let output = align_net::run_with(&mut aligner, &feeds, 8 * SECOND, |aligner, at, release| {
            if at % 97 == 0 {
                aligner.follow(usize::try_from(at % 5).ok(), Instant::from_nanos(at), release);
            }
        });
        assert!(output.left.len() <= 3 * source.packets.len());
    }
}
