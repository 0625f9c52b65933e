use super::*;
use crate::synth::{Feed, Settings};
use crate::ts::Packet;

/// A multiplexer of constant rate.
struct Mux {
    accuracy: Accuracy,
    bit_rate: u64,
    /// The number of the next packet with a PCR, and the time at packet 0 in ticks.
    packet: u64,
    start: u64,
    /// Packets between PCRs: at least, and how many more at most.
    every: (u64, u64),
    seed: u64,
    raised: Vec<Inaccuracy>,
}

impl Mux {
    fn new(bit_rate: u64) -> Self {
        let every = (bit_rate / 1504 / 33).max(1);
        Self {
            accuracy: Accuracy::new(),
            bit_rate,
            packet: 17,
            start: 0,
            every: (every, 0),
            seed: bit_rate,
            raised: Vec::new(),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    /// The PCR that belongs to the next packet, rounded down.
    fn right(&self) -> u64 {
        let ticks = u128::from(self.packet) * 1504 * 27_000_000 / u128::from(self.bit_rate);
        self.start + u64::try_from(ticks).unwrap()
    }

    fn put(&mut self, pcr: u64, discontinuity: bool) {
        let at = Instant::ZERO + Ticks27M::span(self.right() - self.start);
        let pcr = Ticks27M(pcr % Ticks27M::WRAP);
        let raised = &mut self.raised;
        self.accuracy.pcr(at, self.packet, pcr, discontinuity, &mut |event| raised.push(event));
        self.packet += self.every.0 + if self.every.1 == 0 { 0 } else { self.random(self.every.1) };
    }

    fn run(&mut self, count: u32) {
        for _ in 0..count {
            self.put(self.right(), false);
        }
    }

    /// One that is off by `ticks`; its packet.
    fn wrong(&mut self, ticks: i64) -> u64 {
        let packet = self.packet;
        self.put(self.right().checked_add_signed(ticks).unwrap(), false);
        packet
    }

    fn raised(&self) -> Vec<(u64, i32)> {
        #[allow(clippy::cast_possible_truncation)]
        self.raised.iter().map(|event| (event.packet, event.deviation_ns.round() as i32)).collect()
    }

    fn figures(&self) -> Figures {
        self.accuracy.figures(Instant::ZERO)
    }
}

const RATES: [u64; 8] = [1_000_000, 2_500_000, 3_456_789, 8_000_000, 19_392_658, 38_014_706, 61_273_582, 1_000_000_000];

#[test]
fn a_constant_rate_is_measurable_from_five_pcrs_on_and_has_no_error() {
    for rate in RATES {
        let mut mux = Mux::new(rate);
        mux.run(4);
        assert_eq!(mux.figures(), Figures::default());
        mux.run(1);
        assert_eq!((mux.figures().measurable, mux.figures().judged), (Some(true), 5));
        mux.every.1 = mux.every.0;
        mux.run(5_000);
        let figures = mux.figures();
        assert_eq!((figures.judged, figures.errors, figures.steps), (5_005, 0, 0));
        assert_eq!((figures.worst_ns, mux.raised()), (Some(0.0), vec![]));
        let off = figures.bit_rate_bps.unwrap() / rate as f64 - 1.0;
        assert!(off.abs() < 1e-9, "{rate}: {off}");
    }
}

#[test]
fn one_pcr_that_is_off_is_one_event_at_its_own_packet_and_time() {
    for rate in RATES {
        for before in [0, 1, 3, 5, 40, 333] {
            for (ticks, ns) in [(1_350, 50_000), (-1_350, -50_000), (1 << 40, i32::MAX), (-700, -25_926)] {
                let mut mux = Mux::new(rate);
                mux.start = 1 << 41;
                mux.run(before);
                let at = Ticks27M::span(mux.right() - mux.start);
                let packet = mux.wrong(ticks);
                mux.run(100);
                assert_eq!(mux.raised(), [(packet, ns)], "{rate} {before}");
                assert_eq!(mux.raised[0].at, Instant::ZERO + at);
                assert_eq!((mux.figures().errors, mux.figures().steps), (1, 0));
            }
        }
    }
}

#[test]
fn thirteen_ticks_are_none_and_fourteen_are_one() {
    for rate in RATES {
        let mut mux = Mux::new(rate);
        mux.run(200);
        let mut expected = vec![];
        for ticks in [13, -13, 14, -14, 13, -13, 14, -14] {
            let packet = mux.wrong(ticks);
            if ticks.abs() == 14 {
                expected.push((packet, if ticks > 0 { 519 } else { -519 }));
            }
            mux.run(7);
        }
        assert_eq!(mux.raised(), expected, "{rate}");
    }
}

#[test]
fn at_any_rate_thirteen_and_fourteen_ticks_are_all_but_always_told_apart() {
    let mut wrong = 0;
    for seed in 0..400u64 {
        let mut mux = Mux::new(1_500_000 + seed * seed * 391 + seed);
        mux.every.1 = mux.every.0 / 2;
        mux.run(300);
        mux.wrong(13);
        mux.run(2);
        let none = mux.raised.is_empty();
        let packet = mux.wrong(-14);
        mux.run(2);
        wrong += u32::from(!none) + u32::from(mux.raised.last().is_none_or(|event| event.packet != packet));
    }
    assert!(wrong <= 4, "{wrong} of 800");
}

#[test]
fn four_wrong_ones_in_a_row_are_four_events_and_five_a_step() {
    let mut mux = Mux::new(8_000_000);
    mux.run(50);
    for _ in 0..4 {
        mux.wrong(1_350);
    }
    mux.run(50);
    assert_eq!((mux.raised.len(), mux.figures().steps), (4, 0));
    for _ in 0..5 {
        mux.wrong(1_350);
    }
    mux.run(50);
    assert_eq!((mux.raised.len(), mux.figures().steps), (4, 2));
    for ticks in [900, -700, 5_000, -100, 40, -30, 20, 60, 7_000, 100] {
        mux.wrong(ticks);
    }
    mux.run(50);
    assert_eq!((mux.raised.len(), mux.figures().steps), (14, 2), "unlike ones are no other line");
}

#[test]
fn a_step_of_any_kind_is_followed_and_raises_nothing() {
    let steps: [fn(&mut Mux); 5] = [
        |mux| mux.start += 5_076,
        |mux| mux.start -= 7 * 5_076,
        |mux| mux.start += 123_456_789,
        |mux| mux.bit_rate = 9_000_000,
        |mux| mux.bit_rate = 7_999_000,
    ];
    for step in steps {
        let mut mux = Mux::new(8_000_000);
        mux.start = 1 << 40;
        mux.run(100);
        step(&mut mux);
        mux.run(100);
        let packet = mux.wrong(-20);
        mux.run(1);
        assert_eq!((mux.raised(), mux.figures().steps), (vec![(packet, -741)], 1));
        assert_eq!(mux.figures().judged, 202);
        assert_eq!(mux.figures().bit_rate_bps.unwrap().round(), mux.bit_rate as f64);
    }
}

#[test]
fn after_a_loss_or_a_discontinuity_the_line_begins_anew() {
    let mut mux = Mux::new(8_000_000);
    mux.run(50);
    mux.wrong(50);
    mux.accuracy.lost();
    mux.packet += 3;
    let packet = mux.wrong(-27);
    mux.run(6);
    assert_eq!(mux.raised(), [(packet, -1_000)]);
    mux.start += 1 << 39;
    mux.put(mux.right(), true);
    assert_eq!((mux.figures().measurable, mux.figures().judged), (Some(true), 57));
    mux.run(4);
    assert_eq!((mux.raised.len(), mux.figures().steps, mux.figures().judged), (1, 0, 62));
    for _ in 0..30 {
        mux.accuracy.lost();
        mux.run(3);
    }
    assert_eq!(mux.figures().measurable, None, "nothing was judged for long");
}

#[test]
fn a_multiplexer_that_jitters_raises_most_and_reports_its_peak() {
    // ±2 µs; the deviation from the line of least squares of 32 is that from the true one, give or take 15 ns
    for clean in [0, 200] {
        let mut mux = Mux::new(8_000_000);
        mux.start = 1 << 20;
        mux.run(clean);
        for _ in 0..2_000 {
            let ticks = i64::try_from(mux.random(109)).unwrap() - 54;
            mux.wrong(ticks);
        }
        let figures = mux.figures();
        assert!((1_440..1_600).contains(&mux.raised.len()), "{}: three quarters", mux.raised.len());
        assert_eq!((figures.measurable, figures.steps), (Some(true), 0));
        assert!((2_000.0..3_000.0).contains(&figures.worst_ns.unwrap()), "{figures:?}");
        mux.run(100);
        let raised = mux.raised.len();
        mux.run(1_000);
        assert_eq!((mux.raised.len(), mux.figures().last_ns), (raised, Some(0.0)), "exact again");
    }
}

#[test]
fn a_little_jitter_is_no_error_and_hides_none() {
    for reach in [1, 2, 5] {
        let mut mux = Mux::new(22_394_117);
        mux.start = 1 << 20;
        let mut expected = vec![];
        for i in 0..3_000 {
            let jitter = i64::try_from(mux.random(2 * reach + 1)).unwrap() - i64::try_from(reach).unwrap();
            let wrong = i % 100 == 99;
            let packet = mux.wrong(jitter + if wrong { 40 } else { 0 });
            if wrong {
                expected.push(packet);
            }
        }
        mux.run(1);
        assert_eq!(mux.raised.iter().map(|event| event.packet).collect::<Vec<_>>(), expected);
        assert!(mux.figures().steps == 0 && mux.figures().worst_ns.unwrap() < 1_850.0, "{:?}", mux.figures());
    }
}

#[test]
fn where_the_rate_varies_nothing_is_measurable_and_nothing_raised() {
    // the packets between PCRs vary by 1, 2, … around a mean, as where null packets were taken out; or every tenth
    // time only
    for (vary, seldom) in [(1, 1), (2, 1), (40, 1), (200, 1), (1, 3), (1, 10), (30, 10), (1, 20)] {
        let mut mux = Mux::new(8_000_000);
        let mut packet = 0;
        for i in 0..2_000u32 {
            packet += 170 + if i % seldom == 0 { mux.random(vary + 1) } else { 0 };
            let right = mux.right();
            let raised = &mut mux.raised;
            mux.accuracy.pcr(Instant::ZERO, packet, Ticks27M(right), false, &mut |event| raised.push(event));
            mux.packet += mux.every.0;
        }
        assert_eq!((mux.figures().measurable, mux.raised.len()), (Some(false), 0), "{vary} {seldom}");
        mux.packet = packet + 1;
        mux.run(80);
        assert_eq!(mux.figures().measurable, Some(false));
        mux.run(24);
        assert_eq!((mux.figures().measurable, mux.raised.len()), (Some(true), 0));
    }
}

#[test]
fn a_clock_that_drifts_is_followed_without_a_word() {
    // 10 ppm of the rate, in a sine of five minutes
    let mut mux = Mux::new(8_000_000);
    for i in 0..20_000u32 {
        let seconds = f64::from(i) * mux.every.0 as f64 * 1504.0 / 8e6;
        let turn = core::f64::consts::TAU / 300.0;
        #[allow(clippy::cast_possible_truncation)]
        let ticks = 27e6 * (seconds + 1e-5 / turn * (seconds * turn).sin());
        let (raised, packet) = (&mut mux.raised, u64::from(i) * mux.every.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        mux.accuracy.pcr(Instant::ZERO, packet, Ticks27M(ticks as u64), false, &mut |event| raised.push(event));
    }
    let figures = mux.figures();
    assert_eq!((figures.measurable, figures.errors, figures.steps), (Some(true), 0, 0));
    assert!(figures.judged > 19_900, "{figures:?}");
}

#[test]
fn the_wrap_of_the_pcr_is_no_event() {
    let mut mux = Mux::new(8_000_000);
    mux.start = Ticks27M::WRAP - 20_000_000;
    mux.run(100);
    assert_eq!((mux.raised.len(), mux.figures().judged, mux.figures().steps), (0, 100, 0));
    assert!(mux.right() > Ticks27M::WRAP);
}

#[test]
fn what_comes_twice_at_one_place_counts_once_and_a_duplicate_packet_with_the_old_pcr_is_an_error() {
    let mut mux = Mux::new(8_000_000);
    mux.run(20);
    let right = mux.right();
    mux.every.0 = 0;
    mux.put(right, false);
    mux.put(right + 99_999, false);
    mux.packet += 1;
    mux.put(right, false);
    (mux.every.0, mux.packet) = (161, mux.packet + 161);
    mux.run(20);
    assert_eq!(mux.raised(), [(17 + 20 * 161 + 1, -188_000)], "one packet's time");
}

#[test]
fn a_feed_has_no_error() {
    for bit_rate in [3_456_789, 8_000_000, 123_456_789] {
        let mut feed =
            Feed::new(Settings { bit_rate, start: Ticks27M(Ticks27M::WRAP - 5_000_000), ..Settings::default() });
        let mut accuracy = Accuracy::new();
        for _ in 0..bit_rate / 1504 * 5 {
            let packet = feed.next_packet();
            if let Some(pcr) = Packet::new(&packet.bytes).pcr() {
                accuracy.pcr(Instant::ZERO, packet.index, pcr, false, &mut |event| panic!("{event:?}"));
            }
        }
        let figures = accuracy.figures(Instant::ZERO);
        assert_eq!((figures.measurable, figures.worst_ns, figures.steps), (Some(true), Some(0.0), 0));
        assert!(figures.judged > 150);
        assert_eq!(figures.bit_rate_bps.map(f64::round), Some(bit_rate as f64));
    }
}

#[test]
fn the_worst_of_the_last_second_is_forgotten_and_that_since_the_start_is_not() {
    let mut mux = Mux::new(8_000_000);
    mux.run(40);
    mux.wrong(270);
    mux.run(20);
    let now = Instant::ZERO + Ticks27M::span(mux.right());
    assert_eq!(mux.accuracy.figures(now).worst_second_ns, Some(10_000.0));
    mux.run(70);
    let now = Instant::ZERO + Ticks27M::span(mux.right());
    assert_eq!(mux.accuracy.figures(now).worst_second_ns, Some(0.0));
    assert_eq!(mux.accuracy.figures(now).worst_ns, Some(10_000.0));
    assert_eq!(mux.accuracy.figures(now + Span::from_secs(3)).worst_second_ns, None);
}

#[test]
fn hostile_values_do_no_harm() {
    let mut mux = Mux::new(8_000_000);
    for i in 0..300_000u64 {
        let wild = mux.random(u64::MAX) << mux.random(33) | mux.random(1 << 20);
        let pcr = match mux.random(6) {
            0 => 0,
            1 => wild,
            2 => u64::MAX,
            _ => i * 900_000,
        };
        let packet = match mux.random(50) {
            0 => wild,
            1 => u64::MAX,
            2 => 0,
            _ => i * 177,
        };
        if mux.random(1000) == 0 {
            mux.accuracy.lost();
        }
        let at = Instant::from_nanos(mux.random(u64::MAX).cast_signed());
        let discontinuity = mux.random(100) == 0;
        mux.accuracy
            .pcr(at, packet, Ticks27M(pcr), discontinuity, &mut |event| assert!(event.deviation_ns.is_finite()));
        let figures = mux.accuracy.figures(at);
        assert!(figures.bit_rate_bps.is_none_or(|rate| (1_000.0..=41e9).contains(&rate)));
    }
    assert!(core::mem::size_of::<Accuracy>() <= 1_280, "{}", core::mem::size_of::<Accuracy>());
}
