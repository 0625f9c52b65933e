//! When packets leave: by the clock of their stream, or as they came.
#![allow(clippy::unwrap_used)]

mod common;

use changeover::engine::{ChannelSetup, Hole, InputSetup, Pace, Setup};
use changeover::synth::{Feed, Settings};
use changeover::units::{Instant, Span, Ticks27M};
use common::{Rig, Source};

/// How much later or earlier than the others a datagram leaves, at the most, from the third second on, where each comes up to 20 ms
/// later than it should; and how many were not those of the source.
fn spread(pace: Pace, inputs: u16, stall: bool) -> (Span, usize) {
    let channel = ChannelSetup {
        inputs: vec![InputSetup::default(); usize::from(inputs)],
        delay: Span::from_millis(100),
        pace,
        hole: Hole::Silent,
        ..ChannelSetup::default()
    };
    let mut rig = Rig::new(&Setup { channels: vec![channel] });
    let settings =
        || Settings { bit_rate: 8_000_000, start: Ticks27M(Ticks27M::WRAP - 54_000_000), ..Settings::default() };
    let mut arrivals = Vec::new();
    for input in 0..inputs {
        let (mut source, mut seed, mut latest) =
            (Source::new(settings(), Span::ZERO), u64::from(input) + 1, Instant::ZERO);
        let start = source.next_datagram().0;
        for i in 0..6_000 {
            let (at, bytes) = source.next_datagram();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let late = Span::from_micros(u32::try_from((seed >> 33) % 20_000).unwrap());
            let ideal = Instant::ZERO + at.since(start) + Span::from_millis(5);
            let held =
                if stall && input == 0 && (3_000..3_050).contains(&i) { Span::from_millis(60) } else { Span::ZERO };
            latest = latest.max(ideal + late + held);
            arrivals.push((latest, input, bytes));
        }
    }
    arrivals.sort_by_key(|(at, input, _)| (*at, *input));
    for (at, input, bytes) in arrivals {
        rig.datagram(input, at, &bytes);
    }
    rig.advance(rig.now + Span::from_secs(1));
    let mut feed = Feed::new(settings());
    (0..7).for_each(|_| _ = feed.next_packet());
    let packets = rig.packets();
    let strange = packets.iter().filter(|packet| feed.next_packet().bytes != **packet).count();
    let length = 7 * 188 * 8 * 1_000_000_000 / 8_000_000;
    let late: Vec<i64> =
        rig.sent.iter().zip(0..).map(|((at, _), i)| at.nanos() - i * length).skip(2_000).take(3_800).collect();
    (
        Span::from_nanos(late.iter().max().unwrap() - late.iter().min().unwrap()),
        strange + packets.len().abs_diff(42_000),
    )
}

#[test]
fn jitter_of_the_network_is_not_passed_on() {
    let (spread, strange) = spread(Pace::Pcr, 1, false);
    assert!(spread < Span::from_millis(2), "{spread:?}");
    assert_eq!(strange, 0);
}

#[test]
fn nor_is_that_of_two_networks() {
    let (spread, strange) = spread(Pace::Pcr, 2, false);
    assert!(spread < Span::from_millis(5), "{spread:?}");
    assert_eq!(strange, 0);
}

#[test]
fn a_stall_shorter_than_the_delay_line_is_bridged() {
    let (spread, strange) = spread(Pace::Pcr, 1, true);
    assert!(spread < Span::from_millis(2), "{spread:?}");
    assert_eq!(strange, 0);
}

#[test]
fn who_wants_the_least_delay_has_the_jitter() {
    let (spread, strange) = spread(Pace::Arrival, 1, false);
    assert!(spread > Span::from_millis(10), "{spread:?}");
    assert_eq!(strange, 0);
}
