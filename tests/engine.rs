//! The whole engine in its own time: two feeds in, one output.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod common;
#[path = "engine/warm.rs"]
mod warm;

use changeover::engine::{ChannelSetup, Command, GatherSetup, Hole, InputSetup, Kind, Reason, Setup, Switch, What};
use changeover::health::{Criterion, Limit, Limits, Raise, Scope};
use changeover::switch::policy::{self, Mode};
use changeover::synth::{Feed, Settings};
use changeover::tr101290::Indicator;
use changeover::units::{ChannelId, InputId, Instant, Span};

use common::{Rig, Source, analyse, errors};

const MAIN: u16 = 0;
const BACKUP: u16 = 1;

fn input(priority: i32) -> InputSetup {
    InputSetup { priority, ..InputSetup::default() }
}

fn setup(delay: Span, main: InputSetup) -> Setup {
    let channel = ChannelSetup {
        inputs: vec![main, input(50)],
        policy: policy::Settings::default(),
        delay,
        gather: GatherSetup { ssrc: 0x1234_5678, ..GatherSetup::default() },
        ..ChannelSetup::default()
    };
    Setup { channels: vec![channel] }
}

fn ms(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

/// Two feeds of one programme, the backup 40 ms behind. `fault` may take a main datagram away or change it.
struct Scene {
    rig: Rig,
    main: Source,
    backup: Source,
    next_main: (Instant, Vec<u8>),
    next_backup: (Instant, Vec<u8>),
}

impl Scene {
    fn new(setup: &Setup) -> Self {
        let mut main = Source::new(Settings::default(), Span::ZERO);
        let mut backup = Source::new(Settings::default(), Span::from_millis(40));
        let (next_main, next_backup) = (main.next_datagram(), backup.next_datagram());
        Self { rig: Rig::new(setup), main, backup, next_main, next_backup }
    }

    fn run(&mut self, until: Instant, mut fault: impl FnMut(Instant, &mut Vec<u8>) -> bool) {
        loop {
            let main_first = self.next_main.0 <= self.next_backup.0;
            if self.next_main.0.min(self.next_backup.0) > until {
                break;
            }
            if main_first {
                let (at, mut bytes) = std::mem::replace(&mut self.next_main, self.main.next_datagram());
                if fault(at, &mut bytes) {
                    self.rig.datagram(MAIN, at, &bytes);
                }
            } else {
                let (at, bytes) = std::mem::replace(&mut self.next_backup, self.backup.next_datagram());
                self.rig.datagram(BACKUP, at, &bytes);
            }
        }
        self.rig.advance(until);
    }

    fn switches(&self) -> Vec<(Instant, Switch)> {
        let switch = |e: &changeover::engine::Event| {
            if let What::Switch(switch) = e.what { Some((e.at, switch)) } else { None }
        };
        self.rig.events.iter().filter_map(switch).collect()
    }
}

/// The first packets of the programme that both feeds bring.
fn source(packets: usize) -> Vec<[u8; 188]> {
    let mut feed = Feed::new(Settings::default());
    (0..packets).map(|_| feed.next_packet().bytes).collect()
}

const FINE: fn(Instant, &mut Vec<u8>) -> bool = |_, _| true;
const SILENT: fn(Instant, &mut Vec<u8>) -> bool = |_, _| false;

#[test]
fn a_single_feed_passes_through_byte_for_byte() {
    let mut scene = Scene::new(&setup(Span::ZERO, input(100)));
    scene.run(ms(3_000), FINE);
    let out = scene.rig.packets();
    let mut source = Source::new(Settings::default(), Span::ZERO);
    let mut expected = Vec::new();
    while expected.len() < out.len() {
        expected.extend(source.next_datagram().1.as_chunks::<188>().0.to_vec());
    }
    assert!(out.len() > 15_000);
    let differs = out.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the first packet that differs; the start was at {:?}", scene.switches()[0].0);
    assert_eq!(scene.switches().len(), 1, "the start is the only switch");
    let sequences: Vec<u16> = scene.rig.rtp.iter().map(|h| u16::from_be_bytes([h[2], h[3]])).collect();
    assert!(sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1)));
}

#[test]
fn a_silent_main_is_left_at_its_limit_and_returned_to() {
    for (delay, mode) in [(0, Mode::Cut), (100, Mode::Cut), (100, Mode::Auto)] {
        let mut setup = setup(Span::from_millis(delay), input(100));
        setup.channels[0].mode = mode;
        setup.channels[0].hole = Hole::Silent;
        let mut scene = Scene::new(&setup);
        scene.run(ms(2_000), FINE);
        let last = scene.rig.snapshot().inputs[0].last_arrival.unwrap();
        scene.run(ms(4_000), SILENT);
        scene.run(ms(25_000), FINE);
        let switches = scene.switches();
        let [_, (left, away), (returned, back)] = switches[..] else { panic!("{switches:?}") };
        let kind = if mode == Mode::Cut { Kind::Cut } else { Kind::Identical };
        assert_eq!((away.from, away.to, away.kind), (Some(InputId(MAIN)), InputId(BACKUP), kind));
        assert_eq!(away.reason, Reason::Unhealthy(Criterion::InputLoss));
        assert!(!away.planned && back.planned);
        assert_eq!(away.decided, last + Span::from_millis(200), "at its limit, not later");
        assert!(left.since(away.decided) <= Span::from_millis(5), "{left:?}");
        if mode == Mode::Cut {
            assert!(away.gap <= Span::from_millis(205) && away.gap >= Span::from_millis(90));
        } else {
            assert!(away.gap <= Span::from_millis(3), "no longer than from one datagram to the next: {:?}", away.gap);
            assert_eq!((away.lost, away.repeated, back.lost, back.repeated), (Some(0), Some(0), Some(0), Some(0)));
            let packets = scene.rig.packets();
            let strange = source(packets.len()).iter().zip(&packets).position(|(source, packet)| source != packet);
            assert_eq!(strange, None, "the source, byte for byte, as if nothing had happened");
        }
        assert_eq!(back.reason, Reason::Failback);
        // it comes back at 4 s, is well again 5 s later, and healthy for 10 s then
        assert!(returned >= ms(19_000) && returned <= ms(19_050), "{returned:?}");
        let output = analyse(&scene.rig.packets());
        for indicator in [Indicator::ContinuityCountError, Indicator::SyncByteError, Indicator::TransportError] {
            assert_eq!(errors(&output, indicator), 0, "{}", indicator.name());
        }
        assert_eq!(errors(&output, Indicator::PcrDiscontinuityIndicatorError), 0, "each step is signalled");
    }
}

#[test]
fn packets_of_a_feed_that_breaks_within_the_delay_never_leave() {
    let mut limits = Limits::default();
    let raise = Raise::Counted { above: 0, within: Span::from_secs(1) };
    let limit = Limit { raise, clear: Span::from_secs(5), scope: Scope::ALL };
    limits.set(Criterion::ContinuityCountError, Some(limit));
    let mut scene = Scene::new(&setup(Span::from_millis(100), InputSetup { limits, ..input(100) }));
    scene.run(ms(2_000), FINE);
    let mut n = 0;
    scene.run(ms(4_000), |_, _| {
        n += 1;
        n % 10 != 0
    });
    scene.run(ms(6_000), FINE);
    assert_eq!(scene.switches().len(), 2);
    assert!(scene.rig.snapshot().inputs[0].counts[Indicator::ContinuityCountError.index()] > 100);
    assert_eq!(errors(&analyse(&scene.rig.packets()), Indicator::ContinuityCountError), 0);
}

#[test]
fn a_pid_that_vanishes_is_missed_though_the_rest_goes_on() {
    let mut setup = setup(Span::ZERO, input(100));
    setup.channels[0].mode = Mode::Cut;
    let mut scene = Scene::new(&setup);
    scene.run(ms(2_000), FINE);
    let video = Settings::default().video_pid;
    scene.run(ms(4_000), |_, bytes| {
        for packet in bytes.as_chunks_mut::<188>().0 {
            if u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF == video.value() {
                packet[1] = packet[1] & 0xE0 | 0x1F;
                packet[2] = 0xFF;
            }
        }
        true
    });
    let switches = scene.switches();
    let (at, away) = switches[1];
    // no PCR for 500 ms is seen before the PID has been away for its second
    assert_eq!(away.reason, Reason::Unhealthy(Criterion::PcrRepetitionError));
    assert!(at > ms(2_450) && at < ms(2_510), "{at:?}");
    let raised =
        |c| scene.rig.events.iter().any(|e| matches!(e.what, What::Raised { criterion, .. } if criterion == c));
    assert!(raised(Criterion::PidError));
}

#[test]
fn a_take_is_obeyed_and_a_hold_outlasts_the_loss_of_its_input() {
    let mut scene = Scene::new(&setup(Span::ZERO, input(100)));
    scene.run(ms(1_000), FINE);
    assert!(scene.rig.command(Command::Take(InputId(BACKUP))));
    scene.run(ms(20_000), FINE);
    assert_eq!(scene.rig.snapshot().channels[0].active, Some(InputId(BACKUP)), "no return by itself");
    assert!(scene.rig.command(Command::Hold(InputId(MAIN))));
    scene.run(ms(22_000), SILENT);
    assert_eq!(scene.rig.snapshot().channels[0].active, Some(InputId(MAIN)));
    assert!(scene.rig.command(Command::Release(ChannelId(0))));
    scene.run(ms(23_000), SILENT);
    assert_eq!(scene.rig.snapshot().channels[0].active, Some(InputId(BACKUP)));
    assert!(scene.rig.command(Command::Enable(InputId(MAIN), false)));
    assert!(!scene.rig.command(Command::Take(InputId(MAIN))), "not available");
    assert!(!scene.rig.command(Command::Take(InputId(9))));
    assert_eq!(errors(&analyse(&scene.rig.packets()), Indicator::ContinuityCountError), 0);
}

#[test]
fn random_and_truncated_datagrams_change_nothing_but_counters() {
    let mut scene = Scene::new(&setup(Span::from_millis(20), input(100)));
    scene.run(ms(1_000), FINE);
    let mut seed = 1u64;
    for i in 0..20_000u32 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = (seed >> 33) as usize % 1_500;
        let bytes: Vec<u8> = (0..len).map(|j| (seed >> (j % 57)) as u8 ^ j as u8).collect();
        let at = ms(1_000) + Span::from_micros(i);
        scene.rig.datagram(BACKUP, at, &bytes);
    }
    scene.run(ms(2_000), FINE);
    let snapshot = scene.rig.snapshot();
    assert_eq!(snapshot.channels[0].active, Some(InputId(MAIN)));
    assert!(snapshot.inputs[1].transport.foreign > 10_000);
    assert_eq!(errors(&analyse(&scene.rig.packets()), Indicator::ContinuityCountError), 0);
}

#[test]
fn a_full_outbox_holds_back_and_loses_nothing() {
    let mut scene = Scene::new(&setup(Span::from_millis(1_000), input(100)));
    scene.run(ms(3_000), FINE);
    let before = scene.rig.packets().len() as u64;
    // nearly a second falls due while nothing comes
    scene.rig.engine.command(&mut scene.rig.frames, Command::Hold(InputId(MAIN)), ms(3_000));
    scene.rig.advance(ms(4_000));
    let snapshot = scene.rig.snapshot();
    assert!(scene.rig.packets().len() as u64 > before + 5_000);
    assert_eq!(snapshot.inputs[0].overrun, 0);
    assert_eq!(snapshot.channels[0].packets, snapshot.inputs[0].packets);
}

#[test]
fn a_stray_datagram_of_the_right_length_is_foreign_and_a_stream_of_them_is_sync_loss() {
    let mut scene = Scene::new(&setup(Span::ZERO, input(100)));
    scene.run(ms(1_000), FINE);
    for i in 0..50 {
        scene.run(ms(1_000 + i * 10), FINE);
        scene.rig.datagram(MAIN, ms(1_000 + i * 10), &[0x55; 7 * 188]);
    }
    let snapshot = scene.rig.snapshot();
    assert_eq!(snapshot.inputs[0].transport.foreign, 50);
    assert_eq!(snapshot.inputs[0].counts[Indicator::SyncByteError.index()], 0);
    assert_eq!(scene.switches().len(), 1);
    scene.run(ms(2_000), |_, bytes| {
        bytes.fill(0x55);
        true
    });
    assert_eq!(scene.rig.snapshot().inputs[0].counts[Indicator::TsSyncLoss.index()], 1);
    assert_eq!(scene.rig.snapshot().channels[0].active, Some(InputId(BACKUP)));
}
